"""Frames are 24 x 20 pixels, patches 7 samples; a box of no logits is half a frame wide."""

from dataclasses import replace

import pytest
import torch

from smot.models.sqair import Sqair, build
from smot.models.sqair.course import reported_boxes

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
    boxes = reported_boxes(painting(patch), WHAT, WHERE)
    torch.testing.assert_close(boxes, expected.expand(1, 2, 4))


def test_ink_beyond_white_or_below_black_counts_as_white_and_black() -> None:
    patch = torch.full((7, 7), -1.0)
    patch[3, 3] = 5.0
    half = 0.75 * STEP
    expected = torch.cat([CENTRE - half, CENTRE + half])
    boxes = reported_boxes(painting(patch), WHAT, WHERE)
    torch.testing.assert_close(boxes, expected.expand(1, 2, 4))


@pytest.mark.parametrize("tight", [False, True])
def test_where_there_is_no_ink_or_none_is_asked_for_the_patch_is_reported(tight: bool) -> None:
    patch = torch.zeros(7, 7) if tight else torch.eye(7)
    boxes = reported_boxes(painting(patch, tight=tight), WHAT, WHERE)
    size = boxes[0, 0, 2:] - boxes[0, 0, :2]
    # Patches end half a pixel past their samples, sprites half a sample.
    torch.testing.assert_close(size, 7 * STEP if tight else 6 * STEP + 1)
