"""What every HTML page here is filled with: the template, its parts, the style sheet."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from smot.evaluation.report.figures import swatch_figure


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A small drawing with its title.

    Attributes:
        label: the title.
        note: what it shows, in one line.
        svg: the drawing, inline.
    """

    label: str
    note: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """What one style of the curves stands for.

    Attributes:
        style: as of `smot.evaluation.report.figures.Curve`.
        label: what it stands for.
        note: small print.
    """

    style: int
    label: str
    note: str = ""

    @property
    def swatch(self) -> str:
        """A piece of the curve, inline SVG."""
        return swatch_figure(self.style)


def fill(template: str, content: Mapping[str, Any]) -> str:
    """Fill one of the templates beside this module.

    Args:
        template: the file's name.
        content: what the template names. Text is escaped; only what is marked ``safe`` in the
            templates is not, and that is drawings made here.

    Returns:
        The page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("smot.evaluation.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    sheet = files("smot.evaluation.report").joinpath("templates/style.css").read_text("utf-8")
    known = {"style": sheet, "version": version("smot")}
    return environment.get_template(template).render(known | dict(content))
