import pytest
import torch

from smot.training.prefetch import Prefetch


def test_batches_come_in_order_with_the_length_of_their_step() -> None:
    prefetch = Prefetch(
        lambda step, n_frames: torch.tensor([step, n_frames]), lambda step: 2 * step, first_step=5
    )
    assert [prefetch.next().tolist() for _ in range(3)] == [[5, 10], [6, 12], [7, 14]]
    prefetch.close()


def test_what_goes_wrong_in_the_background_is_raised_in_its_turn() -> None:
    def batches(step: int, n_frames: int) -> torch.Tensor:
        if step == 1:
            raise LookupError("no video")
        return torch.zeros(1)

    prefetch = Prefetch(batches, lambda step: 1, first_step=0)
    prefetch.next()
    with pytest.raises(LookupError, match="no video"):
        prefetch.next()
    prefetch.close()
