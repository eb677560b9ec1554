from pathlib import Path

import numpy as np
import pytest

from posegram import image
from posegram.data.motion import Course
from posegram.data.motion_plot import draw, panels
from posegram.drawing import SIDES

TIME = np.arange(50) / 25
RISE = np.linspace(60, 170, 50)


def course(name="a_wide.csv", time=TIME, **angle):
    return Course(Path(name), 1, len(time), time, angle or {"left_knee": RISE})


def columns(picture, colour, top=0.0, bottom=1.0):
    """Which columns of a picture (H, W, 3) show a colour, in a part of its height."""
    rows = slice(int(top * len(picture)), int(bottom * len(picture)))
    near = np.abs(picture[rows].astype(int) - colour).max(axis=2) < 12
    return near.any(axis=0)


def test_left_and_right_of_one_person_share_a_panel():
    one = course(left_knee=RISE, right_knee=RISE, trunk=RISE)
    assert panels([one]) == [("left_knee", "right_knee"), ("trunk",)]


def test_left_and_right_of_several_people_lie_side_by_side():
    one = course(trunk=RISE, left_knee=RISE, right_knee=RISE)
    assert panels([one, one]) == [("left_knee",), ("right_knee",), ("trunk",)]


def test_a_side_that_one_of_several_lacks_keeps_its_place():
    some = [course(right_knee=RISE), course(right_knee=RISE)]
    assert panels(some) == [("left_knee",), ("right_knee",)]


def test_a_side_alone_has_a_panel_of_its_own():
    assert panels([course(left_knee=RISE, right_knee=np.full(50, np.nan))]) == [("left_knee",)]


def test_an_angle_that_nobody_has_gets_no_panel():
    assert panels([course(trunk=np.full(50, np.nan), head=RISE)]) == [("head",)]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_side_is_drawn_in_its_colour(tmp_path, side):
    draw(tmp_path / "a.png", [course(**{f"{side}_knee": RISE})])
    picture = image.read(tmp_path / "a.png")
    # below the legend, which has the colours as well
    shown = {s: columns(picture, SIDES[s], 0.3, 0.8).any() for s in ("left", "right")}
    assert shown == {"left": side == "left", "right": side == "right"}


def stretch(path, *courses, **options):
    """Columns of the picture, 0 to 1, in which the left side's line is, of its whole extent."""
    draw(path, courses, **options)
    seen = columns(image.read(path), SIDES["left"], 0.3, 0.8)
    there = np.flatnonzero(seen)
    return seen[there[0] : there[-1] + 1]


def test_a_gap_stays_open(tmp_path):
    gap = np.full(50, 90.0)
    gap[20:30] = np.nan
    shown = stretch(tmp_path / "a.png", course(left_knee=gap))
    # from the 20th frame to the 31st: 11 of 49 steps
    assert (~shown).mean() == pytest.approx(11 / 49, abs=0.02)


def test_a_frame_alone_is_a_dot(tmp_path):
    alone = np.full(50, np.nan)
    alone[[0, 25, 49]] = 90
    shown = stretch(tmp_path / "a.png", course(left_knee=alone)).astype(int)
    assert (np.diff(shown) == 1).sum() + 1 == 3


@pytest.mark.parametrize(("normalise", "share"), [(False, 0.5), (True, 1.0)])
def test_time_in_percent_makes_a_short_clip_as_wide_as_a_long_one(tmp_path, normalise, share):
    short = course("short.csv", TIME / 2, left_knee=np.full(50, 90.0))
    long = course("long.csv", left_knee=np.full(50, 96.0))
    draw(tmp_path / "a.png", [short, long], normalise=normalise)
    picture = image.read(tmp_path / "a.png")[:, :600]  # the left side's panel
    first = np.flatnonzero(columns(picture, SIDES["left"], 0.3, 0.8))
    darker = np.round(np.array(SIDES["left"]) * 0.45).astype(int)
    second = np.flatnonzero(columns(picture, darker, 0.3, 0.8))
    assert np.ptp(first) / np.ptp(second) == pytest.approx(share, abs=0.03)


def test_names_that_look_like_formulas_are_drawn(tmp_path):
    some = [course("_$x^$.csv"), course("50%$.csv")]
    assert draw(tmp_path / "a.png", some).stat().st_size > 1000


def test_one_frame_is_drawn(tmp_path):
    one = course(time=TIME[:1], left_knee=RISE[:1])
    assert draw(tmp_path / "a.png", [one], normalise=True).exists()


def test_more_people_than_kinds_of_lines_are_drawn(tmp_path):
    some = [course(f"{n}.csv", left_knee=RISE - n) for n in range(6)]
    assert draw(tmp_path / "a.png", some).exists()


def test_nobody_with_an_angle_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no angle has a value in any frame"):
        draw(tmp_path / "a.png", [course(trunk=np.full(50, np.nan))])


def test_nothing_but_the_picture_is_left(tmp_path):
    draw(tmp_path / "a.png", [course()])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
