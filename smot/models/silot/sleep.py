"""Sleep: inference taught by clips in which it is known what is where.

Source: after the sleep phase of Helmholtz machines; docs/models/silot.md 6.1.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from smot.models.silot.discovery import cell_centres
from smot.models.silot.objects import Objects, unpacked
from smot.models.silot.scenes import Scene, over_background

if TYPE_CHECKING:
    from smot.models.silot.model import Silot, Step

LOST = 0.1
"""Chance that a followed object is taken away before a frame, so that it has to be found again."""
REACH = 5.0
"""Pixels between an object and its box from which on it counts as lost."""
BOX_WEIGHT, LOOKS_WEIGHT = 0.5, 0.05
"""Weights of a pixel of error, and of a sprite's squared error, against a nat of presence."""
WORTH = 4.0
"""Pixels of error that a cell's presence of 1 is worth when cells are chosen for objects."""


def sleep_terms(
    scene: Scene, steps: Sequence["Step"], keeps: Tensor, model: "Silot"
) -> dict[str, Tensor]:
    """How far a model is from what is in composed clips, by name, [] each, per frame and video.

    An object belongs to the slot that follows it; one that no slot follows has to be found.

    Args:
        scene: the truth.
        steps: what the model made of each frame, by its means.
        keeps: which slots went on into each frame after the first, bool, [T - 1, B, K].
        model: gives settings, and paints appearances.
    """
    config = model.config
    T, B, M = scene.box.shape[:3]
    H, W = scene.images.shape[-2:]
    centres = cell_centres(H, W, config.anchor, scene.box.device, config.cell)
    K, J = steps[0].state.shape[1], len(centres)
    nobody, numbers = scene.on.new_full((), -1, dtype=torch.int64), torch.arange(M)
    numbers = numbers.to(scene.box.device).expand(B, M)
    owner = nobody.expand(B, K)
    presences: list[Tensor] = []
    strays: list[Tensor] = []
    for t, step in enumerate(steps):
        target = scene.box[t]
        held = torch.zeros_like(scene.on)
        if step.change is not None:
            before = unpacked(steps[t - 1].state, config.what_size)
            alive = keeps[t - 1] & (before.pres[..., 0] >= config.end_below)
            owner = torch.where(alive, owner, nobody)
            moved = step.change.objects
            there = target.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 4))[..., :2]
            near = (moved.centre * config.anchor - there).abs().amax(-1) < REACH
            near &= owner >= 0
            logit = step.change.drawn.logit[..., 0]
            presences.append(_presence_error(logit, near, alive))
            strays.append(_strays(moved, owner, scene, t, model))
            owner = torch.where(near, owner, nobody)
            held = _marked(owner, M)
        found, logit = step.proposed, step.found.logit[..., 0]
        with torch.no_grad():
            gap = (target[:, :, None, :2] - config.anchor * centres).abs().amax(-1)
            allowed = (scene.on & ~held)[..., None] & (gap < config.cell)
            error = (target[:, :, None] - config.anchor * found.box[:, None]).abs().sum(-1)
            cell, got = assigned(error - WORTH * torch.sigmoid(logit)[:, None], allowed)
            finder = nobody.expand(B, J + 1).scatter(1, torch.where(got, cell, J), numbers)[:, :J]
        every = torch.ones_like(finder, dtype=torch.bool)
        presences.append(_presence_error(logit, finder >= 0, every))
        strays.append(_strays(found, finder, scene, t, model))
        owner = torch.cat([owner, finder], 1).gather(1, step.source)
    where, looks = torch.stack(strays).sum(0) / (T * B)
    return {
        "sleep_presence": torch.stack(presences).sum() / (T * B),
        "sleep_where": BOX_WEIGHT * where,
        "sleep_looks": LOOKS_WEIGHT * looks,
    }


def _presence_error(logit: Tensor, is_there: Tensor, judged: Tensor) -> Tensor:
    """Cross entropy of the presences of N slots or cells that are judged, all [B, N], summed."""
    error = F.binary_cross_entropy_with_logits(logit, is_there.float(), reduction="none")
    return (judged * error).sum()


def _strays(seen: Objects, index: Tensor, scene: Scene, t: int, model: "Silot") -> Tensor:
    """Errors of the boxes and of the appearances of N slots or cells, summed, [2].

    Args:
        seen: what they hold, [B, N, ...].
        index: whose slot or cell it is, -1 for nobody's, [B, N].
        scene: the truth.
        t: which frame of it.
        model: paints appearances.
    """
    video, place = (index >= 0).nonzero(as_tuple=True)
    whose = index[video, place]
    box = seen.box[video, place] * model.config.anchor
    distance = F.smooth_l1_loss(box, scene.box[t, video, whose], reduction="sum", beta=0.5)
    colour, alpha = model.renderer.appearances(seen.what[video, place]).tensor_split([-1], 1)
    layers = torch.cat([alpha * colour, alpha], 1)
    painted = over_background(layers, model.renderer.background)
    return torch.stack([distance, ((painted - scene.looks[video, whose]) ** 2).sum()])


def _marked(index: Tensor, n: int) -> Tensor:
    """Which of n numbers occur in each row, bool, [B, K] -> [B, n]; -1 is none."""
    marks = torch.zeros(len(index), n + 1, dtype=torch.bool, device=index.device)
    return marks.scatter(1, torch.where(index < 0, n, index), True)[:, :n]


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
