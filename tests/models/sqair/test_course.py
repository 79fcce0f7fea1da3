"""Frames are 24 x 20 pixels, patches 7 samples; a box of no logits is half a frame wide."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smot.arrays import UInt8Array
from smot.models.sqair import Sqair, SqairTracker, TrackerConfig, build
from smot.models.sqair.course import reported_boxes, tracks_of
from smot.models.sqair.slots import Slots

from .conftest import SMALL

WHAT, WHERE = torch.zeros(1, 2, 6), torch.zeros(1, 2, 4)
CENTRE, STEP = torch.tensor([10.0, 12.0]), torch.tensor([9.5, 11.5]) / 6  # x, y


def painting(patch: torch.Tensor, *, tight: bool = True) -> Sqair:
    """A model that paints every object as one patch, [7, 7]."""
    model = build(replace(SMALL, tight_boxes=tight, ink_threshold=0.25), 0)
    last = model.generative.decoder.mlp.last
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(patch.flatten())
        model.generative.decoder.output_scale.fill_(1.0)
    return model


def test_tight_boxes_end_where_the_ink_does() -> None:
    patch = torch.zeros(7, 7)
    patch[1:4, 2:6] = 1.0
    # Between a dark and a bright sample, a quarter of the way brightness reaches 0.25.
    low = torch.tensor([1.25, 0.25]) - 3  # x, y from the middle sample, in steps
    high = torch.tensor([5.75, 3.75]) - 3
    expected = torch.cat([CENTRE + STEP * low, CENTRE + STEP * high])
    boxes, _ = reported_boxes(painting(patch), WHAT, WHERE)
    torch.testing.assert_close(boxes, expected.expand(1, 2, 4))


def test_ink_beyond_white_or_below_black_counts_as_white_and_black() -> None:
    patch = torch.full((7, 7), -1.0)
    patch[3, 3] = 5.0
    half = 0.75 * STEP
    expected = torch.cat([CENTRE - half, CENTRE + half])
    boxes, _ = reported_boxes(painting(patch), WHAT, WHERE)
    torch.testing.assert_close(boxes, expected.expand(1, 2, 4))


@pytest.mark.parametrize("tight", [False, True])
def test_where_there_is_no_ink_or_none_is_asked_for_the_patch_is_reported(tight: bool) -> None:
    patch = torch.zeros(7, 7) if tight else torch.eye(7)
    boxes, seen = reported_boxes(painting(patch, tight=tight), WHAT, WHERE)
    assert seen.tolist() == [[not tight] * 2]
    size = boxes[0, 0, 2:] - boxes[0, 0, :2]
    # Patches end half a pixel past their samples, sprites half a sample.
    torch.testing.assert_close(size, 7 * STEP if tight else 6 * STEP + 1)


@pytest.mark.parametrize("tight", [False, True])
def test_a_box_without_ink_is_no_object(tight: bool) -> None:
    model = painting(torch.zeros(7, 7), tight=tight)
    tracker = SqairTracker(model=model, config=TrackerConfig()).told(2)
    videos: UInt8Array = np.zeros((3, 2, 24, 20, 3), np.uint8)
    trace = tracker.trace(videos, 1)
    for tracks in (tracker.track(videos), tracker.predict(videos, 1), trace.tracks):
        assert tracks.present.any() != tight
    assert trace.is_new.any() != tight


def test_an_object_that_shows_again_is_still_the_same() -> None:
    model = painting(torch.zeros(7, 7))
    last = model.generative.decoder.mlp.last
    with torch.no_grad():  # the first number of what lies behind the patch is its brightness
        for layer in model.generative.decoder.mlp.layers[:-1]:
            layer.weight.zero_()
            layer.weight[0, 0] = 1.0
        last.weight[:, 0] = 1.0
    frames = []
    for brightness in (1.0, 0.0, 1.0):
        slots = Slots.empty(1, 6, 16, torch.device("cpu")).padded(1)
        slots.what[..., 0], slots.present[:], slots.ids[:] = brightness, 1.0, 4
        frames.append(slots)
    assert tracks_of(model, frames).ids.tolist() == [[[4], [-1], [4]]]
