"""Whole photos with people's boxes and joints: what Keypoint R-CNN learns from.

Everybody with a box is a person to find, also people without a labelled joint, who then teach no
joints; no photo is left out for having few labels. Regions of crowds are painted over: whoever is
in them is neither a person nor background. Boxes and joints count from the corner of the first
pixel, as everywhere in Keypoint R-CNN, so that resizing multiplies them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset

from posegram import coords, data, image
from posegram.areas import OUTLINE
from posegram.data import coco, nameless
from posegram.data.split import split
from posegram.pose import Floats, Image, Sample, Skeleton
from posegram.train import augment, scenes, skeletons
from posegram.train.batches import relabel
from posegram.train.config import Config

__all__ = ["MOST", "Photo", "Photos", "painted", "people_of", "pictures", "plain", "read", "sets"]

MOST = 100  # people of a photo; of more, the largest stay
_SHOWN = 0.3  # share of a person that must be in the picture to be one
_SMALLEST = 2.0  # input pixels: people narrower or lower than that are nobody
GREY = (124, 116, 104)  # the mean colour of photos, which normalises to about 0


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo with its people; a person without labelled joints has `visible` 0 everywhere."""

    image: Path
    people: tuple[Sample, ...]  # their own skeletons
    ignore: Floats  # (M, 4) x0, y0, x1, y1 image pixels: crowds


def read(spec: str, images: Path | None = None) -> list[Photo]:
    """The photos that a spec names, also those of nobody.

    Args:
        spec: of a COCO annotation file, `path` or `coco:path`, with `#train`, `#valid`, `#partial`
            or `#first-last` (photos, from 1) behind it; or of any other labelled people, see
            `posegram.data.read`, where nobody but the labelled people is known.
        images: the folder of the pictures; by default the reader looks beside the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is refused by its reader.
    """
    told = data.pieces(spec)
    if told.path.suffix.lower() == ".json" and told.reader in ("", "coco"):
        return _coco(spec, told.path, images)
    by_image = defaultdict(list)
    for sample in data.read(spec, images):
        by_image[sample.image].append(sample)
    nowhere = np.zeros((0, 4), dtype=np.float32)
    return [Photo(file, tuple(samples), nowhere) for file, samples in by_image.items()]


def _coco(spec: str, path: Path, images: Path | None) -> list[Photo]:
    """Photos with everybody's box, and joints where a person of that box has some."""
    labelled = defaultdict(list)
    for sample in coco.read(path, images):
        labelled[sample.image].append(sample)
    photos = []
    for scene in scenes.read(spec, images):
        found = [_person(box, scene.image, labelled[scene.image]) for box in scene.box]
        # a box around everything says that not all people are listed, not that there is a crowd
        crowds = scene.ignore[(np.abs(scene.ignore) < 1e5).all(axis=1)]
        photos.append(Photo(scene.image, tuple(found), crowds))
    return photos


def _person(box: Floats, file: Path, labelled: list[Sample]) -> Sample:
    """The labelled person with that box, taken from the list; else one without joints."""
    for row, sample in enumerate(labelled):
        if np.abs(sample.box - box).max() < 0.01:
            return labelled.pop(row)
    area = OUTLINE * coords.area_of(box)  # as `data.coco` estimates it
    nothing = Skeleton("nothing", ())
    none = np.zeros((0, 2), dtype=np.float32), np.zeros(0, dtype=np.uint8)
    return Sample(file, *none, box, None, area, nothing)


def people_of(photos: Sequence[Photo]) -> list[Sample]:
    """Everybody with labelled joints, in the photos' order."""
    return [sample for photo in photos for sample in photo.people if sample.visible.any()]


def sets(config: Config) -> tuple[list[Photo], list[Photo]]:
    """The photos to train on and those to validate on.

    Raises:
        ValueError: no data set is named, nobody on one side has joints or one of the skeleton, or
            which joints are left/right twins is in doubt.
    """
    if not config.train:
        raise ValueError(
            "no data to train on; give train=coco:path, such as train=coco:labels.json"
        )
    skeleton = skeletons.named(plain(config))
    train = _called(config, config.train, skeleton)
    if config.valid:
        valid = _called(config, config.valid, skeleton)
    else:
        _, held = split(people_of(train), share=config.split, seed=config.seed)
        apart = {sample.image for sample in held}
        valid = [photo for photo in train if photo.image in apart]
        train = [photo for photo in train if photo.image not in apart]
    for name, side in (("train", train), ("validate", valid)):
        if not people_of(side):
            raise ValueError(f"there is nobody with joints to {name} on in {len(side)} photos")
        skeletons.require(skeleton, people_of(side), f"{name} on")
    skeletons.check(config, skeleton, people_of(train))
    return train, valid


def _called(config: Config, specs: Sequence[str], skeleton: Skeleton) -> list[Photo]:
    """The photos of data sets, joints without names called as the settings' skeleton file says."""
    found = [photo for spec in specs for photo in read(spec, config.pictures)]
    given = skeleton if config.skeleton.endswith(".toml") else None
    return [replace(one, people=tuple(nameless.called(one.people, given))) for one in found]


def pictures(photos: Sequence[Photo], config: Config, *, training: bool) -> Photos:
    """A run's photos as pictures to train or validate on."""
    return Photos(photos, skeletons.named(plain(config)), config, training=training)


def plain(config: Config) -> Config:
    """The settings with data sets named without their parts, as `skeletons.named` reads them."""
    told = map(data.pieces, config.train)
    train = (f"{one.reader}:{one.path}" if one.reader else str(one.path) for one in told)
    return replace(config, train=tuple(train))


class Photos(Dataset[dict[str, Any]]):
    """Resized photos: `photos[i]` is a dict of arrays, see `__getitem__`.

    With `training` every epoch sees another random change, fixed by (seed, epoch, i).
    """

    def __init__(
        self, photos: Sequence[Photo], skeleton: Skeleton, config: Config, *, training: bool
    ) -> None:
        self.photos = photos
        self.skeleton = skeleton
        self.config = config
        self.training = training
        self.epoch = 0
        self.kept: dict[int, Image] = {}

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, i: int) -> dict[str, Any]:
        """One picture and its labels.

        Returns:
            `crop` (S, S, 3) uint8, the picture in its top left corner; `extent` (2,) its height
            and width; `box` (100, 4) and `joints` (100, K, 3) x, y, visible, in its pixels, of
            `count` people; `back` (2,) photo pixels a pixel, right and down; `row` i.
        """
        config = self.config
        rng = np.random.default_rng((config.seed, self.epoch, i))
        i %= len(self)
        photo = self._photo(i)
        size = coords.fit_sides(photo.shape[:2], min(config.size), max(config.size))
        zoom = np.array([size[1] / photo.shape[1], size[0] / photo.shape[0]], dtype=np.float32)
        shift, flip = np.zeros(2, dtype=np.float32), False
        if self.training:
            zoom = zoom / np.float32(np.exp(rng.uniform(*np.log(config.scale))))
            free = np.maximum(0, np.array(photo.shape[1::-1]) * zoom - size[::-1])
            shift = (rng.random(2) * free).astype(np.float32)
            flip = bool(rng.random() < config.flip)
        seen = np.minimum(np.floor(np.array(photo.shape[1::-1]) * zoom + 1e-3), size[::-1])
        extent = np.maximum(seen[::-1], 1).astype(np.int64)  # height, width
        crop = _cut(photo, zoom, shift, extent, max(config.size))
        box, joints = self._labels(self.photos[i], zoom, shift)
        if flip:
            crop[: extent[0], : extent[1]] = crop[: extent[0], : extent[1]][:, ::-1].copy()
            box, joints = _mirrored(box, joints, int(extent[1]), self.skeleton)
        box, joints = _inside(box, joints, extent)
        if self.training:
            crop = augment.colours(crop, config, rng)
        count = len(box)
        return {
            "crop": crop,
            "extent": extent,
            "box": np.pad(box, ((0, MOST - count), (0, 0))),
            "joints": np.pad(joints, ((0, MOST - count), (0, 0), (0, 0))),
            "count": count,
            "back": (1 / zoom).astype(np.float32),
            "row": i,
        }

    def _photo(self, i: int) -> Image:
        """Photo i, its crowds painted over, (H, W, 3)."""
        if i in self.kept:
            return self.kept[i]
        found = painted(image.read(self.photos[i].image), self.photos[i])
        if self.config.cache == "ram":
            self.kept[i] = found
        return found

    def _labels(self, photo: Photo, zoom: Floats, shift: Floats) -> tuple[Floats, Floats]:
        """Boxes (N, 4) and joints (N, K, 3) of a photo's people in the picture's pixels."""
        people = sorted(photo.people, key=lambda s: -coords.area_of(s.box))[:MOST]
        box = np.array([s.box for s in people], dtype=np.float32).reshape(-1, 4)
        joints = np.zeros((len(people), len(self.skeleton), 3), dtype=np.float32)
        for row, sample in enumerate(people):
            xy, labelled, _ = relabel(sample, self.skeleton)
            joints[row] = np.column_stack([xy * zoom - shift, labelled])
        return box * np.tile(zoom, 2) - np.tile(shift, 2), joints


def painted(photo: Image, labels: Photo) -> Image:
    """The photo with its crowds in plain grey, but for the boxes of its people."""
    if not len(labels.ignore):
        return photo
    result = photo.copy()
    for x0, y0, x1, y1 in labels.ignore.clip(0).round().astype(int):
        result[y0:y1, x0:x1] = GREY
    for sample in labels.people:
        x0, y0, x1, y1 = sample.box.clip(0).round().astype(int)
        result[y0:y1, x0:x1] = photo[y0:y1, x0:x1]
    return result


def _cut(photo: Image, zoom: Floats, shift: Floats, extent: Any, side: int) -> Image:
    """The part of a resized photo that is seen, in the corner of a grey square, (side, side, 3).

    Not smoothed, for torchvision does not smooth when it looks at a photo.
    """
    # corners are carried to corners; cv2 counts from centres
    offset = (zoom - 1) / 2 - shift
    matrix = np.array([[zoom[0], 0, offset[0]], [0, zoom[1], offset[1]]], dtype=np.float32)
    size = int(extent[1]), int(extent[0])
    seen = cv2.warpAffine(
        photo, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    square = np.full((side, side, 3), GREY, dtype=np.uint8)
    square[: size[1], : size[0]] = seen
    return square


def _mirrored(box: Floats, joints: Floats, width: int, skeleton: Skeleton) -> tuple[Floats, Floats]:
    """Boxes and joints of the mirrored picture: left joints become right ones."""
    box = box.copy()
    box[:, [0, 2]] = width - box[:, [2, 0]]
    joints = joints[:, skeleton.flipped]
    joints[..., 0] = width - joints[..., 0]
    return box, joints


def _inside(box: Floats, joints: Floats, extent: Any) -> tuple[Floats, Floats]:
    """Those people who are in the picture, cut at its edges; joints outside are not labelled."""
    edge = np.array([extent[1], extent[0]], dtype=np.float32)
    cut = np.clip(box, 0, np.tile(edge, 2)).astype(np.float32)
    sides, whole = cut[:, 2:] - cut[:, :2], box[:, 2:] - box[:, :2]
    share = sides.prod(axis=1) / np.maximum(whole.prod(axis=1), 1e-6)
    kept = (sides >= _SMALLEST).all(axis=1) & (share >= _SHOWN)
    cut, joints = cut[kept], joints[kept]
    outside = (joints[..., :2] < 0) | (joints[..., :2] > edge)
    joints[..., 2] *= ~outside.any(axis=-1)
    return cut, joints
