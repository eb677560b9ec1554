import numpy as np
import pytest

from posegram.metrics.bootstrap import Mean, compare, draws, interval, means, verdict


def column(values, counted=None):
    values = np.asarray(values, dtype=np.float64)[:, None]
    return Mean(values, np.ones(values.shape, dtype=bool) if counted is None else counted[:, None])


def normal(count=400, seed=0):
    return np.random.default_rng(seed).normal(10, 2, count)


def test_the_value_is_the_mean_of_all_people():
    found = interval(means([column([1, 2, 6])], np.array([0, 0, 1])), 2)
    assert found.value.tolist() == [3]


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    values = normal()
    found = interval(means([column(values)], np.arange(400)), 400)
    half = 1.96 * values.std() / 20
    ends = [found.low[0], found.high[0]]
    assert ends == pytest.approx([values.mean() - half, values.mean() + half], abs=0.03)


def test_people_of_one_image_are_drawn_together():
    values = np.repeat(normal(100), 4)  # four equal people in each image tell no more than one
    together = interval(means([column(values)], np.repeat(np.arange(100), 4)), 100)
    single = interval(means([column(values)], np.arange(400)), 400)
    ratio = (together.high - together.low) / (single.high - single.low)
    assert ratio[0] == pytest.approx(2, rel=0.15)


def test_uncounted_joints_do_not_enter():
    counted = np.array([True, True, False])
    found = interval(means([column([1, 3, np.nan], counted)], np.arange(3)), 3)
    assert found.value.tolist() == [2]


def test_an_unweighted_mean_is_the_mean_of_the_columns():
    amount = np.array([[1.0, 0.0], [3.0, 8.0]])
    counted = np.array([[True, False], [True, True]])
    found = interval(means([Mean(amount, counted, "unweighted")], np.arange(2)), 2)
    assert found.value.tolist() == [5]


def test_several_means_are_measured_at_once():
    statistic = means([column([1, 3]), column([5, 5])], np.arange(2))
    assert interval(statistic, 2).value.tolist() == [2, 5]


def test_one_image_gives_no_interval():
    found = interval(means([column([1, 3])], np.zeros(2, dtype=np.int64)), 1)
    assert np.isnan([found.low, found.high]).all()


def test_one_seed_gives_one_interval():
    statistic = means([column(normal())], np.arange(400))
    assert interval(statistic, 400, seed=3).low == interval(statistic, 400, seed=3).low


def test_another_seed_gives_another_interval():
    statistic = means([column(normal())], np.arange(400))
    assert interval(statistic, 400, seed=3).low != interval(statistic, 400, seed=4).low


def test_2000_resamples_are_drawn_unless_said_otherwise():
    statistic = means([column(normal())], np.arange(400))
    assert interval(statistic, 400).low == interval(statistic, 400, resamples=2000).low


def test_every_resample_draws_as_many_images_as_there_are():
    assert {int(n) for block in draws(7, 50, 0) for n in block.sum(axis=1)} == {7}


def test_many_images_are_drawn_in_several_blocks():
    assert [len(block) for block in draws(2_000_000, 3, 0)] == [2, 1]


def test_drawing_from_no_image_is_refused():
    with pytest.raises(ValueError, match="cannot draw"):
        next(draws(0, 10, 0))


def test_a_set_compared_with_itself_differs_by_nothing():
    statistic = means([column(normal())], np.arange(400))
    found = compare(statistic, statistic, 400)
    assert [found.value[0], found.low[0], found.high[0]] == [0, 0, 0]


def test_a_small_steady_difference_is_seen_through_large_common_noise():
    first = normal()
    second = first + 0.1 + np.random.default_rng(1).normal(0, 0.1, 400)
    one, two = (means([column(v)], np.arange(400)) for v in (first, second))
    assert compare(one, two, 400).low[0] > 0.05


def test_two_samples_of_one_law_show_no_difference():
    one, two = (means([column(normal(seed=s))], np.arange(400)) for s in (5, 6))
    found = compare(one, two, 400)
    assert verdict(found.low[0], found.high[0]) == "no difference shown"


@pytest.mark.parametrize(
    ("low", "high", "higher", "words"),
    [
        (-1, 1, True, "no difference shown"),
        (0, 1, True, "no difference shown"),
        (np.nan, np.nan, True, "no difference shown"),
        (1, 2, True, "second is better"),
        (1, 2, False, "first is better"),
        (-2, -1, True, "first is better"),
        (-2, -1, False, "second is better"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(low, high, higher, words):
    assert verdict(low, high, higher_is_better=higher) == words


def test_more_is_better_unless_said_otherwise():
    assert verdict(1, 2) == "second is better"
