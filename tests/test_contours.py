import numpy as np
import pytest

from uniseg_nets.prepare.contours import enclosed, filled


def test_pixels_whose_centre_lies_inside_are_filled():
    square = np.array([[1.5, 0.5], [4.5, 0.5], [4.5, 2.5], [1.5, 2.5]])
    mask = filled(square, (6, 5))
    assert mask.shape == (6, 5)
    assert np.argwhere(mask).tolist() == [[x, y] for x in (2, 3, 4) for y in (1, 2)]


def test_two_shapes_that_share_an_edge_share_no_pixel_and_leave_none_out():
    left, right = np.array([[0, 0], [3, 0], [3, 4], [0, 4]]), np.array([[3, 0], [6, 0], [6, 4], [3, 4]])
    both = filled(left, (7, 5)).astype(int) + filled(right, (7, 5))
    assert both.max() == 1 and both.sum() == 6 * 4


def test_a_circle_has_its_area_and_its_centre():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    mask = filled(np.stack([20.3 + 12 * np.cos(angle), 15.6 + 12 * np.sin(angle)], axis=-1), (64, 40))
    assert mask.sum() == pytest.approx(np.pi * 144, rel=0.01)
    np.testing.assert_allclose(np.argwhere(mask).mean(axis=0), [20.3, 15.6], atol=0.05)


def test_a_bay_of_an_outline_stays_empty():
    left, right, top, bottom = 0.5, 9.5, 0.5, 9.5
    bay = [(6.5, bottom), (6.5, 3.5), (3.5, 3.5), (3.5, bottom)]
    horseshoe = np.array([(left, top), (right, top), (right, bottom), *bay, (left, bottom)])
    mask = filled(horseshoe, (11, 11))
    assert mask[2, 8] and mask[8, 8] and mask[5, 2] and not mask[5, 8]


def box(low, high):
    mask = np.zeros((12, 12), dtype=bool)
    mask[low:high, low:high] = True
    return mask


def test_a_contour_inside_another_is_a_hole_and_all_others_add_up():
    outer, hole, island = box(0, 10), box(2, 8), box(4, 6)
    assert (enclosed([island, outer, hole]) == (outer ^ hole ^ island)).all()
    assert (enclosed([box(0, 6), box(4, 10)]) == (box(0, 6) | box(4, 10))).all()
    assert (enclosed([outer, outer, hole, hole]) == (outer ^ hole)).all()


def test_what_leaves_the_image_is_cut_off():
    assert filled(np.array([[-5, -5], [20, -5], [20, 20], [-5, 20]]), (4, 3)).all()


def test_two_points_are_no_outline():
    with pytest.raises(ValueError, match=r"size \(2, 2\), expected \(n, 2\) with 3 points or more"):
        filled(np.zeros((2, 2)), (4, 4))
