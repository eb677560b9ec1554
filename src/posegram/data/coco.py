"""COCO keypoints: people from annotation files, annotations and results into files.

Format: cocodataset.org/#format-data. COCO counts pixels from 0, as we do; a box is x, y, width,
height; v is 0 not labelled, 1 hidden, 2 seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram import coords
from posegram.areas import OUTLINE
from posegram.data import door, joints
from posegram.data.scenes import Scene
from posegram.data.stream import exact, person_scores
from posegram.pose import COCO17, Bytes, Floats, People, Sample, Skeleton

__all__ = [
    *("content", "file_name", "heading", "read", "read_scenes", "record", "results"),
    *("skeletons", "write"),
]

_PARTS = ("", "train", "valid", "partial")
_EVERYWHERE = [-1e6, -1e6, 1e6, 1e6]  # a box around any photo


def read(path: Path, images: Path | None = None) -> list[Sample]:
    """The people of an annotation file who have at least one labelled joint; crowds are left out.

    The category's own joint names make the skeleton: a built-in one where the names agree, else a
    new one with left/right pairs found by name. A person without a box, or with one of no size,
    gets the joints' bounds grown by 6 %. `area_is_estimated` may stand at a person or an image.

    Args:
        path: the JSON file.
        images: the pictures' folder; by default as `posegram.data.door.images_beside` finds it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no annotation file, or a record in it is wrong; the record is named.
    """
    whole = content(path)
    files = _files(whole)
    images = images or door.images_beside(path, list(files.values()))
    kinds = skeletons(path, whole.get("categories"))
    guessed = {entry["id"] for entry in whole["images"] if entry.get("area_is_estimated")}
    found = []
    for number, record in enumerate(whole["annotations"]):
        where = f"{path}: annotation {number}"
        try:
            if record.get("iscrowd") or not record.get("keypoints"):
                continue
            where += f" (id {record.get('id')})"
            image = images / files[record["image_id"]]
            sample = _sample(record, image, kinds[record.get("category_id", 1)])
        except KeyError as fault:
            raise ValueError(f"{where} names an unknown or lacks its {_lacking(fault)}") from fault
        except (ValueError, TypeError, AttributeError, IndexError) as fault:
            raise ValueError(f"{where} is wrong: {fault}") from fault
        if sample is not None:
            known = sample.area is None or record["image_id"] not in guessed
            found.append(sample if known else replace(sample, estimated=True))
    return found


def content(path: Path) -> dict[str, Any]:
    """The object in an annotation file: `annotations` is a list, `images` one of named files.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no annotation file, or two of its images have one id.
    """
    whole: dict[str, Any] = door.load_json(path)
    for key in ("annotations", "images"):
        if not isinstance(whole, dict) or not isinstance(whole.get(key), list):
            raise ValueError(f"{path}: has no list `{key}`, so it is no COCO annotation file")
    try:
        files = _files(whole)
    except (KeyError, TypeError) as fault:
        raise ValueError(f"{path}: an entry of `images` lacks `id` or `file_name`") from fault
    for entry in whole["images"]:  # as in files put together that both count from 1
        if files[entry["id"]] != file_name(entry):
            both = f"{file_name(entry)} and {files[entry['id']]} both have the id {entry['id']}"
            raise ValueError(f"{path}: {both}, so whose people are whose is lost; number them anew")
    return whole


def _files(whole: dict[str, Any]) -> dict[Any, str]:
    """File name of each image id."""
    return {image["id"]: file_name(image) for image in whole["images"]}


def file_name(entry: dict[str, Any]) -> str:
    """The picture that an entry of `images` names, with / between folders also from Windows."""
    return str(entry["file_name"]).replace("\\", "/")


def read_scenes(path: Path, images: Path | None = None, *, part: str = "") -> list[Scene]:
    """The photos of an annotation file with the boxes of their people, also photos of nobody.

    Crowds (`iscrowd`) are ignored regions; so is the whole photo where its entry says
    `"all_people_listed": false`. Only the category named `person` counts, where one is.

    Args:
        path: the JSON file; its annotations need no keypoints.
        images: the pictures' folder; by default as `posegram.data.door.images_beside` finds it.
        part: "train" leaves out photos whose entry says `valid`, "valid" all others; both leave
            out those that say `near_duplicate`. "partial" takes every photo as if not all of its
            people were listed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no annotation file, a record in it is wrong, or there is no such part.
    """
    if part not in _PARTS:
        raise ValueError(f"{path}: no part {part!r}; there are {', '.join(_PARTS[1:])}")
    whole = content(path)
    files = _files(whole)
    images = images or door.images_beside(path, list(files.values()))
    boxes = _boxes(path, whole)
    scenes = []
    for entry in whole["images"]:
        if part in ("train", "valid") and (
            entry.get("near_duplicate") or bool(entry.get("valid")) != (part == "valid")
        ):
            continue
        people, crowds = boxes.get(entry["id"], ([], []))
        if part == "partial" or not entry.get("all_people_listed", True):
            crowds = [*crowds, _EVERYWHERE]
        arrays = [np.array(b, dtype=np.float32).reshape(-1, 4) for b in (people, crowds)]
        scenes.append(Scene(images / files[entry["id"]], *arrays))
    return scenes


_Boxes = dict[Any, tuple[list[list[float]], list[list[float]]]]


def _boxes(path: Path, whole: dict[str, Any]) -> _Boxes:
    """Boxes x0, y0, x1, y1 of the people and of the crowds of each image id."""
    known = set(_files(whole))
    try:
        named = whole.get("categories") or []
        people = {c.get("id") for c in named if c.get("name") == "person"}
    except (TypeError, AttributeError) as fault:
        raise ValueError(f"{path}: an entry of `categories` is wrong: {fault}") from fault
    found: _Boxes = {}
    for number, record in enumerate(whole["annotations"]):
        where = f"{path}: annotation {number}"
        try:
            if people and record.get("category_id", 1) not in people:
                continue
            box = door.corners(record["bbox"])
            image = record["image_id"]
            if image not in known:
                raise ValueError(f"it names image {image}, which is not listed")
        except KeyError as fault:
            raise ValueError(f"{where} lacks its {_lacking(fault)}") from fault
        except (ValueError, TypeError, AttributeError) as fault:
            raise ValueError(f"{where} is wrong: {fault}") from fault
        pair = found.setdefault(image, ([], []))
        pair[bool(record.get("iscrowd"))].append(box)
    return found


def _lacking(fault: KeyError) -> str:
    key = fault.args[0]
    unknown = f"image {key} or category {key} with `keypoints`, the names of its joints"
    return repr(key) if isinstance(key, str) else unknown


def skeletons(source: str | Path, categories: Any) -> dict[Any, Skeleton]:
    """Skeleton of each category id that has joints; COCO-17 where the file lists no category.

    Raises:
        ValueError: a category is wrong; `source` says of which file.
    """
    if not categories:
        return {1: COCO17}
    try:
        return {c["id"]: _skeleton(c) for c in categories if c.get("keypoints")}
    except (KeyError, TypeError, AttributeError, ValueError) as fault:
        raise ValueError(f"{source}: an entry of `categories` is wrong: {fault}") from fault


def _skeleton(category: dict[str, Any]) -> Skeleton:
    title = f"{category.get('name', 'category')}{len(category['keypoints'])}"
    return joints.skeleton_of(title, category["keypoints"], category.get("skeleton") or [])


def _sample(record: dict[str, Any], image: Path, skeleton: Skeleton) -> Sample | None:
    rows = _rows(record["keypoints"], skeleton)
    skeleton = skeleton if len(rows) == len(skeleton) else COCO17
    visible = rows[:, 2]
    if not np.isin(visible, (0, 1, 2)).all():
        raise ValueError(f"v is one of 0, 1, 2, not {sorted(set(visible.tolist()))}")
    if not visible.any():
        return None
    xy = rows[:, :2].astype(np.float32)
    box = np.array(door.corners(record.get("bbox") or [0] * 4), dtype=np.float32)
    if not (box[2:] > box[:2]).all():  # tools that know joints alone write four zeros
        box = door.person_box(xy, visible > 0)
    area = float(record["area"]) if record.get("area") else None
    if area is not None and not 0 < area < math.inf:
        raise ValueError(f"`area` {area} is no number of square pixels")
    weight = record.get("keypoint_weights")  # ours: trust in each label, see `write`
    trust = None if weight is None else np.asarray(weight, dtype=np.float32)
    if trust is not None and not ((trust >= 0) & (trust <= 1)).all():
        raise ValueError("`keypoint_weights` are numbers from 0 to 1")
    guess = area is not None and bool(record.get("area_is_estimated"))
    flags = visible.astype(np.uint8)
    return Sample(image, xy, flags, box, None, area, skeleton, trust, estimated=guess)


def _rows(keypoints: Sequence[float], skeleton: Skeleton) -> npt.NDArray[np.float64]:
    """Joints as x, y, v, (K, 3), of the category's skeleton or of COCO-17 at its start."""
    flat = np.asarray(keypoints)
    if flat.ndim != 1 or flat.dtype.kind not in "fiu":  # triples or words would be read elsewhere
        raise ValueError("`keypoints` is no flat list of numbers")
    flat = flat.astype(np.float64)
    k, coco = len(skeleton), len(COCO17)
    # Human-Art names 21 joints and gives the 17 of COCO in `keypoints`
    short = flat.size == 3 * coco and skeleton.joints[:coco] == COCO17.joints
    if not (short or flat.size == 3 * k) or not (np.abs(flat) < door.FAR).all():  # nor NaN
        raise ValueError(f"`keypoints` holds {flat.size} numbers, wanted {3 * k} finite ones")
    return flat.reshape(-1, 3)


def write(
    path: Path, samples: Sequence[Sample], images: Path | None = None, *, category: str = "person"
) -> Path:
    """The annotation file written: every person with v-flags, every image once.

    An image's id is the number that its file name is, else its position from 1. Its size is given
    when the picture is at hand. A missing area is estimated as 0.53 x the box and marked so.

    Args:
        path: the JSON file to write.
        samples: people of one skeleton.
        images: the folder that file names are relative to; by default the images' common one.
        category: what people are called.

    Raises:
        ValueError: there is nobody, or the people have more than one skeleton.
    """
    if not samples:
        raise ValueError(f"{path}: there is nobody to write")
    if len({s.skeleton for s in samples}) > 1:
        raise ValueError(f"{path}: the people have several skeletons; write one file for each")
    files = list(dict.fromkeys(s.image for s in samples))
    folder = images or door.common_folder(files)
    ids = _ids(files)
    whole = heading(samples[0].skeleton, "People labelled for posegram") | {
        "images": [_image(f, ids[f], folder) for f in files],
        "annotations": [_record(s, n, ids[s.image]) for n, s in enumerate(samples, 1)],
    }
    whole["categories"][0]["name"] = category
    return door.save_json(path, whole)


def heading(skeleton: Skeleton, description: str) -> dict[str, Any]:
    """`info`, `licenses` and `categories` of an annotation file; bones count joints from 1."""
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": (skeleton.edges + 1).tolist(),
    }
    info = {"description": description, "version": "1.0", "contributor": "posegram"}
    return {"info": info, "licenses": [], "categories": [category]}


def _ids(files: list[Path]) -> dict[Path, int]:
    numbers = [int(f.stem) if f.stem.isdecimal() else -1 for f in files]
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(files) + 1))
    return dict(zip(files, numbers, strict=True))


def _image(file: Path, number: int, folder: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "file_name": door.within(file, folder)}
    size = door.picture_size(file)
    return entry if size is None else entry | {"height": size[0], "width": size[1]}


def _record(sample: Sample, number: int, image: int) -> dict[str, Any]:
    made = record(sample.xy, sample.visible, sample.box, sample.area)
    if sample.estimated:
        made["area_is_estimated"] = True
    if sample.weight is not None:
        made["keypoint_weights"] = [exact(v) for v in sample.weight]
    return {"id": number, "image_id": image} | made


def record(xy: Floats, visible: Bytes, box: Floats, area: float | None) -> dict[str, Any]:
    """One person's annotation without its ids; a missing area is estimated and marked.

    Args:
        xy: (K, 2) image pixels.
        visible: (K,) 0 not labelled, 1 hidden, 2 seen.
        box: (4,) x0, y0, x1, y1 image pixels.
        area: of the person's outline in square pixels.
    """
    seen = visible > 0
    rows = [[exact(x), exact(y), int(v)] if v else [0, 0, 0]
            for (x, y), v in zip(xy, visible, strict=True)]  # fmt: skip
    x0, y0, x1, y1 = (exact(v) for v in box)
    # the sides are rounded to a millionth, for the difference of two decimals is none
    sides = [round(x1 - x0, 6), round(y1 - y0, 6)]
    made: dict[str, Any] = {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x0, y0, *sides],
        "num_keypoints": int(seen.sum()),
        "keypoints": [value for row in rows for value in row],
        "area": area,
    }
    if area is None:
        made |= {"area": round(OUTLINE * coords.area_of(box), 3), "area_is_estimated": True}
    return made


def results(image_id: int, people: People) -> list[dict[str, Any]]:
    """COCO results of one image, one entry per person in order.

    The third number of a joint is its probability, the person's score that of `person_scores`; an
    absent joint is 0, 0, 0. `track_id` stands where people have one.
    """
    entries = []
    sure = person_scores(people).tolist()
    for n, (xy, score) in enumerate(zip(people.xy, people.score, strict=True)):
        has = np.isfinite(xy).all(axis=1)
        rows = np.column_stack([np.where(has[:, None], xy, 0), np.where(has, score, 0)])
        entry = {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": [exact(value) for value in rows.ravel()],
            "score": round(sure[n], 6),
        }
        track = {} if people.track is None else {"track_id": int(people.track[n])}
        entries.append(entry | track)
    return entries
