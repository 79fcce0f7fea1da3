import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from smot.models.sqair.objective import log_discoveries
from smot.models.sqair.objects import (
    Slots,
    log_bernoulli,
    log_normal,
    masked_logit,
    number,
    pack,
)
from smot.models.sqair.propagation import Usage


def slots_of(present: list[list[int]], first_id: int) -> Slots:
    """Slots whose every number is their identity; absent ones hold rubbish."""
    held = torch.tensor(present, dtype=torch.float32)
    N, S = held.shape
    ids = torch.arange(first_id, first_id + N * S).view(N, S)
    content = ids.float()
    return Slots(
        what=content[..., None].expand(N, S, 2),
        where=content[..., None].expand(N, S, 4),
        present=held,
        logit=content,
        temporal=content[..., None].expand(N, S, 3),
        prior=content[..., None].expand(N, S, 3),
        ids=torch.where(held > 0, ids, -1),
    )


def test_packing_brings_the_present_to_the_front_in_their_order() -> None:
    propagated = slots_of([[1, 0], [0, 0], [1, 1]], 0)  # ids by row: 0 . 4 and . . 5
    discovered = slots_of([[1, 1], [1, 0]], 10)  # 10 12 and 11 .
    packed = pack(propagated, discovered, 4)
    assert packed.ids.T.tolist() == [[0, 4, 10, 12], [5, 11, -1, -1]]
    assert packed.what[..., 0].T.tolist() == [[0, 4, 10, 12], [5, 11, 0, 0]]
    assert packed.present.T.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_packing_cuts_what_does_not_fit_and_keeps_the_older() -> None:
    packed = pack(slots_of([[1], [1]], 0), slots_of([[1], [1]], 10), 3)
    assert packed.ids.T.tolist() == [[0, 1, 10]]


def test_packing_drops_slots_that_no_row_uses() -> None:
    packed = pack(slots_of([[0, 0], [1, 0]], 0), slots_of([[0, 0]], 10), 5)
    assert packed.n_slots == 1


def test_identities_go_on_from_those_used() -> None:
    found = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    ids, n_used = number(found, torch.tensor([4, 0]))
    assert ids.T.tolist() == [[4, 5, -1], [0, -1, -1]]
    assert n_used.tolist() == [6, 1]


def test_what_is_gathered_comes_back_to_its_place() -> None:
    present = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]], dtype=torch.float32)
    usage = Usage.of(present)
    part = torch.arange(24.0).view(3, 4, 2)
    assert usage.sizes == [3, 2, 1]
    back = usage.scatter(usage.gather(part))
    torch.testing.assert_close(back, torch.where(present[..., None] > 0, part, 0.0))


def test_rows_of_a_slot_are_a_prefix_of_the_order() -> None:
    present = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]], dtype=torch.float32)
    usage = Usage.of(present)
    rows: Tensor = usage.entries % 4
    start = 0
    for size in usage.sizes:
        assert rows[start : start + size].tolist() == usage.order[:size].tolist()
        start += size


def test_padding_adds_absent_slots() -> None:
    padded = slots_of([[1, 0]], 0).padded(3)
    assert padded.n_slots == 3
    assert padded.ids.T.tolist() == [[0, -1, -1], [-1, -1, -1]]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_probabilities_of_all_numbers_of_discoveries_sum_to_one() -> None:
    N = 4
    logit = torch.randn(N, generator=generator())
    total = 0.0
    for n in range(N + 1):
        present = (torch.arange(N) < n).float()
        could = torch.cat([torch.ones(1), present[:-1]])
        masked = masked_logit(logit, could)
        total += log_discoveries(present[:, None], masked[:, None]).exp().item()
    assert total == pytest.approx(1)


def test_a_ruled_out_slot_costs_nothing_to_leave_empty() -> None:
    logit = masked_logit(torch.tensor([3.0]), torch.zeros(1))
    assert abs(log_bernoulli(torch.zeros(1), logit).item()) < 1e-37


def test_log_densities_are_those_of_torch() -> None:
    value, mean = torch.randn(2, 5, 3, generator=generator())
    std = torch.rand(5, 3, generator=generator()) + 0.1
    expected = Normal(mean, std).log_prob(value).sum(-1)
    torch.testing.assert_close(log_normal((value - mean) / std, std), expected)
    present, logit = torch.tensor([0.0, 1.0]), torch.tensor([0.3, -2.0])
    expected = Bernoulli(logits=logit).log_prob(present)
    torch.testing.assert_close(log_bernoulli(present, logit), expected)
