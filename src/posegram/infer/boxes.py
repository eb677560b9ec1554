"""People's boxes from a COCO annotation file, matched to photos by file name."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from posegram.data import door
from posegram.pose import Floats

__all__ = ["Given", "match", "read_boxes", "require_size"]


@dataclass(eq=False)
class Given:
    """The boxes that a file gives for one image, in the file's order."""

    name: str  # file name, perhaps with folders, as the file says it
    image_id: int
    size: tuple[int, int] | None  # height, width, where the file says them
    boxes: list[list[float]] = field(default_factory=list)  # each x0, y0, x1, y1 image pixels
    categories: list[int] = field(default_factory=list)  # one per box
    places: list[int] = field(default_factory=list)  # of each box among all the file's annotations

    @property
    def box(self) -> Floats:
        """The boxes, (N, 4) x0, y0, x1, y1 image pixels."""
        return np.array(self.boxes, dtype=np.float32).reshape(-1, 4)


def require_size(photo: Path, size: tuple[int, ...], told: tuple[int, int] | None) -> None:
    """See that a photo of height and width `size` is the one for which boxes were given.

    Raises:
        ValueError: it has another size than was told, if one was.
    """
    if told is not None and told != size:
        own, other = (f"{sides[1]}x{sides[0]}" for sides in (size, told))
        raise ValueError(f"{photo} is {own} pixels, but its boxes were given for {other}")


def read_boxes(path: Path, *, people: bool = False) -> list[Given]:
    """Every image of a COCO annotation file with the box of every annotation that has one.

    Crowds and people without joints keep their boxes, too, since whoever scores the results wants
    one for each box given.

    Args:
        path: the file.
        people: of single people alone: no crowds, and no category that is not called person,
            where one is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no annotation file, or a record in it is wrong; the record is named.
    """
    whole = _opened(path)
    images: dict[Any, Given] = {}
    persons: set[int] = set()  # ids of the categories called person

    def category(_: int, record: dict[str, Any]) -> None:
        if record.get("name") == "person":
            persons.add(record["id"])

    def image(_: int, record: dict[str, Any]) -> None:
        given = _image(record)
        if images.setdefault(record["id"], given).name != given.name:  # both would get all boxes
            other = images[record["id"]].name
            raise ValueError(f"{given.name} and {other} both have the id {record['id']}")

    def annotation(place: int, record: dict[str, Any]) -> None:
        if not people or _is_person(record, persons):
            _add(record, place, images)

    if people and isinstance(whole.get("categories"), list):
        _each(path, "category", whole["categories"], category)
    _each(path, "image", whole["images"], image)
    _each(path, "annotation", whole["annotations"], annotation)
    return list(images.values())


def _opened(path: Path) -> dict[str, Any]:
    """What an annotation file holds; it has images and annotations."""
    whole = door.load_json(path)
    if not isinstance(whole, dict):
        raise ValueError(f"{path}: holds no object, so it is no COCO annotation file")
    for key in ("images", "annotations"):
        if not isinstance(whole.get(key), list):
            raise ValueError(f"{path}: has no list `{key}`, so it is no COCO annotation file")
    return whole


def _each(
    path: Path, what: str, records: Sequence[Any], take: Callable[[int, dict[str, Any]], None]
) -> None:
    """Take in the records of a list with their places.

    Raises:
        ValueError: one is wrong; it is named.
    """
    for place, record in enumerate(records):
        try:
            take(place, record)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as fault:
            raise ValueError(f"{path}: {what} {place} is wrong: {_said(fault)}") from fault


def _is_person(record: dict[str, Any], persons: set[int]) -> bool:
    """Whether an annotation is of a single person, with the ids of categories called so."""
    return not record.get("iscrowd") and (not persons or _category(record) in persons)


def _category(record: dict[str, Any]) -> int:
    return int(record.get("category_id", 1))


def _said(fault: Exception) -> str:
    return f"it lacks {fault}" if isinstance(fault, KeyError) else str(fault)


def _image(record: dict[str, Any]) -> Given:
    height, width = record.get("height"), record.get("width")
    size = (int(height), int(width)) if height and width else None
    if not _parts(str(record["file_name"])):
        raise ValueError("`file_name` is empty")
    return Given(str(record["file_name"]), record["id"], size)


def _add(record: dict[str, Any], place: int, images: dict[Any, Given]) -> None:
    """Enter one annotation's box; x, y, width, height become corners."""
    if record.get("bbox") is None:
        return
    box = door.corners(record["bbox"])
    if record.get("image_id") not in images:
        raise ValueError(f"there is no image {record.get('image_id')!r}")
    image = images[record["image_id"]]
    image.boxes.append(box)
    image.categories.append(_category(record))
    image.places.append(place)


def match(photos: Sequence[Path], given: Sequence[Given]) -> dict[Path, Given]:
    """The entry of each photo that has one: the same file name, and folders when names repeat.

    Raises:
        ValueError: two entries fit one photo, or two photos fit one entry.
    """
    by_name = defaultdict(list)
    for entry in given:
        by_name[_parts(entry.name)[-1]].append(entry)
    found: dict[Path, Given] = {}
    taken: dict[int, Path] = {}
    for photo in photos:
        fits = _best(photo, by_name[_parts(photo.as_posix())[-1]])
        if len(fits) > 1:
            names = " and ".join(f"{entry.name} (id {entry.image_id})" for entry in fits[:2])
            raise ValueError(f"{photo} may be either of {names} in the file of boxes")
        for entry in fits:
            other = taken.setdefault(id(entry), photo)
            if other != photo:
                raise ValueError(f"{other} and {photo} are both {entry.name} in the file of boxes")
            found[photo] = entry
    return found


def _best(photo: Path, entries: list[Given]) -> list[Given]:
    """Those entries that share most of the photo's path, counted from its end."""
    own = _parts(photo.absolute().as_posix())
    shared = [_common(own, _parts(entry.name)) for entry in entries]
    return [e for e, n in zip(entries, shared, strict=True) if n == max(shared)]


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """How many path parts agree, counted from the end."""
    pairs = list(zip(reversed(a), reversed(b), strict=False))
    return next((n for n, (one, other) in enumerate(pairs) if one != other), len(pairs))


def _parts(name: str) -> tuple[str, ...]:
    # macOS writes an umlaut as two characters, other systems as one
    return PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/"))).parts
