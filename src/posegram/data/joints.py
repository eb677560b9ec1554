"""Skeletons from the joint names that a data set gives, and people from one into another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from posegram.pose import (
    BODY19,
    COCO17,
    SKELETONS,
    Floats,
    People,
    Sample,
    Skeleton,
    convert,
    skeleton_named,
    sources,
)

__all__ = [
    "chosen",
    "familiar",
    "in_skeleton",
    "pairs_by_name",
    "plain",
    "sided",
    "skeleton_of",
    "usual",
]

_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
_LONG = {"left": "left", "right": "right", "l": "left", "r": "right"}
_OURS = {joint for skeleton in SKELETONS.values() for joint in skeleton.joints}
_WORDS = re.compile(r"([_.\s-])")  # what stands between the words of a name


def skeleton_of(title: str, joints: Sequence[str], bones: Sequence[Sequence[int]] = ()) -> Skeleton:
    """The built-in skeleton of these joints, else a new one with left/right pairs found by name.

    Args:
        title: name of a new skeleton.
        joints: K names, `Right-ankle` and `Head top` included.
        bones: pairs of joint numbers counted from 1; where they fit no joint or are none, the
            bones known between joints of these names, in any spelling, are taken.

    Raises:
        ValueError: a name stands twice.
    """
    names = tuple(plain(name) for name in joints)
    for known in SKELETONS.values():
        if known.joints == names:
            return known
    # data sets with joints of their own often keep COCO's bones by mistake; then indices overflow
    if bones and all(1 <= end <= len(names) for bone in bones for end in bone):
        ends = [(names[a - 1], names[b - 1]) for a, b in bones]
    else:
        own = {familiar(name): name for name in names} | {name: name for name in names}
        usable = (
            bone for ours in SKELETONS.values() for bone in ours.bones if set(bone) <= set(own)
        )
        ends = [(own[a], own[b]) for a, b in usable]
    return Skeleton(title, names, tuple(dict.fromkeys(ends)), pairs_by_name(names))


def plain(name: str) -> str:
    """A joint name as ours are: lower case, with _ for blanks.

    >>> plain("Right-ankle")
    'right_ankle'
    """
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def pairs_by_name(joints: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Left/right pairs of joints whose names differ in the side alone.

    The side is a word (`left_knee`, `knee.l`, `r knee`) or stands at an end (`lknee`, `kneeright`).

    >>> pairs_by_name(["lhand", "rhand", "lip"])
    (('lhand', 'rhand'),)
    """
    pairs = []
    for name in joints:
        twin = next((t for t in _twins(name) if t in joints and t != name), None)
        if twin is not None and _is_left(name, twin):
            pairs.append((name, twin))
    return tuple(pairs)


def familiar(joint: str) -> str:
    """What our skeletons call a joint that another name stands for; its own name if none does.

    >>> familiar("shoulder_l"), familiar("RKnee"), familiar("tail")
    ('left_shoulder', 'right_knee', 'tail')
    """
    name = plain(joint)
    words = [word for word in _WORDS.split(name) if word and not _WORDS.fullmatch(word)]
    sides = [_LONG[word] for word in words if word in _LONG]
    if sides:
        return "_".join([sides[0], *(word for word in words if word not in _LONG)])
    for short, side in _LONG.items():
        for rest in (name.removeprefix(short), name.removesuffix(short)):
            if rest != name and f"{side}_{rest}" in _OURS:
                return f"{side}_{rest}"
    return name


def sided(joint: str) -> bool:
    """Whether a word of a joint's name says that it is a left or a right one.

    >>> sided("r_knee"), sided("lip")
    (True, False)
    """
    return any(word in _OTHER for word in _WORDS.split(joint))


def _twins(name: str) -> list[str]:
    """What the joint on the other side may be called, the likeliest first."""
    found = ["".join(_OTHER.get(word, word) for word in _WORDS.split(name))]
    for side in ("left", "right", "l", "r"):
        if name.startswith(side):
            found.append(_OTHER[side] + name.removeprefix(side))
        if name.endswith(side):
            found.append(name.removesuffix(side) + _OTHER[side])
    return found


def _is_left(name: str, twin: str) -> bool:
    """Whether of two names that differ in the side alone this one is the left."""
    start = next(n for n, (a, b) in enumerate(zip(name, twin, strict=False)) if a != b)
    return name[start] == "l"


def usual(own: Skeleton) -> Skeleton:
    """The joints to give when nobody says which: the model's own, but COCO's for our 19."""
    return COCO17 if own == BODY19 else own


def chosen(named: str, own: Skeleton) -> Skeleton:
    """The joints to give: a built-in skeleton by its name, else the usual ones.

    Raises:
        ValueError: none has that name, or the model has none of its joints.
    """
    if not named:
        return usual(own)
    wanted = skeleton_named(named)
    if not any(sources(joint, own) for joint in wanted.joints):
        raise ValueError(f"the model has no joint of {named}; its own are {', '.join(own.joints)}")
    return wanted


def in_skeleton(sample: Sample, skeleton: Skeleton) -> Sample:
    """The same person in another skeleton, joint by joint name, see `posegram.pose.convert`.

    A joint that the labels lack is not labelled; one that lies between two others has the lesser
    flag and weight of the two.
    """
    if sample.skeleton == skeleton:
        return sample

    def moved(rides: Floats) -> People:  # numbers of each joint ride as scores, 0 where absent
        return convert(People(sample.xy[None], rides[None], sample.box[None], sample.skeleton),
                       skeleton)  # fmt: skip

    people = moved(sample.visible.astype(np.float32))
    visible = people.score[0].astype(np.uint8)
    xy = np.where(visible[:, None] > 0, people.xy[0], 0).astype(np.float32)
    weight = None if sample.weight is None else moved(sample.weight).score[0]
    return replace(sample, xy=xy, visible=visible, skeleton=skeleton, weight=weight)
