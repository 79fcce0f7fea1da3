"""The figures of the SILOT paper as data: which systems, from which training, on which videos.

Source: the paper's figures 5 and 6 and its supplement's G3, F1 and F2. They are curves without a
table, so there are no numbers to hold a reproduction against, only who is above whom.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a system's weights are made from nothing: one `smot train`.

    Attributes:
        family: "silot" or "sqair".
        dataset: key of `smot.experiments.training_data.DATASETS`.
        preset: "" for the family's usual run, which is all stages of its recipe if it has one.
        recipe: which of the family's; "" for that of its name.
        hours: of two CPU cores, about.
    """

    family: str
    dataset: str
    recipe: str = ""
    preset: str = ""
    hours: float


@dataclass(frozen=True, kw_only=True)
class System:
    """What a curve is of.

    Attributes:
        label: what the legend calls it.
        tracker: a name that `smot.trackers.build_tracker` knows.
        options: of the tracker, as typed.
        weights: stem of the file of weights, "silot-mnist-6", that may ship; "" where there are
            none.
        training: what makes such weights; None where there is nothing to train.
        rate: test videos a second on two cores, about: tracked, predicted and scored.
        is_ours: whether the paper does not have it.
    """

    label: str
    tracker: str
    options: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""
    training: Training | None = None
    rate: float
    is_ours: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: curves, or filmstrips where `protocol` is "show".

    Attributes:
        title: what it shows.
        dataset: of its test videos, a name of `smot.evaluation.testsets.canonical_videos`.
        systems: keys of `SYSTEMS`, in the order of the legend.
        protocol: "tracking", "prediction" or "show".
        metrics: one panel each.
        quick_counts: numbers of objects that `--quick` evaluates, or that are shown; () for all.
        judged: systems that are evaluated for `smot.experiments.claims` and not drawn.
    """

    title: str
    dataset: str
    systems: tuple[str, ...]
    protocol: str
    metrics: tuple[str, ...] = ()
    quick_counts: tuple[int, ...] = ()
    judged: tuple[str, ...] = ()


def _silot(dataset: str, label: str, hours: float, rate: float, weights: str = "") -> System:
    return System(
        label=label,
        tracker="silot",
        weights=weights or f"silot-{dataset}",
        training=Training(family="silot", dataset=dataset, hours=hours),
        rate=rate,
    )


def _sqair(preset: str, label: str, hours: float, weights: str = "") -> System:
    training = Training(family="sqair", dataset="mnist-6", preset=preset, hours=hours)
    weights = weights or f"sqair-{preset}-mnist-6"
    return System(label=label, tracker="sqair", weights=weights, training=training, rate=40)


def _conncomp(min_area: int) -> System:
    """ConnComp without splinters; least areas were chosen on validation videos."""
    label, options = f"ConnComp, min_area={min_area}", {"min_area": str(min_area)}
    return System(label=label, tracker="conncomp", options=options, rate=200, is_ours=True)


_REDUCED = _sqair("cpu", "SQAIR, reduced, 1-6", 4.0, "sqair-mnist-6")

SYSTEMS: Mapping[str, System] = {
    "conncomp": System(label="ConnComp", tracker="conncomp", rate=200),
    "conncomp-16": _conncomp(16),
    "conncomp-40": _conncomp(40),
    "silot-6": _silot("mnist-6", "SILOT, 1-6", 3.0, 80),
    "silot-12": _silot("mnist-12", "SILOT, 1-12", 3.0, 80),
    "silot-plus-12": System(
        label="SILOT, finer grid, 1-12",
        tracker="silot-plus",
        weights="silot-plus-mnist-12",
        training=Training(family="silot", recipe="silot-plus", dataset="mnist-12", hours=3.9),
        rate=45,
        is_ours=True,
    ),
    "sqair-6": _REDUCED,
    "sqair-6-told": replace(
        _REDUCED, label="SQAIR, reduced, told the count", options={"mode": "oracle-count"}
    ),
    "sqair-mlp": _sqair("aaai2020", "SQAIR (mlp), 1-6", 96.0),
    "sqair-conv": _sqair("conv", "SQAIR (conv), 1-6", 96.0),
    "still": System(label="truth, then standing still", tracker="oracle", rate=300, is_ours=True),
    "motion": System(
        label="truth, then constant velocity", tracker="oracle-motion", rate=300, is_ours=True
    ),
    "crops-10": _silot("shapes-96-crops", "SILOT, crops, 1-10", 3.0, 12),
    "crops-30": _silot("shapes-96-crops-21-30", "SILOT, crops, 21-30", 3.0, 12),
    "whole-10": _silot("shapes-96-whole", "SILOT, whole frames, 1-10", 3.0, 12),
    "whole-30": _silot("shapes-96-whole-21-30", "SILOT, whole frames, 21-30", 3.0, 12),
    "small-8": System(
        label="SILOT, 48 pixels, 1-8",
        tracker="silot",
        weights="silot-shapes-48",
        training=Training(family="silot", dataset="shapes-48", hours=3.0),
        rate=12,
        is_ours=True,
    ),
}
"""By the name of their folder. "told the count" is how the paper has SQAIR beyond six digits."""

_LARGE = ("conncomp", "crops-10", "crops-30", "whole-10", "whole-30", "small-8")
_DIGITS = ("conncomp", "silot-6", "silot-12", "silot-plus-12", "sqair-6", "sqair-6-told")

FIGURES: Mapping[str, Figure] = {
    "fig5": Figure(
        title="Scattered MNIST: tracking 1 to 12 digits",
        dataset="mnist-12",
        systems=(*_DIGITS, "sqair-mlp", "sqair-conv"),
        protocol="tracking",
        metrics=("mota", "ap", "count_error"),
        judged=("conncomp-16",),
    ),
    "fig6": Figure(
        title="Scattered Shapes, 96 x 96 pixels: tracking 1 to 35 shapes",
        dataset="shapes-96",
        systems=_LARGE,
        protocol="tracking",
        metrics=("mota", "ap", "count_error"),
        quick_counts=(1, 5, 10, 15, 20, 25, 30, 35),
        judged=("conncomp-40",),
    ),
    "figG3": Figure(
        title="Scattered MNIST: predicting frames 4 to 8 from frames 1 to 3",
        dataset="mnist-12",
        systems=(
            *("conncomp", "silot-6", "silot-12", "sqair-6"),
            *("sqair-mlp", "sqair-conv", "still", "motion"),
        ),
        protocol="prediction",
        metrics=("mota", "ap"),
    ),
    "figF1": Figure(
        title="SILOT at work on Scattered MNIST",
        dataset="mnist-12",
        systems=("silot-6", "silot-12"),
        protocol="show",
        quick_counts=(6, 12),
    ),
    "figF2": Figure(
        title="SILOT at work on Scattered Shapes",
        dataset="shapes-96",
        systems=("crops-10", "crops-30", "small-8"),
        protocol="show",
        quick_counts=(15,),
    ),
}
"""By name. F1 and F2 are drawn of the first test video with that many objects."""
