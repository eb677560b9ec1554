"""Noisy labels compared with a teacher's: mirrored people turned, misplaced joints weighed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posegram.pose import Floats, Sample

__all__ = ["mend"]

_NEAR = 0.2  # torso lengths within which two places of a joint agree
_FAR = 0.6  # a distance beyond which it makes no difference how wrong a place is
_TORSO = 0.28  # of the box's longer side, where the torso is not labelled
_GAIN = 0.1  # torso lengths that turning a person must gain


def mend(sample: Sample, teacher: Floats, sure: Floats, *, trust: float = 0.85) -> Sample:
    """The sample with a person-wide left/right mix-up undone and each joint's likelier place.

    Where both agree, the joint is their mean with weight 1. Where they disagree, the likelier of
    the two stands, weighted by the probability that it is right when one of them, or none, is:
    P(label right) ~ trust (1 - sure), P(teacher right) ~ (1 - trust) sure. A joint that is not
    labelled gets the teacher's place with weight sure^2.

    Args:
        sample: one annotated person.
        teacher: (K, 2) image pixels, in the sample's skeleton; NaN where it knows no such joint.
        sure: (K,) probability that the teacher is right, 0 where it knows no such joint.
        trust: probability that a label is right.
    """
    size = _scale(sample)
    known = np.isfinite(teacher).all(axis=1) & (sure > 0)
    sample = _turned(sample, teacher, np.where(known, sure, 0.0), size)
    labelled = sample.visible > 0
    away = np.where(known, np.linalg.norm(teacher - sample.xy, axis=1) / size, np.inf)
    ours, theirs = trust * (1 - sure), (1 - trust) * sure
    whole = ours + theirs + (1 - trust) * (1 - sure)
    takes = known & (~labelled | ((away >= _NEAR) & (theirs > ours)))
    agrees = labelled & (away < _NEAR)
    xy = np.where(takes[:, None], teacher, sample.xy)
    xy = np.where(agrees[:, None], (sample.xy + teacher) / 2, xy)
    weight = np.where(labelled, np.maximum(ours, theirs) / np.maximum(whole, 1e-9), sure**2)
    weight = np.where(agrees | (labelled & ~known), 1.0, weight)
    visible = np.where(labelled | (takes & (sure > 0.5)), np.maximum(sample.visible, 1), 0)
    return replace(
        sample,
        xy=xy.astype(np.float32),
        visible=visible.astype(np.uint8),
        weight=np.where(visible > 0, weight, 0.0).astype(np.float32),
    )


def _scale(sample: Sample) -> float:
    """Length that distances are measured in, pixels: the torso, or a share of the box."""
    side = float((sample.box[2:] - sample.box[:2]).max())
    ends = ("left_shoulder", "right_hip")
    if not set(ends) <= set(sample.skeleton.joints):
        return max(_TORSO * side, 1.0)
    a, b = (sample.skeleton.index(joint) for joint in ends)
    torso = float(np.linalg.norm(sample.xy[a] - sample.xy[b]))
    labelled = sample.visible[a] > 0 and sample.visible[b] > 0
    return max(torso if labelled else _TORSO * side, 0.15 * side, 1.0)


def _turned(sample: Sample, teacher: Floats, sure: Floats, size: float) -> Sample:
    """The sample, left and right swapped where the teacher fits that clearly better."""
    swap = sample.skeleton.flipped
    both = (sample.visible > 0) & (sample.visible[swap] > 0)
    weight = np.where(both, sure, 0.0)
    if weight.sum() < 3:
        return sample
    straight, swapped = (
        float((np.minimum(_away(xy, teacher, size), _FAR) * weight).sum() / weight.sum())
        for xy in (sample.xy, sample.xy[swap])
    )
    if swapped >= straight - _GAIN:
        return sample
    return replace(sample, xy=sample.xy[swap], visible=sample.visible[swap])


def _away(xy: Floats, teacher: Floats, size: float) -> Floats:
    return np.asarray(np.nan_to_num(np.linalg.norm(xy - teacher, axis=1) / size, nan=_FAR))
