"""Left or right: exchanges of twin joints in a moving person, found and undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from posegram.pose import Floats, Ints, People, Skeleton

__all__ = [
    "SEEN",
    "Doubles",
    "chains_of",
    "exchanged",
    "ids_of",
    "pairs_of",
    "put_right",
    "seen",
    "sizes",
    "swaps",
    "weigh",
]

SEEN = 0.3  # score from which a joint counts
_TURN = 0.6  # sizes a second: the price of calling the network's left right
_EFFORT = 0.04  # sizes: the price of an exchange, or twins side by side would take turns
_CROSS = 10.0  # sizes a second for each size by which two bones are longer crossed: see `_crossing`
_GAP = 0.5  # seconds without a pair of joints after which their sides tell nothing

# which of a chain's three pairs are exchanged in each of its 8 states; which neighbours differ in
# it, (8, 2); and from which state each is reached by each set of exchanges, (8, 8)
_STATES = (np.arange(8)[:, None] >> np.arange(3) & 1).astype(np.bool_)
_APART = (_STATES[:, 1:] ^ _STATES[:, :-1]).astype(np.float32)
_WAYS = np.arange(8)[:, None] ^ np.arange(8)

Doubles = npt.NDArray[np.float64]


def ids_of(people: People) -> Ints:
    """Everybody's id, (N,).

    Raises:
        ValueError: they have none.
    """
    if people.track is None:
        raise ValueError("these people have no ids: link them first")
    return people.track


def seen(people: People) -> npt.NDArray[np.bool_]:
    """Which joints count, (N, K)."""
    return np.asarray(np.isfinite(people.xy).all(axis=2) & (people.score >= SEEN))


def sizes(people: People) -> Floats:
    """Longer side of the joints seen of each person in pixels, (N,); of the box without any."""
    usable = seen(people)[..., None]
    low = np.where(usable, people.xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(usable, people.xy, -np.inf).max(axis=1, initial=-np.inf)
    joints = (high - low).max(axis=1, initial=-np.inf)
    box = (people.box[:, 2:] - people.box[:, :2]).max(axis=1, initial=0.0)
    return np.asarray(np.maximum(np.where(joints > 0, joints, box), 1.0), dtype=np.float32)


def _twins(skeleton: Skeleton) -> Ints:
    """Rows of the left and of the right joint of each pair, (P, 2)."""
    rows = [(skeleton.index(a), skeleton.index(b)) for a, b in skeleton.mirror]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


@cache
def chains_of(skeleton: Skeleton) -> Ints:
    """Pairs of joints whose sides are judged together, (C, 3) rows of `mirror`; -1 is no pair.

    Three pairs in a row by the bones of both sides, from one on the trunk outwards: hip, knee and
    ankle, shoulder, elbow and wrist. On the trunk are those that a bone joins to each other or to
    a joint without a twin. Each other pair (eyes, ears, toes) is a chain of its own.
    """
    trunk = [pair for pair in range(len(skeleton.mirror)) if _central(skeleton, pair)]
    free, found = set(range(len(skeleton.mirror))) - set(trunk), list[tuple[int, int, int]]()
    for pair in trunk:
        limb = next(_limbs(skeleton, pair, sorted(free)), None)
        if limb is not None:
            found.append(limb)
            free -= set(limb)
    rest = sorted(set(range(len(skeleton.mirror))).difference(*found))
    chains = np.array([*found, *((pair, -1, -1) for pair in rest)], dtype=np.int64).reshape(-1, 3)
    chains.setflags(write=False)  # everybody's, out of the cache
    return chains


def _central(skeleton: Skeleton, pair: int) -> bool:
    """Whether a pair sits on the trunk, see `chains_of`."""
    left, right = skeleton.mirror[pair]
    twins = {joint for both in skeleton.mirror for joint in both} - {right}
    ends = [set(bone) - {left} for bone in skeleton.bones if left in bone]
    return any(not end & twins for end in ends)


def _limbs(skeleton: Skeleton, first: int, free: list[int]) -> Iterator[tuple[int, int, int]]:
    """Chains of a pair and two of the free ones."""
    bones = {frozenset(bone) for bone in skeleton.bones}

    def joined(a: int, b: int) -> bool:
        sides = zip(skeleton.mirror[a], skeleton.mirror[b], strict=True)
        return all(frozenset(side) in bones for side in sides)

    return (
        (first, middle, last)
        for middle in free
        for last in free
        if last != middle and joined(first, middle) and joined(middle, last)
    )


def pairs_of(before: Floats, people: People) -> tuple[Floats, Floats]:
    """Where the pairs of each chain were and are, (N, C, 3, 2, 2) pixels; NaN where unseen now.

    Args:
        before: (N, K, 2) pixels.
        people: N people.
    """
    now = np.where(seen(people)[..., None], people.xy, np.nan).astype(np.float32)
    chains = chains_of(people.skeleton)
    if not len(chains):
        return (np.zeros((len(people), 0, 3, 2, 2), dtype=np.float32),) * 2
    rows, real = _twins(people.skeleton)[chains], (chains >= 0)[..., None, None]
    was, there = (np.where(real, xy[:, rows], np.float32(np.nan)) for xy in (before, now))
    return was, there


def weigh(
    cost: Floats, before: Floats, now: Floats, scale: Floats, step: float
) -> tuple[Floats, Ints]:
    """Costs (N, C, 8) of each chain's states one frame later, and from which each was reached.

    One step of the Viterbi algorithm: each pair's joints move from where they were, or its sides
    change and they move from where their twins were. The network is right most of the time, so
    every second of being exchanged has its price; and bones keep their length, so has every
    second in which neighbours of a chain differ, if that makes the bones between them longer.

    Args:
        cost: (N, C, 8) sizes.
        before: (N, C, 3, 2, 2) pixels of the pairs' left and right joints.
        now: the same in this frame.
        scale: (N, 1) sizes of the people in pixels.
        step: seconds since.
    """
    size = scale[..., None]
    moved = np.linalg.norm(now - before, axis=-1).sum(axis=-1) / size
    crossed = np.linalg.norm(now - before[..., ::-1, :], axis=-1).sum(axis=-1) / size + _EFFORT
    told = np.isfinite(moved) & np.isfinite(crossed)
    moved, crossed = np.where(told, moved, 0.0), np.where(told, crossed, np.inf)
    way = np.where(_STATES, crossed[..., None, :], moved[..., None, :]).sum(axis=-1)
    ways = cost[..., None, :] + way[..., _WAYS]  # (N, C, 8 now, 8 before)
    price = _TURN * _STATES.sum(axis=1) + _CROSS * _crossing(now, size) @ _APART.T
    total = ways.min(axis=-1) + price * step
    total -= total.min(axis=-1, keepdims=True)
    return total.astype(np.float32), ways.argmin(axis=-1)


def _crossing(now: Floats, size: Floats) -> Floats:
    """Sizes by which the bones between a chain's neighbours are longer crossed, (N, C, 2).

    Below zero where the network itself has crossed them. Two bones shorter than the chain's mean
    count as long as that: folded arms are not undone for forearms of no length.
    """
    near, far = now[:, :, :-1], now[:, :, 1:]
    straight = np.linalg.norm(near - far, axis=-1)
    crossed = np.linalg.norm(near - far[..., ::-1, :], axis=-1)
    least = straight.mean(axis=(-2, -1), keepdims=True)
    longer = (np.fmax(crossed, least) - np.fmax(straight, least)).sum(axis=-1) / size
    return np.asarray(np.nan_to_num(longer), dtype=np.float32)  # unseen joints tell nothing


def exchanged(state: Ints, skeleton: Skeleton) -> npt.NDArray[np.bool_]:
    """Which pairs of joints (N, P) are exchanged when the chains are in these states, (N, C)."""
    chains = chains_of(skeleton)
    real, which = chains >= 0, np.zeros((len(state), len(skeleton.mirror)), dtype=np.bool_)
    which[:, chains[real]] = _STATES[state][:, real]
    return which


def put_right(people: People, which: npt.NDArray[np.bool_]) -> People:
    """People with the pairs of joints in `which` (N, P) exchanged."""
    order = np.tile(np.arange(len(people.skeleton)), (len(people), 1))
    rows, pairs = np.nonzero(which)
    left, right = _twins(people.skeleton)[pairs].T
    order[rows, left], order[rows, right] = right, left
    xy = np.take_along_axis(people.xy, order[..., None], axis=1)
    return replace(people, xy=xy, score=np.take_along_axis(people.score, order, axis=1))


def swaps(course: People, times: Doubles) -> npt.NDArray[np.bool_]:
    """When the sides of each pair of joints are exchanged in one person's course, (T, P).

    The cheapest course by the Viterbi algorithm: a short exchange is given away by the jumps that
    it begins and ends with, that of a part of a limb by crossed bones; one of whole limbs that
    lasts longer than a second or so is believed.

    Args:
        course: one person, a row per frame.
        times: (T,) seconds of the frames.
    """
    scale = np.array([[np.median(sizes(course)) if len(course) else 1.0]], dtype=np.float32)
    _, now = pairs_of(course.xy, course)  # (T, C, 3, 2, 2)
    before, last = np.full_like(now[:1], np.nan), np.full(now.shape[1:3], -np.inf)
    cost, came = np.zeros((1, now.shape[1], 8), dtype=np.float32), []
    for frame in range(len(now)):
        step = float(times[frame] - times[max(frame - 1, 0)])
        before[0, times[frame] - last > _GAP] = np.nan
        cost, source = weigh(cost, before, now[frame : frame + 1], scale, step)
        came.append(source[0])
        told = np.isfinite(now[frame]).all(axis=(2, 3))
        before[0, told], last[told] = now[frame, told], times[frame]
    states = np.zeros(now.shape[:2], dtype=np.int64)
    state = cost[0].argmin(axis=1)
    for frame in range(len(now) - 1, -1, -1):
        states[frame] = state
        state = came[frame][np.arange(len(state)), state]
    return exchanged(states, course.skeleton)
