"""People's boxes in a photo, by a detector network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from posegram import coords
from posegram.areas import areas, iou
from posegram.data.scenes import SURE, input_size
from posegram.infer.topdown import TopDown
from posegram.metrics import boxes
from posegram.pose import Card, Floats, Image, Network

__all__ = ["Detector", "ranked"]

_HARDLY = 0.05  # probability of a box that is worth a rank
_CLOSER = 1.6  # sides of the input for a second look / its own
_SMALL = 0.025  # share of a photo that most boxes take at most where a second look is worth it
_SURE = 0.4  # probability of a box that has a say in that
_LARGE = 0.1  # share of a photo that a box takes for which the first look is better


@dataclass(frozen=True, eq=False)
class Detector:
    """A `Detect`: the boxes of the people in a photo, best first.

    Where most people turn out to be small, the photo is looked at again with a larger input, which
    shows them better; those who are large keep their boxes of the first look.

    Raises:
        ValueError: the card is not a detector's.
    """

    card: Card
    network: Network
    threshold: float = SURE  # smallest probability of a box that is kept
    overlap: float = 0.5  # intersection over union above which the worse of two boxes goes
    closer: bool = True  # look again where people are small

    def __post_init__(self) -> None:
        if self.card.kind != "detector":
            raise ValueError(f"{self.card.name} is a {self.card.kind} network, not a detector")

    def __call__(self, image: Image) -> Floats:
        """Boxes (N, 4) x0, y0, x1, y1 image pixels, see `scored`."""
        return self.scored(image)[0]

    def scored(self, image: Image) -> tuple[Floats, Floats]:
        """Boxes (N, 4) in image pixels, by falling score, and their probabilities (N,).

        Boxes end at the image's edges. N = 0 is valid.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        pixels = image.shape[0] * image.shape[1]
        box, sure = self._look(image, self.card.size)
        share = areas(box) / pixels
        if not self.closer or not (sure >= _SURE).any() or np.median(share[sure >= _SURE]) > _SMALL:
            return box, sure
        height, width = self.card.size
        near, likely = self._look(image, (round(_CLOSER * height), round(_CLOSER * width)))
        large = share >= _LARGE
        # who is large now and was not, quite, before would otherwise be in neither
        grown = iou(near, box[~large]).max(axis=1, initial=0) > self.overlap
        small = (areas(near) / pixels < _LARGE) | grown
        box = np.concatenate([box[large], near[small]])
        sure = np.concatenate([sure[large], likely[small]])
        rows = boxes.best(box, sure, least=self.threshold, overlap=self.overlap)
        return box[rows], sure[rows]

    def _look(self, image: Image, like: tuple[int, int]) -> tuple[Floats, Floats]:
        """What `scored` says, from an input of about as many pixels as (height, width)."""
        size = input_size(image.shape[:2], like)
        picture, back = coords.crop(image, coords.whole(image), size, margin=1.0)
        box, logit = (part[0] for part in self.network(picture))
        score = coords.probability(logit, self.card.calibration)
        rows = boxes.best(box, score, least=self.threshold, overlap=self.overlap)
        ends = coords.move(box[rows].reshape(-1, 2), back[0])
        height, width = image.shape[:2]
        edge = np.array([width, height], dtype=np.float32) - np.float32(0.5)
        return ends.clip(-0.5, edge).reshape(-1, 4).astype(np.float32), score[rows]


def ranked(estimate: Any) -> Any:
    """The estimate, told to keep also who is unlikely: for metrics that rank people by score.

    COCO's AP asks how well scores order all candidates, so it gains from more of them; people who
    look at results do not. An estimate without our detector stays as it is.
    """
    if isinstance(estimate, TopDown) and isinstance(estimate.detect, Detector):
        return replace(estimate, detect=replace(estimate.detect, threshold=_HARDLY), least=0.0)
    return estimate
