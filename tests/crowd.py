"""People who walk about, with known joints and known ids."""

from dataclasses import replace

import numpy as np

from posegram.data import figures
from posegram.pose import COCO17, People, Skeleton


def walker(seed: int = 0, *, skeleton: Skeleton = COCO17, height: float = 160.0) -> np.ndarray:
    """A standing person's joints (K, 2) pixels, the middle of the hips at (0, 0)."""
    xy = figures.pose(skeleton, np.random.default_rng(seed), height=height)
    hips = [skeleton.index(f"{side}_hip") for side in ("left", "right")]
    return xy - xy[hips].mean(axis=0)


def people(
    places, *, names=None, shapes=None, score=0.9, skeleton: Skeleton = COCO17, height=160.0
) -> People:
    """People whose hips are at the places (N, 2) pixels."""
    places = np.asarray(places, dtype=np.float32).reshape(-1, 2)
    shapes = range(len(places)) if shapes is None else shapes
    bodies = [walker(seed, skeleton=skeleton, height=height) for seed in shapes]
    xy = np.array([b + p for b, p in zip(bodies, places, strict=True)], dtype=np.float32)
    xy = xy.reshape(-1, len(skeleton), 2)
    box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1) if len(xy) else xy[:, 0, :0]
    found = People(
        xy,
        np.full(xy.shape[:2], score, dtype=np.float32),
        box.reshape(-1, 4).astype(np.float32),
        skeleton,
    )
    return found if names is None else replace(found, track=np.array(names, dtype=np.int64))


def shaken(found: People, amount: float, seed: int = 0) -> People:
    """The same people with noise on their joints, in pixels."""
    noise = np.random.default_rng(seed).normal(0, amount, found.xy.shape)
    return replace(found, xy=(found.xy + noise).astype(np.float32))
