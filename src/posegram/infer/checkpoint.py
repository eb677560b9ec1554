"""A network in a training checkpoint, rebuilt from its card and run by torch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from posegram import models
from posegram.pose import Card, Network, Raw

__all__ = ["load_checkpoint"]


def load_checkpoint(path: Path) -> tuple[Card, Network]:
    """The card and the network of a posegram .ckpt file.

    Only arrays and plain values are read from the file, never code.

    Raises:
        ValueError: it is no checkpoint, holds no card, or its weights do not fit the card.
    """
    try:
        whole: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as fault:
        raise ValueError(f"{path} is no checkpoint that posegram can read") from fault
    if not isinstance(whole, dict) or "card" not in whole or "state_dict" not in whole:
        raise ValueError(f"{path} is a checkpoint without a posegram card, so not one of ours")
    card = Card.from_json(whole["card"])
    module = models.build(card)
    weights = {k.removeprefix("network."): v for k, v in whole["state_dict"].items()}
    try:
        module.load_state_dict(weights)
    except RuntimeError as fault:
        raise ValueError(f"{path}: the weights do not fit the network of its card") from fault
    module.eval()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))

    def network(crops: npt.NDArray[np.uint8]) -> Raw:
        x = (torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() - mean) / std
        with torch.inference_mode():
            raw = module(x)
        return tuple(r.numpy() for r in (raw if isinstance(raw, tuple) else (raw,)))

    return card, network
