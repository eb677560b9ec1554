"""A plain folder of pictures, without any annotation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from posegram.data import door
from posegram.image import SUFFIXES
from posegram.pose import COCO17, Sample

__all__ = ["images_in", "read"]


def images_in(folder: Path, *, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The pictures right inside a folder, in natural order: frame2 comes before frame10.

    Hidden files are left out; with other `suffixes` (small letters), files of another kind.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is a file.
    """
    door.require(folder, "folder")
    if not folder.is_dir():
        raise ValueError(f"{folder}: is a file, wanted a folder of pictures")
    inside = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.name[0] != "."]
    return sorted((p for p in inside if p.is_file()), key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key: runs of digits count as numbers, letters without regard to case."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.lower())
    keys = [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]
    return keys, path.name


def read(path: Path, images: Path | None = None) -> list[Sample]:
    """One person per picture, whose box is the whole picture and who has no labelled joint.

    Args:
        path: the folder.
        images: read this folder instead; here so that all readers are called alike.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no picture, or an unreadable one.
    """
    folder = images or path
    found = [_sample(image) for image in images_in(folder)]
    if not found:
        raise ValueError(f"{folder}: holds no picture ({', '.join(SUFFIXES)})")
    return found


def _sample(image: Path) -> Sample:
    size = door.picture_size(image)
    if size is None:
        raise ValueError(f"{image}: is not a readable picture")
    k = len(COCO17)
    xy, visible = np.zeros((k, 2), dtype=np.float32), np.zeros(k, dtype=np.uint8)
    box = np.array([-0.5, -0.5, size[1] - 0.5, size[0] - 0.5], dtype=np.float32)
    return Sample(image, xy, visible, box, None, None, COCO17)
