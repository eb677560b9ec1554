"""Stick figures with known joints, in any skeleton: the data set of every test."""

from pathlib import Path

import cv2
import numpy as np

from posegram.pose import LSP14, Sample, Skeleton

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
    "right_eye": (-0.02, 0.07),
    "left_ear": (0.045, 0.08),
    "right_ear": (-0.045, 0.08),
    "left_shoulder": (0.1, 0.2),
    "right_shoulder": (-0.1, 0.2),
    "left_elbow": (0.16, 0.35),
    "right_elbow": (-0.16, 0.35),
    "left_wrist": (0.18, 0.5),
    "right_wrist": (-0.18, 0.5),
    "left_hip": (0.07, 0.52),
    "right_hip": (-0.07, 0.52),
    "left_knee": (0.08, 0.75),
    "right_knee": (-0.08, 0.75),
    "left_ankle": (0.09, 0.98),
    "right_ankle": (-0.09, 0.98),
}


def pose(skeleton: Skeleton, rng: np.random.Generator, *, height: float = 160.0) -> np.ndarray:
    """Joints of a standing figure with a little freedom, its head top at (0, 0), (K, 2) pixels."""
    places = np.array([_PLACES[j] for j in skeleton.joints], dtype=np.float32)
    wobble = rng.normal(0, 0.015, places.shape)
    return ((places + wobble) * height).astype(np.float32)


def figure(
    skeleton: Skeleton = LSP14,
    *,
    seed: int = 0,
    size: tuple[int, int] = (240, 200),
    people: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, 3) uint8 RGB with figures drawn, and their joints (N, K, 2) pixels."""
    rng = np.random.default_rng(seed)
    height, width = size
    image = np.full((height, width, 3), rng.integers(90, 200), dtype=np.uint8)
    joints = []
    for n in range(people):
        xy = pose(skeleton, rng, height=height * rng.uniform(0.6, 0.75))
        xy += (width * (n + 0.5 + rng.uniform(-0.1, 0.1)) / people, height * rng.uniform(0.08, 0.2))
        draw(image, xy, skeleton)
        joints.append(xy)
    return image, np.array(joints, dtype=np.float32).reshape(people, len(skeleton), 2)


def draw(image: np.ndarray, xy: np.ndarray, skeleton: Skeleton) -> None:
    """Paint one figure: left limbs blue, right limbs red, the rest white."""
    thick = max(2, int(np.ptp(xy[:, 1]) / 25))
    for a, b in skeleton.bones:
        side = a if a.startswith(("left", "right")) else b
        both = a.split("_")[0] != b.split("_")[0]
        colour = (240, 240, 240) if both else (40, 60, 220) if side[0] == "l" else (220, 50, 40)
        ends = [tuple(int(v) for v in xy[skeleton.index(j)].round()) for j in (a, b)]
        cv2.line(image, ends[0], ends[1], colour, thick, cv2.LINE_AA)


def samples(folder: Path, count: int, *, skeleton: Skeleton = LSP14, seed: int = 0) -> list[Sample]:
    """Figures written as PNG files, one person each, with their annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for n in range(count):
        image, xy = figure(skeleton, seed=seed + n)
        path = folder / f"figure{n:04d}.png"
        cv2.imwrite(str(path), image[..., ::-1])
        box = np.concatenate([xy[0].min(axis=0) - 4, xy[0].max(axis=0) + 4])
        made.append(
            Sample(
                image=path,
                xy=xy[0],
                visible=np.full(len(skeleton), 2, dtype=np.uint8),
                box=box.astype(np.float32),
                head=20.0,
                area=float(np.prod(box[2:] - box[:2])),
                skeleton=skeleton,
            )
        )
    return made
