from dataclasses import replace

import numpy as np
import pytest

import crowd
from posegram.pose import BODY19, COCO17, LSP14, MPII16, People, Skeleton
from posegram.sides import chains_of, ids_of, put_right, seen, sizes, swaps

PAIRS = [a.removeprefix("left_") for a, _ in COCO17.mirror]
SIDES = ("left", "right")
LEGS = [PAIRS.index(part) for part in ("knee", "ankle")]
LEG = [PAIRS.index("hip"), *LEGS]
ANKLES = LEGS[1:]


def course(count=60, *, stride=25.0, speed=4.0):
    """One person walking to the right, the legs swinging past each other, a row per frame."""
    body = crowd.walker(0)
    xy = np.repeat(body[None], count, axis=0)
    xy[..., 0] += speed * np.arange(count)[:, None]
    for side, sign in (("left", 1), ("right", -1)):
        for joint, share in (("knee", 0.6), ("ankle", 1.0)):
            swing = sign * share * stride * np.sin(np.arange(count) / 30 * 2 * np.pi)
            xy[:, COCO17.index(f"{side}_{joint}"), 0] += swing
    made = crowd.people(np.zeros((count, 2)), shapes=[0] * count)
    return replace(made, xy=xy.astype(np.float32), track=np.ones(count, dtype=np.int64))


def exchanged(people, frames, pairs=LEGS):
    """The course with the sides of some pairs exchanged in some frames, and which."""
    which = np.zeros((len(people), len(PAIRS)), dtype=bool)
    which[np.ix_(frames, pairs)] = True
    return put_right(people, which), which


def times(people):
    return np.arange(len(people)) / 30


def test_a_right_course_has_no_exchange():
    people = crowd.shaken(course(), 2.0)
    assert not swaps(people, times(people)).any()


@pytest.mark.parametrize("length", [1, 4, 10])
def test_a_short_exchange_of_the_legs_is_found(length):
    people, which = exchanged(crowd.shaken(course(), 1.5), range(34, 34 + length))
    np.testing.assert_array_equal(swaps(people, times(people))[:, LEGS], which[:, LEGS])


def test_putting_right_what_was_found_gives_the_course_back():
    right = crowd.shaken(course(), 1.0)
    wrong, _ = exchanged(right, range(34, 40))
    np.testing.assert_array_equal(put_right(wrong, swaps(wrong, times(wrong))).xy, right.xy)


def test_whole_legs_exchanged_for_long_are_believed():
    people, _ = exchanged(course(300), range(30, 280), LEG)
    assert not swaps(people, times(people))[60:250].any()


def test_an_exchange_from_the_first_frame_on_is_found():
    people, which = exchanged(course(), range(4))
    np.testing.assert_array_equal(swaps(people, times(people))[:, LEGS], which[:, LEGS])


def test_an_exchange_across_a_hidden_moment_is_found():
    people, _ = exchanged(course(), range(34, 40))
    people.score[33:36] = 0.0
    assert swaps(people, times(people))[36:40, LEGS].all()


def striding(count=90):
    """The same walk, knees bending by turns, the legs' joints passing each other thrice."""
    people = course(count)
    phase = np.arange(count) / 30 * 2 * np.pi
    for side, sign in (("left", 1), ("right", -1)):
        lifted = np.maximum(sign * np.cos(phase), 0.0)  # the leg that comes forward
        people.xy[:, COCO17.index(f"{side}_ankle")] -= lifted[:, None] * np.array([10.0, 12.0])
    return people


def test_legs_that_pass_each_other_in_a_walk_are_left_alone():
    people = crowd.shaken(striding(), 1.0)
    assert not swaps(people, times(people)).any()


def test_shins_that_cross_from_one_pass_of_the_legs_to_another_are_undone():
    right = crowd.shaken(striding(), 1.0)
    # where the ankles pass each other they change sides without a jump
    people, which = exchanged(right, range(30, 75), ANKLES)
    np.testing.assert_array_equal(swaps(people, times(people)), which)


def test_shins_that_cross_to_the_end_of_a_clip_are_undone():
    people, which = exchanged(crowd.shaken(striding(130), 1.0), range(45, 130), ANKLES)
    np.testing.assert_array_equal(swaps(people, times(people)), which)


@pytest.mark.parametrize("pairs", [LEG, LEGS, ANKLES])
def test_an_exchange_from_anywhere_in_a_leg_downwards_is_undone(pairs):
    people, which = exchanged(crowd.shaken(striding(), 1.0), range(36, 42), pairs)
    np.testing.assert_array_equal(swaps(people, times(people))[:, LEGS], which[:, LEGS])


def test_knees_that_the_network_exchanged_by_themselves_are_put_back_alone():
    people, which = exchanged(course(150), range(30, 120), LEGS[:1])
    assert (swaps(people, times(people)) == which).mean() > 0.98


def test_arms_that_are_folded_for_long_are_left_alone():
    people = crowd.people(np.zeros((90, 2)), shapes=[0] * 90)
    rows = [COCO17.index(f"{side}_{part}") for part in ("elbow", "wrist") for side in SIDES]
    people.xy[:, rows] = [[24, -27], [-24, -27], [-8, -31], [8, -31]]
    assert not swaps(people, times(people)).any()


def test_an_unseen_joint_tells_nothing_of_its_neighbours():
    people, _ = exchanged(course(), range(60), ANKLES)
    people.score[:, COCO17.index("left_knee")] = 0.0
    assert not swaps(people, times(people)).any()


def named(skeleton):
    """The chains by their left joints."""
    left = [pair[0].removeprefix("left_") for pair in skeleton.mirror]
    return [[left[pair] for pair in chain if pair >= 0] for chain in chains_of(skeleton).tolist()]


@pytest.mark.parametrize("skeleton", [COCO17, BODY19, LSP14, MPII16])
def test_limbs_are_chains_from_the_trunk_outwards(skeleton):
    assert named(skeleton)[:2] == [["shoulder", "elbow", "wrist"], ["hip", "knee", "ankle"]]


def test_pairs_outside_limbs_stand_by_themselves():
    assert named(COCO17)[2:] == [["eye"], ["ear"]]


def test_toes_stand_by_themselves():
    toes = ("left_toe", "right_toe")
    bones = [(f"{side}_ankle", f"{side}_toe") for side in SIDES]
    own = Skeleton("own", (*COCO17.joints, *toes), (*bones, *COCO17.bones), (toes, *COCO17.mirror))
    assert sorted(map(len, named(own))) == [1, 1, 1, 3, 3]


def test_without_bones_every_pair_stands_by_itself():
    own = replace(COCO17, bones=())
    people, which = exchanged(replace(course(), skeleton=own), range(34, 38))
    np.testing.assert_array_equal(swaps(people, times(people))[:, LEGS], which[:, LEGS])


def test_a_skeleton_without_pairs_has_no_sides():
    own = replace(COCO17, mirror=())
    assert swaps(replace(course(9), skeleton=own), times(course(9))).shape == (9, 0)


def test_scores_go_with_their_joints():
    people = course(2)
    people.score[:, COCO17.index("left_knee")] = 0.4
    wrong, _ = exchanged(people, [0, 1])
    assert wrong.score[0, COCO17.index("right_knee")] == pytest.approx(0.4)


def test_exchanging_twice_is_doing_nothing():
    people, which = exchanged(course(5), [1, 3])
    np.testing.assert_array_equal(put_right(people, which).xy, course(5).xy)


def test_a_joint_counts_when_it_is_there_and_sure():
    people = crowd.people([(0, 0)])
    people.score[0, 0], people.xy[0, 1] = 0.2, np.nan
    assert seen(people)[0].tolist() == [False, False, *[True] * 15]


def test_a_size_is_the_longer_side_of_the_seen_joints():
    people = crowd.people([(0, 0)])
    people.box[:, 2:] += 50
    assert sizes(people)[0] == pytest.approx(np.ptp(people.xy[0, :, 1]))


def test_without_joints_the_size_is_the_boxs():
    people = crowd.people([(0, 0)], score=0.0)
    assert sizes(people)[0] == pytest.approx(np.ptp(people.box[0, 1::2]))


def test_nobody_has_no_size():
    assert sizes(People.none(COCO17)).shape == (0,)


def test_people_without_ids_are_refused():
    with pytest.raises(ValueError, match="link them first"):
        ids_of(crowd.people([(0, 0)]))
