"""What the code gives as its source can be opened."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smot.models.family import load_family

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


def test_settings_of_presets_on_silots_page_are_those_of_the_presets() -> None:
    text = (ROOT / "docs/models/silot.md").read_text()
    section = text[text.index("\n## 9 ") : text.index("\n## 10 ")]
    presets = load_family("silot").presets
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|", section, re.M)
    assert len(rows) > 20
    for name, *cells in rows:
        for preset, cell in zip(("supplement", "original", "fast"), cells, strict=True):
            digits, _, shapes = cell.removesuffix(")").partition(" (shapes ")
            for dataset, shown in (("mnist-6", digits), ("shapes-48", shapes or digits)):
                value = getattr(presets[preset][dataset].model, name)
                place = f"{name} of {preset} on {dataset}"
                assert (float(shown) if isinstance(value, float) else shown) == (
                    value if isinstance(value, float) else str(value)
                ), place


def test_no_source_is_a_file_that_the_repository_does_not_have() -> None:
    loose = re.compile(r"(?<![\w/.-])(?:silot|sqair|benchmark|anchors)\.md|Source:.*original code")
    for path in FILES:
        if path.is_relative_to(ROOT / "smot"):
            lines = path.read_text(encoding="utf-8").splitlines()
            found = [line for line in lines if loose.search(line)]
            assert not found, f"{path.relative_to(ROOT)}: {found}"
