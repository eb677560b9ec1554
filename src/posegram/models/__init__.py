"""Networks, one torch file each.

A network is built from a card: `MODELS[card.settings["network"]](card)`. It takes normalised
images (B, 3, H, W) and emits what the card's kind says (see `posegram.pose.Raw`), as tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["KINDS", "MODELS", "build"]


def _lazy(name: str) -> Callable[..., Any]:
    def make(card: Any) -> Any:
        return getattr(import_module(f"posegram.models.{name}"), name)(card)

    return make


MODELS: dict[str, Callable[..., Any]] = {name: _lazy(name) for name in ("cnn", "lite")}
KINDS = {"cnn": "regression", "lite": "heatmap"}  # what each network emits


def build(card: Any) -> Any:
    """The network that a card describes, a `torch.nn.Module` with fresh weights.

    Raises:
        ValueError: the card names no network that posegram knows.
    """
    name = card.settings.get("network")
    if name not in MODELS:
        raise ValueError(f"no network {name!r}; there are {', '.join(sorted(MODELS))}")
    return MODELS[name](card)
