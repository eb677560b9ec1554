"""Stick figures with known joints, in any skeleton: a data set that anyone can make at once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from posegram import image as pictures
from posegram.coords import area_of
from posegram.pose import LSP14, Floats, Image, Sample, Skeleton

__all__ = ["draw", "figure", "pose", "samples"]

# a standing person seen from the front, as shares of its height; x grows to the picture's right,
# so the person's left arm is on the right
_PLACES = {
    "head_top": (0.0, 0.0),
    "neck": (0.0, 0.16),
    "upper_neck": (0.0, 0.16),
    "thorax": (0.0, 0.2),
    "pelvis": (0.0, 0.52),
    "nose": (0.0, 0.09),
    "left_eye": (0.02, 0.07),
    "left_ear": (0.045, 0.08),
    "left_shoulder": (0.1, 0.2),
    "left_elbow": (0.16, 0.35),
    "left_wrist": (0.18, 0.5),
    "left_hip": (0.07, 0.52),
    "left_knee": (0.08, 0.75),
    "left_ankle": (0.09, 0.98),
}
_PLACES |= {f"right{j[4:]}": (-x, y) for j, (x, y) in _PLACES.items() if j.startswith("left")}
_CHAINS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
_BLUE, _RED, _WHITE = (40, 60, 220), (220, 50, 40), (240, 240, 240)


def pose(
    skeleton: Skeleton, rng: np.random.Generator, *, height: float = 160.0, freedom: float = 0.1
) -> Floats:
    """Joints of a front view, its head top near (0, 0), (K, 2) pixels.

    Args:
        skeleton: names the K joints.
        rng: where chance comes from.
        height: of the standing figure, pixels.
        freedom: standard deviation of the limbs' angles, radians.

    Raises:
        ValueError: a joint is none of a stick figure's.
    """
    unknown = [j for j in skeleton.joints if j not in _PLACES]
    if unknown:
        raise ValueError(f"a stick figure has no {', '.join(unknown)}")
    places = {joint: np.array(place) for joint, place in _PLACES.items()}
    for side in ("left", "right"):
        for upper, middle, lower in _CHAINS:
            names = [f"{side}_{part}" for part in (upper, middle, lower)]
            _swing(places, names, rng.normal(0, freedom))
            _swing(places, names[1:], rng.normal(0, freedom))
    xy = np.array([places[j] for j in skeleton.joints]) + rng.normal(0, 0.004, (len(skeleton), 2))
    return (xy * height).astype(np.float32)


def _swing(places: dict[str, Floats], names: list[str], angle: float) -> None:
    """Turn a limb about its first joint."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for name in names[1:]:
        places[name] = turn @ (places[name] - places[names[0]]) + places[names[0]]


def figure(
    skeleton: Skeleton = LSP14,
    *,
    seed: int = 0,
    size: tuple[int, int] = (240, 200),
    people: int = 1,
    freedom: float = 0.1,
) -> tuple[Image, Floats]:
    """A picture (H, W, 3) with figures side by side, and their joints (N, K, 2) pixels."""
    rng = np.random.default_rng(seed)
    height, width = size
    image = np.full((height, width, 3), rng.integers(90, 200), dtype=np.uint8)
    joints = []
    for n in range(people):
        xy = pose(skeleton, rng, height=height * rng.uniform(0.6, 0.75), freedom=freedom)
        xy += (width * (n + 0.5 + rng.uniform(-0.1, 0.1)) / people, height * rng.uniform(0.08, 0.2))
        draw(image, xy, skeleton)
        joints.append(xy)
    return image, np.array(joints, dtype=np.float32).reshape(people, len(skeleton), 2)


def draw(image: Image, xy: Floats, skeleton: Skeleton) -> None:
    """Paint one figure (K, 2) into the image: left limbs blue, right limbs red, the rest white."""
    thick = max(2, int(np.ptp(xy[:, 1]) / 25))
    for a, b in skeleton.bones:
        sides = {joint.split("_")[0] for joint in (a, b)} & {"left", "right"}
        colour = {"left": _BLUE, "right": _RED}[sides.pop()] if len(sides) == 1 else _WHITE
        ends = [tuple(int(v) for v in xy[skeleton.index(j)].round()) for j in (a, b)]
        cv2.line(image, ends[0], ends[1], colour, thick, cv2.LINE_AA)


def samples(
    folder: Path,
    count: int,
    *,
    skeleton: Skeleton = LSP14,
    seed: int = 0,
    freedom: float = 0.1,
) -> list[Sample]:
    """Figures written as PNG files, one person each, with their annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for n in range(count):
        image, xy = figure(skeleton, seed=seed + n, freedom=freedom)
        path = folder / f"figure{n:04d}.png"
        pictures.write(path, image)
        box = np.concatenate([xy[0].min(axis=0) - 4, xy[0].max(axis=0) + 4]).astype(np.float32)
        flags = np.full(len(skeleton), 2, dtype=np.uint8)
        made.append(Sample(path, xy[0], flags, box, 20.0, area_of(box), skeleton))
    return made
