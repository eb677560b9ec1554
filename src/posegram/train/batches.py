"""Annotated people as batches of augmented crops; decoded photos are kept, never decoded twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from posegram import coords, image
from posegram.coords import Change
from posegram.data.joints import in_skeleton
from posegram.files import replacing
from posegram.pose import Floats, Image, Sample, Skeleton
from posegram.train import augment, ranks
from posegram.train.config import Config

__all__ = ["Crops", "Shuffle", "loader", "relabel"]

_ROOM = 1.7  # kept region / crop: what random zoom, turn and shift may come to show


def relabel(sample: Sample, skeleton: Skeleton) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """A sample's joints (K, 2), which are labelled (K,) and their weights (K,), by joint name.

    A joint that the sample's skeleton lacks counts as not labelled, see `data.joints.in_skeleton`.
    """
    own = in_skeleton(sample, skeleton)
    labelled = own.visible > 0
    xy = np.where(labelled[:, None], own.xy, 0).astype(np.float32)
    weight = np.where(labelled, 1 if own.weight is None else own.weight, 0).astype(np.float32)
    return xy, labelled, weight


class Crops(Dataset[dict[str, Any]]):
    """Crops of annotated people: `crops[i]` is a dict of arrays, see `__getitem__`.

    With `training` every epoch sees another random change, fixed by (seed, epoch, i), so that a
    resumed run goes on exactly as it would have; i may go on counting beyond the last person, who
    then comes again with another change (see `Shuffle`).
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        skeleton: Skeleton,
        config: Config,
        *,
        training: bool,
        disk: Path | None = None,
    ) -> None:
        self.samples = samples
        self.config = config
        self.training = training
        self.epoch = 0
        self.flipped = skeleton.flipped
        self.labels = [relabel(s, skeleton) for s in samples]
        self.disk = disk
        self.kept: dict[tuple[Path, bytes], tuple[Image, Floats]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> dict[str, Any]:
        """One crop and its labels.

        Returns:
            `crop` (H, W, 3) uint8; `xy` (K, 2) crop pixels; `weight` (K,), 0 where a joint is not
            labelled or lies outside the crop or the photo; `absent` (K,), the weight of those that
            lie outside; `back` (2, 3) from the crop to the photo; `row` i.
        """
        config = self.config
        rng = np.random.default_rng((config.seed, self.epoch, i))
        i %= len(self)
        change = augment.random_change(config, rng) if self.training else Change()
        xy, labelled, given = self.labels[i]
        weight = given
        box = self.samples[i].box
        part = augment.framed(box, xy[labelled], config, rng) if self.training else None
        if part:
            box, change = part[0], replace(change, turn=0.0)  # edges of photos are upright
        elif self.training and config.strength:
            box = augment.half_body(box, xy[labelled], config, rng)
        crop, matrix = self.cut(i, change, box)
        if part:
            crop = augment.black_outside(crop, part[1], matrix)
            weight = weight * ((xy >= part[1][:2]) & (xy <= part[1][2:])).all(axis=1)
        xy = coords.move(xy, matrix)
        if change.flip:
            xy, weight, given = (a[self.flipped] for a in (xy, weight, given))
        weight = weight * _inside(xy, config.size)
        absent = np.where(weight > 0, 0, given)
        if self.training:
            crop = augment.colours(crop, config, rng)
            crop = augment.cut_out(crop, xy[weight > 0], config, rng)
            if config.strength:
                crop = self._spoilt(crop, xy[weight > 0], rng)
        return {
            "crop": crop,
            "xy": xy,
            "weight": weight.astype(np.float32),
            "absent": absent.astype(np.float32),
            "back": coords.inverse(matrix),
            "row": i,
        }

    def _spoilt(self, crop: Image, xy: Floats, rng: np.random.Generator) -> Image:
        other = self.cut(int(rng.integers(len(self))), Change())[0]
        return augment.spoil(augment.beside(crop, other, self.config, rng), xy, self.config, rng)

    def cut(self, i: int, change: Change, box: Floats | None = None) -> tuple[Image, Floats]:
        """The crop (H, W, 3) of person i, and the matrix from the photo to it.

        Args:
            i: row of the person.
            change: to do to the crop.
            box: (4,) photo pixels to crop instead of the person's own.
        """
        config = self.config
        region, place = self.region(i)
        box = self.samples[i].box if box is None else box
        matrix = coords.to_crop(box, config.size, margin=config.margin, change=change)
        return coords.warp(region, coords.chain(place, matrix), config.size), matrix

    def region(self, i: int) -> tuple[Image, Floats]:
        """The part of photo i around its person, and the matrix from the part to the photo."""
        if self.config.cache == "off":
            return self._cut(i)
        if self.config.cache == "ram":
            person = self.samples[i].image, self.samples[i].box.tobytes()  # a set may stand twice
            if person not in self.kept:
                self.kept[person] = self._cut(i)
            return self.kept[person]
        if self.disk is None:
            raise ValueError("cache = 'disk' needs a folder")
        path = self.disk / f"{_key(self.samples[i])}.npz"
        if not path.exists():
            _save(path, *self._cut(i))
        with np.load(path) as kept:
            return kept["part"], kept["place"]

    def _cut(self, i: int) -> tuple[Image, Floats]:
        """Cut without sampling; only a part over twice the crop's size is shrunk, by area."""
        sample, config = self.samples[i], self.config
        photo = image.read(sample.image)
        height, width = photo.shape[:2]
        seen = coords.inverse(coords.to_crop(sample.box, config.size, margin=config.margin * _ROOM))
        corners = np.array([[0, 0], [config.size[1], config.size[0]]], dtype=np.float32)
        (x0, y0), (x1, y1) = coords.move(corners, seen)
        x0, y0 = np.clip([int(x0), int(y0)], 0, [width - 1, height - 1]).tolist()
        x1, y1 = min(width, int(x1) + 2), min(height, int(y1) + 2)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        part = photo[y0:y1, x0:x1]
        zoom = min(1.0, 2 * _ROOM * config.size[0] / max(part.shape[0], 1))
        size = max(1, round(part.shape[0] * zoom)), max(1, round(part.shape[1] * zoom))
        place = np.array([[part.shape[1] / size[1], 0, x0], [0, part.shape[0] / size[0], y0]])
        # a pixel's centre is at (u + .5) f - .5 of the larger picture
        place[:, 2] += (place[:, :2].diagonal() - 1) / 2
        if zoom < 1:
            matrix = coords.inverse(place.astype(np.float32)) @ np.array(
                [[1, 0, x0], [0, 1, y0], [0, 0, 1]]
            )
            part = coords.warp(part, matrix.astype(np.float32), size)
        return np.ascontiguousarray(part), place.astype(np.float32)


def _key(person: Sample) -> str:
    """A name that changes with the photo or the box, so that corrected labels are cut anew."""
    photo = f"{person.image}:{person.image.stat().st_mtime_ns}:"
    return hashlib.sha256(photo.encode() + person.box.tobytes()).hexdigest()[:32]


def _save(path: Path, part: Image, place: Floats) -> None:
    """Write a region by way of a file of one's own: several workers may keep the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as own, own.open("wb") as file:
        np.savez(file, part=part, place=place)


def _inside(xy: Floats, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    edge = np.array([size[1], size[0]], dtype=np.float32) - 0.5
    return np.asarray(((xy > -0.5) & (xy < edge)).all(axis=-1))


class Shuffle(Sampler[int]):
    """Orders of all rows one after another, fixed by `seed`; an epoch takes `drawn`, 0 for all.

    So everybody is seen before anybody comes again, also where an epoch draws fewer. Rows of a
    second order in an epoch are counted on: row + n x count. Of several processes each takes its
    part of every batch; all have equally many rows.
    """

    def __init__(
        self, count: int, seed: int, *, drawn: int = 0, part: tuple[int, int] = (0, 1)
    ) -> None:
        self.count, self.seed, self.epoch = count, seed, 0
        self.drawn = drawn or count
        self.rank, self.ranks = part  # of the process

    def __len__(self) -> int:
        return self.drawn // self.ranks

    def __iter__(self) -> Iterator[int]:
        whole, past = divmod(self.epoch * self.drawn, max(self.count, 1))
        rounds = -(-(past + self.drawn) // max(self.count, 1))
        orders = [
            np.random.default_rng((self.seed, whole + n, 7)).permutation(self.count)
            + n * self.count
            for n in range(rounds)
        ]
        drawn = np.concatenate(orders)[past : past + len(self) * self.ranks]
        return iter(drawn[self.rank :: self.ranks].tolist())


def loader(crops: Crops, config: Config) -> DataLoader[dict[str, Any]]:
    """Batches of crops as tensors; shuffled, and the last small one dropped, when training.

    Raises:
        ValueError: an epoch has fewer rows to train on than there are processes.
    """
    drawn, part = config.epoch_people, (ranks.rank(), ranks.count())
    shuffle = None
    if crops.training:
        shuffle = Shuffle(len(crops), config.seed, drawn=drawn, part=part)
        if not len(shuffle):
            some = f"an epoch shows {shuffle.drawn} of what there is to train on"
            raise ValueError(f"{some}, too little for {part[1]} processes: start fewer")
    batch = ranks.batch(config)
    collate: Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]] = (
        torch.utils.data.default_collate
    )
    return DataLoader(
        crops,
        batch_size=batch,
        sampler=shuffle,
        num_workers=config.workers,
        collate_fn=collate,
        drop_last=shuffle is not None and len(shuffle) >= batch,
    )
