import json
from pathlib import Path

import numpy as np
import pytest

from smot.errors import DataError
from smot.interchange import from_arrays, to_arrays, write_coco_vid
from smot.tracks import Tracks
from tests.evaluation.sequences import untidy_sequences


def test_tracks_can_be_rebuilt_from_the_tables(tmp_path: Path) -> None:
    _, tracks = untidy_sequences(np.random.default_rng(0), n_videos=5)
    write_coco_vid(tmp_path / "a.json", tracks, frame_size=(40, 50))
    boxes = json.loads((tmp_path / "a.json").read_text())
    seen = np.ones(tracks.shape)
    write_coco_vid(tmp_path / "truth.json", tracks, frame_size=(40, 50), visibility=seen)
    tables = json.loads((tmp_path / "truth.json").read_text())
    images = {image["id"]: image for image in tables["images"]}
    assert [each["bbox"] for each in tables["annotations"]] == [each["bbox"] for each in boxes]
    corner, side = np.split(np.array([each["bbox"] for each in boxes]), 2, axis=1)
    again = from_arrays(
        video=[images[each["image_id"]]["video_id"] - 1 for each in boxes],
        frame=[images[each["image_id"]]["frame_id"] for each in boxes],
        identity=[each["track_id"] for each in boxes],
        box=np.concatenate([corner, corner + side], 1),
        confidence=[each["score"] for each in boxes],
        n_videos=5,
        n_frames=8,
    )
    first, second = to_arrays(tracks), to_arrays(again)
    for name in ("video", "frame", "identity", "box", "confidence"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_truth_tells_visibility_and_every_frame_is_listed(tmp_path: Path) -> None:
    boxes = np.tile([1.0, 2, 5, 9], (1, 2, 1, 1))
    truth = Tracks.from_slots(boxes, np.array([[[True], [False]]]))
    seen = np.array([[[0.5], [1.0]]])
    write_coco_vid(tmp_path / "a.json", truth, frame_size=(40, 50), visibility=seen)
    tables = json.loads((tmp_path / "a.json").read_text())
    assert tables["videos"] == [{"id": 1, "name": "00000", "width": 50, "height": 40}]
    assert [image["file_name"] for image in tables["images"]] == [
        "00000/000000.png",
        "00000/000001.png",
    ]
    (annotation,) = tables["annotations"]
    assert annotation["bbox"] == [1, 2, 4, 7]
    assert annotation["area"] == 28
    assert annotation["visibility"] == 0.5
    assert "score" not in annotation


def test_visibility_of_another_shape_is_refused(tmp_path: Path) -> None:
    tracks = Tracks.from_slots(np.zeros((1, 2, 1, 4)), np.ones((1, 2, 1), np.bool_))
    with pytest.raises(DataError, match="visibility must be"):
        write_coco_vid(
            tmp_path / "a.json", tracks, frame_size=(4, 4), visibility=np.ones((1, 1, 1))
        )


def test_instances_are_unique_over_the_file_and_digits_are_categories(tmp_path: Path) -> None:
    boxes = np.tile([1.0, 2, 5, 9], (2, 2, 2, 1))
    truth = Tracks.from_slots(boxes, np.ones((2, 2, 2), np.bool_))
    label = np.array([[3, 0], [9, 3]], np.int16)
    write_coco_vid(tmp_path / "a.json", truth, frame_size=(40, 50), label=label)
    tables = json.loads((tmp_path / "a.json").read_text())
    names = {each["id"]: each["name"] for each in tables["categories"]}
    assert len(names) == 10
    found = [
        (each["video_id"], each["track_id"], names[each["category_id"]], each["instance_id"])
        for each in tables["annotations"]
    ]
    assert set(found) == {(1, 0, "3", 1), (1, 1, "0", 2), (2, 0, "9", 3), (2, 1, "3", 4)}
    assert not any("score" in each for each in tables["annotations"])
    with pytest.raises(DataError, match=r"label must be \[2, 2\]"):
        write_coco_vid(tmp_path / "b.json", truth, frame_size=(40, 50), label=label[:1])


def test_nothing_found_is_an_empty_list(tmp_path: Path) -> None:
    nothing = from_arrays(frame=[], identity=[], box=[], n_frames=3)
    write_coco_vid(tmp_path / "a.json", nothing, frame_size=(40, 50))
    assert json.loads((tmp_path / "a.json").read_text()) == []
