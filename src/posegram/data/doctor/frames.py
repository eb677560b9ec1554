"""Faults of boxes, and of places as a whole: units, axes, scale, shift; judged by box and picture.

Each guess about what went wrong (x and y exchanged, shares for pixels, another picture size, ...)
is tried on everybody at once; it is believed where it makes joints and box agree that did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from posegram import data
from posegram.data.doctor.annotations import Annotations, Bools, Doubles
from posegram.data.doctor.findings import Finding, Level, named, of_people
from posegram.pose import MPII16

__all__ = ["frames", "plain_boxes", "shares"]

_FEW = 4  # joints from which the joints' bounds say something of the person
_GROWTH = 0.15  # of the box's longer side: how far a joint may lie outside its box
_REACH = 0.06  # of the joints' extent: head, hands and feet reach beyond the joints
_FAR = 0.5  # the same, where it is a fault
_FIT = 0.95  # share of the joints in the box that makes a fit
_BAD = 0.5  # share of the joints in the grown box below which the two do not belong together
_MISS = 0.45  # the same for the box as it is
_OVERLAP = 0.45  # intersection over union of box and bounds that a guess must reach
_GAIN = 0.15  # and by how much it must be better than as written
_SIDE = 0.12  # of the joints' extent: by how much a side of the box must be off to be odd
_BESIDE = 0.3  # the same, where it is worth a look by itself
_APART = 0.25  # overlap below which a whole person and its box do not belong together
_WHOLE = 0.7  # share of the joints that must be labelled before the box's size is judged
_ODD = 6.0  # robust standard deviations of the ratio of box and bounds that are odd
_TIMES = 1.6  # and the least factor that is


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def frames(people: Annotations) -> list[Finding]:
    """Boxes that are none or do not fit, and the systematic mistakes that explain it."""
    plain = plain_boxes(people)
    guess, better = _guesses(people, plain)
    return [
        *_empty(people, plain),
        *_away(people, plain),
        *better,
        *_misfit(people, plain & ~guess),
    ]


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def plain_boxes(people: Annotations) -> Bools:
    """Whether each box is one, (N,): finite, and at least a pixel wide and high."""
    box = people.box
    sides = box[:, 2:] - box[:, :2]
    return np.asarray(np.isfinite(box).all(axis=1) & (sides >= 1).all(axis=1))


def _empty(people: Annotations, plain: Bools) -> list[Finding]:
    given = np.array(
        ["bbox" in people.whole["annotations"][row] for row in people.record], dtype=np.bool_
    )

    def say(row: int, _: tuple[str, ...]) -> str:
        return f"`bbox` is {people.whole['annotations'][people.record[row]].get('bbox')}"

    return of_people(people, "empty-box", "certain", given & ~plain, say, 0.5)


def _away(people: Annotations, plain: Bools) -> list[Finding]:
    """Labelled boxes of which more than half lies outside the picture."""
    if _squares(people):
        return []
    size = people.canvas[:, ::-1]
    low, high = np.maximum(people.box[:, :2], -0.5), np.minimum(people.box[:, 2:], size - 0.5)
    inner = np.maximum(high - low, 0).prod(axis=1)
    share = inner / np.maximum((people.box[:, 2:] - people.box[:, :2]).prod(axis=1), 1e-9)
    hits = plain & (share < 0.5)
    box = np.round(people.box, 1)
    return of_people(
        people,
        "box-outside",
        "certain",
        hits,
        lambda row, _: (
            f"{1 - share[row]:.0%} of the box {box[row].tolist()} is outside the picture"
        ),
        0.6,
    )


def _squares(people: Annotations) -> bool:
    """Whether the boxes are the squares that MPII's reader draws around a centre: no labels."""
    if people.skeleton != MPII16:
        return False
    try:
        return data.reader_of(people.source)[0] == "mpii"
    except (OSError, ValueError):  # people from memory
        return False


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def shares(people: Annotations) -> Bools:
    """People with four joints or more, all of whose places lie within 0 to 1, (N,)."""
    xy, usable = people.places, people.usable
    small = ((xy >= -0.1) & (xy <= 1.1)).all(axis=2) | ~usable
    return np.asarray(small.all(axis=1) & (usable.sum(axis=1) >= _FEW))


@dataclass(frozen=True, eq=False)
class _Guess:
    """What may have gone wrong, and how joints and boxes would be if it had."""

    kind: str
    level: Level
    who: Bools  # (N,) of whom it is thought at all
    xy: Doubles  # (N, K, 2)
    box: Doubles  # (N, 4)
    say: Callable[[int], str]


def _guesses(people: Annotations, plain: Bools) -> tuple[Bools, list[Finding]]:
    """Who is explained by a guess, (N,), and the findings."""
    inside, overlap = _fit(people.places, people.box)
    small = shares(people) & (np.nan_to_num(people.canvas, nan=99).min(axis=1) > 4)
    made = of_people(
        people, "normalised", "certain", small, lambda *_: "places are shares, not pixels", 0.95
    )
    done = small
    fit = inside, overlap
    for guess in (*_mistakes(people, plain, *fit), *_free(people, plain, *fit)):
        fits, over = _fit(guess.xy, guess.box)
        better = (fits >= _FIT) & (over >= _OVERLAP) & (over >= overlap + _GAIN)
        hits = guess.who & ~done & better
        done = done | hits

        def say(row: int, _: tuple[str, ...], guess: _Guess = guess) -> str:
            return guess.say(row)

        made += of_people(people, guess.kind, guess.level, hits, say, 0.9)
    return done, made


def _mistakes(
    people: Annotations, plain: Bools, inside: Doubles, overlap: Doubles
) -> Iterator[_Guess]:
    """Mistakes of a well-known kind; thought of where box and joints agree less than usual."""
    xy, box, count = people.places, people.box, people.usable.sum(axis=1)
    full = plain & (count >= np.maximum(_WHOLE * len(people.skeleton), _FEW))
    low = _odd_sides(people, full, _SIDE)
    loose = plain & (count >= _FEW) & ((inside < _FIT) | (overlap < _OVERLAP) | low)
    words = "x and y seem exchanged: so they fit the box"
    yield _Guess("swapped-xy", "certain", loose, xy[..., ::-1], box, lambda _: words)
    corners = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    past = full & (_leaving(people) | low)
    text = "the box fits as x0, y0, x1, y1"
    sure = "certain"
    yield _Guess("box-corners", sure, past & _leaving(people), xy, corners, lambda _: text)
    yield _Guess("box-corners", "likely", past & ~_leaving(people), xy, corners, lambda _: text)
    size = "places fit the stated size of the picture, not its own"
    factor = (people.size[people.image] / people.stated[people.image])[:, None, ::-1]
    yield _Guess("other-scale", sure, loose, xy * factor, box, lambda _: size)


def _free(people: Annotations, plain: Bools, inside: Doubles, overlap: Doubles) -> Iterator[_Guess]:
    """Everybody shifted, or scaled from the picture's corner, onto the box."""
    bounds, box = people.bounds, people.box
    step = (box[:, :2] + box[:, 2:] - bounds[:, :2] - bounds[:, 2:]) / 2
    times = (bounds * box).sum(axis=1) / (bounds**2).sum(axis=1)  # least squares
    moved, scaled = people.places + step[:, None], people.places * times[:, None, None]
    count = people.usable.sum(axis=1)
    full = plain & (count >= np.maximum(_WHOLE * len(people.skeleton), _FEW))
    low = _odd_sides(people, full, _SIDE) & (overlap < _APART)
    apart = plain & (count >= _FEW) & ((inside < _BAD) | low)

    def shift(row: int) -> str:
        return f"all joints lie {-step[row, 0]:.0f}, {-step[row, 1]:.0f} px beside their box"

    def scale(row: int) -> str:
        return f"all places are {1 / times[row]:.2f} times what fits the box"

    larger = np.abs(np.log(np.clip(np.nan_to_num(times, nan=1.0), 1e-3, 1e3))) > np.log(_TIMES)
    yield _Guess("other-scale", "likely", apart & larger, scaled, box, scale)
    yield _Guess("shifted", "likely", apart, moved, box, shift)


def _odd_sides(people: Annotations, full: Bools, least: float) -> Bools:
    """Whose box has a side much further from the joints' bounds than the set's habit, (N,).

    Args:
        people: the set.
        full: (N,) whose joints are labelled well enough to say.
        least: part of the longer side that a side must be off.
    """
    gap = (people.box - people.bounds) * (-1, -1, 1, 1)  # outwards
    gap = gap / np.maximum((people.bounds[:, 2:] - people.bounds[:, :2]).max(axis=1), 1)[:, None]
    odd = np.zeros(len(people), dtype=np.bool_)
    for side in gap.T:
        middle, spread = _habit(side[full])
        odd |= np.abs(side - middle) > max(_ODD * spread, least)
    return full & odd


def _habit(values: Doubles) -> tuple[float, float]:
    """Median and robust standard deviation; 0 and 0 of nothing."""
    if not len(values):
        return 0.0, 0.0
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def _leaving(people: Annotations) -> Bools:
    """Whose box leaves the picture by more than a twentieth of its own side, or may, (N,)."""
    side = (people.box[:, 2:] - people.box[:, :2]).max(axis=1, initial=0.0)
    over = (people.box[:, 2:] - people.canvas[:, ::-1]).max(axis=1, initial=-np.inf)
    return np.asarray(over > 0.05 * side)


def _fit(xy: Doubles, box: Doubles, *, growth: float = _GROWTH) -> tuple[Doubles, Doubles]:
    """Share of the joints in the grown box (N,), and overlap of widened bounds and box (N,)."""
    known: Bools = np.asarray(np.isfinite(xy).all(axis=2))
    grow = growth * (box[:, 2:] - box[:, :2]).max(axis=1, initial=0.0)[:, None, None]
    held = ((xy >= box[:, None, :2] - grow) & (xy <= box[:, None, 2:] + grow)).all(axis=2)
    low = np.where(known[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    reach = _REACH * (high - low).max(axis=1, keepdims=True)
    low, high = low - reach, high + reach
    cut = np.minimum(high, box[:, 2:]) - np.maximum(low, box[:, :2])
    inner = np.maximum(cut, 0).prod(axis=1)
    whole = (high - low).prod(axis=1) + (box[:, 2:] - box[:, :2]).prod(axis=1) - inner
    overlap = inner / whole
    share = (held & known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return share, np.nan_to_num(overlap, nan=0.0, posinf=0.0)


def _misfit(people: Annotations, plain: Bools) -> list[Finding]:
    count = people.usable.sum(axis=1)
    inside, _ = _fit(people.places, people.box)
    strictly, _ = _fit(people.places, people.box, growth=0.0)
    full = plain & (count >= np.maximum(_WHOLE * len(people.skeleton), _FEW))
    ratio = _ratio(people)
    middle, spread = _habit(ratio[full])
    off = ratio - middle
    odd = full & (np.abs(off) > max(_ODD * spread, np.log(_TIMES)))
    held = (people.box[:, :2] >= people.bounds[:, :2]) & (people.box[:, 2:] <= people.bounds[:, 2:])
    small = odd & (off < 0) & held.all(axis=1)
    apart = plain & (count >= _FEW) & ((inside < _BAD) | (strictly < _MISS)) & ~small
    odd &= ~small & ~apart
    rest = plain & ~apart & ~odd & ~small
    past = np.where(rest[:, None] & people.usable, _past(people), 0.0)
    far = past > _FAR
    beside = full & rest & ~far.any(axis=1) & _odd_sides(people, full, _BESIDE)
    near = (past > _GROWTH) & ~far & ~beside[:, None]

    def within(row: int, _: tuple[str, ...]) -> str:
        return f"only {round(strictly[row] * count[row])} of {count[row]} joints lie in the box"

    def size(row: int, _: tuple[str, ...]) -> str:
        what = "small" if off[row] < 0 else "large"
        times = np.exp(abs(off[row]))
        return f"the box is {times:.1f} times too {what} for the joints, by the habit of the set"

    text = "a side of the box lies far from the joints, by the habit of the set"

    def away(row: int, joints: tuple[str, ...]) -> str:
        return f"outside the box: {named(joints)}"

    return [
        *of_people(people, "box-misfit", "likely", apart, within, 0.9),
        *of_people(people, "box-misfit", "certain", small, size, 0.5),
        *of_people(people, "box-misfit", "likely", odd, size, 0.4),
        *of_people(people, "box-misfit", "look", beside, lambda *_: text, 0.4),
        *of_people(people, "outside-box", "likely", far, away, 0.6),
        *of_people(people, "outside-box", "look", near, away, 0.3),
    ]


def _ratio(people: Annotations) -> Doubles:
    """Logarithm of the box's longer side / that of the joints' bounds, (N,)."""
    box = (people.box[:, 2:] - people.box[:, :2]).max(axis=1, initial=0)
    own = (people.bounds[:, 2:] - people.bounds[:, :2]).max(axis=1, initial=0)
    return np.asarray(np.log(np.maximum(box, 1e-9) / np.maximum(own, 1.0)))


def _past(people: Annotations) -> Doubles:
    """How far joints lie outside their box, as a share of its longer side, (N, K)."""
    box = people.box[:, None]
    side = np.maximum((people.box[:, 2:] - people.box[:, :2]).max(axis=1, initial=0), 1)[:, None]
    away = np.maximum(box[..., :2] - people.xy, people.xy - box[..., 2:]).max(axis=2)
    return np.asarray(np.nan_to_num(away / side, nan=0.0))
