"""Scattered MNIST and Scattered Shapes: settings, digits, and videos from them."""

from smot.generators.digits import DigitSource, load_digits
from smot.generators.drawing import render
from smot.generators.settings import CANONICAL, MnistSettings, Settings, ShapesSettings
from smot.generators.synthesis import generate

__all__ = [
    "CANONICAL",
    "DigitSource",
    "MnistSettings",
    "Settings",
    "ShapesSettings",
    "generate",
    "load_digits",
    "render",
]
