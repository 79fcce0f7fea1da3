"""Compile the kernels that most tests use, so that they lie in numba's cache."""

import torch

from smot.evaluation.protocols import EvaluationSettings
from smot.evaluation.testsets import RenderedVideos
from smot.generators import MnistSettings, load_digits
from smot.models.silot import SilotConfig, build
from tests.evaluation.made import made_outcome, made_videos


def main() -> None:
    """Make videos of both kinds, score them by both conventions, train a step."""
    settings = MnistSettings(max_objects=2, background_noise=2, pixel_noise=2)
    digits = load_digits("mnist-5k")
    groups = {"val": 2, "test/01": 2}
    of_digits = RenderedVideos(settings=settings, digits=digits, groups=groups, seed=0)
    made_outcome(of_digits, "conncomp")
    trackeval = EvaluationSettings(convention="trackeval", n_resamples=50)
    made_outcome(made_videos(n_val=2, n_test=2), "conncomp", trackeval)
    frames = torch.from_numpy(of_digits.read("val", 0, 2).frames)
    generator = torch.Generator().manual_seed(0)
    build(SilotConfig(), 0).objective(frames, step=0, generator=generator).total.backward()


if __name__ == "__main__":
    main()
