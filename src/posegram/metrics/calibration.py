"""Whether a joint's score is the probability it claims to be."""

from __future__ import annotations

import numpy as np

from posegram.metrics.bootstrap import Statistic
from posegram.metrics.pck import Doubles, Mask, Reals
from posegram.pose import Ints

__all__ = ["calibration_error", "calibration_statistic"]


def calibration_error(score: Reals, right: Mask, counted: Mask, *, bins: int = 15) -> float:
    """Expected calibration error, 0 to 1: mean |score - share right| over bins of equal width.

    Bins weigh by how many joints they hold (Guo et al., ICML 2017).

    Args:
        score: (N, K) 0 to 1.
        right: (N, K), which joints are right; say by which metric and threshold.
        counted: (N, K), which joints are labelled.
        bins: number of bins between 0 and 1.
    """
    everyone = np.zeros(len(score), dtype=np.int64)
    statistic = calibration_statistic(score, right, counted, everyone, bins=bins)
    return float(statistic(np.ones((1, 1)))[0, 0])


def calibration_statistic(
    score: Reals, right: Mask, counted: Mask, image: Ints, *, bins: int = 15
) -> Statistic:
    """The statistic behind `calibration_error`, for `posegram.metrics.bootstrap`.

    Raises:
        ValueError: a counted score is not between 0 and 1, or nothing is counted.
    """
    kept = score[counted].astype(np.float64)
    if not len(kept):
        raise ValueError("no joint is labelled, so there is no calibration to measure")
    if not ((kept >= 0) & (kept <= 1)).all():
        raise ValueError("scores must lie between 0 and 1 to be probabilities")
    count = int(image.max()) + 1
    cell = np.minimum((kept * bins).astype(np.int64), bins - 1)
    place = np.broadcast_to(image[:, None], counted.shape)[counted] * bins + cell
    gap = np.bincount(place, kept - right[counted], count * bins).reshape(count, bins)
    total = np.bincount(place, minlength=count * bins).reshape(count, bins).sum(axis=1)

    def statistic(weights: Doubles) -> Doubles:
        number = weights @ total
        share = np.abs(weights @ gap).sum(axis=1) / np.where(number > 0, number, np.nan)
        return np.asarray(share[:, None])

    return statistic
