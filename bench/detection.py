"""Boxes of people in whole photos: recall, precision, false alarms and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from given import Rival, spread, times
from peers import MediaPipe, MultiPose, NanoDet
from timing import clock, in_turns, nowhere, progress

from posegram import coords, data
from posegram import image as pictures
from posegram.coords import whole
from posegram.data.door import images_beside, load_json
from posegram.data.folder import images_in
from posegram.data.scenes import input_size
from posegram.infer.detect import Detector
from posegram.metrics import bootstrap, boxes
from posegram.pose import Floats, Image

SMALL = 32.0**2  # square pixels of an outline; COCO's keypoint task has no smaller people


@dataclass(frozen=True, eq=False)
class Finder:
    """What finds people: their boxes, or people themselves."""

    name: str
    find: Callable[[Image], Floats]  # photo -> boxes (N, 4) image pixels
    boxes: bool = True  # whether it is made to find boxes, not only joints
    elsewhere: Callable[[], float] = nowhere


@dataclass(frozen=True, eq=False)
class Photo:
    """One labelled photo; boxes are x0, y0, x1, y1 image pixels."""

    path: Path
    id: int
    people: Floats  # (N, 4) everybody labelled
    area: Floats  # (N,) square pixels, of the outlines
    crowds: Floats  # (M, 4)
    complete: bool  # everybody in the photo is labelled


def photos_of(spec: str, most: int) -> tuple[dict[str, Any], list[Photo]]:
    """At most so many photos of a COCO file, evenly spread, and the file's part about them."""
    _, path = data.reader_of(spec)
    truth = load_json(path)
    shots = sorted(truth["images"], key=lambda shot: shot["id"])
    shots = [shots[row] for row in spread(len(shots), most)]
    ids = {shot["id"] for shot in shots}
    labels = [label for label in truth["annotations"] if label["image_id"] in ids]
    folder = images_beside(path)
    photos = [_photo(folder, shot, labels) for shot in shots]
    return {**truth, "images": shots, "annotations": labels}, photos


def _photo(folder: Path, shot: dict[str, Any], labels: Sequence[dict[str, Any]]) -> Photo:
    own = [label for label in labels if label["image_id"] == shot["id"]]
    people = [label for label in own if not label.get("iscrowd")]
    crowds = [label for label in own if label.get("iscrowd")]
    return Photo(
        folder / shot["file_name"],
        shot["id"],
        _corners(people),
        np.array([label["area"] for label in people], dtype=np.float32),
        _corners(crowds),
        bool(shot.get("all_people_listed", True)),
    )


def _corners(labels: Sequence[dict[str, Any]]) -> Floats:
    box = np.array([label["bbox"] for label in labels], dtype=np.float32).reshape(-1, 4)
    return np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)


def backgrounds(folder: Path | None, most: int) -> list[Path]:
    """At most so many photos without people, evenly spread; none without a folder."""
    if folder is None:
        return []
    paths = images_in(folder)
    return [paths[row] for row in spread(len(paths), most)]


def finders(
    own: Rival, boxes_by: dict[str, NanoDet | MultiPose], single: MediaPipe | None
) -> list[Finder]:
    """posegram's detector first, then the others'."""
    found = [Finder(f"{own.name}, detector", own.estimate.detect)]
    for name, one in boxes_by.items():
        find = one.scored if isinstance(one, MultiPose) else one
        found.append(Finder(name, (lambda photo, f=find: f(photo)[0]) if find != one else one))
    if single is not None:
        found.append(
            Finder("mediapipe", lambda photo: single(photo).box, False, lambda: single.spent)
        )
    return found


def detection(
    group: Sequence[Finder], photos: Sequence[Photo], empty: Sequence[Path]
) -> list[dict[str, Any]]:
    """Recall, precision, false alarms and time of each finder, as plain values."""
    counts = np.zeros((len(group), len(photos), 6))
    spent = np.zeros((len(group), len(photos)))
    for row, photo in enumerate(photos):
        image = pictures.read(photo.path)
        for n, ms, box in _turns(group, image, row):
            spent[n, row], counts[n, row] = ms, _counts(box, photo)
        progress("boxes", row + 1, len(photos))
    alarms = np.zeros((len(group), len(empty)))
    for row, path in enumerate(empty):
        image = pictures.read(path)
        for n, _, box in _turns(group, image, row):
            alarms[n, row] = len(box)
        progress("backgrounds", row + 1, len(empty))
    return [
        {
            "name": one.name,
            **times(spent[n], spent[0]),
            **_shares(counts[n], one.boxes),
            "alarms": float(alarms[n].mean()) if len(empty) else None,
            "alarmed": float((alarms[n] > 0).mean()) if len(empty) else None,
        }
        for n, one in enumerate(group)
    ]


def _turns(group: Sequence[Finder], image: Image, row: int) -> list[tuple[int, float, Floats]]:
    """Row, CPU milliseconds and boxes of everybody on one photo."""
    if row == 0:
        for one in group:
            one.find(image)  # the first call of all prepares memory
    order = in_turns(len(group), row)
    return [(n, *clock(group[n].find, image, elsewhere=group[n].elsewhere)) for n in order]


def _counts(box: Floats, photo: Photo) -> list[int]:
    """Hits and people, of all and of the large; right and wrong boxes where all are listed."""
    large = photo.area >= SMALL
    every = boxes.match(box, photo.people, photo.crowds)
    small = np.concatenate([photo.people[~large], photo.crowds])
    some = boxes.match(box, photo.people[large], small)
    right, wrong = int((every == 1).sum()), int((every == 0).sum())
    judged = [right, wrong] if photo.complete else [0, 0]
    return [right, len(large), int((some == 1).sum()), int(large.sum()), *judged]


def _shares(counts: np.ndarray, has_boxes: bool) -> dict[str, Any]:
    """Percentages with intervals of counts (photos, 6)."""
    if not has_boxes:
        return {"recall": None, "recall_large": None, "precision": None}
    pairs = {"recall": (0, 1), "recall_large": (2, 3)}
    found = {name: _share(counts[:, a], counts[:, b]) for name, (a, b) in pairs.items()}
    return found | {"precision": _share(counts[:, 4], counts[:, 4] + counts[:, 5])}


def _share(part: np.ndarray, whole: np.ndarray) -> dict[str, Any] | None:
    """Sum of part / sum of whole in per cent, with an interval over photos; None of nothing."""
    if not whole.sum():
        return None

    def statistic(weights: np.ndarray) -> np.ndarray:
        under = weights @ whole
        return 100 * ((weights @ part) / np.where(under > 0, under, np.nan))[:, None]

    drawn = bootstrap.interval(statistic, len(part), resamples=1000, seed=0)
    ends = [float(end[0]) for end in (drawn.low, drawn.high)]
    low, high = (None if np.isnan(end) else end for end in ends)
    return {"value": float(drawn.value[0]), "low": low, "high": high}


def stages(own: Detector, photo: Image, repeats: int) -> dict[str, float]:
    """CPU milliseconds of posegram's detector on one photo, by stage, medians."""
    size = input_size(photo.shape[:2], own.card.size)
    spent = []
    for _ in range(repeats + 1):
        cut, (picture, _) = clock(lambda: coords.crop(photo, whole(photo), size, margin=1.0))
        ran, _ = clock(own.network, picture)
        spent.append((cut, ran, clock(own, photo)[0]))
    cut, ran, total = np.median(spent[1:], axis=0).tolist()
    return {"crop": cut, "network": ran, "decode": max(total - cut - ran, 0.0)}
