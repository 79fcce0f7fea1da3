import torch

from smot.models.silot.model import gather, select


def test_kept_tracks_stay_in_their_slots_and_freed_slots_fill_in_order() -> None:
    propagated = torch.tensor([[0.9, 0.1, 0.8, 0.2]])
    discovered = torch.tensor([[0.3, 0.05, 0.7]])
    source, is_new = select(propagated, discovered)
    # Kept: 0.9, 0.8, 0.7, 0.3; slots 1 and 3 are free for cells 0 and 2.
    assert source.tolist() == [[0, 4, 2, 6]]
    assert is_new.tolist() == [[False, True, False, True]]


def test_the_most_present_are_chosen() -> None:
    generator = torch.Generator().manual_seed(0)
    pres = torch.rand(50, 12, generator=generator)
    source, is_new = select(pres[:, :5], pres[:, 5:])
    chosen = pres.gather(1, source).sort(1, descending=True).values
    assert torch.equal(chosen, pres.sort(1, descending=True).values[:, :5])
    assert torch.equal(is_new, source >= 5)
    stays = ~is_new
    assert torch.equal(source[stays], torch.arange(5).expand(50, 5)[stays])


def test_ties_go_to_what_was_propagated() -> None:
    source, is_new = select(torch.zeros(1, 3), torch.zeros(1, 4))
    assert source.tolist() == [[0, 1, 2]]
    assert not is_new.any()


def test_gather_takes_the_rows_that_were_chosen() -> None:
    objects = torch.arange(24.0).view(2, 4, 3)
    rows = gather(objects, torch.tensor([[3, 0], [1, 1]]))
    assert rows[:, :, 0].tolist() == [[9, 0], [15, 15]]
