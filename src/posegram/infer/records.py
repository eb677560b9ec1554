"""What predicting leaves behind: one JSON object per photo, or COCO results and image ids."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posegram.data import coco
from posegram.pose import Floats, People

__all__ = ["coco_entries", "image_ids", "person_scores", "photo_record"]


def person_scores(people: People) -> Floats:
    """Mean score of each person over the joints that exist, (N,); 0 where none does."""
    has = np.isfinite(people.xy).all(axis=2)
    total = np.where(has, people.score, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(has.sum(axis=1), 1), dtype=np.float32)


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
    the mean over the joints that exist.

    Args:
        photo: the photo's path.
        size: its height and width in pixels.
        people: who was found.
        model: the model's name.
    """
    scores = person_scores(people)
    return {
        "image": photo.as_posix(),
        "width": size[1],
        "height": size[0],
        "model": model,
        "skeleton": people.skeleton.name,
        "joints": list(people.skeleton.joints),
        "bones": [list(bone) for bone in people.skeleton.bones],
        "people": [_person(people, n, float(scores[n])) for n in range(len(people))],
    }


def _person(people: People, n: int, score: float) -> dict[str, Any]:
    pairs = zip(people.skeleton.joints, people.xy[n], people.score[n], strict=True)
    return {
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
