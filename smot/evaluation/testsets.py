"""Which test videos, and where they come from: a file, or the generator on the spot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from smot.errors import UsageError, did_you_mean
from smot.files import from_plain
from smot.tracks import DataDescription
from smot.videos import Metadata, Origin, Shard, Videos, open_videos
from smot.videos.content import FORMAT_VERSION, settings_fingerprint

if TYPE_CHECKING:
    from smot.generators import DigitSource, Settings

PREFIX = "scattered-"

SEED = 0
"""Of every canonical data set."""

SPAN = 64
"""Videos that a tracker gets at once: always so many, so that nothing depends on the workers."""


class VideoSource(Protocol):
    """What an evaluation reads videos from; `smot.videos.VideoFile` is one."""

    @property
    def groups(self) -> Mapping[str, int]:
        """Number of videos of each group."""
        ...

    @property
    def description(self) -> DataDescription:
        """What trackers may know of the data."""
        ...

    @property
    def metadata(self) -> Metadata:
        """What the data set says of itself."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether it is known which object each pixel belongs to."""
        ...

    def read(self, group: str, start: int, stop: int, *, masks: bool = False) -> Videos:
        """Videos [start, stop) of a group; with the owners of pixels if `masks`."""
        ...


@dataclass(frozen=True, kw_only=True)
class RenderedVideos:
    """A data set that is made while it is read, and is the same as its file would be.

    Attributes:
        settings: what the videos look like.
        digits: what they show; None for shapes.
        groups: number of videos of each group.
        seed: the data set's seed.
        has_masks: whether evaluations are to score masks; they can be read in any case.
    """

    settings: "Settings"
    digits: "DigitSource | None"
    groups: Mapping[str, int]
    seed: int = SEED
    has_masks: bool = False

    @property
    def description(self) -> DataDescription:
        """What trackers may know of the data."""
        return self.settings.describe(self.digits.name if self.digits else "")

    @property
    def metadata(self) -> Metadata:
        """What a file would say of itself; there is no content fingerprint."""
        from smot.generators.synthesis import origin

        made = origin(self.settings, self.digits, self.seed)
        return _metadata(made, self.groups, settings_fingerprint(made))

    def read(self, group: str, start: int, stop: int, *, masks: bool = False) -> Videos:
        """Make videos [start, stop) of a group.

        Raises:
            UsageError: no such group, or a range outside of it.
        """
        from smot.generators import render

        if not 0 <= start <= stop <= self.groups.get(group, -1):
            raise UsageError(f"there are no videos {start} to {stop - 1} of {group!r}")
        indices = np.arange(start, stop)
        return render(
            self.settings,
            self.digits,
            seed=self.seed,
            split=group,
            indices=indices,
            masks=masks,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldVideos:
    """Videos in memory as a data set: a test group for each number of objects, and no other.

    Attributes:
        videos: at least one.
        path: what results name as their origin.

    Raises:
        UsageError: no videos.
    """

    videos: Videos
    path: str = "videos in memory"

    def __post_init__(self) -> None:
        if not len(self.videos):
            raise UsageError("there are no videos to evaluate on")

    @property
    def groups(self) -> Mapping[str, int]:
        """Number of videos of each group."""
        counts, sizes = np.unique(self.videos.count, return_counts=True)
        return {f"test/{n:02d}": int(size) for n, size in zip(counts, sizes, strict=True)}

    @property
    def description(self) -> DataDescription:
        """What the first frame tells."""
        frames, most = self.videos.frames, int(self.videos.count.max())
        return DataDescription.seen_in(frames[0, 0], n_frames=frames.shape[1], max_objects=most)

    @property
    def metadata(self) -> Metadata:
        """What a file would say of itself; there are no fingerprints."""
        made = Origin(name="videos", seed=SEED, settings={}, description=self.description)
        return _metadata(made, self.groups, "")

    @property
    def has_masks(self) -> bool:
        """Whether the videos have masks."""
        return self.videos.owner is not None

    def read(self, group: str, start: int, stop: int, *, masks: bool = False) -> Videos:
        """Videos [start, stop) of a group, as `RenderedVideos.read` has it."""
        if not 0 <= start <= stop <= self.groups.get(group, -1):
            raise UsageError(f"there are no videos {start} to {stop - 1} of {group!r}")
        count = int(group.removeprefix("test/"))
        found = self.videos[np.flatnonzero(self.videos.count == count)[start:stop]]
        return found if masks else replace(found, owner=None)


def _metadata(origin: Origin, groups: Mapping[str, int], fingerprint: str) -> Metadata:
    """What videos that are in no file say of themselves."""
    return Metadata(
        **vars(origin),
        format_version=FORMAT_VERSION,
        settings_fingerprint=fingerprint,
        content_fingerprint="",
        versions={"smot": version("smot")},
        shard=Shard(),
        totals=dict(groups),
    )


def canonical_videos(
    dataset: str,
    *,
    folder: Path = Path("data"),
    digits: str = "auto",
    mnist_root: Path | None = None,
    counts: Sequence[int] | None = None,
    n_videos: int | None = None,
    seed: int = SEED,
) -> tuple[VideoSource, str]:
    """Find a canonical test set in a folder, or make it on the spot.

    Args:
        dataset: a name of `smot.generators.CANONICAL` without `PREFIX`, "mnist-12".
        folder: where files are looked for.
        digits: "mnist", "mnist-5k", or "auto" for whatever is there.
        mnist_root: folder of the MNIST files.
        counts: numbers of objects that are wanted; the paper's if None.
        n_videos: videos of each count that are wanted; as many as there are if None.
        seed: of the data set; another than the canonical one makes other videos of the same kind.

    Returns:
        The videos, and a sentence that says which they are.

    Raises:
        UsageError: no such data set.
        DataError: the file is damaged, or the digits are not to be had.
    """
    from smot.generators import CANONICAL, load_digits
    from smot.generators.synthesis import group_sizes

    names = {name.removeprefix(PREFIX): name for name in CANONICAL}
    if dataset not in names:
        raise UsageError(f"no data set {dataset!r}{did_you_mean(dataset, names)}")
    settings = CANONICAL[names[dataset]]
    path = folder / f"{names[dataset]}.h5"
    unfit = f"there is no {path}"
    if path.is_file():
        file = open_videos(path)
        unfit = _unfit(file.groups, file.metadata, settings, digits, counts, n_videos)
        if file.metadata.seed != seed:
            unfit = f"has seed {file.metadata.seed}"
        if not unfit:
            return file, f"test videos from {path}"
        unfit = f"{path} {unfit}"
    source = load_digits(digits, mnist_root) if settings.dataset == "mnist" else None
    sizes = {"n_test": n_videos} if n_videos else {}
    groups = group_sizes(settings, n_train=0, counts=counts, **sizes)
    made = f"test videos made on the spot ({unfit})"
    return RenderedVideos(settings=settings, digits=source, groups=groups, seed=seed), made


def more_validation_videos(source: VideoSource, count: int) -> RenderedVideos | None:
    """Validation videos with a number of objects that the split of a data set does not have.

    Args:
        source: the data set.
        count: objects in each video.

    Returns:
        A data set that has only them; None where its digits are not at hand.
    """
    if source.description.dataset == "video":
        return None
    if isinstance(source, RenderedVideos):
        settings, digits = source.settings, source.digits
    else:
        from smot.generators import MnistSettings, ShapesSettings
        from smot.generators.digits import digits_at_hand

        shows_digits = source.description.dataset == "mnist"
        digits = digits_at_hand(source.metadata.digit_fingerprint) if shows_digits else None
        if shows_digits and digits is None:
            return None
        kind: type[Settings] = MnistSettings if shows_digits else ShapesSettings
        kept = {key: value for key, value in source.metadata.settings.items() if key != "dataset"}
        settings = from_plain(kind, kept, what="settings of the videos")
    settings = replace(settings, min_objects=count, max_objects=count)
    return RenderedVideos(
        settings=settings, digits=digits, groups={"val": SPAN}, seed=source.metadata.seed
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be evaluated, checked against the data.

    Attributes:
        groups: the test group of each number of objects, ascending; if one has another name
            ("test/street"), all are numbered from 0.
        n_videos: the first so many of each group are used.
        by_count: whether keys are numbers of objects.
    """

    groups: Mapping[int, str]
    n_videos: Mapping[int, int]
    by_count: bool = True


def make_plan(data: VideoSource, counts: Sequence[int] | None, n_videos: int | None) -> Plan:
    """Choose test groups.

    Args:
        data: where the videos are.
        counts: numbers of objects; all that the data has if None.
        n_videos: the first so many of each count; all if None.

    Raises:
        UsageError: the data has no such groups, or fewer videos.
    """
    names = sorted(name for name in data.groups if name.startswith("test/"))
    if not names:
        raise UsageError(f"the data has no test groups; it has: {', '.join(data.groups)}")
    by_count = all(name.removeprefix("test/").isdecimal() for name in names)
    if not by_count and counts is not None:
        raise UsageError(f"counts={list(counts)}: the data has groups by name: {', '.join(names)}")
    groups = {
        int(name.removeprefix("test/")) if by_count else place: name
        for place, name in enumerate(names)
    }
    wanted = sorted(groups) if counts is None else sorted(set(counts))
    missing = [count for count in wanted if count not in groups]
    if missing or not wanted:
        there = ", ".join(map(str, groups))
        raise UsageError(f"counts={missing}: the data has test videos for {there}")
    sizes = {count: data.groups[groups[count]] for count in wanted}
    for count, size in sizes.items():
        if size < 1:
            raise UsageError(f"{groups[count]}: the number of videos must be at least 1, not 0")
        if n_videos is not None and not 1 <= n_videos <= size:
            raise UsageError(f"n_videos={n_videos}: {groups[count]} has 1 to {size}")
    if n_videos is not None:
        sizes = dict.fromkeys(sizes, n_videos)
    chosen = {count: groups[count] for count in wanted}
    return Plan(groups=chosen, n_videos=sizes, by_count=by_count)


def _unfit(
    groups: Mapping[str, int],
    metadata: Metadata,
    settings: "Settings",
    digits: str,
    counts: Sequence[int] | None,
    n_videos: int | None,
) -> str:
    """Why a file of the canonical name is not what was asked for; "" if it is."""
    if dict(metadata.settings) != settings.plain():
        return "has other settings than the canonical ones"
    if digits != "auto" and metadata.digit_source not in ("", digits):
        return f"shows {metadata.digit_source} digits"
    wanted = settings.test_counts if counts is None else counts
    for count in wanted:
        held = groups.get(f"test/{count:02d}", 0)
        if held < (n_videos or 1):
            return f"has {held} test videos with {count} objects"
    return ""
