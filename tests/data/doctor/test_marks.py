import numpy as np
import pytest

from posegram.data.doctor.marks import beyond, marks


def test_a_good_set_has_no_marks(good):
    assert marks(good.people) == []


@pytest.mark.parametrize("flag", [3, -1, 0.5, np.nan])
def test_a_flag_that_does_not_exist_is_certain(good, kinds, flag):
    assert ("certain", "unknown-flag") in kinds(marks(good.flagged(4, "neck", flag)))


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ((np.nan, 50), "not-a-number"),
        ((50, np.inf), "not-a-number"),
        ((0, 0), "at-origin"),
        ((203, 50), "outside-picture"),
        ((50, -4), "outside-picture"),
    ],
)
def test_a_place_that_cannot_be_is_certain(good, kinds, place, kind):
    assert kinds(marks(good.moved(4, "left_wrist", place))) == [("certain", kind)]


@pytest.mark.parametrize("place", [(199.5, 50), (50, 240), (-1, 3)])
def test_a_label_may_be_a_pixel_off_the_edge(good, place):
    assert marks(good.moved(4, "left_wrist", place)) == []


def test_unlabelled_joints_may_lie_anywhere_else(good):
    people = good.moved(4, "left_wrist", (0, 0))
    people.flag[4, people.skeleton.index("left_wrist")] = 0
    assert {one.kind for one in marks(people)} == {"wrong-count"}


def test_a_place_of_an_unlabelled_joint_is_certain(good, kinds):
    found = marks(good.flagged(4, "neck", 0))
    assert ("certain", "unlabelled-place") in kinds(found)


def test_places_of_all_unlabelled_joints_are_a_habit(good, kinds):
    flags = good.people.flag.copy()
    flags[:, 3] = 0
    found = [one for one in marks(good.changed(flag=flags)) if one.kind == "unlabelled-place"]
    assert [(one.level, one.person) for one in found] == [("look", None)]


@pytest.mark.parametrize(("flag", "level"), [(1, "likely"), (2, "look")])
def test_one_flag_for_all_is_a_finding_of_the_set(good, flag, level):
    found = marks(good.changed(flag=np.full_like(good.people.flag, flag)))
    assert [(one.kind, one.level, one.person) for one in found] == [("flags-equal", level, None)]


def test_a_wholly_hidden_person_is_likely_wrong(good):
    flags = good.people.flag.copy()
    flags[9] = 1
    (one,) = marks(good.changed(flag=flags))
    assert (one.kind, one.level, one.person) == ("all-hidden", "likely", 9)


def test_three_joints_on_one_point_are_likely_wrong(good):
    xy = good.people.xy.copy()
    xy[2, [1, 7, 12]] = xy[2, 0]
    found = marks(good.changed(xy=xy))
    assert [(one.kind, one.level) for one in found] == [("collapsed", "likely")]
    assert set(found[0].joints) == {"right_ankle", "right_knee", "right_elbow", "neck"}


def test_both_ends_of_a_bone_on_one_point_are_worth_a_look(good):
    wrist = good.people.xy[2, good.people.skeleton.index("left_wrist")]
    (one,) = marks(good.moved(2, "left_elbow", wrist))
    assert (one.kind, one.level) == ("collapsed", "look")


def test_left_and_right_on_one_point_are_nothing(good):
    hip = good.people.xy[2, good.people.skeleton.index("left_hip")]
    assert marks(good.moved(2, "right_hip", hip)) == []


def test_a_wrong_count_of_joints_is_certain(good):
    record = good.people.whole["annotations"][5]
    record["num_keypoints"] -= 1
    (one,) = marks(good.people)
    assert (one.kind, one.person) == ("wrong-count", 5)


def test_whole_pixels_up_to_the_width_but_never_0_are_counted_from_1(good, kinds):
    xy = np.clip(np.round(good.people.xy), 1, None)
    xy[7, 3] = 200, 50
    assert kinds(marks(good.changed(xy=xy))) == [("look", "counted-from-1")]


def test_joints_outside_are_measured_in_pixels(good):
    people = good.moved(0, "neck", (203, -4))
    assert beyond(people)[0, people.skeleton.index("neck")] == 3
    assert np.count_nonzero(beyond(people)) == 1
