import numpy as np
import pytest
import torch

from smot.arrays import UInt8Array
from smot.models.silot import FAMILY, Silot, SilotConfig


@pytest.fixture
def config() -> SilotConfig:
    """A model small enough for tests: 24 x 24 frames are 2 x 2 cells."""
    return SilotConfig(
        n_channels=1,
        n_slots=4,
        n_backbone_filters=8,
        n_features=8,
        glimpse_size=6,
        what_size=5,
        hidden_size=7,
        sigma=0.3,
    )


@pytest.fixture
def model(config: SilotConfig) -> Silot:
    model = FAMILY.build(config, 3)
    assert isinstance(model, Silot)
    return model.eval()


@pytest.fixture
def videos() -> UInt8Array:
    """White squares of 7 pixels that move right, uint8, [4, 5, 24, 24, 3]."""
    frames = np.zeros((4, 5, 24, 24, 3), np.uint8)
    for video in range(4):
        for frame in range(5):
            left = 2 + 2 * frame + video
            frames[video, frame, 3 + 4 * video : 10 + 4 * video, left : left + 7] = 255
    return frames


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
