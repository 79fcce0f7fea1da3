"""Sleep: discovery taught by scenes composed from objects that the model itself has found.

What is where in such a scene is known without labels. The scenes show what an ELBO rarely pays
for: objects that cover each other.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.silot.config import SilotConfig
from smot.models.silot.discovery import cell_centres
from smot.models.silot.objects import Drawn, Objects, ended
from smot.models.sprites import glimpse

if TYPE_CHECKING:
    from smot.models.silot.model import Silot

N_OBJECTS = 12
"""Most objects of a scene."""
N_CANDIDATES = 4
"""Places that are tried for each object; the one with the least overlap is taken."""
SURE = 0.7
"""Presence above which an object is used."""
UNSURE = 0.2
"""Presence above which an object counts as a neighbour."""
MARGIN = 1.0
"""Pixels that have to be free around an object that is used."""
EXPLAINED = 0.7
"""Chance that an object is given as propagated, in the half of scenes that have such objects."""
BOX_WEIGHT, WHAT_WEIGHT = 0.5, 0.05
"""Weights of a pixel of error and of a unit of appearance, against a nat of presence."""
WORTH = 4.0
"""Pixels of error that a cell's presence of 1 is worth when cells are chosen for objects."""


class Found(NamedTuple):
    """Frames and the objects that a model found in them: what scenes are composed from.

    Attributes:
        image: [B, C, H, W].
        states: packed objects, without gradient, [B, K, S].
        steady: which of these were there before, bool, [B, K].
    """

    image: Tensor
    states: Tensor
    steady: Tensor


class Scene(NamedTuple):
    """Composed frames and what is in them.

    Attributes:
        image: [B, C, H, W].
        box: y, x, h, w of all objects, [B, M, 4], anchors.
        what: their appearances, [B, M, A].
        to_find: which of them discovery has to find, bool, [B, M].
        explained: packed objects that it is told of, the others out of reach, [B, M, S].
    """

    image: Tensor
    box: Tensor
    what: Tensor
    to_find: Tensor
    explained: Tensor


def compose(model: "Silot", found: Found, generator: torch.Generator) -> Scene:
    """Scenes, as many as there are videos, of objects from all of them.

    Objects are cut out as they were seen, laid over each other at random places, opaque where
    they differ from the background.

    Args:
        model: gives sizes and the background.
        found: frames and what is in them.
        generator: source of the scenes, on the images' device.
    """
    config, image = model.config, found.image
    B, _, H, W = image.shape
    with torch.no_grad():
        objects = model.unpacked(found.states)
        usable = isolated(objects, config.anchor, (H, W)) & found.steady
        chosen, on = _drawn(usable.flatten(), B, generator)
        states = found.states.flatten(0, 1)[chosen]
        M = chosen.shape[1]
        size = model.unpacked(states).box[..., 2:]
        box = _placed(size, on, (H / config.anchor, W / config.anchor), generator)
        seen = glimpse(image, objects.box, unit=config.anchor, size=config.glimpse_size)
        looks = seen.flatten(0, 1)[chosen]
        painted = laid_over(looks, box, on, model.renderer.background, config, (H, W))
        both = torch.rand(B, M + 1, generator=generator, device=image.device)
        told = (both[:, :M] < EXPLAINED) & (both[:, M:] < 0.5) & on
        parts = model.unpacked(states)
        moved = parts._replace(place=box[..., :2], box=box).packed()
        explained = ended(moved, ~told[..., None])
    return Scene(painted, box, parts.what, on & ~told, explained)


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
    inside = (low > -MARGIN).all(-1) & (high < limits + MARGIN).all(-1)
    usable = (pres > SURE) & alone & inside
    # Mean and spread of the longer sides of those that would do.
    side, share = box[..., 2:].amax(-1), usable.float()
    n = share.sum().clamp(min=1)
    mean = (share * side).sum() / n
    spread = ((share * (side - mean) ** 2).sum() / n).sqrt()
    return usable & (side <= mean + 2 * spread + MARGIN)


def _drawn(usable: Tensor, n_scenes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Different usable objects for each scene by index [B, M], and which count, bool [B, M]."""
    device = usable.device
    order = torch.rand(n_scenes, len(usable), generator=generator, device=device)
    best = (order + usable.float()).topk(min(N_OBJECTS, len(usable)), dim=1)
    wanted = torch.rand(n_scenes, 1, generator=generator, device=device) * N_OBJECTS
    rank = torch.arange(best.indices.shape[1], device=device)
    return best.indices, (best.values >= 1) & (rank <= wanted)


def _placed(
    size: Tensor, on: Tensor, frame: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Boxes y, x, h, w of objects of given sizes, one after another where there is room."""
    B, M, _ = size.shape
    shares = torch.rand(B, M, N_CANDIDATES, 2, generator=generator, device=size.device)
    limits = torch.stack([size.new_full((), side) for side in frame])
    half = size[:, :, None] / 2
    centres = half + shares * (limits - 2 * half).clamp(min=0)
    taken = size.new_zeros(B, M)
    boxes = size.new_zeros(B, M, 4)
    for m in range(M):
        tried = centres[:, m]  # [B, candidates, 2]
        reach = (size[:, m, None, None] + boxes[:, None, :, 2:]) / 2
        apart = (tried[:, :, None] - boxes[:, None, :, :2]).abs()
        overlap = (reach - apart).clamp(min=0).prod(-1)  # [B, candidates, M]
        best = (overlap * taken[:, None]).sum(-1).argmin(1)
        centre = tried.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0]
        boxes[:, m] = torch.cat([centre, size[:, m]], -1)
        taken[:, m] = on[:, m]
    return boxes


def laid_over(
    looks: Tensor,
    box: Tensor,
    on: Tensor,
    background: Tensor,
    config: SilotConfig,
    frame_size: tuple[int, int],
) -> Tensor:
    """Paint what was cut out, later objects over earlier ones.

    Args:
        looks: contents of boxes, [B, M, C, G, G].
        box: where to, [B, M, 4], anchors.
        on: which are painted, [B, M].
        background: [C].
        config: of the model.
        frame_size: H, W, pixels.

    Returns:
        [B, C, H, W].
    """
    B, M, C = looks.shape[:3]
    (H, W), device = frame_size, looks.device
    behind = background[:, None, None]
    difference = (looks - behind).abs().amax(2, keepdim=True)
    alpha = (difference / config.ink_threshold).clamp(max=1) * on[..., None, None, None]
    y, x, h, w = (box * config.anchor).unbind(-1)
    rows, columns = (
        2 * (torch.arange(n, device=device) + 0.5 - centre[..., None]) / side[..., None]
        for n, centre, side in ((H, y, h.clamp(min=1e-3)), (W, x, w.clamp(min=1e-3)))
    )
    grid = torch.stack(
        torch.broadcast_tensors(columns[:, :, None, :], rows[:, :, :, None]), dim=-1
    )
    stacked = torch.cat([looks * alpha, alpha], 2).flatten(0, 1)
    placed = F.grid_sample(stacked, grid.flatten(0, 1), align_corners=False)
    placed = placed.view(B, M, C + 1, H, W)
    image = behind.expand(B, C, H, W)
    for m in range(M):
        image = image * (1 - placed[:, m, C:]) + placed[:, m, :C]
    return image.clamp(0, 1)


def sleep_terms(
    scene: Scene, found: Objects, drawn: Drawn, config: SilotConfig
) -> dict[str, Tensor]:
    """How far discovery is from what is in the scenes, by name, [] each, per scene.

    Args:
        scene: the truth.
        found: proposals for the scenes, by their means, [B, J, ...].
        drawn: their distributions.
        config: of the model.
    """
    B, _, H, W = scene.image.shape
    centres = cell_centres(H, W, config.anchor, scene.box.device, config.cell)
    target, proposed = scene.box * config.anchor, found.box * config.anchor
    with torch.no_grad():
        gap = (scene.box[:, :, None, :2] - centres).abs().amax(-1)
        near = scene.to_find[..., None] & (gap < config.cell / config.anchor)
        error = (target[:, :, None] - proposed[:, None]).abs().sum(-1)
        cost = error - WORTH * torch.sigmoid(drawn.logit[..., 0])[:, None]
        cell, has_cell = assigned(cost, near)
    label = torch.zeros_like(drawn.logit[..., 0]).scatter_add_(1, cell, has_cell.float())
    presence = F.binary_cross_entropy_with_logits(drawn.logit[..., 0], label, reduction="sum")
    A = config.what_size
    values = torch.cat([proposed, drawn.mean[..., 4 : 4 + A]], -1)
    box, what = values.gather(1, cell[..., None].expand(-1, -1, 4 + A)).split([4, A], -1)
    distance = F.smooth_l1_loss(box, target, reduction="none", beta=0.5).sum(-1)
    stray = ((what - scene.what) ** 2).sum(-1)
    return {
        "sleep_presence": presence / B,
        "sleep_where": BOX_WEIGHT * (has_cell * distance).sum() / B,
        "sleep_what": WHAT_WEIGHT * (has_cell * stray).sum() / B,
    }


def assigned(cost: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """The cell that answers for each object: the cheapest pair first, each cell once.

    The network's own proposals decide between cells: which of two neighbours takes which of two
    objects that lie on each other, only it can know.

    Args:
        cost: of objects and cells, [B, M, J].
        allowed: which pairs may be, bool, [B, M, J].

    Returns:
        Cells by index, [B, M], and which objects got one, bool, [B, M].
    """
    B, M, J = cost.shape
    left = cost.masked_fill(~allowed, torch.inf)
    cells = torch.zeros(B, M, dtype=torch.int64, device=cost.device)
    got = torch.zeros_like(cells, dtype=torch.bool)
    video = torch.arange(B, device=cost.device)
    for _ in range(M):
        least, pair = left.flatten(1).min(1)
        row, cell = pair // J, pair % J
        there = least < torch.inf
        cells[video, row] = torch.where(there, cell, cells[video, row])
        got[video, row] |= there
        left[video, row] = torch.inf
        left[video, :, cell] = torch.inf
    return cells, got
