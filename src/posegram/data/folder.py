"""A plain folder of pictures, without any annotation."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from posegram.data import door
from posegram.image import SUFFIXES
from posegram.pose import COCO17, Sample

__all__ = ["CLIPS", "images_in", "passed_over", "read"]

CLIPS = (  # suffixes of clips; ".ts" is rather a program
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"),
    *(".mpg", ".mpeg", ".mts", ".3gp", ".wmv"),
)


def images_in(
    folder: Path, *, suffixes: tuple[str, ...] = SUFFIXES, recursive: bool = False
) -> list[Path]:
    """The pictures right inside a folder, in natural order: frame2 comes before frame10.

    Args:
        folder: where to look; hidden files and folders are left out.
        suffixes: in small letters; others than the default find files of another kind.
        recursive: look into the folders below, too, but not into links to folders.

    Raises:
        OSError: there is no such folder, or it may not be opened.
        ValueError: it is a file.
    """
    inside = _entries(folder, recursive=recursive)
    # a link to nowhere is listed, too, so that whoever reads it says so
    return [p for p in inside if p.suffix.lower() in suffixes and (p.is_file() or not p.exists())]


def passed_over(
    folder: Path, *, suffixes: tuple[str, ...] = SUFFIXES, recursive: bool = False
) -> list[Path]:
    """The files and folders that `images_in` leaves out, but for hidden ones; errors as there."""
    inside = _entries(folder, recursive=recursive)
    return [p for p in inside if p.suffix.lower() not in suffixes or p.is_dir()]


def _entries(folder: Path, *, recursive: bool) -> list[Path]:
    """What lies in a folder, or all files in and below it."""
    door.require(folder, "folder")
    if not folder.is_dir():
        raise ValueError(f"{folder}: is a file, wanted a folder of pictures")
    found = []
    for place, folders, files in os.walk(folder, onerror=_fail):
        folders[:] = [name for name in folders if name[0] != "."]
        names = files if recursive else [*files, *folders]
        found += [Path(place, name) for name in names if name[0] != "."]
        if not recursive:
            break
    return sorted(found, key=lambda p: [_natural(part) for part in p.relative_to(folder).parts])


def _fail(fault: OSError) -> None:
    raise fault


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key: runs of digits count as numbers, letters without regard to case."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    keys = [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]
    return keys, name


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
