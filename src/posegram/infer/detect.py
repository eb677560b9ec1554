"""People's boxes in a photo, by a detector network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from posegram import coords
from posegram.data.scenes import input_size
from posegram.infer.topdown import TopDown
from posegram.metrics import boxes
from posegram.pose import Card, Floats, Image, Network

__all__ = ["Detector", "ranked"]

_HARDLY = 0.05  # probability of a box that is worth a rank


@dataclass(frozen=True, eq=False)
class Detector:
    """A `Detect`: the boxes of the people in a photo, best first.

    Raises:
        ValueError: the card is not a detector's.
    """

    card: Card
    network: Network
    threshold: float = 0.3  # smallest probability of a box that is kept
    overlap: float = 0.5  # intersection over union above which the worse of two boxes goes

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
        size = input_size(image.shape[:2], self.card.size)
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
