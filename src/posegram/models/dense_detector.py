"""The person detector on a body of dense 3x3 convolutions, from random weights.

It costs as much as `detector` and runs and trains faster, since dense convolutions come nearer to
the chip's limit than depthwise ones, but no public ImageNet weights fit it. Half of each stage's
channels pass its residual blocks by (cross stage partial: Wang et al., CVPRW 2020).
"""

from __future__ import annotations

import torch
from torch import nn

from posegram.models.detector import Head
from posegram.pose import Card

__all__ = ["DenseDetector", "dense_detector"]

_WIDTHS = (16, 32, 64, 128, 256)  # channels at strides 2 to 32
_REPEATS = (1, 1, 2, 1)  # residual blocks at strides 4 to 32


def dense_detector(card: Card) -> DenseDetector:
    """The network that a card describes; settings: `head` (channels of the head)."""
    return DenseDetector(head=int(card.settings.get("head", 96)))


def _layer(inside: int, outside: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions, the input added back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_layer(channels, channels), _layer(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        out: torch.Tensor = x + self.body(x)
        return out


class _Stage(nn.Module):
    """Half the stride's size; half of the channels through residual blocks, half past them."""

    def __init__(self, inside: int, outside: int, repeats: int) -> None:
        super().__init__()
        self.inner = outside // 2
        self.enter = nn.Sequential(
            _layer(inside, outside, stride=2), _layer(outside, outside, kernel=1)
        )
        self.blocks = nn.Sequential(*(_Residual(self.inner) for _ in range(repeats)))
        self.leave = _layer(outside, outside, kernel=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, h, w) -> (B, out, h / 2, w / 2)."""
        past, through = self.enter(x).split(self.inner, dim=1)
        return self.leave(torch.cat([past, self.blocks(through)], dim=1))  # type: ignore[no-any-return]


class DenseDetector(nn.Module):
    """Photo (B, 3, H, W), sides multiples of 32, in; boxes (B, M, 4) and logits (B, M) out."""

    def __init__(self, *, head: int = 96) -> None:
        super().__init__()
        self.stem = _layer(3, _WIDTHS[0], stride=2)
        pairs = zip(_WIDTHS, _WIDTHS[1:], _REPEATS, strict=False)
        self.blocks = nn.ModuleList(_Stage(a, b, n) for a, b, n in pairs)
        self.head = Head(_WIDTHS[2:], head)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes x0, y0, x1, y1 in input pixels (B, M, 4) and logits (B, M), M cells."""
        x = self.stem(x)
        taps = []
        for block in self.blocks:
            x = block(x)
            taps.append(x)
        return self.head(taps[1:])  # type: ignore[no-any-return]
