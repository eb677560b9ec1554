import numpy as np

from posegram.areas import areas, iou, shared

NONE = np.zeros((0, 4), dtype=np.float32)


def box(*rows):
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def test_an_area_is_width_by_height_and_never_negative():
    assert areas(box([1, 2, 4, 4], [4, 4, 1, 2], [1, 1, 1, 9])).tolist() == [6, 0, 0]


def test_what_two_boxes_share_is_counted_in_pixels():
    assert shared(box([0, 0, 10, 10]), box([5, 8, 15, 20], [20, 0, 30, 10])).tolist() == [[10, 0]]


def test_each_side_of_what_two_boxes_share_is_that_of_the_inner_box():
    assert shared(box([2, 6, 10, 14]), box([5, 3, 15, 9])).tolist() == [[(10 - 5) * (9 - 6)]]


def test_half_shared_is_a_third_of_the_union():
    found = iou(box([0, 0, 10, 10]), box([5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]))
    np.testing.assert_allclose(found, [[1 / 3, 1, 0]], atol=1e-6)


def test_boxes_that_touch_do_not_overlap():
    assert iou(box([0, 0, 10, 10]), box([10, 0, 20, 10])) == 0


def test_empty_boxes_overlap_nothing():
    assert iou(box([5, 5, 5, 5]), box([5, 5, 5, 5])) == 0


def test_nobody_overlaps_nobody():
    assert iou(NONE, box([0, 0, 1, 1])).shape == (0, 1)
