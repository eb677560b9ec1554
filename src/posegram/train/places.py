"""Which of a start's joints is each of ours: by what both are called, by where both lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from posegram import coords, models
from posegram.data.joints import familiar
from posegram.pose import Card, Floats, Image

__all__ = ["called", "nearest", "said"]

_NEAR = 0.1  # crop heights within which the median label must lie
_FEWEST = 5  # labels that can tell
_BATCH = 16


def called(ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Joint of ours -> joint of theirs, never two to one: of the same name, else as `familiar` has.

    What several joints of one side may stand for meets nothing.

    >>> called(["neck", "LKnee", "tail"], ["left_knee", "neck"])
    {'neck': 'neck', 'LKnee': 'left_knee'}
    """
    pairs = {joint: joint for joint in ours if joint in theirs}
    here, there = (
        [(familiar(joint), joint) for joint in side if joint not in pairs]
        for side in (ours, theirs)
    )
    for name, joint in here:
        alike = [one for known, one in there if known == name]
        if len(alike) == 1 and [known for known, _ in here].count(name) == 1:
            pairs[joint] = alike[0]
    return pairs


def said(weights: dict[str, torch.Tensor], card: Card, crops: Image) -> Floats:
    """The joints that a heatmap network finds in crops of any size, (B, K, 2) crop pixels."""
    network = models.answering(models.filled(card, weights), card)
    size = crops.shape[1], crops.shape[2]
    parts = (crops[first : first + _BATCH] for first in range(0, len(crops), _BATCH))
    return np.concatenate([coords.decode(network(part), card.kind, size)[0] for part in parts])


def nearest(
    found: Floats, xy: Floats, labelled: npt.NDArray[np.bool_], height: int
) -> dict[int, int]:
    """New joint -> the start's joint nearest to it, where the median label is near one at all.

    Args:
        found: (B, J, 2) crop pixels, the start's joints.
        xy: (B, K, 2) crop pixels, the labels.
        labelled: (B, K).
        height: of the crops, pixels.
    """
    pairs = {}
    for k in range(xy.shape[1]):
        rows = labelled[:, k]
        if rows.sum() < _FEWEST:
            continue
        away = np.linalg.norm(found[rows] - xy[rows, k][:, None], axis=-1)  # (people, J)
        middle = np.median(away, axis=0) / height
        if middle.min() < _NEAR:
            pairs[k] = int(middle.argmin())
    return pairs
