import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from posegram.areas import areas, iou, oks, shared
from posegram.pose import COCO17, LSP14

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


# object keypoint similarity


def joints(people, count=17):
    """Places (N, K, 2) in an image, pixels."""
    return np.random.default_rng(0).uniform(0, 200, (people, count, 2)).astype(np.float32)


def test_a_perfect_prediction_has_similarity_one():
    xy = joints(3)
    same = oks(xy, xy, np.ones((3, 17), bool), np.full(3, 900.0, np.float32), COCO17.sigmas)
    np.testing.assert_allclose(np.diag(same), 1.0)


def test_the_similarity_of_a_known_distance_is_the_published_formula():
    truth = np.zeros((1, 17, 2), np.float32)
    away = truth + np.float32([3, 4])  # 5 pixels off
    found = oks(away, truth, np.ones((1, 17), bool), np.float32([1000]), COCO17.sigmas)
    told = np.mean([np.exp(-25 / (2 * 1000 * (2 * s) ** 2)) for s in COCO17.sigmas])
    assert found[0, 0] == pytest.approx(told, rel=1e-5)


def test_joints_without_a_label_do_not_count():
    truth = np.zeros((1, 17, 2), np.float32)
    wrong = truth.copy()
    wrong[0, 5:] = 1e4
    labelled = np.arange(17)[None] < 5
    assert oks(wrong, truth, labelled, np.float32([1000]), COCO17.sigmas)[0, 0] == 1


def test_an_absent_joint_counts_as_wrong():
    truth = np.zeros((1, 17, 2), np.float32)
    part = truth.copy()
    part[0, 0] = np.nan
    found = oks(part, truth, np.ones((1, 17), bool), np.float32([1000]), COCO17.sigmas)
    assert found[0, 0] == pytest.approx(16 / 17)


def test_a_person_without_labels_is_like_nobody():
    xy = joints(1)
    assert oks(xy, xy, np.zeros((1, 17), bool), np.float32([1000]), COCO17.sigmas)[0, 0] == 0


def test_every_prediction_meets_every_label():
    a, b = joints(4), joints(2)
    found = oks(a, b, np.ones((2, 17), bool), np.ones(2, np.float32), COCO17.sigmas)
    assert found.shape == (4, 2)


def test_a_skeleton_without_falloffs_has_no_similarity():
    xy = joints(3, 14)
    with pytest.raises(ValueError, match="one sigma per joint: 0 for 14 joints"):
        oks(xy, xy, np.ones((3, 14), bool), np.ones(3, np.float32), LSP14.sigmas)


@given(arrays.arrays(np.float32, (2, 17, 2), elements=st.floats(-1e4, 1e4, width=32)))
def test_similarity_lies_between_0_and_1(xy):
    found = oks(xy, xy[::-1], np.ones((2, 17), bool), np.float32([50, 5000]), COCO17.sigmas)
    assert ((found >= 0) & (found <= 1)).all()
