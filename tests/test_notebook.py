from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tour.ipynb"


def printed(notebook: Any) -> list[str]:
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    assert {each.output_type for each in outputs} == {"stream", "execute_result"}  # no errors
    assert sum("text/html" in each.get("data", {}) for each in outputs) == 3
    assert sum("image/png" in each.get("data", {}) for each in outputs) == 1
    return [each.text for each in outputs if each.output_type == "stream"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what runs notebooks, not of smot
def test_the_notebook_runs_and_prints_the_scores_that_stand_in_it() -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs the extra test")
    import nbformat

    notebook = nbformat.read(NOTEBOOK, 4)
    before = printed(notebook)
    nbclient.NotebookClient(notebook, timeout=120).execute()
    assert printed(notebook) == before
