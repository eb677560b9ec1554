"""The joints a run learns: a built-in skeleton, one in a TOML file, or those of the data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posegram import data
from posegram.data.joints import pairs_by_name, plain
from posegram.pose import SKELETONS, Sample, Skeleton, skeleton_named
from posegram.train.batches import relabel
from posegram.train.config import Config

__all__ = ["agreement", "check", "named", "read"]

_ENOUGH = 10  # people from whom a pair can be judged
_LIKELY = 0.6  # share of people in whom a true pair lies as the others do; by chance it is 0.5
_CLEAR = 0.02  # of the box's longer side, by which two joints lie apart for certain
_KEYS = ("name", "joints", "bones", "mirror", "sigmas")


def named(config: Config) -> Skeleton:
    """The skeleton that the settings name.

    Raises:
        ValueError: there is none of that name, or its file is wrong.
        FileNotFoundError: there is no such file.
    """
    if config.skeleton.endswith(".toml"):
        return read(Path(config.skeleton))
    if config.skeleton != "data":
        return skeleton_named(config.skeleton)
    people = data.read(config.train[0]) if config.train else []
    if not people:
        raise ValueError("skeleton = 'data' takes the joints of the first data set; name one")
    found = people[0].skeleton
    if found.name in SKELETONS:
        return found
    return Skeleton(found.name, found.joints, found.bones, pairs_by_name(found.joints))


def read(path: Path) -> Skeleton:
    """The skeleton in a TOML file: `joints`, and if wanted `name`, `bones`, `mirror`, `sigmas`.

    Without `mirror` the left/right pairs are found by name. Names are compared as the readers give
    them: lower case, with _ for blanks.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TOML, lacks `joints`, or says something else than the keys above.
    """
    raw = _raw(path)
    try:
        joints = tuple(plain(joint) for joint in raw["joints"])
        bones, mirror = (
            tuple((plain(a), plain(b)) for a, b in raw.get(key, ())) for key in ("bones", "mirror")
        )
        if "mirror" not in raw:
            mirror = pairs_by_name(joints)
        sigmas = tuple(float(value) for value in raw.get("sigmas", ()))
        return Skeleton(str(raw.get("name", path.stem)), joints, bones, mirror, sigmas)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{path}: is no skeleton: {fault}") from fault


def _raw(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no skeleton file {path}")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ValueError(f"{path} is not TOML: {fault}") from fault
    if not raw.get("joints") or set(raw) - set(_KEYS):
        raise ValueError(f"{path}: a skeleton file has `joints` and may have {', '.join(_KEYS)}")
    return raw


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

    Pairs that a skeleton file states, built-in skeletons and runs without flips are not asked
    about.

    Raises:
        ValueError: names and data leave a doubt; the sentence names the pairs and what to write.
    """
    path = Path(config.skeleton)
    stated = path.suffix == ".toml" and "mirror" in _raw(path)
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
