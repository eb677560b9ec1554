"""A mended copy of an annotation file: what is certain is changed and counted, nothing else."""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posegram.data import door
from posegram.data.doctor.annotations import Annotations, Bools, Doubles, at_origin
from posegram.data.doctor.findings import Finding

__all__ = ["CURES", "Cured", "cure", "require_cures"]

CURES = {
    "missing-image": "the image and its people are left out",
    "unreadable-image": "the image and its people are left out",
    "same-photo": "the later image and its people are left out",
    "broken-record": "the annotation is left out",
    "person-twice": "the later annotation is left out",
    "wrong-size": "the image's entry gets the picture's size",
    "wrong-count": "num_keypoints is counted again",
    "unknown-flag": "the joint becomes unlabelled",
    "not-a-number": "the joint becomes unlabelled",
    "at-origin": "the joint becomes unlabelled",
    "outside-picture": "the joint becomes unlabelled",
    "unlabelled-place": "x and y become 0",
    "normalised": "places are multiplied by the picture's size",
    "swapped-xy": "x and y are exchanged back",
    "other-scale": "places are scaled from the stated to the picture's own size",
    "mirrored": "left and right are exchanged back",
    "box-corners": "the box becomes x, y, width, height",
    "empty-box": "the box becomes that of the joints",
    "box-outside": "the box becomes that of the joints",
    "box-misfit": "the box, too small for its joints, becomes that of the joints",
}
_BY_JOINT = ("keypoint_weights", "keypoint_scores")  # numbers of ours, one a joint
_REFIT = {"empty-box", "box-outside", "box-misfit"}
_LOST = {"missing-image", "unreadable-image", "same-photo"}


@dataclass(frozen=True)
class Cured:
    """A mended file and what was done to it."""

    whole: dict[str, Any]  # in COCO's layout
    done: dict[str, int]  # kind: how many findings of it were mended


def cure(
    sources: Sequence[Annotations], findings: Sequence[Finding], *, also: Collection[str] = ()
) -> Cured:
    """The first source's file, mended in all that is certain; the original stays as it is.

    Args:
        sources: what was examined; only the first file among them is mended.
        findings: what was found in all of them.
        also: kinds of `CURES` that are mended where they are only likely, too.

    Raises:
        ValueError: there is no source, or no cure for a kind.
    """
    if not sources:
        raise ValueError("there is nothing to mend")
    require_cures(also)
    whole = copy.deepcopy(sources[0].whole)
    own = [
        f
        for f in findings
        if (f.level == "certain" or (f.level == "likely" and f.kind in also))
        and f.kind in CURES
        and f.image is not None
        and sources[f.source].whole is sources[0].whole
    ]
    persons: dict[tuple[int, int], set[str]] = defaultdict(set)
    for one in own:
        if one.person is not None:
            persons[one.source, one.person].add(one.kind)
    gone = set(sources[0].broken)
    for (source, row), kinds in persons.items():
        people, place = sources[source], int(sources[source].record[row])
        if "person-twice" in kinds:
            gone.add(place)
        else:
            _mend(whole["annotations"][place], people, row, kinds)
    lost = _images(whole, sources, own)
    _leave_out(whole, gone, lost)
    done = Counter({"broken-record": len(sources[0].broken)})
    done.update(one.kind for one in own)
    done["not-a-number"] += sum(map(_finite, whole["annotations"]))
    return Cured(whole, dict(+done))


def require_cures(kinds: Collection[str]) -> None:
    """See that there is a cure for each of these kinds.

    Raises:
        ValueError: there is none for one of them.
    """
    unknown = set(kinds) - set(CURES)
    if unknown:
        raise ValueError(f"no cure for {min(unknown)!r}; there are {', '.join(sorted(CURES))}")


def _mend(record: dict[str, Any], people: Annotations, row: int, kinds: set[str]) -> None:
    """Change one annotation's joints, count and box."""
    xy, flag = _places(people, row, kinds), people.flag[row].copy()
    if "mirrored" in kinds:
        order = people.skeleton.flipped
        xy, flag = xy[order], flag[order]
        for key in _BY_JOINT:
            if len(record.get(key) or ()) == len(order):
                record[key] = [record[key][n] for n in order.tolist()]
    keep = _good(xy, flag, people.canvas[row])
    record["keypoints"] = [
        value
        for (x, y), v, kept in zip(xy.tolist(), flag.tolist(), keep, strict=True)
        for value in ((x, y, int(v)) if kept else (0, 0, 0))
    ]
    if "num_keypoints" in record:
        record["num_keypoints"] = int(keep.sum())
    if "box-corners" in kinds:
        x, y, x1, y1 = record["bbox"]
        record["bbox"] = [x, y, x1 - x, y1 - y]
    if kinds & _REFIT:
        record["bbox"] = _refitted(xy, keep, people.canvas[row])


def _finite(record: dict[str, Any]) -> bool:
    """Take out of an annotation what JSON cannot hold; whether there was any."""
    bad = [key for key, value in record.items() if not _holds(value)]
    for key in bad:
        del record[key]
    return bool(bad)


def _holds(value: Any) -> bool:
    """Whether JSON can hold a value: all its numbers are finite."""
    if isinstance(value, dict):
        return all(map(_holds, value.values()))
    if isinstance(value, list):
        return all(map(_holds, value))
    return not isinstance(value, float) or math.isfinite(value)


def _places(people: Annotations, row: int, kinds: set[str]) -> Doubles:
    """A person's joints in pixels of the picture, (K, 2)."""
    height, width = people.canvas[row]
    xy = people.xy[row].copy()
    if "normalised" in kinds:
        return np.asarray(xy * (width, height))
    if "swapped-xy" in kinds:
        return np.asarray(xy[:, ::-1])
    if "other-scale" in kinds:
        own, stated = (size[people.image[row]] for size in (people.size, people.stated))
        return np.asarray(xy * (own / stated)[::-1])
    return np.asarray(xy)


def _good(xy: Doubles, flag: Doubles, size: Doubles) -> Bools:
    """Joints that stay labelled, (K,)."""
    keep = np.isin(flag, (1, 2)) & np.isfinite(xy).all(axis=1) & ~at_origin(xy)
    if np.isfinite(size).all():
        places = np.where(keep[:, None], xy, 0).astype(np.float32)
        keep &= door.inside(places, (int(size[0]), int(size[1])))
    return np.asarray(keep)


def _refitted(xy: Doubles, keep: Bools, size: Doubles) -> list[float]:
    """`bbox` around the joints, as `posegram.data.door.person_box` grows it, cut at the picture."""
    places = np.where(keep[:, None], xy, 0).astype(np.float32)
    box = door.person_box(places, keep).astype(np.float64)
    if np.isfinite(size).all():
        box = np.clip(box, 0, np.tile(size[::-1], 2))
    return [_short(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])]


def _short(value: float) -> float:
    return round(float(value), 3)


def _images(
    whole: dict[str, Any], sources: Sequence[Annotations], findings: Sequence[Finding]
) -> set[int]:
    """Mend the images' entries; the rows of those to be left out."""
    lost = set()
    for one in findings:
        if one.image is None or one.person is not None:
            continue
        if one.kind in _LOST:
            lost.add(one.image)
        if one.kind == "wrong-size":
            height, width = sources[one.source].size[one.image]
            whole["images"][one.image] |= {"height": int(height), "width": int(width)}
    return lost


def _leave_out(whole: dict[str, Any], records: set[int], images: set[int]) -> None:
    ids = {whole["images"][row]["id"] for row in images}
    whole["images"] = [entry for row, entry in enumerate(whole["images"]) if row not in images]
    whole["annotations"] = [
        record
        for row, record in enumerate(whole["annotations"])
        if row not in records and record.get("image_id") not in ids
    ]
