import pytest
import torch

from smot.models.sprites import ink_boxes

BLACK = torch.zeros(1)


def appearance(
    rows: slice, columns: slice, side: int = 10, colour: float = 1.0, alpha: float = 1.0
) -> torch.Tensor:
    """A filled rectangle of ink, [2, G, G]."""
    ink = torch.zeros(side, side)
    ink[rows, columns] = colour
    return torch.stack([ink, torch.full((side, side), alpha)])


def test_a_half_empty_sprite_gets_the_half_that_is_full() -> None:
    box = torch.tensor([20.0, 30.0, 10.0, 10.0])  # one sprite pixel is one pixel
    tight = ink_boxes(box, appearance(slice(0, 10), slice(2, 5)), BLACK, 0.5)
    # Ink ends half way between the centres of the last full and the first empty pixel.
    torch.testing.assert_close(tight, torch.tensor([20.0, 28.5, 10.0, 3.0]))


def test_a_full_sprite_keeps_its_box() -> None:
    box = torch.tensor([[0.4, 0.5, 0.2, 0.3]])
    full = appearance(slice(None), slice(None))[None]
    torch.testing.assert_close(ink_boxes(box, full, BLACK, 0.5), box)


def test_an_invisible_object_keeps_its_box() -> None:
    box = torch.tensor([0.4, 0.5, 0.2, 0.3])
    for colour, alpha in ((0.05, 1.0), (1.0, 0.05)):
        faint = appearance(slice(2, 4), slice(2, 4), colour=colour, alpha=alpha)
        torch.testing.assert_close(ink_boxes(box, faint, BLACK, 0.1), box)


def test_ink_is_what_differs_from_the_background() -> None:
    box = torch.tensor([5.0, 5.0, 10.0, 10.0])
    dark = 1 - appearance(slice(3, 7), slice(3, 7))
    dark[1] = 1
    tight = ink_boxes(box, dark, torch.ones(1), 0.5)
    torch.testing.assert_close(tight, torch.tensor([5.0, 5.0, 4.0, 4.0]))


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.8])
def test_a_higher_threshold_never_gives_a_larger_box(threshold: float) -> None:
    generator = torch.Generator().manual_seed(0)
    looks = torch.rand(50, 2, 14, 14, generator=generator)
    boxes = torch.rand(50, 4, generator=generator)
    loose = ink_boxes(boxes, looks, BLACK, threshold)
    tight = ink_boxes(boxes, looks, BLACK, threshold + 0.1)
    visible = (looks[:, 0] * looks[:, 1] >= threshold + 0.1).flatten(1).any(1)
    assert (tight[visible, 2:] <= loose[visible, 2:] + 1e-6).all()
