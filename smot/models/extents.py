"""Where an object's ink ends within its box."""

import torch
from torch import Tensor


def ink_boxes(boxes: Tensor, appearances: Tensor, background: Tensor, threshold: float) -> Tensor:
    """Shrink (or grow by up to half a sprite pixel) boxes to what can be seen of their objects.

    A box that the model places is a frame for a sprite, whose margin it may leave empty: nothing
    in the objective asks for a tight fit. Ground truth is tight to the object's pixels.

    Args:
        boxes: y, x of the centre, h, w, [..., 4], any unit.
        appearances: colours and transparency in [0, 1], [..., C + 1, G, G].
        background: colour behind all objects, [C].
        threshold: least difference to the background, in [0, 1], that counts as ink.

    Returns:
        Boxes of the same form, [..., 4]; unchanged where nothing reaches the threshold.

    Source: ours; the paper reports the boxes as placed.
    """
    colour, alpha = appearances[..., :-1, :, :], appearances[..., -1, :, :]
    ink = alpha * (colour - background[:, None, None]).abs().amax(-3)
    top, bottom = _ends(ink.amax(-1), threshold)
    left, right = _ends(ink.amax(-2), threshold)
    low, high = torch.stack([top, left], -1), torch.stack([bottom, right], -1)
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre + size * ((low + high) / 2 - 0.5), size * (high - low)], -1)


def _ends(profile: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Shares of the side at which a profile [..., G] first and last crosses the threshold."""
    G = profile.shape[-1]
    visible = (profile >= threshold).any(-1)
    low = _first_crossing(profile, threshold) / G
    high = 1 - _first_crossing(profile.flip(-1), threshold) / G
    return low.where(visible, torch.zeros_like(low)), high.where(visible, torch.ones_like(high))


def _first_crossing(profile: Tensor, threshold: float) -> Tensor:
    """Where a profile first crosses the threshold, [...], in sprite pixels from the edge.

    Between the centres of pixels (at 0.5, 1.5, ...) it is taken as linear, and as 0 at -0.5,
    as the renderer has it.
    """
    padded = torch.nn.functional.pad(profile, (1, 0))
    index = (padded >= threshold).int().argmax(-1, keepdim=True).clamp(min=1)
    inside, outside = padded.gather(-1, index), padded.gather(-1, index - 1)
    share = ((threshold - outside) / (inside - outside).clamp(min=1e-6)).clamp(0, 1)
    return (index - 1.5 + share)[..., 0]
