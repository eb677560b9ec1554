from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posegram.data.joints import (
    chosen,
    familiar,
    in_skeleton,
    pairs_by_name,
    skeleton_of,
    usual,
)
from posegram.pose import BODY19, COCO17, LSP14, MPII16, Sample, Skeleton


def test_names_written_otherwise_give_the_built_in_skeleton():
    names = [joint.replace("_", "-").capitalize() for joint in MPII16.joints]
    assert skeleton_of("mine", names) is MPII16


def test_bones_are_counted_from_1():
    assert skeleton_of("mine", ["head", "belly"], [[1, 2]]).bones == (("head", "belly"),)


@pytest.mark.parametrize("bones", [[], [[16, 14]], [[0, 1]]])
def test_without_fitting_bones_the_known_ones_are_taken(bones):
    names = ["left_hip", "left_knee", "tail"]
    assert skeleton_of("mine", names, bones).bones == (("left_hip", "left_knee"),)


def test_two_joints_that_are_a_known_bone_are_joined():
    assert skeleton_of("mine", ["left_hip", "left_knee"]).bones == (("left_hip", "left_knee"),)


def test_mirror_pairs_are_found_by_name_left_first():
    names = ["r_toe", "l_toe", "tail", "left_hip", "right_hip"]
    assert skeleton_of("mine", names).mirror == (("l_toe", "r_toe"), ("left_hip", "right_hip"))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_knee", "right_knee"),
        ("knee_left", "knee_right"),
        ("l_knee", "r_knee"),
        ("knee.l", "knee.r"),
        ("knee_l_2", "knee_r_2"),
        ("lknee", "rknee"),
        ("leftknee", "rightknee"),
        ("kneel", "kneer"),
    ],
)
def test_twins_are_told_by_their_names(left, right):
    assert pairs_by_name(["nose", right, left]) == ((left, right),)


@pytest.mark.parametrize(
    "names",
    [["nose", "tail"], ["left_knee"], ["lip", "rear"], ["leg", "rightleg"], ["knee_1", "knee_2"]],
)
def test_other_names_make_no_pair(names):
    assert pairs_by_name(names) == ()


@pytest.mark.parametrize("skeleton", [COCO17, BODY19, LSP14, MPII16], ids=lambda s: s.name)
def test_the_pairs_of_the_built_in_skeletons_are_found(skeleton):
    assert set(pairs_by_name(skeleton.joints)) == set(skeleton.mirror)


def test_the_names_of_coco_are_coco():
    assert skeleton_of("mine", COCO17.joints) is COCO17


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="names a joint twice"):
        skeleton_of("mine", ["head", "Head"])


def lsp_person():
    return Sample(
        image=Path("a.jpg"),
        xy=np.arange(28, dtype=np.float32).reshape(14, 2),
        visible=np.array([0, 1, *[2] * 12], np.uint8),
        box=np.array([1, 2, 30, 40], np.float32),
        head=3.0,
        area=50.0,
        skeleton=LSP14,
        weight=np.linspace(0, 1, 14, dtype=np.float32),
    )


def test_a_person_moves_to_other_joints_by_name():
    moved = in_skeleton(lsp_person(), COCO17)
    row = COCO17.index("right_knee")
    found = moved.xy[row].tolist(), int(moved.visible[row]), float(moved.weight[row])
    assert found == ([2, 3], 1, pytest.approx(1 / 13))


def test_a_joint_that_the_labels_lack_is_not_labelled():
    moved = in_skeleton(lsp_person(), COCO17)
    row = COCO17.index("nose")
    assert (moved.visible[row], moved.weight[row], moved.xy[row].tolist()) == (0, 0, [0, 0])


def test_a_joint_between_two_is_labelled_where_both_are():
    person = lsp_person()
    person.visible[LSP14.index("left_hip")] = 0
    moved = in_skeleton(person, MPII16)
    rows = [MPII16.index("thorax"), MPII16.index("pelvis")]
    assert moved.visible[rows].tolist() == [2, 0]


def test_labels_in_full_trust_stay_so():
    assert in_skeleton(replace(lsp_person(), weight=None), COCO17).weight is None


def test_all_else_of_a_person_stays():
    before, after = lsp_person(), in_skeleton(lsp_person(), COCO17)
    assert (after.image, after.head, after.area) == (before.image, before.head, before.area)
    assert after.box.tolist() == before.box.tolist()


def test_a_person_in_the_same_joints_is_the_same():
    person = lsp_person()
    assert in_skeleton(person, LSP14) is person


@pytest.mark.parametrize(("own", "given"), [(BODY19, COCO17), (LSP14, LSP14)])
def test_our_19_joints_are_usually_given_as_cocos_17(own, given):
    assert usual(own) == given


@pytest.mark.parametrize(
    "name", ["left_knee", "Knee L", "knee.l", "l_knee", "LKnee", "kneeleft", "left-knee"]
)
def test_a_joint_is_known_by_its_other_names(name):
    assert familiar(name) == "left_knee"


@pytest.mark.parametrize("name", ["nose", "head_top", "tail", "lip", "ulnar", "toe_tip"])
def test_a_name_of_nobody_elses_stays_its_own(name):
    assert familiar(name) == name


def test_without_a_name_the_joints_are_the_usual_ones():
    assert chosen("", BODY19) == COCO17


def test_a_skeleton_that_shares_no_joint_with_the_model_is_refused():
    with pytest.raises(ValueError, match="the model has no joint of coco17; its own are paw, tail"):
        chosen("coco17", Skeleton("cat", ("paw", "tail")))


def test_bones_are_known_however_joints_are_spelt():
    skeleton = skeleton_of("clinic", ("Shoulder L", "hip_l", "racket_tip"))
    assert skeleton.bones == (("shoulder_l", "hip_l"),)
