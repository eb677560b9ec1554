"""What a newcomer without a data set trains: stick figures, in under two minutes."""

from __future__ import annotations

from posegram.data import coco, figures
from posegram.train.config import Config

__all__ = ["COUNT", "prepare", "settings"]

COUNT = 800  # figures


def settings() -> Config:
    """A small CNN on small crops of stick figures."""
    return Config().override(
        {
            "name": "quickstart",
            "train": ["coco:runs/quickstart/figures/labels.json"],
            "channels": 8,
            "size": [96, 96],
            "turn": 15.0,
            "rate": 4e-3,
            "warmup": 50,
            "epochs": 16,
            "clip": 1.0,
        }
    )


def prepare(config: Config) -> Config:
    """Draw the figures into the run's folder; the settings that train on them."""
    folder = config.run / "figures"
    labels = folder / "labels.json"
    if not labels.exists():
        made = figures.samples(folder / "images", COUNT, freedom=0.6)
        coco.write(labels, made, folder / "images")
    return config.override({"train": [f"coco:{labels}"]})
