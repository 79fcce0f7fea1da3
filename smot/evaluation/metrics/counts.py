"""What every metric is made of: counts per video that add up.

Nothing here is an average. All sums are integers (sums of real numbers are kept in units of
2 ** -32), so that adding them up gives the same result in whatever order and however the videos
were divided, to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from smot.arrays import BoolArray, FloatArray, IntArray
from smot.errors import DataError, UsageError
from smot.evaluation.metrics.average_precision import N_LEVELS, THRESHOLDS, UNUSED, detections
from smot.evaluation.metrics.clear import (
    NOBODY,
    Correspondence,
    correspond,
    lifetimes,
    matched_overlap,
)
from smot.evaluation.metrics.hota import ALPHAS, hota_sums
from smot.evaluation.metrics.identity import identity_matches
from smot.evaluation.metrics.matching import MatchSettings, Pairing, check_alike, pair_up
from smot.tracks import Tracks

UNIT = 2.0**-32
# How many IoU values are held at once, twice (64 MiB in all).
_MOST_PAIRS = 2**22
# Ranges of visibility, the share of an object's own pixels that no later-drawn object covers.
BINS = ("[0, 1/4)", "[1/4, 1/2)", "[1/2, 3/4)", "[3/4, 1)", "1")
DETECTIONS = ("detection_level", "detection_first", "detection_last", "n_detections")


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
        exact_frames: frames with as many predicted as true objects, [V].
        n_counted: frames of which that is known, [V]; results written before it was counted say
            0, all others `n_frames`.
        hota_matches: HOTA's matches, [V, A].
        hota_association: sum over them of TPA / (TPA + FNA + FPA), [V, A], units of 2 ** -32.
        hota_overlap: sum of their IoU, [V, A], units of 2 ** -32.
        visible_truth: true boxes by visibility, [V, 5]; 0 where visibility was not given.
        visible_matches: matches by visibility, [V, 5].
        visible_switches: switches by visibility, [V, 5].
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
            joined[name] = np.concatenate([_widened(getattr(part, name), width) for part in parts])
        return cls(settings=settings, **joined)

    def select(self, indices: IntArray | slice) -> Self:
        """Some rows, in the order asked for."""
        rows = {name: getattr(self, name)[indices] for name in (*SUMMED, *DETECTIONS)}
        return type(self)(settings=self.settings, **rows)

    def pooled(self) -> Self:
        """All rows added up into one."""
        sums = {name: getattr(self, name).sum(0, keepdims=True) for name in SUMMED}
        level, first, last, n_each = (getattr(self, name).ravel() for name in DETECTIONS)
        key = (level.astype(np.int64) << 16) | (first.astype(np.int64) << 8) | last
        different, place = np.unique(key, return_inverse=True)
        total = np.zeros(len(different), np.int64)
        np.add.at(total, place, n_each)
        used = different >> 16 != UNUSED
        columns = (different >> 16, different >> 8 & 0xFF, different & 0xFF, total)
        kinds = _detections([column[used] for column in columns])
        return type(self)(settings=self.settings, **sums, **kinds)

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
        return cls(settings=settings, **counts, **_detections(list(rows.T)))


SUMMED = tuple(
    field.name for field in fields(VideoCounts) if field.name not in ("settings", *DETECTIONS)
)
LATER = ("exact_frames", "n_counted")
"""Counts that older results lack."""
_WIDTHS = {
    **dict.fromkeys(("hota_matches", "hota_association", "hota_overlap"), len(ALPHAS)),
    **dict.fromkeys(("visible_truth", "visible_matches", "visible_switches"), len(BINS)),
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
        predicted: [B, T, K'] of the same videos and frames.
        settings: what counts as a prediction and as a match.
        visibility: of the true boxes, in their slots, in [0, 1], [B, T, K]; without it the
            counts by visibility are 0.

    Raises:
        DataError: different numbers of videos or frames, or visibility of another shape than the
            truth.
    """
    check_alike(truth, predicted)
    if visibility is not None and visibility.shape != truth.shape:
        raise DataError(
            f"visibility must be {list(truth.shape)} like the truth, not {list(visibility.shape)}"
        )
    B, T, K = truth.shape
    step = max(1, _MOST_PAIRS // max(1, T * K * predicted.shape[2]))
    parts = []
    for start in range(0, max(B, 1), step):
        some = slice(start, start + step)
        seen = None if visibility is None else visibility[some]
        parts.append(_count(truth[some], predicted[some], settings, seen))
    return VideoCounts.stack(parts)


def occlusion(counts: VideoCounts) -> dict[str, dict[str, float | None]]:
    """Recall and switches against visibility.

    Args:
        counts: made with visibility.

    Returns:
        For each bin of visibility n_truth, matches and switches, recall = matches / n_truth and
        switch_rate = switches / matches (None where not defined).
    """
    pool = counts.pooled()
    table: dict[str, dict[str, float | None]] = {}
    for place, name in enumerate(BINS):
        n_truth, matches, switches = (
            int(each[0, place])
            for each in (pool.visible_truth, pool.visible_matches, pool.visible_switches)
        )
        table[name] = {
            "n_truth": n_truth,
            "matches": matches,
            "switches": switches,
            "recall": matches / n_truth if n_truth else None,
            "switch_rate": switches / matches if matches else None,
        }
    return table


def _count(
    truth: Tracks, predicted: Tracks, settings: MatchSettings, visibility: FloatArray | None
) -> VideoCounts:
    B, T, _ = truth.shape
    pairing = pair_up(truth, predicted, settings.confidence)
    hota_matches, hota_association, hota_overlap = hota_sums(pairing)
    surplus = pairing.predicted.n_entries - pairing.truth.n_entries
    everything = pair_up(truth, predicted, 0.0)
    level, first, last = detections(everything, predicted.confidence)
    return VideoCounts(
        settings=settings,
        n_videos=np.ones(B, np.int64),
        n_frames=np.full(B, T, np.int64),
        n_truth_tracks=pairing.truth.n_identities,
        **_clear(pairing, settings, visibility),
        id_matches=identity_matches(pairing, settings.iou_threshold),
        count_difference=np.abs(surplus).sum(-1),
        exact_frames=(surplus == 0).sum(-1),
        n_counted=np.full(B, T, np.int64),
        hota_matches=hota_matches,
        hota_association=to_units(hota_association),
        hota_overlap=to_units(hota_overlap),
        detection_level=level,
        detection_first=first,
        detection_last=last,
        n_detections=(level > 0).astype(np.int64),
    )


def _clear(
    pairing: Pairing, settings: MatchSettings, visibility: FloatArray | None
) -> dict[str, IntArray]:
    """What comes from CLEAR-MOT matches, by the names of `VideoCounts`."""
    found = correspond(pairing, settings)
    n_truth, n_predicted = (side.n_entries.sum(-1) for side in (pairing.truth, pairing.predicted))
    matches = (found.partner != NOBODY).sum((1, 2))
    mostly_tracked, partly_tracked, mostly_lost, fragmentations = lifetimes(
        pairing, found, settings
    )
    no_bins = np.zeros((3, len(n_truth), len(BINS)), np.int64)
    visible = no_bins if visibility is None else by_visibility(pairing, found, visibility)
    return {
        "n_truth": n_truth,
        "n_predicted": n_predicted,
        "matches": matches,
        "misses": n_truth - matches,
        "false_positives": n_predicted - matches,
        "switches": found.switched.sum((1, 2)),
        "overlap": to_units(matched_overlap(pairing, found).sum((1, 2))),
        "mostly_tracked": mostly_tracked,
        "partly_tracked": partly_tracked,
        "mostly_lost": mostly_lost,
        "fragmentations": fragmentations,
        "visible_truth": visible[0],
        "visible_matches": visible[1],
        "visible_switches": visible[2],
    }


def by_visibility(
    pairing: Pairing, found: Correspondence, visibility: FloatArray
) -> tuple[IntArray, IntArray, IntArray]:
    """True boxes, matches and switches in each bin.

    Args:
        pairing: entries of B videos of T frames.
        found: their CLEAR-MOT matches.
        visibility: in [0, 1], in the slots of the truth, [B, T, K].

    Returns:
        Three counts, [B, 5], int64.
    """
    entry = pairing.truth.entry
    used = entry >= 0
    if not entry.size:
        empty = np.zeros((len(entry), len(BINS)), np.int64)
        return empty, empty, empty
    seen = np.take_along_axis(visibility, np.maximum(entry, 0), axis=2)
    bins = np.minimum((seen * (len(BINS) - 1)).astype(np.int64), len(BINS) - 1)
    matched = used & (found.partner != NOBODY)
    return _tally(bins, used), _tally(bins, matched), _tally(bins, found.switched)


def _tally(bins: IntArray, chosen: BoolArray) -> IntArray:
    counts = [(chosen & (bins == place)).sum((1, 2)) for place in range(len(BINS))]
    return np.stack(counts, -1)


def _detections(columns: Sequence[IntArray]) -> dict[str, IntArray]:
    """Level, first, last and number of detections as fields of a single row."""
    kinds = (np.uint16, np.uint8, np.uint8, np.int64)
    return {
        name: column.astype(kind)[None]
        for name, column, kind in zip(DETECTIONS, columns, kinds, strict=True)
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
        if values.shape != expected or values.min() < 0:
            raise DataError(f"counts with an impossible {name}")
    least, most = np.array([1, 0, 0, 1]), np.array([N_LEVELS, len(THRESHOLDS), len(THRESHOLDS)])
    if (rows < least).any() or (rows[:, :3] > most).any():
        raise DataError("counts with impossible detections")


def _widened(values: IntArray, width: int) -> IntArray:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))
