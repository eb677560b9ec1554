"""Whole photos with boxes as pictures to train a detector on: zoomed, cut, mirrored, in mosaics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from posegram import coords, data, image
from posegram.coords import Change
from posegram.data import coco
from posegram.data.scenes import Scene, backgrounds, input_size
from posegram.pose import Floats, Image
from posegram.train import augment
from posegram.train.assign import IGNORED, PERSON
from posegram.train.config import Config

__all__ = ["Scenes", "canvas_side", "cut", "read", "sets"]

MOST = 100  # boxes of one picture; of more, the largest stay
_MOSAIC = 0.5  # share of the training pictures that are made of four photos
_EMPTY = 0.15  # share of the other three that are photos without people
_LARGER = 1.4  # zoom of a photo in a mosaic / zoom of one alone: keeps people from getting tiny
_STRETCH = 0.12  # standard deviation of the log of the random aspect
_AIMED = 0.6  # share of the random windows that are laid around a person
_SHOWN = 0.3  # share of a person that must be in the picture; below, the rest is ignored
_SMALLEST = 6.0  # input pixels: people lower than that are ignored
_KEPT = 1.3  # longest side of a kept photo / side of the input


def read(spec: str, images: Path | None = None) -> list[Scene]:
    """The scenes that a spec names.

    Args:
        spec: a COCO annotation file, or a folder of photos without people, with `coco:` or
            `folder:` before it if you like; `#train`, `#valid` or `#partial` behind a file keep a
            part of it, see `coco.read_scenes`, and `#first-last` behind either keeps a range of its
            photos counted from 1.
        images: the folder of a file's pictures; by default the reader looks beside the file.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the file is refused by its reader, or has no such part.
    """
    told = data.pieces(spec)
    if told.reader not in ("", "coco", "folder"):
        raise ValueError(f"{spec}: boxes are read from coco: and folder:, not {told.reader}:")
    if not told.path.is_dir():
        scenes = coco.read_scenes(told.path, images, part=told.part)
    elif told.part:
        raise ValueError(f"{told.path}: a folder has no part {told.part!r}, only #first-last")
    else:
        scenes = backgrounds(told.path)
    return scenes[told.rows(len(scenes), "photos")]


def sets(config: Config) -> tuple[list[Scene], list[Scene]]:
    """The photos to train on and those to validate on.

    A photo that has the file name of one to validate on is not trained on: public sets hold copies
    of the same COCO photos.

    Raises:
        ValueError: no data set is named, or one side has nobody in it.
    """
    if not config.train or not config.valid:
        raise ValueError(
            "a detector needs train=[...] and valid=[...], such as train=boxes.json#train"
        )
    images = config.pictures
    valid = [scene for spec in config.valid for scene in read(spec, images)]
    held = {scene.image.name for scene in valid}
    train = [s for spec in config.train for s in read(spec, images) if s.image.name not in held]
    for name, side in (("train", train), ("valid", valid)):
        if not any(len(scene.box) for scene in side):
            raise ValueError(f"{name} = {list(getattr(config, name))} holds nobody")
    return train, valid


class Scenes(Dataset[dict[str, Any]]):
    """Pictures of scenes: `scenes[i]` is a dict of arrays, see `__getitem__`.

    With `training` every epoch sees another random change, fixed by (seed, epoch, i).
    """

    def __init__(self, scenes: Sequence[Scene], config: Config, *, training: bool) -> None:
        self.scenes = scenes
        self.config = config
        self.training = training
        self.epoch = 0
        self.empty = [n for n, s in enumerate(scenes) if not len(s.box) and not len(s.ignore)]
        self.kept: dict[int, tuple[Image, float]] = {}

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, i: int) -> dict[str, Any]:
        """One picture and its labels.

        Returns:
            `crop` (H, W, 3) uint8; `box` (100, 4) input pixels and `kind` (100,), filled up with
            zeros; `back` (2, 3) from the picture to the photo, meaningless in training; `row` i.
        """
        rng = np.random.default_rng((self.config.seed, self.epoch, i))
        i %= len(self)  # see `batches.Shuffle`
        back = np.eye(2, 3, dtype=np.float32)
        if not self.training:
            crop, labels, back = self._plain(i)
        elif rng.random() < _MOSAIC:
            crop, labels = self._mosaic(i, rng)
        else:
            crop, labels = self._window(i, self.config.size, 1.0, rng)
        if self.training:
            crop = augment.colours(crop, self.config, rng)
        labels = labels[np.argsort(-_areas(labels), kind="stable")[:MOST]]
        full = np.zeros((MOST, 5), dtype=np.float32)
        full[: len(labels)] = labels
        kind = full[:, 4].astype(np.int64)
        return {"crop": crop, "box": full[:, :4], "kind": kind, "back": back, "row": i}

    def photo(self, i: int) -> tuple[Image, float]:
        """Photo i, large ones shrunk, and its pixels per pixel of the file."""
        if i in self.kept:
            return self.kept[i]
        photo = image.read(self.scenes[i].image)
        zoom = min(1.0, _KEPT * max(self.config.size) / max(photo.shape[:2]))
        if zoom < 1:
            size = round(photo.shape[0] * zoom), round(photo.shape[1] * zoom)
            photo = coords.warp(photo, coords.zooming(zoom), size)
        if self.config.cache == "ram":
            self.kept[i] = photo, zoom
        return photo, zoom

    def _labels(self, i: int, matrix: Floats) -> Floats:
        """Boxes and kinds of scene i, carried by a matrix from file pixels, (N, 5), uncut."""
        scene = self.scenes[i]
        boxes = np.concatenate([scene.box, scene.ignore])
        ends = coords.move(boxes.reshape(-1, 2), matrix).reshape(-1, 2, 2)
        kinds = np.repeat([PERSON, IGNORED], [len(scene.box), len(scene.ignore)])
        return np.column_stack([ends.min(axis=1), ends.max(axis=1), kinds]).astype(np.float32)

    def _plain(self, i: int) -> tuple[Image, Floats, Floats]:
        """The whole photo as the finished detector sees it, in the corner of a black square."""
        photo, zoom = self.photo(i)
        size = input_size(photo.shape[:2], self.config.size)
        matrix = coords.to_crop(coords.whole(photo)[0], size, margin=1.0)
        side = canvas_side(self.config.size)
        crop = np.zeros((side, side, 3), dtype=np.uint8)
        crop[: size[0], : size[1]] = coords.warp(photo, matrix, size)
        whole = coords.chain(coords.zooming(zoom), matrix)
        return crop, cut(self._labels(i, whole), size), coords.inverse(whole)

    def _window(
        self, i: int, size: tuple[int, int], zoom: float, rng: np.random.Generator
    ) -> tuple[Image, Floats]:
        """A random part of photo i as a picture of that size, and its labels (N, 5)."""
        photo, smaller = self.photo(i)
        window = self._part(i, size, zoom, rng)
        matrix = coords.to_crop(
            window, size, margin=1.0, change=Change(flip=rng.random() < self.config.flip)
        )
        middle = (size[1] - 1) / 2
        wider = float(np.exp(np.clip(rng.normal(0, _STRETCH), -0.3, 0.3)))
        matrix[0] *= wider
        matrix[0, 2] += middle * (1 - wider)
        labels = self._labels(i, coords.chain(coords.zooming(smaller), matrix))
        return coords.warp(photo, matrix, size), cut(labels, size)

    def _part(self, i: int, size: tuple[int, int], zoom: float, rng: np.random.Generator) -> Floats:
        """A random window on photo i, (4,) pixels of the kept photo; it may overhang."""
        photo, smaller = self.photo(i)
        whole = np.array(photo.shape[1::-1], dtype=np.float32)
        low, high = np.log(self.config.scale)
        # at 1 the window is as large as the photo, in its own aspect
        times = np.sqrt(whole.prod() / (size[0] * size[1])) * np.exp(rng.uniform(low, high)) / zoom
        sides = np.array([size[1], size[0]]) * times
        slack = np.abs(whole - sides) / 2
        centre = whole / 2 + rng.uniform(-1, 1, 2) * slack
        people = self.scenes[i].box
        if len(people) and rng.random() < _AIMED:
            one = people[rng.integers(len(people))] * smaller
            aim = (one[:2] + one[2:]) / 2 + rng.uniform(-0.4, 0.4, 2) * sides
            centre = np.clip(aim, whole / 2 - slack, whole / 2 + slack)
        return np.concatenate([centre - sides / 2, centre + sides / 2]).astype(np.float32)

    def _mosaic(self, i: int, rng: np.random.Generator) -> tuple[Image, Floats]:
        """Four photos around a random point, photo i among them, and their labels (N, 5)."""
        height, width = self.config.size
        crop = np.zeros((height, width, 3), dtype=np.uint8)
        y, x = (int(side * rng.uniform(0.3, 0.7)) for side in (height, width))
        rows = rng.permutation([i, *(self._another(rng) for _ in range(3))]).tolist()
        labels = []
        corners = [(0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width)]
        for row, (top, left, bottom, right) in zip(rows, corners, strict=True):
            tile, found = self._window(row, (bottom - top, right - left), _LARGER, rng)
            crop[top:bottom, left:right] = tile
            labels.append(found + np.array([left, top, left, top, 0], dtype=np.float32))
        return crop, np.concatenate(labels)

    def _another(self, rng: np.random.Generator) -> int:
        if self.empty and rng.random() < _EMPTY:
            return self.empty[rng.integers(len(self.empty))]
        return int(rng.integers(len(self.scenes)))


def canvas_side(size: tuple[int, int]) -> int:
    """Side of the square that holds every input of a detector trained for that size, pixels."""
    return max(input_size((1, 99), size))  # a panorama's is the longest


def cut(labels: Floats, size: tuple[int, int]) -> Floats:
    """Labels (N, 5) cut at the edges of a picture; who is hardly in it, or tiny, is ignored."""
    inside = labels.copy()
    edge = np.array([size[1], size[0]] * 2, dtype=np.float32) - 0.5
    inside[:, :4] = np.clip(labels[:, :4], -0.5, edge)
    share = _areas(inside) / np.maximum(_areas(labels), 1e-6)
    low = (inside[:, 3] - inside[:, 1] < _SMALLEST) | (share < _SHOWN)
    inside[low, 4] = IGNORED
    return inside[_areas(inside) > 1]


def _areas(labels: Floats) -> Floats:
    return np.asarray((labels[:, 2] - labels[:, 0]) * (labels[:, 3] - labels[:, 1]))
