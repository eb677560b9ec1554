from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram.data import mpii
from posegram.data.doctor.annotations import gather, load
from posegram.data.doctor.frames import frames, plain_boxes, shares
from posegram.pose import MPII16


def _spoilt(good, row, change):
    xy = good.people.xy.copy()
    xy[row] = change(xy[row])
    return good.changed(xy=xy)


def test_a_good_set_has_good_boxes(good):
    assert frames(good.people) == []


@pytest.mark.parametrize(
    "box", [[5, 5, 5, 90], [5, 90, 80, 20], [np.nan, 5, 80, 90], [5, 5, np.inf, 90]]
)
def test_a_box_without_area_is_certain(good, kinds, box):
    assert kinds(frames(good.boxed(3, box))) == [("certain", "empty-box")]


def test_a_person_without_any_box_is_nothing(good):
    del good.people.whole["annotations"][3]["bbox"]
    assert frames(good.boxed(3, [np.nan] * 4)) == []


def test_a_box_outside_the_picture_is_certain(good, kinds):
    found = frames(good.boxed(3, good.people.box[3] + [900, 0, 900, 0]))
    assert ("certain", "box-outside") in kinds(found)


@pytest.fixture
def cut_off(tmp_path):
    """A list of MPII's layout of somebody most of whose square lies outside the picture."""
    (one,) = figures.samples(tmp_path / "images", 1, skeleton=MPII16)
    box = np.array([-200, -200, 400, 400], dtype=np.float32)
    return mpii.write(tmp_path / "list.json", [replace(one, box=box)])


@pytest.mark.parametrize("reader", ["mpii:", ""])
def test_a_square_that_mpiis_reader_drew_is_no_label(cut_off, kinds, reader):
    (people,) = load(f"{reader}{cut_off}")
    assert ("certain", "box-outside") not in kinds(frames(people))


def test_a_labelled_box_around_mpiis_joints_is_judged(cut_off, kinds):
    (people,) = gather(mpii.read(cut_off), "memory")
    assert ("certain", "box-outside") in kinds(frames(people))


def test_shares_for_pixels_are_certain(good, kinds):
    people = _spoilt(good, 3, lambda xy: xy / (200, 240))
    assert kinds(frames(people)) == [("certain", "normalised")]
    assert shares(people).nonzero()[0].tolist() == [3]


def test_exchanged_axes_are_certain(good, kinds):
    assert kinds(frames(_spoilt(good, 3, lambda xy: xy[:, ::-1]))) == [("certain", "swapped-xy")]


@pytest.mark.parametrize(("times", "words"), [(0.25, "0.2"), (4.0, "3.9")])
def test_another_scale_is_likely(good, times, words):
    (one,) = frames(_spoilt(good, 3, lambda xy: xy * times))
    assert (one.kind, one.level) == ("other-scale", "likely")
    assert f"all places are {words}" in one.sentence


def test_the_scale_of_a_wrongly_stated_size_is_certain(good):
    stated = good.people.stated.copy()
    stated[3] = 3 * good.people.size[3]
    xy = good.people.xy.copy()
    xy[3] *= 3
    (one,) = frames(good.changed(xy=xy, stated=stated))
    assert (one.kind, one.level, one.person) == ("other-scale", "certain", 3)


def test_a_shift_is_likely_and_measured(good):
    (one,) = frames(_spoilt(good, 3, lambda xy: xy - (300, -40)))
    assert (one.kind, one.level) == ("shifted", "likely")
    assert "-300, 40 px" in one.sentence


def test_corners_for_width_and_height_are_told(good):
    x0, y0, x1, y1 = good.people.box[3]
    (one,) = frames(good.boxed(3, [x0, y0, x0 + x1, y0 + y1]))
    assert one.kind == "box-corners"


def test_a_box_too_small_for_its_joints_is_certain(good):
    x0, y0, x1, y1 = good.people.box[3]
    w, h = (x1 - x0) / 4, (y1 - y0) / 4
    (one,) = frames(good.boxed(3, [x0 + w, y0 + h, x1 - w, y1 - h]))
    assert (one.kind, one.level) == ("box-misfit", "certain")


def test_a_box_too_large_for_its_joints_is_likely(good):
    x0, y0, x1, y1 = good.people.box[3]
    (one,) = frames(good.boxed(3, [x0 - 90, y0 - 90, x1 + 90, y1 + 90]))
    assert (one.kind, one.level) == ("box-misfit", "likely")


def test_a_large_box_is_nothing_where_most_joints_are_not_labelled(good):
    people = good.boxed(3, good.people.box[3] + [-90, -90, 90, 90])
    people.flag[3, 5:] = 0
    assert frames(people) == []


def test_a_box_of_somebody_else_is_likely(good):
    x0, y0, x1, _ = good.people.box[3]
    assert "box-misfit" in {one.kind for one in frames(good.boxed(3, [x0, y0, x1, y0 + 40]))}


@pytest.mark.parametrize(("share", "level"), [(0.2, "look"), (0.7, "likely")])
def test_a_joint_outside_the_box_is_found(good, share, level):
    box = good.people.box[3]
    place = box[0] - share * (box[3] - box[1]), box[1] + 5
    (one,) = frames(good.moved(3, "left_wrist", place))
    assert (one.kind, one.level, one.joints) == ("outside-box", level, ("left_wrist",))


def test_plain_boxes_are_finite_and_a_pixel_wide(good):
    people = good.boxed(3, [5, 5, 5.5, 90])
    assert np.flatnonzero(~plain_boxes(people)).tolist() == [3]
