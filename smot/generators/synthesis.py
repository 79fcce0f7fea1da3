"""Data sets as files: how many videos of which kind, and where they go."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smot.errors import UsageError
from smot.generators.digits import DigitSource
from smot.generators.rendering import render
from smot.generators.settings import Settings, dataset_name
from smot.videos import Origin, Shard, Videos, write_videos
from smot.videos.writing import Report

N_TRAIN, N_VAL, N_TEST = 60_000, 1_000, 1_000


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


def generate(
    settings: Settings,
    source: DigitSource | None,
    path: Path,
    *,
    seed: int = 0,
    groups: dict[str, int] | None = None,
    workers: int = 2,
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
        shard: the part to make.
        force: whether to replace an existing file.
        report: called with the number of videos written since the last call.

    Returns:
        The content fingerprint.

    Raises:
        UsageError: the objects do not fit the frame, or the file exists.
        DataError: the file cannot be written.
    """

    def produce(split: str, start: int, stop: int) -> Videos:
        return render(settings, source, seed=seed, split=split, indices=np.arange(start, stop))

    return write_videos(
        path,
        origin(settings, source, seed),
        groups or group_sizes(settings),
        produce,
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
