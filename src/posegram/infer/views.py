"""Several looks at each person: the mirrored crop, and the crop turned four ways.

Heatmaps of the two flips are averaged before joints are read from them: where the flips disagree
about left and right, one place wins instead of the middle between two. Of networks that give
positions, those are averaged with weights score^2 and the larger score stays (the teachers' notes).
The turn with the highest mean score over the body's joints wins, the upright one with a bonus.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from posegram import coords
from posegram.coords import Change
from posegram.infer.topdown import TopDown
from posegram.pose import COCO17, Floats, Image, Ints, People, Raw

__all__ = ["FOUR", "Views", "views"]

FOUR = (0.0, 90.0, 180.0, -90.0)  # degrees, clockwise in the picture

_BODY = COCO17.joints[5:]  # shoulders to ankles: the face tells little of which way is up
_TINY = 1e-9  # weights never sum to zero


@dataclass(frozen=True, eq=False)
class Views(TopDown):
    """A `TopDown` that may look at each person more than once; without options it looks once."""

    flip: bool = False  # average with the mirrored crop: twice the time
    turns: tuple[float, ...] = (0.0,)  # degrees; the first is how the photo stands
    bonus: float = 0.03  # mean score that the upright look is given for free
    enough: float = 0.8  # mean score of the upright look above which no other turn is tried
    centre: float = 0.0  # crop pixels from the crop's middle to the box's, right and down
    plain: bool = False  # the network's confidences are scores 0 to 1, not logits

    def _some(self, image: Image, box: Floats, margin: float) -> People:
        """The people in a few boxes (B, 4)."""
        crops, back = self._cut(image, box, margin, self.turns[0])
        raw = self.network(crops)
        xy, sure = self._read(raw)
        if len(self.turns) > 1:
            raw = tuple(np.array(one) for one in raw)  # some runtimes' arrays are read-only
            best = self._merit(sure)
            doubtful = np.flatnonzero(best <= self.enough)
            best = best + self.bonus
            for turn in self.turns[1:]:
                if not len(doubtful):
                    break
                seen, way = self._cut(image, box[doubtful], margin, turn)
                other = self.network(seen)
                places, logit = self._read(other)
                merit = self._merit(logit)
                wins = merit > best[doubtful]
                rows = doubtful[wins]
                best[rows], crops[rows], back[rows] = merit[wins], seen[wins], way[wins]
                xy[rows], sure[rows] = places[wins], logit[wins]
                for whole, part in zip(raw, other, strict=True):
                    whole[rows] = part[wins]
        if self.flip:
            xy, sure = self._mirrored(crops, raw)
        score = coords.probability(sure, self.card.calibration)
        return People(coords.move(xy, back), score, box, self.card.skeleton)

    def _cut(
        self, image: Image, box: Floats, margin: float, turn: float
    ) -> tuple[npt.NDArray[np.uint8], Floats]:
        """Turned crops (B, H, W, 3) and the matrices (B, 2, 3) from their pixels to the image's."""
        size = self.card.size
        change = Change(turn=turn, shift=(self.centre / size[1], self.centre / size[0]))
        fitting = _lying(box) if turn % 180 else box
        return coords.crop(image, fitting, size, margin=margin, change=change)

    def _score(self, sure: Floats) -> Floats:
        """Confidences as scores from 0 to 1, same shape."""
        if self.plain:
            return np.clip(sure, 0.0, 1.0)
        return coords.probability(sure, self.card.calibration)

    def _merit(self, sure: Floats) -> Floats:
        """Mean score over the body's joints, (B,), of confidences (B, K)."""
        return np.asarray(self._score(sure)[:, self._body()].mean(axis=1))

    def _body(self) -> Ints:
        """Rows of the body's joints; all rows where a skeleton has none of them."""
        joints = self.card.skeleton.joints
        rows = [row for row, joint in enumerate(joints) if joint in _BODY]
        return np.array(rows or range(len(joints)), dtype=np.int64)

    def _mirrored(self, crops: npt.NDArray[np.uint8], raw: Raw) -> tuple[Floats, Floats]:
        """Joints and confidences as `_read`, of the arrays of crops and of their mirrored twins."""
        twin = self.card.skeleton.flipped
        other = self.network(np.ascontiguousarray(crops[:, :, ::-1]))
        if self.card.kind == "heatmap":
            both = np.stack([raw[0], other[0][:, twin, :, ::-1]])
            return self._read((both.mean(axis=0, dtype=np.float32),))
        (xy, sure), (places, logit) = self._read(raw), self._read(other)
        places, logit = places[:, twin], logit[:, twin]
        places[..., 0] = self.card.size[1] - 1 - places[..., 0]
        ours, theirs = (self._score(one)[..., None] ** 2 + _TINY for one in (sure, logit))
        mean = (xy * ours + places * theirs) / (ours + theirs)
        return np.asarray(mean, dtype=np.float32), np.maximum(sure, logit)


def _lying(box: Floats) -> Floats:
    """Boxes (B, 4) with width and height exchanged about their centres.

    A crop that is higher than wide and lies on its side fits these boxes, not the upright ones.
    """
    middle = (box[:, :2] + box[:, 2:]) / 2
    half = ((box[:, 2:] - box[:, :2]) / 2)[:, ::-1]
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def views(estimate: TopDown, *, flip: bool = False, rotations: bool = False) -> TopDown:
    """The same estimate with more looks at each person; itself when none is wanted.

    Args:
        estimate: any model that `posegram.load` gives.
        flip: average with the mirrored crop.
        rotations: choose among four turns, for handstands and the like; a turn costs a look, and
            only people who are doubtful the way the photo stands cost all four.

    Raises:
        ValueError: the model does not work on crops of people.
    """
    if not (flip or rotations):
        return estimate
    if not isinstance(estimate, TopDown):
        raise ValueError("flips and rotations need a model that looks at one person's crop")
    turns = FOUR if rotations else (0.0,)
    if isinstance(estimate, Views):
        return replace(estimate, flip=flip, turns=turns)
    given = {f.name: getattr(estimate, f.name) for f in fields(TopDown)}
    return Views(**given, flip=flip, turns=turns)
