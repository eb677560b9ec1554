"""A Keras model in a .keras file, run by Keras on torch."""

from __future__ import annotations

from pathlib import Path

from posegram import models
from posegram.models.keras_file import load_keras_file
from posegram.pose import Card, Network

__all__ = ["load_keras"]


def load_keras(path: Path) -> tuple[Card, Network]:
    """The card and the network of a .keras file; see `posegram.models.keras_file`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it asks for code, or is no regression of joints.
    """
    card, module = load_keras_file(path)
    return card, models.answering(module, card)
