from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smot.arrays import UInt8Array
from smot.models.silot import FAMILY, Silot, SilotConfig
from smot.models.silot.model import random_squares
from smot.models.silot.objects import ClipNoise, FrameNoise, draw_noise

TRAINED = 100_000
"""A step at which all schedules have arrived."""

FROZEN_AT_FIRST = {
    # What the depth network passes on reaches the presence network alone.
    *(
        f"discovery.{head}.layers.{layer}.{kind}"
        for head in ("depth", "pres")
        for layer in range(2)
        for kind in ("weight", "bias")
    ),
    *(
        f"{part}.heads.{head}.layers.{layer}.{kind}"
        for part in ("propagation", "prior")
        for head, n_layers in (("where", 3), ("depth", 2), ("pres", 2))
        for layer in range(n_layers)
        for kind in ("weight", "bias")
    ),
    *(
        f"{part}.heads.{name}"
        for part in ("propagation", "prior")
        for name in ("from_what.weight", "from_depth")
    ),
    # The first glimpse of propagation is looked at by the box network alone.
    *(
        f"propagation.encode_before.layers.{layer}.{kind}"
        for layer in range(3)
        for kind in ("weight", "bias")
    ),
}


def noise_of(config: SilotConfig, generator: torch.Generator) -> ClipNoise:
    """Noise of the fixture's four videos of five frames of 2 x 2 cells."""
    dropout = (config.discovery_dropout, config.track_dropout)
    return draw_noise((4, 5, 4, 4), config.what_size, generator, dropout=dropout)


def built(config: SilotConfig) -> Silot:
    model = FAMILY.build(config, 3)
    assert isinstance(model, Silot)
    return model


def without_gradient(model: Silot, frames: UInt8Array, step: int) -> set[str]:
    generator = torch.Generator().manual_seed(0)
    model.objective(torch.from_numpy(frames), step=step, generator=generator).total.backward()
    return {
        name
        for name, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.abs().max() > 0
    }


OF_THE_SUPPLEMENT = {
    "interacting": True,
    "fully_connected_discovery": True,
    "n_backbone_features": 12,
    "size_prior_on_increment": True,
    "exponential_importance": True,
}


@pytest.mark.parametrize(
    "changes",
    [{}, {"interacting": True, "prior_own_features": True}, OF_THE_SUPPLEMENT],
)
def test_every_parameter_gets_a_gradient(
    config: SilotConfig, videos: UInt8Array, changes: dict[str, int]
) -> None:
    model = built(replace(config, **changes))  # type: ignore[arg-type]
    assert without_gradient(model, videos, TRAINED) == set()


def test_frozen_attributes_get_no_gradient_at_first(
    config: SilotConfig, videos: UInt8Array
) -> None:
    assert without_gradient(built(config), videos, 0) == FROZEN_AT_FIRST


def test_without_weight_the_learned_prior_is_left_alone(
    config: SilotConfig, videos: UInt8Array
) -> None:
    model = built(replace(config, learned_prior_weight=0.0))
    assert {name.partition(".")[0] for name in without_gradient(model, videos, TRAINED)} == {
        "prior"
    }


def test_one_seed_gives_one_model_and_one_objective(
    config: SilotConfig, videos: UInt8Array
) -> None:
    totals = [
        built(config)
        .objective(torch.from_numpy(videos), step=7, generator=torch.Generator().manual_seed(seed))
        .total.item()
        for seed in (0, 0, 1)
    ]
    assert totals[0] == totals[1] != totals[2]


def test_the_total_is_the_sum_of_its_terms(
    model: Silot, videos: UInt8Array, generator: torch.Generator
) -> None:
    result = model.objective(torch.from_numpy(videos), step=TRAINED, generator=generator)
    torch.testing.assert_close(result.total.detach(), torch.stack([*result.terms.values()]).sum())


def test_presence_never_grows_in_propagation(
    model: Silot, videos: UInt8Array, generator: torch.Generator
) -> None:
    images = model.images(torch.from_numpy(videos))
    for noise in (None, noise_of(model.config, generator)):
        clip = model.sweep(images, noise=noise)
        assert clip.moved is not None
        for t in range(1, 5):
            before = model.unpacked(clip.states[t - 1]).pres
            assert (clip.moved.pres[t - 1] <= before).all()
            kept = ~clip.is_new[t]
            after = model.unpacked(clip.states[t]).pres
            assert (after[kept] <= before[kept]).all()


def test_permuted_slots_go_on_as_permuted_objects(model: Silot, videos: UInt8Array) -> None:
    images = model.images(torch.from_numpy(videos))
    cells = model.backbone(images[1])
    state = model.sweep(images[:1]).states[0]
    order = torch.tensor([2, 0, 3, 1])
    here = model.advance(images[1], cells, state, FrameNoise())
    there = model.advance(images[1], cells, state[:, order], FrameNoise())
    assert here.change is not None
    assert there.change is not None
    torch.testing.assert_close(there.change.samples, here.change.samples[:, order])
    # Freed slots are filled in order of slots, so compare the selected objects as sets.
    for first, second in zip(here.state, there.state, strict=True):
        torch.testing.assert_close(_sorted(second), _sorted(first))
    kept = ~here.is_new[:, order]
    assert torch.equal(~there.is_new, kept)
    torch.testing.assert_close(there.state[kept], here.state[:, order][kept])


def _sorted(objects: Tensor) -> Tensor:
    return objects[objects[:, 0].argsort()]


def test_dropped_discovery_adds_no_object(
    config: SilotConfig, videos: UInt8Array, generator: torch.Generator
) -> None:
    model = built(replace(config, discovery_dropout=1.0))
    noise = noise_of(model.config, generator)
    clip = model.sweep(model.images(torch.from_numpy(videos)), noise=noise)
    assert not clip.is_new[1:].any()


def test_dropped_tracks_go_only_where_discovery_may_replace_them(
    generator: torch.Generator,
) -> None:
    noise = draw_noise((64, 3, 4, 4), 5, generator, dropout=(0.5, 1.0))
    assert noise.discovers is not None
    assert noise.keeps is not None
    assert torch.equal(noise.keeps, (1 - noise.discovers).expand_as(noise.keeps))


def test_only_training_drops_and_crops(config: SilotConfig, videos: UInt8Array) -> None:
    plain = replace(config, discovery_dropout=0.0)
    configs = [
        plain,
        replace(plain, discovery_dropout=1.0),
        replace(plain, track_dropout=1.0),
        replace(plain, crop=12),
    ]
    models = [built(each) for each in configs]
    for is_training in (True, False):
        first, *others = (
            model.train(is_training)
            .objective(
                torch.from_numpy(videos), step=TRAINED, generator=torch.Generator().manual_seed(0)
            )
            .total.item()
            for model in models
        )
        assert all((each == pytest.approx(first, rel=1e-5)) != is_training for each in others)


def test_zero_initialised_interaction_changes_nothing_at_first(
    config: SilotConfig, videos: UInt8Array
) -> None:
    alone = built(replace(config, prior_own_features=True))
    zero = built(
        replace(config, prior_own_features=True, interacting=True, zero_init_interaction=True)
    )
    missing, _ = zero.load_state_dict(alone.state_dict(), strict=False)
    assert all(".others." in name for name in missing)
    states = [
        model.sweep(model.images(torch.from_numpy(videos))).states for model in (alone, zero)
    ]
    torch.testing.assert_close(*states)


def test_slots_and_frame_size_are_free(model: Silot) -> None:
    frames = torch.zeros(2, 3, 36, 61, 3, dtype=torch.uint8)
    frames[:, :, 10:18, 20:28] = 255
    clip = model.sweep(model.images(frames), n_slots=11)
    assert clip.states.shape[:3] == (3, 2, 11)
    model.objective(frames, step=TRAINED, generator=torch.Generator().manual_seed(0))


def test_a_clip_of_one_frame_has_an_objective(
    model: Silot, videos: UInt8Array, generator: torch.Generator
) -> None:
    result = model.objective(torch.from_numpy(videos[:, :1]), step=0, generator=generator)
    assert torch.isfinite(result.total)


def test_crops_are_squares_of_the_frame_at_their_offset(generator: torch.Generator) -> None:
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(30), indexing="ij")
    images = (rows * 100 + columns).float().expand(2, 8, 1, 24, 30)
    seen, corner = random_squares(images, 12, generator)
    assert seen.shape == (2, 8, 1, 12, 12)
    assert len(set(corner[:, 0].tolist())) > 1
    for video in range(8):
        top, left = corner[video].tolist()
        expected = images[:, video, :, top : top + 12, left : left + 12]
        assert torch.equal(seen[:, video], expected)


def test_objects_in_crops_know_their_place_in_the_frame(model: Silot, videos: UInt8Array) -> None:
    offset = torch.tensor([0.25, 0.5]).expand(4, 2)
    clip = model.sweep(model.images(torch.from_numpy(videos)), offset=offset)
    objects = model.unpacked(clip.states)
    torch.testing.assert_close(objects.place, objects.centre + offset[:, None])


def test_the_prior_alone_costs_what_it_costs_in_the_objective(
    config: SilotConfig, videos: UInt8Array
) -> None:
    """With the same noise, the cached latents give the terms of the joint objective."""
    model = built(replace(config, prior_state_input="posterior"))
    frames = torch.from_numpy(videos)
    generator = torch.Generator().manual_seed(0)
    noise = noise_of(model.config, generator)
    clip = model.sweep(model.images(frames), noise=noise)
    joint = model.objective(frames, step=TRAINED, generator=torch.Generator().manual_seed(0))
    paths = model.trajectories(clip)
    alone = model.learned_terms(paths, noise.prior)
    for name, value in alone.items():
        torch.testing.assert_close(value.detach(), joint.terms[name])


def test_training_the_prior_alone_moves_the_prior_alone(
    config: SilotConfig, videos: UInt8Array, generator: torch.Generator
) -> None:
    model = built(replace(config, prior_own_features=True))
    paths = model.observe(torch.from_numpy(videos))
    model.prior_objective(paths, generator=generator).total.backward()
    moved = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert {name.partition(".")[0] for name in moved - {"discovery.initial_hidden"}} == {"prior"}
    assert any(name.startswith("prior.features") for name in moved)


def test_appearances_begin_with_the_configured_deviation() -> None:
    sure = SilotConfig(initial_what_std=0.2)
    model = Silot(sure)
    A = sure.what_size
    for network in (model.discovery.what, model.propagation.suggest, model.propagation.heads.what):
        scale = 2 * torch.sigmoid(network.output_bias[A : 2 * A])
        torch.testing.assert_close(scale, torch.full((A,), 0.2))
