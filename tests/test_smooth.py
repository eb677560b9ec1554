from dataclasses import replace

import numpy as np
import pytest

import crowd
from posegram.pose import COCO17, People
from posegram.sides import put_right
from posegram.smooth import jitter, mend, smooth, steady

STEP = 1 / 30


def clip(count=60, *, noise=2.0, speed=0.0, names=(1,)):
    """Frames of people with noise on their joints, and the frames without it."""
    places = [[(200 * i + speed * n, 100.0) for i in range(len(names))] for n in range(count)]
    clean = [crowd.people(p, names=names) for p in places]
    return [crowd.shaken(p, noise, n) for n, p in enumerate(clean)], clean


def times(frames):
    return np.arange(len(frames)) * STEP


def live(frames, **options):
    state, made = None, []
    for n, people in enumerate(frames):
        state, found = steady(state, people, n * STEP, **options)
        made.append(found)
    return made


def error(frames, clean):
    """Mean distance from the truth in pixels."""
    return np.mean(
        [np.linalg.norm(a.xy - b.xy, axis=2).mean() for a, b in zip(frames, clean, strict=True)]
    )


# live


def test_live_smoothing_halves_the_jitter_of_somebody_who_stands():
    frames, _ = clip()
    assert jitter(live(frames), times(frames)) < jitter(frames, times(frames)) / 2


def test_live_smoothing_comes_closer_to_the_truth():
    frames, clean = clip(noise=3.0)
    assert error(live(frames)[10:], clean[10:]) < 0.7 * error(frames[10:], clean[10:])


def test_live_smoothing_lags_less_than_a_frame_behind_a_run():
    frames, clean = clip(90, noise=0.0, speed=12.0)
    lag = [(c.xy - f.xy)[0, :, 0].mean() / 12.0 for f, c in zip(live(frames), clean, strict=True)]
    assert max(lag[45:]) < 1.0


def test_the_first_frame_is_as_the_network_saw_it():
    frames, _ = clip(1)
    np.testing.assert_array_equal(live(frames)[0].xy, frames[0].xy)


def test_another_id_starts_afresh():
    frames, _ = clip(2, speed=5.0)
    changed = [frames[0], replace(frames[1], track=np.array([2]))]
    np.testing.assert_array_equal(live(changed)[1].xy, frames[1].xy)


def test_people_are_smoothed_alike_in_any_order():
    frames, _ = clip(30, names=(1, 2))
    turned = [p[[1, 0]] if n % 2 else p for n, p in enumerate(frames)]
    np.testing.assert_allclose(live(turned)[29].xy[::-1], live(frames)[29].xy)


def test_far_and_near_people_are_smoothed_alike():
    frames, _ = clip(30)
    small = [replace(p, xy=p.xy / 4, box=p.box / 4) for p in frames]
    np.testing.assert_allclose(live(small)[29].xy * 4, live(frames)[29].xy, rtol=1e-3, atol=1e-3)


def test_doubtful_joints_follow_more_slowly():
    frames, _ = clip(2, noise=0.0, speed=30.0)
    doubtful = [replace(p, score=p.score / 9) for p in frames]
    moved = [np.abs(live(f)[1].xy - f[0].xy).mean() for f in (doubtful, frames)]
    assert moved[0] < moved[1]


def test_joints_surer_than_a_half_follow_alike():
    frames, _ = clip(5, speed=10.0)
    surest = [replace(p, score=np.ones_like(p.score)) for p in frames]
    half = [replace(p, score=np.full_like(p.score, 0.5)) for p in frames]
    np.testing.assert_array_equal(live(surest)[-1].xy, live(half)[-1].xy)


def test_a_joint_that_is_absent_stays_absent_and_costs_nothing_else():
    frames, _ = clip(10)
    for people in frames:
        people.xy[:, 3] = np.nan
    last = live(frames)[-1].xy[0]
    assert np.flatnonzero(np.isnan(last).any(axis=1)).tolist() == [3]


def test_sides_exchanged_for_some_frames_are_put_right_live():
    frames, clean = clip(30, noise=0.0)
    which = np.ones((1, len(COCO17.mirror)), dtype=bool)
    wrong = [put_right(p, which) if 15 <= n < 20 else p for n, p in enumerate(frames)]
    assert error(live(wrong), clean) < 0.5


def test_ankles_exchanged_for_long_are_put_right_live():
    frames, clean = clip(90, noise=0.0)
    which = np.zeros((1, len(COCO17.mirror)), dtype=bool)
    which[:, COCO17.mirror.index(("left_ankle", "right_ankle"))] = True
    wrong = [put_right(p, which) if n >= 15 else p for n, p in enumerate(frames)]
    assert error(live(wrong)[60:], clean[60:]) < 0.5


def test_a_skeleton_without_pairs_is_smoothed_as_any():
    frames, _ = clip(3)
    bare = [replace(p, skeleton=replace(COCO17, mirror=())) for p in frames]
    assert np.isfinite(live(bare)[-1].xy).all()


def test_nobody_is_smoothed_as_nobody():
    nobody = replace(People.none(COCO17), track=np.zeros(0, dtype=np.int64))
    assert len(live([nobody, nobody])[1]) == 0


# offline


def wave(hertz, count=90):
    at = np.arange(count) * STEP
    return at, np.repeat(np.sin(2 * np.pi * hertz * at)[:, None, None], 2, axis=2).astype(
        np.float32
    )


def gain(hertz, cutoff=6.0):
    """How much of a wave passes, by its spread away from the ends."""
    at, xy = wave(hertz)
    made = smooth(xy, np.ones(xy.shape[:2], dtype=np.float32), at, cutoff=cutoff, scale=1e6)
    return np.std(made[20:70]) / np.std(xy[20:70])


@pytest.mark.parametrize(
    ("hertz", "low", "high"), [(0.5, 0.99, 1.01), (2, 0.97, 1.01), (6, 0.4, 0.6), (12, 0.0, 0.1)]
)
def test_slow_motion_passes_and_tremor_does_not(hertz, low, high):
    assert low < gain(hertz) < high


def test_offline_smoothing_has_no_lag():
    at, xy = wave(1.0)
    made = smooth(xy, np.ones(xy.shape[:2], dtype=np.float32), at, scale=1.0)
    np.testing.assert_allclose(made[5:-5], xy[5:-5], atol=0.02)


def test_a_spike_pulls_little():
    at, xy = wave(0.5)
    spiked = xy.copy()
    spiked[40] += 50.0
    made = smooth(spiked, np.ones(xy.shape[:2], dtype=np.float32), at, scale=10.0)
    assert np.abs(made - xy).max() < 2.0


@pytest.mark.parametrize("count", [0, 1])
def test_a_joint_seen_in_fewer_than_two_frames_is_left_alone(count):
    at, xy = wave(1.0)
    xy[count:] = np.nan
    np.testing.assert_array_equal(smooth(xy, np.ones(xy.shape[:2], dtype=np.float32), at), xy)


def test_uneven_times_are_taken_as_they_are():
    at = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.08, 80))
    xy = np.repeat((3 * at**2)[:, None, None], 2, axis=2).astype(np.float32)
    made = smooth(xy, np.ones((80, 1), dtype=np.float32), at)
    np.testing.assert_allclose(made, xy, atol=1e-2)


@pytest.mark.parametrize("count", [1, 3])
def test_a_clip_of_at_most_three_frames_is_left_alone(count):
    frames, _ = clip(count)
    np.testing.assert_array_equal(mend(frames, times(frames))[-1].xy, frames[-1].xy)


def test_mending_calms_more_than_live_smoothing():
    frames, _ = clip()
    at = times(frames)
    assert jitter(mend(frames, at), at) < jitter(live(frames), at)


def test_mending_comes_closer_to_the_truth_of_a_walk():
    frames, clean = clip(speed=4.0, noise=3.0)
    assert error(mend(frames, times(frames)), clean) < 0.7 * error(frames, clean)


def test_a_gap_is_bridged_with_half_the_score():
    frames, clean = clip(30, noise=0.0, speed=3.0)
    holed = [p[:0] if 10 <= n < 15 else p for n, p in enumerate(frames)]
    made = mend(holed, times(frames))
    assert made[12].score[0, 0] == pytest.approx(0.45)
    np.testing.assert_allclose(made[12].xy, clean[12].xy, atol=1.0)


def test_a_long_gap_stays_a_gap():
    frames, _ = clip(40)
    holed = [p[:0] if 10 <= n < 30 else p for n, p in enumerate(frames)]
    assert [len(p) for p in mend(holed, times(frames))] == [len(p) for p in holed]


def test_a_joint_unseen_for_a_moment_is_bridged():
    frames, clean = clip(30, noise=0.0, speed=3.0)
    for n in range(10, 15):
        frames[n].score[0, 9], frames[n].xy[0, 9] = 0.0, np.nan
    np.testing.assert_allclose(
        mend(frames, times(frames))[12].xy[0, 9], clean[12].xy[0, 9], atol=1.0
    )


def test_everybody_keeps_their_id_and_their_own_joints():
    frames, clean = clip(30, names=(4, 7))
    made = mend(frames, times(frames))
    assert (made[20].track.tolist(), error(made, clean) < 3) == ([4, 7], True)


def test_mending_changes_nothing_in_place():
    frames, _ = clip(20)
    before = frames[5].xy.copy()
    mend(frames, times(frames))
    np.testing.assert_array_equal(frames[5].xy, before)


def test_no_frames_are_no_frames():
    assert mend([], np.zeros(0)) == []


# jitter


def test_straight_walks_have_no_jitter():
    frames, _ = clip(noise=0.0, speed=5.0)
    assert jitter(frames, times(frames)) == pytest.approx(0.0, abs=0.05)


def test_jitter_is_acceleration_in_sizes():
    frames, _ = clip(5, noise=0.0)
    for n, people in enumerate(frames):
        people.xy[..., 0] += 8 * (n * STEP) ** 2 / 2
    size = np.ptp(frames[0].xy[0, :, 1])
    assert jitter(frames, times(frames)) == pytest.approx(8 / size, rel=0.02)


def test_one_frame_has_no_jitter_to_tell():
    frames, _ = clip(1)
    assert np.isnan(jitter(frames, times(frames)))


def test_a_joint_seen_in_every_other_frame_keeps_its_places():
    frames, clean = clip(9, noise=0.0, speed=3.0)
    for n in range(1, 9, 2):
        frames[n].score[0, 9], frames[n].xy[0, 9] = 0.0, np.nan
    made = mend(frames, times(frames))
    places = np.stack([people.xy[0, 9] for people in made])
    np.testing.assert_allclose(places, np.stack([p.xy[0, 9] for p in clean]), atol=1.0)


def test_a_gap_in_a_clip_of_three_frames_is_bridged():
    frames, clean = clip(3, noise=0.0, speed=3.0)
    made = mend([frames[0], frames[1][:0], frames[2]], times(frames))
    np.testing.assert_allclose(made[1].xy, clean[1].xy, atol=0.1)
