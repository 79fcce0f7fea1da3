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
from smot.errors import DataError, UsageError
from smot.evaluation.metrics.association import ALPHAS, hota_sums, identity_matches
from smot.evaluation.metrics.average_precision import (
    DETECTIONS,
    N_LEVELS,
    THRESHOLDS,
    UNUSED,
    detections,
)
from smot.evaluation.metrics.clear import clear_counts, correspond
from smot.evaluation.metrics.masks import mask_counts
from smot.evaluation.metrics.matching import MatchSettings, Pairing, check_alike, pair_up
from smot.evaluation.metrics.occlusion import RANGES, visible_counts
from smot.tracks import Tracks

UNIT = 2.0**-32
# How many IoU values are held at once, twice (64 MiB in all).
_MOST_PAIRS = 2**22
_HOTA = ("hota_matches", "hota_association", "hota_overlap")
_IN_UNITS = ("overlap", "hota_association", "hota_overlap", "tube_overlap", "ari", "fg_ari")


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoCounts:
    """Counts of V videos (or of V pools of videos); A = 19 thresholds alpha.

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
        exact_frames: frames with as many predicted as true objects, [V].
        n_counted: frames of which that is known, [V]; results written before it was counted say
            0, all others `n_frames`.
        hota_matches: HOTA's matches, [V, A].
        hota_association: sum over them of TPA / (TPA + FNA + FPA), [V, A], units of 2 ** -32.
        hota_overlap: sum of their IoU, [V, A], units of 2 ** -32.
        visible_truth: true boxes by visibility, [V, 5]; 0 where visibility was not given.
        visible_matches: matches by visibility, [V, 5].
        visible_switches: switches by visibility, [V, 5].
        n_masked: videos of which truth and predictions have masks, [V]; where they have not, all
            counts up to `fg_ari` are 0.
        mask_truth: true masks, [V].
        mask_misses: true masks without match, [V].
        mask_false_positives: predicted masks without match, [V].
        mask_switches: matches of masks with another prediction than the object's last one, [V].
        n_tubes: true identities that a pixel belongs to, [V].
        tube_overlap: sum over them of the IoU of all their pixels with those of the predicted
            identity that is paired with them, [V], units of 2 ** -32.
        ari: adjusted Rand index of all pixels, [V], units of 2 ** -32.
        n_foreground: videos with a pixel that belongs to a true object, [V].
        fg_ari: adjusted Rand index of such pixels, [V], units of 2 ** -32.
        detection_level: confidence levels of predictions of any confidence above 0, [V, P],
            uint16; 0 where unused.
        detection_first: first AP threshold at which they are right, [V, P], uint8.
        detection_last: end of the thresholds at which they are right, [V, P], uint8.
        n_detections: how many such predictions, [V, P], int64.
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
    exact_frames: IntArray
    n_counted: IntArray
    hota_matches: IntArray
    hota_association: IntArray
    hota_overlap: IntArray
    visible_truth: IntArray
    visible_matches: IntArray
    visible_switches: IntArray
    n_masked: IntArray
    mask_truth: IntArray
    mask_misses: IntArray
    mask_false_positives: IntArray
    mask_switches: IntArray
    n_tubes: IntArray
    tube_overlap: IntArray
    ari: IntArray
    n_foreground: IntArray
    fg_ari: IntArray
    detection_level: IntArray
    detection_first: IntArray
    detection_last: IntArray
    n_detections: IntArray

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
            joined[name] = np.concatenate(
                [
                    np.pad(values, ((0, 0), (0, width - values.shape[1])))
                    for values in (getattr(part, name) for part in parts)
                ]
            )
        return cls(settings=settings, **joined)

    def pooled(self) -> Self:
        """All rows added up into one."""
        sums = {name: getattr(self, name).sum(0, keepdims=True) for name in SUMMED}
        level, first, last, n_each = (getattr(self, name).ravel() for name in DETECTIONS)
        key = (level.astype(np.int64) << 16) | (first.astype(np.int64) << 8) | last
        different, place = np.unique(key, return_inverse=True)
        total = np.zeros(len(different), np.int64)
        np.add.at(total, place, n_each)
        rows = np.stack([different >> 16, different >> 8 & 0xFF, different & 0xFF, total], -1)
        used = rows[:, 0] != UNUSED
        return type(self)(settings=self.settings, **sums, **_single_row(rows[used]))

    def to_json(self) -> dict[str, Any]:
        """The pooled counts as plain values.

        Returns:
            `settings`, every count by name, and `detections`: rows of level of confidence,
            first and end of the AP thresholds at which right, and how many predictions.
        """
        pool = self.pooled()
        plain: dict[str, Any] = {"settings": asdict(self.settings)}
        plain |= {name: getattr(pool, name)[0].tolist() for name in SUMMED}
        plain["detections"] = np.stack(
            [getattr(pool, name)[0] for name in DETECTIONS], -1
        ).tolist()
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "VideoCounts":
        """Read what `to_json` made: one row that scores like the videos it stands for.

        What was not counted when it was made counts as 0.

        Raises:
            DataError: a key is missing or unknown, or a value cannot be.
        """
        plain = {**dict.fromkeys(LATER, 0), **plain}
        expected = {"settings", "detections", *SUMMED}
        if plain.keys() != expected:
            odd = sorted(plain.keys() ^ expected)
            raise DataError(f"counts with missing or unknown keys: {', '.join(odd)}")
        try:
            counts = {name: _integers(plain[name])[None] for name in SUMMED}
            rows = _integers(plain["detections"]).reshape(-1, len(DETECTIONS))
            settings = MatchSettings(**plain["settings"])
        except (TypeError, ValueError, OverflowError, UsageError) as error:
            raise DataError(f"counts that cannot be read: {error}") from None
        _check(counts, rows)
        return cls(settings=settings, **counts, **_single_row(rows))


SUMMED = tuple(
    field.name for field in fields(VideoCounts) if field.name not in ("settings", *DETECTIONS)
)
_OF_MASKS = SUMMED[SUMMED.index("n_masked") :]
LATER = ("exact_frames", "n_counted", *_OF_MASKS)
"""Counts that older results lack."""
_SIGNED = ("ari", "fg_ari")
_WIDTHS = {
    **dict.fromkeys(_HOTA, len(ALPHAS)),
    **dict.fromkeys(("visible_truth", "visible_matches", "visible_switches"), len(RANGES)),
}


def count_errors(
    truth: Tracks,
    predicted: Tracks,
    settings: MatchSettings,
    *,
    visibility: FloatArray | None = None,
) -> VideoCounts:
    """Count everything that any metric needs, for each video on its own.

    Args:
        truth: [B, T, K]; every present entry is an object, whatever its confidence.
        predicted: [B, T, K'] of the same videos and frames. If both have masks they count too.
        settings: what counts as a prediction and as a match.
        visibility: of the true boxes, in their slots, in [0, 1], [B, T, K]; without it the
            counts by visibility are 0.

    Raises:
        DataError: different numbers of videos or frames, visibility of another shape than the
            truth, or masks of another size.
    """
    check_alike(truth, predicted)
    B, T, K = truth.shape
    if visibility is not None and visibility.shape != (B, T, K):
        raise DataError(
            f"visibility must be {[B, T, K]} like the truth, not {list(visibility.shape)}"
        )
    step = max(1, _MOST_PAIRS // max(1, T * K * predicted.shape[2]))
    parts = []
    for start in range(0, max(B, 1), step):
        some = slice(start, start + step)
        true, found = truth[some], predicted[some]
        seen = None if visibility is None else visibility[some]
        pairing = pair_up(true, found, settings.confidence)
        masks = mask_counts(true, found, settings)
        sums = _sums(pairing, masks, settings, seen)
        parts.append(VideoCounts(settings=settings, **sums, **detections(true, found)))
    return VideoCounts.stack(parts)


def _sums(
    pairing: Pairing,
    masks: Mapping[str, IntArray | FloatArray],
    settings: MatchSettings,
    visibility: FloatArray | None,
) -> dict[str, IntArray]:
    """All that is summed over videos, by the names of `VideoCounts`."""
    B, T = pairing.truth.n_entries.shape
    partner, switched = correspond(pairing, settings)
    surplus = pairing.predicted.n_entries - pairing.truth.n_entries
    sums: dict[str, IntArray | FloatArray] = {
        **clear_counts(pairing, partner, switched, settings),
        **visible_counts(pairing, partner, switched, visibility),
        **masks,
        "id_matches": identity_matches(
            pairing,
            settings.iou_threshold,
            by_distance=settings.convention == "py-motmetrics",
        ),
        **dict(zip(_HOTA, hota_sums(pairing), strict=True)),
        "n_videos": np.ones(B),
        "n_frames": np.full(B, T),
        "n_counted": np.full(B, T),
        "count_difference": np.abs(surplus).sum(-1),
        "exact_frames": (surplus == 0).sum(-1),
    }
    for name in _IN_UNITS:
        sums[name] = np.rint(sums[name] / UNIT)
    return {name: values.astype(np.int64) for name, values in sums.items()}


def _single_row(rows: IntArray) -> dict[str, IntArray]:
    """Kinds of detections, [P, 4], as the detections of a single row of `VideoCounts`."""
    types = (np.uint16, np.uint8, np.uint8, np.int64)
    return {
        name: column.astype(kind)[None]
        for name, column, kind in zip(DETECTIONS, rows.T, types, strict=True)
    }


def _integers(values: Any) -> IntArray:
    """Integers as given, int64; refuses what would have to be rounded."""
    array = np.asarray(values)
    if array.size and array.dtype.kind != "i":
        raise ValueError(f"{array.ravel()[0]!r} is not a whole number of 64 bits")
    return array.astype(np.int64)


def _check(counts: Mapping[str, IntArray], rows: IntArray) -> None:
    """Refuse counts of other shapes, negative ones, and detections that cannot be."""
    for name, values in counts.items():
        expected = (1, _WIDTHS[name]) if name in _WIDTHS else (1,)
        if values.shape != expected or (values.min() < 0 and name not in _SIGNED):
            raise DataError(f"counts with an impossible {name}")
    least, most = np.array([1, 0, 0, 1]), np.array([N_LEVELS, len(THRESHOLDS), len(THRESHOLDS)])
    if (rows < least).any() or (rows[:, :3] > most).any():
        raise DataError("counts with impossible detections")
