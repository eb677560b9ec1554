import pytest

from posegram.data.joints import skeleton_of
from posegram.pose import COCO17, MPII16


def test_names_written_otherwise_give_the_built_in_skeleton():
    names = [joint.replace("_", "-").capitalize() for joint in MPII16.joints]
    assert skeleton_of("mine", names) is MPII16


def test_bones_are_counted_from_1():
    assert skeleton_of("mine", ["head", "belly"], [[1, 2]]).bones == (("head", "belly"),)


@pytest.mark.parametrize("bones", [[], [[16, 14]], [[0, 1]]])
def test_without_fitting_bones_the_known_ones_are_taken(bones):
    names = ["left_hip", "left_knee", "tail"]
    assert skeleton_of("mine", names, bones).bones == (("left_hip", "left_knee"),)


def test_mirror_pairs_are_found_by_name_left_first():
    names = ["r_toe", "l_toe", "tail", "left_hip", "right_hip"]
    assert skeleton_of("mine", names).mirror == (("l_toe", "r_toe"), ("left_hip", "right_hip"))


def test_the_names_of_coco_are_coco():
    assert skeleton_of("mine", COCO17.joints) is COCO17


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="names a joint twice"):
        skeleton_of("mine", ["head", "Head"])
