import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from smot.errors import DataError, UsageError
from smot.evaluation.protocols import EvaluationSettings
from smot.evaluation.report.tables import mean_over_counts
from smot.evaluation.results import (
    FORMAT_VERSION,
    CountScores,
    Results,
    read_results,
    write_results,
)
from tests.evaluation.made import made_results

Plain = dict[str, Any]


@pytest.fixture(scope="module")
def results() -> Results:
    return made_results()


@pytest.fixture
def plain(results: Results) -> Plain:
    made: Plain = copy.deepcopy(json.loads(json.dumps(results.to_json())))
    return made


def test_results_survive_writing_and_reading(results: Results, tmp_path: Path) -> None:
    write_results(results, tmp_path / "deep" / "results.json")
    assert read_results(tmp_path / "deep" / "results.json") == results
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["results.json"]


def test_the_top_level_is_what_the_documentation_says(plain: Plain) -> None:
    assert list(plain) == [
        "format",
        "format_version",
        "tracker",
        "dataset",
        "settings",
        "convention",
        "versions",
        "tracking",
        "prediction",
        "prediction_reason",
        "occlusion",
        "timing",
    ]
    assert list(plain["tracking"]) == ["1", "2", "3"]
    scores = plain["tracking"]["2"]
    assert {"mota", "idf1", "hota", "ap", "count_error", "intervals", "counts"} <= set(scores)
    low, high = scores["intervals"]["mota"]
    assert low <= scores["mota"] <= high
    errors = sum(scores[key] for key in ("misses", "false_positives", "switches"))
    assert scores["mota"] == pytest.approx(1 - errors / scores["n_truth"])


def test_a_file_from_before_counting_accuracy_is_still_read(plain: Plain) -> None:
    for protocol in ("tracking", "prediction"):
        for scores in plain[protocol].values():
            del scores["counting_accuracy"], scores["intervals"]["counting_accuracy"]
            del scores["counts"]["exact_frames"], scores["counts"]["n_counted"]
    read = Results.from_json(plain)
    assert "counting_accuracy" not in read.tracking[2].metrics
    assert read.to_json() == plain


def test_a_failed_write_leaves_the_file_before_it(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(results, tmp_path / "results.json")
    before = (tmp_path / "results.json").read_text()

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_results(results, tmp_path / "results.json")
    assert (tmp_path / "results.json").read_text() == before
    assert len(list(tmp_path.iterdir())) == 1


def changed(plain: Plain, path: tuple[str, ...], value: object) -> Plain:
    *way, last = path
    inner = plain
    for key in way:
        inner = inner[key]
    if value is KeyError:
        del inner[last]
    else:
        inner[last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["format"], "other", "not a results file"),
        (["format_version"], 2, f"format version 2, and this smot reads {FORMAT_VERSION}"),
        (["tracking"], KeyError, "lacks 'tracking'"),
        (["extra"], 1, "has unknown 'extra'"),
        (["tracking"], {}, "tracking is empty"),
        (["tracking"], [], "tracking must be a table, not []"),
        (["tracking", "x"], {}, "key 'x', which is not a number"),
        (["tracking", "2", "mota"], "1", "mota must be float or int"),
        (["tracking", "2", "mota"], True, "mota must be float or int"),
        (["tracking", "2", "mota"], 1.5, "mota=1.5 is outside None..1.0"),
        (["tracking", "2", "mota"], 0.123, "does not follow from its counts"),
        (["tracking", "2", "mota"], None, "mota is null, and reasons does not say why"),
        (["tracking", "2", "switches"], 99, "does not follow from its counts"),
        (["tracking", "2", "nonsense"], 1, "has unknown 'nonsense'"),
        (["tracking", "2", "counts"], {"misses": 3}, "counts cannot be read"),
        (["tracking", "2", "counts", "misses"], "many", "counts cannot be read"),
        (["tracking", "2", "counts", "settings"], {"iou": 1}, "counts cannot be read"),
        (["tracking", "2", "intervals", "mota"], [0.9, 0.1], "0.9 is above 0.1"),
        (["tracking", "2", "intervals", "mota"], [0.9], "intervals.mota must be 2 values"),
        (["tracking", "2", "intervals"], [], "intervals must be a table"),
        (["prediction"], None, "must say why there is no prediction"),
        (["prediction_reason"], 3, "prediction_reason must be str"),
        (["prediction", "1"], KeyError, "prediction and tracking have different numbers"),
        (["dataset", "videos", "1"], KeyError, "dataset.videos and tracking have different"),
        (["dataset", "frame_size"], [48], "frame_size must be 2 values"),
        (["dataset", "seed"], "0", "dataset.seed must be int"),
        (["dataset", "videos"], 3, "videos must be a table"),
        (["tracker", "tuning"], {"scope": "global"}, "tuning lacks 'split'"),
        (["settings", "iou_threshold"], 0, "iou_threshold"),
        (["settings", "convention"], "mine", "convention"),
        (["convention"], "trackeval", "convention is not that of its settings"),
        (["occlusion", "1"], [{}], r"occlusion.1[0] lacks 'visibility'"),
        (["timing", "seconds"], "fast", "timing.seconds must be float"),
    ],
)
def test_nonsense_is_refused_with_its_place(
    plain: Plain, path: tuple[str, ...], value: object, said: str
) -> None:
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        Results.from_json(changed(plain, path, value), "file.json")
    assert str(caught.value).startswith("file.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["tracking", "2", "mota"], 10**400),
        (["tracking", "2", "counts", "misses"], 10**400),
        (["tracking", "2", "counts", "misses"], "1" * 5000),
        (["dataset", "seed"], 10**400),
        (["dataset", "name"], "\ud800"),
        (["dataset", "settings"], {"\ud800": 1}),
        (["tracker", "9" * 500], 1),
        (["versions", "python"], 3),
        (["timing", "seconds"], 1e308 * 10),
        (["format_version"], 1.0),
    ],
)
def test_hostile_values_are_refused_in_one_short_line(
    plain: Plain, tmp_path: Path, path: list[str], value: object
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(changed(plain, tuple(path), value)))
    with pytest.raises(DataError, match=r"a\.json") as caught:
        read_results(tmp_path / "a.json")
    assert str(caught.value).isascii()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("text", ['{"format": NaN}', "{", "", "[" * 100_000])
def test_what_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json: not a results file"):
        read_results(tmp_path / "a.json")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_results(tmp_path / "none.json")


def test_the_mean_over_counts_needs_a_value_at_every_count(results: Results) -> None:
    values = [results.tracking[count]["mota"] for count in (1, 2, 3)]
    assert mean_over_counts(results.tracking, "mota") == pytest.approx(sum(values) / 3)
    blank = CountScores(metrics={"mota": None}, reasons={"mota": "no object"})
    assert mean_over_counts({**results.tracking, 4: blank}, "mota") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iou_threshold", 0.0),
        ("confidence", 1.0),
        ("convention", "other"),
        ("backend", "x"),
        ("observe", 0),
        ("horizon", 0),
        ("n_resamples", 1),
        ("seed", -1),
    ],
)
def test_impossible_settings_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=name):
        EvaluationSettings(**{name: value})


def test_the_library_backend_refuses_the_other_convention() -> None:
    with pytest.raises(UsageError, match="backend='motmetrics'"):
        EvaluationSettings(backend="motmetrics", convention="trackeval")
