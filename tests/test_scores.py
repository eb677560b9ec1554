import numpy as np
import pytest

from posegram.scores import overall


def test_a_joint_counts_as_much_as_it_is_likely():
    assert overall(np.array([0.25, 0.75])) == pytest.approx(0.625)


def test_joints_that_are_nowhere_cost_nothing():
    assert overall(np.array([0.5, 0.5, 0.0])) == pytest.approx(0.5)


def test_a_single_joint_carries_its_own_score():
    assert overall(np.array([0.5, 0.0, 0.0])) == pytest.approx(0.5)


def test_nobody_scores_nothing():
    assert overall(np.zeros((2, 3))).tolist() == [0, 0]


def test_everybody_has_a_score():
    assert overall(np.ones((4, 17), dtype=np.float32)).shape == (4,)
