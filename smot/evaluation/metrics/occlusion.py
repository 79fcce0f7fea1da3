"""Recall and switches against visibility, the share of an object that no later one covers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.evaluation.metrics.clear import NOBODY
from smot.evaluation.metrics.matching import Pairing

if TYPE_CHECKING:
    from smot.evaluation.metrics.counts import VideoCounts

RANGES = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.0))
"""Of visibility; all but the last without their upper end."""


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """What happened to true boxes in one range of visibility.

    Attributes:
        visibility: from and to, in [0, 1]; the share of the object that nothing covers.
        n_truth: true boxes in that range.
        matches: those that were matched.
        switches: those matched to another identity than the last.
        recall: matches / n_truth; None without true boxes.
        switch_rate: switches / matches; None without matches.
    """

    visibility: tuple[float, float]
    n_truth: int
    matches: int
    switches: int
    recall: float | None
    switch_rate: float | None

    @classmethod
    def of(
        cls, visibility: tuple[float, float], n_truth: int, matches: int, switches: int
    ) -> Self:
        """The ratios of summed counts."""
        return cls(
            visibility=visibility,
            n_truth=n_truth,
            matches=matches,
            switches=switches,
            recall=matches / n_truth if n_truth else None,
            switch_rate=switches / matches if matches else None,
        )


def visible_counts(
    pairing: Pairing, partner: IntArray, switched: BoolArray, visibility: FloatArray | None
) -> dict[str, IntArray]:
    """True boxes, matches and switches in each range, by the names of `VideoCounts`, [B, 5].

    Args:
        pairing: entries of B videos of T frames.
        partner: from `correspond`, as is the next.
        switched: which matches are switches.
        visibility: in [0, 1], in the slots of the truth, [B, T, K]; if None, all counts are 0.
    """
    entry = pairing.truth.entry
    chosen = {
        "visible_truth": entry >= 0,
        "visible_matches": partner != NOBODY,
        "visible_switches": switched,
    }
    if visibility is None or not entry.size:
        return {name: np.zeros((len(entry), len(RANGES)), np.int64) for name in chosen}
    seen = np.take_along_axis(visibility, np.maximum(entry, 0), axis=2)
    place = (seen * (len(RANGES) - 1)).astype(np.int64)
    return {
        name: np.stack([(some & (place == each)).sum((1, 2)) for each in range(len(RANGES))], -1)
        for name, some in chosen.items()
    }


def occlusion(counts: "VideoCounts") -> tuple[Occlusion, ...]:
    """Recall and switches in each range, of all videos; counted with visibility."""
    sums = (counts.visible_truth, counts.visible_matches, counts.visible_switches)
    rows = zip(RANGES, *(each.sum(0).tolist() for each in sums), strict=True)
    return tuple(Occlusion.of(*row) for row in rows)
