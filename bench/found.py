"""People found in whole photos, with their joints: AP, time, and the time for five people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from detection import SMALL, Finder, Photo, detection, photos_of
from given import Rival, one_look, percent, plain, times
from peers import MediaPipe, MultiPose, NanoDet
from timing import clock, in_turns, nowhere, progress

from posegram import image as pictures
from posegram.infer.evaluate import evaluate_results
from posegram.pose import COCO17, Floats, Image, People, convert
from posegram.scores import overall

FIVE = 5  # people in a photo whose time is taken
_SHOTS = 6  # photos of five people


@dataclass(frozen=True, eq=False)
class Shot:
    """A photo and five people's boxes (5, 4) in it."""

    path: Path
    image: Image
    box: Floats


@dataclass(frozen=True, eq=False)
class Seeker:
    """What finds people and their joints; with `pose`, by crops of the boxes that `find` gives."""

    name: str
    estimate: Callable[[Image], People]
    find: Callable[[Image], Floats] | None = None
    pose: Callable[[Image, Floats], People] | None = None
    elsewhere: Callable[[], float] = nowhere


def seekers(
    group: Sequence[Rival], boxes_by: dict[str, NanoDet | MultiPose], single: MediaPipe | None
) -> list[Seeker]:
    """posegram first, then everybody's boxes with COCO's joints of everybody, once each."""
    own = group[0]
    ours = [_topdown(r.name, r, r.estimate.detect) for r in own_seekers(group)]
    others = [r for r in group if not r.own and r.path and r.estimate.card.skeleton == COCO17]
    found = []
    for name, boxes_of in boxes_by.items():
        if isinstance(boxes_of, MultiPose):
            found.append(Seeker(name, boxes_of))
        else:
            found.append(_topdown(f"{name} + {own.name}", own, boxes_of))
        found += [_topdown(f"{name} + {r.name}", r, boxes_of) for r in others]
    if single is not None:
        found.append(Seeker("mediapipe", single, elsewhere=lambda: single.spent))
    return [*ours, *found]


def own_seekers(group: Sequence[Rival]) -> list[Rival]:
    """posegram's models that find people in whole photos: those of the default one's joints."""
    joints = group[0].estimate.card.skeleton
    return [r for r in group if r.own and (r.asked or r.estimate.card.skeleton == joints)]


def _topdown(name: str, rival: Rival, detect: Any) -> Seeker:
    # AP ranks everybody, and who counts as nobody was chosen for our own detector's scores
    estimate = replace(rival.estimate, detect=detect, least=0.0)
    return Seeker(name, estimate, lambda photo: detect.scored(photo)[0], estimate)


def people(
    group: Sequence[Seeker], truth: dict[str, Any], photos: Sequence[Photo]
) -> list[dict[str, Any]]:
    """AP and CPU milliseconds a photo of each seeker, as plain values."""
    spent = np.zeros((len(group), len(photos)))
    results: list[list[dict[str, Any]]] = [[] for _ in group]
    for row, photo in enumerate(photos):
        image = pictures.read(photo.path)
        for n in in_turns(len(group), row):
            one = group[n]
            if row == 0:
                one.estimate(image)
            spent[n, row], seen = clock(one.estimate, image, elsewhere=one.elsewhere)
            results[n] += _results(convert(seen, COCO17), photo.id, truth)
        progress("people found", row + 1, len(photos))
    complete = {photo.id for photo in photos if photo.complete}
    part = _only(truth, complete)
    return [
        {
            "name": one.name,
            **times(spent[n], spent[0]),
            # photos differ in their people, so means, not medians: their ratio is that of all work
            "ms": float(spent[n].mean()),
            "ratio": float(spent[n].sum() / max(spent[0].sum(), 1e-9)),
            "found": len(results[n]) / len(photos),
            "ap": _ap(truth, results[n]),
            "ap_complete": _ap(part, [r for r in results[n] if r["image_id"] in complete]),
        }
        for n, one in enumerate(group)
    ]


def _only(truth: dict[str, Any], ids: set[int]) -> dict[str, Any]:
    """The part of a COCO file about some images."""
    shots = [shot for shot in truth["images"] if shot["id"] in ids]
    labels = [label for label in truth["annotations"] if label["image_id"] in ids]
    return {**truth, "images": shots, "annotations": labels}


def _results(seen: People, image: int, truth: dict[str, Any]) -> list[dict[str, Any]]:
    """People as COCO results; everybody's score comes from the joints' in the same way."""
    category = truth["annotations"][0]["category_id"]
    rows = np.concatenate([np.nan_to_num(seen.xy), seen.score[..., None]], axis=2)
    return [
        {"image_id": image, "category_id": category, "keypoints": row.ravel().tolist(),
         "score": float(overall(row[:, 2]))}
        for row in rows
    ]  # fmt: skip


def _ap(truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    if not results or not truth["annotations"]:
        return None
    return plain(percent(evaluate_results(truth, results, resamples=1000)["AP"]))


# five people


def five_people(photos: Sequence[Photo]) -> list[Shot]:
    """Photos with the boxes of five labelled people, those of exactly five first."""
    enough = [photo for photo in photos if len(photo.people) >= FIVE]
    enough.sort(key=lambda photo: len(photo.people))
    chosen = enough[:_SHOTS]
    large = [np.argsort(-photo.area, kind="stable")[:FIVE] for photo in chosen]
    return [
        Shot(photo.path, pictures.read(photo.path), photo.people[rows])
        for photo, rows in zip(chosen, large, strict=True)
    ]


def five(
    group: Sequence[Seeker], shots: Sequence[Shot], repeats: int
) -> list[dict[str, Any] | None]:
    """Time of each seeker for photos of five people, found and posed.

    Who works on crops finds people, then gets the five labelled boxes: so everybody poses five,
    whether they were found or not.
    """
    spent = np.zeros((len(group), len(shots), repeats + 1))
    for column, shot in enumerate(shots):
        for turn in range(repeats + 1):
            for n in in_turns(len(group), turn):
                spent[n, column, turn] = _five(group[n], shot.image, shot.box)
        progress("five people", column + 1, len(shots))
    flat = spent[:, :, 1:].reshape(len(group), -1)
    return [times(row, flat[0]) if len(shots) else None for row in flat]


def _five(one: Seeker, image: Image, box: Floats) -> float:
    if one.find is None or one.pose is None:
        return clock(one.estimate, image, elsewhere=one.elsewhere)[0]
    find, pose = clock(one.find, image)[0], clock(one.pose, image, box)[0]
    return find + pose


def parts(own: Rival, shots: Sequence[Shot], repeats: int) -> dict[str, float]:
    """CPU milliseconds of posegram's stages, from the file to the joints of five; medians."""
    spent: dict[str, list[float]] = {}
    for shot in [shot for _ in range(repeats) for shot in shots]:
        stages = {
            "read": clock(pictures.read, shot.path)[0],
            "detect": clock(own.estimate.detect, shot.image)[0],
            **one_look(own, shot.image, shot.box),
        }
        for name, ms in stages.items():
            spent.setdefault(name, []).append(ms)
    return {name: float(np.median(ms)) for name, ms in spent.items()}


def data_set(
    group: Sequence[Seeker], look_for: Sequence[Finder], own: Rival, spec: str,
    limits: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Everything about the people found in one COCO file, as plain values."""
    truth, photos = photos_of(spec, limits["photos"])
    empty = limits["backgrounds"]
    shots = five_people(photos)
    rows = people(group, truth, photos)
    for row, more in zip(rows, five(group, shots, limits["repeats"]), strict=True):
        row["five"] = more
    return {
        "spec": spec,
        "photos": len(photos),
        "complete": sum(photo.complete for photo in photos),
        "people": sum(len(photo.people) for photo in photos),
        "large": sum(int((photo.area >= SMALL).sum()) for photo in photos),
        "empty": len(empty),
        "shots": len(shots),
        "rows": rows,
        "finders": detection(look_for, photos, empty),
        "stages": parts(own, shots, limits["repeats"]),
    }
