"""What the metrics are called, which way is better, and in what order every table has them."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How one metric is shown.

    Attributes:
        key: its name in results.json.
        label: its name for people.
        meaning: one line for those who meet it for the first time.
        lower_is_better: true for errors.
        low: smallest possible value; None if there is none.
        high: largest possible value; None if there is none.
        digits: decimals shown; 0 for numbers of things.
    """

    key: str
    label: str
    meaning: str
    lower_is_better: bool = False
    low: float | None = 0.0
    high: float | None = 1.0
    digits: int = 3

    def shown(self, value: float | None) -> str:
        """The value as text; a dash where there is none."""
        if value is None:
            return "–"
        if self.digits == 0:
            return f"{value:,.0f}"
        text = f"{value:.{self.digits}f}"
        return text.replace("-", "−") if float(text) else text.lstrip("-")


def _count(key: str, label: str, meaning: str, *, lower_is_better: bool = False) -> Metric:
    return Metric(
        key=key, label=label, meaning=meaning, lower_is_better=lower_is_better,
        high=None, digits=0,
    )  # fmt: skip


_METRICS = (
    Metric(
        key="mota", label="MOTA", low=None,
        meaning="1 − (misses + false positives + switches) / boxes of the ground truth",
    ),
    Metric(
        key="ap", label="AP",
        meaning="average precision over IoU 0.1 to 0.9, 11 points, all confidences",
    ),
    Metric(
        key="count_error", label="Count error", lower_is_better=True, high=None,
        meaning="mean absolute difference of predicted and present objects per frame",
    ),
    Metric(
        key="counting_accuracy", label="Counting accuracy",
        meaning="share of frames in which as many objects are predicted as there are",
    ),
    Metric(key="idf1", label="IDF1", meaning="F1 of boxes under the best pairing of identities"),
    Metric(key="hota", label="HOTA", meaning="√(DetA × AssA), averaged over IoU 0.05 to 0.95"),
    Metric(key="deta", label="DetA", meaning="HOTA's detection accuracy"),
    Metric(key="assa", label="AssA", meaning="HOTA's association accuracy"),
    Metric(key="loca", label="LocA", meaning="mean IoU of HOTA's matches"),
    Metric(key="motp", label="MOTP", meaning="mean IoU of the matched boxes"),
    Metric(key="recall", label="Recall", meaning="share of the ground truth that is matched"),
    Metric(key="precision", label="Precision", meaning="share of the predictions that match"),
    Metric(key="idp", label="IDP", meaning="precision under the best pairing of identities"),
    Metric(key="idr", label="IDR", meaning="recall under the best pairing of identities"),
    _count("misses", "Misses", "true boxes without a match", lower_is_better=True),
    _count("false_positives", "False positives", "boxes without a match", lower_is_better=True),
    _count("switches", "Switches", "matches to another identity than last", lower_is_better=True),
    _count("fragmentations", "Fragmentations", "tracks lost, then found", lower_is_better=True),
    _count("matches", "Matches", "true boxes with a match, switches included"),
    _count("mostly_tracked", "Mostly tracked", "objects matched in at least 80% of their frames"),
    _count("partly_tracked", "Partly tracked", "objects matched in 20% to 80%"),
    _count(
        "mostly_lost", "Mostly lost", "objects matched in less than 20%", lower_is_better=True
    ),
    _count("n_truth", "True boxes", "boxes of the ground truth"),
    _count("n_predicted", "Predicted boxes", "boxes that the tracker gave"),
    _count("n_truth_tracks", "True objects", "identities of the ground truth"),
    _count("n_frames", "Frames", "frames pooled"),
    _count("n_videos", "Videos", "videos pooled"),
)  # fmt: skip

METRICS = MappingProxyType({metric.key: metric for metric in _METRICS})

HEADLINE = ("mota", "ap", "count_error", "idf1", "hota")
"""The metrics of the terminal table and of the first lines of a report."""


def shares(keys: Iterable[str]) -> list[Metric]:
    """Those metrics of ``keys`` that can be averaged and drawn, in the order of the legend."""
    present = set(keys)
    return [metric for metric in _METRICS if metric.key in present and metric.digits > 0]


def tallies(keys: Iterable[str]) -> list[Metric]:
    """Those metrics of ``keys`` that are numbers of things, in the order of the legend."""
    present = set(keys)
    return [metric for metric in _METRICS if metric.key in present and metric.digits == 0]
