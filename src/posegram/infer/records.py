"""What predicting leaves behind: JSON, and every other form of results by its name."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posegram.data import coco, coco_stream, table, yolo
from posegram.data.stream import FileStream, Shot, Stream, person_scores
from posegram.pose import Floats, People, Skeleton

__all__ = [
    "FORMS",
    "Frames",
    "coco_entries",
    "image_ids",
    "open_writer",
    "photo_record",
]

FORMS = {  # form of results -> what its file name ends in, behind the clip's stem
    "json": ".json",
    "coco": "_coco_results.json",
    "coco-annotations": "_coco.json",
    "yolo": "_yolo",  # a folder
    "csv": ".csv",
    "csv-wide": "_wide.csv",
}


def open_writer(
    form: str,
    path: str | Path,
    skeleton: Skeleton,
    *,
    model: str = "",
    threshold: float = 0.3,
    pictures: bool = True,
) -> Stream:
    """A writer of results under way: `with open_writer(...) as out: out.add(people, ...)`.

    Memory does not grow with the number of pictures. See docs/formats.md for each form.

    Args:
        form: one of `FORMS`.
        path: the file to write; the folder for `yolo`.
        skeleton: joints to write; people of another one are converted by joint name.
        model: the model's name, for forms that tell it.
        threshold: the smallest score of a joint that becomes a label (`coco-annotations`, `yolo`)
            or part of an angle (`csv-wide`); other forms hold every joint with its score.
        pictures: lay photos beside their labels (`yolo`), see `posegram.data.yolo.Labels`.

    Raises:
        ValueError: there is no such form.
        OSError: the folder does not exist, or cannot be written to.
    """
    if form not in FORMS:
        raise ValueError(f"no form {form!r} of results; there are {', '.join(FORMS)}")
    path = Path(path)
    if form == "json":
        return Frames(path, skeleton, model=model)
    if form == "coco-annotations":
        return coco_stream.Annotations(path, skeleton, model=model, threshold=threshold)
    if form == "yolo":
        return yolo.Labels(path, skeleton, threshold=threshold, pictures=pictures)
    if form == "csv-wide":
        return table.Wide(path, skeleton, threshold=threshold)
    return table.Long(path, skeleton) if form == "csv" else coco_stream.Results(path, skeleton)


class Frames(FileStream):
    """One JSON object with an entry of `frames` per picture: `frame`, `time`, `image`, `people`.

    What is the same for all, such as `joints`, stands once, before them. A person is as in
    `photo_record`, with `track` where people have one.
    """

    def __init__(self, path: Path, skeleton: Skeleton, *, model: str = "") -> None:
        super().__init__(path, skeleton)
        heading = json.dumps(_heading(model, skeleton))
        self._begin(heading[:-1] + ', "frames": [')

    def _write(self, people: People, shot: Shot) -> None:
        height, width = shot.size or (None, None)
        entry = {
            "frame": shot.frame,
            "time": None if shot.time is None else round(shot.time, 6),
            "image": None if shot.image is None else shot.image.as_posix(),
            "width": width,
            "height": height,
            "people": _people(people),
        }
        self._file.entry(json.dumps(entry, allow_nan=False))

    def _end(self) -> None:
        self._file.write("\n]}\n")


def photo_record(photo: Path, size: tuple[int, int], people: People, model: str) -> dict[str, Any]:
    """What `posegram predict` writes as JSON for one photo.

    | key | value |
    |---|---|
    | `image` | the photo's path as given |
    | `width`, `height` | of the upright photo, in pixels |
    | `model` | name of the model |
    | `skeleton` | name of the set of joints |
    | `joints` | names of all joints, in the skeleton's order |
    | `bones` | pairs of names |
    | `people` | one object per person: `box` (x0, y0, x1, y1), `score`, `joints` |

    A person's `joints` maps every name to {`x`, `y`, `score`}, or to null where the model has no
    such joint. Pixels: x right, y down, (0, 0) is the centre of the top-left pixel; a joint may
    lie outside the photo. Scores: 0 to 1, the probability that the joint is right; a person's is
    that of `posegram.scores.overall` over the joints that exist.

    Args:
        photo: the photo's path.
        size: its height and width in pixels.
        people: who was found.
        model: the model's name.
    """
    photo_facts = {"image": photo.as_posix(), "width": size[1], "height": size[0]}
    return photo_facts | _heading(model, people.skeleton) | {"people": _people(people)}


def _heading(model: str, skeleton: Skeleton) -> dict[str, Any]:
    return {
        "model": model,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "bones": [list(bone) for bone in skeleton.bones],
    }


def _people(people: People) -> list[dict[str, Any]]:
    scores = person_scores(people)
    return [_person(people, n, float(scores[n])) for n in range(len(people))]


def _person(people: People, n: int, score: float) -> dict[str, Any]:
    pairs = zip(people.skeleton.joints, people.xy[n], people.score[n], strict=True)
    track = {} if people.track is None else {"track": int(people.track[n])}
    return track | {
        "box": [round(float(v), 3) for v in people.box[n]],
        "score": round(score, 6),
        "joints": {name: _joint(xy, float(sure)) for name, xy, sure in pairs},
    }


def _joint(xy: Floats, score: float) -> dict[str, float] | None:
    if not np.isfinite(xy).all():
        return None
    return {"x": round(float(xy[0]), 3), "y": round(float(xy[1]), 3), "score": round(score, 6)}


def coco_entries(
    people: People, image_id: int, categories: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """COCO results of one image, one per person in order (cocodataset.org/#format-results).

    `keypoints` is x, y, score for every joint, 0, 0, 0 for one that does not exist; `score` is
    that of `person_scores`.

    Args:
        people: who was found.
        image_id: the image's number.
        categories: one category id per person; 1, the person, without them.
    """
    entries = coco.results(image_id, people)
    if categories is None:
        return entries
    pairs = zip(entries, categories, strict=True)
    return [entry | {"category_id": category} for entry, category in pairs]


def image_ids(photos: Sequence[Path]) -> list[int]:
    """A different id for each photo, in their order.

    It is the number that a COCO-style file name is (000000000123.jpg, COCO_val2014_000000000123
    .jpg). A photo without a number, or whose number another one has, too, gets its position in
    the order of names, counted from 1, or the next free number.
    """
    numbers = [_number(photo) for photo in photos]
    count = Counter(numbers)
    kept = {row: n for row, n in enumerate(numbers) if n is not None and count[n] == 1}
    taken = set(kept.values())
    order = sorted(range(len(photos)), key=lambda row: (photos[row].name, photos[row].as_posix()))
    for position, row in enumerate(order, 1):
        if row not in kept:
            kept[row] = next(n for n in itertools.count(position) if n not in taken)
            taken.add(kept[row])
    return [kept[row] for row in range(len(photos))]


def _number(photo: Path) -> int | None:
    found = re.fullmatch(r"(?:COCO_\w+_)?([0-9]{1,18})", photo.stem)
    return int(found[1]) if found else None
