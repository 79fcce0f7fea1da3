from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from smot.cli import cli
from smot.errors import UsageError
from smot.evaluation.report.leaderboard import update_leaderboard
from smot.evaluation.results import write_results
from tests.evaluation.made import made_results, with_masks

SHIPPED = Path(__file__).parents[3] / "docs" / "leaderboard.md"


def rows(page: Path) -> list[str]:
    lines = page.read_text().splitlines()
    return [each.split(" | ")[0] for each in lines if each[:2] == "| " and each[2:5] != "---"]


def test_results_add_a_row_or_replace_their_own(tmp_path: Path) -> None:
    page = tmp_path / "board.md"
    first, second = made_results(name="first"), made_results(name="second", target="oracle-motion")
    update_leaderboard(page, [first])
    page.write_text("Words of ours.\n" + page.read_text())
    update_leaderboard(page, [second])
    update_leaderboard(page, [first])
    text = page.read_text()
    assert text.startswith("Words of ours.\n# Leaderboard")
    assert text.count("## ") == 1
    assert sorted(rows(page)) == ["| first", "| second", "| system"]
    assert f"{first.tracking[max(first.tracking)]['mota']:.3f}" in text


def test_other_videos_have_a_table_of_their_own(tmp_path: Path) -> None:
    page = tmp_path / "board.md"
    update_leaderboard(page, [made_results(name="a"), made_results(name="a", seed=1)])
    assert page.read_text().count("\n## ") == 2
    assert rows(page).count("| a") == 2


def test_a_system_with_masks_gives_its_table_columns_for_them(tmp_path: Path) -> None:
    page = tmp_path / "board.md"
    plain = made_results(name="plain")
    update_leaderboard(page, [plain])
    assert "FG-ARI" not in page.read_text()
    update_leaderboard(page, [with_masks(made_results(name="masked", target="oracle-motion"))])
    update_leaderboard(page, [replace(plain, prediction=None)])
    heads, rule, *lines = page.read_text().splitlines()[-4:]
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (heads, *lines)]
    assert len({len(row) for row in table}) == 1
    assert rule.count("---:") == table[0].index("sees") - 1
    at = table[0].index("FG-ARI")
    by_name = {row[0]: row for row in table}
    assert (by_name["plain"][at], by_name["masked"][at]) == ("–", "0.250")
    assert (by_name["plain"][at + 2], by_name["plain"][-3]) == ("frames", "frames")


def test_one_result_is_enough_on_the_command_line(tmp_path: Path) -> None:
    write_results(made_results(name="alone"), tmp_path / "r" / "results.json")
    page = tmp_path / "board.md"
    done = CliRunner().invoke(cli, ["compare", str(tmp_path / "r"), "--leaderboard", str(page)])
    assert done.exit_code == 0, done.output
    assert rows(page) == ["| system", "| alone"]
    with pytest.raises(UsageError, match=r"\.md"):
        update_leaderboard(tmp_path / "board.html", [])


def test_the_page_that_ships_is_one_that_results_can_be_added_to(tmp_path: Path) -> None:
    page = tmp_path / "board.md"
    page.write_text(SHIPPED.read_text())
    update_leaderboard(page, [])
    assert page.read_text() == SHIPPED.read_text()
    update_leaderboard(page, [made_results(name="mine")])
    assert set(rows(page)) == {*rows(SHIPPED), "| mine"}
