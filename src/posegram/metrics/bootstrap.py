"""How sure a number is: percentile bootstrap over images, alone and in pairs.

People of one photo are not independent, so whole images are drawn again, never single people
(the cluster bootstrap; Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8 and 13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from posegram.metrics.pck import Doubles, Mask, Reals, Weighting
from posegram.pose import Ints

__all__ = ["Interval", "Mean", "Statistic", "compare", "draws", "interval", "means", "verdict"]

# (B, I) how often each of I images was drawn in B resamples -> (B, M) numbers of each resample
Statistic = Callable[[Doubles], Doubles]

_CELLS = 4_000_000  # draws held at once: 32 MB


@dataclass(frozen=True, eq=False)
class Interval:
    """M numbers with the ends of their intervals; NaN ends where one image gives no spread."""

    value: Doubles  # (M,)
    low: Doubles  # (M,)
    high: Doubles  # (M,)


@dataclass(frozen=True, eq=False)
class Mean:
    """One mean over counted joints, see `posegram.metrics.pck.average`."""

    amount: Reals  # (N, K)
    counted: Mask  # (N, K)
    weighting: Weighting = "count-weighted"


def means(parts: Sequence[Mean], image: Ints) -> Statistic:
    """The statistic that gives M means at once.

    Args:
        parts: M means over the same N people.
        image: (N,) image of each person, 0 to I - 1.
    """
    count = int(image.max()) + 1 if len(image) else 0
    over, under = [], []
    for part in parts:
        amount = np.where(part.counted, part.amount, 0.0)
        counted = part.counted.astype(np.float64)
        if part.weighting == "count-weighted":
            amount, counted = (a.sum(axis=1, keepdims=True) for a in (amount, counted))
        over.append(_by_image(amount, image, count))
        under.append(_by_image(counted, image, count))
    ends = np.cumsum([block.shape[1] for block in over])[:-1]
    above, below = np.concatenate(over, axis=1), np.concatenate(under, axis=1)

    def statistic(weights: Doubles) -> Doubles:
        total = weights @ below
        ratio = (weights @ above) / np.where(total > 0, total, np.nan)
        return np.stack([_mean(block) for block in np.split(ratio, ends, axis=1)], axis=1)

    return statistic


def _by_image(amount: Doubles, image: Ints, count: int) -> Doubles:
    sums = np.zeros((count, amount.shape[1]))
    np.add.at(sums, image, amount)
    return sums


def _mean(block: Doubles) -> Doubles:
    """Mean of each row (B, C) over its columns that are not NaN, (B,)."""
    known = np.isfinite(block)
    count = known.sum(axis=1)
    return np.asarray(np.where(known, block, 0.0).sum(axis=1) / np.where(count, count, np.nan))


def draws(images: int, resamples: int, seed: int) -> Iterator[Doubles]:
    """How often each image is drawn, in blocks of resamples (B, I) that fit into memory."""
    if images < 1 or resamples < 1:
        raise ValueError(f"cannot draw {resamples} resamples of {images} images")
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // images)
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = rng.integers(0, images, (count, images)) + np.arange(count)[:, None] * images
        times = np.bincount(drawn.ravel(), minlength=count * images)
        yield times.reshape(count, images).astype(np.float64)


def interval(
    statistic: Statistic,
    images: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Numbers with their percentile bootstrap intervals, images drawn with replacement.

    Args:
        statistic: gives M numbers, see `means`.
        images: I, how many images there are.
        resamples: how often I images are drawn.
        seed: makes the draws repeatable.
        level: share of resamples inside the interval.
    """
    value = statistic(np.ones((1, images)))[0]
    if images == 1:  # every resample is the same image: no spread to see
        return Interval(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    spread = np.concatenate([statistic(block) for block in draws(images, resamples, seed)])
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.array([_quantiles(column, ends) for column in spread.T]).reshape(-1, 2).T
    return Interval(value, low, high)


def _quantiles(column: Doubles, ends: list[float]) -> Doubles:
    known = column[np.isfinite(column)]
    return np.quantile(known, ends) if len(known) else np.full(2, np.nan)


def compare(
    first: Statistic,
    second: Statistic,
    images: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Second minus first with its interval; both see the same drawn images (a paired test)."""

    def difference(weights: Doubles) -> Doubles:
        return np.asarray(second(weights) - first(weights))

    return interval(difference, images, resamples=resamples, seed=seed, level=level)


def verdict(low: float, high: float, *, higher_is_better: bool = True) -> str:
    """What an interval of "second minus first" shows: nothing as long as it holds 0."""
    if not (low > 0 or high < 0):  # also where the ends are NaN
        return "no difference shown"
    return "second is better" if (low > 0) == higher_is_better else "first is better"
