"""People found by a model as labels: chosen joints, mended labels, and a COCO file that says so."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from posegram import data
from posegram.data import coco, door, folder, joints
from posegram.data.mend import mend
from posegram.infer import boxes as given_boxes
from posegram.pose import BODY19, Floats, People, Sample, Skeleton, convert
from posegram.scores import overall

__all__ = ["Label", "Task", "as_labels", "from_record", "mended", "tasks", "to_record", "write"]


@dataclass(frozen=True, eq=False)
class Task:
    """One photo to label."""

    photo: Path
    box: Floats | None = None  # (N, 4) x0, y0, x1, y1 image pixels; None: the model's own affair
    samples: tuple[Sample, ...] = ()  # N labelled people whose boxes these are, or none
    size: tuple[int, int] | None = None  # height, width for which the boxes were given


@dataclass(frozen=True, eq=False)
class Label:
    """One person as a label."""

    sample: Sample
    score: Floats  # (K,) the model's probability for each joint, 0 where it knows no such joint
    source: str  # "model" or "mended"


def tasks(source: str, boxes: Path | None = None, images: Path | None = None) -> list[Task]:
    """The photos that a source names, each once, with the boxes known for them.

    Args:
        source: a folder of photos, or labels as `posegram.data.read` takes them.
        boxes: a COCO file with people's boxes; photos that it does not list are left out.
        images: folder of the pictures of labels; by default beside them.

    Raises:
        FileNotFoundError: there is no such file or folder, or none of the labels' pictures.
        ValueError: there is no photo, the boxes fit none, the labels are refused, or boxes,
            images or a range are given where they mean nothing.
    """
    place = Path(source.removeprefix("folder:"))
    if not (source.startswith("folder:") or _plain(place)):
        return _with_labels(source, boxes, images)
    if images is not None:
        raise ValueError(f"{source} is a folder of photos; --images goes with labels")
    photos = folder.images_in(place)
    if not photos:
        raise ValueError(f"{place}: holds no photo")
    if boxes is None:
        return [Task(photo) for photo in photos]
    matched = given_boxes.match(photos, given_boxes.read_boxes(boxes, people=True))
    found = [Task(p, matched[p].box, size=matched[p].size) for p in photos if p in matched]
    if not found:
        raise ValueError(f"{boxes} lists none of the photos ({len(photos)}) by file name")
    return found


def _with_labels(source: str, boxes: Path | None, images: Path | None) -> list[Task]:
    """The photos of labels; not all of them have to be there, but some."""
    if data.reader_of(source)[0] == "folder":  # else each photo would be one person, unasked
        raise ValueError(f"{source} is a folder of photos; a range goes with labels")
    labelled = _labelled(data.read(source, images))
    if boxes is not None:
        raise ValueError(f"{source} has boxes of its own; --boxes goes with a folder of photos")
    if not any(task.photo.exists() for task in labelled):
        door.require_pictures(task.photo for task in labelled)
    return labelled


def _plain(place: Path) -> bool:
    """Whether this is a folder of photos, without labels that a reader knows."""
    return place.is_dir() and data.reader_of(str(place))[0] == "folder"


def _labelled(samples: Sequence[Sample]) -> list[Task]:
    rows: dict[Path, list[Sample]] = {}
    for sample in samples:
        rows.setdefault(sample.image, []).append(sample)
    return [Task(p, np.stack([s.box for s in some]), tuple(some)) for p, some in rows.items()]


def to_record(people: People, size: tuple[int, int]) -> dict[str, Any]:
    """What was found in one photo of that height and width, as plain values."""
    xy = [[None if np.isnan(v) else round(float(v), 3) for v in p.ravel()] for p in people.xy]
    score = np.round(people.score.astype(np.float64), 5).tolist()
    box = np.round(people.box.astype(np.float64), 3).tolist()
    return {"size": list(size), "xy": xy, "score": score, "box": box}


def from_record(record: dict[str, Any], skeleton: Skeleton) -> People:
    """The people that `to_record` noted, of that skeleton."""
    k = len(skeleton)
    return People(
        np.array(record["xy"], dtype=np.float32).reshape(-1, k, 2),
        np.array(record["score"], dtype=np.float32).reshape(-1, k),
        np.array(record["box"], dtype=np.float32).reshape(-1, 4),
        skeleton,
    )


def as_labels(task: Task, people: People, *, least: float, whole: bool = False) -> list[Label]:
    """The people of one photo as labels; joints below the least score are not labelled.

    The flag of a labelled joint is 1, since a model does not tell hidden from seen; its weight is
    score^2, as `posegram.data.mend.mend` weighs a joint that only the teacher knows. Somebody
    without any such joint is left out.

    Args:
        task: the photo.
        people: who was found in it.
        least: the smallest score of a joint that is labelled.
        whole: the boxes are those of whole photos; then the joints' own bounds are taken.
    """
    made = []
    for xy, score, box in zip(people.xy, people.score, people.box, strict=True):
        kept = np.isfinite(xy).all(axis=1) & (score >= least)
        if not kept.any():
            continue
        sample = Sample(
            image=task.photo,
            xy=np.where(kept[:, None], xy, 0).astype(np.float32),
            visible=kept.astype(np.uint8),
            box=door.person_box(xy, kept) if whole else box,
            head=None,
            area=None,
            skeleton=people.skeleton,
            weight=np.where(kept, score**2, 0).astype(np.float32),
        )
        made.append(Label(sample, score, "model"))
    return made


def mended(task: Task, people: People, *, trust: float, least: float) -> list[Label]:
    """A photo's own labels combined with what a teacher found in their boxes, in BODY-19.

    Args:
        task: the photo with its labelled people.
        people: one for each of them, in their order; scores are probabilities of being right.
        trust: probability that a label is right, see `posegram.data.mend.mend`.
        least: a joint with a smaller score counts as not found.

    Raises:
        ValueError: people and labels do not count the same.
    """
    if len(people) != len(task.samples):
        count = f"{len(people)} people came back for {len(task.samples)} labelled ones"
        raise ValueError(f"{task.photo}: {count}")
    found = convert(people, BODY19)
    sure = np.where(found.score >= least, found.score, 0).astype(np.float32)
    made = []
    for row, sample in enumerate(task.samples):
        better = mend(joints.in_skeleton(sample, BODY19), found.xy[row], sure[row], trust=trust)
        made.append(Label(better, found.score[row], "mended"))
    return made


def write(
    path: Path,
    labels: Sequence[Label],
    photos: dict[Path, tuple[int, int]],
    info: dict[str, Any],
    skeleton: Skeleton,
) -> Path:
    """The COCO annotation file written, atomically; it says that a model made it, and which.

    Every annotation has, beside COCO's keys and the `keypoint_weights` of `coco.write`:
    `score`, the person's; `keypoint_scores`; `label_source`, "model" or
    "mended". A photo in which nobody was found stands among the images.

    Args:
        path: the JSON file to write.
        labels: people of that skeleton, perhaps none.
        photos: height and width of every photo that was looked at.
        info: goes into the file's `info`.
        skeleton: whose joints the file names.
    """
    root = Path(os.path.commonpath([photo.absolute().parent for photo in photos or [path]]))
    whole = coco.heading(skeleton, "") | {"images": [], "annotations": []}
    if labels:
        whole = _written(path, labels, root)
    for record, label in zip(whole["annotations"], labels, strict=True):
        known = label.score[label.score > 0]
        record["score"] = round(float(overall(known)), 5)
        record["keypoint_scores"] = [round(float(v), 4) for v in label.score]
        record["label_source"] = label.source
    empty = set(photos) - {label.sample.image for label in labels}
    whole["images"] += _unpeopled([p for p in photos if p in empty], photos, whole["images"], root)
    return door.save_json(path, {**whole, "info": info})


def _written(path: Path, labels: Sequence[Label], root: Path) -> dict[str, Any]:
    """What `coco.write` makes of the labels."""
    samples = [replace(one.sample, image=one.sample.image.absolute()) for one in labels]
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        whole: dict[str, Any] = door.load_json(coco.write(draft, samples, root))
    finally:
        draft.unlink(missing_ok=True)
    return whole


def _unpeopled(
    photos: Sequence[Path],
    sizes: dict[Path, tuple[int, int]],
    others: Sequence[dict[str, Any]],
    root: Path,
) -> list[dict[str, Any]]:
    """Image entries of photos in which nobody was found, their ids behind the others'."""
    start = max((record["id"] for record in others), default=0) + 1
    return [
        {
            "id": number,
            "file_name": photo.absolute().relative_to(root).as_posix(),
            "height": sizes[photo][0],
            "width": sizes[photo][1],
        }
        for number, photo in enumerate(photos, start)
    ]
