"""The kinds of learned trackers by name. Importing this module does not import torch."""

import importlib
from typing import TYPE_CHECKING

from smot.errors import UsageError

if TYPE_CHECKING:
    from smot.models.learned import Family

FAMILIES = {
    "silot": "smot.models.silot:FAMILY",
    "sqair": "smot.models.sqair:FAMILY",
}


def load_family(name: str) -> "Family":
    """Import one family.

    Args:
        name: a key of ``FAMILIES``.

    Raises:
        UsageError: no such family.
    """
    if name not in FAMILIES:
        raise UsageError(f"no family of models {name!r}: there are {', '.join(FAMILIES)}")
    module, _, attribute = FAMILIES[name].partition(":")
    family: Family = getattr(importlib.import_module(module), attribute)
    return family
