"""labelme's labels: a JSON file per picture, as labelme, AnyLabeling and X-AnyLabeling write them.

`shapes` holds a `point` per joint, whose label is the joint's name, and perhaps a `rectangle` per
person; what belongs together has the same `group_id` (github.com/wkentaro/labelme). Pixels are
counted from 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.data import door
from posegram.data.folder import images_in
from posegram.data.joints import plain, skeleton_of
from posegram.pose import Floats, Sample, Skeleton

__all__ = ["category", "files", "is_labelme", "others", "read"]

_HIDDEN = ("hidden", "occluded")  # flags of a shape that say so; X-AnyLabeling's is `difficult`


@dataclass(eq=False)
class _Person:
    """What one group of a picture says."""

    joints: dict[str, tuple[float, float, int]] = field(default_factory=dict)  # x, y, v by name
    spelt: dict[str, str] = field(default_factory=dict)  # the label of each of these names
    box: list[float] = field(default_factory=list)  # x0, y0, x1, y1; empty where none is drawn


def read(path: Path, images: Path | None = None) -> list[Sample]:
    """The people of a folder of labelme files; pixels counted from 0.

    Points of one group are one person, and so are all points without a group. A rectangle of the
    group is the person's box, which else is the joints' bounds grown by 6 % of the longer side each
    way. Joints are hidden (1) where the shape is marked `difficult`, or has a flag `hidden` or
    `occluded`; else seen (2). The skeleton has the labels of all files, sorted, so that folders
    with the same joints agree; one label may be spelt in several ways, such as `Nose` and `nose`.

    Args:
        path: a folder, or one file.
        images: the pictures' folder; by default each file says where its picture lies.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: a file is none of labelme's, or a shape of it is wrong; both are named. Or there
            is no point at all.
    """
    found = {file: _load(file) for file in files(path)}
    people = {file: _people(file, whole) for file, whole in found.items()}
    names = _names(people)
    if not names:
        raise ValueError(f"{path}: holds no point, and a joint is a point labelled with its name")
    skeleton = skeleton_of(f"labelme{len(names)}", list(names.values()))
    samples = []
    for file, some in people.items():
        image = _picture(file, found[file], images)
        samples += [_sample(image, one, list(names), skeleton) for one in some if one.joints]
    return samples


def files(path: Path) -> list[Path]:
    """The JSON files of a folder, or the file itself.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the folder holds none.
    """
    if door.require(path, "file or folder").is_file():
        return [path]
    found = images_in(path, suffixes=(".json",))
    if not found:
        raise ValueError(f"{path}: holds no JSON file")
    return found


def is_labelme(value: Any) -> bool:
    """Whether what a JSON file holds has labelme's shapes."""
    return isinstance(value, dict) and isinstance(value.get("shapes"), list)


def category(path: Path) -> dict[str, list[str]]:
    """What the files call their joints: `keypoints`, as COCO's category; errors as `read`."""
    people = {file: _people(file, _load(file)) for file in files(path)}
    return {"keypoints": list(_names(people).values())}


def others(path: Path) -> int:
    """How many shapes are neither points nor rectangles; errors as `read`."""
    kinds = Counter(str(s.get("shape_type")) for f in files(path) for s in _load(f)["shapes"])
    return kinds.total() - kinds["point"] - kinds["rectangle"]


def _load(file: Path) -> dict[str, Any]:
    """What is read of a file; not `imageData`, a whole picture of which many fill the memory."""
    whole = door.load_json(file)
    if not is_labelme(whole):
        raise ValueError(f"{file}: has no list `shapes`, so it is no file of labelme's")
    return {key: whole.get(key) for key in ("shapes", "imagePath")}


def _names(people: dict[Path, list[_Person]]) -> dict[str, str]:
    """The joints of all files, sorted, each as it is spelt first."""
    spelt: dict[str, str] = {}
    for one in (one for some in people.values() for one in some):
        spelt = one.spelt | spelt
    return dict(sorted(spelt.items()))


def _people(file: Path, whole: dict[str, Any]) -> list[_Person]:
    """Everybody in one picture, by group."""
    groups: defaultdict[Any, _Person] = defaultdict(_Person)
    for place, shape in enumerate(whole["shapes"]):
        try:
            _add(shape, groups[shape.get("group_id")])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as fault:
            raise ValueError(f"{file}: shape {place} is wrong: {fault}") from fault
    return list(groups.values())


def _add(shape: dict[str, Any], person: _Person) -> None:
    """Take in a point or a rectangle; any other shape is passed over."""
    kind = shape.get("shape_type")
    if kind not in ("point", "rectangle"):
        return
    points = np.asarray(shape["points"], dtype=np.float64)
    point = kind == "point"
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 - point:
        raise ValueError(f"a {kind} has no such points as {shape['points']}")
    if not (np.abs(points) < door.FAR).all():  # nor NaN
        raise ValueError(f"{shape['points']} are no pixels")
    if not point:
        person.box = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
        return
    label = str(shape["label"])
    name = plain(label)
    if name in person.joints:
        raise ValueError(f"{label!r} stands twice in one group; `group_id` tells people apart")
    x, y = points[0].tolist()
    person.joints[name], person.spelt[name] = (x, y, 1 if _hidden(shape) else 2), label


def _hidden(shape: dict[str, Any]) -> bool:
    flags = shape.get("flags") or {}
    return bool(shape.get("difficult")) or any(flags.get(name) for name in _HIDDEN)


def _sample(image: Path, person: _Person, names: list[str], skeleton: Skeleton) -> Sample:
    rows = np.array([person.joints.get(name, (0, 0, 0)) for name in names], dtype=np.float32)
    xy, visible = rows[:, :2], rows[:, 2].astype(np.uint8)
    return Sample(image, xy, visible, _box(person, xy, visible > 0), None, None, skeleton)


def _box(person: _Person, xy: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    box = np.array(person.box or [0] * 4, dtype=np.float32)
    return box if (box[2:] > box[:2]).all() else door.person_box(xy, usable)


def _picture(file: Path, whole: dict[str, Any], images: Path | None) -> Path:
    """Where the picture of a file lies: in the folder given, else where the file says."""
    said = PureWindowsPath(str(whole.get("imagePath") or file.with_suffix(".jpg").name))
    if images is not None:
        return images / said.name
    places = [file.parent / said.as_posix(), file.parent / said.name]
    return next((place for place in places if place.is_file()), places[0])
