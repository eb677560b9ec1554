"""COCO results as one prediction for each labelled person: in the labels' order, or by place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posegram.areas import OUTLINE, areas, oks
from posegram.heatmaps import spreads
from posegram.infer.evaluate import Predicted
from posegram.metrics.pck import Mask
from posegram.pose import Floats, Sample

__all__ = ["labelled", "met", "paired", "said", "those"]

_STRAY = 0.05  # share of people found in another's place that only another order explains
# least OKS of a result and the person whom it is of: whose joints are wrong must not drop out of
# the errors (Ruggero Ronchi & Perona, ICCV 2017, tell errors of place from other people by it).
# Of 160 people of COCO found in their boxes, 146 met a result in the order of the scores, 145 their
# own; PCK@0.2 was 82.6 instead of 81.5 %. From an OKS of 0.5 on it was 123 people and 84.4 %
_MEETS = 0.1


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
        ValueError: a result is no result, or has another number of joints, or a person of the
            labels has another than the first.
    """
    _require_alike(coco, samples)
    whole = list(range(len(coco["annotations"])))
    boxed = [place for place in whole if coco["annotations"][place].get("bbox")]
    wanted = labelled(coco)
    entries = _by_image(path, results)
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


def met(
    path: Path,
    results: Sequence[dict[str, Any]],
    coco: dict[str, Any],
    samples: Sequence[Sample],
) -> tuple[Predicted, Mask]:
    """The result that each labelled person meets, and who meets one, (N,); arguments as `paired`.

    In a photo, the result and the person of the highest OKS are a pair, then those of the highest
    of the rest, down to an OKS of 0.1, whatever the results' scores and order. Falloffs are the
    skeleton's, else COCO's by the joints' names; an area that is not known is a share of the box.
    """
    _require_alike(coco, samples)
    entries = _by_image(path, results)
    rows: dict[Any, list[int]] = {}
    for row, place in enumerate(labelled(coco)):
        rows.setdefault(coco["annotations"][place]["image_id"], []).append(row)
    keypoints: list[Any] = [None] * len(samples)
    for image, some in rows.items():
        if entries[image]:
            found = _by_sample(path, entries[image], samples).xy
            for result, person in _couples(_alike(found, [samples[row] for row in some])):
                keypoints[some[person]] = entries[image][result]
    known = np.array([one is not None for one in keypoints], dtype=np.bool_)
    return _by_sample(path, keypoints, samples), known


def _require_alike(coco: dict[str, Any], samples: Sequence[Sample]) -> None:
    """See that all labelled people have as many joints as the first, whose skeleton results have.

    Categories of one file may have their own joints.
    """
    for place, sample in zip(labelled(coco), samples, strict=False):
        count, wanted = len(sample.xy), len(samples[0].xy)
        if count != wanted:
            raise ValueError(
                f"annotation {coco['annotations'][place].get('id')} has {3 * count} keypoint "
                f"numbers, wanted 3 x {wanted}: results are measured on people of one skeleton"
            )


def _alike(found: Floats, samples: Sequence[Sample]) -> Floats:
    """OKS of every result (N, K, 2) with every labelled person, (N, M)."""
    box = np.stack([sample.box for sample in samples])
    area = np.array([sample.area or np.nan for sample in samples], dtype=np.float32)
    area = np.where(np.isfinite(area), area, OUTLINE * areas(box)).astype(np.float32)
    xy = np.stack([sample.xy for sample in samples])
    seen = np.stack([sample.visible for sample in samples]) > 0
    return oks(found, xy, seen, area, tuple(spreads(samples[0].skeleton).tolist()))


def _couples(alike: Floats) -> list[tuple[int, int]]:
    """Rows and columns of the highest number, then of the highest of the rest, and so on."""
    left, pairs = alike.copy(), []
    while left.size and left.max() >= _MEETS:
        row, column = np.unravel_index(left.argmax(), left.shape)
        pairs.append((int(row), int(column)))
        left[row], left[:, column] = -1, -1
    return pairs


def those(
    files: Sequence[tuple[Predicted, Mask | None]], samples: Sequence[Sample]
) -> tuple[list[Predicted], list[Sample]]:
    """Predictions and labels of the people whom every file has met; None is a file of everybody."""
    keep = np.ones(len(samples), dtype=np.bool_)
    for _, some in files:
        keep &= True if some is None else some
    kept = [
        Predicted(one.xy[keep], None if one.score is None else one.score[keep]) for one, _ in files
    ]
    return kept, [sample for sample, one in zip(samples, keep, strict=True) if one]


def said(count: int, everybody: int) -> str:
    """What the reader of numbers over the people who were met must know."""
    return (
        f"met {count:,} of {everybody:,} labelled people, and all but AP is of these alone: "
        "results that are not one per annotation in order meet people by place, "
        f"OKS >= {_MEETS}, best first"
    )


def _by_image(path: Path, results: Sequence[dict[str, Any]]) -> defaultdict[Any, list[Any]]:
    """The keypoints of each image id; refused where a result is none."""
    entries = defaultdict(list)
    for number, one in enumerate(results):
        known = isinstance(one, dict) and isinstance(one.get("image_id"), (int, float, str))
        if not known or "keypoints" not in one:
            raise ValueError(f"{path}: result {number} lacks image_id or keypoints")
        entries[one["image_id"]].append(one["keypoints"])
    return entries


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
    """How many people of one image are out of place, see `_exchanged`.

    Middles are of the joints that are labelled: some tools write the others as 0, 0 or beside it.
    """
    box = np.stack([samples[row].box for row in rows])  # (N, 4)
    xy = found.xy[rows]
    says = np.stack([samples[row].visible for row in rows]) > 0
    says &= np.isfinite(xy).all(axis=2) & (xy != 0).any(axis=2)
    with np.errstate(invalid="ignore"):  # who has no such joint is nowhere, and not out of place
        middle = np.where(says[..., None], xy, 0).sum(axis=1) / says.sum(axis=1)[:, None]
        away = np.linalg.norm(middle[:, None] - (box[:, :2] + box[:, 2:]) / 2, axis=2)
        outside = ((middle < box[:, :2]) | (middle > box[:, 2:])).any(axis=1)
    return int((outside & (away.argmin(axis=1) != np.arange(len(rows)))).sum())
