"""A small person detector: a thinned EfficientNet-lite body, a pyramid and one head a stride.

Every cell of the maps of strides 8, 16 and 32 says how likely it is to mark a person and how far
that person's four sides are away (anchor-free, as in FCOS: Tian et al., ICCV 2019). The repeated
blocks of the body that cost most are left out; what stays keeps its ImageNet weights.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from posegram.models.lite import Body
from posegram.pose import Card

__all__ = ["STRIDES", "DetectorNet", "Head", "cells", "detector", "grid"]

STRIDES = (8, 16, 32)
_DROPPED = (7, 9, 10, 12, 13, 14, 15)  # 0.44 instead of 0.8 GMAC at 320x320, head included
_REFINING = (12, 9, 13, 10, 14, 7)  # those that add to their input, in the order they come back
# channels within each block of a thin detector, as in lite; what is dropped would be as lite0's
_THIN = (0, 96, 112, 144, 176, 240, 336, 480, 400, 672, 672, 400, 1152, 1152, 1152, 1152)
_RARE = -4.6  # logit of 1 %: what a fresh head answers everywhere, for most cells are background
_SHAPE = (0.7, 1.2, 0.7, 1.2)  # log of the reach of a fresh head in strides: people stand upright


def detector(card: Card) -> DetectorNet:
    """The network that a card describes; settings: `head` (channels of the head), `front`,
    `refine` (how many of the blocks that are left out come back, up to 6).
    """
    return DetectorNet(
        head=int(card.settings.get("head", 80)),
        front=str(card.settings.get("front", "lite0")),
        refine=int(card.settings.get("refine", 0)),
    )


def cells(rows: int, columns: int, stride: int, device: torch.device) -> torch.Tensor:
    """Centres of a map's cells in input pixels, (rows * columns, 2), row by row."""
    y = (torch.arange(rows, device=device) + 0.5) * stride - 0.5
    x = (torch.arange(columns, device=device) + 0.5) * stride - 0.5
    both = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([both[1], both[0]], dim=-1).reshape(-1, 2)


def grid(size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Centres of all cells in input pixels, (M, 2), in the order of the network's answers."""
    maps = [cells(size[0] // s, size[1] // s, s, device) for s in STRIDES]
    return torch.cat(maps)


def _dense(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def _end(channels: int) -> nn.Conv2d:
    """The last layer: four reaches and a logit a cell."""
    end = nn.Conv2d(channels, 5, 1)
    nn.init.normal_(end.weight, std=0.01)
    end.bias = nn.Parameter(torch.tensor([*_SHAPE, _RARE]))
    return end


class Head(nn.Module):
    """Three maps of strides 8, 16, 32 in; boxes (B, M, 4) and logits (B, M) of all cells out.

    The finest map is half as wide: its cells are the most, and small people need fewer channels.
    """

    def __init__(self, inside: tuple[int, int, int], wide: int) -> None:
        super().__init__()
        fine = wide // 2
        widths = (fine, wide, wide)
        self.lateral = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(inside, widths, strict=True)
        )
        self.deep = nn.Sequential(_dense(wide), _dense(wide))
        self.narrow = nn.Conv2d(wide, fine, 1)
        self.merge = nn.ModuleList([_dense(fine), _dense(wide)])
        self.ends = nn.ModuleList(_end(width) for width in widths)

    def forward(self, taps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes x0, y0, x1, y1 in input pixels (B, M, 4) and logits (B, M)."""
        fine, middle, coarse = (side(tap) for side, tap in zip(self.lateral, taps, strict=True))
        coarse = self.deep(coarse)
        middle = self.merge[1](middle + _up(coarse))
        fine = self.merge[0](fine + _up(self.narrow(middle)))
        answers = [
            _boxes(end, x, stride)
            for end, x, stride in zip(self.ends, (fine, middle, coarse), STRIDES, strict=True)
        ]
        box, logit = zip(*answers, strict=True)
        return torch.cat(box, dim=1), torch.cat(logit, dim=1)


def _up(coarse: torch.Tensor) -> torch.Tensor:
    return nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")


def _boxes(end: nn.Module, x: torch.Tensor, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (B, h * w, 4) and logits (B, h * w) of one map (B, C, h, w)."""
    with torch.autocast(x.device.type, enabled=False):  # bfloat16 is too coarse for distances
        raw = end(x.float())
    centre = cells(raw.shape[2], raw.shape[3], stride, raw.device)
    raw = raw.flatten(2).transpose(1, 2)
    reach = raw[..., :4].clamp(max=math.log(64.0)).exp() * stride
    box = torch.cat([centre - reach[..., :2], centre + reach[..., 2:]], dim=-1)
    return box, raw[..., 4]


class DetectorNet(Body):
    """Photo (B, 3, H, W), sides multiples of 32, in; boxes (B, M, 4) and logits (B, M) out."""

    def __init__(self, *, head: int = 80, front: str = "lite0", refine: int = 0) -> None:
        back = _REFINING[:refine]
        dropped = tuple(n for n in _DROPPED if n not in back)
        super().__init__(dropped=dropped, front=front, widths=_THIN)
        for number in back:
            # begins as the identity, so that a trained network grows without forgetting
            nn.init.zeros_(self.blocks[number].get_parameter("body.7.weight"))
        self.head = Head((40, 112, 192), head)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes x0, y0, x1, y1 in input pixels (B, M, 4) and logits (B, M), M cells."""
        return self.head(self.taps(x))  # type: ignore[no-any-return]
