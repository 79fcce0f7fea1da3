"""SQAIR, the system that SILOT is compared with."""

from smot.models.sqair.config import SqairConfig
from smot.models.sqair.model import Sqair, build

__all__ = ["Sqair", "SqairConfig", "build"]
