"""What runs on a GPU: the plain form of painting, compared with the compiled one on the CPU."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from smot.arrays import UInt8Array
from smot.models.silot import FAMILY, Silot, SilotConfig, SilotTracker, rendering
from smot.models.sprites.painting import paint_reference

TRAINED = 100_000
"""A step at which all schedules have arrived."""


def built(config: SilotConfig) -> Silot:
    model = FAMILY.build(config, 3)
    assert isinstance(model, Silot)
    return model


def update(model: Silot, videos: UInt8Array) -> dict[str, torch.Tensor]:
    """The objective's total and terms, and every gradient, by name."""
    device = next(model.parameters()).device
    frames = torch.from_numpy(videos).to(device)
    generator = torch.Generator(device=device).manual_seed(0)
    result = model.objective(frames, step=TRAINED, generator=generator)
    result.total.backward()
    gradients = {
        name: each.grad for name, each in model.named_parameters() if each.grad is not None
    }
    return {"total": result.total.detach(), **result.terms, **gradients}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interacting": True, "prior_own_features": True, "prior_state_input": "posterior"},
        {"n_channels": 3, "background": (1.0, 0.5, 0.0), "track_dropout": 0.5, "crop": 12},
    ],
)
def test_plain_sprites_give_the_objective_and_the_gradients_of_the_compiled_ones(
    config: SilotConfig,
    videos: UInt8Array,
    changes: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(config, **changes)  # type: ignore[arg-type]
    compiled = update(built(settings), videos)
    monkeypatch.setattr(rendering, "paint", paint_reference)
    plain = update(built(settings), videos)
    assert compiled.keys() == plain.keys() >= dict(built(settings).named_parameters()).keys()
    for name, value in plain.items():
        atol = 1e-4 * float(value.abs().max())
        assert torch.allclose(compiled[name], value, rtol=1e-3, atol=atol), name


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_gpu_makes_an_update_and_tracks(
    config: SilotConfig, videos: UInt8Array, precision: str
) -> None:
    model = built(config).to("cuda")
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
        found = update(model, videos)
    optimiser.step()
    assert found.keys() >= dict(model.named_parameters()).keys()
    for name, value in {**found, **model.state_dict()}.items():
        assert torch.isfinite(value).all(), name
    tracks = SilotTracker(model=model.eval()).track(videos)
    assert tracks.shape[:2] == videos.shape[:2]
    assert SilotTracker(model=model).predict(videos[:, :3], 2).shape[1] == 2


@needs_gpu
def test_a_gpu_tracks_as_the_cpu_does(model: Silot, videos: UInt8Array) -> None:
    here = SilotTracker(model=model).track(videos)
    there = SilotTracker(model=model.to("cuda")).track(videos)
    assert (here.ids == there.ids).all()
    assert abs(here.boxes - there.boxes).max() < 0.01


@needs_gpu
@pytest.mark.slow
@pytest.mark.parametrize("n_frames", [2, 8])
def test_updates_on_a_gpu_do_not_slow_down(n_frames: int) -> None:
    """Prints how long an update of 16 clips takes; run with -s."""
    model = built(SilotConfig(n_channels=1)).to("cuda")
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    clips = np.random.default_rng(0).integers(0, 256, (16, n_frames, 48, 48, 3), np.uint8)
    seconds = []
    for _ in range(20):
        torch.cuda.synchronize()
        start = time.perf_counter()
        optimiser.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            update(model, clips)
        optimiser.step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    print(f"T = {n_frames}: {1e3 * min(seconds):.0f} ms an update, bf16, 128 filters")
    assert min(seconds[10:]) < 1.5 * min(seconds[1:10])
