"""A set of annotated people as arrays, exactly as its file has it: nothing cleaned or refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram import data
from posegram.data import coco, door
from posegram.pose import Floats, Ints, Sample, Skeleton

__all__ = ["Annotations", "Bools", "Doubles", "at_origin", "gather", "load"]

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_NOWHERE = Path("no-such-folder")


@dataclass(frozen=True, eq=False)
class Annotations:
    """People of one skeleton in one source; places are image pixels counted from 0, if all is well.

    Several skeletons in one source make several of these, which share `images` and `whole`.
    """

    source: str
    skeleton: Skeleton
    images: tuple[Path, ...]  # M
    stated: Doubles  # (M, 2) height, width that the file gives; NaN where it gives none
    size: Doubles  # (M, 2) height, width of the picture; NaN where it cannot be read
    part: tuple[str, ...]  # M, such as training or validation
    image: Ints  # (N,) row of each person's image
    xy: Doubles  # (N, K, 2) as written
    flag: Doubles  # (N, K) v as written
    box: Doubles  # (N, 4) x0, y0, x1, y1; NaN where there is none
    record: Ints  # (N,) row in whole["annotations"]
    whole: dict[str, Any]  # the file in COCO's layout
    broken: dict[int, str] = field(default_factory=dict)  # row in whole["annotations"]: why

    def __len__(self) -> int:
        """Number of people, N."""
        return len(self.xy)

    @cached_property
    def labelled(self) -> Bools:
        """Joints that are flagged as labelled, (N, K)."""
        return np.asarray(self.flag > 0)

    @cached_property
    def usable(self) -> Bools:
        """Labelled joints whose place says something, (N, K): finite, and not the origin."""
        finite = np.isfinite(self.xy).all(axis=2)
        return np.asarray(self.labelled & finite & ~at_origin(self.xy))

    @cached_property
    def places(self) -> Doubles:
        """Places of the usable joints, NaN elsewhere, (N, K, 2)."""
        return np.where(self.usable[..., None], self.xy, np.nan)

    @cached_property
    def bounds(self) -> Doubles:
        """Smallest box around each person's usable joints, (N, 4); NaN without any."""
        usable = self.usable[..., None]
        low = np.where(usable, self.xy, np.inf).min(axis=1, initial=np.inf)
        high = np.where(usable, self.xy, -np.inf).max(axis=1, initial=-np.inf)
        box = np.concatenate([low, high], axis=1)
        return np.where(np.isfinite(box).all(axis=1, keepdims=True), box, np.nan)

    @cached_property
    def canvas(self) -> Doubles:
        """Height and width of each person's picture, (N, 2): its own, else the stated one."""
        known = np.where(np.isfinite(self.size), self.size, self.stated)
        return np.asarray(known[self.image]).reshape(-1, 2)

    def samples(self) -> list[Sample]:
        """Everybody as a `Sample`, usable joints labelled; a box that is none is the joints'."""
        usable = self.usable
        return [
            Sample(
                image=self.images[self.image[row]],
                xy=np.where(usable[row][:, None], self.xy[row], 0).astype(np.float32),
                visible=np.where(usable[row], np.clip(self.flag[row], 1, 2), 0).astype(np.uint8),
                box=self._box(row, usable[row]),
                head=None,
                area=None,
                skeleton=self.skeleton,
            )
            for row in range(len(self))
        ]

    def _box(self, row: int, usable: Bools) -> Floats:
        box = self.box[row].astype(np.float32)
        if np.isfinite(box).all() and (box[2:] - box[:2] >= 1).all():
            return np.asarray(box)
        return door.person_box(self.xy[row].astype(np.float32), usable)


def at_origin(xy: Doubles) -> Bools:
    """Whether places are (0, 0) in a file that counts from 0, or from 1, (...,) for (..., 2)."""
    return np.asarray((xy == 0).all(axis=-1) | (xy == -1).all(axis=-1))


def load(spec: str, images: Path | None = None, *, split: str = "") -> list[Annotations]:
    """Everything that a source says, one for each skeleton in it.

    A COCO file is taken as it is, also where `posegram.data.read` would refuse or clean it.

    Args:
        spec: as `posegram.data.read` takes it; a range of a COCO file counts its annotations.
        images: the pictures' folder; by default the reader looks beside the file.
        split: which part an image belongs to: "folder" for its folder's name, or the key of the
            image's entry in a COCO file that says so; the source itself without it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no annotation file at all, names no joints, or has no such key or
            range.
    """
    reader, path = data.reader_of(spec)
    if reader == "coco":
        whole = coco.content(path)
        records = whole["annotations"]
        whole["annotations"] = records[data.pieces(spec).rows(len(records), "annotations")]
        names = [coco.file_name(entry) for entry in whole["images"]]
        folder = images or door.images_beside(path, names)
        kinds = coco.skeletons(spec, whole.get("categories"))
        if not kinds:
            raise ValueError(f"{path}: no entry of `categories` has `keypoints`, the joints' names")
        return _people(spec, whole, folder, split, kinds)
    if reader == "lsp":  # it masks what lies outside the picture, where it finds the picture
        folder = images or door.images_beside(path)
        samples = [_moved(sample, folder) for sample in data.read(spec, _NOWHERE)]
    else:
        samples = data.read(spec, images)
    return gather(samples, spec, split=split)


def _moved(sample: Sample, folder: Path) -> Sample:
    return replace(sample, image=folder / sample.image.name)


def gather(samples: Sequence[Sample], source: str = "", *, split: str = "") -> list[Annotations]:
    """People from memory, one for each skeleton; errors as `load`."""
    images = list(dict.fromkeys(sample.image for sample in samples))
    folder = door.common_folder(images) if images else Path()
    number = {image: n for n, image in enumerate(images, 1)}
    skeletons = list(dict.fromkeys(sample.skeleton for sample in samples))
    kinds = {skeleton: n for n, skeleton in enumerate(skeletons, 1)}
    whole = {
        "images": [
            {"id": n, "file_name": door.within(image, folder)} for image, n in number.items()
        ],
        "annotations": [
            _record(sample, n, number[sample.image], kinds[sample.skeleton])
            for n, sample in enumerate(samples, 1)
        ],
        "categories": [
            {
                "id": n,
                "name": "person",
                "keypoints": list(skeleton.joints),
                "skeleton": (skeleton.edges + 1).tolist(),
            }
            for skeleton, n in kinds.items()
        ],
    }
    by_id = dict(zip(kinds.values(), kinds, strict=True))
    return _people(source, whole, folder, split, by_id)


def _record(sample: Sample, number: int, image: int, category: int) -> dict[str, Any]:
    flags = sample.visible.astype(np.float64)
    rows = np.column_stack([np.where(flags[:, None] > 0, sample.xy, 0), flags])
    made = coco.record(sample.xy, sample.visible, sample.box, sample.area)
    places = rows.ravel().tolist()  # as they are written
    own = {"category_id": category, "keypoints": places}
    if sample.weight is not None:
        own["keypoint_weights"] = [float(v) for v in sample.weight]
    return {"id": number, "image_id": image} | made | own


def _people(
    source: str, whole: dict[str, Any], folder: Path, split: str, skeletons: dict[Any, Skeleton]
) -> list[Annotations]:
    """The people of a file in COCO's layout, one for each skeleton that it describes."""
    entries = whole["images"]
    images = tuple(folder / coco.file_name(entry) for entry in entries)
    shared = {
        "source": source,
        "images": images,
        "stated": _sizes([(entry.get("height"), entry.get("width")) for entry in entries]),
        "size": _sizes([door.picture_size(image) or (None, None) for image in images]),
        "part": tuple(_part(e, i, split, source) for e, i in zip(entries, images, strict=True)),
        "whole": whole,
    }
    rows = {entry["id"]: row for row, entry in enumerate(entries)}
    people: dict[Any, list[Any]] = {skeleton: [] for skeleton in skeletons.values()}
    broken: dict[int, str] = {}
    for place, record in enumerate(whole["annotations"]):
        try:
            if record.get("iscrowd") or not record.get("keypoints"):
                continue
            skeleton = skeletons[record.get("category_id", 1)]
            people[skeleton].append((place, rows[record["image_id"]], *_values(record, skeleton)))
        except KeyError as fault:
            broken[place] = f"it lacks or names an unknown {fault}"
        except (ValueError, TypeError, AttributeError) as fault:
            broken[place] = str(fault)
    made = [_stacked(some, skeleton, shared) for skeleton, some in people.items()]
    return [replace(made[0], broken=broken), *made[1:]] if made else []


def _part(entry: dict[str, Any], image: Path, split: str, source: str) -> str:
    if split == "folder":
        return image.parent.name
    if split and split not in entry:
        raise ValueError(f"{source}: the entry of {image.name} has no key {split!r} to split by")
    return str(entry[split]) if split else source


def _sizes(pairs: Sequence[tuple[Any, Any]]) -> Doubles:
    """Heights and widths, (M, 2); NaN for what is no positive number."""
    known = [
        [float(v) if isinstance(v, int | float) and v > 0 else np.nan for v in p] for p in pairs
    ]
    return np.array(known, dtype=np.float64).reshape(-1, 2)


def _values(record: dict[str, Any], skeleton: Skeleton) -> tuple[Doubles, Doubles]:
    """Joints (K, 3) and box (4,) of one record."""
    flat = np.array([_number(value) for value in record["keypoints"]])
    if flat.size != 3 * len(skeleton):
        raise ValueError(f"`keypoints` holds {flat.size} numbers, wanted {3 * len(skeleton)}")
    numbers = [_number(value) for value in record.get("bbox") or []]
    if len(numbers) != 4:
        return flat.reshape(-1, 3), np.full(4, np.nan)
    x, y, width, height = numbers
    return flat.reshape(-1, 3), np.array([x, y, x + width, y + height])


def _number(value: Any) -> float:
    """The number, NaN for none; infinity where it is so large that sums of it may overflow."""
    number = math.nan if value is None else float(value)
    return math.copysign(math.inf, number) if abs(number) > door.FAR else number


def _stacked(some: list[Any], skeleton: Skeleton, shared: dict[str, Any]) -> Annotations:
    k = len(skeleton)
    rows = np.array([one[2] for one in some], dtype=np.float64).reshape(-1, k, 3)
    return Annotations(
        skeleton=skeleton,
        image=np.array([one[1] for one in some], dtype=np.int64),
        xy=rows[..., :2],
        flag=rows[..., 2],
        box=np.array([one[3] for one in some], dtype=np.float64).reshape(-1, 4),
        record=np.array([one[0] for one in some], dtype=np.int64),
        **shared,
    )
