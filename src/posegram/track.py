"""Who is who from frame to frame: people matched by overlap and by pose, with motion foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.areas import OUTLINE, areas, iou, oks
from posegram.heatmaps import spreads
from posegram.pose import Floats, Ints, People, Skeleton
from posegram.scores import overall
from posegram.sides import SEEN, seen, sizes

__all__ = [
    "Tracks",
    "bodies",
    "distinct",
    "distinct_rows",
    "foremost",
    "foresee",
    "link",
    "similarity",
    "switches",
]

_TRUNK = 0.15  # of the longer side: the least that a body's box measures across
_TOUCH = 0.06  # sizes between two joints that may be one and the same
_STEADY = 0.15  # seconds over which a speed is averaged, and a box
_FADE = 0.5  # seconds after which an unseen person is thought to have stopped


@dataclass(frozen=True, eq=False)
class Tracks:
    """Everybody followed so far, as last seen; the state that `link` hands on."""

    ids: Ints  # (T,)
    xy: Floats  # (T, K, 2) image pixels
    score: Floats  # (T, K)
    box: Floats  # (T, 4) around the joints, steadied, image pixels
    velocity: Floats  # (T, 2) image pixels a second
    seen: npt.NDArray[np.float64]  # (T,) seconds: when last seen
    sights: Ints  # (T,) in how many frames
    following: int = 1  # the id of the next newcomer
    time: float = 0.0  # seconds: of the last frame

    @classmethod
    def none(cls, skeleton: Skeleton) -> Tracks:
        """Nobody yet."""
        whole, nobody = np.zeros(0, dtype=np.int64), People.none(skeleton)
        still = np.zeros((0, 2), dtype=np.float32)
        return cls(
            whole, nobody.xy, nobody.score, nobody.box, still, seen=np.zeros(0), sights=whole
        )

    def __len__(self) -> int:
        """Number of people, T."""
        return len(self.ids)

    def __getitem__(self, keep: Ints | npt.NDArray[np.bool_]) -> Tracks:
        """The tracks chosen by a mask (T,) or by rows."""
        names = ("ids", "xy", "score", "box", "velocity", "seen", "sights")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})


def bodies(people: People) -> Floats:
    """Boxes around the joints that are seen, (N, 4) image pixels; a person's own without any.

    Unlike a detector's boxes they do not depend on how a person was found.
    """
    usable = seen(people)
    enough = usable.sum(axis=1) >= 2
    low = np.where(usable[..., None], people.xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(usable[..., None], people.xy, -np.inf).max(axis=1, initial=-np.inf)
    box = np.where(enough[:, None], np.concatenate([low, high], axis=1), people.box)
    # arms along a body seen from the side leave hardly any width
    middle, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
    half = np.maximum(half, _TRUNK * half.max(axis=1, initial=1.0, keepdims=True))
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def foresee(tracks: Tracks, time: float) -> tuple[Floats, Floats]:
    """Joints (T, K, 2) and boxes (T, 4) in image pixels where everybody should be by now.

    They go on at their speed, which fades while they are not seen.
    """
    away = np.maximum(time - tracks.seen, 0.0)[:, None]
    step = (tracks.velocity * _FADE * -np.expm1(-away / _FADE)).astype(np.float32)
    return tracks.xy + step[:, None], tracks.box + np.tile(step, 2)


def similarity(tracks: Tracks, people: People, time: float) -> Floats:
    """Mean of box overlap and OKS of every person with every track, (N, T), 0 to 1.

    OKS is that of the places foreseen, its falloffs doubled since people move, and widened by the
    time for which a track was not seen.
    """
    xy, box = foresee(tracks, time)
    spread = 2.0 * (1.0 + 2.0 * np.maximum(time - tracks.seen, 0.0))
    area = (OUTLINE * areas(box) * spread**2).astype(np.float32)
    shared = np.isfinite(xy).all(axis=2) & (tracks.score >= SEEN)
    near = oks(people.xy, xy, shared, area, _sigmas(people.skeleton))
    return np.asarray((near + iou(bodies(people), box)) / 2, dtype=np.float32)


def _sigmas(skeleton: Skeleton) -> tuple[float, ...]:
    return tuple(spreads(skeleton).tolist())


def _mean_score(people: People) -> Floats:
    """Mean score over the joints that exist, (N,)."""
    has = np.isfinite(people.xy).all(axis=2)
    total = np.where(has, people.score, 0).sum(axis=1)
    return np.asarray(total / np.maximum(has.sum(axis=1), 1), dtype=np.float32)


def distinct(people: People, *, alike: float = 0.7, shared: float = 0.35) -> People:
    """The people without doubles, see `distinct_rows`."""
    return people[distinct_rows(people, alike=alike, shared=shared)]


def distinct_rows(people: People, *, alike: float = 0.7, shared: float = 0.35) -> list[int]:
    """Rows of the people without doubles; of two that are one, who shows more of a person stays.

    Two are one when their OKS is above `alike`, or when the share `shared` of the joints seen in
    one lies on the other's: a box around half a person, or two boxes that slid onto one.
    """
    usable = seen(people)
    area = np.maximum(OUTLINE * areas(bodies(people)), 1.0).astype(np.float32)
    same = oks(people.xy, people.xy, usable, area, _sigmas(people.skeleton)) > alike
    away = np.linalg.norm(people.xy[:, None] - people.xy[None], axis=3)  # (N, N, K)
    size = np.maximum(sizes(people)[:, None], sizes(people)[None])[..., None]
    both = (away < _TOUCH * size) & usable[:, None] & usable[None]
    same |= both.sum(axis=2) >= shared * np.maximum(usable.sum(axis=1), 1)[:, None]
    same |= same.T
    kept: list[int] = []
    for row in np.argsort(-np.where(usable, people.score, 0).sum(axis=1), kind="stable"):
        if not same[row, kept].any():
            kept.append(int(row))
    return sorted(kept)


def foremost(people: People, most: int, *, before: Sequence[int] = ()) -> People:
    """At most so many of the people, in their order: who is shown large and surely.

    Args:
        people: with ids where `before` is given.
        most: how many; 0 for all.
        before: ids of those who were the foremost a moment ago and stay so while they are seen.
    """
    if not 0 < most < len(people):
        return people
    sides = np.maximum(people.box[:, 2:] - people.box[:, :2], 0.0)
    merit = overall(people.score) * np.sqrt(sides.prod(axis=1))
    new = np.ones(len(people)) if people.track is None else ~np.isin(people.track, list(before))
    rows = np.lexsort((-merit, new))[:most]
    return people[np.sort(rows)]


def link(
    tracks: Tracks,
    people: People,
    time: float,
    *,
    memory: float = 1.0,
    sure: float = 0.35,
    doubtful: float = 0.15,
) -> tuple[Tracks, People]:
    """The tracks brought up to this frame, and its people with their ids.

    First the people who are sure meet all tracks, then the doubtful ones meet the tracks that are
    left (Zhang et al. 2022, ByteTrack, arXiv:2110.06864), both by the assignment with the largest
    sum of `similarity`. Sure people without a track are newcomers; doubtful ones are left out.

    Who was seen once and then not is likely a false alarm, and waited for a quarter as long.

    Args:
        tracks: as the frame before left them.
        people: who was found in this frame; their own ids are not looked at.
        time: of the frame, in seconds.
        memory: seconds for which somebody unseen is waited for.
        sure: mean score from which a person may be new.
        doubtful: mean score from which a person may be somebody known.
    """
    away = time - tracks.seen
    missed = tracks.seen < tracks.time  # in the frame before, too
    kept = (away <= memory) & ((tracks.sights > 1) | ~missed | (away <= memory / 4))
    tracks = tracks[kept]
    score, like = _mean_score(people), similarity(tracks, people, time)
    owner = np.full(len(people), -1, dtype=np.int64)  # row of each person's track
    for some, least in ((score >= sure, 0.15), ((score >= doubtful) & (score < sure), 0.3)):
        rows = np.flatnonzero(some)
        free = np.setdiff1d(np.arange(len(tracks)), owner)
        for person, track in _assigned(like[np.ix_(rows, free)], least):
            owner[rows[person]] = free[track]
    old, new = np.flatnonzero(owner >= 0), np.flatnonzero((owner < 0) & (score >= sure))
    tracks = _newcomers(_moved(tracks, people[old], owner[old], time), people[new], time)
    ids = np.concatenate([tracks.ids[owner[old]], tracks.ids[len(tracks) - len(new) :]])
    rows = np.concatenate([old, new])
    return tracks, replace(people[rows], track=ids)[np.argsort(rows)]


def _assigned(like: Floats, least: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of the best assignment, those below `least` left out."""
    try:
        from scipy.optimize import linear_sum_assignment  # photos come here for `distinct` alone
    except ModuleNotFoundError as fault:
        raise ImportError("tracking needs scipy: pip install 'posegram[video]'") from fault
    allowed = np.where(like >= least, like, 0.0)
    pairs = zip(*linear_sum_assignment(-allowed), strict=True)
    return [(int(a), int(b)) for a, b in pairs if allowed[a, b] > 0]


def _moved(tracks: Tracks, people: People, rows: Ints, time: float) -> Tracks:
    """The tracks with those in `rows` seen again as `people`."""
    away = np.maximum(time - tracks.seen[rows], 1e-3)
    both = (tracks.score[rows] >= SEEN) & seen(people) & np.isfinite(tracks.xy[rows]).all(axis=2)
    change = np.where(both[..., None], people.xy - tracks.xy[rows], 0.0).sum(axis=1)
    speed = change / np.maximum(both.sum(axis=1), 1)[:, None] / away[:, None]
    fresh = tracks.sights[rows] < 2  # no speed to average with yet
    gain = np.where(fresh, 1.0, -np.expm1(-away / _STEADY))[:, None]
    foreseen = foresee(tracks[rows], time)[1]
    parts: dict[str, Any] = {name: np.array(getattr(tracks, name)) for name in _ROWS}
    parts["velocity"][rows] += gain * (speed - tracks.velocity[rows])
    parts["xy"][rows], parts["score"][rows] = people.xy, people.score
    parts["box"][rows] = foreseen + gain * (bodies(people) - foreseen)
    parts["seen"][rows] = time
    parts["sights"][rows] += 1
    return replace(tracks, **parts)


_ROWS = ("xy", "score", "box", "velocity", "seen", "sights")


def _newcomers(tracks: Tracks, people: People, time: float) -> Tracks:
    """The tracks with new ones behind them."""
    n, first = len(people), tracks.following
    fresh: dict[str, Any] = {
        "ids": np.arange(first, first + n),
        "xy": people.xy,
        "score": people.score,
        "box": bodies(people),
        "velocity": np.zeros((n, 2), dtype=np.float32),
        "seen": np.full(n, time),
        "sights": np.ones(n, dtype=np.int64),
    }
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(tracks, name), more]) for name, more in fresh.items()
    }
    return replace(tracks, **joined, following=first + n, time=time)


def switches(truth: Sequence[People], found: Sequence[People], *, least: float = 0.3) -> int:
    """How often a true person is given another id than before (CLEAR MOT's mismatches).

    In each frame a pair of the frame before stays together while it still overlaps; the others
    are matched by box overlap (Bernardin and Stiefelhagen 2008, doi:10.1155/2008/246309).

    Args:
        truth: per frame, people with their true ids.
        found: per frame, the same frames' people with the ids to judge.
        least: overlap of boxes, intersection over union, from which two are one person.
    """
    held: dict[int, int] = {}
    count = 0
    for real, told in zip(truth, found, strict=True):
        if real.track is None or told.track is None:
            raise ValueError("switches are counted between people with ids")
        like = iou(bodies(real), bodies(told))
        stay = np.array([[held.get(int(a)) == b for b in told.track] for a in real.track])
        like = np.where(like >= least, like + stay.reshape(like.shape), 0.0)
        for a, b in _assigned(like, least):
            who, name = int(real.track[a]), int(told.track[b])
            count += held.get(who, name) != name
            held[who] = name
    return count
