"""`smot new-tracker`: a package to start a tracker from, with tests that pass."""

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from smot.errors import UsageError

TEMPLATES = {
    "pyproject.toml": "pyproject.template",
    "README.md": "readme.template",
    "{module}/__init__.py": "tracker.template",
    "tests/test_{module}.py": "tests.template",
}
"""What is written, by what is filled in for it."""


@click.command("new-tracker")
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the package, which is made [./NAME]."
)
def new_tracker(name: str, out: Path | None) -> None:
    """Begin a tracker of your own: an installable package called NAME, whose tests pass.

    \b
    smot new-tracker my-tracker
    cd my-tracker
    pytest
    pip install --editable .
    smot eval my-tracker
    """  # noqa: D301
    folder = out or Path(name)
    for path in write_package(name, folder):
        click.echo(str(path))


def write_package(name: str, folder: Path) -> list[Path]:
    """Write the package of a new tracker.

    Args:
        name: of package and tracker, such as "my-tracker".
        folder: where to; must not exist.

    Returns:
        The files.

    Raises:
        UsageError: a name that cannot be or is taken, or a folder that exists.
    """
    from smot.trackers import BUILT_IN

    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise UsageError(f"NAME must be like my-tracker: small letters, digits, -; not {name!r}")
    # A module of a name that is in use would hide the other one, or be hidden by it.
    if name in BUILT_IN or module in {*sys.stdlib_module_names, "smot", "numpy", "tests"}:
        raise UsageError(f"NAME {name!r} is taken: choose another")
    if folder.exists():
        raise UsageError(f"{folder} exists already")
    words = {"name": name, "module": module, "tracker": module.title().replace("_", "")}
    written = []
    for target, source in TEMPLATES.items():
        path = folder / target.format(module=module)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = files(__package__).joinpath(source).read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(words), encoding="utf-8")
        written.append(path)
    return written
