"""Results as CSV: long (a row per joint) or wide (a row per person, joint angles behind)."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from posegram.data.angles import angle_names, angles
from posegram.data.stream import FileStream, Shot, person_scores
from posegram.pose import People, Skeleton

__all__ = ["LONG", "Long", "Wide", "wide_columns"]

_WHO = ("image", "frame", "time", "person", "track")
LONG = (*_WHO, "joint", "x", "y", "score")  # the columns of a long table


def wide_columns(skeleton: Skeleton) -> tuple[str, ...]:
    """The columns of a wide table: person, box, x, y, score of each joint, then the angles."""
    joints = (f"{joint}_{what}" for joint in skeleton.joints for what in ("x", "y", "score"))
    box = ("box_x0", "box_y0", "box_x1", "box_y1")
    return (*_WHO, "score", *box, *joints, *(f"{name}_angle" for name in angle_names(skeleton)))


class Long(FileStream):
    """A row per picture, person and joint: the columns `LONG`.

    Pixels with 3 decimals, counted from 0; a cell is empty where there is nothing to say: a
    photo has no frame and no time, and a joint that the model lacks has no x and y.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        super().__init__(path, skeleton)
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(LONG)
        self._begin()

    def _write(self, people: People, shot: Shot) -> None:
        for n in range(len(people)):
            who = _who(people, n, shot)
            joints = zip(people.skeleton.joints, people.xy[n].tolist(), people.score[n].tolist(),
                         strict=True)  # fmt: skip
            self._rows.writerows([*who, joint, *_joint(xy, score)] for joint, xy, score in joints)


class Wide(FileStream):
    """A row per picture and person: the columns `wide_columns`; angles in degrees."""

    def __init__(self, path: Path, skeleton: Skeleton, *, threshold: float = 0.3) -> None:
        super().__init__(path, skeleton)
        self._threshold = threshold
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(wide_columns(skeleton))
        self._begin()

    def _write(self, people: People, shot: Shot) -> None:
        bends = angles(people, threshold=self._threshold).tolist()
        sure = person_scores(people).tolist()
        for n in range(len(people)):
            row = [*_who(people, n, shot), f"{sure[n]:.4f}"]
            row += [_number(v, 3) for v in people.box[n].tolist()]
            for xy, score in zip(people.xy[n].tolist(), people.score[n].tolist(), strict=True):
                row += _joint(xy, score)
            self._rows.writerow(row + [_number(v, 2) for v in bends[n]])


def _who(people: People, n: int, shot: Shot) -> list[Any]:
    """The cells that say which person this is."""
    image = "" if shot.image is None else shot.image.as_posix()
    time = "" if shot.time is None else f"{shot.time:.6f}"
    track = "" if people.track is None else int(people.track[n])
    return [image, "" if shot.frame is None else shot.frame, time, n, track]


def _joint(xy: list[float], score: float) -> list[str]:
    if not all(map(math.isfinite, xy)):
        return ["", "", f"{0.0:.4f}"]
    return [f"{xy[0]:.3f}", f"{xy[1]:.3f}", f"{score:.4f}"]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""
