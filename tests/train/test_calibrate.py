import numpy as np
import pytest

from posegram.coords import probability
from posegram.train.calibrate import calibrate


def drawn(slope, offset, count=40_000):
    """Logits, and joints that are right with the probability of a known curve."""
    rng = np.random.default_rng(0)
    logit = rng.normal(2, 3, count).astype(np.float32)
    return logit, rng.random(count) < probability(logit, (slope, offset))


@pytest.mark.parametrize("curve", [(1.0, 0.0), (0.4, -1.0), (2.5, 3.0), (-0.7, 0.5)])
def test_a_known_curve_is_recovered(curve):
    assert calibrate(*drawn(*curve)) == pytest.approx(curve, abs=0.12)


def test_the_mean_probability_is_the_share_of_right_joints():
    logit, right = drawn(0.4, -1.0)
    found = probability(logit, calibrate(logit, right))
    assert found.mean() == pytest.approx(right.mean(), abs=1e-3)


def test_logits_of_another_unit_give_the_same_probabilities():
    logit, right = drawn(0.4, -1.0, 2000)
    here, there = (probability(x, calibrate(x, right)) for x in (logit, 1000 * logit - 5))
    np.testing.assert_allclose(here, there, atol=1e-3)


def test_logits_that_say_nothing_give_the_share_of_right_joints():
    right = np.arange(100) < 80
    slope, offset = calibrate(np.full(100, 3.0, dtype=np.float32), right)
    assert (slope, 1 / (1 + np.exp(-offset))) == (0.0, pytest.approx(0.8))


def test_no_joints_leave_the_logits_as_they_are():
    assert calibrate(np.zeros(0, dtype=np.float32), np.zeros(0, dtype=bool)) == (1.0, 0.0)


@pytest.mark.parametrize("all_right", [True, False])
def test_joints_that_are_all_alike_give_finite_numbers(all_right):
    logit = np.linspace(-1, 1, 50).astype(np.float32)
    assert np.isfinite(calibrate(logit, np.full(50, all_right))).all()


def test_joints_that_the_logits_tell_apart_exactly_give_a_steep_curve():
    logit = np.linspace(-1, 1, 50).astype(np.float32)
    slope, offset = calibrate(logit, logit > 0)
    assert np.isfinite(offset)
    assert slope > 5


def test_joints_that_part_without_error_give_a_gentle_curve():
    slope, _ = calibrate(np.array([-2.0, -1.9, -1.8, 2.0], np.float32), np.array([0, 0, 0, 1]) > 0)
    assert 0.2 < slope < 3


def test_joints_that_part_without_error_are_as_probable_as_platts_targets():
    logit = np.array([-1, -1, -1, 1, 1], dtype=np.float32)
    curve = calibrate(logit, logit > 0)
    found = probability(np.float32([-1, 1]), curve)
    np.testing.assert_allclose(found, [1 / (3 + 2), (2 + 1) / (2 + 2)], atol=1e-3)
