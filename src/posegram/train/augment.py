"""Random changes of a crop: geometry as one `Change`, then light and patches on the pixels."""

from __future__ import annotations

import cv2
import numpy as np

from posegram import coords
from posegram.coords import Change
from posegram.data.corrupt import CORRUPTIONS, patches
from posegram.pose import Floats, Image
from posegram.train.config import Config

__all__ = [
    "beside",
    "black_outside",
    "colours",
    "cut_out",
    "framed",
    "half_body",
    "random_change",
    "spoil",
]

_HALF = 0.3  # times `strength`: share of the crops that show half of a body
_BESIDE = 0.3  # times `strength`: share of the crops into which somebody else is pasted
_FEWEST = 4  # joints that half a body has
_EDGES = (0.15, 0.1, 0.15, 0.6)  # how often a photo ends on the left, above, on the right, below
_CORNER = 0.3  # share of the photos that end on a second side
_KEPT = (0.35, 0.85)  # of a person's height or width, where the photo ends
_MILD = 0.05  # least severity of what spoils a crop, unless `strength` is less


def random_change(config: Config, rng: np.random.Generator) -> Change:
    """A random turn, zoom, shift and flip, in the ranges of the settings."""
    turn = 0.0
    lot = rng.random()
    if lot < config.any_turn:
        turn = rng.uniform(-180, 180)
    elif lot < config.any_turn + config.turn_share:
        turn = float(np.clip(rng.normal(0, config.turn), -2 * config.turn, 2 * config.turn))
    low, high = np.log(config.scale)
    x, y = np.clip(rng.normal(0, 1, 2), -2, 2) * config.shift
    return Change(
        turn=turn,
        scale=float(np.exp(rng.uniform(low, high))),
        shift=(float(x), float(y)),
        flip=bool(rng.random() < config.flip),
    )


def colours(crop: Image, config: Config, rng: np.random.Generator) -> Image:
    """The crop in another light, (H, W, 3): brightness, contrast, tint; now and then grey, blurred.

    One table of 256 values a channel does it all in a single pass over the pixels.
    """
    contrast = 1 + rng.uniform(-config.contrast, config.contrast)
    brightness = rng.uniform(-config.brightness, config.brightness) * 255
    tint = 1 + rng.uniform(-config.colour, config.colour, 3)
    values = np.arange(256, dtype=np.float32)[:, None]
    table = ((values - 128) * contrast + 128) * tint + brightness
    crop = np.asarray(cv2.LUT(crop, np.clip(table, 0, 255).astype(np.uint8)[None]), dtype=np.uint8)
    lot = rng.random()
    if lot < config.blur / 2:
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if lot < config.blur:
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.6, 2.0)), dtype=np.uint8)
    return crop


def cut_out(crop: Image, xy: Floats, config: Config, rng: np.random.Generator) -> Image:
    """The crop with one to three patches of plain or noisy colour, often over a joint.

    Args:
        crop: (H, W, 3).
        xy: (K, 2) crop pixels of the labelled joints; K = 0 is valid.
        config: `cutout` is the share of crops that get patches.
        rng: where chance comes from.
    """
    if rng.random() >= config.cutout:
        return crop
    crop = crop.copy()
    height, width = crop.shape[:2]
    for _ in range(rng.integers(1, 4)):
        half = rng.uniform(0.05, 0.16, 2) * (height, width)
        aim = rng.random(2) * (width, height)
        if len(xy) and rng.random() < 0.6:
            aim = xy[rng.integers(len(xy))] + rng.normal(0, 0.03 * width, 2)
        x0, x1 = np.clip([aim[0] - half[1], aim[0] + half[1]], 0, width).astype(int)
        y0, y1 = np.clip([aim[1] - half[0], aim[1] + half[0]], 0, height).astype(int)
        patch = rng.integers(0, 256, 3)
        if rng.random() < 0.3:
            patch = rng.integers(0, 256, (y1 - y0, x1 - x0, 3))
        crop[y0:y1, x0:x1] = patch
    return crop


def spoil(crop: Image, xy: Floats, config: Config, rng: np.random.Generator) -> Image:
    """The crop in bad light, blurred, compressed or partly covered, (H, W, 3), by `strength`.

    Up to two kinds of `data.corrupt`, their severities anywhere up to `strength`; and on a third of
    the crops patches, half of them over joints.

    Args:
        crop: (H, W, 3).
        xy: (K, 2) crop pixels of the labelled joints; K = 0 is valid.
        config: `strength` is 0 for nothing to 1.
        rng: where chance comes from.
    """
    if not config.strength:
        return crop
    height = crop.shape[0] / config.margin
    severity = min(_MILD, config.strength), config.strength
    kinds = rng.choice(list(CORRUPTIONS), 2, replace=False).tolist()
    for kind in kinds:
        if rng.random() < 0.5 * config.strength:
            crop = CORRUPTIONS[kind](crop, rng.uniform(*severity), height, rng)
    if rng.random() < config.strength / 3 and len(xy):
        body = coords.bounds(xy, np.ones(len(xy), dtype=np.bool_))
        crop = patches(crop, rng.uniform(*severity), body[None], rng)
    return crop


def half_body(box: Floats, xy: Floats, config: Config, rng: np.random.Generator) -> Floats:
    """A box around one half of a person's joints, now and then; else the box itself, (4,).

    The half lies on one side of the middle across the direction in which the joints spread most.

    Args:
        box: (4,) photo pixels.
        xy: (K, 2) photo pixels of the labelled joints.
        config: `strength` says how often.
        rng: where chance comes from.
    """
    if rng.random() >= _HALF * config.strength or len(xy) < 2 * _FEWEST:
        return box
    off = xy - xy.mean(axis=0)
    along = np.linalg.svd(off, full_matrices=False)[2][0]
    order = np.argsort((off @ along) * rng.choice([-1.0, 1.0]))
    half = xy[order[: rng.integers(_FEWEST, len(xy) // 2 + 1)]]
    low, high = half.min(axis=0), half.max(axis=0)
    # a row of joints has no height: keep at least half of the person
    grow = np.maximum(0.12 * (high - low).max(), ((box[2:] - box[:2]).max() / 2 - (high - low)) / 2)
    return np.concatenate([low - grow, high + grow]).astype(np.float32)


def framed(
    box: Floats, xy: Floats, config: Config, rng: np.random.Generator
) -> tuple[Floats, Floats] | None:
    """A photo that ends within the person, now and then: the box of what is left, and the photo.

    Many people of everyday photos are cut by an edge, mostly the lower one; those of sports photos
    are whole, and a network that saw no others puts knees where a lap ends.

    Args:
        box: (4,) photo pixels.
        xy: (K, 2) photo pixels of the labelled joints.
        config: `framed` says how often.
        rng: where chance comes from.

    Returns:
        Box and rectangle, (4,) photo pixels each, or nothing: the person stays whole.
    """
    if not config.framed or rng.random() >= config.framed or len(xy) < 2 * _FEWEST:
        return None
    size = box[2:] - box[:2]
    photo = np.concatenate([box[:2] - 20 * size, box[2:] + 20 * size])  # ends nowhere yet
    edges = [int(rng.choice(4, p=_EDGES))]
    if rng.random() < _CORNER:
        edges.append(int(rng.choice([0, 2])))
    for edge in edges:
        kept = rng.uniform(*_KEPT) * size[edge % 2]
        photo[edge] = box[edge - 2] + (kept if edge > 1 else -kept)
    inside = ((xy >= photo[:2]) & (xy <= photo[2:])).all(axis=1)
    if inside.sum() < _FEWEST:
        return None
    low, high = xy[inside].min(axis=0), xy[inside].max(axis=0)
    grow = 0.15 * (high - low).max()
    left = np.concatenate([low - grow, high + grow])
    left[edges] = photo[edges]
    low, high = np.maximum(box[:2], photo[:2]), np.minimum(box[2:], photo[2:])
    left = np.concatenate([np.maximum(left[:2], low), np.minimum(left[2:], high)])
    return left.astype(np.float32), photo.astype(np.float32)


def black_outside(crop: Image, photo: Floats, matrix: Floats) -> Image:
    """The crop with black where no photo is, (H, W, 3), as `coords.warp` leaves it.

    Args:
        crop: (H, W, 3).
        photo: (4,) photo pixels.
        matrix: (2, 3) from the photo to the crop.
    """
    x0, y0, x1, y1 = photo
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)
    shown = np.zeros((*crop.shape[:2], 1), dtype=np.uint8)
    cv2.fillConvexPoly(shown, np.rint(coords.move(corners, matrix)).astype(np.int32), [1])
    return np.asarray(crop * shown, dtype=np.uint8)


def beside(crop: Image, other: Image, config: Config, rng: np.random.Generator) -> Image:
    """The crop with somebody else from another crop pasted over one of its sides, now and then.

    Args:
        crop: (H, W, 3).
        other: (H, W, 3), a crop of another person, who stands in its middle.
        config: `strength` says how often.
        rng: where chance comes from.
    """
    if rng.random() >= _BESIDE * config.strength:
        return crop
    height, width = crop.shape[:2]
    axes = int(width * rng.uniform(0.18, 0.3)), int(height * rng.uniform(0.3, 0.45))
    x, y = rng.choice([-1, 1]) * width * rng.uniform(0.3, 0.55), height * rng.uniform(-0.2, 0.2)
    matrix = np.array([[1, 0, x], [0, 1, y]], dtype=np.float32)
    person = coords.warp(other, matrix, (height, width))
    oval = np.zeros((height, width, 1), dtype=np.uint8)
    cv2.ellipse(oval, (round(width // 2 + x), round(height // 2 + y)), axes, 0, 0, 360, 1, -1)
    return np.where(oval, person, crop)
