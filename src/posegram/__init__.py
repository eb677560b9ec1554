"""2D human pose estimation: train, measure, export and run networks on ordinary computers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    "save": "infer.save",
}
_PACKAGES = ("data", "infer", "metrics", "train")

__all__ = [*_HOMES, *_PACKAGES]

if TYPE_CHECKING:  # editors and type checkers do not run `__getattr__`
    from posegram.drawing import draw as draw
    from posegram.image import read as read
    from posegram.image import write as write
    from posegram.infer.evaluate import evaluate as evaluate
    from posegram.infer.film import film as film
    from posegram.infer.follow import Follower as Follower
    from posegram.infer.load import load as load
    from posegram.infer.many import predict_many as predict_many
    from posegram.infer.save import save as save
    from posegram.pose import BODY19 as BODY19
    from posegram.pose import COCO17 as COCO17
    from posegram.pose import LSP14 as LSP14
    from posegram.pose import MPII16 as MPII16
    from posegram.pose import Card as Card
    from posegram.pose import People as People
    from posegram.pose import Sample as Sample
    from posegram.pose import Skeleton as Skeleton
    from posegram.pose import convert as convert
    from posegram.video import frames as frames


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"posegram.{_HOMES[name]}"), name)
    if name in _PACKAGES:
        return import_module(f"posegram.{name}")
    raise AttributeError(f"posegram has no {name!r}; it has {', '.join(sorted(__all__))}")


def __dir__() -> list[str]:
    return sorted(__all__)
