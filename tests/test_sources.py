"""What the code gives as its source can be opened."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ("smot", "tests", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
# Pages of other projects follow their version: "TrackEval 1.3.0, docs/...".
CITED = re.compile(r"(?<!\d, )(docs/[\w/-]+\.md)(?:,? (?:section )?(\d+(?:\.\d+)*))?")


def citations() -> Iterator[tuple[Path, str, str]]:
    """Every page that a file of the code names, with the section, "" for none."""
    for path in FILES:
        # A citation may be broken over two lines of a docstring or comment.
        text = re.sub(r"\s*\n\s*(?:# )?", " ", path.read_text(encoding="utf-8"))
        for page, section in CITED.findall(text):
            yield path.relative_to(ROOT), page, section


def test_every_page_that_the_code_cites_has_the_section_it_names() -> None:
    cited = list(citations())
    assert any(section for _, _, section in cited)
    for path, page, section in cited:
        assert (ROOT / page).exists(), f"{path} cites {page}"
        headings = re.findall(r"^#+ (\d[\d.]*) ", (ROOT / page).read_text(), re.MULTILINE)
        assert not section or section in headings, f"{path} cites {page} {section}"


@pytest.mark.parametrize("page", ["models/silot.md", "models/sqair.md", "benchmark.md"])
def test_sections_of_a_page_are_numbered_in_order(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    numbers = [
        tuple(map(int, number.split(".")))
        for number in re.findall(r"^#+ (\d[\d.]*) ", text, re.MULTILINE)
    ]
    assert numbers == sorted(set(numbers))
    referred = re.findall(r"[a-z] \((\d(?:\.\d)?)\)", text)
    assert {tuple(map(int, each.split("."))) for each in referred} <= set(numbers)
