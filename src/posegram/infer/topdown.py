"""The main path: an image and people's boxes in, people out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from posegram import coords, heatmaps
from posegram import image as pictures
from posegram.pose import Card, Floats, Image, Network, People, Raw
from posegram.track import distinct_rows

__all__ = ["BATCH", "Detect", "TopDown"]

BATCH = 16  # crops per call of the network: bounds the memory that a crowd takes


class Detect(Protocol):
    """What finds people's boxes, such as `infer.detect.Detector`."""

    def __call__(self, image: Image) -> Floats:
        """Boxes (N, 4) x0, y0, x1, y1 image pixels, of an image (H, W, 3) uint8 RGB."""

    def scored(self, image: Image) -> tuple[Floats, Floats]:
        """The same boxes, and the probability that each holds a person, (N,)."""


@dataclass(frozen=True, eq=False, repr=False)
class TopDown:
    """An `Estimate`: finds the joints of one person per box, with one network.

    Without a detector and without boxes, the whole image is taken as one person's crop.
    """

    card: Card
    network: Network
    detect: Detect | None = None
    least: float = 0.2  # somebody found, none of whose joints is that likely, is a false alarm

    def __repr__(self) -> str:
        """Name and input of the network, and what finds the people: not the whole card."""
        height, width = self.card.size
        finder = getattr(getattr(self.detect, "card", None), "name", self.detect)
        return f"TopDown({self.card.name}, {width}x{height} pixels, detector: {finder})"

    def __call__(self, image: pictures.Picture, boxes: Floats | None = None) -> People:
        """One person per box, in the boxes' order, in the model's own skeleton.

        Of found boxes that turn out to hold the same person, one stays; those that turn out to
        hold nobody go.

        A joint of a found person is right if the box holds a person and the joint is right in it.
        Its score is the joint's probability times the square root of the box's: joints that are
        sure speak for a person, too, so the box's doubt as a whole would count twice.

        Args:
            image: (H, W, 3) uint8 RGB, or another kind of picture, see `posegram.image.rgb`.
            boxes: (N, 4) x0, y0, x1, y1 image pixels; the detector's without them.

        Raises:
            FileNotFoundError: there is no such photo.
            ValueError: the photo is broken, the image or the boxes have another shape, or a box is
                not finite or runs backwards.
        """
        image = pictures.rgb(image)
        margin, sure = self.card.margin, np.ones(1, dtype=np.float32)
        if boxes is not None:
            box = _checked(boxes)
        elif self.detect is not None:
            box, sure = self.detect.scored(image)
            box = _checked(box)
        else:
            box, margin = coords.whole(image), 1.0  # nothing lies around the whole image
        parts = [
            self._some(image, box[n : n + BATCH], margin) for n in range(0, len(box), BATCH)
        ] or [People.none(self.card.skeleton)]
        xy = np.concatenate([part.xy for part in parts])
        score = np.concatenate([part.score for part in parts])
        people = People(xy, score, box, self.card.skeleton)
        if boxes is not None or self.detect is None:
            return people
        both = replace(people, score=score * sure[:, None])
        likely = both.score.max(axis=1, initial=0) >= self.least
        # of doubles, who more likely is somebody stays
        rows = [row for row in distinct_rows(both) if likely[row]]
        return replace(people, score=score * np.sqrt(sure)[:, None])[rows]

    def _some(self, image: Image, box: Floats, margin: float) -> People:
        """The people in a few boxes (B, 4), with one call of the network."""
        crops, back = coords.crop(image, box, self.card.size, margin=margin)
        xy, sure = self._read(self.network(crops))
        score = coords.probability(sure, self.card.calibration)
        return People(coords.move(xy, back), score, box, self.card.skeleton)

    def _read(self, raw: Raw) -> tuple[Floats, Floats]:
        """Joints (B, K, 2) crop pixels and confidences (B, K), not calibrated."""
        card = self.card
        return coords.decode(raw, card.kind, card.size, heatmaps.spreads(card.skeleton))


def _checked(boxes: Floats) -> Floats:
    box = np.asarray(boxes, dtype=np.float32)
    if box.size == 0:
        box = box.reshape(0, 4)
    if box.ndim != 2 or box.shape[1] != 4:
        raise ValueError(f"boxes are (N, 4) x0, y0, x1, y1, not {box.shape}")
    if not np.isfinite(box).all() or (box[:, 2:] < box[:, :2]).any():
        raise ValueError("a box must be finite, with x0 <= x1 and y0 <= y1")
    return box
