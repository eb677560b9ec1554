"""What a format of labels cannot hold, counted before people are written in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posegram.areas import OUTLINE
from posegram.data import coco, door, labelme, yolo, yolo_folders
from posegram.data.joints import in_skeleton, plain
from posegram.pose import LSP14, MPII16, Sample, Skeleton, sources

__all__ = ["FIXED", "Loss", "dropped", "losses", "renamed", "unread"]

_SHOWN = 3  # names of joints in a sentence

FIXED: dict[str, Skeleton] = {"lsp": LSP14, "mpii": MPII16}  # formats with joints of their own


@dataclass(frozen=True)
class Loss:
    """Something that does not survive the way into a format."""

    count: int
    unit: str  # of what the count is
    what: str

    def __str__(self) -> str:
        one = "person" if self.unit == "people" else self.unit.removesuffix("s")
        return f"{self.count:,} {one if self.count == 1 else self.unit}: {self.what}"


def losses(samples: Sequence[Sample], form: str) -> list[Loss]:
    """What a writer of `posegram.data.WRITERS` leaves out or changes of these people.

    Args:
        samples: who is to be written.
        form: the writer's name.
    """
    found = [_joints(samples, FIXED[form])] if form in FIXED else []
    found += [count(samples) for count in _KINDS[form]]
    return [loss for loss in found if loss.count]


def dropped(samples: Sequence[Sample], skeleton: Skeleton) -> list[Loss]:
    """The labelled joints of these people that another skeleton has no place for."""
    found = _joints(samples, skeleton)
    return [found] if found.count else []


def renamed(own: Mapping[str, Any], category: str, joints: Sequence[str]) -> list[Loss]:
    """The names of a set that are written otherwise than it spells them.

    Args:
        own: an entry of `posegram.data.categories`.
        category: what people are called in the new file; "" where it calls them nothing.
        joints: the names that are written; none where the format has no place for any.
    """
    usual = category or "person"
    name = own.get("name", usual)
    written = f"written as {category}" if category else "not kept"
    known = {plain(joint): joint for joint in joints}
    other = [new for j in own.get("keypoints", ()) if (new := known.get(plain(j), j)) != j]
    some = ", ".join(other[:_SHOWN]) + ", ..." * (len(other) > _SHOWN)
    found = [
        Loss(int(name != usual), "names", f"category {name}, {written}"),
        Loss(len(other), "spellings", f"of joints, written as {some}"),
    ]
    return [loss for loss in found if loss.count]


def unread(
    reader: str, path: Path, images: Path | None = None, parts: Sequence[str] = ("",)
) -> list[Loss]:
    """What a set holds beside people with joints, and our reader leaves out.

    Args:
        reader: its name; of others than coco, labelme and yolo nothing is known.
        path: the set, which that reader has read.
        images: the pictures' folder, where it was given.
        parts: those of a YOLO set that were read, as `posegram.data.pieces` gives them.
    """
    found: list[Loss] = []
    if reader == "yolo":
        found = _unread_yolo(path, images, parts)
    elif reader == "coco":
        found = _unread_coco(path)
    elif reader == "labelme":
        found = [Loss(labelme.others(path), "shapes", "neither point nor rectangle, not read")]
    return [loss for loss in found if loss.count]


def _unread_yolo(path: Path, images: Path | None, parts: Sequence[str]) -> list[Loss]:
    left = yolo_folders.parts_left(path, parts)
    lines = sum(yolo.others(path, images, part) for part in parts)
    advice = f"{' or '.join(f'#{part}' for part in left)} behind the path reads it"
    return [
        Loss(lines, "lines", "of other classes, not read"),
        Loss(len(left), "parts", f"{' and '.join(left)}, not read; {advice}"),
    ]


def _unread_coco(path: Path) -> list[Loss]:
    whole = door.load_json(path)
    records: list[dict[str, Any]] = whole["annotations"]
    crowds = [r for r in records if r.get("iscrowd")]
    single = [r for r in records if not r.get("iscrowd")]
    people = [r for r in single if any(v > 0 for v in (r.get("keypoints") or ())[2::3])]
    shown = {r.get("image_id") for r in people}
    empty = [image for image in whole["images"] if image["id"] not in shown]
    outlines = [r for r in people if r.get("segmentation")]
    licences = [image for image in whole["images"] if image.get("license")]
    tracks = [r for r in people if "track_id" in r]
    return [
        Loss(len(crowds), "crowd regions", "not read"),
        Loss(len(single) - len(people), "annotations", "without a labelled joint, not read"),
        Loss(len(empty), "pictures", "without a person who has joints, not read"),
        Loss(len(outlines), "people", "outline (segmentation), of which only the area is kept"),
        Loss(len(licences), "pictures", "licence of the photo"),
        Loss(len(tracks), "people", "track_id"),
        _bones(path, whole, {r.get("category_id", 1) for r in people}),
    ]


def _bones(path: Path, whole: dict[str, Any], used: set[Any]) -> Loss:
    """Bones of the file that our skeletons of its categories do not have."""
    count = 0
    kinds = coco.skeletons(path, whole.get("categories"))
    for entry in whole.get("categories") or ():
        bones, own = entry.get("skeleton"), kinds.get(entry["id"])
        if own is None or entry["id"] not in used or not isinstance(bones, list):
            continue
        known = [ends for a, b in (own.edges + 1).tolist() for ends in ([a, b], [b, a])]
        count += sum(bone not in known for bone in bones)
    return Loss(count, "bones", "not kept; those known between joints of these names are taken")


def _joints(samples: Sequence[Sample], skeleton: Skeleton) -> Loss:
    """Labelled joints that have no place in a skeleton."""
    lost: Counter[str] = Counter()
    for sample in samples:
        kept = _kept(sample.skeleton, skeleton)
        for joint, v in zip(sample.skeleton.joints, sample.visible, strict=True):
            if v and joint not in kept:
                lost[joint] += 1
    return Loss(lost.total(), "labelled joints", f"{skeleton.name} has no {', '.join(lost)}")


def _kept(source: Skeleton, target: Skeleton) -> set[str]:
    """The joints of one skeleton that another one has, perhaps under another name."""
    return {source.joints[row] for joint in target.joints for row in sources(joint, source)}


def _people(what: str, holds: Callable[[Sample], bool]) -> Callable[[Sequence[Sample]], Loss]:
    return lambda samples: Loss(sum(holds(s) for s in samples), "people", what)


def _hidden(samples: Sequence[Sample]) -> Loss:
    count = sum(int((s.visible == 1).sum()) for s in samples)
    return Loss(count, "hidden joints", "MPII's lists do not tell hidden from seen")


def _unlabelled(samples: Sequence[Sample]) -> Loss:
    count = sum(int((in_skeleton(s, LSP14).visible == 0).sum()) for s in samples)
    return Loss(count, "joints", "not labelled; LSP has no sign for that, so NaN is written")


def _bare(samples: Sequence[Sample]) -> Loss:
    count = sum(int((in_skeleton(s, LSP14).visible > 0).sum()) < 2 for s in samples)
    return Loss(count, "people", "fewer than two of LSP's joints, so our reader leaves them out")


def _shared(samples: Sequence[Sample]) -> Loss:
    count = Counter(s.image for s in samples)
    several = sum(n > 1 for n in count.values())
    return Loss(several, "pictures", "of several people; LSP has one each, so they are repeated")


def _outside(samples: Sequence[Sample]) -> Loss:
    count = 0
    for sample, size in _sized(samples):
        far = (sample.xy < 0) | (sample.xy > np.array(size[::-1]))
        count += int((far.any(axis=1) & (sample.visible > 0)).sum())
    return Loss(count, "labelled joints", "outside their picture, which YOLO refuses")


def _cut(samples: Sequence[Sample]) -> Loss:
    count = 0
    for sample, size in _sized(samples):
        ends = sample.box.reshape(2, 2)
        # less than a pixel is a matter of where counting starts
        count += int((np.abs(ends - ends.clip(0, size[::-1])) >= 1).any())
    return Loss(count, "people", "box beyond the picture, cut at its edges")


def _sized(samples: Sequence[Sample]) -> list[tuple[Sample, tuple[int, int]]]:
    sizes = {image: door.picture_size(image) for image in dict.fromkeys(s.image for s in samples)}
    return [(s, size) for s in samples if (size := sizes[s.image]) is not None]


def _square(sample: Sample) -> bool:
    wide, high = sample.box[2:] - sample.box[:2]
    return abs(float(wide - high)) < 1e-2


_HEAD = _people("head size", lambda s: s.head is not None)
_AREA = _people("area", lambda s: s.area is not None and not s.estimated)
_WEIGHT = _people("trust in each label (weights)", lambda s: s.weight is not None)
_KINDS: dict[str, tuple[Callable[[Sequence[Sample]], Loss], ...]] = {
    "coco": (
        _HEAD,
        _people(f"area not known, so estimated as {OUTLINE} x the box", lambda s: s.area is None),
    ),
    "yolo": (_HEAD, _AREA, _WEIGHT, _outside, _cut),
    "mpii": (
        *(_HEAD, _AREA, _WEIGHT, _hidden),
        _people("box, of which MPII keeps the square around it", lambda s: not _square(s)),
    ),
    "lsp": (
        *(_HEAD, _AREA, _WEIGHT, _unlabelled, _bare, _shared),
        _people("box, which LSP's readers make from the joints", lambda s: True),
    ),
}
