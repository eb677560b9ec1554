"""Areas of boxes, and how much alike pairs of boxes and of people are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posegram.pose import Floats

__all__ = ["OUTLINE", "areas", "iou", "oks", "shared"]

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


def oks(
    a: Floats, b: Floats, labelled: npt.NDArray[np.bool_], area: Floats, sigmas: tuple[float, ...]
) -> Floats:
    """Object keypoint similarity of every pair, (N, M), 0 to 1 (cocodataset.org/#keypoints-eval).

    Args:
        a: (N, K, 2) pixels, the predictions.
        b: (M, K, 2) pixels, the labels.
        labelled: (M, K), which joints of `b` count.
        area: (M,) square pixels, of each person in `b`.
        sigmas: K falloffs.
    """
    if len(sigmas) != a.shape[1]:
        raise ValueError(f"OKS needs one sigma per joint: {len(sigmas)} for {a.shape[1]} joints")
    variance = (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
    d2 = ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        close = np.exp(-d2 / (2 * np.maximum(area, 1e-9)[None, :, None] * variance))
    close = np.where(np.isfinite(close), close, 0.0) * labelled[None]
    mean = close.sum(axis=-1) / np.maximum(labelled.sum(axis=-1), 1)
    return np.asarray(mean, dtype=np.float32)
