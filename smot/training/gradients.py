"""One flat buffer for all gradients: averaged over processes, measured, clipped and checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smot.training.processes import Group


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What the processes tell one another with each update.

    Attributes:
        loss: the objective, averaged over processes.
        level: what is watched for divergence, averaged over processes.
        stop: whether any of them was asked to stop.
        hours: the clock of process 0.
        norm: of the averaged gradient before clipping; not finite if anything broke anywhere.
    """

    loss: float
    level: float
    stop: bool
    hours: float
    norm: float


class GradientBuffer:
    """Gathers the gradients of all parameters behind one another.

    A parameter that has no gradient in any process (training wheels) is left without one, so
    that the optimiser does not touch it.

    Args:
        parameters: what is trained, by name.
        group: the processes that share the work.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], group: Group) -> None:
        self._names = list(parameters)
        self._parameters = list(parameters.values())
        self._group = group
        n_weights = sum(each.numel() for each in self._parameters)
        device = self._parameters[0].device
        # behind the gradients: which parameters have one, then loss, level, stop and hours
        n_signals = len(self._parameters) + 4
        self._flat = torch.zeros(n_weights + n_signals, device=device)
        sizes = [each.numel() for each in self._parameters]
        *pieces, self._has, self._tail = torch.split(self._flat, [*sizes, len(sizes), 4])
        self._views = [
            _laid_out_like(each, piece)
            for piece, each in zip(pieces, self._parameters, strict=True)
        ]
        self._gradients = self._flat[:n_weights]

    def reduce(
        self, *, loss: Tensor, level: Tensor, stop: bool, hours: float, clip_norm: float
    ) -> Signals:
        """Average the gradients over the processes and clip their common norm.

        Args:
            loss: this process's objective, [].
            level: what this process watches for divergence, [].
            stop: whether this process was asked to stop.
            hours: this process's clock.
            clip_norm: largest norm to leave; 0 does not clip.
        """
        self._gather()
        self._tail[0], self._tail[1] = loss.detach(), level.detach()
        if self._group.size > 1:
            clock = hours * self._group.size if self._group.leads else 0.0
            self._tail[2:] = torch.tensor([float(stop), clock])
            self._group.average_(self._flat)
            _, _, stopped, hours = self._tail.tolist()
            stop = stopped > 0
        norm_of_all = torch.linalg.vector_norm(self._gradients)[None]
        norm, mean_loss, mean_level = torch.cat([norm_of_all, self._tail[:2]]).tolist()
        if clip_norm and norm > clip_norm:
            self._gradients.mul_(clip_norm / norm)
        self._scatter()
        if not math.isfinite(mean_loss + mean_level):
            norm = math.nan
        return Signals(loss=mean_loss, level=mean_level, stop=stop, hours=hours, norm=norm)

    def broken(self) -> list[str]:
        """Names of the parameters whose averaged gradient is not finite."""
        pairs = zip(self._names, self._views, strict=True)
        return [name for name, view in pairs if not bool(torch.isfinite(view).all())]

    def _gather(self) -> None:
        pairs = list(zip(self._parameters, self._views, strict=True))
        present = [(view, each.grad) for each, view in pairs if each.grad is not None]
        if len(present) < len(pairs):
            self._gradients.zero_()
        if present:
            torch._foreach_copy_([view for view, _ in present], [grad for _, grad in present])
        if self._group.size > 1 or len(present) < len(pairs):
            flags = [float(each.grad is not None) for each in self._parameters]
            self._has.copy_(torch.tensor(flags))
        else:
            self._has.fill_(1.0)

    def _scatter(self) -> None:
        if self._group.size == 1:
            present = [each.grad is not None for each in self._parameters]
        else:
            present = [share > 0 for share in self._has.tolist()]
        for parameter, view, has in zip(self._parameters, self._views, present, strict=True):
            parameter.grad = view if has else None


def _laid_out_like(parameter: Tensor, piece: Tensor) -> Tensor:
    """A view of a flat piece with the parameter's shape and order in memory.

    Fused optimisers walk through both in memory's order and never look at strides: a gradient
    laid out otherwise (channels last against first) would be added to the wrong weights.
    """
    if parameter.is_contiguous():
        return piece.view_as(parameter)
    strides = parameter.stride()
    outermost_first = sorted(range(parameter.dim()), key=lambda axis: -strides[axis])
    ordered = piece.view([parameter.shape[axis] for axis in outermost_first])
    return ordered.permute([outermost_first.index(axis) for axis in range(parameter.dim())])
