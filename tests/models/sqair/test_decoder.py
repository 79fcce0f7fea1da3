import math

import pytest
import torch
import torch.nn.functional as F

from smot.models.sprites import glimpse
from smot.models.sqair import SqairConfig
from smot.models.sqair.decoder import Decoder, paint
from smot.models.sqair.objects import Geometry

from .conftest import GEOMETRY, WHOLE, grid, places

SIZE = GEOMETRY.frame_size
G = GEOMETRY.glimpse_size


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def decoder_of(config: SqairConfig) -> Decoder:
    geometry = Geometry(config.frame_size, config.glimpse_size, config.scale_bounds)
    return Decoder(config, geometry, generator())


def test_painting_is_that_of_grid_sample() -> None:
    generator = torch.Generator().manual_seed(1)
    patches = torch.rand(12, 2, G, G, generator=generator)
    gradients = torch.rand(12, 3, *SIZE, generator=generator)
    outcomes = []
    for sampled in (True, False):
        shown, where = patches.clone().requires_grad_(), places(12).requires_grad_()
        if sampled:
            both = torch.cat([shown, torch.ones(12, 1, G, G)], dim=1)
            made = F.grid_sample(both, grid(where, SIZE, True), align_corners=True)
        else:
            canvases, covers = paint(
                shown,
                GEOMETRY.sprite_boxes(where),
                torch.arange(12),
                n_canvases=12,
                frame_size=SIZE,
            )
            made = torch.cat([canvases, covers[:, None]], dim=1)
        (made * gradients).sum().backward()
        assert shown.grad is not None
        assert where.grad is not None
        outcomes.append((made.detach(), shown.grad, where.grad))
    for mine, theirs in zip(*outcomes, strict=True):
        scale = theirs.abs().max()
        torch.testing.assert_close(mine / scale, theirs / scale, atol=1e-4, rtol=1e-4)


def test_patches_on_one_canvas_add_up() -> None:
    patches, where = torch.ones(2, 1, G, G), GEOMETRY.sprite_boxes(WHOLE.expand(2, 4))
    canvases, covers = paint(
        patches, where, torch.zeros(2, dtype=torch.long), n_canvases=2, frame_size=SIZE
    )
    torch.testing.assert_close(canvases[0, 0], torch.full(SIZE, 2.0))
    torch.testing.assert_close(covers[0], torch.full(SIZE, 2.0))
    assert not canvases[1].any()


def test_seeing_the_whole_frame_and_painting_it_gives_the_frame_back() -> None:
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    square = Geometry((16, 16), 16, (0.0, 1.0))
    where = WHOLE.expand(1, 4)
    seen = glimpse(image, square.sprite_boxes(where)[:, None], unit=1.0, size=16)[:, 0]
    painted, _ = paint(
        seen, square.sprite_boxes(where), torch.tensor([0]), n_canvases=1, frame_size=(16, 16)
    )
    torch.testing.assert_close(seen, image, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(painted, image, atol=1e-5, rtol=1e-5)


def test_no_patches_leave_canvases_empty() -> None:
    canvases, covers = paint(
        torch.zeros(0, 1, G, G),
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.long),
        n_canvases=2,
        frame_size=SIZE,
    )
    assert canvases.shape == (2, 1, *SIZE)
    assert not canvases.any()
    assert not covers.any()


@pytest.mark.parametrize(
    ("size", "channels", "std", "nats"),
    [((48, 48), 1, 0.3, 656.7), ((48, 48), 3, 0.3, 1970.1), ((50, 50), 1, 0.3, 712.6)],
)
def test_a_perfect_reconstruction_gives_the_ceiling_of_the_bound(
    size: tuple[int, int], channels: int, std: float, nats: float
) -> None:
    config = SqairConfig(frame_size=size, channels=channels, output_std=std, n_hidden=2)
    decoder = decoder_of(config)
    pixels = torch.rand(2, channels, *size, generator=generator())
    logs, errors = decoder.log_likelihood(pixels, pixels.repeat_interleave(3, 0))
    assert not errors.any()
    assert logs.shape == (6,)
    assert logs[0].item() == pytest.approx(nats, abs=0.1)


def test_one_channel_with_the_reduced_deviation_weighs_errors_like_three() -> None:
    pixels = torch.rand(1, 1, 48, 48, generator=generator())
    worse = []
    for channels, std in ((1, 0.3 / math.sqrt(3)), (3, 0.3)):
        config = SqairConfig(channels=channels, output_std=std, n_hidden=2)
        decoder = decoder_of(config)
        frames = pixels.expand(1, channels, 48, 48)
        perfect, _ = decoder.log_likelihood(frames, frames)
        worse.append(perfect - decoder.log_likelihood(frames, torch.zeros_like(frames))[0])
    torch.testing.assert_close(worse[0], worse[1])


def test_absent_objects_paint_nothing() -> None:
    decoder = decoder_of(SqairConfig(n_hidden=4, channels=1, mean_image=0.5))
    what, where = torch.randn(3, 2, 50), torch.randn(3, 2, 4)
    painted = decoder(what, where, torch.zeros(3, 2))
    assert painted.abs().max() < 1e-4


def test_the_mean_image_shows_only_where_something_is_painted() -> None:
    config = SqairConfig(n_hidden=4, channels=1, mean_image=0.5, output_scale=0.0)
    decoder = decoder_of(config)
    painted = decoder(torch.zeros(1, 1, 50), torch.zeros(1, 1, 4), torch.ones(1, 1))[0, 0]
    assert painted[24, 24].item() == pytest.approx(0.5, abs=1e-3)
    assert painted[0, 0] < 1e-4


def test_a_patch_too_small_to_paint_still_gets_the_gradient_of_its_size() -> None:
    boxes = GEOMETRY.sprite_boxes(torch.tensor([[-30.0, -30.0, 0.0, 0.0]])).requires_grad_()
    canvas, _ = paint(
        torch.rand(1, 1, G, G), boxes, torch.zeros(1).long(), n_canvases=1, frame_size=SIZE
    )
    assert torch.isfinite(canvas).all()
    canvas[..., 12, 10].sum().backward()
    assert boxes.grad is not None
    assert torch.isfinite(boxes.grad).all()
