"""Random changes of a crop: geometry as one `Change`, then light and patches on the pixels."""

from __future__ import annotations

import cv2
import numpy as np

from posegram.coords import Change
from posegram.pose import Floats, Image
from posegram.train.config import Config

__all__ = ["colours", "cut_out", "random_change"]


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
