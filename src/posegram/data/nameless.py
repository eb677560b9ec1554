"""Joints that a data set counts and does not name: `joint_0` and so on, until somebody does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from posegram.pose import SKELETONS, Sample, Skeleton

__all__ = ["ADVICE", "bare", "called", "fits", "names"]

ADVICE = (
    "YOLO joints get names by kpt_names: {0: [NAME, ...]} in data.yaml, or by a skeleton file of "
    "as many"
)


def names(count: int) -> tuple[str, ...]:
    """What so many joints without names are called, counted from 0 as in the lines of YOLO's files.

    >>> names(2)
    ('joint_0', 'joint_1')
    """
    return tuple(f"joint_{n}" for n in range(count))


def bare(skeleton: Skeleton) -> bool:
    """Whether its joints have no names."""
    return bool(skeleton.joints) and skeleton.joints == names(len(skeleton))


def fits(own: Skeleton, named: Skeleton) -> bool:
    """Whether joints have no names, and another skeleton has as many to call them by.

    A built-in one never does: that joints are as many as COCO's does not make them COCO's.
    """
    return bare(own) and len(own) == len(named) and named not in SKELETONS.values()


def called(samples: Iterable[Sample], skeleton: Skeleton | None) -> list[Sample]:
    """The same people, where `fits` says so with the joints of a skeleton in their order."""
    return [
        replace(sample, skeleton=skeleton)
        if skeleton is not None and fits(sample.skeleton, skeleton)
        else sample
        for sample in samples
    ]
