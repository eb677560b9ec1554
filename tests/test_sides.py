from dataclasses import replace

import numpy as np
import pytest

import crowd
from posegram.pose import COCO17, People
from posegram.sides import ids_of, put_right, seen, sizes, swaps

PAIRS = [a.removeprefix("left_") for a, _ in COCO17.mirror]
LEGS = [PAIRS.index(part) for part in ("knee", "ankle")]


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


def test_what_is_exchanged_for_long_is_believed():
    people, _ = exchanged(course(300), range(30, 280))
    assert not swaps(people, times(people))[60:250].any()


def test_an_exchange_from_the_first_frame_on_is_found():
    people, which = exchanged(course(), range(4))
    np.testing.assert_array_equal(swaps(people, times(people))[:, LEGS], which[:, LEGS])


def test_an_exchange_across_a_hidden_moment_is_found():
    people, _ = exchanged(course(), range(34, 40))
    people.score[33:36] = 0.0
    assert swaps(people, times(people))[36:40, LEGS].all()


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
