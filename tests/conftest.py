import sys

import pytest
import torch
from hypothesis import HealthCheck, settings


@pytest.fixture(autouse=True)
def _same_initial_weights() -> None:
    """Networks made in a test begin alike, whichever tests ran before it."""
    torch.manual_seed(0)


# How fast a busy machine draws examples says nothing of the code that they test.
settings.register_profile("smot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("smot")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what Windows cannot run, and say why."""
    for item in items if sys.platform == "win32" else ():
        for mark in item.iter_markers("posix"):
            item.add_marker(pytest.mark.skip(reason=f"not on Windows: {mark.args[0]}"))
