"""Bodies that cannot be: limbs too long for the rest of the body, joints exchanged with others.

A photo makes limbs shorter than they are, hardly ever longer. So the full length of each bone, as a
share of the body's size, is learned from the set itself (upper quartiles, which bad labels hardly
move), and a bone is judged against the second-largest of the others' lengths over their own full
lengths. Nothing here needs to know what the joints are: any skeleton with bones will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posegram.data.doctor.annotations import Annotations, Bools, Doubles
from posegram.data.doctor.findings import Finding, named, of_people
from posegram.pose import Ints, Skeleton

__all__ = ["Build", "build", "exchanges", "lengths", "limbs", "unjudged"]

_ENOUGH = 20  # people from which a set's proportions are learned
_BONES = 4  # from which a body has proportions
_ROUNDS = 10  # of learning sizes and proportions from each other
_QUARTILE = 0.75
_LONG = ((1.6, 3.75), (1.8, 3.5))  # times too long, robust standard deviations: either a fault
_LONGISH = (1.5, 2.5)  # the same: worth a look
_BEFORE, _AFTER = 1.35, 1.2  # longest bone before and after an exchange that is believed
_GAIN = 1.3  # and how much shorter it must have become
_PAIRS = 3  # most left/right pairs that one exchange swaps at once


@dataclass(frozen=True, eq=False)
class Build:
    """Proportions of a set's bodies."""

    full: Doubles  # (B,) full length of each bone, in units of the body's size
    length: Doubles  # (N, B) pixels; NaN where an end is not labelled
    excess: Doubles  # (N, B) length / what the rest of the body allows; NaN where unknown
    middle: Doubles  # (B,) median of log excess
    spread: Doubles  # (B,) its robust standard deviation

    @property
    def odd(self) -> Doubles:
        """How many standard deviations each bone is too long, (N, B); NaN where unknown."""
        return np.asarray((np.log(np.maximum(self.excess, 1e-6)) - self.middle) / self.spread)


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def limbs(people: Annotations) -> list[Finding]:
    """Limbs too long and joints exchanged, where the set is large enough to learn from."""
    made = build(people)
    if made is None:
        return []
    found, explained = _exchanged(people, made)
    return [*found, *_long(people, made, explained), *_crossed(people)]


def lengths(xy: Doubles, edges: Ints) -> Doubles:
    """Length of every bone, (N, B), of joints (N, K, 2)."""
    return np.asarray(np.linalg.norm(xy[:, edges[:, 0]] - xy[:, edges[:, 1]], axis=2))


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def build(people: Annotations) -> Build | None:
    """The proportions of the set; None where people or bones are too few to learn them."""
    if unjudged(people):
        return None
    edges = people.skeleton.edges
    length = lengths(people.places, edges)
    full = _proportions(length)
    share = length / full
    excess = np.full_like(length, np.nan)
    for bone, ends in enumerate(edges):
        others = ~np.isin(edges, ends).any(axis=1)
        excess[:, bone] = share[:, bone] / _size(share[:, others])
    log = np.log(np.maximum(excess, 1e-6))
    middle = np.nanmedian(log, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(log - middle), axis=0)
    return Build(full, length, excess, middle, np.maximum(spread, 0.02))


@np.errstate(invalid="ignore")  # infinity is unknown
def unjudged(people: Annotations) -> str:
    """Why the proportions of a set's bodies cannot be learned; empty where they can."""
    bones, count = people.skeleton.bones, len(people)
    if len(bones) < _BONES:
        has = f"{len(bones) or 'no'} bone{'s' * (len(bones) != 1)}"
        return f"{people.skeleton.name} has {has}, wanted {_BONES} (`skeleton` of the category)"
    if count < _ENOUGH:
        return f"{count} people of {people.skeleton.name}, wanted {_ENOUGH}"
    known = np.isfinite(lengths(people.places, people.skeleton.edges)).sum(axis=0)
    rare = int(known.argmin())
    if known[rare] < _ENOUGH:
        return f"{named(bones[rare])} are both labelled in {known[rare]} people, wanted {_ENOUGH}"
    return ""


def _proportions(length: Doubles) -> Doubles:
    """Full length of each bone over the body's size, (B,); sizes and proportions learn in turns."""
    full = np.maximum(np.nanmedian(length, axis=0), 1e-6)
    for _ in range(_ROUNDS):
        size = np.nan_to_num(_quartile(length / full), nan=1.0)
        share = length / np.maximum(size, 1e-6)[:, None]
        full = np.maximum(np.nanquantile(share, _QUARTILE, axis=0), 1e-6)
    return np.asarray(full)


def _quartile(share: Doubles) -> Doubles:
    """Upper quartile of each row, (N,); NaN where a row is all NaN."""
    order = np.sort(share, axis=1)  # NaN last
    count = np.isfinite(share).sum(axis=1)
    place = np.maximum(np.ceil(_QUARTILE * count).astype(int) - 1, 0)
    return np.asarray(order[np.arange(len(share)), place])


def _size(share: Doubles) -> Doubles:
    """Second-largest of each row, (N,): the size that a body shows; NaN with less than three."""
    count = np.isfinite(share).sum(axis=1)
    if share.shape[1] < 3:
        return np.full(len(share), np.nan)
    second = np.sort(np.nan_to_num(share, nan=-1.0), axis=1)[:, -2]
    return np.where((count >= 3) & (second > 0), second, np.nan)


def _long(people: Annotations, made: Build, explained: Bools) -> list[Finding]:
    """The worst of each person's bones, if it is too long."""
    odd = made.odd
    look = (made.excess > _LONGISH[0]) & (odd > _LONGISH[1])
    fault = look & _joined(look, people.skeleton)
    for times, deviations in _LONG:
        fault |= (made.excess > times) & (odd > deviations)
    look &= ~fault.any(axis=1, keepdims=True)
    excess = np.nan_to_num(made.excess, nan=0.0)
    found = []
    for level, hits in (("likely", fault), ("look", look)):
        hits = hits & ~explained[:, None]
        worst = np.where(hits, excess, 0).argmax(axis=1)
        times = excess[np.arange(len(people)), worst]
        ends = np.zeros((len(people), len(people.skeleton)), dtype=np.bool_)
        rows = np.flatnonzero(hits.any(axis=1))
        for end in (0, 1):
            ends[rows, people.skeleton.edges[worst[rows], end]] = True

        def say(row: int, joints: tuple[str, ...], times: Doubles = times) -> str:
            return f"{named(joints)}: {times[row]:.1f} times as far apart as the body allows"

        badness = 1 - 1.3 / np.maximum(times, 1.3)
        found += of_people(people, "long-limb", level, ends, say, badness)
    return found


def _joined(long: Bools, skeleton: Skeleton) -> Bools:
    """Which long bones share an end with another long one, (N, B)."""
    edges = skeleton.edges
    touch = np.zeros((len(edges), len(edges)), dtype=np.int64)
    for end in edges.T:
        touch |= (end[:, None, None] == edges[None]).any(axis=2)
    np.fill_diagonal(touch, 0)
    return np.asarray(long & (long.astype(np.int64) @ touch > 0))


def exchanges(skeleton: Skeleton) -> Iterator[tuple[str, Ints]]:
    """Mix-ups that happen, each as its words and its new order of the joints, (K,).

    Up to three left/right pairs that are joined by bones, such as wrists alone or whole arms; and
    the two ends of one bone.
    """
    for chosen in _chains(skeleton):
        order = np.arange(len(skeleton))
        for pair in chosen:
            a, b = (skeleton.index(joint) for joint in pair)
            order[[a, b]] = b, a
        names = [_both(pair) for pair in skeleton.mirror if pair in chosen]
        yield f"left and right {named(names)}", order
    twins = [set(pair) for pair in skeleton.mirror]
    for bone, (a, b) in zip(skeleton.bones, skeleton.edges, strict=True):
        if set(bone) not in twins:
            order = np.arange(len(skeleton))
            order[[a, b]] = b, a
            yield named(bone), order


def _both(pair: tuple[str, str]) -> str:
    """`wrist` for (`left_wrist`, `right_wrist`)."""
    words = [word for word in pair[0].split("_") if word in pair[1].split("_")]
    return "_".join(words) or "/".join(pair)


def _chains(skeleton: Skeleton) -> list[frozenset[tuple[str, str]]]:
    """Sets of one to three left/right pairs that hang together by bones; never all there are."""
    bones = {frozenset(bone) for bone in skeleton.bones}

    def joined(p: tuple[str, str], q: tuple[str, str]) -> bool:
        return any(frozenset((a, b)) in bones for a in p for b in q)

    found = [frozenset([pair]) for pair in skeleton.mirror]
    grown = found
    for _ in range(_PAIRS - 1):
        bigger = {
            one | {pair}
            for one in grown
            for pair in skeleton.mirror
            if pair not in one and any(joined(pair, other) for other in one)
        }
        grown = sorted(bigger, key=sorted)
        found = [*found, *grown]
    return [one for one in found if len(one) < max(len(skeleton.mirror), 2)]


def _exchanged(people: Annotations, made: Build) -> tuple[list[Finding], Bools]:
    """Exchanges that mend an impossible body, the best for each person; who has one, (N,)."""
    share = made.length / made.full
    best = np.zeros(len(people))
    words = np.full(len(people), "", dtype=object)
    moved_by = np.zeros((len(people), len(people.skeleton)), dtype=np.bool_)
    for text, order in exchanges(people.skeleton):
        before, after = _excess(people, order, share, made.full)
        moved = order != np.arange(len(order))
        whole = people.usable[:, moved].all(axis=1)
        gain = np.nan_to_num(before / np.maximum(after, 0.5))
        hits = whole & (before > _BEFORE) & (after < _AFTER) & (gain > np.maximum(best, _GAIN))
        best[hits], words[hits], moved_by[hits] = gain[hits], text, moved
    hits = best > 0
    found = of_people(
        people,
        "swapped-joints",
        "likely",
        moved_by & hits[:, None],
        lambda row, _: f"{words[row]} seem exchanged: the body would be {best[row]:.1f} x better",
        1 - 1 / np.maximum(best, 1),
    )
    return found, hits


def _excess(
    people: Annotations, order: Ints, share: Doubles, full: Doubles
) -> tuple[Doubles, Doubles]:
    """Longest touched bone over what the others allow, before and after an exchange, (N,) each."""
    edges = people.skeleton.edges
    touched: npt.NDArray[np.bool_] = (order != np.arange(len(order)))[edges].any(axis=1)
    ends = np.sort(edges, axis=1)
    changed = (np.sort(order[edges], axis=1) != ends).any(axis=1)
    nobody = np.full(len(people), np.nan)
    if not changed.any() or (~touched).sum() < 3:
        return nobody, nobody
    size = _size(share[:, ~touched])
    later = lengths(people.places[:, order], edges) / full
    longest = [np.nan_to_num(one[:, changed], nan=-1).max(axis=1) for one in (share, later)]
    return longest[0] / size, longest[1] / size


def _crossed(people: Annotations) -> list[Finding]:
    """Shoulders and hips on opposite sides, both clearly."""
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if not set(names) <= set(people.skeleton.joints):
        return []
    xy = people.places
    ls, rs, lh, rh = (xy[:, people.skeleton.index(name), 0] for name in names)
    bounds = people.bounds
    least = 0.1 * (bounds[:, 2:] - bounds[:, :2]).max(axis=1)
    clear = (np.abs(ls - rs) > least) & (np.abs(lh - rh) > least)
    hits = clear & ((ls - rs) * (lh - rh) < 0)
    trunk = np.isin(people.skeleton.joints, names)
    joints = hits[:, None] & trunk
    text = "the left shoulder lies left and the left hip right, or the reverse: twisted or swapped"
    return of_people(people, "crossed", "look", joints, lambda *_: text, 0.2)
