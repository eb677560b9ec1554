from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posegram.data.mend import mend
from posegram.pose import LSP14, Sample, Skeleton

FLIPPED = LSP14.flipped
WRIST = LSP14.index("left_wrist")


@pytest.fixture
def sample():
    """A person of 200 pixels with every joint labelled."""
    places = {
        "ankle": (18, 196),
        "knee": (16, 150),
        "hip": (15, 80),
        "wrist": (40, 100),
        "elbow": (32, 70),
        "shoulder": (15, 40),
    }
    xy = [
        (100.0 + (1 if side == "left" else -1) * places[part][0], 20.0 + places[part][1])
        for side, part in (j.split("_") for j in LSP14.joints[:12])
    ]
    xy = np.array([*xy, (100, 50), (100, 20)], dtype=np.float32)
    box = np.array([50, 15, 150, 225], dtype=np.float32)
    return Sample(Path("a.jpg"), xy, np.full(14, 2, np.uint8), box, None, None, LSP14)


def sure(value, **others):
    """The teacher's certainty (14,), with some joints named apart."""
    certain = np.full(14, value, dtype=np.float32)
    for joint, other in others.items():
        certain[LSP14.index(joint)] = other
    return certain


def moved(sample, joint, right):
    """The sample's places (14, 2) with one joint moved to the right, pixels."""
    xy = sample.xy.copy()
    xy[LSP14.index(joint), 0] += right
    return xy


def without(sample, joint):
    """The sample with one joint not labelled and garbage in its place."""
    xy, visible = sample.xy.copy(), sample.visible.copy()
    xy[LSP14.index(joint)], visible[LSP14.index(joint)] = -999, 0
    return replace(sample, xy=xy, visible=visible)


# both agree


def test_a_teacher_who_says_the_same_changes_nothing(sample):
    mended = mend(sample, sample.xy, sure(0.9))
    np.testing.assert_array_equal(mended.xy, sample.xy)
    np.testing.assert_array_equal(mended.visible, sample.visible)
    assert mended.weight.tolist() == [1.0] * 14


def test_places_that_are_near_are_averaged(sample):
    mended = mend(sample, moved(sample, "left_wrist", 6), sure(0.9))
    np.testing.assert_allclose(mended.xy[WRIST], sample.xy[WRIST] + [3, 0])
    assert mended.weight[WRIST] == 1.0


def test_only_the_joint_that_moved_is_changed(sample):
    mended = mend(sample, moved(sample, "left_wrist", 100), sure(0.95))
    others = np.arange(14) != WRIST
    np.testing.assert_array_equal(mended.xy[others], sample.xy[others])


# they disagree


def test_a_sure_teacher_replaces_a_far_label(sample):
    teacher = moved(sample, "left_wrist", 60)
    mended = mend(sample, teacher, sure(0.95))
    np.testing.assert_array_equal(mended.xy[WRIST], teacher[WRIST])
    assert mended.visible[WRIST] == 2


def test_an_unsure_teacher_leaves_a_far_label(sample):
    mended = mend(sample, moved(sample, "left_wrist", 60), sure(0.9, left_wrist=0.3))
    np.testing.assert_array_equal(mended.xy[WRIST], sample.xy[WRIST])


def test_a_disputed_joint_weighs_less_than_an_agreed_one(sample):
    for certain in (0.3, 0.95):
        mended = mend(sample, moved(sample, "left_wrist", 60), sure(0.9, left_wrist=certain))
        assert 0 < mended.weight[WRIST] < 1


def test_the_weight_is_the_share_of_the_likelier_side(sample):
    teacher = moved(sample, "left_wrist", 60)
    mended = mend(sample, teacher, sure(0.9, left_wrist=0.3), trust=0.8)
    label, both_wrong, other = 0.8 * 0.7, 0.2 * 0.7, 0.2 * 0.3
    assert mended.weight[WRIST] == pytest.approx(label / (label + other + both_wrong))


def test_labels_that_are_trusted_more_need_a_surer_teacher(sample):
    teacher = moved(sample, "left_wrist", 60)
    strict, lenient = (mend(sample, teacher, sure(0.9), trust=t).xy[WRIST] for t in (0.99, 0.5))
    np.testing.assert_array_equal(strict, sample.xy[WRIST])
    np.testing.assert_array_equal(lenient, teacher[WRIST])


# one of them is silent


def test_an_unlabelled_joint_gets_the_teachers_place(sample):
    mended = mend(without(sample, "left_wrist"), sample.xy, sure(0.9))
    np.testing.assert_array_equal(mended.xy[WRIST], sample.xy[WRIST])
    assert (mended.visible[WRIST], mended.weight[WRIST]) == (1, pytest.approx(0.81))


def test_an_unlabelled_joint_of_an_unsure_teacher_stays_unlabelled(sample):
    mended = mend(without(sample, "left_wrist"), sample.xy, sure(0.9, left_wrist=0.4))
    assert (mended.visible[WRIST], mended.weight[WRIST]) == (0, 0.0)


def test_a_joint_that_the_teacher_does_not_know_keeps_its_label(sample):
    teacher = sample.xy.copy()
    teacher[WRIST] = np.nan
    mended = mend(sample, teacher, sure(0.9, left_wrist=0))
    np.testing.assert_array_equal(mended.xy[WRIST], sample.xy[WRIST])
    assert (mended.visible[WRIST], mended.weight[WRIST]) == (2, 1.0)


def test_a_joint_that_nobody_knows_stays_unlabelled(sample):
    teacher = sample.xy.copy()
    teacher[WRIST] = np.nan
    mended = mend(without(sample, "left_wrist"), teacher, sure(0.9, left_wrist=0))
    assert (mended.visible[WRIST], mended.weight[WRIST]) == (0, 0.0)


def test_a_teacher_who_knows_nothing_changes_nothing(sample):
    mended = mend(sample, np.full((14, 2), np.nan, np.float32), sure(0))
    np.testing.assert_array_equal(mended.xy, sample.xy)
    assert mended.weight.tolist() == [1.0] * 14


# left and right


def test_a_mirrored_person_is_turned_back(sample):
    mirrored = replace(sample, xy=sample.xy[FLIPPED])
    mended = mend(mirrored, sample.xy, sure(0.9))
    np.testing.assert_array_equal(mended.xy, sample.xy)
    assert mended.weight.tolist() == [1.0] * 14


def test_turning_carries_the_flags_along(sample):
    part = without(sample, "left_wrist")
    mirrored = replace(part, xy=part.xy[FLIPPED], visible=part.visible[FLIPPED])
    mended = mend(mirrored, sample.xy, sure(0.9, left_wrist=0.1))
    assert np.flatnonzero(mended.visible == 0).tolist() == [WRIST]


def test_a_teacher_who_crosses_the_arms_alone_turns_nobody(sample):
    teacher = sample.xy.copy()
    arms = [LSP14.index(f"{side}_wrist") for side in ("left", "right")]
    teacher[arms] = teacher[arms[::-1]]
    certain = sure(0.9, left_wrist=0.3, right_wrist=0.3)
    np.testing.assert_array_equal(mend(sample, teacher, certain).xy, sample.xy)


def test_a_person_with_few_labels_is_not_turned(sample):
    visible = np.zeros(14, np.uint8)
    ankles = [LSP14.index("left_ankle"), LSP14.index("right_ankle")]
    visible[ankles] = 2
    mirrored = replace(sample, xy=sample.xy[FLIPPED], visible=visible)
    teacher, certain = sample.xy, sure(0.5)
    np.testing.assert_array_equal(mend(mirrored, teacher, certain).xy[ankles], mirrored.xy[ankles])


# the measure


def test_distances_are_measured_by_the_torso(sample):
    teacher = moved(sample, "left_wrist", 11)  # the torso is 50 pixels long: a fifth is 10
    mended = mend(sample, teacher, sure(0.97))
    np.testing.assert_array_equal(mended.xy[WRIST], teacher[WRIST])


@pytest.mark.parametrize("end", ["left_shoulder", "right_hip"])
def test_without_a_torso_distances_are_measured_by_the_box(sample, end):
    sample.visible[LSP14.index(end)] = 0
    mended = mend(sample, moved(sample, "left_wrist", 11), sure(0.97))
    np.testing.assert_allclose(mended.xy[WRIST], sample.xy[WRIST] + [5.5, 0])


def test_a_torso_seen_from_its_end_is_no_measure(sample):
    sample.xy[LSP14.index("left_shoulder")] = sample.xy[LSP14.index("right_hip")]
    mended = mend(sample, moved(sample, "left_wrist", 6), sure(0.97))
    np.testing.assert_allclose(mended.xy[WRIST], sample.xy[WRIST] + [3, 0])


def test_a_skeleton_without_a_torso_is_mended_too(sample):
    hands = Skeleton("hands", ("left_hand", "right_hand"), (), (("left_hand", "right_hand"),))
    xy = np.array([[120, 80], [60, 80]], dtype=np.float32)
    person = replace(sample, skeleton=hands, xy=xy, visible=np.full(2, 2, np.uint8))
    teacher = xy + np.array([[0, 0], [90, 0]], dtype=np.float32)
    mended = mend(person, teacher, np.full(2, 0.97, np.float32))
    np.testing.assert_array_equal(mended.xy, teacher)


def test_the_sample_and_the_teacher_stay_as_they_were(sample):
    teacher = moved(sample, "left_wrist", 60)
    before = sample.xy.copy(), teacher.copy()
    mend(sample, teacher, sure(0.95))
    np.testing.assert_array_equal((sample.xy, teacher), before)


def test_the_rest_of_the_sample_is_kept(sample):
    mended = mend(sample, sample.xy, sure(0.9))
    assert (mended.image, mended.skeleton) == (sample.image, sample.skeleton)
    np.testing.assert_array_equal(mended.box, sample.box)
