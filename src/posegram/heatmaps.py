"""Heatmaps read: where each joint is, and how sure its map is.

Cells count from 0: x to the right, y down, (0, 0) is the centre of the top-left one.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from posegram.pose import COCO17, Floats, Skeleton

__all__ = ["over_boxes", "read", "spreads"]

_WINDOW = 4  # cells on each side of a map's peak whose mass is its confidence
_REACH = 0.1  # cells on each side of the peak that mean shift reads / height of the map
_STEPS = 2  # of mean shift
_KERNEL = 0.5  # width of its kernel / (falloff x height of the map): somewhat narrower than OKS's
_NARROW = 1.5  # cells, of the narrowest kernel
_USUAL = 0.067  # falloff of a joint that COCO does not know: the mean of COCO's


def spreads(skeleton: Skeleton) -> Floats:
    """How exactly people know where each joint is: its OKS falloff, (K,), COCO's by its name."""
    if skeleton.sigmas:
        return np.array(skeleton.sigmas, dtype=np.float32)
    known = dict(zip(COCO17.joints, COCO17.sigmas, strict=True))
    return np.array([known.get(joint, _USUAL) for joint in skeleton.joints], dtype=np.float32)


def read(heat: Floats, spread: Floats | None = None) -> tuple[Floats, Floats]:
    """Joints (N, K, 2) in cells and their confidence logits (N, K).

    A joint is put where its OKS, as the map's softmax has it, is highest near the peak: mean shift
    leads there (Comaniciu & Meer, PAMI 2002), from the expectation around the peak and with a
    kernel almost as wide as the joint's falloff. Confidence is the softmax's mass around the peak.

    Args:
        heat: (N, K, h, w) unnormalised logits.
        spread: the joints' falloffs (K,), see `spreads`; without it the usual one for all.
    """
    n, k, h, w = heat.shape
    reach = max(_WINDOW, int(h * _REACH + 0.5))
    row, col, window, total = _peaks(heat.reshape(n * k, h, w), reach)
    core = slice(reach - _WINDOW, reach + _WINDOW + 1)
    near = window[:, core, core]
    mass = np.clip(near.sum(axis=(1, 2)) / total, 1e-6, 1 - 1e-6)
    falloff = np.full(k, _USUAL, dtype=np.float32) if spread is None else spread
    width = np.tile(np.maximum(_KERNEL * h * falloff, _NARROW), n)
    y, x = _expected(near)
    for _ in range(_STEPS):
        y, x = _shifted(window, width, y, x)
    cell = np.stack([col + x, row + y], axis=-1).reshape(n, k, 2)
    logit = np.log(mass / (1 - mass)).reshape(n, k)
    return cell.astype(np.float32), logit.astype(np.float32)


def _peaks(maps: Floats, reach: int) -> tuple[npt.NDArray[Any], ...]:
    """Rows and columns of the maps' peaks (M,), the softmax around them (M, s, s), its sums (M,).

    The softmax is that of each map (h, w) times its sum, and 0 beyond the map. There is one array
    as large as the maps, written in place: clearing more of them takes longer than reading.
    """
    count, h, w = maps.shape
    flat, every = maps.reshape(count, h * w).astype(np.float32, copy=False), np.arange(count)
    top = flat.argmax(axis=1)
    share = flat - flat[every, top][:, None]
    np.exp(share, out=share)
    row, col = np.divmod(top, w)
    away = np.arange(-reach, reach + 1)
    rows, cols = row[:, None] + away, col[:, None] + away
    window = share.reshape(count, h, w)[
        every[:, None, None], rows.clip(0, h - 1)[:, :, None], cols.clip(0, w - 1)[:, None, :]
    ]
    window *= ((rows >= 0) & (rows < h))[:, :, None] & ((cols >= 0) & (cols < w))[:, None, :]
    return row, col, window, share.sum(axis=1)


def _steps(window: Floats) -> Floats:
    """Cells from the middle of windows (M, s, s), (s,)."""
    reach = window.shape[1] // 2
    return np.arange(-reach, reach + 1, dtype=np.float32)


def _expected(window: Floats) -> tuple[Floats, Floats]:
    """Mean place of windows (M, s, s): down and right of their middles, (M,) cells."""
    mass, steps = window.sum(axis=(1, 2)), _steps(window)
    return window.sum(axis=2) @ steps / mass, window.sum(axis=1) @ steps / mass


def _shifted(window: Floats, width: Floats, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    """The same seen through Gaussian kernels of widths (M,) at places (M,): a mean shift."""
    steps = _steps(window)
    down = np.exp(-(((steps - y[:, None]) / width[:, None]) ** 2) / 2)
    across = np.exp(-(((steps - x[:, None]) / width[:, None]) ** 2) / 2)
    by_row = np.einsum("mrc,mc->mr", window, across) * down
    by_col = np.einsum("mrc,mr->mc", window, down) * across
    mass = by_row.sum(axis=1)
    return by_row @ steps / mass, by_col @ steps / mass


def over_boxes(maps: Floats, box: Floats, *, fine: bool = True) -> tuple[Floats, Floats]:
    """Joints (N, K, 2) and their logits (N, K) from one map a joint, laid over each person's box.

    The fine way is torchvision's: the map is resized to the box, bicubic, and its highest pixel
    taken. The other way takes the map's highest cell and the top of the parabolas through it and
    its neighbours: it costs next to nothing and moves joints by parts of a cell. Cells and
    boxes count from their corners, as labels and answers of Keypoint R-CNN do.

    Args:
        maps: (N, K, s, s) logits.
        box: (N, 4) x0, y0, x1, y1 pixels.
        fine: resize the maps.
    """
    n, k = maps.shape[:2]
    sides = np.maximum(box[:, 2:] - box[:, :2], 1.0).astype(np.float32)
    share, logit = np.zeros((n, k, 2), np.float32), np.zeros((n, k), np.float32)
    for row in range(n):
        if not fine:
            share[row], logit[row] = _tops(maps[row])
            continue
        wide, high = (math.ceil(side) for side in sides[row])
        for joint in range(k):
            large = cv2.resize(maps[row, joint], (wide, high), interpolation=cv2.INTER_CUBIC)
            y, x = divmod(int(large.argmax()), wide)
            share[row, joint] = (x + 0.5) / wide, (y + 0.5) / high
            logit[row, joint] = large[y, x]
    xy = share * sides[:, None] + box[:, None, :2]
    return xy.astype(np.float32), logit


def _tops(maps: Floats) -> tuple[Floats, Floats]:
    """The highest place of each map (K, s, s) as shares of its sides, (K, 2), and its height."""
    k, rows, columns = maps.shape
    y, x = np.divmod(maps.reshape(k, -1).argmax(axis=1), columns)
    every = np.arange(k)
    peak = maps[every, y, x]
    shift = []
    for dy, dx in ((0, 1), (1, 0)):
        ahead = maps[every, np.minimum(y + dy, rows - 1), np.minimum(x + dx, columns - 1)]
        behind = maps[every, np.maximum(y - dy, 0), np.maximum(x - dx, 0)]
        bend = np.maximum(2 * peak - ahead - behind, 1e-6)
        shift.append(np.clip((ahead - behind) / (2 * bend), -0.5, 0.5))
    at = np.stack([x + 0.5 + shift[0], y + 0.5 + shift[1]], axis=-1)
    return (at / (columns, rows)).astype(np.float32), peak.astype(np.float32)
