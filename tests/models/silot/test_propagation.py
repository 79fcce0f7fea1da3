import torch
from torch import Tensor

from smot.models.silot import Silot
from smot.models.silot.objects import Noise
from smot.models.silot.propagation import change_what


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_closed_gates_keep_an_appearance() -> None:
    what = noise(3, 4, 5)
    gates = torch.full((3, 4, 25), 50.0)
    _, changed = change_what(noise(3, 4, 10, seed=1), gates, what, None)
    # 0.9999 is as closed as gates get; the time gate lets 0.0001 of a mean of 50 through.
    assert (changed - what).abs().max() < 0.01


def test_the_increment_leads_to_the_new_appearance() -> None:
    what = noise(3, 4, 5)
    increment, changed = change_what(noise(3, 4, 10, seed=1), noise(3, 4, 25, seed=2), what, None)
    torch.testing.assert_close(what + increment.mean, changed)


def test_an_object_moves_at_most_as_far_as_it_can_reach(model: Silot) -> None:
    heads = model.prior.heads
    heads.where.output_bias.data.fill_(100.0)
    objects = model.unpacked(torch.zeros(2, 3, 25))
    motion = heads.move((torch.zeros(2, 3, 8),), objects, None, freeze=False)
    torch.testing.assert_close(motion.box[..., :2], torch.full((2, 3, 2), heads.reach))


def test_without_noise_every_draw_is_its_mean(model: Silot) -> None:
    objects = model.unpacked(torch.zeros(2, 3, 25))
    change = model.prior(torch.ones(2, 3, 8), objects, Noise())
    what = change.drawn.mean[..., 4:-1]
    torch.testing.assert_close(change.objects.what, what)
    torch.testing.assert_close(change.objects.size_logit, change.drawn.mean[..., 2:4])
    torch.testing.assert_close(change.drawn.sample, change.drawn.logit)
