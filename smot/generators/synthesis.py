"""Data sets as files: how many videos of which kind, and where they go."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smot.errors import DataError, UsageError
from smot.generators.digits import DigitSource
from smot.generators.drawing import render
from smot.generators.settings import Settings, dataset_name
from smot.videos import Origin, Shard, Videos, write_videos
from smot.videos.content import UNIT
from smot.videos.writing import Produce, Report, make_unit, span_of

N_TRAIN, N_VAL, N_TEST = 60_000, 1_000, 1_000
_FEWEST_SAMPLED = 16  # videos of a group from which size and time are estimated
_SHARE_SAMPLED = 0.01


def group_sizes(
    settings: Settings,
    *,
    n_train: int = N_TRAIN,
    n_val: int = N_VAL,
    n_test: int = N_TEST,
    counts: Sequence[int] | None = None,
) -> dict[str, int]:
    """Groups of a data set and their numbers of videos; a group without videos is left out.

    Args:
        settings: what the videos look like.
        n_train: training videos.
        n_val: validation videos.
        n_test: test videos of each count.
        counts: numbers of objects to test with; the paper's if None.

    Raises:
        UsageError: a negative number, or nothing at all.
    """
    for name, number in (("n_train", n_train), ("n_val", n_val), ("n_test", n_test)):
        if number < 0:
            raise UsageError(f"{name} must not be negative, and is {number}")
    tests = settings.test_counts if counts is None else counts
    sizes = {"train": n_train, "val": n_val, **{f"test/{count:02d}": n_test for count in tests}}
    kept = {name: number for name, number in sizes.items() if number}
    if not kept:
        raise UsageError("n_train, n_val and n_test are all 0: there is nothing to make")
    return kept


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What making a data set, or a shard of it, will take.

    Attributes:
        n_videos: to make.
        n_bytes: on disk, about.
        seconds: of one worker's work, about.
    """

    n_videos: int
    n_bytes: float
    seconds: float


def expect(
    settings: Settings,
    source: DigitSource | None,
    groups: Mapping[str, int],
    *,
    seed: int,
    masks: bool = False,
    shard: Shard = Shard(),  # noqa: B008 - frozen
) -> Expectation:
    """Estimate size and time from the first few videos of each group.

    Args:
        settings: what the videos look like.
        source: digits; None for shapes.
        groups: number of videos of each group of the whole data set.
        seed: the data set's seed.
        masks: whether it will have masks.
        shard: the part to make.

    Raises:
        UsageError: the objects do not fit the frame.
    """
    produce = _producer(settings, source, seed, masks)
    n_videos, n_bytes, seconds = 0, 0.0, 0.0
    for name, total in groups.items():
        start, stop = shard.span(total)
        if start == stop:
            continue
        n_sample = min(stop - start, UNIT, max(_FEWEST_SAMPLED, int(_SHARE_SAMPLED * total)))
        if not n_videos:
            produce(name, start, start + 1)  # compiles, which is not to be counted
        begun = time.thread_time()  # waiting for other processes does not count
        span = span_of(name, total, produce, shard)
        unit = make_unit(produce, span, start, start + n_sample)
        size = sum(len(chunk) for _, _, chunk in unit.chunks)
        n_videos += stop - start
        n_bytes += size * (stop - start) / n_sample
        seconds += (time.thread_time() - begun) * (stop - start) / n_sample
    return Expectation(n_videos=n_videos, n_bytes=n_bytes, seconds=seconds)


def check_space(path: Path, n_bytes: float) -> None:
    """Whether the disk has room for a file.

    Args:
        path: the file to be written.
        n_bytes: its size, about.

    Raises:
        DataError: it has not.
    """
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise DataError(
            f"{path} needs about {n_bytes / 1e6:.0f} MB, and {folder} has {free / 1e6:.0f} MB free"
        )


def generate(
    settings: Settings,
    source: DigitSource | None,
    path: Path,
    *,
    seed: int = 0,
    groups: Mapping[str, int] | None = None,
    workers: int = 2,
    masks: bool = False,
    shard: Shard = Shard(),  # noqa: B008 - frozen
    force: bool = False,
    report: Report = lambda n_videos: None,  # noqa: ARG005
) -> str:
    """Make a data set, or one shard of it, and write it to a file.

    Args:
        settings: what the videos look like.
        source: digits; None for shapes.
        path: the file to make.
        seed: the data set's seed.
        groups: numbers of videos from `group_sizes`; the paper's if None.
        workers: threads that make and compress videos.
        masks: whether to keep which object each pixel belongs to.
        shard: the part to make.
        force: whether to replace an existing file.
        report: called with the number of videos written since the last call.

    Returns:
        The content fingerprint.

    Raises:
        UsageError: the objects do not fit the frame, or the file exists.
        DataError: the file cannot be written.
    """
    return write_videos(
        path,
        origin(settings, source, seed),
        groups or group_sizes(settings),
        _producer(settings, source, seed, masks),
        workers=workers,
        shard=shard,
        force=force,
        report=report,
    )


def origin(settings: Settings, source: DigitSource | None, seed: int) -> Origin:
    """What a file says of where its videos come from."""
    return Origin(
        name=dataset_name(settings),
        seed=seed,
        settings=settings.plain(),
        description=settings.describe(source.name if source else ""),
        digit_fingerprint=source.fingerprint if source else "",
    )


def _producer(settings: Settings, source: DigitSource | None, seed: int, masks: bool) -> Produce:
    def produce(split: str, start: int, stop: int) -> Videos:
        indices = np.arange(start, stop)
        return render(settings, source, seed=seed, split=split, indices=indices, masks=masks)

    return produce
