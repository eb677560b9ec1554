"""YOLO label files: one .txt per picture, one line per person, shares of the picture's size.

A line is `class cx cy w h`, then nothing, or `x y` or `x y v` per joint (docs.ultralytics.com/
datasets/pose). Tools write COCO's pixels divided by the size, so a share times the size is a pixel
counted from 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from posegram.data import door, folder
from posegram.pose import COCO17, Sample, Skeleton

__all__ = ["read"]

_PERSON = 0  # class of the lines that are people


def read(path: Path, images: Path | None = None, *, skeleton: Skeleton = COCO17) -> list[Sample]:
    """The people (class 0) of a folder of label files; a plain box has no labelled joint.

    A picture without a label file has nobody. Joints without v count as seen, unless they are
    0, 0, which YOLO writes for unlabelled ones.

    Args:
        path: the folder of the .txt files, or one that holds `labels` and `images`.
        images: the pictures' folder; by default `images` inside or beside `path`, else `path`.
        skeleton: what the joints are; the files do not say.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a line is wrong, or a picture cannot be read; file and line are named.
    """
    door.require(path, "folder")
    labels = path / "labels" if (path / "labels").is_dir() else path
    images = images or _images(path)
    found = []
    for image in folder.images_in(images):
        text = labels / f"{image.stem}.txt"
        if text.exists():
            found += _people(text, image, skeleton)
    if not found:
        raise ValueError(f"{path}: holds no label file with a person for a picture in {images}")
    return found


def _images(path: Path) -> Path:
    if path.name == "labels" and (path.parent / "images").is_dir():
        return path.parent / "images"
    return door.images_beside(path)


def _people(text: Path, image: Path, skeleton: Skeleton) -> list[Sample]:
    size = door.picture_size(image)
    if size is None:
        raise ValueError(f"{image}: is not a readable picture")
    found = []
    for number, line in enumerate(text.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            numbers = np.array([float(word) for word in line.split()])
            if numbers.size and int(numbers[0]) == _PERSON:
                found.append(_sample(numbers[1:], image, size, skeleton))
        except ValueError as fault:
            raise ValueError(f"{text}: line {number} is wrong: {fault}") from fault
    return found


def _sample(
    numbers: npt.NDArray[np.float64], image: Path, size: tuple[int, int], skeleton: Skeleton
) -> Sample:
    """A person from a line's numbers behind the class."""
    k = len(skeleton)
    if len(numbers) not in (4, 4 + 2 * k, 4 + 3 * k) or not np.isfinite(numbers).all():
        counts = f"5, {5 + 2 * k} or {5 + 3 * k} finite numbers"
        raise ValueError(f"holds {len(numbers) + 1} numbers, wanted {counts} for {skeleton.name}")
    scale = np.array([size[1], size[0]], dtype=np.float64)
    centre, half = numbers[:2] * scale, numbers[2:4] * scale / 2
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    rows = _rows(numbers[4:], k)
    visible = rows[:, 2].astype(np.uint8)
    xy = np.where(visible[:, None] > 0, rows[:, :2] * scale, 0).astype(np.float32)
    return Sample(image, xy, visible, box, None, None, skeleton)


def _rows(numbers: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.float64]:
    """Joints as x, y, v, (K, 3)."""
    if len(numbers) == 0:
        return np.zeros((k, 3))
    rows = numbers.reshape(k, -1)
    if rows.shape[1] == 2:
        return np.column_stack([rows, np.where(rows.any(axis=1), 2, 0)])
    if not np.isin(rows[:, 2], (0, 1, 2)).all():
        raise ValueError("v is one of 0, 1, 2")
    return rows
