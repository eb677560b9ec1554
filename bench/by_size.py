"""How near a model's joints lie to the labelled ones, for small, middle and large people of COCO.

    python bench/by_size.py LABELS MODEL[:ADAPTER] ...

LABELS is a COCO keypoint file beside its photos; boxes are given. Prints the mean similarity of the
labelled joints, exp(-d^2 / (2 area (2 sigma)^2)), and the share of joints above 0.5. Areas split at
64^2 and 136^2 square pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from usage import arguments

from posegram import data, image
from posegram.infer.load import load
from posegram.pose import COCO17, Sample

BOUNDS = {"small": (0, 64**2), "middle": (64**2, 136**2), "large": (136**2, np.inf)}


def similarity(estimate, samples: list[Sample]) -> Iterator[np.ndarray]:
    """Of each person's joints, (K,); NaN where not labelled."""
    columns = [estimate.card.skeleton.joints.index(joint) for joint in COCO17.joints]
    sigma = np.array(COCO17.sigmas)
    for sample in samples:
        xy = estimate(image.read(sample.image), sample.box[None]).xy[0, columns]
        away = ((xy - sample.xy) ** 2).sum(axis=-1)
        near = np.exp(-away / (2 * sample.area * (2 * sigma) ** 2))
        yield np.where(sample.visible > 0, near, np.nan)


def main() -> None:
    given = arguments(__doc__, 2)
    samples = [s for s in data.read(f"coco:{given[0]}") if s.area and (s.visible > 0).any()]
    area = np.array([s.area for s in samples])
    print("| model | " + " | ".join(f"{name} people" for name in BOUNDS) + " |")
    print("|---" * (len(BOUNDS) + 1) + "|")
    for model in given[1:]:
        path, _, adapter = model.partition(":")
        near = np.stack([*similarity(load(path, adapter=adapter, detector="none"), samples)])
        cells = []
        for low, high in BOUNDS.values():
            some = near[(area >= low) & (area < high)]
            some = some[np.isfinite(some)]
            cells.append(f"{some.mean():.3f} ({100 * (some > 0.5).mean():.0f} % of {len(some)})")
        print(f"| {Path(path).stem} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
