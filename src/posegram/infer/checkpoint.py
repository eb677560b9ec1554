"""A network in a training checkpoint, rebuilt from its card and run by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from posegram import models
from posegram.pose import Card, Network, Raw

__all__ = ["load_checkpoint"]


def load_checkpoint(path: Path) -> tuple[Card, Network]:
    """The card and the network of a posegram .ckpt file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint, holds no card, or its weights do not fit the card.
    """
    card, module = models.load_weights(path)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))

    def network(crops: npt.NDArray[np.uint8]) -> Raw:
        x = (torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() - mean) / std
        with torch.inference_mode():
            raw = module(x)
        return tuple(r.numpy() for r in (raw if isinstance(raw, tuple) else (raw,)))

    return card, network
