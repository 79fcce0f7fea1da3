import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smot.arrays import UInt8Array
from smot.cli import cli
from smot.errors import DataError, UsageError
from smot.evaluation.protocols import Job
from smot.evaluation.results import read_results
from smot.generators import CANONICAL
from smot.generators.synthesis import generate
from smot.tracks import DataDescription, Tracks
from tests import processes
from tests.evaluation.made import one_box
from tests.processes import PATIENCE, wait_until

FEW = ("--dataset", "shapes-48", "--counts", "1-2", "--n-videos", "3")


class Loaded:
    """A tracker with weights."""

    name = "loaded"

    def __init__(
        self, checkpoint: str, scale: float = 1.0, data: DataDescription | None = None
    ) -> None:
        assert Path(checkpoint).name == "run.pt"
        assert scale == 2.5

    def track(self, videos: UInt8Array) -> Tracks:
        return one_box(*videos.shape[:2])


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli, list(map(str, arguments)))

    return run


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "scattered-shapes-48.h5"
    groups = {"val": 10, "test/01": 4, "test/02": 4}
    generate(CANONICAL["scattered-shapes-48"], None, path, groups=groups)
    return path


def test_an_evaluation_prints_a_table_and_writes_four_files(
    invoke: Invoke, tmp_path: Path
) -> None:
    ran = invoke("baseline", "oracle-jitter", *FEW, "--out", "r", "--events")
    assert ran.exit_code == 0, ran.output
    results = read_results(tmp_path / "r" / "results.json")
    assert f"{results.tracking[2]['mota']:.3f}" in ran.stdout
    assert "made on the spot (there is no data/scattered-shapes-48.h5)" in ran.stderr
    names = ["events.csv", "report.html", "results.csv", "results.json"]
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == names
    assert "<svg" in (tmp_path / "r" / "report.html").read_text()


def test_json_is_results_json_and_quiet_is_silent(invoke: Invoke, tmp_path: Path) -> None:
    ran = invoke("eval", "oracle", *FEW, "--json", "--quiet", "--no-report")
    assert ran.exit_code == 0, ran.output
    assert ran.stderr == ""
    folder = tmp_path / "results" / "oracle-on-scattered-shapes-48"
    assert json.loads(ran.stdout) == json.loads((folder / "results.json").read_text())
    assert not (folder / "report.html").exists()


@pytest.mark.posix("makes a link")
def test_the_canonical_file_is_taken_if_it_is_there(
    invoke: Invoke, tmp_path: Path, small_file: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / small_file.name).symlink_to(small_file)
    ran = invoke("eval", "oracle", *FEW, "--no-report", "--out", "r")
    assert "smot: test videos from data/scattered-shapes-48.h5\n" in ran.stderr
    made = invoke("eval", "oracle", *FEW[:-1], "5", "--no-report", "--out", "m")
    assert "data/scattered-shapes-48.h5 has 4 test videos with 1 objects" in made.stderr
    ours, theirs = (read_results(tmp_path / each / "results.json") for each in "rm")
    assert ours.dataset.settings_fingerprint == theirs.dataset.settings_fingerprint


def test_a_file_of_the_canonical_name_with_other_settings_is_left_alone(
    invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    settings = replace(CANONICAL["scattered-shapes-48"], speed=1.0)
    path = tmp_path / "data" / "scattered-shapes-48.h5"
    generate(settings, None, path, groups={"test/01": 4, "test/02": 4})
    ran = invoke("eval", "oracle", *FEW, "--no-report", "--out", "r")
    assert "has other settings than the canonical ones" in ran.stderr
    assert read_results(tmp_path / "r" / "results.json").dataset.origin == "made on the spot"


def test_a_file_that_is_named_is_tuned_on_and_evaluated(
    invoke: Invoke, tmp_path: Path, small_file: Path
) -> None:
    ran = invoke(
        "baseline",
        "conncomp",
        "--data",
        small_file,
        "--tune",
        "global",
        "--out",
        "r",
        "--no-report",
    )
    assert ran.exit_code == 0, ran.output
    results = read_results(tmp_path / "r" / "results.json")
    assert (results.tracker.tuning.scope, results.tracker.tuning.n_videos) == ("global", 10)
    assert results.dataset.origin == str(small_file)
    assert results.dataset.content_fingerprint
    assert "tuned global on 10 videos of val: threshold=" in ran.stdout


def test_weights_and_options_reach_the_tracker(invoke: Invoke) -> None:
    target = "tests.cli.test_evaluate:Loaded"
    ran = invoke("eval", target, *FEW, "--no-report", "--ckpt", "x/run.pt", "--set", "scale=2.5")
    assert ran.exit_code == 0, ran.output
    assert "no prediction: loaded has no predict(videos, horizon)" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "nobody"], "no tracker 'nobody'"),
        (["eval", "oracle", "--set", "jitter=1"], "has no option 'jitter'"),
        (["eval", "oracle", "--dataset", "cats"], "no data set 'cats': there are mnist-6"),
        (["eval", "oracle", "--n-videos", "0"], "n_videos=0"),
        (["eval", "oracle", "--horizon", "0"], "horizon=0 must be at least 1"),
        (["eval", "oracle", "--tune", "global"], "oracle has nothing to tune"),
        (
            ["eval", "oracle", "--backend", "motmetrics", "--convention", "trackeval"],
            "backend='motmetrics' has no convention='trackeval'",
        ),
    ],
)
def test_what_cannot_be_is_a_usage_error(invoke: Invoke, arguments: list[str], said: str) -> None:
    ran = invoke(*arguments[:2], "--dataset", "shapes-48", "--counts", "1", *arguments[2:])
    assert isinstance(ran.exception, UsageError)
    assert said in str(ran.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "oracle", "--set", "jitter"], "'jitter' is not key=value"),
        (["eval", "x", "--ckpt", "a", "--set", "checkpoint=b"], "checkpoint is set twice"),
        (["eval", "oracle", "--workers", "0"], "0 is not in the range x>=1"),
        (["eval", "oracle", "--counts", "6-1"], "has a range that goes down"),
        (["eval", "oracle", "--digits", "emnist"], "is not one of 'auto', 'mnist', 'mnist-5k'"),
        (["baseline", "silot"], "is not one of 'conncomp', 'oracle'"),
        (["compare"], "Missing argument"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_parser(
    invoke: Invoke, arguments: list[str], said: str
) -> None:
    ran = invoke(*arguments)
    assert ran.exit_code == 2
    assert said in ran.stderr


def test_a_missing_file_and_missing_counts_are_one_line(invoke: Invoke, small_file: Path) -> None:
    missing = invoke("eval", "oracle", "--data", "none.h5")
    assert isinstance(missing.exception, DataError)
    assert "none.h5: no such file" in str(missing.exception)
    counts = invoke("eval", "oracle", "--data", small_file, "--counts", "7")
    assert "counts=[7]: the data has test videos for 1, 2" in str(counts.exception)


def test_digits_that_the_file_does_not_show_are_refused(invoke: Invoke, tmp_path: Path) -> None:
    from smot.generators import load_digits

    path = tmp_path / "m.h5"
    generate(CANONICAL["scattered-mnist-6"], load_digits("mnist-5k"), path, groups={"test/01": 2})
    wrong = invoke("eval", "oracle", "--data", path, "--digits", "mnist")
    assert "digits='mnist' were asked for, and the videos show 'mnist-5k'" in str(wrong.exception)
    assert invoke("eval", "oracle", "--data", path, "--digits", "mnist-5k").exit_code == 0


def test_results_are_compared_and_different_data_only_on_demand(
    invoke: Invoke, tmp_path: Path
) -> None:
    for name, n_videos in (("oracle", 3), ("oracle-motion", 3), ("oracle-jitter", 2)):
        few = (*FEW[:-1], n_videos)
        assert invoke("eval", name, *few, "--no-report", "--out", name).exit_code == 0
    ran = invoke("compare", "oracle", "oracle-motion/results.json", "--report", "deep/all.html")
    assert ran.exit_code == 0, ran.output
    assert "oracle-motion" in ran.stdout
    assert "<svg" in (tmp_path / "deep" / "all.html").read_text()
    refused = invoke("compare", "oracle", "oracle-jitter")
    assert "2 videos of test/01 instead of 3" in str(refused.exception)
    allowed = invoke("compare", "oracle", "oracle-jitter", "--allow-different-data")
    assert allowed.exit_code == 0
    assert "smot: oracle-jitter: 2 videos of test/01 instead of 3" in allowed.stderr
    twice = invoke("compare", "oracle", "oracle/results.json")
    assert "named twice" in twice.stderr
    for_papers = ("--figure", "f.pdf", "--columns", "2", "--metric", "mota,ap", "--table", "t.tex")
    assert invoke("compare", "oracle", "oracle-motion", *for_papers).exit_code == 0
    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "t.tex").read_text().count("midrule") == 2
    for wrong in (("--figure", "f.jpg"), ("--table", "t"), ("--report", "r.pdf")):
        assert "must end in" in str(invoke("compare", "oracle", "oracle-motion", *wrong).exception)


def nobody_left(group: int) -> bool:
    """Whether all processes of a group are gone."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.posix("Ctrl-C reaches a group of processes as a signal")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_evaluation_leaves_one_line_and_nothing_else(
    tmp_path: Path, workers: int
) -> None:
    tracker = ("tests.evaluation.made_trackers:Failing", "--set", "how=sleep")
    rest = (*FEW, "--out", str(tmp_path / "r"), "--workers", str(workers))
    command = ("-m", "smot", "eval", *tracker, *map(str, rest))
    process = processes.start(*command, cwd=tmp_path, new_session=True)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("smot: test videos made on the spot")
    wait_until((tmp_path / "began").exists, process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "smot: interrupted")
    assert list((tmp_path / "r").iterdir()) == []
    wait_until(lambda: nobody_left(process.pid))


@pytest.mark.parametrize(
    ("options", "n_workers", "n_threads"),
    [
        (("--n-videos", "1"), 1, 1),
        (("--n-videos", "399"), 1, 1),
        (("--n-videos", "400"), 2, 1),
        (("--n-videos", "10000"), 8, 1),
        (("--n-videos", "10000", "--workers", "3", "--threads", "2"), 3, 2),
    ],
)
def test_a_process_for_each_core_and_200_videos_with_one_thread_is_usual(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    n_workers: int,
    n_threads: int,
) -> None:
    found: list[int] = []

    def stop(job: Job, progress: object) -> None:
        found.append(job.workers)
        raise DataError("enough")

    monkeypatch.setattr("smot.evaluation.run.run", stop)
    monkeypatch.setattr("smot.files.limit_threads", found.append)
    monkeypatch.setattr("smot.files.available_cores", lambda: 8)
    invoke("baseline", "conncomp", "--dataset", "shapes-48", "--counts", "1", *options)
    assert found == [n_threads, n_workers]
