"""Blow-up: training that is lost though every number is finite, the loss far above its best."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from smot.files import from_plain
from smot.models.family import Objective

SMOOTHED_OVER = 50
"""Updates over which the loss is averaged, and after which the first are judged."""
FAR_UPDATES = 200
"""Updates in a row with a loss far above its best that end a run."""
BOUND = "bound"
"""The term under which a model whose total is only good for gradients reports its bound."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """The loss of clips of one length so far; plain values, so that a checkpoint can hold it.

    Attributes:
        n_frames: length of the clips, T.
        step: updates of any length made before the last one with such clips.
        n_updates: updates with such clips.
        smoothed: running average of the loss, nats.
        best: lowest `smoothed`, nats.
        size: average of the loss without its sign, nats.
        calm: lowest `size`, nats.
        n_far: updates in a row, up to the last one, that left `smoothed` far above `best`.
    """

    n_frames: int
    step: int = 0
    n_updates: int = 0
    smoothed: float = 0.0
    best: float = 0.0
    size: float = 0.0
    calm: float = 0.0
    n_far: int = 0

    @property
    def scale(self) -> float:
        """The unit of distances, nats: about the best loss; usable too where losses cross zero."""
        return max(abs(self.best), self.calm)

    def limit(self, factor: float) -> float:
        """The loss above which is far, nats: about `factor` times the best one."""
        return self.best + (factor - 1.0) * self.scale

    def after(self, step: int, loss: float, factor: float) -> "Level":
        """The level with the loss of one more update.

        Args:
            step: updates made before it.
            loss: of any sign, nats.
            factor: above 1.
        """
        judged = self.n_updates >= SMOOTHED_OVER
        if judged:
            # Clamped to twice the distance to the limit: it takes some 35 in a row to go beyond.
            reach = 2.0 * (self.limit(factor) - self.best)
            loss = min(max(loss, self.best - reach), self.best + reach)
        n_updates = self.n_updates + 1
        smoothed = self.smoothed + (loss - self.smoothed) / min(n_updates, SMOOTHED_OVER)
        size = self.size + (abs(loss) - self.size) / n_updates
        return replace(
            self,
            step=step,
            n_updates=n_updates,
            smoothed=smoothed,
            best=min(smoothed, self.best) if judged else smoothed,
            size=size,
            calm=min(size, self.calm) if judged else size,
            n_far=self.n_far + 1 if judged and smoothed > self.limit(factor) else 0,
        )


class BlowupWatch:
    """Finds out whether the loss stays far above its best, for each length of clips separately.

    Longer clips have a larger loss and further terms, so they start afresh, and short clips in
    between do not hide what happens to long ones.

    Args:
        factor: how many times its best the loss has to be; 0 switches the watch off.

    Source: ours. A loss may rise a few times over as schedules of a model proceed; in a lost run
    it rises by orders of magnitude and stays.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._levels: dict[int, Level] = {}
        self._near: dict[int, Mapping[str, Tensor]] = {}
        self._last_is_far = False

    def add(
        self, step: int, n_frames: int, *, loss: float, terms: Mapping[str, Tensor]
    ) -> str | None:
        """Take an update into account.

        Args:
            step: updates made before it.
            n_frames: of its clips, T.
            loss: see `watched_loss`, averaged over all processes, nats.
            terms: parts of the objective, [] each, nats.

        Returns:
            What is wrong, if the loss has been far above for too long.
        """
        if not self._factor:
            return None
        before = self._levels.get(n_frames, Level(n_frames=n_frames))
        self._levels[n_frames] = level = before.after(step, loss, self._factor)
        self._last_is_far = loss > level.limit(self._factor)
        if not self._last_is_far:
            self._near[n_frames] = terms
        return self._diagnosis(level, terms) if level.n_far >= FAR_UPDATES else None

    @property
    def is_doubtful(self) -> bool:
        """Whether the last loss, or the recent ones, are already too high to save the weights."""
        newest = max((level.step for level in self._levels.values()), default=0)
        recent = [each for each in self._levels.values() if newest - each.step < FAR_UPDATES]
        return self._last_is_far or any(level.n_far for level in recent)

    def forget(self) -> None:
        """Start afresh, for weights that are not those of the last update."""
        self._levels, self._near, self._last_is_far = {}, {}, False

    def plain(self) -> list[dict[str, Any]]:
        """The levels as plain values."""
        return [asdict(level) for level in self._levels.values()]

    def restore(self, levels: Sequence[Mapping[str, Any]], *, what: str) -> None:
        """Go on from what `plain` returned.

        Raises:
            DataError: something else.
        """
        self.forget()
        for values in levels:
            level = from_plain(Level, values, what=what)
            self._levels[level.n_frames] = level

    def _diagnosis(self, level: Level, terms: Mapping[str, Tensor]) -> str:
        """One line that names the term that changed most since the last loss in order."""
        near = self._near.get(level.n_frames, {})
        values = {name: float(value) for name, value in terms.items()}
        changes = {name: abs(values[name] - float(near.get(name, 0.0))) for name in values}
        most = max(changes, key=lambda name: changes[name], default="")
        changed = f"; what changed most is {most}, now {values[most]:.4g}" if most else ""
        return (
            f"the loss with {level.n_frames} frames a clip stayed above "
            f"{level.limit(self._factor):.4g} for {level.n_far} updates, after "
            f"{level.best:.4g} at its best{changed}"
        )


def watched_loss(objective: Objective) -> Tensor:
    """The loss that should fall, [], nats: the total, or the negative of a reported bound."""
    bound = objective.terms.get(BOUND)
    return objective.total.detach() if bound is None else -bound
