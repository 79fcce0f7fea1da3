import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from smot.errors import UsageError
from smot.evaluation.report.compare import comparison_table, line_up
from smot.evaluation.report.papers import read_quantity, write_figure, write_table
from smot.evaluation.results import Results
from smot.evaluation.seeds import mean_of_runs
from tests.evaluation.made import made_results, with_masks


@pytest.fixture(scope="module")
def ours() -> Results:
    return made_results(name="ours_1")


@pytest.fixture(scope="module")
def theirs() -> Results:
    return made_results(name="theirs", target="oracle-motion")


def test_a_figure_is_a_vector_file_with_letters_and_the_same_bytes_each_time(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    curves = {"A method": ours, "B": theirs}
    for name in ("one.svg", "two.svg", "one.PDF", "two.pdf"):
        write_figure(tmp_path / name, curves, ["mota", "prediction.ap", "count_error"], columns=2)
    drawn = (tmp_path / "one.svg").read_text()
    words = {each.text for each in ElementTree.fromstring(drawn).iter() if each.text}
    assert {"A method", "B", "MOTA ↑", "Prediction AP ↑", "Count error ↓", "objects"} <= words
    assert "<image" not in drawn
    assert drawn == (tmp_path / "two.svg").read_text()
    pdf = (tmp_path / "one.PDF").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/Subtype /Image" not in pdf
    assert pdf == (tmp_path / "two.pdf").read_bytes()


@pytest.mark.parametrize(
    ("columns", "metrics", "inches"), [(1, ["mota"], (3.3, 2.1)), (2, ["mota"] * 4, (6.9, 3.85))]
)
def test_a_figure_is_as_wide_as_the_columns(
    ours: Results,
    tmp_path: Path,
    columns: int,
    metrics: Sequence[str],
    inches: tuple[float, float],
) -> None:
    write_figure(tmp_path / "f.png", {"a": ours}, metrics, columns=columns)
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.size == tuple(round(300 * each) for each in inches)


@pytest.mark.parametrize("length", [4, 28, 44])
def test_a_legend_has_as_many_columns_as_fit(ours: Results, tmp_path: Path, length: int) -> None:
    curves = {f"{n} {'w' * length}": ours for n in range(6)}
    write_figure(tmp_path / "f.png", curves, ["mota"] * 3, columns=2)
    with Image.open(tmp_path / "f.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert (pixels[:, [0, -1]] == 255).all()  # nothing is cut off


def test_what_cannot_be_drawn_is_refused(ours: Results, tmp_path: Path) -> None:
    path = tmp_path / "f.pdf"
    with pytest.raises(UsageError, match=r"'f.jpg' must end in .pdf, .svg or .png"):
        write_figure("f.jpg", {"a": ours}, ["mota"])
    with pytest.raises(UsageError, match=r"did you mean 'prediction.mota'"):
        write_figure(path, {"a": ours}, ["prediction.mtoa"])
    with pytest.raises(UsageError, match="columns=3: there are 1 and 2"):
        write_figure(path, {"a": ours}, ["mota"], columns=3)
    none_and_too_many: list[dict[str, Results]] = [{}, {str(n): ours for n in range(9)}]
    for curves in none_and_too_many:
        with pytest.raises(UsageError, match="1 to 8 results"):
            write_figure(path, curves, ["mota"])
    blind = replace(ours, prediction=None, prediction_reason="it cannot")
    with pytest.raises(UsageError, match="none of the results has Prediction MOTA"):
        write_figure(path, {"a": blind}, ["prediction.mota"])
    assert not path.exists()


@pytest.mark.parametrize("text", ["switches", "truth.mota", "", "mota.mota"])
def test_only_metrics_with_curves_are_quantities(text: str) -> None:
    with pytest.raises(UsageError, match="no metric"):
        read_quantity(text)


def test_tables_hold_the_scores_and_embolden_the_best(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    entries = line_up({Path("a"): ours, Path("b"): theirs})
    for suffix in ("tex", "md", "csv"):
        write_table(tmp_path / f"t.{suffix}", entries, ["mota", "prediction.mota", "count_error"])
    latex = (tmp_path / "t.tex").read_text()
    assert "digits" not in latex
    assert r"objects & ours\_1 & theirs \\" in latex
    assert latex.count(r"\midrule") == 3
    mine, yours = (each.prediction[2]["mota"] for each in (ours, theirs))
    low, high = ours.prediction[2].intervals["mota"]
    assert mine < yours
    row = [line for line in latex.splitlines() if line.startswith("2 & ")][1]
    assert rf"\textbf{{{yours:.3f}}}" in row
    assert row.count("textbf") == 1
    assert f"[{low:.3f}, {high:.3f}]".replace("-", "$-$") in row
    assert "−" not in latex
    markdown = (tmp_path / "t.md").read_text()
    assert f"**{yours:.3f}**" in markdown
    assert "| objects | ours_1 | theirs |" in markdown
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    (found,) = (
        each
        for each in rows
        if (each["protocol"], each["metric"], each["count"], each["result"])
        == ("prediction", "mota", "2", "ours_1")
    )
    assert (float(found["value"]), float(found["low"]), float(found["high"])) == (mine, low, high)


def test_tables_say_of_a_mean_of_runs_what_its_intervals_are_over(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    mean = mean_of_runs([ours, replace(theirs, tracker=ours.tracker)], "runs")
    entries = line_up({Path("a"): ours, Path("runs"): mean})
    for suffix in ("tex", "md", "csv"):
        write_table(tmp_path / f"t.{suffix}", entries, ["mota"])
    label = entries[1].label
    assert f"{label} (mean of 2 runs) " in (tmp_path / "t.md").read_text()
    assert "(mean of 2 runs) " in (tmp_path / "t.tex").read_text()
    with (tmp_path / "t.csv").open() as file:
        alone, several = (row for row in csv.DictReader(file) if row["count"] == "2")
    assert (alone["n_runs"], alone["low_over_runs"]) == ("1", "")
    assert several["n_runs"] == "2"
    over = {
        each: tuple(float(several[f"{end}{each}"]) for end in ("low", "high"))
        for each in ("", "_over_runs")
    }
    assert over[""] == mean.over_videos("tracking", 2, "mota")
    assert over["_over_runs"] == mean.tracking[2].intervals["mota"]


def test_masks_are_quantities_where_a_result_has_them(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    curves = {"ours": ours, "theirs": with_masks(theirs)}
    write_figure(tmp_path / "f.svg", curves, ["fg_ari", "mask_mota"])
    drawn = (tmp_path / "f.svg").read_text()
    assert ">FG-ARI ↑<" in drawn
    assert ">ours<" not in drawn
    entries = line_up({Path(label): each for label, each in curves.items()})
    write_table(tmp_path / "t.md", entries, ["miou"])
    assert "| 1 | – | 0.250 |" in (tmp_path / "t.md").read_text()
    assert "FG-ARI, tracking" in comparison_table(entries)
    for refused in ("prediction.fg_ari", "fg_ari"):
        some = entries if "." in refused else entries[:1]
        with pytest.raises(UsageError, match=r"none of the results has .*FG-ARI"):
            write_table(tmp_path / "t.md", some, [refused])
    assert "FG-ARI" not in comparison_table(entries[:1])


def test_equals_are_all_bold_and_lower_is_better_for_errors(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    worse = {
        count: replace(each, metrics={**each.metrics, "count_error": 0.5})
        for count, each in theirs.tracking.items()
    }
    results = [ours, ours, replace(theirs, tracking=worse)]
    entries = line_up({Path(str(n)): each for n, each in enumerate(results)})
    write_table(tmp_path / "t.md", entries, ["count_error"])
    row = next(line for line in (tmp_path / "t.md").read_text().splitlines() if "| 1 |" in line)
    assert row.count("**0.000**") == 2
    assert "**0.500**" not in row


def test_oracles_are_marked_and_never_the_best(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    told = replace(theirs, tracker=replace(theirs.tracker, is_oracle=True))
    entries = line_up({Path("a"): ours, Path("b"): told})
    assert [each.label for each in entries] == ["ours_1", "theirs (oracle)"]
    write_table(tmp_path / "t.md", entries, ["prediction.mota"])
    table = (tmp_path / "t.md").read_text()
    assert "| theirs (oracle) |" in table
    assert "**" not in table
