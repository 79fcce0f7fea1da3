"""The arithmetic of an update: precision of the objective, gradients averaged and clipped."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from smot.errors import UsageError
from smot.training.distributed import Group

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})
"""Names of processor features for products of bfloat16: x86, then ARM."""


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself, rather than emulating it.

    Args:
        device: a CPU, or the current GPU.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not BF16_FLAGS.isdisjoint(_cpu_flags())


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context that an objective is computed in.

    Args:
        precision: "float32", or "bf16" for products of bfloat16.
        device: where.

    Raises:
        UsageError: "auto", which has to be decided by `has_bf16` before.
    """
    if precision == "auto":
        raise UsageError("train.precision 'auto' must be decided before the training loop begins")
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What the processes exchange in each update.

    Attributes:
        loss: the objective, averaged over processes.
        level: the loss that is watched for blow-up, averaged over processes.
        stop: whether any of them got a signal to stop.
        hours: the clock of process 0.
        norm: of the averaged gradient before clipping; not finite if anything broke anywhere.
    """

    loss: float
    level: float
    stop: bool
    hours: float
    norm: float


class GradientBuffer:
    """All gradients in one flat tensor, so that one call averages them over the processes.

    A parameter without a gradient in any process (a frozen one) is left without one, so that the
    optimiser does not touch it.

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
        # Behind the gradients: which parameters have one, then loss, level, stop and hours.
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
            level: the loss that this process watches for blow-up, [].
            stop: whether this process got a signal to stop.
            hours: this process's clock.
            clip_norm: largest norm to leave; 0 does not clip.
        """
        self._gather()
        self._tail[0], self._tail[1] = loss.detach(), level.detach()
        if self._group.size > 1:
            # The average of these is the clock of process 0.
            clock = hours * self._group.size if self._group.leads else 0.0
            self._tail[2:] = torch.tensor([float(stop), clock])
            self._group.average_(self._flat)
            _, _, stopped, hours = self._tail.tolist()
            stop = stopped > 0
        # One transfer from the device for all three numbers.
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
    """A view of a flat piece with the parameter's shape and strides.

    Fused optimisers go through both in the order of memory and ignore strides: a gradient with
    another layout (channels last against first) would be added to the wrong weights.
    """
    if parameter.is_contiguous():
        return piece.view_as(parameter)
    strides = parameter.stride()
    outermost_first = sorted(range(parameter.dim()), key=lambda axis: -strides[axis])
    ordered = piece.view([parameter.shape[axis] for axis in outermost_first])
    return ordered.permute([outermost_first.index(axis) for axis in range(parameter.dim())])


def _cpu_flags() -> frozenset[str]:
    """The processor's features, by PyTorch where its version lists them, else by the kernel."""
    query = getattr(torch.cpu, "get_capabilities", None)
    if query is not None:
        return frozenset(name for name, present in query().items() if present)
    try:
        return frozenset(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return frozenset()
