"""Photos without labels for the detector: people whom NanoDet finds in a public repository's.

    python bench/found_photos.py OUT GIT@COMMIT NANODET.onnx

Writes OUT/labels.json and OUT/images. Used with Flickr8k's 8,091 photos as they lie, squeezed to
224x224, in RlNZLER/Image-Text-Matching@56a15d91; they are enlarged to SIDE. Who is found with a
score of 0.4 is a person; what lies between that and 0.2, and is no part of a person, is ignored.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from nanodet import NanoDet
from training_data import Git, entry, record, save

from posegram import image
from posegram.pose import Floats

SIDE = 360
SURE, DOUBTFUL = 0.4, 0.2  # scores
PART = 0.3  # of the smaller of two boxes that lies within the other


def overlap(a: Floats, b: Floats) -> float:
    """Share of the smaller box (x0, y0, x1, y1) that lies within the other."""
    shared = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(shared / min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()))


def people(boxes: Floats, scores: Floats) -> list[tuple[Floats, bool]]:
    """Boxes, surest first, and whether each is to be ignored."""
    kept: list[tuple[Floats, bool]] = []
    for row in np.argsort(-scores):
        doubtful = scores[row] < SURE
        if scores[row] < DOUBTFUL:
            break
        if not doubtful or all(overlap(boxes[row], other) <= PART for other, _ in kept):
            kept.append((boxes[row], bool(doubtful)))
    return kept


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    out, git = Path(sys.argv[1]), Git(sys.argv[2])
    nanodet = NanoDet(Path(sys.argv[3]), threshold=0.05)
    (out / "images").mkdir(parents=True, exist_ok=True)
    images, labels = [], []
    for name in sorted(n for n in git.files if n.lower().endswith(".jpg")):
        blue_first = git.picture(name)
        if blue_first is None:
            continue
        photo = cv2.cvtColor(blue_first, cv2.COLOR_BGR2RGB)
        photo = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        number = len(images) + 1
        image.write(out / "images" / Path(name).name, photo)
        images.append(entry(number, Path(name).name, photo, all_people_listed=True))
        for box, crowd in people(*nanodet.scored(photo)):
            corner_and_sides = [*box[:2], *(box[2:] - box[:2])]
            labels.append(record(len(labels) + 1, number, corner_and_sides, crowd=crowd))
    save(out / "labels.json", images, labels, {"id": 1, "name": "person"})


if __name__ == "__main__":
    main()
