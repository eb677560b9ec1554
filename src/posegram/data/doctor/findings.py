"""What the dataset doctor writes down: kinds of faults, how sure it is, and of whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from posegram.data.doctor.annotations import Annotations, Bools, Doubles

__all__ = ["KINDS", "LEVELS", "Finding", "Level", "named", "of_people"]

Level = str  # one of LEVELS

# "certain" and "likely" are faults; "look" is worth a look and may well be right
LEVELS = ("look", "likely", "certain")

KINDS = {
    # the file
    "broken-record": "an annotation that cannot be read",
    "wrong-count": "num_keypoints is not the number of labelled joints",
    "missing-image": "the picture's file is not there",
    "unreadable-image": "the picture's file is damaged, cut off or no picture",
    "wrong-size": "the file states another picture size than the picture has",
    "listed-twice": "one picture file stands under two image entries",
    # flags
    "unknown-flag": "v is none of 0, 1, 2",
    "flags-equal": "every labelled joint of the set has the same v",
    "all-hidden": "every joint of a person is flagged as hidden, unlike the rest of the set",
    "unlabelled-place": "v is 0, yet x and y are given",
    # places
    "not-a-number": "a labelled joint's place is no finite number",
    "at-origin": "a labelled joint lies at (0, 0), which means unlabelled",
    "outside-picture": "a labelled joint lies outside the picture",
    "collapsed": "different joints lie on one point",
    "counted-from-1": "pixels of the set seem to be counted from 1",
    "normalised": "places are shares of the picture, not pixels",
    "swapped-xy": "x and y are exchanged",
    "other-scale": "places fit a picture of another size",
    "shifted": "all joints are shifted against their box",
    # boxes
    "empty-box": "the box has no area",
    "box-corners": "the box holds x0, y0, x1, y1 where x, y, width, height belong",
    "box-outside": "the box lies outside the picture",
    "box-misfit": "the box does not fit the joints",
    "outside-box": "a joint lies far outside the person's box",
    # copies
    "person-twice": "one person is annotated twice",
    "copied-labels": "different pictures have the very same joints",
    "same-photo": "two files hold the same picture",
    "near-photo": "two pictures show nearly the same",
    # bodies
    "long-limb": "a limb is longer than the rest of the body allows",
    "swapped-joints": "joints exchanged with each other would fit the body",
    "mirrored": "left and right are exchanged on the whole person",
    "crossed": "shoulders and hips disagree on left and right: twisted or exchanged",
    # the skeleton
    "mirror-map": "the left/right pairs of the skeleton are wrong",
    "sides-swapped": "left and right seem to be exchanged all over the set",
    "joint-order": "names of joints seem to be exchanged all over the set",
    # the model
    "misplaced": "a model that is sure sees the joint elsewhere",
    "elsewhere": "a model that is sure sees the whole person elsewhere",
    "offset": "labels lie beside the model's joints by the same step all over the set",
}


@dataclass(frozen=True)
class Finding:
    """One fault, or something worth a look.

    Raises:
        ValueError: the kind or the level does not exist.
    """

    kind: str
    level: Level
    badness: float  # 0 to 1: how far from normal; ranks findings of one level
    sentence: str
    source: int = 0  # row among the sources that were examined
    image: int | None = None  # row among the source's images; None: of the set or the skeleton
    person: int | None = None  # row among the source's people
    joints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.level not in LEVELS:
            raise ValueError(f"there is no finding {self.kind!r} of level {self.level!r}")

    @property
    def fault(self) -> bool:
        """Whether this counts as a fault, and not only as worth a look."""
        return self.level != "look"

    @property
    def weight(self) -> float:
        """Rank of the finding: the level first, the badness within it."""
        return LEVELS.index(self.level) + min(max(self.badness, 0.0), 1.0)


def named(joints: Sequence[str]) -> str:
    """Names in a sentence: `neck`, `neck and nose`, or the first three and how many more."""
    if len(joints) > 4:
        return f"{', '.join(joints[:3])} and {len(joints) - 3} more"
    head, last = list(joints[:-1]), joints[-1] if joints else ""
    return f"{', '.join(head)} and {last}" if head else last


def of_people(
    people: Annotations,
    kind: str,
    level: Level,
    hits: Bools,
    say: Callable[[int, tuple[str, ...]], str],
    badness: Doubles | float = 0.5,
) -> list[Finding]:
    """One finding for each person hit.

    Args:
        people: all of them.
        kind: of `KINDS`.
        level: of `LEVELS`.
        hits: (N,) people, or (N, K) joints of people.
        say: makes the sentence from the person's row and the names of the joints that are hit.
        badness: 0 to 1, one or (N,).
    """
    worst = np.broadcast_to(np.asarray(badness, dtype=np.float64), hits.shape[:1])
    made = []
    for row in _rows(hits):
        names = people.skeleton.joints
        joints = (
            tuple(n for n, h in zip(names, hits[row], strict=True) if h) if _joined(hits) else ()
        )
        sentence, image = say(row, joints), int(people.image[row])
        made.append(Finding(kind, level, float(worst[row]), sentence, 0, image, row, joints))
    return made


def _joined(hits: Bools) -> bool:
    return hits.ndim == 2


def _rows(hits: Bools) -> Iterable[int]:
    flat = hits.any(axis=1) if _joined(hits) else hits
    return [int(row) for row in np.flatnonzero(flat)]
