"""Faults of single joints: flags, places, numbers; nothing here knows how a body looks."""

from __future__ import annotations

import numpy as np

from posegram.data.doctor.annotations import Annotations, Bools, Doubles, at_origin
from posegram.data.doctor.findings import Finding, named, of_people

__all__ = ["beyond", "marks"]

_ENOUGH = 20  # people from which a set's habits are judged
_HABIT = 0.5  # share of a set that makes a habit, not a slip
_RARE = 0.3  # share of hidden joints below which a wholly hidden person is odd
_POINT = 0.25  # pixels within which joints lie on one point
_BLOCK = 8192  # people whose pairs of joints are compared at a time


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def marks(people: Annotations) -> list[Finding]:
    """Faults that show in a joint's own three numbers and in the picture's size."""
    return [
        *_flags(people),
        *_habits(people),
        *_numbers(people),
        *_unlabelled(people),
        *_outside(people),
        *_collapsed(people),
        *_counts(people),
        *_from_1(people),
    ]


def _flags(people: Annotations) -> list[Finding]:
    hits = ~np.isin(people.flag, (0, 1, 2))

    def say(row: int, joints: tuple[str, ...]) -> str:
        values = sorted({f"{v:g}" for v in people.flag[row][hits[row]]})
        return f"v of {named(joints)} is {', '.join(values)}, wanted 0, 1 or 2"

    return of_people(people, "unknown-flag", "certain", hits, say, 0.5)


def _habits(people: Annotations) -> list[Finding]:
    """What the flags of the whole set say, and who falls out of it."""
    flags = people.flag[people.labelled]
    if len(people) < _ENOUGH or not flags.size:
        return []
    if (flags == flags[0]).all():
        what = {
            1.0: "every labelled joint has v = 1 (hidden): v was perhaps written as 0 or 1",
            2.0: "every labelled joint has v = 2: hidden joints are not told from seen ones",
        }.get(float(flags[0]), f"every labelled joint has v = {flags[0]:g}")
        return [Finding("flags-equal", "look" if flags[0] == 2 else "likely", 0.5, what)]
    hidden = (people.flag == 1).sum(axis=1)
    count = people.labelled.sum(axis=1)
    hits = (hidden == count) & (count >= max(6, 0.7 * len(people.skeleton)))
    if float((flags == 1).mean()) > _RARE:
        return []
    return of_people(people, "all-hidden", "likely", hits, lambda *_: "every joint has v = 1", 0.1)


def _numbers(people: Annotations) -> list[Finding]:
    broken = people.labelled & ~np.isfinite(people.xy).all(axis=2)
    origin = people.labelled & at_origin(people.xy)
    return [
        *of_people(
            people,
            "not-a-number",
            "certain",
            broken,
            lambda _, joints: f"the place of {named(joints)} is no number",
            0.8,
        ),
        *of_people(
            people,
            "at-origin",
            "certain",
            origin,
            lambda _, joints: f"labelled at the picture's corner (0, 0): {named(joints)}",
            0.7,
        ),
    ]


def _unlabelled(people: Annotations) -> list[Finding]:
    """Places of joints with v = 0; a habit of the whole set is one finding."""
    blank = people.flag == 0
    placed = blank & np.isfinite(people.xy).all(axis=2) & ~at_origin(people.xy)
    share = float(placed.sum()) / max(int(blank.sum()), 1)
    often = float(placed.any(axis=1).mean()) if len(people) else 0.0
    if share > _HABIT and often > _RARE and len(people) >= _ENOUGH:
        what = f"{share:.0%} of the joints with v = 0 have a place: readers must go by v"
        return [Finding("unlabelled-place", "look", 0.3, what)]
    return of_people(
        people,
        "unlabelled-place",
        "certain",
        placed,
        lambda _, joints: f"v = 0, yet x and y are given: {named(joints)}",
        0.2,
    )


def _outside(people: Annotations) -> list[Finding]:
    away = beyond(people)
    side = np.nanmax(people.canvas, axis=1, initial=1.0)
    hits = people.usable & (away > 0)
    worst = np.where(hits, away, 0).max(axis=1, initial=0) / side

    def say(row: int, joints: tuple[str, ...]) -> str:
        height, width = people.canvas[row]
        far = 1 + float(np.where(hits[row], away[row], 0).max())  # with the tolerance
        return f"{far:.1f} px outside the {width:.0f} x {height:.0f} picture: {named(joints)}"

    return of_people(people, "outside-picture", "certain", hits, say, np.minimum(0.3 + worst, 1))


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def beyond(people: Annotations) -> Doubles:
    """Pixels by which joints lie outside their picture, (N, K); 0 inside and where unknown.

    The tolerance of a pixel is that of `posegram.data.door.inside`.
    """
    size = people.canvas[:, None, ::-1]
    past = np.maximum(np.maximum(-1 - people.xy, people.xy - size), 0).max(axis=2)
    return np.asarray(np.nan_to_num(past, nan=0.0, posinf=0.0))


def _collapsed(people: Annotations) -> list[Finding]:
    """Three joints on one point; both ends of a bone are worth a look, unless left and right."""
    many, ends = _on_one_point(people)
    alone = ends & ~many.any(axis=1, keepdims=True)

    def say(_: int, joints: tuple[str, ...]) -> str:
        return f"on one point: {named(joints)}"

    worst = 0.4 + 0.5 * many.mean(axis=1)
    return [
        *of_people(people, "collapsed", "likely", many, say, worst),
        *of_people(people, "collapsed", "look", alone, say, 0.4),
    ]


def _on_one_point(people: Annotations) -> tuple[Bools, Bools]:
    """Joints that lie on one point with two others, and with the other end of a bone, (N, K)."""
    xy, k = people.places, len(people.skeleton)
    many, ends = (np.zeros((len(people), k), dtype=np.bool_) for _ in range(2))
    solid = np.zeros((k, k), dtype=np.bool_)
    twins = [set(pair) for pair in people.skeleton.mirror]
    for (a, b), bone in zip(people.skeleton.edges, people.skeleton.bones, strict=True):
        solid[[a, b], [b, a]] = set(bone) not in twins
    for start in range(0, len(people), _BLOCK):
        rows = slice(start, start + _BLOCK)
        close = np.abs(xy[rows, :, None] - xy[rows, None]).max(axis=3) <= _POINT
        many[rows], ends[rows] = close.sum(axis=2) >= 3, (close & solid).any(axis=2)
    return many, ends


def _counts(people: Annotations) -> list[Finding]:
    records = [people.whole["annotations"][row] for row in people.record]
    stated = np.array([_count(record) for record in records], dtype=np.float64)
    found = people.labelled.sum(axis=1)
    hits: Bools = np.isfinite(stated) & (stated != found)

    def say(row: int, _: tuple[str, ...]) -> str:
        return f"num_keypoints is {stated[row]:g}, but {found[row]} joints are labelled"

    return of_people(people, "wrong-count", "certain", hits, say, 0.1)


def _count(record: dict[str, object]) -> float:
    stated = record.get("num_keypoints")
    return float(stated) if isinstance(stated, int | float) else float("nan")


def _from_1(people: Annotations) -> list[Finding]:
    """Whole numbers that reach the picture's width or height, yet never 0."""
    xy = people.xy[people.usable]
    size = np.broadcast_to(people.canvas[:, None, ::-1], people.xy.shape)[people.usable]
    if len(people) < _ENOUGH or not len(xy) or not (xy == np.round(xy)).mean() > 0.99:
        return []
    last, first = int((xy == size).sum()), int((xy == 0).sum())
    if last == 0 or first > 0:
        return []
    what = f"{last} coordinates equal the picture's width or height and none is 0"
    return [Finding("counted-from-1", "look", 0.5, f"{what}: pixels may be counted from 1")]
