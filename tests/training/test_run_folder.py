import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from smot.errors import DataError, UsageError
from smot.models.checkpoints import About, Checkpoint
from smot.training.run_folder import RunFolder


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(about=About(family="toy", step=step), model={}, weights={})


def test_a_damaged_last_state_gives_way_to_the_best_with_a_notice(tmp_path: Path) -> None:
    folder, notices = RunFolder(tmp_path), list[str]()
    folder.save_best(checkpoint(5))
    folder.save_last(checkpoint(9))
    assert folder.latest(notices.append)[0].about.step == 9
    folder.last.write_bytes(folder.last.read_bytes()[:100])
    found, path = folder.latest(notices.append)
    assert (found.about.step, path) == (5, folder.best)
    assert len(notices) == 1
    assert "last.pt: truncated" in notices[0]


def test_nothing_to_resume_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"last\.pt: no such checkpoint"):
        RunFolder(tmp_path).latest(print)


def test_a_folder_with_a_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.check_new(force=False)
    folder.save_last(checkpoint(1))
    with pytest.raises(UsageError, match="--resume goes on, --force restarts"):
        folder.check_new(force=False)
    folder.check_new(force=True)
    folder.start({}, resumed_at=None)
    assert not folder.last.exists()


def test_resuming_forgets_the_lines_of_updates_to_be_made_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.start({"a": 1}, resumed_at=None)
    for step in (1, 2, 3):
        folder.log({"step": step})
    with folder.metrics.open("a") as file:
        file.write('{"step": 4, "lo')
    folder.start({"a": 2}, resumed_at=2)
    assert folder.records() == [{"step": 1}, {"step": 2}]
    assert json.loads((tmp_path / "config.json").read_text()) == {"a": 2}


@pytest.mark.parametrize("resumed_at", [None, 1])
def test_what_a_killed_process_left_half_written_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed_at: int | None
) -> None:
    folder = RunFolder(tmp_path)
    folder.start({}, resumed_at=None)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", lambda *_: None)  # as if both saves had been cut short
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        folder.save_last(checkpoint(1))
        folder.save_best(checkpoint(1))
    assert len(list(tmp_path.glob(".*"))) == 2
    folder.start({}, resumed_at=resumed_at)
    assert list(tmp_path.glob(".*")) == []


def test_the_environment_is_written_down(tmp_path: Path) -> None:
    RunFolder(tmp_path / "deep" / "run").start({}, resumed_at=None)
    written = json.loads((tmp_path / "deep" / "run" / "env.json").read_text())
    assert written.keys() >= {"versions", "python", "platform", "command", "git", "gpu"}


def test_curves_are_drawn_even_of_a_run_without_lines(tmp_path: Path) -> None:
    update = {
        "kind": "train",
        "step": 1,
        "hours": 0.1,
        "frames": 2,
        "lr": 1e-3,
        "videos_per_second": 10.0,
        "loss": 50.0,
        "terms": {"fit": 49.0, "penalty": 1.0},
    }
    evaluation = {"kind": "eval", "step": 1, "hours": 0.1, "score": -3.0, "mota": None}
    folder = RunFolder(tmp_path)
    lines = [update, evaluation, {**update, "hours": 0.2}]
    for records, clips in (([], True), (lines, True), ([], False)):
        for record in records:
            folder.log(record)
        folder.draw_curves("toy", clips=clips)
        assert folder.curves.read_bytes().startswith(b"\x89PNG")
        folder.curves.unlink()


def test_what_is_no_share_has_an_axis_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[str]] = {}

    def keep(figure: Figure, *_: object, **__: object) -> None:
        for axes in figure.axes:
            drawn[axes.get_title()] = [str(line.get_label()) for line in axes.lines]

    monkeypatch.setattr(Figure, "savefig", keep)
    folder = RunFolder(tmp_path)
    for hours, error in ((0.1, 8.0), (0.2, 0.5)):
        values = {"score": 0.5, "mota": 0.5, "ap": 0.4, "count_error": error}
        folder.log({"kind": "eval", "step": 1, "hours": hours, **values})
    folder.draw_curves("toy")
    assert drawn["validation"] == ["mota", "ap"]
    assert drawn["count_error"] == ["count_error"]
    assert len(drawn) == 6
