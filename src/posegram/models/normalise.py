"""Pictures as they come, made into what networks take."""

from __future__ import annotations

import torch
from torch import nn

from posegram.pose import Card

__all__ = ["Normalise"]


class Normalise(nn.Module):
    """Pictures (B, H, W, 3), 0 to 255, as a card's network takes them: (B, 3, H, W) around 0.

    Its numbers are no weights unless `persistent`, as an exported graph wants them.
    """

    mean: torch.Tensor  # (1, 3, 1, 1)
    std: torch.Tensor

    def __init__(self, card: Card, *, persistent: bool = False) -> None:
        super().__init__()
        for name, value in (("mean", card.mean), ("std", card.std)):
            colours = torch.tensor(value).view(1, 3, 1, 1)
            self.register_buffer(name, colours, persistent=persistent)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """The pictures, normalised, as float32."""
        return (picture.permute(0, 3, 1, 2) - self.mean) / self.std
