from dataclasses import replace

import numpy as np
import pytest

from posegram.data.doctor.limbs import build, exchanges, lengths, limbs, unjudged
from posegram.pose import LSP14, Skeleton


def _faults(people):
    return [one for one in limbs(people) if one.fault]


def test_a_good_set_has_good_bodies(good):
    assert _faults(good.people) == []


def test_a_hand_out_of_reach_is_a_fault(good):
    (one,) = _faults(good.moved(5, "left_wrist", (10, 230)))
    assert (one.kind, one.person) == ("long-limb", 5)
    assert one.joints == ("left_elbow", "left_wrist")


def test_a_shoulder_far_away_is_one_finding(good):
    (one,) = _faults(good.moved(5, "right_shoulder", (190, 230)))
    assert one.person == 5


def test_wrists_exchanged_on_spread_arms_are_told(good):
    xy = good.people.xy
    for side, step in (("left", 1), ("right", -1)):
        shoulder = xy[5, LSP14.index(f"{side}_shoulder")]
        for joint, reach in (("elbow", 25), ("wrist", 50)):
            xy[5, LSP14.index(f"{side}_{joint}")] = shoulder + np.array([step * reach, 0])
    (one,) = _faults(good.exchanged(5, ("left_wrist", "right_wrist")))
    assert one.kind == "swapped-joints"
    assert "left and right wrist seem exchanged" in one.sentence


def test_knee_and_ankle_exchanged_are_told(good):
    (one,) = _faults(good.exchanged(5, ("left_knee", "left_ankle")))
    assert (one.kind, set(one.joints)) == ("swapped-joints", {"left_knee", "left_ankle"})


def test_arms_crossed_in_front_are_no_fault(good):
    xy = good.people.xy
    for side, step in (("left", -1), ("right", 1)):
        elbow = xy[5, LSP14.index(f"{side}_elbow")]
        xy[5, LSP14.index(f"{side}_wrist")] = elbow + np.array([step * 20, -10])
    assert _faults(good.people) == []


def test_short_limbs_are_no_fault(good):
    elbow = good.people.xy[5, LSP14.index("left_elbow")]
    assert _faults(good.moved(5, "left_wrist", elbow + 2)) == []


def test_size_in_the_picture_does_not_matter(good):
    xy = good.people.xy * np.random.default_rng(0).uniform(0.2, 5, (len(good.people), 1, 1))
    assert _faults(good.changed(xy=xy)) == []


def test_joints_that_are_not_labelled_say_nothing(good):
    people = good.moved(5, "left_wrist", (10, 230))
    people.flag[5, LSP14.index("left_wrist")] = 0
    assert _faults(people) == []


def test_a_twisted_body_is_worth_a_look(good):
    found = limbs(good.exchanged(5, ("left_hip", "right_hip")))
    assert ("crossed", "look", 5) in {(one.kind, one.level, one.person) for one in found}


def test_few_people_are_not_judged(good):
    few = replace(
        good.moved(5, "left_wrist", (10, 230)),
        **{key: getattr(good.people, key)[:9] for key in ("xy", "flag", "box", "image", "record")},
    )
    assert build(few) is None
    assert unjudged(few) == "9 people of lsp14, wanted 20"


def test_a_skeleton_without_bones_is_not_judged(good):
    bare = good.changed(skeleton=Skeleton("bare", LSP14.joints))
    assert build(bare) is None
    assert unjudged(bare) == "bare has no bones, wanted 4 (`skeleton` of the category)"


def test_a_bone_that_is_hardly_labelled_is_named(good):
    good.people.flag[4:, LSP14.index("neck")] = 0
    assert build(good.people) is None
    assert unjudged(good.people) == "neck and head_top are both labelled in 4 people, wanted 20"


def test_a_large_set_with_bones_is_judged(good):
    assert unjudged(good.people) == ""


def test_any_skeleton_with_bones_is_judged(good):
    names = tuple(f"j{n}" for n in range(14))
    rename = dict(zip(LSP14.joints, names, strict=True))
    bones = tuple((rename[a], rename[b]) for a, b in LSP14.bones)
    people = good.moved(5, "left_wrist", (10, 230))
    (one,) = _faults(replace(people, skeleton=Skeleton("mine", names, bones)))
    assert one.person == 5


def test_proportions_are_learned_from_the_set(good):
    made = build(good.people)
    thigh, forearm = (
        made.full[LSP14.bones.index(bone)]
        for bone in (("left_hip", "left_knee"), ("left_elbow", "left_wrist"))
    )
    assert thigh / forearm == pytest.approx(0.23 / 0.15, rel=0.15)


def test_lengths_are_in_pixels():
    xy = np.zeros((1, 14, 2))
    xy[0, LSP14.index("head_top")] = 3, 4
    assert lengths(xy, LSP14.edges)[0, LSP14.bones.index(("neck", "head_top"))] == 5


def test_every_exchange_is_undone_by_itself():
    for _, order in exchanges(LSP14):
        assert (order[order] == np.arange(14)).all()


def test_whole_arms_and_single_joints_are_among_the_exchanges():
    words = {text for text, _ in exchanges(LSP14)}
    assert {"left and right wrist", "left and right shoulder, elbow and wrist"} <= words


def test_the_whole_person_is_no_exchange():
    assert all((order != LSP14.flipped).any() for _, order in exchanges(LSP14))
