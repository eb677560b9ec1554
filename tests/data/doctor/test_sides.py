from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram.data.doctor.annotations import gather
from posegram.data.doctor.sides import sides
from posegram.pose import COCO17, LSP14, Skeleton


def _renamed(skeleton, *pairs):
    """The skeleton with names exchanged, so that joints get wrong ones."""
    other = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    return replace(skeleton, name="odd", joints=tuple(other.get(j, j) for j in skeleton.joints))


@pytest.fixture
def faces(tmp_path):
    (people,) = gather(figures.samples(tmp_path, 3, skeleton=COCO17))
    return people


def test_a_good_set_has_a_good_skeleton(good):
    assert sides(good.people) == []


def test_names_of_one_pair_exchanged_all_over_are_told(good, kinds):
    odd = _renamed(LSP14, ("left_hip", "right_hip"))
    found = sides(good.changed(skeleton=odd))
    assert ("likely", "sides-swapped") in kinds(found)
    assert found[0].joints == ("left_hip", "right_hip")


def test_all_sides_exchanged_are_told(good, kinds):
    odd = _renamed(LSP14, *LSP14.mirror)
    assert kinds(sides(good.changed(skeleton=odd))) == [("likely", "sides-swapped")]


def test_people_seen_from_behind_are_no_fault_in_an_even_mix(good):
    xy = good.people.xy.copy()
    xy[::2] = xy[::2][:, LSP14.flipped]
    assert sides(good.changed(xy=xy)) == []


def test_people_upside_down_are_no_fault(good):
    assert sides(good.changed(xy=200 - good.people.xy)) == []


def test_names_along_a_limb_exchanged_are_told(good, kinds):
    odd = _renamed(LSP14, ("left_elbow", "left_wrist"))
    assert ("likely", "joint-order") in kinds(sides(good.changed(skeleton=odd)))


def test_a_pair_of_different_joints_is_told_by_its_names(good):
    pairs = tuple(
        {"left_knee": ("left_knee", "right_ankle"), "left_ankle": ("left_ankle", "right_knee")}.get(
            a, (a, b)
        )
        for a, b in LSP14.mirror
    )
    found = sides(good.changed(skeleton=replace(LSP14, mirror=pairs)))
    assert "left_knee/right_ankle" in found[0].sentence


def test_a_pair_of_different_joints_is_told_by_their_limbs(good, kinds):
    names = {joint: f"j{n}" for n, joint in enumerate(LSP14.joints)}
    twin = {"left_knee": "right_wrist", "left_wrist": "right_knee"}
    pairs = tuple((names[a], names[twin.get(a, b)]) for a, b in LSP14.mirror)
    bones = tuple((names[a], names[b]) for a, b in LSP14.bones)
    skeleton = Skeleton("mine", tuple(names.values()), bones, pairs)
    assert kinds(sides(good.changed(skeleton=skeleton))) == [("likely", "mirror-map")]


def test_a_joint_without_its_pair_is_told(good):
    skeleton = replace(LSP14, mirror=LSP14.mirror[1:])
    (one, *_) = sides(good.changed(skeleton=skeleton))
    assert (one.kind, set(one.joints)) == ("mirror-map", set(LSP14.mirror[0]))


def test_a_side_that_is_not_named_at_all_is_worth_a_look(good):
    skeleton = Skeleton("half", ("left_knee", "neck"))
    people = replace(
        good.people, skeleton=skeleton, xy=good.people.xy[:, :2], flag=good.people.flag[:, :2]
    )
    (one, *_) = sides(people)
    assert (one.kind, one.level) == ("mirror-map", "look")


def test_faces_that_look_at_us_agree_with_their_bodies(faces):
    assert sides(faces) == []


def test_a_person_whose_eyes_are_seen_from_behind_is_mirrored(faces):
    xy = faces.xy.copy()
    xy[1] = xy[1][COCO17.flipped]
    (one,) = sides(replace(faces, xy=xy))
    assert (one.kind, one.level, one.person) == ("mirrored", "likely", 1)


def test_hidden_eyes_prove_nothing(faces):
    xy, flag = faces.xy.copy(), faces.flag.copy()
    xy[1], flag[1] = xy[1][COCO17.flipped], 1
    assert sides(replace(faces, xy=xy, flag=flag)) == []


def test_somebody_who_bows_is_not_mirrored(faces):
    xy = faces.xy.copy()
    head = [COCO17.index(j) for j in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
    neck = xy[1, [COCO17.index("left_shoulder"), COCO17.index("right_shoulder")]].mean(axis=0)
    xy[1, head] = 2 * neck - xy[1, head]
    assert sides(replace(faces, xy=xy)) == []


def test_few_people_prove_no_habit(faces):
    xy = np.stack([person[COCO17.flipped] for person in faces.xy])
    flag = np.ones_like(faces.flag)
    assert sides(replace(faces, xy=xy, flag=flag)) == []
