"""Distances between predicted and labelled joints: MAE, PCK, PCKh and the area under them.

Predictions and labels must count pixels from the same origin. Pixels are those of the original
image; N people, K joints. Shares run from 0 to 1.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from posegram.pose import Skeleton

__all__ = [
    "Doubles",
    "Mask",
    "Reals",
    "Weighting",
    "area_under",
    "average",
    "distance",
    "has_torso",
    "head_size",
    "mae",
    "paired",
    "pck",
    "pckh",
    "torso",
]

Reals = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
# "count-weighted": right joints / labelled joints. "unweighted": plain mean of the joints' shares.
# Both stand in papers as "mean PCKh"; on MPII they differ by about one point.
Weighting = Literal["count-weighted", "unweighted"]


def distance(xy: Reals, truth: Reals, normaliser: Reals | None = None) -> Doubles:
    """Euclidean distance of every joint, (N, K): pixels, or units of the person's normaliser.

    Args:
        xy: (N, K, 2) pixels, the predictions.
        truth: (N, K, 2) pixels, the labels.
        normaliser: (N,) pixels, for example head sizes.

    Raises:
        ValueError: the shapes disagree.
    """
    if xy.ndim != 3 or xy.shape != truth.shape or xy.shape[-1] != 2:
        raise ValueError(f"predictions {xy.shape} and labels {truth.shape} must both be (N, K, 2)")
    away = np.linalg.norm(xy.astype(np.float64) - truth.astype(np.float64), axis=-1)
    if normaliser is None:
        return np.asarray(away)
    if normaliser.shape != (len(xy),):
        raise ValueError(f"the normaliser has shape {normaliser.shape}, wanted {(len(xy),)}")
    return np.asarray(away / np.where(normaliser > 0, normaliser, np.nan)[:, None])


def average(amount: Reals, counted: Mask, weighting: Weighting = "count-weighted") -> float:
    """Mean over the counted entries of (N, K); "unweighted" is the mean of the columns' means.

    A column without a counted entry has no mean and does not enter the unweighted one.

    Raises:
        ValueError: nothing is counted, a counted entry is NaN, or the weighting is unknown.
    """
    if not counted.any():
        raise ValueError("no joint is labelled, so there is nothing to average")
    kept = np.where(counted, amount, 0.0)
    if not np.isfinite(kept).all():
        raise ValueError("a labelled joint has no finite prediction or no positive normaliser")
    if weighting == "count-weighted":
        return float(kept.sum() / counted.sum())
    if weighting != "unweighted":
        raise ValueError(f"no weighting {weighting!r}; there are count-weighted and unweighted")
    return float(np.nanmean(_per_joint(kept, counted)))


def _per_joint(kept: Reals, counted: Mask) -> Doubles:
    count = counted.sum(axis=0)
    return np.asarray(kept.sum(axis=0) / np.where(count, count, np.nan))


def mae(xy: Reals, truth: Reals, visible: Mask) -> float:
    """Mean of |dx| and |dy| over labelled joints, pixels.

    Args:
        xy: (N, K, 2) pixels, the predictions.
        truth: (N, K, 2) pixels, the labels.
        visible: (N, K), which joints are labelled.
    """
    return average(np.abs(xy.astype(np.float64) - truth).mean(axis=-1), visible)


def pck(
    xy: Reals, truth: Reals, visible: Mask, normaliser: Reals, threshold: float = 0.2
) -> Doubles:
    """Share of labelled joints within `threshold` normalisers of the truth, per joint, (K,).

    NaN where no joint of a column is labelled. A joint without a prediction (NaN) is wrong.

    Args:
        xy: (N, K, 2) pixels, the predictions.
        truth: (N, K, 2) pixels, the labels.
        visible: (N, K), which joints are labelled.
        normaliser: (N,) pixels; see `torso` and `head_size`.
        threshold: a distance of exactly this many normalisers is still right.
    """
    right = _right(xy, truth, visible, normaliser, threshold)
    return _per_joint((right & visible).astype(np.float64), visible)


def _right(
    xy: Reals, truth: Reals, visible: Mask, normaliser: Reals, threshold: float
) -> npt.NDArray[np.bool_]:
    without = visible.any(axis=1) & ~(normaliser > 0)
    if without.any():
        raise ValueError(f"{without.sum()} people have labelled joints but no positive normaliser")
    return np.asarray(distance(xy, truth, normaliser) <= threshold)


def pckh(
    xy: Reals,
    truth: Reals,
    visible: Mask,
    head: Reals,
    *,
    threshold: float = 0.5,
    weighting: Weighting = "count-weighted",
) -> float:
    """Share of labelled joints within `threshold` head sizes of the truth.

    MPII's mean leaves out pelvis and thorax (Andriluka et al., CVPR 2014): mask or slice them.

    Args:
        xy: (N, K, 2) pixels, the predictions.
        truth: (N, K, 2) pixels, the labels.
        visible: (N, K), which joints are labelled.
        head: (N,) pixels, see `head_size`.
        threshold: in head sizes.
        weighting: see `Weighting`.
    """
    right = _right(xy, truth, visible, head, threshold)
    return average(right.astype(np.float64), visible, weighting)


def area_under(away: Reals, *, top: float = 0.5, step: float = 0.01) -> Doubles:
    """What each distance adds to the area under PCK from 0 to `top`, 0 to 1, same shape.

    The mean of these is the trapezoid area over the thresholds 0, step, ..., top, divided by
    `top`, because the rule is linear in the 0/1 curve of a single joint.
    """
    count = round(top / step)
    if count < 1 or abs(count * step - top) > 1e-9:
        raise ValueError(f"the step {step} does not divide the range 0 to {top}")
    weight = np.full(count + 1, 1 / count)
    weight[[0, -1]] /= 2
    above = np.append(weight[::-1].cumsum()[::-1], 0.0)  # of all thresholds from this one on
    grid = np.arange(count + 1) * top / count
    return np.asarray(above[np.searchsorted(grid, away, side="left")])  # NaN sorts last: adds 0


def torso(truth: Reals, skeleton: Skeleton, visible: Mask | None = None) -> Doubles:
    """Left shoulder to right hip of each person, (N,) pixels; NaN where one is not labelled.

    This diagonal is the normaliser of LSP's PCK (Yang & Ramanan, TPAMI 2013).

    Args:
        truth: (N, K, 2) pixels, the labels.
        skeleton: names the K joints.
        visible: (N, K), which joints are labelled; all of them when not given.
    """
    ends = [skeleton.index("left_shoulder"), skeleton.index("right_hip")]
    a, b = (truth[:, end].astype(np.float64) for end in ends)
    length = np.linalg.norm(a - b, axis=-1)
    known = length > 0
    if visible is not None:
        known &= visible[:, ends].all(axis=1)
    return np.where(known, length, np.nan)


def has_torso(skeleton: Skeleton) -> bool:
    """Whether a skeleton has the two joints that the torso is measured by."""
    return {"left_shoulder", "right_hip"} <= set(skeleton.joints)


def head_size(boxes: Reals) -> Doubles:
    """MPII's head size, 0.6 x the diagonal of the head box, (N,) pixels.

    The factor is that of MPII's evaluation code (Andriluka et al., CVPR 2014).

    Args:
        boxes: (N, 4) x0, y0, x1, y1 pixels.
    """
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return np.asarray(0.6 * np.linalg.norm(sides, axis=-1))


def paired(per_joint: Reals, skeleton: Skeleton) -> dict[str, float]:
    """Per-joint numbers (K,) by body part: plain mean of left and right; single joints as is."""
    if per_joint.shape != (len(skeleton),):
        raise ValueError(f"{per_joint.shape} numbers for the {len(skeleton)} joints")
    twins = {j for pair in skeleton.mirror for j in pair}
    parts = {j: float(per_joint[skeleton.index(j)]) for j in skeleton.joints if j not in twins}
    for left, right in skeleton.mirror:
        both = per_joint[[skeleton.index(left), skeleton.index(right)]]
        parts[left.split("_", 1)[1]] = float(both.mean())
    return parts
