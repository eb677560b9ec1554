"""What stands in a set more than once, and pictures that are not there or are damaged."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posegram import image as pictures
from posegram.data import split
from posegram.data.doctor.annotations import Annotations, Bools
from posegram.data.doctor.findings import Finding, of_people
from posegram.pose import Ints

__all__ = ["copied_labels", "files", "photos", "twice"]

_SAME = 0.02  # mean distance of two people's joints over their size: the same person
_ALIKE = 3  # joints that both must have
_COPIED = 4  # joints at the very same places that make copied labels


def files(people: Annotations) -> list[Finding]:
    """Missing and unreadable pictures, wrong sizes, files listed twice; records that are broken."""
    known: Bools = np.asarray(np.isfinite(people.size).all(axis=1))
    there = np.array([image.is_file() for image in people.images], dtype=np.bool_)
    found = [
        Finding("broken-record", "certain", 1.0, f"annotation {_id(people, place)}: {why}")
        for place, why in people.broken.items()
    ]
    if not there.any() and len(there):
        where = f"no picture is at hand (looked in {people.images[0].parent}; --images says where)"
        what = f"{where}, so nothing was checked against the pictures"
        found.append(Finding("missing-image", "likely", 0.1, what))
        there = np.ones_like(there)
        known = there
    for row, image in enumerate(people.images):
        if not there[row]:
            found.append(
                Finding("missing-image", "certain", 0.5, f"no file {image.name}", image=row)
            )
        elif not known[row]:
            text = f"{image.name} cannot be read as a picture"
            found.append(Finding("unreadable-image", "certain", 0.6, text, image=row))
    return [*found, *_wrong_sizes(people), *_listed_twice(people)]


def _id(people: Annotations, place: int) -> str:
    record = people.whole["annotations"][place]
    return f"{place} (id {record.get('id')})" if isinstance(record, dict) else str(place)


def _wrong_sizes(people: Annotations) -> list[Finding]:
    with np.errstate(invalid="ignore"):
        off = np.abs(people.stated - people.size) > 0
    found = []
    for row in np.flatnonzero(off.any(axis=1)):
        (height, width), (h, w) = people.stated[row], people.size[row]
        turned = ", so perhaps turned by its EXIF tag" if (height, width) == (w, h) else ""
        text = f"stated as {width:g} x {height:g}, but the picture is {w:g} x {h:g}{turned}"
        found.append(Finding("wrong-size", "certain", 0.6, text, image=int(row)))
    return found


def _listed_twice(people: Annotations) -> list[Finding]:
    first: dict[Path, int] = {}
    found = []
    for row, image in enumerate(people.images):
        if first.setdefault(image, row) != row:
            text = f"{image.name} stands in the list of images before"
            found.append(Finding("listed-twice", "likely", 0.4, text, image=row))
    return found


def twice(people: Annotations) -> list[Finding]:
    """People who are annotated more than once in one picture; the later one is named."""
    level = np.zeros(len(people), dtype=np.int64)  # 1 alike, 2 the very same
    first = np.full(len(people), -1)
    for rows in _crowded(people.image):
        for place, row in enumerate(rows[1:], 1):
            gap = _gaps(people, rows[:place], int(row))
            near = int(gap.argmin())
            if gap[near] < _SAME:
                level[row], first[row] = 1 + (gap[near] == 0), rows[near]

    def say(row: int, _: tuple[str, ...]) -> str:
        other = people.whole["annotations"][people.record[first[row]]].get("id")
        return f"the {'very ' if level[row] == 2 else ''}same joints as annotation {other}"

    return [
        *of_people(people, "person-twice", "certain", level == 2, say, 0.6),
        *of_people(people, "person-twice", "likely", level == 1, say, 0.5),
    ]


def _crowded(image: Ints) -> list[Ints]:
    """Rows of the people of each image that has several."""
    order = np.argsort(image, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(image[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _gaps(
    people: Annotations, rows: Ints, row: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean distance of one person's joints to those of others over its size, (M,)."""
    both = people.usable[rows] & people.usable[row]
    away = np.where(both, np.linalg.norm(people.xy[rows] - people.xy[row], axis=2), 0.0)
    x0, y0, x1, y1 = people.bounds[row]
    size = max(float(x1 - x0), float(y1 - y0), 1.0) if people.usable[row].any() else 1.0
    count = both.sum(axis=1)
    return np.where(count >= _ALIKE, away.sum(axis=1) / np.maximum(count, 1) / size, np.inf)


def copied_labels(people: Annotations) -> list[Finding]:
    """People of different pictures with the very same joints; all of them are named."""
    rows: dict[bytes, list[int]] = defaultdict(list)
    enough = people.usable.sum(axis=1) >= _COPIED
    places = np.nan_to_num(np.round(people.places, 2), nan=-1.0)
    for row in np.flatnonzero(enough).tolist():
        rows[places[row].tobytes()].append(row)
    hits: Bools = np.zeros(len(people), dtype=np.bool_)
    other = np.zeros(len(people), dtype=np.int64)
    for same in rows.values():
        names = {people.images[people.image[row]] for row in same}
        if len(names) > 1:
            for row in same:
                hits[row] = True
                other[row] = next(r for r in same if people.image[r] != people.image[row])

    def say(row: int, _: tuple[str, ...]) -> str:
        return f"the very same joints as in {people.images[people.image[other[row]]].name}"

    return of_people(people, "copied-labels", "likely", hits, say, 0.8)


def photos(sources: Sequence[Annotations]) -> list[Finding]:
    """Copies and near copies among all pictures, and pictures that break when they are decoded.

    A copy in another part (training, validation) is a fault; within a part only an exact one is.
    The later of two is named.
    """
    where: dict[Path, tuple[int, int]] = {}
    for number, people in enumerate(sources):
        for row, image in enumerate(people.images):
            if np.isfinite(people.size[row]).all() and image.is_file():
                where.setdefault(image, (number, row))
    found, images = [], []
    for image, (number, row) in where.items():
        fault = _damage(image)
        if fault:
            found.append(Finding("unreadable-image", "certain", 0.6, fault, number, row))
        else:
            images.append(image)
    for a, b in split.near_duplicates(images).tolist():
        (one, row_a), (two, row_b) = where[images[a]], where[images[b]]
        parts = sources[one].part[row_a], sources[two].part[row_b]
        same = filecmp.cmp(images[a], images[b], shallow=False)
        found.append(_pair(images[a].name, parts, same, (two, row_b)))
    return [*found, *_shared_files(sources)]


def _damage(image: Path) -> str:
    try:
        pictures.read(image)
    except (ValueError, OSError) as fault:
        return str(fault)
    return ""


def _pair(other: str, parts: tuple[str, str], same: bool, at: tuple[int, int]) -> Finding:
    across = parts[0] != parts[1]
    place = f" of another part ({parts[0]})" if across else ""
    if same:
        text = f"the same file as {other}{place}"
        return Finding("same-photo", "certain", 0.9 if across else 0.5, text, *at)
    level = "likely" if across else "look"
    return Finding("near-photo", level, 0.8 if across else 0.4, f"nearly {other}{place}", *at)


def _shared_files(sources: Sequence[Annotations]) -> list[Finding]:
    """Files that two parts list under the same path."""
    found: list[Finding] = []
    first: dict[Path, str] = {}
    for number, people in enumerate(sources):
        for row, image in enumerate(people.images):
            part = first.setdefault(image, people.part[row])
            if part != people.part[row]:
                text = f"{image.name} itself stands in another part ({part})"
                found.append(Finding("same-photo", "certain", 1.0, text, number, row))
    return found
