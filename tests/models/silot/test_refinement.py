import numpy as np
import pytest
import torch
from torch import Tensor

from smot.arrays import UInt8Array
from smot.models.silot import Silot, SilotTracker
from smot.models.silot.objects import Objects
from smot.models.silot.refinement import Frame, Parse, refined

UNIT = 48.0


def square(model: Silot, y: float, x: float, pres: float = 1.0, n: int = 1) -> Objects:
    """`n` slots of one video, the first with an object of 7 pixels at y, x."""
    place = torch.full((1, n, 2), -10.0)
    place[0, 0] = torch.tensor([y, x]) / UNIT
    size_logit = torch.logit(torch.full((1, n, 2), 7 / UNIT))
    size = torch.sigmoid(size_logit)
    what = torch.zeros(1, n, model.config.what_size)
    presence = torch.zeros(1, n, 1)
    presence[0, 0] = pres
    return Objects(
        place,
        size,
        what,
        torch.full((1, n, 1), 0.5),
        presence,
        torch.zeros(1, n, model.config.hidden_size),
        torch.cat([place, size], -1),
        size_logit,
        torch.zeros(1, n, 1),
    )


def picture(model: Silot, objects: Objects) -> Tensor:
    with torch.no_grad():
        image: Tensor = model.renderer(objects, (24, 24))
    return image


def test_boxes_move_to_where_the_picture_is(model: Silot) -> None:
    image = picture(model, square(model, 12, 12))
    start = square(model, 13.5, 11)
    old = torch.zeros(1, 1, dtype=torch.bool)
    with torch.no_grad():
        state, is_new = refined(model, image, start.packed(), old, 20, 0.5)
    found = model.unpacked(state)
    before = (start.centre - torch.tensor([12.0, 12.0]) / UNIT).abs().max()
    after = (found.centre - torch.tensor([12.0, 12.0]) / UNIT).abs().max()
    assert after < before / 2
    assert found.pres[0, 0, 0] > 0.5
    assert not is_new.any()
    assert all(weight.grad is None for weight in model.parameters())


def test_an_object_where_the_picture_is_empty_goes(model: Silot) -> None:
    image = picture(model, square(model, 12, 12, pres=0.0))
    new = torch.ones(1, 1, dtype=torch.bool)
    with torch.no_grad():
        state, _ = refined(model, image, square(model, 12, 12).packed(), new, 2, 0.5)
    assert model.unpacked(state).pres[0, 0, 0] == 0


def test_what_no_refinement_improves_stays_as_it_is(model: Silot) -> None:
    nothing = square(model, 12, 12, pres=0.2, n=3)
    image = torch.zeros(1, 1, 24, 24)
    none_new = torch.zeros(1, 3, dtype=torch.bool)
    with torch.no_grad():
        state, is_new = refined(model, image, nothing.packed(), none_new, 2, 0.5)
    torch.testing.assert_close(state, nothing.packed())
    assert not is_new.any()


def test_the_energy_falls_as_objects_are_moved(model: Silot) -> None:
    image = picture(model, square(model, 12, 12))
    start = Parse.of(square(model, 13, 12), torch.ones(1, 1, dtype=torch.bool), 0.5)
    frame = Frame(model, image, start)
    moved = frame.moved(start, 8)
    with torch.no_grad():
        assert frame.energy(moved) < frame.energy(start)


def test_what_the_picture_shows_and_no_object_explains_is_added(
    model: Silot, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = square(model, 12, 12, n=2)
    image = picture(model, seen)
    image = torch.cat([image, torch.zeros_like(image)])  # nothing is amiss in the second video
    monkeypatch.setattr(model.discovery, "forward", lambda *_args, **_more: (seen, None))
    nothing = square(model, 12, 12, pres=0.0, n=2).packed().repeat(2, 1, 1)
    none_new = torch.zeros(2, 2, dtype=torch.bool)
    with torch.no_grad():
        state, is_new = refined(model, image, nothing, none_new, 2, 0.5)
    assert is_new.sum(1).tolist() == [1, 0]
    found = model.unpacked(state[is_new])
    torch.testing.assert_close(found.centre[0] * UNIT, torch.tensor([12.0, 12.0]), atol=1, rtol=0)
    assert found.pres[0, 0] > 0.9


def test_a_tracker_refines_if_it_is_asked_to(model: Silot, videos: UInt8Array) -> None:
    plain, refining = SilotTracker(model=model), SilotTracker(model=model, refine=2)
    tracks = refining.track(videos)
    assert tracks.shape[:2] == plain.track(videos).shape[:2] == (4, 5)
    assert refining.predict(videos[:, :3], 2).shape[1] == 2
    again = refining.track(videos[:1])
    np.testing.assert_allclose(again.boxes, tracks.boxes[:1], atol=1e-3)
