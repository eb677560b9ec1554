"""Training runs on stick figures that take a second or two."""

from pathlib import Path

from posegram.data import coco, figures
from posegram.pose import LSP14, Skeleton
from posegram.train import Config


def labels(folder: Path, count: int = 20, *, skeleton: Skeleton = LSP14) -> str:
    """A data set of stick figures, drawn into the folder, as `Config.train` names it."""
    made = figures.samples(folder / "images", count, skeleton=skeleton)
    return f"coco:{coco.write(folder / 'labels.json', made, folder / 'images')}"


def settings(folder: Path, data: str = "", **changes: object) -> Config:
    """Settings of the smallest run that still is one; it writes to folder/tiny."""
    small = {
        "name": "tiny",
        "folder": str(folder),
        "train": [data] if data else [],
        "split": 0.25,
        "channels": 4,
        "size": [64, 64],
        "batch": 5,
        "epochs": 2,
        "warmup": 2,
        "rate": 5e-3,
        "threads": 1,
        "precision": "fp32",
    }
    return Config().override(small | changes)
