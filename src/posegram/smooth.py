"""Steadier joints: One-Euro live, smoothing without lag offline, left and right put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.pose import Floats, Ints, People
from posegram.sides import (
    Doubles,
    chains_of,
    exchanged,
    ids_of,
    pairs_of,
    put_right,
    seen,
    sizes,
    swaps,
    weigh,
)

try:
    from scipy.linalg import solveh_banded
except ModuleNotFoundError as fault:
    raise ImportError("smoothing needs scipy: pip install 'posegram[video]'") from fault

__all__ = ["Steady", "jitter", "mend", "smooth", "steady"]

_DERIVATIVE = 1.0  # Hz, how fast the One-Euro filter's speed may change
_SPIKE = 3.0  # times the usual deviation from which a point counts less
_STILL = 0.005  # sizes: deviations below that are nobody's fault


@dataclass(frozen=True, eq=False)
class Steady:
    """What live smoothing remembers of everybody; the state that `steady` hands on."""

    ids: Ints  # (T,)
    xy: Floats  # (T, K, 2) image pixels, smoothed
    raw: Floats  # (T, K, 2) image pixels, where the network saw each joint last
    speed: Floats  # (T, K, 2) sizes a second
    scale: Floats  # (T,) size of each person, pixels
    cost: Floats  # (T, C, 8) of the states of each chain of pairs, sizes
    time: float  # seconds


def steady(
    state: Steady | None, people: People, time: float, *, cutoff: float = 1.5, speedy: float = 6.0
) -> tuple[Steady, People]:
    """People with their sides put right and smoothed by what came before, and the next state.

    The One-Euro filter (Casiez, Roussel and Vogel 2012, doi:10.1145/2207676.2208639) on every
    joint, with speeds in person sizes, so that far and near people are treated alike; a joint
    that is less sure follows more slowly. Somebody new, or back after a gap, starts afresh.

    Args:
        state: what the call before handed on; None at the start.
        people: with ids.
        time: of the frame, in seconds.
        cutoff: Hz that pass while a joint rests; lower is calmer.
        speedy: Hz more for each size a second; higher lags less.
    """
    old = _recalled(state, people)
    step = max(time - state.time, 1e-3) if state is not None else 1e-3
    big = sizes(people)
    scale = np.where(np.isfinite(old.scale), old.scale + 0.1 * (big - old.scale), big)
    cost, _ = weigh(old.cost, *pairs_of(old.raw, people), scale[:, None], step)
    raw = np.asarray(np.where(seen(people)[..., None], people.xy, old.raw))
    people = put_right(people, exchanged(cost.argmin(axis=-1), people.skeleton))
    known = np.isfinite(old.xy).all(axis=2, keepdims=True)
    now = (people.xy - old.xy) / scale[:, None, None] / step
    fresh = np.where(known, old.speed + _gain(_DERIVATIVE, step) * (now - old.speed), 0.0)
    speed = np.asarray(np.nan_to_num(fresh), dtype=np.float32)
    sure = np.clip(people.score / 0.5, 0.1, 1.0)[..., None]
    gain = _gain((cutoff + speedy * np.linalg.norm(speed, axis=2, keepdims=True)) * sure, step)
    xy = np.where(known, old.xy + gain * (people.xy - old.xy), people.xy).astype(np.float32)
    scale = scale.astype(np.float32)
    state = Steady(old.ids, xy, raw, speed, scale, cost, time)
    return state, replace(people, xy=xy)


def _gain(cutoff: Floats | float, step: float) -> Floats:
    """Share of a new value that a first-order low pass of `cutoff` Hz takes over."""
    turn = 2 * np.pi * np.asarray(cutoff, dtype=np.float32) * step
    return np.asarray(turn / (turn + 1), dtype=np.float32)


def _recalled(state: Steady | None, people: People) -> Steady:
    """What is remembered of these people, row by row; NaN and zeros of somebody new."""
    n, k, chains = len(people), len(people.skeleton), len(chains_of(people.skeleton))
    cost = np.zeros((n, chains, 8), dtype=np.float32)
    xy, raw = (np.full((n, k, 2), np.nan, dtype=np.float32) for _ in range(2))
    scale = np.full(n, np.nan, dtype=np.float32)
    made = Steady(ids_of(people), xy, raw, np.zeros_like(xy), scale, cost, time=0.0)
    if state is not None:
        _, mine, theirs = np.intersect1d(made.ids, state.ids, return_indices=True)
        for name in ("xy", "raw", "speed", "scale", "cost"):
            getattr(made, name)[mine] = getattr(state, name)[theirs]
    return made


def smooth(
    xy: Floats, weight: Floats, times: Doubles, *, cutoff: float = 6.0, scale: float = 100.0
) -> Floats:
    """Joints over time, (T, K, 2) pixels, without tremor and without lag; gaps are bridged.

    The course x with the least jerk near the points y: it minimises
    sum w |y - x|^2 + integral |third derivative of x|^2 / (2 pi cutoff)^6, a Whittaker smoother
    (Eilers 2003, doi:10.1021/ac034173t), which halves what swings at `cutoff`. It is solved
    three times; points that lay far off count less, so that a spike pulls little.

    Args:
        xy: (T, K, 2) pixels; NaN where there is nothing.
        weight: (T, K) 0 to 1, trust in each point.
        times: (T,) seconds, growing.
        cutoff: Hz; 6 is the usual choice for walking (Winter, Biomechanics, 4th ed., chapter 3).
        scale: size of the person in pixels.
    """
    made = np.array(xy, dtype=np.float32)
    course = _bends(times, cutoff) if len(times) > 3 else None
    for joint in range(xy.shape[1]):
        usable = np.isfinite(xy[:, joint]).all(axis=1)
        if usable.sum() < 2:
            continue
        points = np.stack(
            [np.interp(times, times[usable], xy[usable, joint, axis]) for axis in (0, 1)], axis=1
        )
        if course is None:  # too few frames to tell it from a tremor: gaps alone are bridged
            made[:, joint] = points
            continue
        bend, length = course
        trust = np.where(usable, np.clip(weight[:, joint], 0.02, 1.0) ** 2, 1e-4)
        made[:, joint] = _robust(points, trust * length, bend, scale)
    return made


def _bends(times: Doubles, cutoff: float) -> tuple[Doubles, Doubles]:
    """The penalty's matrix as 4 upper bands (4, T), and the time that each frame stands for."""
    unit = float(np.median(np.diff(times)))
    at, count = (times - times[0]) / unit, len(times)
    bands = np.zeros((4, count))
    for first in range(count - 3):
        four = at[first : first + 4]
        apart = four[:, None] - four + np.eye(4)
        jerk = 6.0 / apart.prod(axis=1)  # the third derivative through four points
        outer = np.outer(jerk, jerk) * (four[3] - four[0]) / 3
        for a in range(4):
            for b in range(a, 4):
                bands[3 - (b - a), first + b] += outer[a, b]
    return bands / (2 * np.pi * cutoff * unit) ** 6, np.gradient(at)


def _robust(points: Doubles, weight: Doubles, bend: Doubles, scale: float) -> Doubles:
    """One joint's course (T, 2), solved three times with far points counting less."""
    trust = weight
    for _ in range(3):
        bands = bend.copy()
        bands[3] += trust
        course = np.asarray(solveh_banded(bands, trust[:, None] * points))
        off = np.linalg.norm(points - course, axis=1)
        usual = max(_SPIKE * 1.48 * float(np.median(off)), _STILL * scale)
        trust = weight * np.minimum(1.0, usual / np.maximum(off, 1e-9))
    return course


def mend(
    frames: Sequence[People], times: Doubles, *, cutoff: float = 6.0, gap: float = 0.5
) -> list[People]:
    """The people of successive frames with sides put right, gaps bridged and tremor taken out.

    Somebody who is gone for up to `gap` seconds is put where the course suggests, with half the
    score that the frames around have.

    Args:
        frames: per frame, people with ids.
        times: (T,) seconds, growing.
        cutoff: Hz, see `smooth`.
        gap: seconds that are bridged.
    """
    rows: list[list[People]] = [[] for _ in frames]
    for name in sorted({int(name) for people in frames for name in ids_of(people)}):
        where = [np.flatnonzero(ids_of(people) == name) for people in frames]
        present = np.flatnonzero([len(found) > 0 for found in where])
        for run in np.split(present, np.flatnonzero(np.diff(times[present]) > gap) + 1):
            course = _joined([frames[frame][where[frame]] for frame in run])
            for frame, person in _mended(course, times, run, cutoff):
                rows[frame].append(person)
    return [_joined(some) if some else people for some, people in zip(rows, frames, strict=True)]


def _mended(course: People, times: Doubles, run: Ints, cutoff: float) -> list[tuple[int, People]]:
    """One person seen in the frames `run`, mended in all frames between the first and last."""
    course = put_right(course, swaps(course, times[run]))
    whole = np.arange(run[0], run[-1] + 1)
    at, back = np.interp(times[whole], times[run], np.arange(len(run))), np.isin(whole, run)
    low, share = np.floor(at).astype(int), at % 1
    high = np.minimum(low + 1, len(run) - 1)

    def between(values: Floats) -> Floats:
        part = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(values[low] * (1 - part) + values[high] * part, dtype=np.float32)

    score = between(course.score) * np.where(back, 1.0, 0.5)[:, None].astype(np.float32)
    xy = np.full((len(whole), *course.xy.shape[1:]), np.nan, dtype=np.float32)
    xy[back] = course.xy  # and not `between`, in which a joint's absence would spread
    scale = float(np.median(sizes(course)))
    xy = smooth(xy, score, times[whole], cutoff=cutoff, scale=scale)
    track = np.full(len(whole), ids_of(course)[0])
    people = People(xy, score, between(course.box), course.skeleton, track)
    return [(int(frame), people[row]) for row, frame in enumerate(whole)]


def _joined(people: Sequence[People]) -> People:
    """People one after the other in one value."""
    names = ("xy", "score", "box", "track")
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in people]) for name in names
    }
    return replace(people[0], **parts)


def jitter(frames: Sequence[People], times: Doubles) -> float:
    """Mean acceleration of the joints in person sizes a second squared; NaN without any.

    Of every joint that is seen in three frames on end; a person's size is the median of theirs.
    """
    found: dict[int, dict[int, People]] = {}
    for frame, people in enumerate(frames):
        for row, name in enumerate(ids_of(people)):
            found.setdefault(int(name), {})[frame] = people[row]
    bends: list[npt.NDArray[np.float64]] = [np.zeros(0)]
    for course in found.values():
        scale = float(np.median([sizes(one)[0] for one in course.values()]))
        for frame in course.keys() & {f - 1 for f in course} & {f + 1 for f in course}:
            three = [course[f] for f in (frame - 1, frame, frame + 1)]
            first, second = np.diff(times[frame - 1 : frame + 2])
            a, b, c = (one.xy[0].astype(np.float64) for one in three)
            curve = 2 * ((c - b) / second - (b - a) / first) / (first + second) / scale
            bends.append(
                np.linalg.norm(curve, axis=1)[np.logical_and.reduce([seen(p)[0] for p in three])]
            )
    every = np.concatenate(bends)
    return float(every.mean()) if len(every) else float("nan")
