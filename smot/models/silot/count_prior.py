"""The prior of how many objects there are, as a table that presences are compared with."""

import torch
from torch import Tensor, nn


class CountPrior(nn.Module):
    """Chance that the next unit is on, given how many of those before it are.

    The number C of units on, of n, has P(C) ~ s^C, and which are on is uniform given C. With i
    units seen and c of them on, P(next on) = sum_C w_C (C - c) / (n - i) / sum_C w_C with
    w_C = s^C binom(n - i, C - c) / binom(n, C), C from c to c + n - i.

    Attributes:
        n_units: n.

    Source: supplement (presence prior); the closed form replaces the original code's loop over
    units, which updates the distribution of counts.
    """

    ways: Tensor
    ratios: Tensor

    def __init__(self, n_units: int) -> None:
        super().__init__()
        n = n_units
        self.n_units = n
        seen, on, count = torch.meshgrid(
            torch.arange(n), torch.arange(n + 1), torch.arange(n + 1), indexing="ij"
        )
        left, more = n - seen, count - on
        possible = (more >= 0) & (more <= left) & (on <= seen)
        ways = _log_binomial(left, more) - _log_binomial(torch.full_like(count, n), count)
        share = torch.where(possible, more / left, 0.0).double()
        self.register_buffer("ways", ways.masked_fill(~possible, -torch.inf), persistent=False)
        self.register_buffer("ratios", share, persistent=False)

    def forward(self, log_odds: float) -> tuple[Tensor, Tensor]:
        """Logs of the chances that the next unit is on, and off.

        Args:
            log_odds: log(s / (1 - s)).

        Returns:
            Two tables [n, n + 1], float32: row i units seen, column c on; log(p + 1e-9) and
            log(1 - p + 1e-9). Columns c > i never occur and hold p = 0.
        """
        odds = torch.tensor(log_odds, dtype=torch.float64, device=self.ways.device)
        log_s = torch.nn.functional.logsigmoid(odds)
        counts = torch.arange(self.n_units + 1, device=self.ways.device)
        logs = self.ways + counts * log_s
        top = logs.amax(-1, keepdim=True).clamp(min=-1e300)
        weights = torch.exp(logs - top)
        total = weights.sum(-1).clamp(min=1e-300)
        on = (weights * self.ratios).sum(-1) / total
        off = (weights * (1 - self.ratios)).sum(-1) / total
        return torch.log(on + 1e-9).float(), torch.log(off + 1e-9).float()


def _log_binomial(n: Tensor, k: Tensor) -> Tensor:
    """Log of the binomial coefficient; meaningless where k is not in 0..n."""
    n, k = n.double(), k.double()
    rest = (n - k).clamp(min=0)
    return torch.lgamma(n + 1) - torch.lgamma(k.clamp(min=0) + 1) - torch.lgamma(rest + 1)
