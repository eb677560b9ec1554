"""Left or right: exchanges of twin joints in a moving person, found and undone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from posegram.pose import Floats, Ints, People, Skeleton

__all__ = ["SEEN", "Doubles", "ids_of", "pairs_of", "put_right", "seen", "sizes", "swaps", "weigh"]

SEEN = 0.3  # score from which a joint counts
_TURN = 0.6  # sizes a second: the price of calling the network's left right
_EFFORT = 0.04  # sizes: the price of an exchange, or twins side by side would take turns
_GAP = 0.5  # seconds without a pair of joints after which their sides tell nothing

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


def pairs_of(before: Floats, people: People) -> tuple[Floats, Floats]:
    """Where the joints of each pair were and are, (N, P, 2, 2) pixels; NaN where unseen now.

    Args:
        before: (N, K, 2) pixels.
        people: N people.
    """
    now = np.where(seen(people)[..., None], people.xy, np.nan).astype(np.float32)
    twins = _twins(people.skeleton)
    return before[:, twins], now[:, twins]


def weigh(
    cost: Floats, before: Floats, now: Floats, scale: Floats, step: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Costs (N, P, 2) of the sides being right and exchanged, one frame later; who came across.

    One step of the Viterbi algorithm: either nothing changes and each joint moves from where it
    was, or sides change and each moves from where its twin was. The network is right most of the
    time, so every second of being exchanged has its price. The flags, (N, P, 2), say which of
    the two states were cheapest to reach from the other one.

    Args:
        cost: (N, P, 2) sizes.
        before: (N, P, 2, 2) pixels of the pairs' left and right joints.
        now: the same in this frame.
        scale: (N, 1) sizes of the people in pixels.
        step: seconds since.
    """
    moved = np.linalg.norm(now - before, axis=-1).sum(axis=-1) / scale
    crossed = np.linalg.norm(now - before[..., ::-1, :], axis=-1).sum(axis=-1) / scale + _EFFORT
    told = np.isfinite(moved) & np.isfinite(crossed)
    moved, crossed = np.where(told, moved, 0.0), np.where(told, crossed, np.inf)
    stay, turn = cost + moved[..., None], cost[..., ::-1] + crossed[..., None]
    total = np.minimum(stay, turn) + np.array([0.0, _TURN * step])
    total -= total.min(axis=-1, keepdims=True)
    return total.astype(np.float32), np.asarray(turn < stay)


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
    it begins and ends with; one that lasts longer than a second or so is believed.

    Args:
        course: one person, a row per frame.
        times: (T,) seconds of the frames.
    """
    scale = np.array([[np.median(sizes(course)) if len(course) else 1.0]], dtype=np.float32)
    _, now = pairs_of(course.xy, course)  # (T, P, 2, 2)
    before, last = np.full_like(now[:1], np.nan), np.full(now.shape[1], -np.inf)
    cost, came = np.zeros((1, now.shape[1], 2), dtype=np.float32), []
    for frame in range(len(now)):
        step = float(times[frame] - times[max(frame - 1, 0)])
        before[0, times[frame] - last > _GAP] = np.nan
        cost, across = weigh(cost, before, now[frame : frame + 1], scale, step)
        came.append(across[0])
        told = np.isfinite(now[frame]).all(axis=(1, 2))
        before[0, told], last[told] = now[frame, told], times[frame]
    which = np.zeros(now.shape[:2], dtype=np.bool_)
    state = cost[0].argmin(axis=1)
    for frame in range(len(now) - 1, -1, -1):
        which[frame] = state == 1
        state = state ^ came[frame][np.arange(len(state)), state]
    return which
