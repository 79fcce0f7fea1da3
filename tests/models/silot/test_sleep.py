from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smot.arrays import UInt8Array
from smot.models.distributions import Gaussian, Presence
from smot.models.silot import FAMILY, Silot, SilotConfig
from smot.models.silot.discovery import FINE_CELL, build_backbone
from smot.models.silot.objects import Drawn, Objects
from smot.models.silot.sleep import (
    Found,
    Scene,
    assigned,
    compose,
    isolated,
    laid_over,
    sleep_terms,
)

SIDE = 24
FRAME = (SIDE, SIDE)


@pytest.fixture
def sleeper(config: SilotConfig) -> Silot:
    model = FAMILY.build(replace(config, cell=FINE_CELL, sleep_weight=1.0, anchor=24.0), 3)
    assert isinstance(model, Silot)
    return model


def objects_at(boxes: list[list[float]], pres: list[float], A: int = 5, H: int = 7) -> Objects:
    """Objects of one video at y, x, h, w in pixels of a frame of 24."""
    box = torch.tensor(boxes)[None] / SIDE
    K = len(boxes)
    numbers = torch.arange(K, dtype=torch.float32).view(1, K, 1)
    return Objects(
        box[..., :2],
        box[..., 2:],
        numbers.expand(1, K, A),
        torch.full((1, K, 1), 0.5),
        torch.tensor(pres).view(1, K, 1),
        torch.zeros(1, K, H),
        box,
        torch.logit(box[..., 2:]),
        torch.zeros(1, K, 1),
    )


def test_only_whole_objects_apart_from_others_are_used() -> None:
    boxes = [[5, 5, 6, 6], [18, 18, 6, 6], [18, 13, 6, 6], [5, 18, 6, 6], [0, 13, 6, 6]]
    found = isolated(objects_at(boxes, [0.9, 0.9, 0.9, 0.5, 0.9]), 24.0, FRAME)
    # The second and third touch, the fourth is unsure, the last reaches out of the frame.
    assert found.tolist() == [[True, False, False, False, False]]
    faint = isolated(objects_at(boxes, [0.9, 0.9, 0.1, 0.5, 0.9]), 24.0, FRAME)
    assert faint.tolist() == [[True, True, False, False, False]]


def test_a_box_much_larger_than_the_others_is_taken_for_two_objects() -> None:
    boxes = [[4.0 + 6 * i, 4.0 + 6 * j, 4.0, 4.0] for i in range(3) for j in range(3)]
    large = isolated(objects_at([*boxes, [36, 36, 20, 4]], [0.9] * 10), 24.0, (60, 60))
    assert large[0, :9].all()
    assert not large[0, 9]


def test_the_cheapest_pair_comes_first_and_each_cell_once() -> None:
    cost = torch.tensor([[[3.0, 1.0, 9.0], [2.0, 0.5, 9.0], [0.0, 0.0, 0.0]]])
    allowed = torch.ones(1, 3, 3, dtype=torch.bool)
    allowed[0, 2] = False
    cell, got = assigned(cost, allowed)
    # The second object takes the middle cell, and the first what is left.
    assert cell[0, :2].tolist() == [0, 1]
    assert got.tolist() == [[True, True, False]]
    allowed[0, :2, 0] = False
    allowed[0, 0, 2] = False
    _, got = assigned(cost, allowed)
    assert got.tolist() == [[False, True, False]]


def test_later_objects_cover_earlier_ones_where_they_differ_from_the_background(
    sleeper: Silot,
) -> None:
    looks = torch.zeros(1, 3, 1, 6, 6)
    looks[0, 0], looks[0, 1, :, :, 3:], looks[0, 2] = 0.5, 1.0, 1.0
    box = torch.tensor([[[12.0, 12, 6, 6], [12, 12, 6, 6], [4, 4, 6, 6]]]) / SIDE
    on = torch.tensor([[True, True, False]])
    image = laid_over(looks, box, on, torch.zeros(1), sleeper.config, FRAME)[0, 0]
    assert image[12, 10] == pytest.approx(0.5)
    assert image[12, 13] == pytest.approx(1.0)
    assert image[4, 4] == 0
    assert image[:8].sum() == 0


def test_scenes_hold_objects_of_the_frames_and_say_where(
    sleeper: Silot, generator: torch.Generator
) -> None:
    found = objects_at([[6, 6, 6, 6], [18, 18, 6, 6]], [0.9, 0.9])
    image = torch.zeros(1, 1, *FRAME)
    image[..., 3:9, 3:9], image[..., 15:21, 15:21] = 1.0, 0.6
    seen = Found(image, found.packed(), torch.ones(1, 2, dtype=torch.bool))
    scenes = [compose(sleeper, seen, generator) for _ in range(20)]
    for scene in scenes:
        for k in range(2):
            there = bool(scene.to_find[0, k]) or scene.explained[0, k].any()
            y, x = (scene.box[0, k, :2] * SIDE).long().tolist()
            if there:
                level = 1.0 if scene.what[0, k, 0] == 0 else 0.6
                painted = scene.image[0, 0, y, x]
                assert painted == pytest.approx(level, abs=0.05) or painted > 0.95
        centre = sleeper.unpacked(scene.explained).centre
        assert not (scene.to_find[0] & (centre[0, :, 0] > -5)).any()
    assert {int(scene.to_find.sum()) for scene in scenes} == {0, 1, 2}


def test_no_scene_without_objects(sleeper: Silot, generator: torch.Generator) -> None:
    nothing = objects_at([[6, 6, 6, 6]], [0.1]).packed()
    steady = torch.ones(1, 1, dtype=torch.bool)
    scene = compose(sleeper, Found(torch.zeros(1, 1, *FRAME), nothing, steady), generator)
    assert not scene.to_find.any()
    assert scene.image.sum() == 0


def test_what_is_found_as_it_is_costs_nothing(sleeper: Silot) -> None:
    config = sleeper.config
    J, A = 16, config.what_size
    box = torch.tensor([[[9.0, 9.0, 6, 6]]]) / SIDE
    what = torch.ones(1, 1, A)
    image = torch.zeros(1, 1, *FRAME)
    scene = Scene(image, box, what, torch.tensor([[True]]), torch.zeros(1, 1, 3))

    def terms(at: Tensor, logit: float) -> dict[str, Tensor]:
        logits = torch.full((1, J, 1), -10.0)
        logits[0, 5] = logit  # the cell around 9, 9
        ones = torch.ones(1, J, 5 + A)
        presence = Presence.drawn(logits, None)
        found = objects_at([[0.0, 0, 1, 1]] * J, [0.5] * J, A)._replace(box=at.expand(1, J, 4))
        drawn = Drawn.of((Gaussian(ones, ones),), presence, presence.value)
        return sleep_terms(scene, found, drawn, config)

    right = terms(box, 10.0)
    assert all(float(value) < 0.01 for value in right.values())
    assert float(terms(box + 0.1, 10.0)["sleep_where"]) > 1
    assert float(terms(box, -10.0)["sleep_presence"]) == pytest.approx(10, abs=0.1)


def test_sleep_teaches_discovery_and_leaves_the_rest(sleeper: Silot, videos: UInt8Array) -> None:
    found = objects_at([[6, 6, 6, 6], [18, 18, 6, 6]], [0.9, 0.9])
    image = torch.zeros(1, 1, *FRAME)
    image[..., 3:9, 3:9] = 1.0
    steady = torch.ones(1, 2, dtype=torch.bool)
    seen = Found(image, found.packed(), steady)
    sleeper.sleep_objective(seen, generator=torch.Generator().manual_seed(1)).total.backward()
    weights = dict(sleeper.named_parameters())
    moved = {name.split(".")[0] for name, each in weights.items() if each.grad is not None}
    assert moved <= {"backbone", "discovery"}
    objective = sleeper.objective(
        torch.from_numpy(videos), step=0, generator=torch.Generator().manual_seed(0)
    )
    assert {"sleep_presence", "sleep_where", "sleep_what"} <= objective.terms.keys()
    alone = sleeper.eval().objective(
        torch.from_numpy(videos), step=0, generator=torch.Generator().manual_seed(0)
    )
    assert not [name for name in alone.terms if name.startswith("sleep")]


@pytest.mark.parametrize("size", [(24, 24), (20, 31)])
def test_the_finer_backbone_has_a_cell_for_each_six_pixels(
    config: SilotConfig, size: tuple[int, int]
) -> None:
    backbone = build_backbone(replace(config, cell=FINE_CELL))
    features = backbone(torch.rand(2, 1, *size))
    assert features.shape == (2, -(-size[0] // 6), -(-size[1] // 6), config.n_features)
