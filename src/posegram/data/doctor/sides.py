"""The skeleton judged by its people: left/right pairs, sides and names that are wrong all over."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from posegram.data.doctor.annotations import Annotations, Bools, Doubles
from posegram.data.doctor.findings import Finding, of_people
from posegram.data.doctor.limbs import lengths
from posegram.data.joints import pairs_by_name, sided
from posegram.pose import Skeleton

__all__ = ["sides"]

_ENOUGH = 30  # people from which a set's habits are judged
_TWINS = 1.5  # times by which the medians of a bone left and right may differ
_AGREE = -0.2  # correlation of two pairs' sides below which one of them is exchanged
_FACING = 0.35  # share of people facing the camera below which left and right are doubted
_CLEAR = 0.05  # of the body's extent: sides nearer than that say nothing
_NECK = 0.15  # of the trunk: how far above the shoulders the eyes must be
_EYES, _BROAD = 0.04, 0.15  # of the trunk: eyes and shoulders nearer together say nothing
_CHAINS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def sides(people: Annotations) -> list[Finding]:
    """Wrong mirror pairs, sides or names exchanged all over, faces that disagree."""
    found = [*_names(people.skeleton), *_mirrored_faces(people)]
    if len(people) < _ENOUGH:
        return found
    return [*found, *_twins(people), *_order(people), *_disagreeing(people)]


def _names(skeleton: Skeleton) -> list[Finding]:
    """Pairs that are not left and right of one name, and left/right joints without a pair."""
    twins = {a: b for pair in pairs_by_name(skeleton.joints) for a, b in (pair, pair[::-1])}
    wrong = [
        f"{a}/{b}" for a, b in skeleton.mirror if (sided(a) or a in twins) and twins.get(a) != b
    ]
    paired = {joint for pair in skeleton.mirror for joint in pair}
    alone = [j for j in skeleton.joints if j in twins and j not in paired]
    lost = [j for j in skeleton.joints if sided(j) and j not in twins]
    said = []
    if wrong:
        said.append(("likely", wrong, f"pairs that are not left and right: {', '.join(wrong)}"))
    if alone:
        said.append(("likely", alone, f"left/right joints without a pair: {', '.join(alone)}"))
    if lost:
        said.append(("look", lost, f"no other side is named for {', '.join(lost)}"))
    return [
        Finding("mirror-map", level, 0.9, text, joints=tuple(joints))
        for level, joints, text in said
    ]


def _twins(people: Annotations) -> list[Finding]:
    """Bones that the mirror map turns into distances of quite another length."""
    skeleton, edges = people.skeleton, people.skeleton.edges
    own, other = (lengths(people.places, rows) for rows in (edges, skeleton.flipped[edges]))
    wrong = []
    for bone, (a, b) in enumerate(skeleton.bones):
        both = np.isfinite(own[:, bone]) & np.isfinite(other[:, bone])
        if both.sum() < _ENOUGH:
            continue
        times = float(np.median(own[both, bone]) / max(np.median(other[both, bone]), 1e-6))
        if not 1 / _TWINS < times < _TWINS:
            c, d = (skeleton.joints[skeleton.flipped[skeleton.index(joint)]] for joint in (a, b))
            wrong.append(f"{a}-{b} is {times:.2g} times as long as {c}-{d}")
    if not wrong:
        return []
    text = f"the mirror pairs do not match: {'; '.join(wrong[:3])}"
    return [Finding("mirror-map", "likely", 0.9, text)]


def _order(people: Annotations) -> list[Finding]:
    """Chains whose end is nearer to their start than their middle is, in most people."""
    found = []
    for side in ("left", "right"):
        for chain in _CHAINS:
            names = [f"{side}_{part}" for part in chain]
            if not set(names) <= set(people.skeleton.joints):
                continue
            a, b, c = (people.places[:, people.skeleton.index(name)] for name in names)
            near, far = (np.linalg.norm(end - a, axis=1) for end in (b, c))
            known = np.isfinite(near) & np.isfinite(far)
            if known.sum() >= _ENOUGH and (near > 1.1 * far)[known].mean() > 0.5:
                text = f"{names[2]} lies nearer to {names[0]} than {names[1]} does, in most people"
                found.append(Finding("joint-order", "likely", 0.9, text, joints=tuple(names)))
    return found


def _disagreeing(people: Annotations) -> list[Finding]:
    """Pairs that lie the other way round than the other pairs do; all of them, if few face us."""
    pairs = [pair for pair in people.skeleton.mirror if sided(pair[0])]
    if not pairs:
        return []
    way = np.stack([_way(people, pair) for pair in pairs], axis=1)  # (N, P) -1, 0, 1
    against = np.zeros((len(pairs), len(pairs)), dtype=np.bool_)
    for p, q in combinations(range(len(pairs)), 2):
        both = (way[:, p] != 0) & (way[:, q] != 0)
        if both.sum() >= _ENOUGH:
            against[p, q] = against[q, p] = float((way[both, p] * way[both, q]).mean()) < _AGREE
    odd = [n for n in range(len(pairs)) if against[n].sum() > max(1, 0.5 * (len(pairs) - 1))]
    found = [_exchanged(pairs[n]) for n in odd]
    rest = way[:, [n for n in range(len(pairs)) if n not in odd]]
    clear = rest.sum(axis=1)
    facing = float((clear > 0).sum()) / max(int((clear != 0).sum()), 1)
    if (clear != 0).sum() >= _ENOUGH and facing < _FACING:
        text = f"only {facing:.0%} of the people face the camera, going by their left and right"
        found.append(Finding("sides-swapped", "likely", 0.9, f"{text}: are the sides exchanged?"))
    return found


def _exchanged(pair: tuple[str, str]) -> Finding:
    text = f"{pair[0]} and {pair[1]} lie the other way round than the other pairs, all over the set"
    return Finding("sides-swapped", "likely", 0.95, text, joints=pair)


def _way(people: Annotations, pair: tuple[str, str]) -> Doubles:
    """1 where the left joint is on the picture's right (facing us), -1 reversed, 0 unclear, (N,).

    Upside-down people count the other way round, where shoulders and hips tell which way is up.
    """
    xy, skeleton = people.places, people.skeleton
    left, right = (xy[:, skeleton.index(joint)] for joint in pair)
    bounds = people.bounds
    least = _CLEAR * (bounds[:, 2:] - bounds[:, :2]).max(axis=1)
    trunk = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    up = np.ones(len(people))
    if set(trunk) <= set(skeleton.joints):
        ls, rs, lh, rh = (xy[:, skeleton.index(joint), 1] for joint in trunk)
        up = np.where(lh + rh < ls + rs, -1.0, 1.0)
    step = left[:, 0] - right[:, 0]
    return np.asarray(np.where(np.abs(step) > least, np.sign(step), 0.0) * up)


def _mirrored_faces(people: Annotations) -> list[Finding]:
    """People whose eyes are both seen, and say that the camera looks at the back of the head.

    Seen eyes prove a view from the front: with the head up, the left eye is on the right. Up is
    where the trunk points; somebody who bows or looks down between the shoulders is left out.
    """
    names = ("left_eye", "right_eye", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if not set(names) <= set(people.skeleton.joints):
        return []
    rows = [people.skeleton.index(name) for name in names]
    seen: Bools = people.usable[:, rows].all(axis=1) & (people.flag[:, rows[:2]] == 2).all(axis=1)
    le, re, ls, rs, lh, rh = (people.places[:, row] for row in rows)
    trunk, neck = (ls + rs - lh - rh) / 2, (le + re - ls - rs) / 2
    long = np.maximum((trunk**2).sum(axis=1), 1e-9)
    up = (trunk * neck).sum(axis=1) / long > _NECK
    face, body = (_cross(trunk, step) / long for step in (le - re, ls - rs))
    hits = seen & up & (face < -_EYES)
    whole = hits & (body < -_BROAD)
    text = "both eyes are seen, yet left and right lie as from behind"
    part = hits & ~whole
    return [
        *of_people(people, "mirrored", "likely", whole, lambda *_: text, 0.8),
        *of_people(people, "mirrored", "look", part, lambda *_: f"{text}, in the face", 0.5),
    ]


def _cross(a: Doubles, b: Doubles) -> Doubles:
    """Positive where `b` points right of `a` in the picture, (N,)."""
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
