"""COCO results as one prediction for each labelled person, where they are that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posegram.infer.evaluate import Predicted
from posegram.pose import Sample

__all__ = ["labelled", "paired"]

_STRAY = 0.05  # share of people found in another's place that only another order explains


def labelled(coco: dict[str, Any]) -> list[int]:
    """Places of the annotations that `data.coco.read` makes samples of, in its order."""
    return [
        place
        for place, label in enumerate(coco["annotations"])
        if not label.get("iscrowd") and any(v > 0 for v in (label.get("keypoints") or ())[2::3])
    ]


def paired(
    path: Path,
    results: Sequence[dict[str, Any]],
    coco: dict[str, Any],
    samples: Sequence[Sample],
) -> Predicted | None:
    """The results as one row per sample; None where they are not one per annotation, in order.

    `posegram predict --boxes` writes one entry for every box of the file; others leave out
    people without labelled joints. As many results as annotations may still stand in another
    order, such as that of their scores.

    Args:
        path: the file of the results, for what is said of it.
        results: its content.
        coco: the content of the annotation file.
        samples: what `posegram.data.coco.read` made of it.

    Raises:
        ValueError: a result is no result, or has another number of joints.
    """
    whole = list(range(len(coco["annotations"])))
    boxed = [place for place in whole if coco["annotations"][place].get("bbox")]
    wanted = labelled(coco)
    entries = defaultdict(list)
    for number, one in enumerate(results):
        known = isinstance(one, dict) and isinstance(one.get("image_id"), (int, float, str))
        if not known or "keypoints" not in one:
            raise ValueError(f"{path}: result {number} lacks image_id or keypoints")
        entries[one["image_id"]].append(one["keypoints"])
    for places in (boxed, whole, wanted):
        slots = defaultdict(list)
        for place in places:
            slots[coco["annotations"][place]["image_id"]].append(place)
        if all(len(slots[image]) == len(given) for image, given in entries.items()):
            by_place = {p: k for image, given in entries.items()
                        for p, k in zip(slots[image], given, strict=True)}  # fmt: skip
            rows = _by_sample(path, [by_place.get(place) for place in wanted], samples)
            return None if _exchanged(rows, samples) else rows
    return None


def _by_sample(path: Path, keypoints: Sequence[Any], samples: Sequence[Sample]) -> Predicted:
    joints = len(samples[0].skeleton)
    nothing = [float("nan")] * (3 * joints)
    value = [nothing if one is None else one for one in keypoints]
    try:
        rows = np.asarray(value, dtype=np.float32).reshape(len(value), joints, 3)
    except (ValueError, TypeError, OverflowError) as fault:
        raise ValueError(f"{path}: a result must have 3 x {joints} keypoint numbers") from fault
    absent = (rows == 0).all(axis=-1, keepdims=True)  # how COCO results say "not predicted"
    xy = np.where(absent, np.float32(np.nan), rows[..., :2])
    # some tools write other things than probabilities as the third number
    sure = np.nan_to_num(rows[..., 2])
    return Predicted(xy, sure if ((sure >= 0) & (sure <= 1)).all() else None)


def _exchanged(found: Predicted, samples: Sequence[Sample]) -> bool:
    """Whether people of one image seem to be in another order than the samples.

    Somebody is out of place whose joints' middle lies outside the own box and nearer to the middle
    of another labelled person's. Of 329 people whose boxes `small` was given, that was nobody; in
    the order of their scores it was 201.
    """
    rows: dict[Path, list[int]] = {}
    for row, sample in enumerate(samples):
        if np.isfinite(found.xy[row]).any():
            rows.setdefault(sample.image, []).append(row)
    several = [some for some in rows.values() if len(some) > 1]
    count = sum(len(some) for some in several)
    return sum(_strays(found, samples, some) for some in several) > _STRAY * count


def _strays(found: Predicted, samples: Sequence[Sample], rows: list[int]) -> int:
    """How many people of one image are out of place, see `_exchanged`."""
    box = np.stack([samples[row].box for row in rows])  # (N, 4)
    middle = np.nanmean(found.xy[rows], axis=1)  # (N, 2)
    away = np.linalg.norm(middle[:, None] - (box[:, :2] + box[:, 2:]) / 2, axis=2)
    outside = ((middle < box[:, :2]) | (middle > box[:, 2:])).any(axis=1)
    return int((outside & (away.argmin(axis=1) != np.arange(len(rows)))).sum())
