"""A picture of augmented samples, so that a person sees at once when something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posegram import image
from posegram.pose import People, Sample
from posegram.train.batches import Crops
from posegram.train.config import Config

__all__ = ["preview"]


def preview(
    samples: Sequence[Sample],
    out: Path,
    *,
    count: int = 24,
    seed: int = 0,
    config: Config | None = None,
) -> Path:
    """Write a grid of augmented crops with their labelled joints drawn; returns `out`.

    Args:
        samples: annotated people of one skeleton.
        out: the picture to write.
        count: how many crops; the first four people are shown without any change, too.
        seed: another seed shows other people, changed in other ways.
        config: the settings to show; by default those of `Config()`.

    Raises:
        ValueError: there is nobody to show.
    """
    if not samples:
        raise ValueError("there is nobody to show")
    rng = np.random.default_rng(seed)
    chosen = [samples[int(n)] for n in rng.choice(len(samples), min(count, len(samples)), False)]
    config = (config or Config()).override({"seed": seed, "cache": "off"})
    skeleton = samples[0].skeleton
    plain = Crops(chosen[:4], skeleton, config, training=False)
    changed = Crops(chosen, skeleton, config, training=True)
    tiles = []
    for crops in (plain, changed):
        for n in range(len(crops)):
            one = crops[n]
            shown = one["weight"] > 0
            people = People(
                np.where(shown[:, None], one["xy"], np.nan)[None].astype(np.float32),
                shown[None].astype(np.float32),
                np.zeros((1, 4), dtype=np.float32),
                skeleton,
            )
            tiles.append(image.draw(one["crop"], people))
    image.write(out, image.grid(tiles, 7))
    return out
