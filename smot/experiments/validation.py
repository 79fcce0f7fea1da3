"""How a model does while it trains: scores on a fixed set of validation videos, and pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from smot.errors import UsageError
from smot.evaluation.metrics.counts import VideoCounts, count_errors
from smot.evaluation.metrics.matching import MatchSettings
from smot.evaluation.metrics.table import summarise
from smot.experiments.training_data import Source
from smot.filmstrips import Row, rows_of, strip
from smot.models.family import Family
from smot.tracks import Predictor, Tracker
from smot.training.blowup import BOUND
from smot.training.distributed import Group

if TYPE_CHECKING:
    from smot.videos import Videos

SCORES = ("mota", "mota+prior", "objective")
N_SEEN = 3
"""Frames that a tracker is shown before it predicts. Source: SILOT 4.1."""
N_PICTURES = 3
FINAL_STEP = 10**9
"""A step at which every schedule of a model has reached its end."""


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """How a model is scored while it trains.

    Attributes:
        score: "mota" (tracking), "mota+prior" (tracking plus prediction of the frames after the
            third), or "objective" (needs no labels; higher is better).
        by_count: whether the score takes MOTA for each number of objects and averages, as the
            SILOT paper's curves do; else errors of all videos are pooled, and videos with many
            objects weigh more.
        n_videos: the first so many validation videos.
        batch_size: videos handed to the tracker at once.

    Raises:
        UsageError: a value outside what is said above.
    """

    score: str = "mota"
    by_count: bool = False
    n_videos: int = 200
    batch_size: int = 50

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            allowed = ", ".join(SCORES)
            raise UsageError(f"validation.score must be one of {allowed}, not {self.score!r}")
        for name in ("n_videos", "batch_size"):
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise UsageError(f"validation.{name} must be at least 1, not {value}")


class ValidationScore:
    """Scores a module as `smot.training` wants it; the processes divide the videos.

    Args:
        family: wraps the module in its tracker.
        source: has the videos.
        config: what is scored, on how many videos.
        group: the processes that divide them; counts are summed over them, never averaged.
    """

    def __init__(
        self, family: Family, source: Source, config: ValidationConfig, group: Group
    ) -> None:
        self._family = family
        self._source = source
        self._config = config
        self._group = group
        self._batches: list[tuple[int, Videos]] = []

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """Everything measured, with what is maximised under "score"."""
        if self._config.score == "objective":
            return self._objective(module)
        tracker = self._family.tracker(module, self._family.name)
        counts = self._counts(tracker, 0)
        values = _tracking(counts)
        values["score"] = self._mota(counts)
        if isinstance(tracker, Predictor):
            predicted = self._counts(tracker, N_SEEN)
            values["prior_mota"] = _tracking(predicted)["mota"]
            if self._config.score == "mota+prior":
                values["score"] += self._mota(predicted)
        return values

    def _mota(self, counts: VideoCounts) -> float:
        """MOTA as the score wants it: of all errors, or averaged over numbers of objects."""
        if not self._config.by_count:
            return _tracking(counts)["mota"]
        errors = counts.misses + counts.false_positives + counts.switches
        alike = [counts.n_truth_tracks == n for n in np.unique(counts.n_truth_tracks) if n]
        motas = [1 - errors[some].sum() / counts.n_truth[some].sum() for some in alike]
        return float(np.mean(motas))

    def _counts(self, tracker: Tracker, n_seen: int) -> VideoCounts:
        """Counts over all videos of all processes, of tracking or of prediction."""
        parts = []
        for _, videos in self._shares():
            truth = videos.truth[:, n_seen:]
            if n_seen:
                assert isinstance(tracker, Predictor)
                horizon = videos.frames.shape[1] - n_seen
                found = tracker.predict(videos.frames[:, :n_seen], horizon)
            else:
                found = tracker.track(videos.frames)
            parts.append(count_errors(truth, found, MatchSettings()))
        return VideoCounts.stack([part for own in self._group.gathered(parts) for part in own])

    def _objective(self, module: nn.Module) -> dict[str, float]:
        """The model's bound at its schedules' end; without one, its objective's negative.

        The noise of a batch follows from its place, whichever process has it.
        """
        device = next(module.parameters()).device
        noise = torch.Generator(device=device)
        totals: dict[str, float] = {}
        for start, videos in self._shares():
            noise.manual_seed(start)
            frames = torch.from_numpy(videos.frames).to(device)
            objective: Any = module.objective(frames, step=FINAL_STEP, generator=noise)  # type: ignore[operator]
            value_of = objective.terms.get(BOUND, -objective.total)
            for name, value in {"score": value_of, **objective.terms}.items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(videos)
        gathered = self._group.gathered(totals)
        names = gathered[0]
        return {name: sum(part[name] for part in gathered) / self._n_videos() for name in names}

    def _shares(self) -> "Iterator[tuple[int, Videos]]":
        """This process's batches by their first video; read once and kept."""
        if not self._batches:
            size = self._config.batch_size
            starts = range(0, self._n_videos(), size)
            for start in list(starts)[self._group.rank :: self._group.size]:
                stop = min(start + size, self._n_videos())
                self._batches.append((start, self._source.videos.read("val", start, stop)))
        yield from self._batches

    def _n_videos(self) -> int:
        return min(self._config.n_videos, self._source.videos.groups["val"])


def _tracking(counts: VideoCounts) -> dict[str, float]:
    """The few metrics that a log of a run wants."""
    summary = summarise(counts)
    names = ("mota", "ap", "count_error", "counting_accuracy")
    return {name: value for name in names if (value := summary[name]) is not None}


def validation_pictures(
    family: Family, source: Source
) -> Callable[[nn.Module], dict[str, Tensor]]:
    """Draw the first validation videos: truth, tracks and the model's reconstruction.

    Args:
        family: wraps a module in its tracker; one with a `trace` method has a reconstruction.
        source: has the videos.

    Returns:
        A function from a module to pictures by name, [H, W, 3], float in [0, 1].
    """
    videos = source.videos.read("val", 0, min(N_PICTURES, source.videos.groups["val"]))

    def pictures(module: nn.Module) -> dict[str, Tensor]:
        tracker = family.tracker(module, family.name)
        found = tracker.track(videos.frames)
        trace = getattr(tracker, "trace", None)
        painted = trace(videos.frames).reconstruction if trace is not None else None
        drawn = {}
        for place in range(len(videos)):
            one = slice(place, place + 1)
            rows = rows_of(videos.frames[place], truth=videos.truth[one], predicted=found[one])
            if painted is not None:
                frames = np.round(255 * painted[place]).astype(np.uint8)
                rows.append(Row(label="model", frames=frames, tracks=found[one]))
            image = np.asarray(strip(rows, scale=2).convert("RGB"), np.float32) / 255
            drawn[f"video {place}"] = torch.from_numpy(image)
        return drawn

    return pictures
