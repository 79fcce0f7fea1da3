"""Score arrays of one's own, without a data set and without a tracker."""

from typing import TypeAlias

import numpy as np

from smot.arrays import FloatArray, IntArray
from smot.errors import DataError
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.scores import count_errors, summarise
from smot.tracks import Tracks

TrackArrays: TypeAlias = (
    Tracks | tuple[FloatArray, IntArray] | tuple[FloatArray, IntArray, FloatArray]
)
"""Tracks, or boxes [B, T, K, 4], identities [B, T, K] (-1: no entry) and maybe confidences."""


def score(
    truth: TrackArrays,
    predicted: TrackArrays,
    settings: MatchSettings = MatchSettings(),  # noqa: B008 - frozen
) -> dict[str, float | None]:
    """Score tracks against the truth, all videos pooled.

    Args:
        truth: of B videos of T frames.
        predicted: of the same frames; without confidences all are 1.
        settings: what counts as a prediction and as a match.

    Returns:
        Every metric by name; None where it is not defined. See docs/definitions.md.

    Raises:
        DataError: arrays of wrong shapes, or impossible tracks; the message names video and frame.
    """
    return summarise(count_errors(_tracks(truth), _tracks(predicted), settings))


def _tracks(given: TrackArrays) -> Tracks:
    if isinstance(given, Tracks):
        return given
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise DataError("tracks must be Tracks, (boxes, ids) or (boxes, ids, confidence)")
    boxes, ids = np.asarray(given[0]), np.asarray(given[1])
    confidence = np.asarray(given[2]) if len(given) == 3 else np.ones(ids.shape, np.float32)
    return Tracks(boxes=boxes, ids=ids, confidence=confidence)
