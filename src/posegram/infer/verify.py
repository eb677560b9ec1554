"""Whether two ways to run a model find the same people, and how fast each is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from posegram.areas import iou
from posegram.pose import Estimate, Image, People

__all__ = ["Verdict", "verify"]

_SURE = 0.5  # people and joints below this score may differ
_NEAR = 0.02  # of the person's height: joints that are further apart are not the same
_ENOUGH = 0.95  # share of the people that must be the same
_ROUNDS = 3


@dataclass(frozen=True)
class Verdict:
    """What comparing two engines gave."""

    people: int  # sure people that either engine found
    same: int  # of them, found by both with the same joints
    away: float  # median distance of their sure joints, image pixels
    milliseconds: dict[str, float]  # engine -> median of one photo, wall time

    @property
    def agrees(self) -> bool:
        """Whether nearly all people are the same."""
        return self.same >= _ENOUGH * self.people


def verify(engines: Mapping[str, Estimate], photos: Sequence[Image]) -> Verdict:
    """Two estimates compared on photos (H, W, 3) uint8 RGB, in turns.

    Raises:
        ValueError: there are no photos, or not two engines.
    """
    if not photos or len(engines) != 2:
        raise ValueError("a comparison needs two engines and at least one photo")
    spent: dict[str, list[float]] = {name: [] for name in engines}
    people = same = 0
    away: list[float] = []
    for photo in photos:
        found = {}
        for turn in range(_ROUNDS + 1):  # the first one prepares memory
            for name, estimate in engines.items():
                start = time.perf_counter()
                found[name] = estimate(photo)
                if turn:
                    spent[name].append(1000 * (time.perf_counter() - start))
        first, second = found.values()
        distances = _distances(first, second)
        both = _sure(first).sum(), _sure(second).sum()
        people += int(max(both))
        same += sum(near <= 1 for near, _ in distances)
        away += [pixels for _, pixels in distances]
    milliseconds = {name: float(np.median(times)) for name, times in spent.items()}
    return Verdict(people, same, float(np.median(away)) if away else 0.0, milliseconds)


def _sure(people: People) -> np.ndarray:
    """Who has at least one sure joint, (N,)."""
    return np.asarray((people.score >= _SURE).any(axis=1))


def _distances(first: People, second: People) -> list[tuple[float, float]]:
    """Per sure person of the first: distance to the twin as a share of what is allowed; pixels."""
    found = []
    one, two = first[_sure(first)], second[_sure(second)]
    for n in range(len(one)):
        if not len(two):
            continue
        overlap = iou(one.box[n : n + 1], two.box)[0]
        twin = int(overlap.argmax())
        if overlap[twin] < _SURE:
            continue
        joints = one.score[n] >= _SURE
        pixels = float(np.median(np.linalg.norm(one.xy[n] - two.xy[twin], axis=1)[joints]))
        height = float(one.box[n, 3] - one.box[n, 1])
        found.append((pixels / max(_NEAR * height, 1.0), pixels))
    return found
