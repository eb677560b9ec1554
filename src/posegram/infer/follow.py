"""People through the frames of a clip or a camera: found now and then, followed in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.areas import iou
from posegram.pose import Estimate, Floats, Image, People
from posegram.smooth import Steady, steady
from posegram.track import Tracks, distinct, foremost, foresee, link

__all__ = ["EVERY", "Follower"]

EVERY = 10  # frames from one look of the detector to the next, while all goes well

_GROWTH = 0.08  # of the longer side: head, hands and feet reach beyond their joints
_FAITH = 0.3  # mean score below which somebody who was only followed is given up
_CERTAIN = 0.6  # mean score from which somebody is followed though the detector sees nobody
_NEW = 0.5  # probability of a box from which it may hold somebody new
_COVERED = 0.4  # intersection over union from which the detector's box is somebody followed
_PATIENCE = 0.25  # seconds for which somebody unseen is looked for where they should be
_MISSES = 3  # looks of the detector in a row that may miss somebody who is not certain
_LEAST = 4.0  # pixels of a box's sides; less is left of who walked out of the image


class Follower:
    """A callable `(image, time) -> People` with ids, for one clip or one live connection.

    The detector, where the estimate has one, looks at every `every`-th frame, and as soon as
    somebody is lost or unsure; in between, the boxes are those of the last poses, moved on. An
    estimate that finds people on its own does so in every frame.
    """

    def __init__(
        self, estimate: Estimate, *, smooth: bool = True, every: int = EVERY, most: int = 0
    ) -> None:
        """A follower that has seen nothing yet.

        Args:
            estimate: image -> people; a `TopDown` is given boxes.
            smooth: put left and right in order and smooth live, by the One-Euro filter.
            every: frames from one look of the detector to the next.
            most: how many people are told of, the foremost ones; 0 for all.

        Raises:
            ValueError: `every` is below 1.
        """
        if every < 1:
            raise ValueError(f"the detector looks at every n-th frame, n at least 1, not {every}")
        self.estimate, self.smooth, self.every, self.most = estimate, smooth, every, most
        self._tracks: Tracks | None = None
        self._steady: Steady | None = None
        self._since = every  # frames since the detector looked
        self._doubt = False
        self._foremost: list[int] = []  # ids
        self._misses: dict[int, int] = {}  # id -> looks of the detector without them

    def __call__(self, image: Image, time: float) -> People:
        """The people in a frame with their ids, smoothed if so wished.

        Args:
            image: (H, W, 3) uint8 RGB.
            time: seconds, growing from call to call.
        """
        people = self.track(image, time)
        if not self.smooth:
            return people
        self._steady, people = steady(self._steady, people, time)
        return people

    def track(self, image: Image, time: float) -> People:
        """The people in a frame with their ids, their joints as the network saw them."""
        people = distinct(self._found(image, time))
        tracks = Tracks.none(people.skeleton) if self._tracks is None else self._tracks
        self._tracks, people = link(tracks, people, time)
        gone = (self._tracks.seen < time) & (self._tracks.sights > 1)
        self._doubt = bool(gone.any()) or bool((people.score.mean(axis=1) < _FAITH).any())
        people = foremost(people, self.most, before=self._foremost)
        self._foremost = [] if people.track is None else people.track.tolist()
        return people

    def _found(self, image: Image, time: float) -> People:
        """Everybody in a frame, by the estimate alone or in boxes of ours."""
        given: Any = self.estimate
        if not hasattr(given, "detect"):
            return self.estimate(image)
        size = (image.shape[0], image.shape[1])
        box = self._followed(size, time)
        if given.detect is None:  # without a detector the whole image is one person's, at first
            return _faithful(given(image, box)) if len(box) else self.estimate(image)
        self._since += 1
        if len(box) and self._since < (min(2, self.every) if self._doubt else self.every):
            return _faithful(given(image, box))
        self._since = 0
        found, sure = _looked(given.detect, image)
        self._count_misses(found, size, time)
        box = self._followed(size, time)
        # what may be a person is one where somebody is known to be, but nobody new
        new = _uncovered(found, box)
        worth, missed = (sure >= _NEW) | ~new, box[_uncovered(box, found)]
        people: People = given(image, np.concatenate([found[worth], missed]))
        least = np.where(new, getattr(given, "least", 0.0) / np.maximum(sure, _NEW), 0.0)[worth]
        likely = people.score.max(axis=1, initial=0) >= np.pad(least, (0, len(missed)))
        return people[likely]  # somebody new who has no likely joint is nobody

    def _followed(self, size: tuple[int, int], time: float) -> Floats:
        """Boxes of those seen a moment ago where they should be by now, (N, 4) image pixels.

        Only of whom the detector saw lately, or the network is certain of.
        """
        tracks = self._tracks
        if tracks is None:
            return np.zeros((0, 4), dtype=np.float32)
        patient = [self._misses.get(int(name), 0) <= _MISSES for name in tracks.ids]
        believed = np.array(patient, dtype=np.bool_) | (tracks.score.mean(axis=1) >= _CERTAIN)
        recent = tracks.seen >= min(tracks.time, time - _PATIENCE)
        box = _around(foresee(tracks[believed & recent], time)[1], size)
        return box[(box[:, 2:] - box[:, :2] > _LEAST).all(axis=1)]

    def _count_misses(self, found: Floats, size: tuple[int, int], time: float) -> None:
        """Note whom of everybody the detector has just not found."""
        tracks = self._tracks
        if tracks is not None:
            missed = _uncovered(_around(foresee(tracks, time)[1], size), found)
            told = zip(tracks.ids.tolist(), missed.tolist(), strict=True)
            self._misses = {n: self._misses.get(n, 0) + 1 if gone else 0 for n, gone in told}


def _looked(detect: Any, image: Image) -> tuple[Floats, Floats]:
    """The detector's boxes (N, 4) and how sure it is of each, (N,); quite, if it does not say."""
    found, sure = detect.scored(image) if hasattr(detect, "scored") else (detect(image), None)
    box = np.asarray(found, dtype=np.float32).reshape(-1, 4)
    return box, np.ones(len(box), dtype=np.float32) if sure is None else np.asarray(sure)


def _uncovered(box: Floats, found: Floats) -> npt.NDArray[np.bool_]:
    """Which boxes (N, 4) the others (M, 4) do not cover, (N,)."""
    return np.asarray(iou(box, found).max(axis=1, initial=0.0) < _COVERED)


def _around(body: Floats, size: tuple[int, int]) -> Floats:
    """Boxes of people from those around their joints (N, 4), inside an image of that size."""
    sides = body[:, 2:] - body[:, :2]
    grow = _GROWTH * np.tile(sides.max(axis=1, initial=0.0, keepdims=True), 2)
    edge = np.array([size[1], size[0]] * 2, dtype=np.float32) - np.float32(0.5)
    grown = body + np.concatenate([-grow, grow], axis=1)
    return np.asarray(np.clip(grown, -0.5, edge), dtype=np.float32)


def _faithful(people: People) -> People:
    """Those of the people who were only followed that still look like people."""
    return people[people.score.mean(axis=1) >= _FAITH]
