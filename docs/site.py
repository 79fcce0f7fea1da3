"""What the site has beside the pages of this folder: the README and its neighbours, and the API.

A hook of mkdocs.yml. Links lead where they lead in the repository; those to files that the site
does not have become plain text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

import smot
import smot.interchange

ROOT = Path(__file__).parents[1]
NEIGHBOURS = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "release.md": "release/README.md",
    "example.md": "examples/centroid_tracker/README.md",
}
"""Pages of the site by where they are in the repository."""
LINK = re.compile(r"\[([^\[\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
TITLES = {
    "smot.videos": "Videos",
    "smot.generators": "Making videos",
    "smot.tracks": "Tracks",
    "smot.trackers": "Finding trackers",
    "smot.evaluation.run": "Evaluating",
    "smot.evaluation.protocols": "How it is evaluated",
    "smot.evaluation.results": "Results",
    "smot.evaluation.metrics.table": "Metrics of tracks",
    "smot.evaluation.metrics.matching": "How boxes are matched",
    "smot.errors": "Errors",
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in this folder."""
    for page, source in NEIGHBOURS.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "api.md", content=api()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001
    """Turn links within the repository into links within the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(NEIGHBOURS.get(here, f"docs/{here}"))
    pages = {source: page for page, source in NEIGHBOURS.items()}

    def led(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        inside = pages.get(target) or pages.get(f"{target}/README.md")
        if inside is None and target.startswith("docs/"):
            inside = target.removeprefix("docs/")
        if inside is None:
            return match[1] if (ROOT / target).exists() else match[0]  # the latter is reported
        start = posixpath.dirname(here) or "."
        return f"[{match[1]}]({posixpath.relpath(inside, start)}{match[3] or ''})"

    return LINK.sub(led, markdown)


def api() -> str:
    """The page of everything that `import smot` gives, from its docstrings."""
    lines = ["# API", "", "What `import smot` gives, by what it is about, and `smot.interchange`."]
    homes = {smot.__dict__["_HOME_OF"][name] for name in smot.__all__ if name != "__version__"}
    for home in sorted(homes, key=list(TITLES).index):
        lines += ["", f"## {TITLES[home]}"]
        for name in smot.__all__:
            if smot.__dict__["_HOME_OF"].get(name) == home:
                lines += ["", f"::: {getattr(smot, name).__module__}.{name}"]
    lines += ["", "## Tracks from and to other tools"]
    for name in smot.interchange.__all__:
        lines += ["", f"::: {getattr(smot.interchange, name).__module__}.{name}"]
    return "\n".join(lines) + "\n"
