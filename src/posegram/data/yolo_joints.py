"""Which joints the lines of a YOLO set have: those that its data.yaml names, or only counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from posegram.data import joints, nameless
from posegram.data.yolo_folders import descriptions, listed, said, uncommented
from posegram.pose import COCO17, Skeleton

__all__ = ["skeleton"]

_MOST = 1000  # joints of a person
_NULL = {"null", "Null", "NULL", "~"}  # how YAML spells that a key has no value


def skeleton(path: Path) -> Skeleton:
    """The skeleton whose joints a data.yaml names, as Ultralytics' `kpt_names` does.

    It is the path itself, or lies in the folder of the labels or up to two above. Left/right pairs
    are those of its `flip_idx`, and bones those that our own key `skeleton` names, else those that
    the names tell. Without names the joints are COCO's, but where `kpt_shape` counts others than
    17 or `flip_idx` exchanges others than COCO's: those are called as `posegram.data.nameless`
    does, for the same number may mean the joints of an animal.

    Raises:
        ValueError: it is no text, `skeleton` names a joint that `kpt_names` does not, or
            `kpt_shape` counts no joints.
    """
    files = list(descriptions(path))
    for file, text in files:
        if names := listed(text, "kpt_names"):
            return _named(file, text, names)
    return next((found for file, text in files if (found := _counted(file, text))), COCO17)


def _named(file: Path, text: str, names: Sequence[str]) -> Skeleton:
    found = joints.skeleton_of(f"yolo{len(names)}", names)
    twins, bones = _twins(_numbers(text, "flip_idx"), found.joints), _bones(text)
    if twins and _loose(twins) != _loose(found.mirror):
        found = replace(found, mirror=twins)
    if bones is None or _loose(bones) == _loose(found.bones):
        return found
    try:
        return replace(found, bones=bones)
    except ValueError as fault:
        raise ValueError(f"{file}: `skeleton` is wrong: {fault}") from fault


def _counted(file: Path, text: str) -> Skeleton | None:
    """The skeleton of a data.yaml without names; None where it says nothing of joints."""
    shape, flip = _numbers(text, "kpt_shape"), _numbers(text, "flip_idx")
    if shape == [] or (shape and not 1 <= shape[0] <= _MOST):
        advice = "wanted [K, 2] or [K, 3] for K joints"
        raise ValueError(f"{file}: `kpt_shape` is wrong: {advice}")
    count = shape[0] if shape else len(flip or ())
    if not count or (count == len(COCO17) and flip in (None, COCO17.flipped.tolist())):
        return COCO17 if count else None
    names = nameless.names(count)
    return Skeleton(f"yolo{count}", names, (), _twins(flip, names))


def _numbers(text: str, key: str) -> list[int] | None:
    """The whole numbers of a key; none where it holds something else, None where nothing."""
    pieces = re.split(r"[\s,\[\]]+", uncommented(said(text, key)))
    words = [word for word in pieces if word not in ("", "-")]
    if set(words) <= _NULL:
        return None
    fine = all(word.isdecimal() and len(word) < 10 for word in words)
    return [int(word) for word in words] if fine else []


def _twins(flip: Sequence[int] | None, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The left/right pairs that `flip_idx` says; none where it says none, or is none."""
    if not flip or len(flip) != len(names):
        return ()
    if any(other >= len(flip) or flip[other] != row for row, other in enumerate(flip)):
        return ()
    known = joints.pairs_by_name(names)
    pairs = [(names[a], names[b]) for a, b in enumerate(flip) if a < b]
    return tuple((b, a) if (b, a) in known else (a, b) for a, b in pairs)


def _bones(text: str) -> tuple[tuple[str, str], ...] | None:
    """The pairs of names that `skeleton` holds; None where it says nothing, or counts joints."""
    pairs = said(text, "skeleton")
    try:
        ends = [end for bone in json.loads(pairs) for end in bone]
    except (json.JSONDecodeError, TypeError):  # another style of YAML's, or no pairs
        pieces = re.split(r"[\n\[\],]", uncommented(pairs))
        words = [piece.strip("- \t'\"") for piece in pieces]
        ends = [int(word) if word.isdecimal() else word for word in words if word] or [0]
    if len(ends) % 2 or not all(isinstance(end, str) for end in ends):
        return None
    names = [joints.plain(end) for end in ends]
    return tuple(zip(names[::2], names[1::2], strict=True))


def _loose(pairs: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """Pairs in no order."""
    return {frozenset(pair) for pair in pairs}
