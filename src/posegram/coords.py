"""Every change of coordinates: box to crop and back, joints to training targets and back.

Pixels: x right, y down, (0, 0) = centre of the top-left pixel, as `cv2.warpAffine` samples.
A matrix maps (x, y, 1) to (x', y'), shape (2, 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from posegram import heatmaps
from posegram.pose import Floats, Image, Raw

__all__ = [
    "Change",
    "area_of",
    "bounds",
    "chain",
    "crop",
    "decode",
    "encode_heatmap",
    "fit_sides",
    "inverse",
    "move",
    "probability",
    "to_crop",
    "warp",
    "whole",
    "zooming",
]


@dataclass(frozen=True)
class Change:
    """What augmentation does to a crop before it is cut; the default does nothing."""

    turn: float = 0.0  # degrees, clockwise in the picture
    scale: float = 1.0  # > 1 shows more surroundings, so the person gets smaller
    shift: tuple[float, float] = (0.0, 0.0)  # right, down; as a share of the crop's width, height
    flip: bool = False  # left becomes right


def to_crop(
    box: Floats, size: tuple[int, int], *, margin: float = 1.25, change: Change | None = None
) -> Floats:
    """Matrix from image pixels to the pixels of one crop around a box, (2, 3).

    The box is grown to the crop's aspect, then by `margin`; its centre lands on the crop's.

    Args:
        box: (4,) x0, y0, x1, y1 image pixels.
        size: height and width of the crop in pixels.
        margin: side of the crop / side of the box.
        change: turn, scale, shift and flip to build in, so that pixels are read only once.
    """
    change = change or Change()
    height, width = size
    x0, y0, x1, y1 = (float(v) for v in box)
    side = max(y1 - y0, (x1 - x0) * height / width, 1.0) * margin * change.scale
    zoom = height / side
    angle = math.radians(change.turn)
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    if change.flip:
        turn[0] *= -1
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    middle += np.array(change.shift) * (width, height)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return np.column_stack([turn, middle - turn @ centre]).astype(np.float32)


def inverse(matrix: Floats) -> Floats:
    """The matrix that undoes another, (2, 3)."""
    a, b, x, c, d, y = matrix.reshape(-1).tolist()
    turned = a * d - b * c
    a, b, c, d = d / turned, -b / turned, -c / turned, a / turned
    back = [[a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)]]
    return np.array(back, dtype=np.float32)


def chain(first: Floats, second: Floats) -> Floats:
    """The matrix that does `first`, then `second`, (2, 3)."""
    return np.asarray(second @ np.vstack([first, [0, 0, 1]]), dtype=np.float32)


def zooming(zoom: float) -> Floats:
    """The matrix from pixels of an image to those of the image resized by `zoom`, (2, 3)."""
    return np.array([[zoom, 0, zoom / 2 - 0.5], [0, zoom, zoom / 2 - 0.5]], dtype=np.float32)


def move(xy: Floats, matrix: Floats) -> Floats:
    """Points carried by a matrix each, (N, K, 2), or by one matrix, (K, 2).

    Args:
        xy: (N, K, 2) with matrices (N, 2, 3), or (K, 2) with one (2, 3).
        matrix: see `xy`.
    """
    moved = xy @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return np.asarray(moved, dtype=np.float32)


def warp(image: Image, matrix: Floats, size: tuple[int, int]) -> Image:
    """The crop that a matrix cuts from an image, (H, W, 3) uint8; black outside.

    Strong shrinking is done by area first: bilinear sampling alone would skip pixels.
    """
    image, matrix = _seen(image, matrix, size)
    # OpenCV warps four channels more than twice as fast as three, to the same values
    four = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    four = cv2.warpAffine(four, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(four, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


def _seen(image: Image, matrix: Floats, size: tuple[int, int]) -> tuple[Image, Floats]:
    """The part that the crop sees, smaller by area if it shrinks, and the matrix that fits it.

    Whole numbers of pixels are averaged, which OpenCV does many times faster than broken ones; so
    less than one such number may be left out at the photo's right and lower edge.
    """
    height, width = image.shape[:2]
    a, b, x, c, d, y = inverse(matrix).reshape(-1).tolist()  # numbers: arrays so small are slow
    times = max(int(math.sqrt(abs(a * d - b * c))), 1)
    right, low = size[1] - 0.5, size[0] - 0.5
    corners = [(-0.5, -0.5), (right, -0.5), (-0.5, low), (right, low)]
    x0, x1 = _span([a * u + b * v + x for u, v in corners], width, times)
    y0, y1 = _span([c * u + d * v + y for u, v in corners], height, times)
    part = image[y0:y1, x0:x1]
    new_w, new_h = max(1, (x1 - x0) // times), max(1, (y1 - y0) // times)
    if times > 1:
        part = np.asarray(cv2.resize(part, (new_w, new_h), interpolation=cv2.INTER_AREA), np.uint8)
    fx, fy = (x1 - x0) / new_w, (y1 - y0) / new_h
    # a small pixel's centre u lies at (u + .5) f - .5 in the part, which starts at (x0, y0)
    grow = np.array([[fx, 0, fx / 2 - 0.5 + x0], [0, fy, fy / 2 - 0.5 + y0], [0, 0, 1]])
    return part, (matrix @ grow).astype(np.float32)


def _span(at: list[float], length: int, times: int) -> tuple[int, int]:
    """First and last + 1 pixel along one axis of 0..length of which the places are sampled."""
    first = min(max(math.floor(min(at)) - 2, 0), length - 1)
    last = min(max(math.ceil(max(at)) + 3, first + 1), length)
    return _divided(first, last, length, times)


def _divided(first: int, last: int, length: int, times: int) -> tuple[int, int]:
    """A stretch of 0..length made longer, else shorter, until `times` divides it."""
    last = min(length, last + -(last - first) % times)
    first = max(0, first - -(last - first) % times)
    return first, last - ((last - first) % times if last - first > times else 0)


def crop(
    image: Image,
    box: Floats,
    size: tuple[int, int],
    *,
    margin: float = 1.25,
    change: Change | None = None,
) -> tuple[Image, Floats]:
    """Crops around boxes, (N, H, W, 3) uint8, and the way back to the image, (N, 2, 3).

    Args:
        image: (H, W, 3) uint8.
        box: (N, 4) x0, y0, x1, y1 image pixels.
        size: height and width of a crop in pixels.
        margin: side of the crop / side of the box.
        change: see `to_crop`.
    """
    crops = np.zeros((len(box), *size, 3), dtype=np.uint8)
    back = np.zeros((len(box), 2, 3), dtype=np.float32)
    for row, one in enumerate(box):
        matrix = to_crop(one, size, margin=margin, change=change)
        crops[row] = warp(image, matrix, size)
        back[row] = inverse(matrix)
    return crops, back


def whole(image: Image) -> Floats:
    """The box around the outer edges of all pixels of an image, (1, 4) image pixels."""
    height, width = image.shape[:2]
    return np.array([[-0.5, -0.5, width - 0.5, height - 0.5]], dtype=np.float32)


def bounds(xy: Floats, kept: npt.NDArray[np.bool_]) -> Floats:
    """Smallest box around the kept points, (4,) x0, y0, x1, y1; zeros where none is kept."""
    if not kept.any():
        return np.zeros(4, dtype=np.float32)
    return np.concatenate([xy[kept].min(axis=0), xy[kept].max(axis=0)]).astype(np.float32)


def area_of(box: Floats) -> float:
    """Area of one box (4,), square pixels."""
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def encode_heatmap(
    xy: Floats, size: tuple[int, int], cells: tuple[int, int], sigma: float = 1.5
) -> tuple[Floats, Floats]:
    """Gaussian targets that sum to 1 as their two factors: down (..., h) and across (..., w).

    The heatmap is the outer product of the factors. A joint outside the crop gives zeros.

    Args:
        xy: (..., 2) crop pixels.
        size: height and width of the crop in pixels.
        cells: height and width of the heatmap in cells.
        sigma: width of the Gaussian in cells.
    """
    stride = size[0] / cells[0], size[1] / cells[1]
    x = (xy[..., 0] + 0.5) / stride[1] - 0.5
    y = (xy[..., 1] + 0.5) / stride[0] - 0.5
    inside = (x > -0.5) & (x < cells[1] - 0.5) & (y > -0.5) & (y < cells[0] - 0.5)
    return _bell(y, cells[0], sigma, inside), _bell(x, cells[1], sigma, inside)


def _bell(at: Floats, count: int, sigma: float, inside: npt.NDArray[np.bool_]) -> Floats:
    """Normalised Gaussians along one axis, (..., count)."""
    away = np.arange(count, dtype=np.float32) - np.where(inside, at, 0.0)[..., None]
    bell = np.exp(-0.5 * (away / sigma) ** 2) * inside[..., None]
    return np.asarray(bell / np.maximum(bell.sum(axis=-1, keepdims=True), 1e-9), dtype=np.float32)


def decode(
    raw: Raw, kind: str, size: tuple[int, int], spread: Floats | None = None
) -> tuple[Floats, Floats]:
    """What a network emits as crop pixels (N, K, 2) and confidence logits (N, K).

    Args:
        raw: the network's arrays, see `posegram.pose.Raw`.
        kind: "heatmap" (unnormalised logits) or "regression" (shares of the crop, of which 0 and 1
            are its outer edges, and logits).
        size: height and width of the crop in pixels.
        spread: of heatmaps, the joints' falloffs (K,), see `heatmaps.spreads`; else one for all.
    """
    if kind == "regression":
        share, logit = raw
        xy = share * np.array([size[1], size[0]], dtype=np.float32) - np.float32(0.5)
        return np.asarray(xy, dtype=np.float32), np.asarray(logit, dtype=np.float32)
    if kind != "heatmap":
        raise ValueError(f"no decoding for outputs of kind {kind!r}")
    cell, logit = heatmaps.read(raw[0], spread)
    stride = np.array([size[1] / raw[0].shape[3], size[0] / raw[0].shape[2]], dtype=np.float32)
    return (cell + np.float32(0.5)) * stride - np.float32(0.5), logit


def probability(logit: Floats, calibration: tuple[float, float]) -> Floats:
    """Calibrated probability of logits, same shape: 1 / (1 + exp(-(slope logit + offset)))."""
    slope, offset = calibration
    raised = np.clip(slope * logit + offset, -30, 30)
    return np.asarray(1 / (1 + np.exp(-raised)), dtype=np.float32)


def fit_sides(photo: tuple[int, int], short: int, long: int) -> tuple[int, int]:
    """Height and width of a photo resized to a shorter side, or to a longer one if that is less.

    As torchvision's detectors do it: the photo's aspect is kept, parts of a pixel are dropped.

    >>> fit_sides((480, 640), 800, 1333)
    (800, 1066)
    """
    scale = min(short / min(photo), long / max(photo))
    return max(1, math.floor(photo[0] * scale)), max(1, math.floor(photo[1] * scale))
