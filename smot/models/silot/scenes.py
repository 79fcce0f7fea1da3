"""Clips composed from objects that a model has followed: what is where in them is known.

They show what videos without labels rarely teach: objects that cover each other, and cross. They
have to look as videos do, or inference learns from what only they have (docs/models/silot.md 6.1).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from smot.models.silot.objects import Clip, Objects
from smot.models.sprites import glimpse

if TYPE_CHECKING:
    from smot.models.silot.model import Silot

SPARE = 2
"""Slots more than there are objects in a scene, at most."""
SHARED = 98.0
"""Pixels that an object shares with those before it in a clip's first frame, at most: as videos
of the benchmark begin, whose objects have about 14 pixels (docs/benchmark.md 1.1)."""
SURE = 0.7
"""Presence above which an object is used."""
UNSURE = 0.2
"""Presence above which an object counts as a neighbour."""
MARGIN = 1.0
"""Pixels that have to be free around an object that is used."""
FAINT = 0.06
"""Difference from the background at which a pixel that is its object's best counts as opaque."""


class Found(NamedTuple):
    """Objects that a model has followed through clips: what scenes are composed from.

    Attributes:
        frames: what was seen, uint8, [B, T, C, H, W].
        when: the first frame in which each was alone, [B, K].
        box: y, x, h, w of its pixels there, [B, K, 4], pixels.
        shift: y, x by which it moves from there, in all frames, int64, [B, K, T, 2], pixels.
        usable: which of them are whole objects, seen in all frames, bool, [B, K].
        offset: y, x of the corner of what was seen in the whole frame, [B, 2], anchors.
    """

    frames: Tensor
    when: Tensor
    box: Tensor
    shift: Tensor
    usable: Tensor
    offset: Tensor


class Scene(NamedTuple):
    """A composed clip and what is in it.

    Attributes:
        images: [T, B, C, H, W].
        box: y, x, h, w of all objects, [T, B, M, 4], pixels.
        looks: what is in their boxes where nothing else is, and how opaque, [B, M, C + 1, G, G].
        on: which of them there are, bool, [B, M].
    """

    images: Tensor
    box: Tensor
    looks: Tensor
    on: Tensor


def followed(model: "Silot", images: Tensor, clip: Clip, offset: Tensor) -> Found:
    """What a model has followed through whole clips, without gradient.

    Args:
        model: gives sizes.
        images: [T, B, C, H, W].
        clip: what it made of them.
        offset: y, x of their corners in the whole frame, [B, 2], anchors.
    """
    config = model.config
    T, B, _, H, W = images.shape
    with torch.no_grad():
        objects = model.unpacked(clip.states)
        flat = Objects(*(part.flatten(0, 1) for part in objects))
        alone = isolated(flat, config.anchor, (H, W)).unflatten(0, (T, B))
        when = alone.float().argmax(0)
        boxes = objects.box.permute(1, 2, 0, 3) * config.anchor  # [B, K, T, 4]
        there = boxes.gather(2, when[..., None, None].expand(-1, -1, 1, 4))
        distance = (images - model.renderer.background[:, None, None]).abs().amax(2)
        video = torch.arange(B, device=images.device)[:, None]
        box, inked = tight((distance > config.sleep_ink)[when, video], there[:, :, 0])
        stays = ~clip.is_new[1:].any(0) & (objects.pres[..., 0] > UNSURE).all(0)
        return Found(
            (255 * images).round().to(torch.uint8).transpose(0, 1).contiguous(),
            when,
            box,
            (boxes - there)[..., :2].round().long(),
            alone.any(0) & stays & inked,
            offset,
        )


def tight(ink: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes around the ink in boxes and within a margin.

    Args:
        ink: where there is some, bool, [B, K, H, W].
        box: y, x, h, w, [B, K, 4], pixels.

    Returns:
        The same of the ink, whole pixels, and which boxes hold any, bool, [B, K].
    """
    ink = ink & inside(box, ink.shape[-2:], MARGIN)
    sides = []
    for axis in (-1, -2):
        there = ink.any(axis).float()  # rows, then columns
        low, beyond = there.argmax(-1), there.flip(-1).argmax(-1)
        sides.append((low.float(), there.shape[-1] - beyond.float()))
    (top, bottom), (left, right) = sides
    middle = [(top + bottom) / 2, (left + right) / 2]
    return torch.stack([*middle, bottom - top, right - left], -1), ink.any(-1).any(-1)


def inside(box: Tensor, frame_size: Sequence[int], margin: float = 0.0) -> Tensor:
    """Which pixels have their centres in boxes y, x, h, w [..., 4], pixels: bool, [..., H, W]."""
    rows, columns = (
        (torch.arange(n, device=box.device) + 0.5 - box[..., axis, None]).abs()
        < box[..., axis + 2, None] / 2 + margin
        for axis, n in enumerate(frame_size)
    )
    return rows[..., :, None] & columns[..., None, :]


def compose(model: "Silot", found: Found, n_frames: int, generator: torch.Generator) -> Scene:
    """Clips, as many as there were, of objects from all of them.

    Objects move as they were seen to, by whole pixels, so that they stay as sharp as they were.

    Args:
        model: gives sizes and the background.
        found: objects.
        n_frames: T, of the clips; as many as objects were followed for where those are fewer.
        generator: source of the scenes, on the objects' device.
    """
    config = model.config
    B, K = found.usable.shape
    with torch.no_grad():
        n_objects = max(config.n_slots - SPARE, 1)
        chosen, on = _drawn(found.usable.flatten(), B, n_objects, generator)
        start, when = (each.flatten(0, 1)[chosen] for each in (found.box, found.when))
        shift = found.shift.flatten(0, 1)[chosen].permute(2, 0, 1, 3)[:n_frames]  # [T, B, M, 2]
        box = torch.cat([start[..., :2] + shift, start[..., 2:].expand(*shift.shape)], -1)
        on = _apart(box[0], on)
        seen = found.frames[chosen // K, when].float() / 255
        background = model.renderer.background
        layers = cut_out(seen, start, background)
        shown = on[..., None, None, None]
        images = laid_over(layers * shown, shift, background)
        looks = glimpse(
            layers.flatten(0, 1), start.view(-1, 1, 4), unit=1.0, size=config.glimpse_size
        )
        looks = looks.view(*on.shape, *looks.shape[2:])
        return Scene(images, box, over_background(looks, background), on)


def isolated(objects: Objects, anchor: float, frame_size: tuple[int, int]) -> Tensor:
    """Which objects are surely one whole object, bool, [B, K].

    Present, within the frame, no other near, and not much larger than most: two objects under one
    box are.
    """
    pres, box = objects.pres[..., 0], objects.box * anchor
    low, high = box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2
    gap = torch.maximum(low[:, :, None] - high[:, None], low[:, None] - high[:, :, None])
    apart = gap.amax(-1) > MARGIN  # [B, K, K]
    itself = torch.eye(pres.shape[1], dtype=torch.bool, device=pres.device)
    alone = (apart | itself | (pres < UNSURE)[:, None]).all(-1)
    limits = torch.stack([box.new_full((), side) for side in frame_size])
    within = (low > -MARGIN).all(-1) & (high < limits + MARGIN).all(-1)
    usable = (pres > SURE) & alone & within
    # Mean and spread of the longer sides of those that would do.
    side, share = box[..., 2:].amax(-1), usable.float()
    n = share.sum().clamp(min=1)
    mean = (share * side).sum() / n
    spread = ((share * (side - mean) ** 2).sum() / n).sqrt()
    return usable & (side <= mean + 2 * spread + MARGIN)


def _drawn(
    usable: Tensor, n_scenes: int, n_objects: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Different usable objects for each scene by index [B, M], and which count, bool [B, M]."""
    device = usable.device
    order = torch.rand(n_scenes, len(usable), generator=generator, device=device)
    best = (order + usable.float()).topk(min(n_objects, len(usable)), dim=1)
    wanted = torch.rand(n_scenes, 1, generator=generator, device=device) * n_objects
    rank = torch.arange(best.indices.shape[1], device=device)
    return best.indices, (best.values >= 1) & (rank <= wanted)


def _apart(box: Tensor, on: Tensor) -> Tensor:
    """Which objects are left, [B, M]: those that share little with the earlier ones together."""
    low, high = box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2
    shared = torch.minimum(high[:, :, None], high[:, None])
    shared = (shared - torch.maximum(low[:, :, None], low[:, None])).clamp(min=0).prod(-1)
    left = on.clone()
    for m in range(1, on.shape[1]):
        left[:, m] &= (shared[:, m, :m] * left[:, :m]).sum(1) <= SHARED
    return left


def cut_out(seen: Tensor, box: Tensor, background: Tensor) -> Tensor:
    """What is in boxes, and how opaque: as far as it differs from the background.

    An edge that a frame has mixed with the background lets through as much of what will be below.

    Args:
        seen: a frame for each object, [B, M, C, H, W].
        box: y, x, h, w, [B, M, 4], pixels.
        background: [C].

    Returns:
        Colours, already multiplied by how opaque they are, and that, [B, M, C + 1, H, W].
    """
    behind = background[:, None, None]
    difference = (seen - behind) * inside(box, seen.shape[-2:])[:, :, None]
    distance = difference.abs().amax(2, keepdim=True)
    alpha = distance / distance.amax((-2, -1), keepdim=True).clamp(min=FAINT)
    # At least so opaque that a colour within [0, 1] explains the pixel.
    room = torch.where(difference > 0, 1 - behind, behind).clamp(min=FAINT)
    alpha = torch.maximum(alpha, (difference.abs() / room).amax(2, keepdim=True)).clamp(max=1)
    return torch.cat([difference + behind * alpha, alpha], 2)


def over_background(layers: Tensor, background: Tensor) -> Tensor:
    """What was cut out, before the background [C], and how opaque: [..., C + 1, H, W]."""
    colour, alpha = layers.tensor_split([-1], -3)
    return torch.cat([colour + (1 - alpha) * background[:, None, None], alpha], -3)


def laid_over(layers: Tensor, shift: Tensor, background: Tensor) -> Tensor:
    """Paint what was cut out, moved by whole pixels, later objects over earlier ones.

    Args:
        layers: from `cut_out`, [B, M, C + 1, H, W].
        shift: y, x by which each moves in each frame, int64, [T, B, M, 2], pixels.
        background: [C].

    Returns:
        [T, B, C, H, W].
    """
    (T, B, M, _), (C, H, W) = shift.shape, (layers.shape[2] - 1, *layers.shape[-2:])
    rows, columns = (torch.arange(n, device=layers.device) for n in (H, W))
    image = background[:, None, None].expand(T, B, C, H, W)
    for m in range(M):
        y, x = rows - shift[:, :, m, :1], columns - shift[:, :, m, 1:]
        there = ((y >= 0) & (y < H))[..., None] & ((x >= 0) & (x < W))[..., None, :]
        source = (y.clamp(0, H - 1) * W)[..., None] + x.clamp(0, W - 1)[..., None, :]
        source = source.view(T, B, 1, H * W).expand(-1, -1, C + 1, -1)
        moved = layers[:, m].flatten(2).expand(T, -1, -1, -1).gather(-1, source)
        placed = moved.view(T, B, C + 1, H, W) * there[:, :, None]
        image = image * (1 - placed[:, :, C:]) + placed[:, :, :C]
    return image.clamp(0, 1)
