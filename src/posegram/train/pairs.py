"""People without labels, seen twice: a mild view and a hard one, and the way between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posegram import coords, data
from posegram.data import coco
from posegram.pose import Floats, Image, Sample, Skeleton
from posegram.train import augment
from posegram.train.batches import Crops
from posegram.train.config import Config

__all__ = ["Pairs", "paste", "people"]

_EASY = {"turn": 10.0, "turn_share": 1.0, "any_turn": 0.0, "scale": (0.9, 1.1), "shift": 0.02}
_PATCHES = 5  # squares at most on one hard view
_SIDE = (0.06, 0.16)  # of a square / crop height
_WIDTH = 0.08  # crop heights by which a square may miss its joint


def people(config: Config, held: Collection[Path]) -> list[Sample]:
    """The people of `config.unlabelled`, their labels thrown away, those in held photos left out.

    A folder's pictures are one person each, whose box is the picture.

    Raises:
        ValueError: nobody is left.
    """
    found = [s for spec in config.unlabelled for s in _unlabelled(spec)]
    known = {image.absolute() for image in held}
    free = [s for s in found if s.image.absolute() not in known]
    kept = [replace(s, visible=np.zeros_like(s.visible)) for s in free]
    if not kept:
        raise ValueError(f"unlabelled = {list(config.unlabelled)} holds nobody to learn from")
    return kept


def _unlabelled(spec: str) -> list[Sample]:
    samples, told = data.read(spec), data.pieces(spec)
    if samples or told.reader not in ("", "coco") or not told.path.is_file():
        return samples
    nobody = Skeleton("none", ())
    nothing = np.zeros((0, 2), dtype=np.float32), np.zeros(0, dtype=np.uint8)
    scenes = coco.read_scenes(told.path)  # boxes without joints
    return [Sample(s.image, *nothing, box, None, None, nobody) for s in scenes for box in s.box]


class Pairs(Crops):
    """Labelled crops, each with the two views of some people without labels.

    Beside what `Crops` gives, an item holds for U people: `easy` and `hard` (U, H, W, 3) uint8,
    `to_easy` (U, 2, 3) from pixels of the hard view to those of the easy one, `swap` (U,) whether
    one of the two is mirrored, and `lots` (U, 5, 4), chance for the squares.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        others: Sequence[Sample],
        skeleton: Skeleton,
        config: Config,
        *,
        disk: Path | None = None,
    ) -> None:
        super().__init__(samples, skeleton, config, training=True, disk=disk)
        below = None if disk is None else disk.with_name("unlabelled")
        self.others = Crops(others, skeleton, config, training=True, disk=below)
        self.mild = config.override({**_EASY, "flip": config.flip})

    def __getitem__(self, i: int) -> dict[str, Any]:
        """One labelled crop and its companions, see the class."""
        rng = np.random.default_rng((self.config.seed, self.epoch, i, 11))
        rows = rng.integers(0, len(self.others), self.config.unlabelled_times).tolist()
        views = [self._views(row, rng) for row in rows]
        return super().__getitem__(i) | {k: np.stack([v[k] for v in views]) for k in views[0]}

    def _views(self, row: int, rng: np.random.Generator) -> dict[str, Any]:
        changes = [augment.random_change(c, rng) for c in (self.mild, self.config)]
        (easy, matrix), (hard, harder) = (self.others.cut(row, c) for c in changes)
        hard = augment.colours(hard, self.config, rng)
        hard = augment.spoil(hard, np.zeros((0, 2), dtype=np.float32), self.config, rng)
        return {
            "easy": easy,
            "hard": hard,
            "to_easy": coords.chain(coords.inverse(harder), matrix),
            "swap": np.bool_(changes[0].flip != changes[1].flip),
            "lots": rng.random((_PATCHES, 4), dtype=np.float32),
        }


def paste(hard: Image, joints: Floats, lots: Floats) -> Image:
    """Hard views with up to five squares of plain colour over predicted joints, (U, H, W, 3).

    Args:
        hard: (U, H, W, 3).
        joints: (U, K, 2) pixels of the hard views.
        lots: (U, 5, 4) chance, 0 to 1: which joint, how large, how far off, which colour.
    """
    hard = hard.copy()
    height, width = hard.shape[1:3]
    for view, xy, chance in zip(hard, joints, lots, strict=True):
        for which, large, off, colour in chance[: 1 + int(chance[0, 3] * len(chance))]:
            half = (_SIDE[0] + (_SIDE[1] - _SIDE[0]) * large) * height / 2
            angle = 2 * np.pi * colour
            middle = xy[int(which * len(xy))] + off * _WIDTH * height * np.array(
                [np.cos(angle), np.sin(angle)]
            )
            (x0, y0), (x1, y1) = middle - half, middle + half
            rows = slice(*np.clip([y0, y1], 0, height).astype(int))
            columns = slice(*np.clip([x0, x1], 0, width).astype(int))
            view[rows, columns] = np.array([large, off, colour]) * 255
    return hard
