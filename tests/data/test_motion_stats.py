import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest

from posegram.data.motion import Course
from posegram.data.motion_stats import Line, summarise, summary, symmetry_index, velocity

TIME = np.arange(120) / 60  # 2 seconds at 60 a second


def course(time=TIME, **angle):
    given = {name: np.asarray(degrees, dtype=np.float64) for name, degrees in angle.items()}
    return Course(Path("a_wide.csv"), 3, len(time), np.asarray(time, dtype=np.float64), given)


def line(angle, time=TIME):
    return summarise(course(time, knee=angle))[0]


def swing(hertz, size, time=TIME):
    return 90 + size * np.sin(2 * np.pi * hertz * time)


def test_a_steady_turn_has_its_speed_in_degrees_a_second():
    speed = velocity(TIME, 20 + 45 * TIME)
    np.testing.assert_allclose(speed[3:-3], 45)


def test_a_steady_turn_in_uneven_times_has_its_speed():
    time = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.03, 50))
    speed = velocity(time, 200 - 30 * time)
    np.testing.assert_allclose(speed[np.isfinite(speed)], -30)


def test_the_speed_of_a_slow_swing_is_near_the_true_one():
    peak = np.nanmax(np.abs(velocity(TIME, swing(1, 30))))
    assert peak == pytest.approx(2 * np.pi * 30, rel=0.015)


@pytest.mark.parametrize(("rate", "low", "high"), [(30, 6, 7), (60, 10, 11.5), (120, 9, 11)])
def test_a_swing_at_3_hertz_shows_slower_by_as_much_as_is_said(rate, low, high):
    time = np.arange(2 * rate) / rate
    # at its middle, where the swing is fastest
    speed = velocity(time, 10 * np.sin(2 * np.pi * 3 * (time - time[rate])))[rate]
    assert low < 100 * (1 - speed / (2 * np.pi * 3 * 10)) < high


def test_at_30_frames_a_second_it_is_the_central_difference():
    time = np.arange(4) / 30
    np.testing.assert_allclose(
        velocity(time, np.array([0.0, 5, 7, 10])), [np.nan, 3.5 * 30, 2.5 * 30, np.nan]
    )


def test_no_speed_is_said_across_a_gap():
    angle = 20 + 45 * TIME
    angle[60] = np.nan
    lost = np.flatnonzero(np.isnan(velocity(TIME, angle)[3:-3])) + 3
    assert lost.tolist() == list(range(57, 64))


def test_a_jump_beside_a_gap_is_no_speed():
    angle = np.where(TIME < 1, 20.0, 160.0)
    angle[60] = np.nan
    assert np.nanmax(np.abs(velocity(TIME, angle))) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_too_few_frames_have_no_speed(count):
    assert np.isnan(velocity(TIME[:count], TIME[:count])).all()


@pytest.mark.parametrize(
    ("left", "right", "index"), [(10, 10, 0), (30, 10, 100), (10, 30, -100), (5, 0, 200)]
)
def test_the_symmetry_index_is_the_difference_over_the_mean_of_both(left, right, index):
    assert symmetry_index(left, right) == pytest.approx(index)


@pytest.mark.parametrize(("left", "right"), [(0, 0), (-5, 10), (math.nan, 10)])
def test_what_has_no_common_zero_has_no_symmetry_index(left, right):
    assert math.isnan(symmetry_index(left, right))


def test_mean_and_extremes_are_those_of_the_frames_with_the_angle():
    found = line([10, 20, np.nan, 60], TIME[:4])
    assert (found.mean, found.min, found.max, found.range) == (30, 10, 60, 50)


def test_frames_count_from_the_first_to_the_last():
    found = line([10, 20, np.nan, 60], TIME[:4])
    assert (found.frames, found.seconds, found.missing) == (4, pytest.approx(0.05), 0.25)


def test_percentiles_leave_one_wild_frame_out():
    angle = np.full(120, 90.0)
    angle[50] = 5
    found = line(angle)
    assert (found.p5, found.p95, found.min) == (90, 90, 5)


def test_percentiles_are_the_5th_and_the_95th():
    found = line(np.arange(101.0), np.arange(101) / 60)
    assert (found.p5, found.p95) == (5, 95)


def test_the_peak_speed_is_the_largest_to_either_side_and_has_its_time():
    angle = np.interp(TIME, [0, 0.5, 1.0, 1.5, 2.0], [90, 100, 100, 60, 60])
    found = line(angle)
    assert (found.peak_velocity, 1.0 < found.peak_time < 1.5) == (pytest.approx(80), True)


def test_an_angle_that_nobody_saw_has_no_numbers():
    found = line(np.full(120, np.nan))
    assert found.missing == 1
    assert all(math.isnan(v) for v in (found.mean, found.range, found.p5, found.peak_velocity))


def test_left_and_right_are_compared_on_both_lines():
    some = summarise(course(left_knee=swing(1, 30) + 10, right_knee=swing(1, 10)))
    assert [one.left_minus_right for one in some] == pytest.approx([10, 10])


def test_the_symmetry_of_means_is_that_of_the_means():
    some = summarise(course(left_knee=np.full(120, 30.0), right_knee=np.full(120, 10.0)))
    assert some[0].mean_symmetry == pytest.approx(100)


def test_the_symmetry_of_ranges_is_that_of_the_ranges_of_motion():
    some = summarise(course(left_knee=swing(1, 30), right_knee=swing(1, 10)))
    assert some[1].range_symmetry == pytest.approx(100)


@pytest.mark.parametrize("name", ["trunk", "left_knee", "knee_left", "leftover_knee"])
def test_an_angle_without_a_twin_is_compared_with_none(name):
    (found,) = summarise(course(**{name: swing(1, 30)}))
    assert math.isnan(found.left_minus_right)


def test_lines_have_the_order_of_the_table():
    some = summarise(course(trunk=TIME, left_knee=TIME, right_knee=TIME))
    assert [one.angle for one in some] == ["trunk", "left_knee", "right_knee"]


def rows(*lines):
    return list(csv.DictReader(io.StringIO(summary(lines))))


def test_a_summary_has_a_row_for_each_line():
    some = summarise(course(left_knee=swing(1, 30), right_knee=swing(1, 10)))
    (first, _) = rows(*some)
    assert (first["file"], first["track"], first["angle"], first["frames"]) == (
        *("a_wide.csv", "3", "left_knee", "120"),
    )


def test_a_summary_has_degrees_to_the_hundredth():
    (row,) = rows(line([10, 20.126], TIME[:2]))
    assert (row["mean"], row["missing"], row["seconds"]) == ("15.06", "0.0000", "0.017")


def test_a_number_that_is_not_known_is_an_empty_cell():
    (row,) = rows(line(np.full(120, np.nan)))
    assert (row["mean"], row["peak_time"], row["range_symmetry"]) == ("", "", "")


def test_a_summary_of_nothing_has_the_names_of_columns():
    assert summary([]).strip().split(",") == list(Line.__dataclass_fields__)
