"""A Keras model in a .keras file, run by Keras on torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from posegram.models.keras_file import load_keras_file
from posegram.pose import Card, Network, Raw

__all__ = ["load_keras"]


def load_keras(path: Path) -> tuple[Card, Network]:
    """The card and the network of a .keras file; see `posegram.models.keras_file`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it asks for code, or is no regression of joints.
    """
    card, module = load_keras_file(path)

    def network(crops: npt.NDArray[np.uint8]) -> Raw:
        x = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            return tuple(raw.numpy() for raw in module(x))

    return card, network
