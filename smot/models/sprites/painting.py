"""Painting sprites into images: nearer and more present ones cover the others, softly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.distributions import LOGIT_LIMIT
from smot.models.sprites.paint_backward_kernel import paint_backward
from smot.models.sprites.paint_kernel import SMALLEST_SIDE, WEIGHT_EPSILON
from smot.models.sprites.paint_kernel import paint as paint_forward


@dataclass(frozen=True, kw_only=True)
class Paint:
    """How sprite logits become colour, transparency and importance.

    Attributes:
        colour_scale: factor of the colour logits.
        alpha_scale: factor of the transparency logits.
        alpha_bias: added to the scaled transparency logits.
        temperature: importance is presence times transparency times depth over this.
        floor: smallest importance under a sprite.
        exponential: whether importance is the exponential of that, without a floor: the softmax
            of supplement A.2.

    Source: supplement A.2; values and floor as docs/models/silot.md 4.5 says.
    """

    colour_scale: float = 2.0
    alpha_scale: float = 0.1
    alpha_bias: float = 5.0
    temperature: float = 0.25
    floor: float = 0.01
    exponential: bool = False


def paint(
    sprites: Tensor,
    boxes: Tensor,
    presence: Tensor,
    depth: Tensor,
    background: Tensor,
    *,
    unit: float,
    frame_size: tuple[int, int],
    style: Paint,
) -> Tensor:
    """Paint K sprites a frame onto a background.

    With colours c, alpha a (times presence) and importance m = max(a * depth / temperature,
    floor), or m = exp((a * depth - 1) / temperature) where it is exponential, each placed
    bilinearly with zeros (for colours: the background b) outside the sprite, a pixel is
    b + sum_k m_k a_k (c_k - b) / (sum_k m_k + 1e-8). On a CPU a compiled kernel does the work,
    elsewhere `paint_reference`; values and gradients are the same.

    Args:
        sprites: logits of C colours and of the transparency, [N, K, C + 1, G, G].
        boxes: centre and size y, x, h, w, [N, K, 4]; sides below 1e-4 count as 1e-4.
        presence: in [0, 1], [N, K].
        depth: in [0, 1], larger is nearer, [N, K].
        background: colour, [C]; gets no gradient.
        unit: pixels per unit of the boxes.
        frame_size: H, W, pixels.
        style: constants.

    Returns:
        [N, C, H, W], float32.

    Source: docs/models/silot.md 4.5. The supplement's maps are minus infinity outside a sprite,
    which cannot be interpolated: their exponentials are, with 0 outside. The 1 in it cancels, and
    keeps small temperatures from overflowing.
    """
    if sprites.device.type != "cpu":
        scene = (sprites, boxes, presence, depth, background)
        return paint_reference(*scene, unit=unit, frame_size=frame_size, style=style)
    images: Tensor = _Painted.apply(
        sprites, boxes, presence, depth, background, unit, frame_size, style
    )
    return images


def paint_reference(
    sprites: Tensor,
    boxes: Tensor,
    presence: Tensor,
    depth: Tensor,
    background: Tensor,
    *,
    unit: float,
    frame_size: tuple[int, int],
    style: Paint,
) -> Tensor:
    """What `paint` computes, in plain PyTorch for any device; same arguments."""
    maps = activated(sprites.float(), style)
    alpha = maps[:, :, -1:] * presence[:, :, None, None, None]
    nearness = alpha * depth[:, :, None, None, None]
    if style.exponential:
        importance = torch.exp((nearness - 1) / style.temperature)
    else:
        importance = (nearness / style.temperature).clamp(min=style.floor)
    colour = maps[:, :, :-1] - background[:, None, None]
    placed = laid_out(torch.cat([colour, alpha, importance], 2), boxes.float(), unit, frame_size)
    colour, alpha, importance = placed[:, :, :-2], placed[:, :, -2:-1], placed[:, :, -1:]
    weight = importance.sum(1) + float(WEIGHT_EPSILON)
    return background[:, None, None] + (importance * alpha * colour).sum(1) / weight


def laid_out(maps: Tensor, boxes: Tensor, unit: float, frame_size: tuple[int, int]) -> Tensor:
    """Each map in its own frame, bilinearly, with zeros outside of its box.

    Args:
        maps: [N, K, P, G, G].
        boxes: centre and size y, x, h, w, [N, K, 4]; sides below 1e-4 count as 1e-4.
        unit: pixels per unit of the boxes.
        frame_size: H, W, pixels.

    Returns:
        [N, K, P, H, W].
    """
    (N, K), (H, W), least = maps.shape[:2], frame_size, unit * SMALLEST_SIDE
    y, x, h, w = (boxes * unit).unbind(-1)
    rows, columns = (
        2 * (torch.arange(n, device=boxes.device) + 0.5 - centre[..., None]) / side[..., None]
        for n, centre, side in ((H, y, h.clamp(min=least)), (W, x, w.clamp(min=least)))
    )
    grid = torch.stack(
        torch.broadcast_tensors(columns[:, :, None, :], rows[:, :, :, None]), dim=-1
    )
    placed = F.grid_sample(maps.flatten(0, 1), grid.flatten(0, 1), align_corners=False)
    return placed.view(N, K, -1, H, W)


def activated(sprites: Tensor, style: Paint) -> Tensor:
    """Colours and transparency in [0, 1] from their logits, [..., C + 1, G, G]."""
    colour = sprites[..., :-1, :, :] * style.colour_scale
    alpha = sprites[..., -1:, :, :] * style.alpha_scale + style.alpha_bias
    return torch.sigmoid(torch.cat([colour, alpha], -3).clamp(-LOGIT_LIMIT, LOGIT_LIMIT))


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
    top, bottom = _ink_ends(ink.amax(-1), threshold)
    left, right = _ink_ends(ink.amax(-2), threshold)
    low, high = torch.stack([top, left], -1), torch.stack([bottom, right], -1)
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre + size * ((low + high) / 2 - 0.5), size * (high - low)], -1)


def owners(alone: Callable[[Tensor], Tensor], nearness: Tensor, threshold: float) -> Tensor:
    """Which of K objects each pixel belongs to.

    Each object is painted alone. A pixel belongs to the one of the largest difference to the
    background there, times its nearness, among those that differ enough.

    Args:
        alone: paints n of the objects of each frame: their places, [N, n], to differences to the
            background, [N, n, C, H, W].
        nearness: of the objects, [N, K]; 0 for those that do not count.
        threshold: least difference, in [0, 1], of the largest channel.

    Returns:
        1 + the object's place along K, 0 for background, [N, H, W], int32.

    Source: ours; docs/definitions.md.
    """
    counted = nearness > 0
    # Most of a model's slots are empty, and are not painted.
    places = counted.int().topk(max(1, int(counted.sum(1).max())), dim=1).indices
    ink = alone(places).abs().amax(2)
    weight = ink.where(ink >= threshold, 0) * nearness.gather(1, places)[..., None, None]
    most, chosen = weight.max(1)
    named = places.gather(1, chosen.flatten(1)).view_as(chosen) + 1
    return named.where(most > 0, 0).int()


def _ink_ends(profile: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
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


class _Painted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sprites: Tensor,
        boxes: Tensor,
        presence: Tensor,
        depth: Tensor,
        background: Tensor,
        unit: float,
        frame_size: tuple[int, int],
        style: Paint,
    ) -> Tensor:
        N, _, n_planes, _, _ = sprites.shape
        colours = activated(sprites.float(), style).contiguous()
        boxes, presence, depth, background = (
            each.float().contiguous() for each in (boxes, presence, depth, background)
        )
        images = colours.new_empty(N, n_planes - 1, *frame_size)
        weight = colours.new_empty(N, *frame_size)
        settings = (unit, style.temperature, style.floor, style.exponential)
        scene = (colours, boxes, presence, depth, background)
        paint_forward(_arrays(scene), settings, images.numpy(), weight.numpy())
        ctx.save_for_backward(*scene, images, weight)
        ctx.settings, ctx.scales = settings, (style.colour_scale, style.alpha_scale)
        return images

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *scene, images, weight = ctx.saved_tensors
        gradient = gradients[0].float().contiguous()
        scales = torch.tensor(ctx.scales)
        results = [torch.empty_like(each) for each in scene[:4]]
        paint_backward(
            _arrays(scene),
            ctx.settings,
            scales.numpy(),
            images.numpy(),
            weight.numpy(),
            gradient.numpy(),
            _arrays(results),
        )
        return *results, None, None, None, None


def _arrays(tensors: Sequence[Tensor]) -> Any:
    return tuple(tensor.numpy() for tensor in tensors)
