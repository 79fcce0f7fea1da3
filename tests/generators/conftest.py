import numpy as np
import pytest

from smot.generators import DigitSource, load_digits


@pytest.fixture(scope="session")
def digits() -> DigitSource:
    return load_digits("mnist-5k")


@pytest.fixture(scope="session")
def few_digits(digits: DigitSource) -> DigitSource:
    """Two hundred digits: enough for videos, quick to prepare."""
    chosen = np.arange(0, 5000, 25)
    return DigitSource(name="mnist-5k", images=digits.images[chosen], labels=digits.labels[chosen])
