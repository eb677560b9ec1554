"""The joints a run learns: a built-in skeleton, one in a TOML file, or those of the data."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posegram import data
from posegram.data import nameless, skeleton_file
from posegram.data.joints import pairs_by_name
from posegram.pose import SKELETONS, Sample, Skeleton, skeleton_named
from posegram.train import places, ranks
from posegram.train.batches import relabel
from posegram.train.config import Config

__all__ = ["agreement", "check", "named", "people", "require"]

_ENOUGH = 10  # people from whom a pair can be judged
_LIKELY = 0.6  # share of people in whom a true pair lies as the others do; by chance it is 0.5
_CLEAR = 0.02  # of the box's longer side, by which two joints lie apart for certain


def named(config: Config) -> Skeleton:
    """The skeleton that the settings name.

    Raises:
        ValueError: there is none of that name, or its file is wrong.
        FileNotFoundError: there is no such file.
    """
    if config.skeleton.endswith(".toml"):
        return skeleton_file.read(Path(config.skeleton))
    if config.skeleton != "data":
        return skeleton_named(config.skeleton)
    found = data.read(config.train[0]) if config.train else []
    if not found:
        raise ValueError("skeleton = 'data' takes the joints of the first data set; name one")
    return found[0].skeleton


def people(config: Config, specs: Sequence[str]) -> list[Sample]:
    """Everybody in data sets, joints called as in the skeleton that the settings name.

    Joints without names are called as its file says; others in another spelling, as `places.called`
    has it, meet the skeleton's.
    """
    found = [sample for spec in specs for sample in data.read(spec, config.pictures)]
    skeleton = named(config)
    given = config.skeleton.endswith(".toml")
    found = nameless.called(found, skeleton if given else None)
    spelt = {own: _spelt(own, skeleton) for own in {sample.skeleton for sample in found}}
    return [replace(sample, skeleton=spelt[sample.skeleton]) for sample in found]


def _spelt(theirs: Skeleton, ours: Skeleton) -> Skeleton:
    """The same skeleton, its joints spelt as ours where both mean the same one."""
    spelling = {their: our for our, their in places.called(ours.joints, theirs.joints).items()}
    if all(our == their for their, our in spelling.items()):
        return theirs
    new = {joint: spelling.get(joint, joint) for joint in theirs.joints}
    bones, mirror = (
        tuple((new[a], new[b]) for a, b in pairs) for pairs in (theirs.bones, theirs.mirror)
    )
    return replace(theirs, joints=tuple(new.values()), bones=bones, mirror=mirror)


def require(skeleton: Skeleton, people: Sequence[Sample], what: str) -> None:
    """See that people have something to learn or to measure; say which joints nobody can learn.

    Args:
        skeleton: whose joints are learnt.
        people: who is looked at.
        what: what they are for, such as "train on".

    Raises:
        ValueError: nobody has a labelled joint of the skeleton.
    """
    known = np.zeros(len(skeleton), dtype=np.bool_)
    for sample in people:
        known |= relabel(sample, skeleton)[1]
        if known.all():
            return
    if known.any():
        if what == "train on" and ranks.rank() == 0:
            _tell(
                skeleton, [j for j, k in zip(skeleton.joints, known, strict=True) if not k], people
            )
        return
    advice = "skeleton=data learns the joints of the first data set"
    if any(nameless.bare(sample.skeleton) for sample in people):
        advice = f"{nameless.ADVICE}, or {advice}"
    raise ValueError(
        f"none of the {len(people)} people to {what} has a labelled joint of skeleton "
        f"{skeleton.name!r}; {advice}"
    )


def _tell(skeleton: Skeleton, lacking: Sequence[str], people: Sequence[Sample]) -> None:
    """Say which joints of a skeleton are never trained: a misspelt one would go unnoticed."""
    kinds = dict.fromkeys(sample.skeleton for sample in people)
    theirs = dict.fromkeys(joint for own in kinds for joint in own.joints)
    sys.stderr.write(
        f"posegram: nobody to train on has a label for {', '.join(lacking)} of skeleton "
        f"{skeleton.name!r}, so they are not learnt; the data's joints are {', '.join(theirs)}\n"
    )


def agreement(people: Sequence[Sample], skeleton: Skeleton) -> dict[tuple[str, str], float]:
    """How often the joints of a pair lie on the sides where the other pairs have theirs, 0 to 1.

    Only pairs that at least ten people show clearly, beside others, are judged.
    """
    rows = [(skeleton.index(a), skeleton.index(b)) for a, b in skeleton.mirror]
    votes: list[list[bool]] = [[] for _ in rows]
    for sample in people:
        xy, labelled, _ = relabel(sample, skeleton)
        least = _CLEAR * float((sample.box[2:] - sample.box[:2]).max())
        steps = np.array([xy[a, 0] - xy[b, 0] if labelled[[a, b]].all() else 0 for a, b in rows])
        signs = np.sign(np.where(np.abs(steps) > least, steps, 0))
        for n, sign in enumerate(signs):
            others = signs.sum() - sign
            if sign and others:
                votes[n].append(bool(sign * others > 0))
    judged = zip(skeleton.mirror, votes, strict=True)
    return {pair: float(np.mean(v)) for pair, v in judged if len(v) >= _ENOUGH}


def check(config: Config, skeleton: Skeleton, people: Sequence[Sample]) -> None:
    """See that flips may trust the left/right pairs that were found by name.

    Pairs that a skeleton file states, those that a YOLO set's `flip_idx` states where names tell
    none, built-in skeletons and runs without flips are not asked about.

    Raises:
        ValueError: names and data leave a doubt; the sentence names the pairs and what to write.
    """
    path = Path(config.skeleton)
    stated = path.suffix == ".toml" and "mirror" in skeleton_file.content(path)
    stated = stated or bool(skeleton.mirror and not pairs_by_name(skeleton.joints))
    if stated or config.skeleton in SKELETONS or skeleton.name in SKELETONS or not config.flip:
        return
    doubts = [
        f"{a}/{b} (on the sides of the others in {share:.0%} of the people)"
        for (a, b), share in agreement(people, skeleton).items()
        if share < _LIKELY
    ]
    paired = {joint for pair in skeleton.mirror for joint in pair}
    sided = [j for j in skeleton.joints if j not in paired and re.search(r"left|right", j)]
    doubts += [f"{joint} (without a twin)" for joint in sided]
    if not skeleton.mirror and len(skeleton) > 1:
        doubts = ["none is told by the names"]
    if doubts:
        raise ValueError(
            f"skeleton {skeleton.name!r}: which joints are left/right twins is in doubt: "
            f"{', '.join(doubts)}; write mirror = [[left, right], ...] into a skeleton file "
            "([] for none), or set flip=0"
        )
