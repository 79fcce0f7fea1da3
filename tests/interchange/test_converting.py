"""Videos and tracks of other tools become files that every command takes, and leave as theirs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from smot.cli import cli
from smot.errors import SmotError, UsageError
from smot.generators import CANONICAL
from smot.generators.synthesis import generate
from smot.interchange import open_source, write_coco_vid, write_motchallenge, write_npz
from smot.interchange.footage import describe, open_footage
from smot.tracks import Tracks
from smot.videos import open_videos

H, W, T = 24, 32, 7
TRACKED = ("baseline", "--save-tracks", "--no-report")


def run(*typed: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, typed)))


def done(*typed: object) -> str:
    result = run(*typed)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def squares(n_objects: int, n_frames: int = T) -> tuple[np.ndarray, Tracks]:
    """Grey squares of 5 pixels that move right by one, and out of the frame, and their tracks."""
    frames = np.zeros((n_frames, H, W, 3), np.uint8)
    boxes = np.zeros((1, n_frames, n_objects, 4))
    for t in range(n_frames):
        for k in range(n_objects):
            x, y = 20 + t, 1 + 7 * k
            frames[t, y : y + 5, x : x + 5] = 200
            boxes[0, t, k] = x, y, x + 5, y + 5
    boxes[..., 0] = np.minimum(boxes[..., 0], 40)
    return frames, Tracks.from_slots(boxes, np.ones((1, n_frames, n_objects), np.bool_))


def write_frames(folder: Path, frames: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t + 1}.png")


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    for name, n_objects in (("one", 1), ("three", 3)):
        frames, tracks = squares(n_objects, T + n_objects)
        write_frames(tmp_path / "mot" / name / "img1", frames)
        write_motchallenge(tmp_path / "mot" / name / "gt" / "gt.txt", tracks, is_truth=True)
    return tmp_path / "mot"


def test_sequences_become_a_file_that_every_command_takes(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.h5"
    said = done("convert", sequences, "--out", out, "--n-frames", 5)
    assert "3 clips: test/01 1, test/03 2" in said
    with open_videos(out) as file:
        video = file.read("test/03", 0, 2)
        frames, tracks = squares(3, 10)
        np.testing.assert_array_equal(video.frames.reshape(10, H, W, 3), frames)
        assert video.boxes.shape == (2, 5, 3, 4)
        # What has left the frame is cut off at its side.
        expected = tracks.boxes[0].reshape(2, 5, 3, 4).clip(0, [W, H, W, H])
        np.testing.assert_allclose(video.boxes, expected)
        assert video.velocity[0].tolist() == [[1, 0]] * 3
    done("verify", out, "--quiet")
    done("inspect", out)
    done("show", out, "--group", "test/03", "--out", tmp_path / "strip.png")
    done("baseline", "conncomp", "--data", out, "--out", tmp_path / "r", "--no-report")
    found = json.loads((tmp_path / "r" / "results.json").read_text())
    assert found["tracking"]["3"]["mota"] == 1.0
    assert found["dataset"]["kind"] == "video"


def test_groups_may_have_names(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.h5"
    done("convert", sequences, "--out", out, "--n-frames", 5, "--by", "video")
    folder = tmp_path / "r"
    typed = ("baseline", "conncomp", "--data", out, "--out", folder, "--save-tracks")
    said = done(*typed)
    assert "three" in said
    assert "mean of counts" not in said
    assert "test/three, video 0" in (folder / "report.html").read_text()
    assert "tracking,three," in (folder / "results.csv").read_text()
    refused = run(*typed, "--counts", "1")
    assert "the data has groups by name: test/one, test/three" in str(refused.exception)
    same = ("score", "--truth", out, "--pred", folder / "tracks.npz", "--no-report")
    assert "1.000" in done(*same, "--out", tmp_path / "s")


def test_frames_are_resized_and_boxes_with_them(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.h5"
    done("convert", sequences, "--out", out, "--resize", "12x16", "--n-frames", 1)
    with open_videos(out) as file:
        assert file.description.frame_size == (12, 16)
        video = file.read("test/01", 0, 1)
    np.testing.assert_allclose(video.boxes[0, 0, 0], [10, 0.5, 12.5, 3])


def test_coco_truth_of_a_folder_of_frames(tmp_path: Path) -> None:
    frames, tracks = squares(2)
    write_frames(tmp_path / "videos" / "street", frames)
    seen = np.full(tracks.shape, 0.5)
    write_coco_vid(
        tmp_path / "t.json", tracks, frame_size=(H, W), visibility=seen, names=["street"]
    )
    out = tmp_path / "made.h5"
    done("convert", tmp_path / "videos", "--truth", tmp_path / "t.json", "--out", out)
    with open_videos(out) as file:
        video = file.read("test/02", 0, 1)
    assert video.visibility.tolist() == [[[0.5, 0.5]] * T]
    assert video.label.tolist() == [[0, 0]]


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "small.h5"
    generate(CANONICAL["scattered-shapes-48"], None, path, groups={"test/01": 3, "test/03": 4})
    return path


def test_saved_tracks_score_as_they_were_evaluated(small_file: Path, tmp_path: Path) -> None:
    done(*TRACKED, "oracle-jitter", "--data", small_file, "--out", tmp_path)
    pair = ("--truth", small_file, "--pred", tmp_path / "tracks.npz")
    done("score", *pair, "--by", "count", "--no-report", "--out", tmp_path / "again")
    first, again = (
        json.loads((folder / "results.json").read_text())
        for folder in (tmp_path, tmp_path / "again")
    )
    for count, scores in first["tracking"].items():
        assert again["tracking"][count]["counts"] == scores["counts"]
    assert again["occlusion"] == first["occlusion"]


@pytest.mark.parametrize("kind", ["mot", "coco"])
def test_what_is_exported_scores_the_same(small_file: Path, tmp_path: Path, kind: str) -> None:
    done(*TRACKED, "oracle-jitter", "--data", small_file, "--out", tmp_path)
    end = ".json" if kind == "coco" else ""
    truth, found = tmp_path / f"truth{end}", tmp_path / f"found{end}"
    for source, target in ((small_file, truth), (tmp_path / "tracks.npz", found)):
        said = done("export", source, "--group", "test/03", "--format", kind, "--out", target)
        assert "4 videos" in said
    done("score", "--no-report", "--truth", truth, "--pred", found, "--out", tmp_path / "again")
    first, again = (
        json.loads((folder / "results.json").read_text())["tracking"]
        for folder in (tmp_path, tmp_path / "again")
    )
    for metric in ("mota", "idf1", "hota", "n_truth", "n_predicted"):
        assert again["0"][metric] == pytest.approx(first["3"][metric], abs=1e-6), metric


def test_trackeval_gets_truth_and_predictions(small_file: Path, tmp_path: Path) -> None:
    done(*TRACKED, "oracle", "--data", small_file, "--out", tmp_path)
    typed = ("export", tmp_path / "tracks.npz", "--group", "test/01", "--format", "trackeval")
    done(*typed, "--truth", small_file, "--name", "mine", "--out", tmp_path / "te")
    assert len(list((tmp_path / "te" / "gt").rglob("gt.txt"))) == 3
    assert len(list((tmp_path / "te" / "trackers").rglob("mine/data/*.txt"))) == 3
    assert "give --truth" in str(run(*typed, "--out", tmp_path / "other").exception)
    assert "is there already" in str(
        run(*typed, "--truth", small_file, "--out", tmp_path / "te").exception
    )


def first_frames(path: Path, **more: Any) -> list[np.ndarray]:
    return [np.stack(list(each.frames())) for each in open_footage(path, **more)]


def test_every_kind_of_video_is_read(tmp_path: Path) -> None:
    frames, _ = squares(2)
    write_frames(tmp_path / "folder", frames)
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    np.save(tmp_path / "one.npy", frames)
    np.save(tmp_path / "grey.npy", frames[..., 0])
    np.savez(tmp_path / "a.npz", frames=frames[None] / 255)
    for name in ("folder", "a.gif", "one.npy", "grey.npy", "a.npz"):
        (read,) = first_frames(tmp_path / name)
        np.testing.assert_array_equal(read, frames, err_msg=name)
    moving = np.stack([frames[..., 0]] * 9, 1)
    np.save(tmp_path / "mnist_test_seq.npy", moving)
    with pytest.warns(UserWarning, match="as Moving MNIST"):
        many = first_frames(tmp_path / "mnist_test_seq.npy")
    assert len(many) == 9
    np.testing.assert_array_equal(many[8], frames)


def test_video_files_are_read(tmp_path: Path) -> None:
    pytest.importorskip("av")
    from smot.filmstrips import save_video

    frames, _ = squares(2)
    save_video(tmp_path / "a.mp4", [Image.fromarray(frame) for frame in frames])
    (read,) = first_frames(tmp_path / "a.mp4")
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).max() < 40  # compressed


def test_a_video_describes_its_background_and_colours() -> None:
    frames, _ = squares(2)
    frames[..., 0] += 3  # what compression makes of black
    footage = open_footage_of(frames)
    described = describe(footage)
    assert (described.background, described.palette) == ((0, 0, 0), ((255, 255, 255),))
    frames[:, 2, 2] = [250, 10, 10]
    assert len(describe(open_footage_of(frames)).palette) == 6


def open_footage_of(frames: np.ndarray) -> Any:
    from smot.interchange.footage import Footage

    return Footage(name="a", frames=lambda: iter(frames), n_frames=len(frames))


def test_what_cannot_be_converted_is_refused_in_one_line(tmp_path: Path, sequences: Path) -> None:
    frames, _ = squares(1)
    (tmp_path / "empty").mkdir()
    write_frames(tmp_path / "mixed", frames[:2])
    Image.fromarray(frames[0, :9]).save(tmp_path / "mixed" / "9.png")
    write_frames(tmp_path / "broken", frames[:1])
    (tmp_path / "broken" / "2.png").write_bytes(b"no picture")
    (tmp_path / "a.gif").write_bytes(b"GIF89a and so on")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    np.save(tmp_path / "odd.npy", np.zeros((3, 4)))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    write_npz(tmp_path / "truth.npz", {"": squares(1)[1]})
    truth = ("--truth", tmp_path / "truth.npz")
    for name, more, said in (
        ("nothing", truth, "no such file or folder"),
        ("empty", truth, "no video"),
        ("mixed", truth, "9 x 32 pixels, and the first is 24 x 32"),
        ("broken", truth, "2.png: cannot be read"),
        ("a.gif", truth, "a.gif: cannot be read"),
        ("a.mp4", truth, "a.mp4"),
        ("odd.npy", truth, "videos must be"),
        ("objects.npy", truth, "objects.npy: cannot be read"),
        ("mot", truth, "no truth for one, three"),
        ("mot", ("--n-frames", 99), "no video has 99 frames"),
    ):
        result = run("convert", tmp_path / name, *more, "--out", tmp_path / "out.h5", "--quiet")
        assert isinstance(result.exception, SmotError), (name, result.output, result.exception)
        assert said in str(result.exception)
        assert "\n" not in str(result.exception)
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []
    assert open_source(sequences, is_truth=True).videos.keys() == {"one", "three"}


def test_clips_without_objects_are_a_group_too(tmp_path: Path) -> None:
    frames, tracks = squares(1)
    write_frames(tmp_path / "mot" / "full" / "img1", frames)
    write_motchallenge(tmp_path / "mot" / "full" / "gt" / "gt.txt", tracks, is_truth=True)
    write_frames(tmp_path / "mot" / "bare" / "img1", frames)
    (tmp_path / "mot" / "bare" / "gt").mkdir()
    (tmp_path / "mot" / "bare" / "gt" / "gt.txt").touch()
    out = tmp_path / "made.h5"
    assert "2 clips: test/00 1, test/01 1" in done("convert", tmp_path / "mot", "--out", out)
    with open_videos(out) as file:
        assert not file.read("test/00", 0, 1).present.any()


def test_videos_that_are_too_short_are_named(sequences: Path, tmp_path: Path) -> None:
    said = done("convert", sequences, "--out", tmp_path / "made.h5", "--n-frames", T + 2)
    assert f"left out, shorter than {T + 2} frames: one" in said
    assert "1 clips" in said


def test_coco_needs_to_know_how_long_videos_are(tmp_path: Path) -> None:
    _, tracks = squares(1)
    for name in ("a", "b"):
        write_motchallenge(tmp_path / "gt" / name / "gt" / "gt.txt", tracks, is_truth=True)
        # Lost before the end, which its file does not say.
        write_motchallenge(tmp_path / "pred" / f"{name}.txt", tracks[:, :4])
    typed = ("export", tmp_path / "pred", "--format", "coco", "--out", tmp_path / "pred.json")
    refused = run(*typed)
    assert isinstance(refused.exception, UsageError)
    assert "give --truth" in str(refused.exception)
    done(*typed, "--truth", tmp_path / "gt")
    images = {entry["image_id"] for entry in json.loads((tmp_path / "pred.json").read_text())}
    assert len(images) == 8
    assert max(images) - min(images) == T + 3  # the second video begins where the first would end


@pytest.mark.parametrize("confidence", ["2", "nan", "-1"])
def test_a_confidence_that_cannot_be_is_refused(tmp_path: Path, confidence: str) -> None:
    write_motchallenge(tmp_path / "a.txt", squares(1)[1])
    typed = ("--format", "mot", "--out", tmp_path / "out", "--confidence", confidence)
    refused = run("export", tmp_path / "a.txt", *typed)
    assert isinstance(refused.exception, UsageError)
    assert not (tmp_path / "out").exists()
