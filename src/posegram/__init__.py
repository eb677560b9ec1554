"""2D human pose estimation: train, measure, export and run networks on ordinary computers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {  # public name -> the module that holds it; imported on first use (PEP 562)
    "BODY19": "pose",
    "COCO17": "pose",
    "LSP14": "pose",
    "MPII16": "pose",
    "Card": "pose",
    "People": "pose",
    "Sample": "pose",
    "Skeleton": "pose",
    "convert": "pose",
    "read": "image",
    "write": "image",
    "draw": "drawing",
    "frames": "video",
    "Follower": "infer.follow",
    "film": "infer.film",
    "load": "infer.load",
    "evaluate": "infer.evaluate",
    "predict_many": "infer.many",
}
_PACKAGES = ("data", "infer", "metrics", "train")

__all__ = [*_HOMES, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"posegram.{_HOMES[name]}"), name)
    if name in _PACKAGES:
        return import_module(f"posegram.{name}")
    raise AttributeError(f"posegram has no {name!r}; it has {', '.join(sorted(__all__))}")


def __dir__() -> list[str]:
    return sorted(__all__)
