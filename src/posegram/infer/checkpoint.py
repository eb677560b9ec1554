"""A network in a training checkpoint, rebuilt from its card and run by torch."""

from __future__ import annotations

from pathlib import Path

from posegram import models
from posegram.pose import Card, Network

__all__ = ["load_checkpoint"]


def load_checkpoint(path: Path) -> tuple[Card, Network]:
    """The card and the network of a posegram .ckpt file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint, holds no card, or its weights do not fit the card.
    """
    card, network = models.load_weights(path)
    return card, models.answering(network, card)
