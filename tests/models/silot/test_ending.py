import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smot.arrays import UInt8Array
from smot.errors import UsageError
from smot.models.silot import FAMILY, Silot, SilotConfig
from smot.models.silot.objects import FrameNoise


def built(config: SilotConfig, end_below: float) -> Silot:
    model = FAMILY.build(replace(config, end_below=end_below), 3)
    assert isinstance(model, Silot)
    return model.eval()


def with_presence(model: Silot, state: Tensor, presence: float) -> Tensor:
    objects = model.unpacked(state)
    return objects._replace(pres=torch.full_like(objects.pres, presence)).packed()


def at_frame_one(model: Silot, videos: UInt8Array, presence: float) -> tuple[Tensor, Tensor]:
    """Second frame's state and discovery logits, with every object's presence set before it."""
    images = model.images(torch.from_numpy(videos))
    cells = model.backbone(images[1])
    state = with_presence(model, model.sweep(images[:1]).states[0], presence)
    step = model.advance(images[1], cells, state, FrameNoise())
    return step.state, step.found.logit


@pytest.mark.parametrize("interacting", [False, True])
def test_where_all_objects_end_discovery_sees_what_it_would_in_a_first_frame(
    config: SilotConfig, videos: UInt8Array, interacting: bool
) -> None:
    model = built(replace(config, interacting=interacting), 0.5)
    images = model.images(torch.from_numpy(videos))
    _, first = model.discovery(images[1], model.backbone(images[1]), None, FrameNoise())
    _, logits = at_frame_one(model, videos, 0.49)
    torch.testing.assert_close(logits, first.logit)
    _, logits = at_frame_one(model, videos, 0.51)
    assert not torch.allclose(logits, first.logit)


def test_training_has_a_bound_of_its_own(config: SilotConfig, videos: UInt8Array) -> None:
    model = built(replace(config, end_below_training=0.1), 0.5)
    model.discovery.pres.output_bias.data.fill_(-30)
    for training, presence, stays in ((True, 0.2, True), (True, 0.09, False), (False, 0.2, False)):
        state, _ = at_frame_one(model.train(training), videos, presence)
        assert (model.unpacked(state).pres.max() > 1e-3) == stays


def test_an_ended_object_never_comes_back(config: SilotConfig, videos: UInt8Array) -> None:
    model = built(config, 0.5)
    model.discovery.pres.output_bias.data.fill_(-30)  # nothing is found anew
    state, _ = at_frame_one(model, videos, 0.49)
    assert model.unpacked(state).pres.max() < 1e-4
    state, _ = at_frame_one(model, videos, 0.51)
    assert model.unpacked(state).pres.max() > 1e-3


def test_faint_objects_stay_as_in_the_paper_by_default(
    config: SilotConfig, videos: UInt8Array
) -> None:
    model = built(config, 0.0)
    model.discovery.pres.output_bias.data.fill_(-30)
    state, _ = at_frame_one(model, videos, 0.01)
    assert model.unpacked(state).pres.max() > 1e-3


def test_the_learned_prior_ends_the_same_objects(config: SilotConfig, videos: UInt8Array) -> None:
    model = built(config, 0.5)
    clip = model.sweep(model.images(torch.from_numpy(videos))[:3])
    for presence, stays in ((0.49, False), (0.51, True)):
        faint = clip._replace(states=with_presence(model, clip.states, presence))
        assert (model.imagine(faint, 2).pres.max() > 0) == stays


def test_what_goes_on_while_tracking_starts_each_frame_as_certain(
    config: SilotConfig, videos: UInt8Array
) -> None:
    model = built(replace(config, end_below=0.5, stay_above=0.8), 0.5)
    model.discovery.pres.output_bias.data.fill_(-30)
    last = model.propagation.heads.pres.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.zeros_(last.weight)
    model.propagation.heads.pres.output_bias.data.fill_(math.log(9))  # stays with 0.9
    for presence, training, expected in (
        (0.51, False, 2.25 / 3.25),  # odds of 9 against those of 0.8, whatever was before
        (0.99, False, 2.25 / 3.25),
        (0.49, False, 0.0),
        (0.51, True, 0.51 * 0.9),  # the paper's product
    ):
        state, _ = at_frame_one(model.train(training), videos, presence)
        found = model.unpacked(state).pres.max()
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)


def test_staying_needs_a_bound_below_which_objects_end(config: SilotConfig) -> None:
    with pytest.raises(UsageError, match=r"stay_above is 0\.8, must be 0 without end_below"):
        replace(config, stay_above=0.8)
