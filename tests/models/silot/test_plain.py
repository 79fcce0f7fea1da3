"""The plain PyTorch path, which runs where compiled kernels cannot: on a GPU."""

import sys
from dataclasses import replace

import pytest
import torch

from smot.arrays import UInt8Array
from smot.models.silot import FAMILY, Silot, SilotConfig, SilotTracker
from smot.models.sprites.glimpses import glimpse_reference
from smot.models.sprites.painting import paint_reference

TRAINED = 100_000
"""A step at which all schedules have arrived."""

PLAIN = {
    "runs_fused": lambda _: False,
    "glimpse": glimpse_reference,
    "paint": paint_reference,
}
"""What to put in place of a function, wherever a model's module has imported it."""


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Replace every way into compiled kernels; returns the modules that had one."""
    ways = [
        (module, name)
        for module_name, module in sys.modules.items()
        if module_name.startswith("smot.models.")
        for name in PLAIN
        if name in vars(module)
    ]
    for module, name in ways:
        monkeypatch.setattr(module, name, PLAIN[name])
    return {module.__name__.removeprefix("smot.models.") for module, _ in ways}


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
    slopes = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {"total": result.total.detach(), **result.terms, **slopes}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interacting": True, "prior_own_features": True, "prior_state_input": "posterior"},
        {"n_channels": 3, "background": (1.0, 0.5, 0.0), "track_dropout": 0.5, "crop": 12},
    ],
)
def test_plain_pytorch_gives_the_objective_and_the_gradients_of_the_kernels(
    config: SilotConfig,
    videos: UInt8Array,
    changes: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(config, **changes)  # type: ignore[arg-type]
    compiled = update(built(settings), videos)
    replaced = put_in_place(monkeypatch)
    assert replaced >= {
        "chains", "gru", "silot.attention", "silot.discovery", "silot.divergences",
        "silot.latents", "silot.propagation", "silot.rendering",
    }  # fmt: skip
    plain = update(built(settings), videos)
    assert compiled.keys() == plain.keys() >= dict(built(settings).named_parameters()).keys()
    for name, value in plain.items():
        scale = float(value.abs().max())
        torch.testing.assert_close(
            compiled[name],
            value,
            rtol=1e-3,
            atol=1e-4 * scale,
            msg=lambda text, n=name: f"{n}: {text}",
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
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
