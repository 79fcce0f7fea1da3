"""Videos of one's own are tracked, whatever their length."""

import json
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from smot.cli import cli
from smot.errors import DataError, UsageError
from smot.filmstrips import identity_colour
from smot.interchange import open_source, tracking
from smot.interchange.footage import describe, open_footage
from smot.trackers import build_tracker
from smot.tracks import Streamer, Tracks
from tests.evaluation.made import one_box

SIDE, T = 48, 6


def run(*typed: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, typed)))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two white squares that move apart."""
    frames = np.zeros((T, SIDE, SIDE, 3), np.uint8)
    for t in range(T):
        frames[t, 5:13, 10 + t : 18 + t] = 255
        frames[t, 30:38, 30 - t : 38 - t] = 255
    np.savez(tmp_path / "clip.npz", frames=frames)
    return tmp_path / "clip.npz"


@pytest.mark.parametrize(("kind", "ending"), [("mot", "txt"), ("npz", "npz")])
def test_tracks_read_back_with_films_and_strips_beside_them(
    video: Path, tmp_path: Path, kind: str, ending: str
) -> None:
    out, film = tmp_path / "found", tmp_path / "film.gif"
    result = run(
        "track",
        "conncomp",
        video,
        "--format",
        kind,
        "--out",
        out,
        "--overlay",
        film,
        "--filmstrip",
    )
    assert result.exit_code == 0, result.output
    (load,) = open_source(out / f"clip.{ending}", is_truth=False).videos.values()
    boxes = load().box[load().frame == 2]
    assert sorted(boxes.tolist()) == [[12, 5, 20, 13], [28, 30, 36, 38]]
    with Image.open(film) as picture:
        assert getattr(picture, "n_frames", 1) == T
    assert (out / "clip.png").is_file()


def test_coco_names_frames_and_boxes(video: Path, tmp_path: Path) -> None:
    result = run("track", "conncomp", video, "--format", "coco", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "clip.json").read_text())
    assert len(found) == 2 * T
    third = [each["bbox"] for each in found if each["image_id"] == 3]
    assert sorted(third) == [[12, 5, 8, 8], [28, 30, 8, 8]]
    assert len({each["track_id"] for each in found}) == 2


def test_an_mp4_shows_every_frame_with_its_boxes(video: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra video")
    film = tmp_path / "film.mp4"
    result = run("track", "conncomp", video, "--out", tmp_path, "--overlay", film)
    assert result.exit_code == 0, result.output
    (footage,) = open_footage(film)
    pictures = np.stack(list(footage.frames())).astype(int)
    assert pictures.shape[0] == T
    scale = pictures.shape[1] // SIDE
    rim = (pictures.shape[1] - scale * SIDE) // 2
    for t, picture in enumerate(pictures):
        for identity, (x, y) in enumerate([(10 + t, 5), (30 - t, 30)]):
            rows, columns = (slice(rim + scale * a - 4, rim + scale * (a + 8) + 4) for a in (y, x))
            off = abs(picture - identity_colour(identity)).sum(-1) < 90
            # Compression blurs thin lines; that much of them is there, and nowhere else.
            assert off[rows, columns].sum() > 0.6 * 4 * 8 * scale
            assert off.sum() < off[rows, columns].sum() + 20


def test_a_filmstrip_has_the_numbers_of_its_frames(tmp_path: Path) -> None:
    frames = np.zeros((40, 16, 16, 3), np.uint8)
    frames[:, 2:6, 2:6] = 255
    np.save(tmp_path / "long.npy", frames)
    (footage,) = open_footage(tmp_path / "long.npy")
    tracker = build_tracker("conncomp", {}, describe(footage))
    followed = tracking.Followed(footage=footage, tracker=tracker)
    tracking.run(followed)
    tracking.save_filmstrip(followed, tmp_path / "strip.svg")
    numbers = re.findall(r">(\d+)</text>", (tmp_path / "strip.svg").read_text())
    assert numbers == [str(1 + t) for t in range(0, 40, 4)]


def test_boxes_are_in_the_pixels_of_the_video(video: Path, tmp_path: Path) -> None:
    result = run("track", "conncomp", video, "--out", tmp_path / "found", "--resize", "24")
    assert result.exit_code == 0
    assert "48 x 48 pixels, resized to 24 x 24" in result.output
    first = (tmp_path / "found" / "clip.txt").read_text().splitlines()[0].split(",")
    assert 9 < float(first[2]) < 33
    assert 6 < float(first[4]) < 14


def test_a_tracker_without_a_stream_refuses_what_it_cannot_hold(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "WHOLE", 3 * SIDE * SIDE * 3)
    result = run("track", "tests.test_trackers:Still", video, "--out", tmp_path / "found")
    assert isinstance(result.exception, UsageError)
    assert "at most 3 frames" in str(result.exception)


def test_a_dark_on_light_video_is_refused(video: Path, tmp_path: Path) -> None:
    with np.load(video) as stored:
        np.savez(tmp_path / "light.npz", frames=255 - stored["frames"])
    result = run("track", "silot", tmp_path / "light.npz", "--out", tmp_path / "found")
    assert isinstance(result.exception, UsageError)
    assert "no weights of silot are packaged for video videos like these" in str(result.exception)


def test_a_tracker_that_needs_the_truth_is_refused(video: Path, tmp_path: Path) -> None:
    result = run("track", "oracle-motion", video, "--out", tmp_path / "found")
    assert isinstance(result.exception, UsageError)


def test_nothing_is_replaced_unasked(video: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "found")
    assert run("track", "conncomp", video, *out).exit_code == 0
    assert isinstance(run("track", "conncomp", video, *out).exception, UsageError)
    assert run("track", "conncomp", video, *out, "--force").exit_code == 0


@pytest.mark.parametrize("name", ["silot", "conncomp"])
def test_trackers_that_stream_find_what_they_find_in_the_whole(name: str, video: Path) -> None:
    (footage,) = open_footage(video)
    tracker = build_tracker(name, {}, describe(footage))
    assert isinstance(tracker, Streamer)
    frames = np.stack(list(footage.frames()))
    whole = tracker.track(frames[None]).above(0.5)
    followed = tracking.Followed(footage=footage, tracker=tracker)
    streamed = tracking.run(followed)
    assert whole.present.sum() == streamed.present.sum() > 0
    for t in range(T):
        there, here = whole.present[0, t], streamed.present[0, t]
        assert whole.ids[0, t, there].tolist() == streamed.ids[0, t, here].tolist()
        np.testing.assert_allclose(whole.boxes[0, t, there], streamed.boxes[0, t, here], atol=1e-4)


class Streaming:
    """Streams what it is made with: tracks, anything else, or an error."""

    name = "streaming"

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def track(self, videos: np.ndarray) -> Tracks:
        raise NotImplementedError

    def stream(self) -> "Streaming":
        return self

    def update(self, frame: np.ndarray) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "tracker 'streaming' gave None on clip, not Tracks of 1 video of 1 frames"),
        (one_box(1, 2), "gave <Tracks: 1 videos, 2 frames"),
        (ValueError("no"), "tracker 'streaming' failed on clip: ValueError: no ("),
        (DataError("no"), "tracker 'streaming' failed on clip: no"),
    ],
)
def test_what_a_stream_cannot_answer_is_refused(video: Path, answer: object, said: str) -> None:
    (footage,) = open_footage(video)
    with pytest.raises(DataError, match=re.escape(said)):
        tracking.run(tracking.Followed(footage=footage, tracker=Streaming(answer)))


def test_what_does_not_count_is_not_written_of_a_stream_either(video: Path) -> None:
    (footage,) = open_footage(video)
    for confidence, n_found in ((0.5, 0), (0.6, T)):
        answer = replace(one_box(1, 1), confidence=np.full((1, 1, 1), confidence))
        found = tracking.run(tracking.Followed(footage=footage, tracker=Streaming(answer)))
        assert found.present.sum() == n_found


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("list", "tracker 'failing' gave [] on clip, not Tracks of 1 video of 6 frames"),
        ("short", "gave <Tracks: 1 videos, 5 frames"),
        ("exit", "tracker 'failing' failed on clip: SystemExit: 0 ("),
    ],
)
def test_a_tracker_that_fails_on_a_whole_video_is_named(
    video: Path, tmp_path: Path, how: str, said: str
) -> None:
    words = ("--set", f"how={how}", "--out", tmp_path)
    result = run("track", "tests.evaluation.made_trackers:Failing", video, *words)
    assert isinstance(result.exception, DataError)
    assert said in str(result.exception)


def test_videos_of_one_name_are_named(video: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.zeros((2, 8, 8), np.uint8))
    result = run("track", "conncomp", video, tmp_path / "clip.npy", "--out", tmp_path)
    assert "several videos are called clip" in str(result.exception)


def test_an_array_without_frames_is_called_that(tmp_path: Path) -> None:
    np.save(tmp_path / "empty.npy", np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"\[0, 8, 8, 3\] is a video without frames"):
        open_footage(tmp_path / "empty.npy")


class Stopped(Streaming):
    """Is interrupted in the second frame."""

    n_frames = 0

    def __init__(self) -> None:
        super().__init__(one_box(1, 1))

    def update(self, frame: np.ndarray) -> Tracks:
        Stopped.n_frames += 1
        if Stopped.n_frames == 2:
            signal.raise_signal(signal.SIGINT)
        return one_box(1, 1)


def test_an_interrupt_stops_between_two_frames_and_leaves_nothing(
    video: Path, tmp_path: Path
) -> None:
    more = ("--out", tmp_path / "found", "--overlay", tmp_path / "film.gif")
    result = run("track", "tests.interchange.test_tracking:Stopped", video, *more)
    assert result.exit_code != 0
    assert Stopped.n_frames == 2
    assert [each.name for each in tmp_path.rglob("*")] == ["clip.npz"]
