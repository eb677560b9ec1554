"""Areas of boxes, and what pairs of boxes share."""

from __future__ import annotations

import numpy as np

from posegram.pose import Floats

__all__ = ["OUTLINE", "areas", "iou", "shared"]

OUTLINE = 0.53  # of a box that a person's outline fills on average in COCO; shared by several tools


def areas(box: Floats) -> Floats:
    """Square pixels of each box (N, 4) x0, y0, x1, y1, (N,)."""
    return np.asarray(np.maximum(box[:, 2:] - box[:, :2], 0).prod(axis=1), dtype=np.float32)


def shared(a: Floats, b: Floats) -> Floats:
    """Square pixels in both of every pair of boxes (N, 4) and (M, 4), (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.maximum(high - low, 0).prod(axis=-1), dtype=np.float32)


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every pair of boxes (N, 4) and (M, 4), (N, M)."""
    both = shared(a, b)
    union = areas(a)[:, None] + areas(b)[None] - both
    return np.asarray(both / np.maximum(union, 1e-9), dtype=np.float32)
