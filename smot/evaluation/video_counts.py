"""What every metric is made of: counts per video that add up.

Nothing here is an average. All sums are integers (sums of real numbers are kept in units of
2 ** -32), so that adding them up gives the same result in whatever order and however the videos
were divided, to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError
from smot.evaluation.average_precision import UNUSED
from smot.evaluation.matching import MatchSettings

UNIT = 2.0**-32
DETECTIONS = ("detection_level", "detection_first", "detection_last")


def to_units(values: FloatArray) -> IntArray:
    """Round to whole multiples of 2 ** -32 and count those, int64, same shape."""
    return np.asarray(np.rint(values / UNIT), np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoCounts:
    """Counts of V videos (or of V pools of videos); A = 19 thresholds alpha, 5 visibility bins.

    Attributes:
        settings: what counted as a match.
        n_videos: how many videos a row stands for, [V], int64, as all that follows but detections.
        n_frames: frames, [V].
        n_truth: true boxes, [V].
        n_predicted: predicted boxes of sufficient confidence, [V].
        n_truth_tracks: true identities, [V].
        matches: CLEAR-MOT matches, switches among them, [V].
        misses: true boxes without match, [V].
        false_positives: predicted boxes without match, [V].
        switches: matches with another prediction than the object's last one, [V].
        overlap: sum of the matches' IoU, [V], units of 2 ** -32.
        mostly_tracked: true identities matched in most of their frames, [V].
        partly_tracked: true identities in between, [V].
        mostly_lost: true identities matched in less than 20% of their frames, [V].
        fragmentations: interruptions of tracked objects, [V].
        id_matches: boxes matched under the best assignment of identities (IDTP), [V].
        count_difference: sum over frames of |predicted - true objects|, [V].
        hota_matches: HOTA's matches, [V, A].
        hota_association: sum over them of TPA / (TPA + FNA + FPA), [V, A], units of 2 ** -32.
        hota_overlap: sum of their IoU, [V, A], units of 2 ** -32.
        visible_truth: true boxes by visibility, [V, 5]; 0 where visibility was not given.
        visible_matches: matches by visibility, [V, 5].
        visible_switches: switches by visibility, [V, 5].
        detection_level: confidence levels of all predictions, [V, P], uint16; 0 where unused.
        detection_first: first AP threshold at which it is right, [V, P], uint8.
        detection_last: end of the thresholds at which it is right, [V, P], uint8.
    """

    settings: MatchSettings
    n_videos: IntArray
    n_frames: IntArray
    n_truth: IntArray
    n_predicted: IntArray
    n_truth_tracks: IntArray
    matches: IntArray
    misses: IntArray
    false_positives: IntArray
    switches: IntArray
    overlap: IntArray
    mostly_tracked: IntArray
    partly_tracked: IntArray
    mostly_lost: IntArray
    fragmentations: IntArray
    id_matches: IntArray
    count_difference: IntArray
    hota_matches: IntArray
    hota_association: IntArray
    hota_overlap: IntArray
    visible_truth: IntArray
    visible_matches: IntArray
    visible_switches: IntArray
    detection_level: IntArray
    detection_first: IntArray
    detection_last: IntArray

    def __len__(self) -> int:
        """V, the number of rows."""
        return len(self.n_videos)

    @classmethod
    def stack(cls, parts: Sequence["VideoCounts"]) -> "VideoCounts":
        """Put the rows of several counts one after another.

        Args:
            parts: at least one, all made with the same settings.

        Raises:
            DataError: no parts, or different settings.
        """
        if not parts:
            raise DataError("no counts to join")
        settings = parts[0].settings
        for part in parts:
            if part.settings != settings:
                raise DataError(f"counts made with {part.settings} cannot join {settings}")
        width = max(part.detection_level.shape[1] for part in parts)
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in SUMMED}
        for name in DETECTIONS:
            joined[name] = np.concatenate([_widened(getattr(part, name), width) for part in parts])
        return cls(settings=settings, **joined)

    def select(self, indices: IntArray | slice) -> Self:
        """Some rows, in the order asked for."""
        rows = {name: getattr(self, name)[indices] for name in (*SUMMED, *DETECTIONS)}
        return type(self)(settings=self.settings, **rows)

    def pooled(self) -> Self:
        """All rows added up into one."""
        sums = {name: getattr(self, name).sum(0, keepdims=True) for name in SUMMED}
        used = self.detection_level != UNUSED
        kept = {name: getattr(self, name)[used][None] for name in DETECTIONS}
        return type(self)(settings=self.settings, **sums, **kept)

    def to_json(self) -> dict[str, Any]:
        """The pooled counts as plain values.

        Returns:
            ``settings``, every count by name, and ``detections``: rows of level of confidence,
            first and end of the AP thresholds at which right, and how many predictions.
        """
        pool = self.pooled()
        plain: dict[str, Any] = {"settings": asdict(self.settings)}
        plain |= {name: getattr(pool, name)[0].tolist() for name in SUMMED}
        rows = np.stack([getattr(pool, name)[0] for name in DETECTIONS], -1).astype(np.int64)
        different, n_each = np.unique(rows, axis=0, return_counts=True)
        plain["detections"] = np.column_stack([different, n_each]).tolist()
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "VideoCounts":
        """Read what ``to_json`` made: one row that scores like the videos it stands for.

        Raises:
            DataError: a key is missing or unknown.
        """
        expected = {"settings", "detections", *SUMMED}
        if plain.keys() != expected:
            odd = sorted(plain.keys() ^ expected)
            raise DataError(f"counts with missing or unknown keys: {', '.join(odd)}")
        counts = {name: np.asarray(plain[name], np.int64)[None] for name in SUMMED}
        rows = np.asarray(plain["detections"], np.int64).reshape(-1, 4)
        each = np.repeat(rows[:, :3], rows[:, 3], axis=0)
        level, first, last = each.T[:, None]
        return cls(
            settings=MatchSettings(**plain["settings"]),
            detection_level=level.astype(np.uint16),
            detection_first=first.astype(np.uint8),
            detection_last=last.astype(np.uint8),
            **counts,
        )


SUMMED = tuple(
    field.name for field in fields(VideoCounts) if field.name not in ("settings", *DETECTIONS)
)


def _widened(values: IntArray, width: int) -> IntArray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))
