"""Boxes against boxes: overlap, suppression of doubles, matches, recall and precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posegram.areas import areas, iou, shared
from posegram.pose import Floats, Ints

__all__ = ["Found", "average_precision", "best", "match", "suppress"]

_RECALLS = np.linspace(0, 1, 101)
_TOP = 300  # boxes of a photo that are looked at


@dataclass(frozen=True, eq=False)
class Found:
    """What a detector found in one photo, by falling score, and what there was; photo pixels."""

    box: Floats  # (N, 4) x0, y0, x1, y1
    logit: Floats  # (N,)
    truth: Floats  # (P, 4)
    ignore: Floats  # (M, 4) where people are not labelled


def suppress(box: Floats, score: Floats, *, overlap: float = 0.5) -> Ints:
    """Rows of the boxes that no better one overlaps by more than `overlap`, by falling score.

    Args:
        box: (N, 4) x0, y0, x1, y1.
        score: (N,) any number that orders them.
        overlap: intersection over union above which the worse of two boxes goes.
    """
    order = np.argsort(-score, kind="stable")
    alike = iou(box[order], box[order]) > overlap
    gone = np.zeros(len(order), dtype=np.bool_)
    kept = []
    for row in range(len(order)):
        if not gone[row]:
            kept.append(order[row])
            gone |= alike[row]
    return np.array(kept, dtype=np.int64)


def best(box: Floats, score: Floats, *, least: float, overlap: float = 0.5) -> Ints:
    """Rows of a detector's boxes worth looking at, by falling score, doubles gone.

    Args:
        box: (M, 4) x0, y0, x1, y1.
        score: (M,) any number that orders them.
        least: smallest score.
        overlap: see `suppress`.
    """
    rows = np.flatnonzero(score >= least)
    rows = rows[np.argsort(-score[rows], kind="stable")[:_TOP]]
    return np.asarray(rows[suppress(box[rows], score[rows], overlap=overlap)])


def match(
    box: Floats, truth: Floats, ignore: Floats, *, overlap: float = 0.5
) -> npt.NDArray[np.int8]:
    """Whether each box, by falling score, is right (1), wrong (0) or not to be judged (-1), (N,).

    As COCO does it (cocodataset.org/#detection-eval): a box takes the free person it overlaps
    most, by at least `overlap`; a free box that lies mostly in an ignored region is not judged.

    Args:
        box: (N, 4) found, by falling score.
        truth: (P, 4) people.
        ignore: (M, 4) regions.
        overlap: smallest intersection over union of a match, and smallest share of a box inside
            an ignored region.
    """
    near = iou(box, truth)
    inside = shared(box, ignore) / np.maximum(areas(box), 1e-9)[:, None]
    free = np.ones(len(truth), dtype=np.bool_)
    judged = np.zeros(len(box), dtype=np.int8)
    for row in range(len(box)):
        fits = np.where(free, near[row], 0)
        if len(truth) and fits.max() >= overlap:
            free[fits.argmax()] = False
            judged[row] = 1
        elif (inside[row] >= overlap).any():
            judged[row] = -1
    return judged


def average_precision(score: Floats, right: npt.NDArray[np.bool_], people: int) -> float:
    """Mean of the precision at 101 recalls, each the best at that recall or above; 0 to 1.

    Args:
        score: (N,) of the judged boxes of all photos.
        right: (N,) which of them matched a person.
        people: how many there were to find; NaN where there was none.
    """
    if not people:
        return float("nan")
    hits = right[np.argsort(-score, kind="stable")].cumsum()
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(hits / people, _RECALLS, side="left")
    return float(np.append(best, 0.0)[np.minimum(place, len(best))].mean())
