"""COCO results of whole photos: of an estimate that finds the people itself, or read from a file.

A file's results may number their photos as they like; `images.json` beside them, which
`posegram predict --format coco` writes, says which photo each number is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from posegram import image as pictures
from posegram.data import coco, door
from posegram.infer.detect import ranked
from posegram.pose import Image, People, Skeleton, convert

__all__ = ["LISTED", "found", "renumbered"]

LISTED = "images.json"  # beside COCO results: id, file_name, width and height of each photo

Watch = Callable[[list[Any]], Iterable[Any]]  # shows progress while it is walked through


def found(
    estimate: Callable[[Image], People],
    truth: dict[str, Any],
    folder: Path,
    skeleton: Skeleton,
    *,
    watch: Watch = iter,
) -> list[dict[str, Any]]:
    """COCO results of everybody whom an estimate finds in the photos of an annotation file.

    Args:
        estimate: finds the people of a photo; our detector is told to keep also who is unlikely,
            for the metric ranks them, see `infer.detect.ranked`.
        truth: content of a COCO annotation file.
        folder: of its photos.
        skeleton: joints of the results.
        watch: shows progress over the photos.

    Raises:
        FileNotFoundError: a photo is missing.
        ValueError: a photo is broken.
    """
    look = ranked(estimate)
    results = []
    for shot in watch(truth["images"]):
        people = look(pictures.read(folder / shot["file_name"]))
        results += coco.results(shot["id"], convert(people, skeleton))
    return results


def renumbered(
    path: Path, results: Sequence[dict[str, Any]], truth: dict[str, Any]
) -> tuple[list[dict[str, Any]], int]:
    """Results under the ids that an annotation file has for the same photos; how many photos it
    does not know, whose people are left out.

    Photos meet by their file names, with as many folders as it takes to tell them apart. Without
    an `images.json` beside the results they keep the ids that they have.

    Args:
        path: the file of the results.
        results: its content.
        truth: content of a COCO annotation file.

    Raises:
        ValueError: `images.json` is none, knows no photo of the annotation file, or has another
            size for one.
    """
    beside = path.with_name(LISTED)
    if not beside.is_file():
        return list(results), 0
    shots, named = _listed(beside), defaultdict(list)
    for image in truth["images"]:
        named[PurePosixPath(image["file_name"]).name].append(image)
    ids = {number: _same(shot, named, beside) for number, shot in shots.items()}
    if not any(known is not None for known in ids.values()):
        raise ValueError(f"{beside}: none of its photos is one of the annotation file")
    lacking = {one.get("image_id") for one in results} - set(ids)
    if lacking:
        raise ValueError(f"{path}: image {min(lacking, key=str)} is not listed in {beside.name}")
    kept = [one | {"image_id": ids[one["image_id"]]} for one in results]
    left = sum(known is None for known in ids.values())
    return [one for one in kept if one["image_id"] is not None], left


def _listed(path: Path) -> dict[Any, dict[str, Any]]:
    """The photos of an `images.json` by their numbers."""
    value = door.load_json(path)
    rows = value if isinstance(value, list) else []
    whole = [one for one in rows if isinstance(one, dict) and {"id", "file_name"} <= set(one)]
    shots = {one["id"]: one for one in whole}
    if not shots or len(shots) < len(rows):
        raise ValueError(f"{path}: is no list of photos with id and file_name, one number each")
    return shots


def _same(shot: dict[str, Any], named: dict[str, list[dict[str, Any]]], path: Path) -> Any:
    """The id of the image that a listed photo is, of those with its name; None where it is none."""
    own = PurePosixPath(shot["file_name"]).parts
    some = named.get(own[-1], [])
    if len(some) > 1:
        deep = {one["id"]: _shared(own, PurePosixPath(one["file_name"]).parts) for one in some}
        some = [one for one in some if deep[one["id"]] == max(deep.values())]
    if len(some) > 1:
        raise ValueError(f"{path}: {shot['file_name']} may be several images of the labels")
    if not some:
        return None
    sizes = [(one.get("width"), one.get("height")) for one in (shot, some[0])]
    if None not in (*sizes[0], *sizes[1]) and sizes[0] != sizes[1]:
        (a, b), (c, d) = sizes
        raise ValueError(f"{path}: {shot['file_name']} has {a}x{b} pixels, in the labels {c}x{d}")
    return some[0]["id"]


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """How many parts at the ends of two paths are the same."""
    pairs = list(zip(reversed(a), reversed(b), strict=False))
    return next((n for n, (one, other) in enumerate(pairs) if one != other), len(pairs))
