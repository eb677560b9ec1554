"""The person detector in 8 bits, with ranges from photos larger than it will see.

    python bench/eight_bits.py runs/det-g/det-g.onnx detector.onnx PHOTOS...

PHOTOS are folders; of their landscape photos, up to a hundred, half give the ranges, half pass the
gate. At the detector's own size the ranges came out too narrow: AP50 on 528 validation photos fell
from 78.1 to 75.9, with ranges from an input of 480x384 it stayed at 78.5 (docs/experiments.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from posegram import coords
from posegram import image as pictures
from posegram.data.folder import images_in
from posegram.data.scenes import input_size
from posegram.infer.topdown import whole
from posegram.train.quantize import quantize

_SIDE = 416  # of the input's mean side
_SHAPE = (480, 640)  # of photos for whose aspect the input is cut
_MOST = 100


def main() -> None:
    """Write the file; says which share of the sure boxes moved."""
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    before, after, *folders = map(Path, sys.argv[1:])
    photos = [path for folder in folders for path in images_in(folder)]
    wide = [path for path in photos if np.greater(*pictures.probe(path)[::-1])][:_MOST]
    size = input_size(_SHAPE, (_SIDE, _SIDE))
    read = [pictures.read(path) for path in [*wide[::2], *wide[1::2]]]
    crops = np.concatenate([coords.crop(one, whole(one), size, margin=1.0)[0] for one in read])
    lost = quantize(before, after, crops=crops, budget=0.06)
    print(f"{after}: {lost:.1%} of the sure boxes elsewhere than in {before}")


if __name__ == "__main__":
    main()
