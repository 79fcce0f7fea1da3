from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.sqair_port import Port
from smot.errors import DataError, UsageError
from smot.generators import MnistSettings, load_digits, render
from smot.models.sqair import Sqair, SqairConfig, build
from smot.models.sqair.objective import FrameSample, logit_excess, loss
from smot.models.sqair.objects import ABSENT_LOGIT, Noise

from .conftest import SMALL, shaken


def log_weights(model: Sqair, frames: Tensor, noise: Noise) -> Tensor:
    pixels = model.pixels(frames)
    return model.generative.evidence(pixels, model.infer(pixels, noise)).log_weights


def per_frame(clip: list[FrameSample]) -> Tensor:
    """Number of objects in every frame and row, [T, S]."""
    return torch.stack([sample.slots.present.sum(0) for sample in clip])


@pytest.mark.parametrize(("channels", "later_bias"), [(1, 0.0), (3, 0.0), (1, -0.5)])
def test_log_weights_are_those_of_the_straightforward_port(
    frames: Tensor, noise: Noise, channels: int, later_bias: float
) -> None:
    model = shaken(build(replace(SMALL, channels=channels, later_bias=later_bias), 0))
    pixels = model.pixels(frames)
    clip = model.infer(pixels, noise)
    evidence = model.generative.evidence(pixels, clip)
    port = Port(model)(pixels, noise)
    torch.testing.assert_close(evidence.log_weights, port.log_weight, atol=0.01, rtol=1e-5)
    torch.testing.assert_close(evidence.score, port.score, atol=1e-4, rtol=1e-4)
    counts = torch.stack([present.sum(0) for present in port.present])
    torch.testing.assert_close(per_frame(clip), counts)
    assert 0.3 < counts.sum() / (3 * counts.numel()) < 1  # slots differ in use


def test_gradients_are_those_of_the_straightforward_port(
    small: Sqair, frames: Tensor, noise: Noise
) -> None:
    pixels = small.pixels(frames)
    gradients = []
    for port in (False, True):
        small.zero_grad()
        if port:
            outcome = Port(small)(pixels, noise)
            weight, score = outcome.log_weight, outcome.score
        else:
            evidence = small.generative.evidence(pixels, small.infer(pixels, noise))
            weight, score = evidence.log_weights, evidence.score
        (1e-2 * weight.sum() + score.sum()).backward()
        gradients.append({name: each.grad for name, each in small.named_parameters()})
    for name, expected in gradients[1].items():
        assert expected is not None, name
        found = gradients[0][name]
        assert found is not None, name
        assert (found - expected).norm() <= 0.02 * expected.norm() + 1e-3, name


def test_particles_of_a_video_do_not_depend_on_the_other_videos(
    small: Sqair, frames: Tensor, noise: Noise
) -> None:
    together = log_weights(small, frames, noise)
    alone = Noise(
        where=noise.where[..., 2:4, :],
        what=noise.what[..., 2:4, :],
        presence=noise.presence[..., 2:4],
    )
    torch.testing.assert_close(
        log_weights(small, frames[1:2], alone), together[2:4], atol=0.01, rtol=1e-5
    )


def test_presence_never_returns_and_identities_are_unique(
    small: Sqair, frames: Tensor, noise: Noise
) -> None:
    clip = small.infer(small.pixels(frames), noise)
    for sample in clip:
        present = sample.slots.present > 0
        assert torch.equal(present, sample.slots.ids >= 0)
        assert (present[1:] <= present[:-1]).all()  # packed to the front
    for row in range(8):
        seen: dict[int, int] = {}
        for t, sample in enumerate(clip):
            ids = sample.slots.ids[sample.slots.present[:, row] > 0, row].tolist()
            assert len(set(ids)) == len(ids)
            for each in ids:
                assert t - seen.get(each, t) <= 1, "an identity came back"
                assert each in seen or all(each > other for other in seen if other not in ids)
                seen[each] = t


def test_every_parameter_gets_a_gradient(small: Sqair, frames: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    small.objective(frames, step=0, generator=generator).total.backward()
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": "conv"},
        {"encoder": "conv", "n_filters": 8, "slot_steps": 3},
        {"encoder": "conv", "n_filters": 8, "filter_gain": 1.6},
        {"logit_limit": 0.1, "later_bias": -0.5},
        {"shared_noise": True},
        {"count_prior": "cat"},
        {"propagation_prior": "rw"},
        {"propagation_prior": "guided"},
        {"estimator": "vimco", "signal_clip": 5.0, "score_ramp_steps": 10},
        {"n_particles": 5, "channels": 3},
    ],
    ids=str,
)
def test_every_variant_trains(frames: Tensor, change: dict[str, object]) -> None:
    model = shaken(build(replace(SMALL, **change), 0))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    objective = model.objective(frames, step=5, generator=generator)
    objective.total.backward()
    unused = {
        name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()
    }
    assert not unused
    assert all(
        torch.isfinite(term) and not term.requires_grad for term in objective.terms.values()
    )


def test_the_bound_lies_between_the_mean_weight_and_the_ceiling(
    small: Sqair, frames: Tensor
) -> None:
    terms = small.objective(frames, step=0, generator=torch.Generator().manual_seed(0)).terms
    assert terms["bound"] >= terms["elbo"]
    assert terms["bound"] < 0.28503 * 24 * 20


def test_particles_that_share_noise_differ_by_what_they_decided(frames: Tensor) -> None:
    model = shaken(build(SMALL, 0))
    noise = Noise.draw(4, 3, 8, 6, torch.Generator().manual_seed(2))
    shared = noise.shared(2)
    assert torch.equal(shared.presence, noise.presence)
    for mine, drawn in ((shared.where, noise.where), (shared.what, noise.what)):
        assert torch.equal(mine[..., ::2, :], drawn[..., ::2, :])
        assert torch.equal(mine[..., 1::2, :], drawn[..., ::2, :])
    pixels = model.pixels(frames)
    clip = model.infer(pixels, shared)
    weights = model.generative.evidence(pixels[:, :1], clip[:1]).log_weights.view(4, 2)
    n_found = per_frame(clip)[0].view(4, 2)
    alike = n_found[:, 0] == n_found[:, 1]
    assert alike.any()
    assert not alike.all()
    torch.testing.assert_close(weights[alike, 0], weights[alike, 1], atol=1e-2, rtol=1e-6)
    assert ((weights[~alike, 0] - weights[~alike, 1]).abs() > 0.1).all()


def test_a_later_bias_holds_for_every_frame_but_the_first(frames: Tensor, noise: Noise) -> None:
    free, held = (shaken(build(replace(SMALL, later_bias=bias), 0)) for bias in (0.0, -60.0))
    clips = [model.infer(model.pixels(frames), noise) for model in (free, held)]
    first = [clip[0].discovered.logit[0] for clip in clips]
    torch.testing.assert_close(first[0], first[1])
    assert any(sample.discovered.present.any() for sample in clips[0][1:])
    assert not any(sample.discovered.present.any() for sample in clips[1][1:])


def test_known_counts_are_kept(small: Sqair, frames: Tensor, noise: Noise) -> None:
    counts = torch.tensor([0.0, 1, 2, 3, 3, 2, 1, 0])
    clip = small.infer(small.pixels(frames), noise, counts=counts)
    torch.testing.assert_close(per_frame(clip), counts.expand(4, 8))
    # Nothing was chosen, so that no choice has a probability.
    evidence = small.generative.evidence(small.pixels(frames), clip)
    torch.testing.assert_close(evidence.score, torch.zeros_like(evidence.score))


def test_slots_may_be_more_than_in_training(small: Sqair, frames: Tensor) -> None:
    noise = Noise.draw(4, 7, 8, 6, torch.Generator().manual_seed(0))
    clip = small.infer(small.pixels(frames), noise, counts=torch.full((8,), 7.0))
    assert all(sample.slots.present.shape == (7, 8) for sample in clip)
    assert torch.isfinite(log_weights(small, frames, noise)).all()


def test_the_same_seed_gives_the_same_model_and_objective(frames: Tensor) -> None:
    totals = [
        build(SMALL, 3).objective(frames, step=0, generator=torch.Generator().manual_seed(4)).total
        for _ in range(2)
    ]
    assert torch.equal(totals[0], totals[1])
    state = torch.get_rng_state()
    build(SMALL, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_score_signal_is_bounded_per_frame(frames: Tensor) -> None:
    model = shaken(build(replace(SMALL, signal_clip=0.5), 0))
    found = model.objective(frames, step=0, generator=torch.Generator().manual_seed(0)).total
    pixels = model.pixels(frames)
    noise = Noise.draw(4, 3, 8, 6, torch.Generator().manual_seed(0))
    evidence = model.generative.evidence(pixels, model.infer(pixels, noise))
    parts = (each.view(4, 2) for each in (evidence.log_weights, evidence.score))
    expected = loss(*parts, estimator="code", clip=0.5 * 4, weight=1.0).mean() / 4
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_digits_can_be_learned_by_heart() -> None:
    settings = MnistSettings(frame_size=(24, 24), n_frames=2, max_objects=2, object_size=14)
    places = np.arange(32)
    videos = render(settings, load_digits("mnist-5k"), seed=0, split="train", indices=places)
    frames = torch.from_numpy(videos.frames)
    config = SqairConfig(
        frame_size=(24, 24),
        channels=1,
        n_slots=2,
        glimpse_size=10,
        n_what=16,
        n_hidden=64,
        scale_bounds=(0.4, 0.8),
        scale_prior=0.0,
        output_std=0.173,
        estimator="vimco",
        score_ramp_steps=100,
        shared_noise=True,
    )
    model = build(config, 0)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(120):
        objective = model.objective(frames, step=step, generator=generator)
        optimiser.zero_grad()
        objective.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        terms = objective.terms
        if terms["squared_error"] < 0.4 * terms["squared_error_empty"]:
            break
    assert terms["squared_error"] < 0.4 * terms["squared_error_empty"]


def test_frames_of_another_size_are_refused(small: Sqair) -> None:
    with pytest.raises(DataError, match=r"\[B, T, 24, 20, 3\], not \[1, 2, 48, 48, 3\]"):
        small.pixels(torch.zeros(1, 2, 48, 48, 3, dtype=torch.uint8))


def test_one_channel_is_the_mean_of_the_colours(small: Sqair) -> None:
    frames = torch.zeros(1, 1, 24, 20, 3, dtype=torch.uint8)
    frames[..., 0] = 255
    pixels = small.pixels(frames)
    assert pixels.shape == (1, 1, 1, 24, 20)
    torch.testing.assert_close(pixels, torch.full_like(pixels, 1 / 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_particles": 1}, "n_particles must be at least 2, not 1"),
        ({"scale_bounds": (0.5, 0.5)}, "scale_bounds must be two rising numbers within"),
        ({"n_hidden": 7}, "n_hidden must be even, not 7"),
        ({"output_std": 0.0}, "output_std must be above 0, not 0.0"),
        ({"step_success": 1.5}, r"step_success must be in \(0, 1\], not 1.5"),
        ({"filter_gain": 0.0}, "filter_gain must be above 0, not 0.0"),
        ({"signal_clip": -1.0}, "signal_clip must be at least 0, not -1.0"),
        ({"ink_threshold": 0.0}, r"ink_threshold must be in \(0, 1\), not 0.0"),
        ({"logit_limit": -1.0}, "logit_limit must be at least 0, not -1.0"),
        ({"slot_steps": 5, "count_prior": "cat"}, "slot_steps must be 0 with count_prior 'cat'"),
    ],
)
def test_settings_that_cannot_be_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SqairConfig(**change)  # type: ignore[arg-type]


def test_schedules_are_functions_of_the_step() -> None:
    config = SqairConfig(score_ramp_steps=10)
    assert [config.score_weight_at(step) for step in (0, 5, 10, 99)] == [0, 0.5, 1, 1]
    assert SqairConfig().score_weight_at(0) == 1
    growing = SqairConfig(n_slots=3, slot_steps=10)
    assert [growing.n_slots_at(step) for step in (0, 9, 10, 20, 99)] == [1, 1, 2, 3, 3]
    assert SqairConfig(n_slots=3).n_slots_at(0) == 3


def test_training_holds_no_more_objects_than_slots_are_allowed(frames: Tensor) -> None:
    model = build(replace(SMALL, slot_steps=10, discovery_bias=20.0, propagation_bias=20.0), 0)
    for step, n_slots in ((0, 1.0), (10, 2.0), (25, 3.0)):
        objective = model.objective(frames, step=step, generator=torch.Generator().manual_seed(0))
        assert objective.terms["count"].item() == n_slots


def test_only_a_choice_that_is_all_but_certain_is_penalised(
    small: Sqair, frames: Tensor, noise: Noise
) -> None:
    clip = small.infer(small.pixels(frames), noise)
    logits = clip[0].discovered.logit
    made = logits > ABSENT_LOGIT
    assert 0 < made.sum() < made.numel()  # some steps had nothing to choose
    limit = logits[made].abs().median().item()
    (gradient,) = torch.autograd.grad(
        logit_excess(clip[:1], limit, 0.0).sum(), logits, retain_graph=True
    )
    beyond = made & (logits.abs() > limit)
    torch.testing.assert_close(gradient, 2 * (logits - limit * logits.sign()) * beyond)
    assert logit_excess(clip, 80.0, 0.0).sum() == 0


def test_the_limit_leaves_the_bias_of_later_frames_alone(frames: Tensor) -> None:
    model = build(replace(SMALL, later_bias=-8.0, discovery_bias=1.0, logit_limit=4.0), 0)
    clip = model.infer(model.pixels(frames), Noise.draw(4, 3, 8, 6, torch.Generator()))
    for sample in clip[1:]:
        assert (sample.discovered.logit[0] < -4).all()  # beyond the limit, by the bias alone
    assert logit_excess(clip, 4.0, -8.0).sum() == 0
    assert logit_excess(clip, 4.0, 0.0).sum() > 0
    going_on = [sample._replace(is_first=False) for sample in clip]
    assert logit_excess(going_on, 4.0, -8.0).sum() > 0


def test_autocast_leaves_the_model_in_single_precision(small: Sqair, frames: Tensor) -> None:
    totals = []
    for enabled in (False, True):
        generator = torch.Generator().manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            totals.append(small.objective(frames, step=0, generator=generator).total)
    assert torch.equal(totals[0], totals[1])
