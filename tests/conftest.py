import pytest
import torch


@pytest.fixture(autouse=True)
def _same_initial_weights() -> None:
    """Networks made in a test begin alike, whichever tests ran before it."""
    torch.manual_seed(0)
