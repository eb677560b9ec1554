from dataclasses import replace

import numpy as np
import pytest

import crowd
from posegram.pose import COCO17, LSP14, People
from posegram.track import Tracks, bodies, distinct, foremost, foresee, link, similarity, switches


def followed(frames, step=1 / 30, **options):
    """The ids in every frame, when people are linked from frame to frame."""
    tracks, names = Tracks.none(frames[0].skeleton), []
    for n, people in enumerate(frames):
        tracks, found = link(tracks, people, n * step, **options)
        names.append(found.track.tolist())
    return names


def walk(starts, speeds, count=40, **options):
    """Frames of people who walk straight on; starts (N, 2) pixels, speeds pixels a frame."""
    starts, speeds = np.array(starts, dtype=float), np.array(speeds, dtype=float)
    return [crowd.people(starts + n * speeds, **options) for n in range(count)]


# who is foremost


def test_the_foremost_are_the_largest_and_surest():
    near = crowd.people([(100, 200)], height=240.0)
    far = crowd.people([(300, 100), (400, 100)], height=80.0)
    parts = (np.concatenate([getattr(p, n) for p in (far, near)]) for n in ("xy", "score", "box"))
    one = foremost(People(*parts, COCO17), 1)
    np.testing.assert_array_equal(one.xy, near.xy)


def test_the_foremost_keep_their_order():
    found = crowd.people([(100, 100), (300, 100), (500, 100)], names=[1, 2, 3])
    doubtful = replace(found, score=found.score * np.array([[0.9], [0.2], [1.0]], dtype=np.float32))
    assert foremost(doubtful, 2).track.tolist() == [1, 3]


def test_who_was_foremost_before_stays_so():
    found = crowd.people([(100, 100), (300, 100)], names=[1, 2])
    surer = replace(found, score=found.score * np.array([[1.0], [0.5]], dtype=np.float32))
    assert foremost(surer, 1, before=[2]).track.tolist() == [2]


@pytest.mark.parametrize("most", [0, 2, 5])
def test_nobody_goes_where_there_is_room(most):
    assert len(foremost(crowd.people([(100, 100), (300, 100)]), most)) == 2


def test_joints_without_published_falloffs_take_cocos_by_their_names():
    still = crowd.people([(100, 200)])
    nearby = replace(still, xy=still.xy + np.float32(6))
    tracks, _ = link(Tracks.none(COCO17), still, 0.0)
    bare = replace(COCO17, name="bare", sigmas=())
    assert similarity(tracks, replace(nearby, skeleton=bare), 0.1) == pytest.approx(
        similarity(tracks, nearby, 0.1)
    )


# who is who


def test_newcomers_are_counted_from_1():
    assert followed(walk([(100, 100), (300, 100)], [(0, 0), (0, 0)], 1)) == [[1, 2]]


def test_people_who_walk_keep_their_ids():
    frames = walk([(100, 100), (300, 100), (500, 100)], [(5, 0), (-3, 1), (0, 4)])
    assert followed(frames) == [[1, 2, 3]] * len(frames)


def test_ids_do_not_hang_on_the_order_in_which_people_are_found():
    frames = walk([(100, 100), (300, 100)], [(1, 0), (-1, 0)], 20)
    turned = [people if n % 2 else people[[1, 0]] for n, people in enumerate(frames)]
    names = followed(turned)
    assert names == [[1, 2] if n % 2 == 0 else [2, 1] for n in range(20)]


def test_two_who_cross_keep_their_ids():
    frames = walk([(100, 100), (300, 105)], [(6, 0), (-6, 0)])
    assert followed([crowd.shaken(p, 2.0, n) for n, p in enumerate(frames)]) == [[1, 2]] * 40


def test_somebody_hidden_while_crossing_gets_the_same_id_back():
    frames = walk([(100, 100), (300, 105)], [(6, 0), (-6, 0)])
    seen = [p[[0]] if 12 <= n < 22 else p for n, p in enumerate(frames)]
    names = followed(seen)
    assert (names[11], names[15], names[22], names[-1]) == ([1, 2], [1], [1, 2], [1, 2])


def test_a_walker_hidden_for_a_moment_is_known_again_where_the_walk_leads():
    frames = walk([(100, 100)], [(8, 0)])
    seen = [p[:0] if 20 <= n < 30 else p for n, p in enumerate(frames)]
    assert followed(seen)[-1] == [1]


def test_somebody_away_for_longer_than_the_memory_is_new():
    frames = walk([(100, 100)], [(0, 0)])
    seen = [p[:0] if 10 <= n < 30 else p for n, p in enumerate(frames)]
    assert followed(seen, memory=0.5)[-1] == [2]


def test_a_false_alarm_of_one_frame_is_forgotten_sooner():
    frames = walk([(100, 100)], [(0, 0)], 20)
    seen = [p[:0] if 1 <= n < 15 else p for n, p in enumerate(frames)]
    assert followed(seen)[-1] == [2]


def test_people_far_apart_are_never_one():
    assert followed([crowd.people([(100, 100)]), crowd.people([(900, 500)])]) == [[1], [2]]


def test_somebody_doubtful_is_kept_where_somebody_known_should_be():
    frames = walk([(100, 100)], [(4, 0)], 5) + walk([(120, 100)], [(4, 0)], 5, score=0.25)
    assert followed(frames) == [[1]] * 10


def test_somebody_doubtful_is_not_new():
    assert followed(walk([(100, 100)], [(0, 0)], 5, score=0.25)) == [[]] * 5


def test_slow_clips_are_followed_by_their_times():
    frames = walk([(100, 100), (500, 100)], [(40, 0), (-40, 0)], 5)
    assert followed(frames, step=0.5) == [[1, 2]] * 5


def test_somebody_may_be_new_from_just_the_sure_score():
    assert followed(walk([(100, 100)], [(0, 0)], 2, score=0.5), sure=0.5) == [[1]] * 2


def test_somebody_is_known_again_from_just_the_doubtful_score():
    frames = walk([(100, 100)], [(0, 0)], 2) + walk([(100, 100)], [(0, 0)], 2, score=0.25)
    assert followed(frames, doubtful=0.25) == [[1]] * 4


def test_somebody_without_any_joint_is_not_followed():
    people = crowd.people([(100, 100)])
    people.xy[:] = np.nan
    assert followed([people]) == [[]]


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_is_followed_as_nobody(count):
    assert followed([People.none(COCO17)] * (count + 1)) == [[]] * (count + 1)


def test_a_skeleton_without_falloffs_is_followed_too():
    frames = walk([(100, 100), (300, 100)], [(3, 0), (-3, 0)], 10, skeleton=LSP14)
    assert followed(frames) == [[1, 2]] * 10


def test_joints_that_a_model_lacks_do_not_matter():
    frames = walk([(100, 100), (300, 100)], [(3, 0), (-3, 0)], 10)
    for people in frames:
        people.xy[:, 0], people.score[:, 0] = np.nan, 0.0
    assert followed(frames) == [[1, 2]] * 10


# what matching rests on


def test_speed_is_foreseen():
    tracks = Tracks.none(COCO17)
    for n, people in enumerate(walk([(100, 100)], [(6, -3)], 10)):
        tracks, _ = link(tracks, people, n / 30)
    xy, _ = foresee(tracks, 10 / 30)
    np.testing.assert_allclose(xy[0] - tracks.xy[0], [[6, -3]] * 17, atol=0.3)


def test_a_speed_fades_while_somebody_is_unseen():
    tracks = Tracks.none(COCO17)
    for n, people in enumerate(walk([(100, 100)], [(6, 0)], 10)):
        tracks, _ = link(tracks, people, n / 30)
    far, farther = (foresee(tracks, at)[0][0, 0, 0] for at in (3.0, 30.0))
    assert farther - far < 1.0 < far - tracks.xy[0, 0, 0]


def test_similarity_is_one_with_oneself():
    people = crowd.people([(100, 100), (400, 100)])
    tracks, _ = link(Tracks.none(COCO17), people, 0.0)
    np.testing.assert_allclose(similarity(tracks, people, 0.0), np.eye(2), atol=1e-6)


def test_a_body_is_as_wide_as_its_seen_joints():
    people = crowd.people([(100, 100)])
    people.score[0, :5] = 0.1
    rest = people.xy[0, 5:]
    np.testing.assert_allclose(bodies(people)[0, [1, 3]], [rest[:, 1].min(), rest[:, 1].max()])


def test_a_person_without_joints_has_its_own_box():
    people = crowd.people([(100, 100)], score=0.0)
    np.testing.assert_allclose(bodies(people), people.box, rtol=1e-5)


# doubles


def test_of_two_equal_poses_the_surer_one_stays():
    twice = crowd.people([(100, 100), (101, 100)], shapes=(0, 0))
    sure = replace(twice, score=twice.score * np.array([[0.8], [1.0]], dtype=np.float32))
    np.testing.assert_allclose(distinct(sure).xy, sure.xy[1:])


def test_a_pose_of_half_a_person_is_a_double_of_the_whole():
    whole, half = crowd.people([(100, 100)]), crowd.people([(100, 100)], score=0.95)
    half.xy[0, :9], half.score[0, :5] = half.xy[0, :9] + 40, 0.1
    both = People(*(np.concatenate([getattr(p, n) for p in (half, whole)])
                    for n in ("xy", "score", "box")), COCO17)  # fmt: skip
    np.testing.assert_allclose(distinct(both).xy, whole.xy)


def test_two_people_side_by_side_both_stay():
    assert len(distinct(crowd.people([(100, 100), (140, 100)]))) == 2


def test_nobody_has_no_doubles():
    assert len(distinct(People.none(COCO17))) == 0


# counting exchanges


def test_right_ids_are_no_switch():
    frames = walk([(100, 100), (300, 100)], [(1, 0), (1, 0)], 5, names=(1, 2))
    told = [replace(p, track=np.array([7, 3])) for p in frames]
    assert switches(frames, told) == 0


def test_an_exchange_of_two_ids_is_two_switches():
    frames = walk([(100, 100), (300, 100)], [(1, 0), (1, 0)], 6, names=(1, 2))
    told = [replace(p, track=np.array([1, 2] if n < 3 else [2, 1])) for n, p in enumerate(frames)]
    assert switches(frames, told) == 2


def test_a_new_id_after_a_gap_is_a_switch():
    frames = walk([(100, 100)], [(1, 0)], 6, names=(1,))
    told = [
        p[:0] if n == 3 else replace(p, track=np.array([1 + (n > 3)])) for n, p in enumerate(frames)
    ]
    assert switches(frames, told) == 1


@pytest.mark.parametrize("names", [(None, [1]), ([1], None)])
def test_switches_of_people_without_ids_are_refused(names):
    truth, found = ([crowd.people([(1, 1)], names=some)] for some in names)
    with pytest.raises(ValueError, match="with ids"):
        switches(truth, found)
