import numpy as np

from smot.boxes import areas, centres, intersections, iou


def test_worked_iou() -> None:
    first = np.array([[0.0, 0, 4, 4], [0, 0, 0, 0]])
    second = np.array([[2.0, 0, 6, 4], [10, 10, 12, 12], [0, 0, 4, 4]])
    np.testing.assert_allclose(iou(first, second), [[8 / 24, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(intersections(first, second)[0], [8, 0, 16])


def test_iou_is_symmetric_and_within_bounds() -> None:
    corners = np.random.default_rng(0).uniform(0, 30, (3, 8, 2))
    boxes = np.concatenate([corners, corners + 7], -1)
    ratio = iou(boxes, boxes)
    np.testing.assert_allclose(ratio, np.swapaxes(ratio, -1, -2))
    assert ratio.min() >= 0
    assert ratio.max() <= 1 + 1e-12


def test_areas_and_centres() -> None:
    box = np.array([1.0, 2, 5, 9])
    assert areas(box) == 28
    assert centres(box).tolist() == [3, 5.5]
