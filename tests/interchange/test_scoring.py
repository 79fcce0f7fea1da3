"""`smot score` gives what TrackEval and py-motmetrics give for the same files."""

import contextlib
import io
import json
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from smot.boxes import iou
from smot.cli import cli
from smot.errors import DataError, SmotError
from smot.interchange import write_coco_vid, write_motchallenge
from smot.interchange.annotation import Annotation, excused
from smot.interchange.columns import is_named_table, read_npz, read_table, write_npz
from smot.tracks import Tracks
from tests.evaluation.sequences import untidy_sequences

TUD = Path(str(distribution("motmetrics").locate_file("motmetrics/data")))


def scored(folder: Path, *options: str) -> dict[str, Any]:
    """results.json of a run over truth/ and found/ of a folder."""
    done = run(folder, *options)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    return found


def run(folder: Path, *options: str) -> Result:
    typed = ["score", "--quiet", "--no-report", "--out", str(folder / "out"), *options]
    for option, name in (("--truth", "truth"), ("--pred", "found")):
        if option not in options:
            typed += [option, str(folder / name)]
    return CliRunner().invoke(cli, typed)


def test_a_folder_named_gt_may_hold_a_file_for_each_video(tmp_path: Path) -> None:
    for name in ("gt", "found"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.txt").write_text("1,1,2,3,4,5,1,1,1\n")
    found = scored(tmp_path, "--truth", str(tmp_path / "gt"))
    assert found["tracking"]["0"]["mota"] == 1


def write_sequences(folder: Path, *, preprocessed: bool) -> list[str]:
    """Two videos with pedestrians, other classes and boxes that do not count, and predictions."""
    truth, found = untidy_sequences(np.random.default_rng(3), n_videos=2, n_objects=9)
    generator = np.random.default_rng(4)
    names = ["MOT17-02", "MOT17-04"]
    for video, name in enumerate(names):
        one = slice(video, video + 1)
        home = folder / "truth" / "MOT17-train" / name
        write_motchallenge(home / "gt" / "gt.txt", truth[one], is_truth=True)
        rows = [line.split(",") for line in (home / "gt" / "gt.txt").read_text().split()]
        classes = generator.choice([1, 1, 2, 3, 7, 8, 12], 100) if preprocessed else np.ones(100)
        for row in rows:
            row[6:8] = [str(int(generator.random() < 0.9)), str(int(classes[int(row[1])]))]
        (home / "gt" / "gt.txt").write_text("\n".join(map(",".join, rows)))
        (home / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nseqLength={truth.shape[1]}\nimWidth=64\nimHeight=48\n"
        )
        path = folder / "found" / "MOT17-train" / "mine" / "data" / f"{name}.txt"
        write_motchallenge(path, found[one])
    (folder / "truth" / "seqmaps").mkdir()
    (folder / "truth" / "seqmaps" / "MOT17-train.txt").write_text("\n".join(["name", *names, ""]))
    return names


def by_trackeval(folder: Path, *, preprocessed: bool) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        import trackeval

        silent = ["PRINT_CONFIG", "TIME_PROGRESS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED"]
        silent += ["PLOT_CURVES", "PRINT_RESULTS", "OUTPUT_EMPTY_CLASSES"]
        evaluator = trackeval.Evaluator(
            {**dict.fromkeys(silent, False), "BREAK_ON_ERROR": True, "LOG_ON_ERROR": None}
        )
        data = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(folder / "truth"),
                "TRACKERS_FOLDER": str(folder / "found"),
                "BENCHMARK": "MOT17",
                "SPLIT_TO_EVAL": "train",
                "DO_PREPROC": preprocessed,
                "TRACKERS_TO_EVAL": ["mine"],
                "PRINT_CONFIG": False,
            }
        )
        settings = {"PRINT_CONFIG": False, "THRESHOLD": 0.5}
        metrics = [trackeval.metrics.HOTA()]
        metrics += [trackeval.metrics.CLEAR(settings), trackeval.metrics.Identity(settings)]
        results, _ = evaluator.evaluate([data], metrics)
    found: dict[str, Any] = results["MotChallenge2DBox"]["mine"]
    return found


@pytest.mark.parametrize("preprocessed", [True, False])
def test_trackeval_gives_the_same_for_its_own_folders(tmp_path: Path, preprocessed: bool) -> None:
    names = write_sequences(tmp_path, preprocessed=preprocessed)
    ours = scored(tmp_path, "--by", "sequence", "--convention", "trackeval")
    groups = [ours["dataset"]["videos"][key]["group"] for key in ours["tracking"]]
    assert groups == ["all", *names]
    theirs = by_trackeval(tmp_path, preprocessed=preprocessed)
    for key, name in zip(ours["tracking"], ["COMBINED_SEQ", *names], strict=True):
        mine, yours = ours["tracking"][key], theirs[name]["pedestrian"]
        assert mine["n_truth"] == yours["CLEAR"]["CLR_TP"] + yours["CLEAR"]["CLR_FN"]
        assert mine["n_predicted"] == yours["CLEAR"]["CLR_TP"] + yours["CLEAR"]["CLR_FP"]
        assert mine["switches"] == yours["CLEAR"]["IDSW"]
        assert mine["mota"] == pytest.approx(yours["CLEAR"]["MOTA"], abs=1e-9)
        assert mine["idf1"] == pytest.approx(yours["Identity"]["IDF1"], abs=1e-9)
        assert mine["hota"] == pytest.approx(yours["HOTA"]["HOTA"].mean(), abs=1e-9)
    # Predictions were taken out, or the test would say nothing.
    n_lines = sum(len(file.read_text().split()) for file in (tmp_path / "found").rglob("*.txt"))
    assert (ours["tracking"]["0"]["n_predicted"] < n_lines) == preprocessed


def accumulated(folder: Path) -> Any:
    """py-motmetrics' events of a video; its own IoU does not run with numpy 2."""
    import motmetrics

    sides = [
        motmetrics.io.loadtxt(folder / file, fmt="mot15-2D", min_confidence=least)
        for file, least in (("gt.txt", 1), ("test.txt", -1))
    ]
    events = motmetrics.MOTAccumulator()
    frames = [side.index.get_level_values(0) for side in sides]
    for frame in sorted(set(frames[0]) | set(frames[1])):
        ids, boxes = [], []
        for side, known in zip(sides, frames, strict=True):
            here = side[known == frame]
            box = here[["X", "Y", "Width", "Height"]].to_numpy()
            box[:, 2:] += box[:, :2]
            ids.append(here.index.get_level_values(1).to_numpy())
            boxes.append(box)
        overlap = iou(*boxes)
        with motmetrics.lap.set_default_solver("scipy"):
            events.update(*ids, np.where(overlap >= 0.5, 1 - overlap, np.nan), frameid=frame)
    return events


@pytest.mark.filterwarnings("ignore")
def test_py_motmetrics_gives_the_same_for_its_own_videos(tmp_path: Path) -> None:
    import motmetrics

    accumulators, names = [], ["TUD-Campus", "TUD-Stadtmitte"]
    for name in names:
        (tmp_path / "truth" / name / "gt").mkdir(parents=True)
        (tmp_path / "found").mkdir(exist_ok=True)
        (tmp_path / "truth" / name / "gt" / "gt.txt").write_bytes(
            (TUD / name / "gt.txt").read_bytes()
        )
        (tmp_path / "found" / f"{name}.txt").write_bytes((TUD / name / "test.txt").read_bytes())
        accumulators.append(accumulated(TUD / name))
    keys = ("mota", "idf1", "num_switches", "num_misses", "num_false_positives", "num_objects")
    with motmetrics.lap.set_default_solver("scipy"):
        theirs = motmetrics.metrics.create().compute_many(
            accumulators, metrics=keys, names=names, generate_overall=True
        )
    ours = scored(tmp_path, "--by", "sequence")["tracking"]
    for key, name in zip(ours, ["OVERALL", *names], strict=True):
        same = ("mota", "idf1", "switches", "misses", "false_positives", "n_truth")
        found = [ours[key][each] for each in same]
        assert found == pytest.approx([theirs.loc[name][each] for each in keys], abs=1e-9)
    assert set(ours["0"]["intervals"]) >= {"mota"}
    assert not ours["1"]["intervals"]  # a video alone says nothing of others


def one_video() -> tuple[Tracks, Tracks]:
    truth, found = untidy_sequences(np.random.default_rng(5), n_videos=1)
    return truth, found


def as_csv(path: Path, tracks: Tracks, *, corners: bool) -> None:
    where = Annotation.of("one", tracks)
    heads = "Frame,Track_ID,x1,y1,x2,y2,Score" if corners else "frame,id,x,y,w,h,conf,remark"
    lines = [heads]
    for t, who, box, sure in zip(
        where.frame, where.identity, where.box, where.confidence, strict=True
    ):
        x0, y0, x1, y1 = box.tolist()
        sides = (x0, y0, x1, y1) if corners else (x0, y0, x1 - x0, y1 - y0)
        lines.append(",".join(map(repr, (int(t), int(who), *sides, float(sure)))))
        lines[-1] += "" if corners else ",none"
    path.write_text("\n".join(lines))


def test_every_format_gives_the_same_scores(tmp_path: Path) -> None:
    truth, found = one_video()
    files = {}
    for side, tracks in (("truth", truth), ("found", found)):
        (tmp_path / side).mkdir()
        here = files[side] = {
            name: tmp_path / side / f"one.{name}" for name in ("txt", "csv", "json", "npz")
        }
        write_motchallenge(here["txt"], tracks, is_truth=side == "truth")
        as_csv(here["csv"], tracks, corners=side == "truth")
        seen = np.ones(tracks.shape) if side == "truth" else None
        write_coco_vid(here["json"], tracks, frame_size=(48, 64), visibility=seen)
        write_npz(here["npz"], {"": tracks})
    summaries = []
    for kind in ("txt", "csv", "json", "npz"):
        sides = ("--truth", str(files["truth"][kind]), "--pred", str(files["found"][kind]))
        summaries.append(scored(tmp_path, *sides, "--confidence", "0.5")["tracking"]["0"])
    for summary in summaries[1:]:
        for key in ("mota", "idf1", "hota", "ap", "n_truth", "n_predicted"):
            assert summary[key] == pytest.approx(summaries[0][key], abs=1e-6), key
    assert summaries[0]["n_truth"] == truth.present.sum()


def test_all_predictions_count_in_text_and_sure_ones_in_npz(tmp_path: Path) -> None:
    truth, found = one_video()
    write_motchallenge(tmp_path / "truth", truth, is_truth=True)
    write_motchallenge(tmp_path / "found", found)
    write_npz(tmp_path / "found.npz", {"": found})
    everything = scored(tmp_path)
    assert everything["tracking"]["0"]["n_predicted"] == found.present.sum()
    sure = scored(tmp_path, "--pred", str(tmp_path / "found.npz"))
    assert sure["tracking"]["0"]["n_predicted"] == found.above(0.5).present.sum()
    assert sure["settings"]["confidence"] == 0.5


def coco(boxes: list[dict[str, Any]]) -> dict[str, Any]:
    """A truth file of one video of two frames of 40 x 40 pixels."""
    for number, box in enumerate(boxes, 1):
        box.update(id=number, image_id=box.get("image_id", 1), area=1)
    return {
        "videos": [{"id": 7, "name": "street", "width": 40, "height": 40}],
        "images": [{"id": 1 + t, "video_id": 7, "frame_id": t} for t in range(2)],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}],
    }


def test_regions_and_boxes_that_do_not_count_take_out_predictions(tmp_path: Path) -> None:
    boxes = [
        {"bbox": [0, 0, 10, 10], "category_id": 1, "track_id": 1},
        {"bbox": [20, 0, 10, 10], "category_id": 2, "track_id": 2},
        {"bbox": [0, 20, 10, 10], "category_id": 1, "track_id": 3, "ignore": 1},
        {"bbox": [20, 20, 20, 20], "category_id": 1, "iscrowd": 1},
    ]
    predictions: list[dict[str, Any]] = [
        {"bbox": [0, 0, 10, 10], "category_id": 1, "track_id": 1},  # right
        {"bbox": [20, 0, 10, 10], "category_id": 1, "track_id": 2},  # right but for its class
        {"bbox": [0, 20, 10, 9], "category_id": 1, "track_id": 3},  # fits what does not count
        {"bbox": [22, 22, 9, 9], "category_id": 1, "track_id": 4},  # in the region
        {"bbox": [12, 22, 16, 9], "category_id": 1, "track_id": 5},  # half of it in the region
        {"bbox": [20, 20, 20, 20], "category_id": 1, "track_id": 6, "image_id": 2},  # next frame
    ]
    for box in predictions:
        box |= {"image_id": box.get("image_id", 1), "score": 0.25}
    (tmp_path / "truth.json").write_text(json.dumps(coco(boxes)))
    (tmp_path / "found.json").write_text(json.dumps(predictions))
    sides = ("--truth", str(tmp_path / "truth.json"), "--pred", str(tmp_path / "found.json"))
    together = scored(tmp_path, *sides)["tracking"]["0"]
    assert [together[key] for key in ("n_truth", "matches", "false_positives")] == [2, 2, 2]
    apart = scored(tmp_path, *sides, "--classes", "apart")
    groups = {key: each["group"] for key, each in apart["dataset"]["videos"].items()}
    assert groups == {"0": "all", "1": "class 1", "2": "class 2"}
    tracking = apart["tracking"]
    assert [tracking["1"][key] for key in ("matches", "false_positives")] == [1, 3]
    assert [tracking["2"][key] for key in ("misses", "n_predicted")] == [1, 0]
    assert [tracking["0"][key] for key in ("matches", "misses")] == [1, 1]


def test_of_two_predictions_on_what_does_not_count_only_the_assigned_one_is_excused() -> None:
    box = np.array([[[[0, 0, 10, 10], [1, 0, 11, 10.0]]]])
    found = Annotation.of("a", Tracks.from_slots(box, np.ones((1, 1, 2), np.bool_)))
    truth = Annotation.of("a", Tracks.from_slots(box[:, :, :1], np.ones((1, 1, 1), np.bool_)))
    assert excused(truth, found, np.array([True])).tolist() == [True, False]
    assert excused(truth, found, np.array([False])).tolist() == [False, False]


def untidy_tracks(folder: Path) -> tuple[Tracks, tuple[str, ...]]:
    """The truth of six videos, and the options that name it and what was found."""
    truth, found = untidy_sequences(np.random.default_rng(6), n_videos=6)
    write_npz(folder / "truth.npz", {"val": truth})
    write_npz(folder / "found.npz", {"val": found})
    return truth, ("--truth", str(folder / "truth.npz"), "--pred", str(folder / "found.npz"))


def test_counts_are_groups_where_they_are_asked_for(tmp_path: Path) -> None:
    truth, sides = untidy_tracks(tmp_path)
    found = scored(tmp_path, *sides, "--by", "count", "--workers", "1")
    counts = [len(np.unique(ids[ids >= 0])) for ids in truth.ids]
    assert sorted(found["tracking"], key=int) == [str(each) for each in sorted(set(counts))]
    for count, each in found["tracking"].items():
        assert each["n_videos"] == counts.count(int(count))


@pytest.mark.slow
def test_processes_change_nothing(tmp_path: Path) -> None:
    _, sides = untidy_tracks(tmp_path)
    alone, shared = (scored(tmp_path, *sides, "--workers", n)["tracking"] for n in "12")
    assert shared == alone


def test_the_page_the_table_and_the_comparison_name_the_videos(tmp_path: Path) -> None:
    write_sequences(tmp_path, preprocessed=True)
    for name in ("one", "other"):
        sides = ("--truth", str(tmp_path / "truth"), "--pred", str(tmp_path / "found"))
        done = CliRunner().invoke(
            cli, ["score", *sides, "--by", "sequence", "--out", str(tmp_path / name)]
        )
        assert done.exit_code == 0, done.output
        assert "pedestrians (1) are scored" in done.output
        for text in (done.output, (tmp_path / name / "report.html").read_text()):
            assert "MOT17-04" in text
            assert "mean of" not in text
        assert "tracking,MOT17-04," in (tmp_path / name / "results.csv").read_text()
    both = CliRunner().invoke(cli, ["compare", str(tmp_path / "one"), str(tmp_path / "other")])
    assert both.exit_code == 0, both.output
    assert "MOT17-04" in both.output
    assert "mean of" not in both.output


ROW = "1,4,10,20,5,6,1,1,1\n"
EMPTY = np.zeros((1, 10**9, 0), np.int64)


def image(identity: int, frame: int) -> dict[str, int]:
    """An image as COCO-VID has it."""
    return {"id": identity, "video_id": 7, "frame_id": frame}


@pytest.mark.parametrize(
    ("truth", "found", "said"),
    [
        ({"a.txt": ROW, "b.txt": ROW}, {"a.txt": ROW}, "no predictions for b"),
        ({"a/gt/gt.txt": ROW}, {"one/a.txt": ROW, "two/a.txt": ROW}, "several trackers"),
        ({"a.txt": ROW}, {}, "no file of tracks"),
        ({"a.txt": ROW}, {"a/gt/gt.txt": ROW}, "gt/gt.txt is read as truth alone"),
        ({"a/gt/gt.txt": ROW, "b/a/gt/gt.txt": ROW}, {"a.txt": ROW}, "videos of one name: a"),
        ({"a.csv": "frame,id,left,top\n1,2,3,4\n"}, {"a.txt": ROW}, "no columns for the other"),
        ({"a.csv": "frame,id,x,y,w,h\n1,2\n"}, {"a.txt": ROW}, "row 2: 2 values in 6 columns"),
        ({"a.csv": "frame,id,x,y,w,h\n1,b,1,1,1,1\n"}, {"a.txt": ROW}, "'id' must hold numbers"),
        ({"a.csv": "frame,id,x,y,w,h,w\n"}, {"a.txt": ROW}, "two columns of one name"),
        ({"a.txt": "frame,id,x0,y0,x1,y1\n" + ROW}, {"a.txt": ROW}, "must be width and height"),
        ({"a.npz": "PK\3\4 and so on"}, {"a.txt": ROW}, "not an npz file"),
        ({"a.txt": ROW}, {"a.txt": "1,4,a\n"}, "not numbers"),
        (
            {"a/gt/gt.txt": ROW, "a/seqinfo.ini": "[Sequence]\nseqLength=1\n"},
            {"a.txt": "2" + ROW[1:]},
            "predictions for frame 2 of a video of 1 frames",
        ),
        (
            {"a/gt/gt.txt": ROW, "a/seqinfo.ini": "seqLength=many\n"},
            {"a.txt": ROW},
            "not a sequence's description",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    tmp_path: Path, truth: dict[str, str], found: dict[str, str], said: str
) -> None:
    for side, files in (("truth", truth), ("found", found)):
        (tmp_path / side).mkdir()
        for name, text in files.items():
            (tmp_path / side / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / side / name).write_text(text)
    done = run(tmp_path)
    assert isinstance(done.exception, SmotError), done.output
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "a list of predictions is read beside its truth"),
        ('{"videos": 3}', "videos must be a list"),
        (json.dumps(coco([{"bbox": [0, 0, 1, 1], "track_id": "a"}])), "track_id must be a number"),
        (json.dumps(coco([{"bbox": [0, 0, 1], "track_id": 1}])), "bbox must be left"),
        (json.dumps(coco([{"bbox": [0, 0, 1, 1], "track_id": 1, "image_id": 9}])), "no image 9"),
        (json.dumps(coco([{"bbox": [0, 0, -1, 1], "track_id": 1}])), "negative width"),
        ('{"videos": [{"id": 1e999}]}', "must be a number"),
        ('{"videos": [{"id": true}], "images": []}', "must be a number"),
        ('{"videos": [{"id": 1, "name": {}}], "images": []}', "name must be text"),
        ('{"videos": [{"id": 1}, {"id": 1}], "images": []}', "one name or id"),
        (json.dumps(coco([]) | {"images": [image(1, 0), image(1, 1)]}), "two have one id"),
        (json.dumps(coco([]) | {"images": [image(1, 0), image(2, 0)]}), "have one frame_id"),
        (json.dumps(coco([{"bbox": [0, 0, 1, 1], "track_id": 1, "category_id": 1.5}])), "whole"),
    ],
)
def test_a_faulty_coco_file_is_refused_in_one_line(
    tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "truth.json").write_text(content)
    (tmp_path / "found").write_text(ROW)
    done = run(tmp_path, "--truth", str(tmp_path / "truth.json"))
    assert isinstance(done.exception, SmotError), done.output
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_a_damaged_or_vast_npz_is_refused_in_one_line(tmp_path: Path) -> None:
    truth, _ = one_video()
    write_npz(tmp_path / "truth.npz", {"": truth})
    content = bytearray((tmp_path / "truth.npz").read_bytes())
    content[content.index(b"PK\1\2") + 10] = 99  # a compression that there is not
    vast = {"frame": [], "identity": [], "box": [], "n_videos": 10**9, "n_frames": 10**9}
    (tmp_path / "found").write_text(ROW)
    for write, said in (
        (lambda file: file.write_bytes(content), "not an npz file"),
        (lambda file: np.savez(file, **vast), "are too many"),
        (lambda file: np.savez(file, **(vast | {"n_frames": np.inf})), "infinity"),
        (lambda file: np.savez(file, boxes=np.zeros((1, 10**9, 0, 4)), ids=EMPTY), "too many"),
    ):
        write(tmp_path / "truth.npz")
        done = run(tmp_path, "--truth", str(tmp_path / "truth.npz"))
        assert isinstance(done.exception, SmotError), done.output
        assert said in str(done.exception)
        assert "\n" not in str(done.exception)


def test_an_archive_of_other_files_is_no_npz(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "truth.npz", "w") as archive:
        archive.writestr("boxes", "1,2,3,4")
        archive.writestr("ids", "1")
    with pytest.raises(DataError, match="'boxes' is no array"):
        read_npz(tmp_path / "truth.npz")


def test_tables_are_read_in_utf_16_too(tmp_path: Path) -> None:
    text = "video,frame,id,x0,y0,x1,y1\nstraße,0,1,1,2,3,4\n"
    for name, encoding in (("truth", "utf-16"), ("found", "utf-8")):
        (tmp_path / f"{name}.csv").write_text(text, encoding=encoding)
    sides = ("--truth", str(tmp_path / "truth.csv"), "--pred", str(tmp_path / "found.csv"))
    results = scored(tmp_path, *sides, "--by", "sequence")
    assert results["dataset"]["videos"]["1"]["group"] == "straße"
    assert results["tracking"]["1"]["mota"] == 1


def test_predictions_after_the_truths_last_frame_are_said(tmp_path: Path) -> None:
    (tmp_path / "truth").write_text(ROW)
    (tmp_path / "found").write_text(ROW + "3" + ROW[1:])
    typed = ["score", "--truth", str(tmp_path / "truth"), "--pred", str(tmp_path / "found")]
    done = CliRunner().invoke(cli, [*typed, "--no-report", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "in 2 frames after the truth's last one count as false positives" in done.output


TABLE = "frame,id,x,y,w,h\n1,4,9,9,5,5\n"


@pytest.mark.parametrize(
    ("truth", "found", "said", "first"),
    [
        (("a.txt", "0" + ROW[1:] + ROW), ("b.txt", ROW), "have none there", "0"),
        (("a.csv", TABLE), ("b.csv", TABLE), "the first with a box is 1: --first-frame 1", "1"),
        (("a.csv", TABLE), ("b.txt", ROW), "those of tables and of COCO-VID from 0", None),
    ],
)
def test_where_counting_may_begin_elsewhere_is_said(
    tmp_path: Path, truth: tuple[str, str], found: tuple[str, str], said: str, first: str | None
) -> None:
    typed = ["score", "--no-report", "--out", str(tmp_path / "out")]
    for option, (name, text) in (("--truth", truth), ("--pred", found)):
        (tmp_path / name).write_text(text)
        typed += [option, str(tmp_path / name)]
    done = CliRunner().invoke(cli, typed)
    assert done.exit_code == 0, done.output
    assert said in done.output
    if first is not None:
        assert said not in CliRunner().invoke(cli, [*typed, "--first-frame", first]).output


def test_what_was_assumed_is_said_before_the_error_that_comes_of_it(tmp_path: Path) -> None:
    (tmp_path / "a/gt").mkdir(parents=True)
    (tmp_path / "a/gt/gt.txt").write_text(ROW)
    (tmp_path / "a/seqinfo.ini").write_text("[Sequence]\nseqLength=1\n")
    (tmp_path / "a.csv").write_text(TABLE)
    typed = ["score", "--truth", str(tmp_path / "a"), "--pred", str(tmp_path / "a.csv")]
    done = CliRunner().invoke(cli, typed)
    assert "predictions for frame 2 of a video of 1 frames" in str(done.exception)
    assert "the first with a box is 1: --first-frame 1" in done.output


def test_frames_of_tables_count_from_where_convert_and_export_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TABLE)
    typed = ["export", str(tmp_path / "a.csv"), "--first-frame", "1", "--format", "mot"]
    done = CliRunner().invoke(cli, [*typed, "--out", str(tmp_path / "mot")])
    assert done.exit_code == 0, done.output
    (written,) = (tmp_path / "mot").rglob("*.txt")
    assert written.read_text().startswith("1,4,10,10,5,5,")
    np.save(tmp_path / "clip.npy", np.zeros((1, 16, 16), np.uint8))
    typed = ["convert", str(tmp_path / "clip.npy"), "--truth", str(tmp_path / "a.csv"), "--out"]
    done = CliRunner().invoke(cli, [*typed, str(tmp_path / "a.h5"), "--first-frame", "1"])
    assert done.exit_code == 0, done.output
    assert "test/01 1" in done.output


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "a,b"])
def test_names_that_leave_the_folder_are_not_exported(tmp_path: Path, name: str) -> None:
    content = coco([{"bbox": [0, 0, 1, 1], "track_id": 1}])
    content["videos"][0]["name"] = name
    (tmp_path / "truth.json").write_text(json.dumps(content))
    typed = ["export", str(tmp_path / "truth.json"), "--format", "mot"]
    done = CliRunner().invoke(cli, [*typed, "--out", str(tmp_path / "mot")])
    assert isinstance(done.exception, SmotError), done.output
    assert "must be the name of a folder" in str(done.exception)
    assert [each.name for each in tmp_path.iterdir()] == ["truth.json"]


@pytest.mark.posix("names of files that are no UTF-8")
def test_names_that_cannot_be_printed_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "a\udcff.txt"
    text.write_text("1,1,10,20,5,5,1\n")
    words = ["score", "--truth", str(text), "--pred", str(text), "--out", str(tmp_path / "out")]
    named = CliRunner().invoke(cli, [*words, "--name", "b\udcff"])
    assert "'b\\udcff' is not printable text" in named.output
    refused = CliRunner().invoke(cli, words)
    assert isinstance(refused.exception, SmotError)
    assert r"the name of a video is not printable: 'a\udcff'" in str(refused.exception)
    assert [each.suffix for each in tmp_path.iterdir()] == [".txt"]


def test_folders_are_paired_by_the_names_of_videos_alone(tmp_path: Path) -> None:
    truth, found = one_video()
    write_motchallenge(tmp_path / "gt" / "a" / "gt" / "gt.txt", truth, is_truth=True)
    write_motchallenge(tmp_path / "pred" / "b.txt", found)
    refused = CliRunner().invoke(
        cli, ["score", "--truth", str(tmp_path / "gt"), "--pred", str(tmp_path / "pred")]
    )
    assert isinstance(refused.exception, SmotError)
    assert "no predictions for a" in str(refused.exception)


def test_a_fault_names_its_file_and_dotted_folders_keep_their_names(tmp_path: Path) -> None:
    truth, found = one_video()
    write_motchallenge(tmp_path / "gt.txt", truth, is_truth=True)
    head = "frame,id,x0,y0,x1,y1\n"
    (tmp_path / "inverted.csv").write_text(f"{head}0,1,5,5,4,9\n")
    typed = ["score", "--truth", str(tmp_path / "gt.txt"), "--pred"]
    refused = CliRunner().invoke(cli, [*typed, str(tmp_path / "inverted.csv")])
    assert isinstance(refused.exception, SmotError)
    assert str(refused.exception).startswith(f"{tmp_path / 'inverted.csv'}: ")
    for version in ("mine.v1", "mine.v2"):
        write_motchallenge(tmp_path / version / "gt.txt", found)
        with contextlib.chdir(tmp_path):
            done = CliRunner().invoke(cli, [*typed, str(tmp_path / version)])
        assert done.exit_code == 0, done.output
    written = {path.name.partition("-on-")[0] for path in (tmp_path / "results").iterdir()}
    assert written == {"mine.v1", "mine.v2"}


def test_comments_before_the_names_of_a_table_are_passed_by(tmp_path: Path) -> None:
    # Columns in another order than that of MOTChallenge text, which it would else be read as.
    path = tmp_path / "video.csv"
    path.write_text("# made by hand\n\nid,frame,left,top,width,height\n7,0,3,4,5,6\n# end\n")
    (video,) = read_table(path).values()
    assert video.identity.tolist() == [7]
    assert video.box.tolist() == [[3, 4, 8, 10]]
    assert is_named_table(path)


def test_parquet_is_read_as_csv_is_and_what_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas

    path, plain = tmp_path / "a.parquet", tmp_path / "a.csv"
    row = {"frame": 0, "id": 1, "left": 2.5, "top": 3, "width": 4, "height": 5, "video": "street"}
    table = pandas.DataFrame([row])
    table.to_parquet(path, compression=None, use_dictionary=False)
    table.to_csv(plain, index=False)
    for read in (read_table(path), read_table(plain)):
        assert read["street"].box.tolist() == [[2.5, 3, 6.5, 8]]
    path.write_bytes(path.read_bytes().replace(b"street", b"stre\xff\xfe"))
    with pytest.raises(DataError, match="not a Parquet file"):
        read_table(path)
    times = pandas.to_datetime([7], unit="D")
    for change, complaint in (({"left": times}, "not times"), ({"TOP": 1}, "two columns of one")):
        table.assign(**change).to_parquet(path)
        with pytest.raises(DataError, match=complaint):
            read_table(path)
