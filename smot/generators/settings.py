"""What a generated data set looks like: the paper's values, and settings that make it harder."""

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from smot.errors import UsageError
from smot.tracks import DataDescription

WHITE = (255, 255, 255)
COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "cyan": (0, 255, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
}
SHAPES = ("circle", "diamond", "star", "cross", "x")
ALL_SHAPES = (*SHAPES, "rectangle", "triangle")
MOTIONS = ("bounce", "cross")

_ADDED_LATER = ("acceleration", "motion", "adds_up", "shapes", "background_grain")

LARGEST_VIDEO = 64 << 20  # bytes of frames; several are held at once by each worker

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """What both data sets share: the frame, the motion, and what makes a video harder.

    Attributes:
        frame_size: H, W, pixels.
        n_frames: T.
        min_objects: fewest objects in a training or validation video.
        max_objects: most objects in a training or validation video.
        object_size: nominal side of an object, pixels.
        speed: length of every velocity, pixels per frame.
        motion: "bounce" for objects that drift and turn round at the edges. "cross" for objects
            that enter at a side of the frame, at a time of their own, go straight to a place on
            the opposite side, and leave; they overlap as they come.
        acceleration: 0 for constant speed. Else the largest acceleration along each axis, pixels
            per frame squared: velocities and accelerations are drawn uniformly along each axis,
            up to `speed` and this, kept within that, and accelerations drift.
        overlap: largest sum of the areas that an object's box shares with those placed before
            it, in the first frame, as a share of the nominal object's area (0.5: 98 pixels).
        appearance: probability per frame that an object which has not been in the video yet
            enters; the last frame is the latest. 1: all are there from the first frame.
        disappearance: probability per frame that an object in the video leaves for good; it
            stays for at least one frame.
        background: colour of empty space.
        background_noise: standard deviation of a texture on the background that does not move,
            grey levels per pixel and channel.
        background_grain: distance of the points that this texture is drawn at, pixels; between
            them it is smooth. 1 draws every pixel by itself.
        pixel_noise: standard deviation of noise on everything, new in every frame, grey levels.

    Raises:
        UsageError: names the setting, its value and what is allowed.
    """

    dataset: ClassVar[str]

    frame_size: tuple[int, int] = (48, 48)
    n_frames: int = 8
    min_objects: int = 1
    max_objects: int
    object_size: int = 14
    speed: float
    motion: str = "bounce"
    acceleration: float = 0.0
    overlap: float = 0.5
    appearance: float = 1.0
    disappearance: float = 0.0
    background: Colour = (0, 0, 0)
    background_noise: float = 0.0
    background_grain: int = 1
    pixel_noise: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):  # 2 and 2.0 are one setting, and must have one fingerprint
            if each.type is float:
                object.__setattr__(self, each.name, float(getattr(self, each.name)))
        H, W = self.frame_size
        self._demand("frame_size", min(H, W) >= 8 and max(H, W) <= 1024, "from 8 to 1024 pixels")
        most = LARGEST_VIDEO // (3 * H * W)
        self._demand("n_frames", 1 <= self.n_frames <= most, f"from 1 to {most} at this size")
        self._demand("max_objects", 0 <= self.max_objects <= 500, "from 0 to 500")
        self._demand("min_objects", 0 <= self.min_objects <= self.max_objects, "0 to max_objects")
        self._demand(
            "object_size", 5 <= self.object_size <= min(H, W), "from 5 to the frame's side"
        )
        self._demand("speed", 0 <= self.speed <= 1000, "from 0 to 1000")
        self._demand("motion", self.motion in MOTIONS, " or ".join(MOTIONS))
        if self.motion == "cross":
            self._demand("speed", self.speed > 0, "above 0 where objects cross")
            for name, usual in (("acceleration", 0), ("appearance", 1), ("disappearance", 0)):
                fits = getattr(self, name) == usual
                self._demand(name, fits, f"{usual} where objects cross")
        self._demand("acceleration", 0 <= self.acceleration <= 1000, "from 0 to 1000")
        self._demand("overlap", 0 <= self.overlap <= 500, "from 0 to 500")
        self._demand("appearance", 0 < self.appearance <= 1, "above 0, at most 1")
        self._demand("disappearance", 0 <= self.disappearance <= 1, "from 0 to 1")
        self._demand("background", all(0 <= c <= 255 for c in self.background), "0 to 255 each")
        self._demand("background_noise", 0 <= self.background_noise <= 64, "from 0 to 64")
        self._demand("background_grain", 1 <= self.background_grain <= 64, "from 1 to 64")
        self._demand("pixel_noise", 0 <= self.pixel_noise <= 64, "from 0 to 64")

    def _demand(self, name: str, fulfilled: bool, allowed: str) -> None:
        if not fulfilled:
            raise UsageError(f"{name} must be {allowed}, not {getattr(self, name)}")

    @property
    def max_overlap(self) -> int:
        """The overlap limit in square pixels."""
        return int(self.overlap * self.object_size**2)

    @property
    def palette(self) -> tuple[Colour, ...]:
        """The colours that objects may have."""
        raise NotImplementedError

    def plain(self) -> dict[str, Any]:
        """The settings as values that JSON knows, with the kind of data set."""
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            # Videos keep the fingerprint that they had before there were these settings.
            if name not in _ADDED_LATER or value != type(self).__dataclass_fields__[name].default
        }
        return {"dataset": self.dataset, **values}

    def describe(self, digit_source: str) -> DataDescription:
        """What trackers may know of the data."""
        return DataDescription(
            dataset=self.dataset,
            frame_size=self.frame_size,
            n_frames=self.n_frames,
            max_objects=self.max_objects,
            palette=self.palette,
            digit_source=digit_source,
            background=self.background,
        )


@dataclass(frozen=True, kw_only=True)
class MnistSettings(SceneSettings):
    """Scattered MNIST: white digits that drift over black and through each other.

    Attributes:
        coloured: whether each digit has one of six colours instead of white.
        adds_up: whether grey levels add up, up to white, where digits overlap; else later digits
            cover earlier ones.

    Source: supplement D.1; docs/benchmark.md 1.2.
    """

    dataset: ClassVar[str] = "mnist"

    max_objects: int = 12
    speed: float = 2.0
    coloured: bool = False
    adds_up: bool = False

    @property
    def palette(self) -> tuple[Colour, ...]:
        """White, or the six colours."""
        return tuple(COLOURS.values()) if self.coloured else (WHITE,)

    @property
    def canonical_name(self) -> str:
        """The name where all else is the paper's, such as "scattered-mnist-12"."""
        if self.motion == "cross":
            return "mnist-mot"
        return f"scattered-mnist-{self.max_objects}"

    @property
    def test_counts(self) -> tuple[int, ...]:
        """Numbers of digits in test videos: 1 .. 12, and on to what was trained on."""
        if self.motion == "cross":
            return tuple(range(1, self.max_objects + 1))
        return tuple(range(1, max(12, self.max_objects) + 1))


@dataclass(frozen=True, kw_only=True)
class ShapesSettings(SceneSettings):
    """Scattered Shapes: five shapes in six colours, of varied size and stretch.

    Attributes:
        size_spread: standard deviation of each side of each object, as a share of object_size.
        shapes: what there is, of "circle", "diamond", "star", "cross", "x", "rectangle" and
            "triangle"; an object's class is 6 x the place of its shape here + its colour.

    Source: supplement D.2; docs/benchmark.md 1.3.
    """

    dataset: ClassVar[str] = "shapes"

    max_objects: int = 8
    speed: float = 5.0
    size_spread: float = 0.1
    shapes: tuple[str, ...] = SHAPES

    def __post_init__(self) -> None:
        super().__post_init__()
        self._demand("size_spread", 0 <= self.size_spread <= 1, "from 0 to 1")
        known = bool(self.shapes) and set(self.shapes) <= set(ALL_SHAPES)
        self._demand("shapes", known, f"some of {', '.join(ALL_SHAPES)}")

    @property
    def palette(self) -> tuple[Colour, ...]:
        """The six colours."""
        return tuple(COLOURS.values())

    @property
    def canonical_name(self) -> str:
        """Such as "scattered-shapes-48"; unusual numbers of training objects are added."""
        if self.motion == "cross":
            return "sprites-mot"
        side = self.frame_size[1]
        usual = {48: (1, 8), 96: (1, 10)}.get(side)
        counts = (self.min_objects, self.max_objects)
        added = "" if counts == usual else f"-{self.min_objects}-{self.max_objects}"
        return f"scattered-shapes-{side}{added}"

    @property
    def test_counts(self) -> tuple[int, ...]:
        """Numbers of shapes in test videos: 1 .. 8, in frames from 96 pixels on 1 .. 35."""
        if self.motion == "cross":
            return tuple(range(1, self.max_objects + 1))
        most = 35 if min(self.frame_size) >= 96 else 8
        return tuple(range(1, max(most, self.max_objects) + 1))


Settings = MnistSettings | ShapesSettings

_CROSSING: Any = {
    "frame_size": (128, 128),
    "n_frames": 20,
    "max_objects": 3,
    "speed": 5.3,
    "motion": "cross",
}
CANONICAL: dict[str, Settings] = {
    "scattered-mnist-6": MnistSettings(max_objects=6),
    "scattered-mnist-12": MnistSettings(max_objects=12),
    "scattered-shapes-48": ShapesSettings(max_objects=8),
    "scattered-shapes-96": ShapesSettings(frame_size=(96, 96), max_objects=10),
    "scattered-shapes-96-11-20": ShapesSettings(
        frame_size=(96, 96), min_objects=11, max_objects=20
    ),
    "scattered-shapes-96-21-30": ShapesSettings(
        frame_size=(96, 96), min_objects=21, max_objects=30
    ),
    # After "Tracking by Animation" (docs/mot-worlds.md).
    "mnist-mot": MnistSettings(**_CROSSING, object_size=28, adds_up=True),
    "sprites-mot": ShapesSettings(
        **_CROSSING,
        object_size=21,
        size_spread=0.08,
        shapes=("circle", "rectangle", "triangle", "diamond"),
    ),
}


def dataset_name(settings: Settings) -> str:
    """What to call a data set: a canonical name, with what differs from the paper behind it."""
    usual = CANONICAL.get(settings.canonical_name)
    if usual == settings:
        return settings.canonical_name
    reference = usual or type(settings)(
        frame_size=settings.frame_size,
        min_objects=settings.min_objects,
        max_objects=settings.max_objects,
    )
    parts = [settings.canonical_name]
    for name in (each.name for each in fields(settings)):
        value = getattr(settings, name)
        if value != getattr(reference, name):
            numbers = value if isinstance(value, tuple) else (value,)
            said = "on" if value is True else "x".join(map(_short, numbers))
            parts.append(f"{name.replace('_', '-')}-{said}")
    return "-".join(parts)


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
