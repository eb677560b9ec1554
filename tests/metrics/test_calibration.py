import numpy as np
import pytest

from posegram.metrics.calibration import calibration_error, calibration_statistic

ALL = np.ones((1, 4), dtype=bool)


def test_sure_and_right_has_no_error():
    assert calibration_error(np.ones((1, 4)), ALL, ALL) == 0


def test_sure_and_wrong_has_error_one():
    assert calibration_error(np.ones((1, 4)), ~ALL, ALL) == 1


def test_half_sure_and_half_right_has_no_error():
    right = np.array([[True, False, True, False]])
    assert calibration_error(np.full((1, 4), 0.5), right, ALL) == pytest.approx(0)


def test_bins_weigh_by_how_many_joints_they_hold():
    score = np.array([[0.9, 0.9, 0.9, 0.1]])
    assert calibration_error(score, ALL, ALL) == pytest.approx((3 * 0.1 + 0.9) / 4)


def test_unlabelled_joints_do_not_enter():
    counted = np.array([[True, True, True, False]])
    score = np.array([[1.0, 1.0, 1.0, 0.0]])
    assert calibration_error(score, ALL, counted) == 0


@pytest.mark.parametrize("score", [1.5, -0.5])
def test_a_single_score_that_is_no_probability_is_refused(score):
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibration_error(np.array([[score, 1.0, 1.0, 1.0]]), ALL, ALL)


def test_there_are_15_bins_unless_said_otherwise():
    rng = np.random.default_rng(0)
    case = rng.random((50, 4)), rng.random((50, 4)) > 0.5, np.ones((50, 4), dtype=bool)
    wanted = calibration_error(*case, bins=15)
    statistic = calibration_statistic(*case, np.zeros(50, dtype=np.int64))
    assert calibration_error(*case) == wanted == statistic(np.ones((1, 1)))[0, 0]


def test_no_labelled_joint_is_refused():
    with pytest.raises(ValueError, match="no joint is labelled"):
        calibration_error(np.ones((1, 4)), ALL, ~ALL)


def test_an_image_that_is_not_drawn_does_not_enter():
    score, right = np.array([[1.0], [1.0]]), np.array([[True], [False]])
    counted = np.ones((2, 1), dtype=bool)
    statistic = calibration_statistic(score, right, counted, np.array([0, 1]))
    assert statistic(np.array([[2.0, 0.0], [0.0, 2.0]])).tolist() == [[0], [1]]
