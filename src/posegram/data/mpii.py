"""MPII Human Pose: the official release .mat and the JSON lists of HRNet and SimpleBaseline.

Both count pixels from 1. `scale` is the person's height / 200 pixels. Andriluka et al., CVPR 2014;
the fields of the release are described on human-pose.mpi-inf.mpg.de.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.data import door, joints
from posegram.pose import MPII16, Bytes, Floats, Sample

__all__ = ["read", "write"]

_SPLITS = {"train": 1, "test": 0}  # values of `img_train`
_WRONG = (AttributeError, KeyError, TypeError, ValueError, IndexError)


def read(
    path: Path, images: Path | None = None, *, split: str | None = None, single: bool = False
) -> list[Sample]:
    """The people of the release or of a list; pixels counted from 0.

    The box is the square that published code crops: side 200 x scale, its centre 15 x scale below
    the given one (HRNet and SimpleBaseline, `mpii.py`); cropping with our margin of 1.25 then
    equals theirs. Somebody without scale or centre gets the joints' bounds grown by 6 %. The head
    size is 0.6 x the diagonal of the head box (PCKh), None in lists, which have no head box.
    Lists do not tell hidden from seen joints: both are 2. People of the release without a labelled
    joint are left out, except in its test split, whose labels the authors keep; those of a list
    are not.

    Args:
        path: the .mat of the release or a .json list.
        images: the pictures' folder; by default as `posegram.data.door.images_beside` finds it.
        split: `train` or `test` of the release, by `img_train`; None for both.
        single: only the people that the release calls well separated (`single_person`).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another kind of file or has another layout, or a record in it is wrong;
            the record is named.
    """
    if split is not None and split not in _SPLITS:
        raise ValueError(f"MPII has no split {split!r}; there are {', '.join(_SPLITS)}")
    kind = door.require(path, "file").suffix.lower()
    if path.is_dir() or kind not in (".mat", ".json"):
        what = "folder" if path.is_dir() else f"{kind} file" if kind else "file without an ending"
        raise ValueError(f"mpii reads one .mat or .json file, and {path} is a {what}")
    if kind == ".json":
        if split or single:
            raise ValueError(f"{path}: a list has no `img_train` or `single_person` to choose by")
        return _list(path, images)
    return _release(path, images or door.images_beside(path), split, single)


def _list(path: Path, images: Path | None) -> list[Sample]:
    records = door.load_json(path)
    if not isinstance(records, list):
        raise ValueError(f"{path}: is no list of people, as MPII's train.json and valid.json are")
    named = [str(one["image"]) for one in records if isinstance(one, dict) and "image" in one]
    images = images or door.images_beside(path, named)
    found = []
    for number, record in enumerate(records):
        try:
            found.append(_listed(record, images))
        except KeyError as fault:
            raise ValueError(f"{path}: person {number} lacks {fault}") from fault
        except _WRONG as fault:
            raise ValueError(f"{path}: person {number} is wrong: {fault}") from fault
    return found


def _listed(record: dict[str, Any], images: Path) -> Sample:
    k = len(MPII16)
    if "joints" in record:
        xy = np.array(record["joints"], dtype=np.float64)
        flags = np.array(record["joints_vis"], dtype=np.float64)
    else:  # test.json
        xy, flags = np.zeros((k, 2)), np.zeros(k)
    if xy.shape != (k, 2) or flags.shape != (k,):
        shapes = f"joints {xy.shape} and joints_vis {flags.shape}"
        raise ValueError(f"{shapes}, wanted ({k}, 2) and ({k},)")
    if not np.isfinite(xy[flags > 0]).all():
        raise ValueError("a labelled joint is not a finite number")
    visible = np.where(flags > 0, 2, 0).astype(np.uint8)
    x, y = (float(value) for value in record["center"])
    return _sample(images / record["image"], xy, visible, _square(x, y, float(record["scale"])))


def _sample(
    image: Path,
    xy: npt.NDArray[np.float64],
    visible: Bytes,
    box: Floats | None,
    head: float | None = None,
) -> Sample:
    """A person from joints (16, 2) counted from 1 and a box counted from 0."""
    usable: npt.NDArray[np.bool_] = visible > 0
    pixels: Floats = np.where(usable[:, None], xy - 1, 0).astype(np.float32)
    box = door.person_box(pixels, usable) if box is None else box
    return Sample(image, pixels, visible, box, head, None, MPII16)


def _square(x: float, y: float, scale: float) -> Floats | None:
    """Box (4,) counted from 0 around a centre counted from 1; None where the file gives none."""
    if not (scale > 0 and math.isfinite(x + y + scale)) or (x < 0 and y < 0):
        return None
    half = 100 * scale
    x, y = x - 1, y - 1 + 15 * scale
    return np.array([x - half, y - half, x + half, y + half], dtype=np.float32)


def _release(path: Path, images: Path, split: str | None, single: bool) -> list[Sample]:
    release: Any = door.load_mat(path).get("RELEASE")
    if not hasattr(release, "annolist") or not hasattr(release, "img_train"):
        raise ValueError(f"{path}: has no struct `RELEASE` with `annolist` and `img_train`")
    entries = _items(release.annolist)
    training = [int(_number(value)) for value in _items(release.img_train)]
    apart = _items(getattr(release, "single_person", None)) or [None] * len(entries)
    if not len(entries) == len(training) == len(apart):
        counts = f"{len(entries)}, {len(training)} and {len(apart)}"
        raise ValueError(f"{path}: annolist, img_train, single_person count {counts} images")
    found = []
    for number, entry in enumerate(entries):
        if split is not None and training[number] != _SPLITS[split]:
            continue
        where = f"{path}: image {number + 1}"
        chosen = _indices(apart[number]) if single else None
        found += _people(where, entry, images, chosen, labelled=split != "test")
    return found


def _people(
    where: str, entry: Any, images: Path, chosen: set[int] | None, *, labelled: bool
) -> list[Sample]:
    """The people of one `annolist` entry; `chosen` holds 1-based positions, None for all."""
    found = []
    rects = _items(getattr(entry, "annorect", None))
    for position, rect in enumerate(rects, start=1):
        if chosen is not None and position not in chosen:
            continue
        try:
            sample = _person(rect, images / _text(entry.image.name))
        except _WRONG as fault:
            raise ValueError(f"{where}, person {position} is wrong: {fault}") from fault
        if sample is not None and (sample.visible.any() or not labelled):
            found.append(sample)
    return found


def _person(rect: Any, image: Path) -> Sample | None:
    """One `annorect`; None where it has neither joints nor a place."""
    xy, visible = _joints(rect)
    box = None
    places = _items(getattr(rect, "objpos", None))
    if places and _has(rect, "scale"):
        box = _square(_number(places[0].x), _number(places[0].y), _number(rect.scale))
    if box is None and not visible.any():
        return None
    return _sample(image, xy, visible, box, _head(rect))


def _joints(rect: Any) -> tuple[npt.NDArray[np.float64], Bytes]:
    """Joints (16, 2) counted from 1, and flags (16,), from points in any order."""
    xy = np.zeros((len(MPII16), 2))
    visible = np.zeros(len(MPII16), dtype=np.uint8)
    holder = _items(getattr(rect, "annopoints", None))
    for point in _items(getattr(holder[0], "point", None)) if holder else []:
        row = int(_number(point.id))
        if not 0 <= row < len(MPII16):
            raise ValueError(f"joint id {row} is not among 0 to 15")
        # head top and upper neck were labelled with an empty flag: labelled, so seen
        flag = getattr(point, "is_visible", None)
        seen = _number(flag) > 0 if _items(flag) else True
        xy[row] = _number(point.x), _number(point.y)
        visible[row] = 2 if seen else 1
    return xy, visible


def _head(rect: Any) -> float | None:
    """Head size in pixels: 0.6 x the diagonal of the head box (MPII's evaluation code)."""
    if not all(_has(rect, name) for name in ("x1", "y1", "x2", "y2")):
        return None
    x1, y1, x2, y2 = (_number(getattr(rect, name)) for name in ("x1", "y1", "x2", "y2"))
    return 0.6 * math.hypot(x2 - x1, y2 - y1) or None


def _has(rect: Any, name: str) -> bool:
    return bool(_items(getattr(rect, name, None)))


def _items(value: Any) -> Sequence[Any]:
    """What a MATLAB value holds, as a list: an array's elements, one struct, or nothing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, np.ndarray):
        return list(value.ravel())
    return [value]


def _number(value: Any) -> float:
    """A scalar of any integer type, or a digit stored as a character, as float.

    The release stores each integer in the smallest type, so that uint8 minus 1 could wrap around.
    """
    items = _items(value)
    if len(items) != 1:
        raise ValueError(f"wanted one number, found {len(items)}")
    number = float(items[0])
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"image.name is {value!r}, wanted a file name")
    return value


def _indices(value: Any) -> set[int]:
    return {int(_number(item)) for item in _items(value)}


def write(path: Path, samples: Sequence[Sample]) -> Path:
    """The JSON list written, as `train.json` of HRNet and SimpleBaseline: MPII's 16 joints from 1.

    The box becomes the square around it. A joint without label is -1, -1 with `joints_vis` 0; seen
    and hidden ones are both 1.

    Args:
        path: the JSON file.
        samples: people of any skeleton; joints that MPII lacks are left out.

    Raises:
        ValueError: there is nobody to write.
    """
    if not samples:
        raise ValueError(f"{path}: there is nobody to write")
    root = door.common_folder([s.image for s in samples])
    people = [joints.in_skeleton(sample, MPII16) for sample in samples]
    return door.save_json(path, [_record(sample, root) for sample in people])


def _record(sample: Sample, root: Path) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(value) for value in sample.box)
    scale = max(x1 - x0, y1 - y0) / 200
    labelled = sample.visible > 0
    xy = np.where(labelled[:, None], sample.xy.astype(np.float64) + 1, -1)
    return {
        "image": door.within(sample.image, root),
        "center": [round((x0 + x1) / 2 + 1, 4), round((y0 + y1) / 2 + 1 - 15 * scale, 4)],
        "scale": round(scale, 6),
        "joints": np.round(xy, 4).tolist(),
        "joints_vis": labelled.astype(int).tolist(),
    }
