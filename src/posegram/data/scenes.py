"""Whole photos with boxes around people: what a person detector learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posegram.data.folder import images_in
from posegram.pose import Floats

__all__ = ["SURE", "Scene", "backgrounds", "input_size"]

SURE = 0.2  # probability from which a box counts as a person found

STEP = 32  # the detector's coarsest stride: both sides of its input are multiples
_MORE = 1.1  # largest area of an input / area of the square one: it costs as much more time
_LONG = 1.3  # longest side of an input / side of the square one


@dataclass(frozen=True, eq=False)
class Scene:
    """One photo with all its people, but for those inside the ignored boxes.

    Raises:
        ValueError: the boxes have another shape.
    """

    image: Path
    box: Floats  # (N, 4) x0, y0, x1, y1 image pixels; N = 0 is a photo without people
    ignore: Floats  # (M, 4) where nobody knows: crowds, or the whole photo

    def __post_init__(self) -> None:
        for name in ("box", "ignore"):
            found = getattr(self, name).shape
            if len(found) != 2 or found[1] != 4:
                raise ValueError(f"{self.image}: {name} has shape {found}, wanted (N, 4)")


def backgrounds(path: Path) -> list[Scene]:
    """The pictures of a folder as photos without people, in natural order.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is a file.
    """
    nobody = np.zeros((0, 4), dtype=np.float32)
    return [Scene(image, nobody, nobody) for image in images_in(path)]


def input_size(photo: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the detector's input that shows a photo largest, multiples of 32.

    All inputs cost about the same: the area is at most 1.1 times that of `size`, a side at most
    1.3 times the mean side of it.

    Args:
        photo: height and width of the photo in pixels.
        size: height and width that the detector was trained for.

    >>> input_size((480, 640), (320, 320))
    (288, 384)
    """
    area = size[0] * size[1]
    sides = range(STEP, int(_LONG * area**0.5) + 1, STEP)
    shapes = [(h, w) for h in sides for w in sides if h * w <= _MORE * area]

    def zoom(shape: tuple[int, int]) -> tuple[float, int]:
        return min(shape[0] / photo[0], shape[1] / photo[1]), -shape[0] * shape[1]

    return max(shapes, key=zoom)
