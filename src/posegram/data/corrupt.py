"""What spoils photos in the world, each as one function with one severity: light, blur, occlusion.

Severities run from 0 (nothing) to 1 (hard for a person to read). Lengths are shares of the height
of the people shown, so that a small person is not blurred away where a tall one hardly changes.
The kinds follow Hendrycks & Dietterich, ICLR 2019 ("common corruptions"); the strengths are ours.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from posegram.pose import Floats, Image

__all__ = ["CORRUPTIONS", "KINDS", "SEVERITIES", "corrupt", "patches"]

SEVERITIES = (0.2, 0.4, 0.6, 0.8, 1.0)

# (image (H, W, 3) uint8, severity, height of the people in pixels, chance) -> the same spoilt
Corruption = Callable[[Image, float, float, np.random.Generator], Image]


def corrupt(image: Image, kind: str, severity: float, boxes: Floats, *, seed: int = 0) -> Image:
    """The photo spoilt, (H, W, 3).

    Args:
        image: (H, W, 3) uint8 RGB.
        kind: one of `KINDS`: a key of `CORRUPTIONS`, or "patches", which cover parts of the boxes.
        severity: 0 to 1.
        boxes: (N, 4) of the people, image pixels.
        seed: chance.

    Raises:
        ValueError: there is no such kind, or the severity is not from 0 to 1.
    """
    if not 0 <= severity <= 1:
        raise ValueError(f"a severity is a number from 0 to 1, not {severity}")
    if kind not in KINDS:
        raise ValueError(f"no corruption {kind!r}; there are {', '.join(KINDS)}")
    rng = np.random.default_rng(seed)
    if severity == 0:
        return image
    if kind == "patches":
        return patches(image, severity, boxes, rng)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) if len(boxes) else np.zeros(0)
    height = float(np.median(sides)) if len(sides) else float(image.shape[0])
    return CORRUPTIONS[kind](image, severity, max(height, 8.0), rng)


def patches(image: Image, severity: float, boxes: Floats, rng: np.random.Generator) -> Image:
    """Patches of plain or noisy colour over up to half of every box, (H, W, 3)."""
    out = image.copy()
    for x0, y0, x1, y1 in boxes.tolist():
        for _ in range(1 + round(2 * severity)):
            share = (0.12 + 0.23 * severity) * rng.uniform(0.7, 1.3, 2)
            half = share * (y1 - y0, x1 - x0) / 2
            y, x = rng.uniform(y0, y1), rng.uniform(x0, x1)
            rows = slice(*np.clip([y - half[0], y + half[0]], 0, len(out)).astype(int))
            columns = slice(*np.clip([x - half[1], x + half[1]], 0, out.shape[1]).astype(int))
            place = out[rows, columns]
            noisy = rng.random() < 0.3
            place[:] = rng.integers(0, 256, place.shape if noisy else 3)
    return out


def _table(image: Image, curve: Floats) -> Image:
    """Every value through a curve of 256 values, or 256 x 3, one for each channel."""
    table = np.clip(curve.reshape(256, -1), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, np.broadcast_to(table, (256, 3))[None]), dtype=np.uint8)


def _with_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    noise = rng.standard_normal(image.shape, dtype=np.float32) * sigma
    return np.clip(image + noise, 0, 255).astype(np.uint8)


_LEVELS = np.linspace(0, 1, 256, dtype=np.float32)


def _dark(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """Low light: shadows sink, and the sensor's noise shows."""
    dim = _table(image, _LEVELS ** (1 + 1.5 * severity) * (1 - 0.75 * severity) * 255)
    return _with_noise(dim, 12 * severity, rng)


def _bright(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """Overexposed: light parts run into white."""
    return _table(image, _LEVELS ** (1 / (1 + severity)) * (1 + 0.8 * severity) * 255)


def _shadow(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """A shadow with a soft, straight edge over about half of the picture."""
    rows, columns = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y = np.linspace(-0.5, 0.5, rows, dtype=np.float32)[:, None] * np.sin(angle)
    x = np.linspace(-0.5, 0.5, columns, dtype=np.float32) * np.cos(angle)
    lit = np.clip((x + y + rng.uniform(-0.15, 0.15)) * 12 + 0.5, 0, 1)
    light = 1 - 0.85 * severity * (1 - lit)
    return np.asarray(image * light[..., None].astype(np.float32), dtype=np.uint8)


def _colour(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """Warm or cold light."""
    warm = severity * (0.7 if rng.random() < 0.5 else -0.7)
    gain = np.array([1 + warm, 1, 1 - warm], dtype=np.float32)
    return _table(image, _LEVELS[:, None] * gain * 255)


def _noise(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    return _with_noise(image, 60 * severity, rng)


def _blur(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """Out of focus."""
    sigma = max(0.03 * severity * height, 0.1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def _motion(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """The camera moved along a straight line."""
    reach = max(1, round(0.06 * severity * height))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.float32)
    angle = rng.uniform(0, np.pi)
    step = np.array([np.cos(angle), np.sin(angle)]) * reach
    ends = [tuple(int(v) for v in (reach + sign * step).round()) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)


def _jpeg(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """Compressed hard."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, max(4, round(40 * (1 - severity) ** 1.5))]
    packed = cv2.imencode(".jpg", image, quality)[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.uint8)


def _small(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """From far away: people down to 20 pixels high, enlarged again."""
    zoom = min(1.0, 20 / height / max(severity, 1e-3) ** 1.3)
    rows, columns = image.shape[:2]
    size = max(2, round(columns * zoom)), max(2, round(rows * zoom))
    little = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    large = cv2.resize(little, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, dtype=np.uint8)


def _grey(image: Image, severity: float, height: float, rng: np.random.Generator) -> Image:
    """Colours fade."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image, 1 - severity, grey, severity, 0), dtype=np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    "dark": _dark,
    "bright": _bright,
    "shadow": _shadow,
    "colour": _colour,
    "grey": _grey,
    "noise": _noise,
    "blur": _blur,
    "motion": _motion,
    "jpeg": _jpeg,
    "small": _small,
}
KINDS = (*CORRUPTIONS, "patches")
