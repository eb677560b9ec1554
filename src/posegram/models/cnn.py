"""A plain residual CNN that regresses joint coordinates from a person crop.

Convolutions, max-pooling and residual connections read the crop at five scales; the coarse maps
are added back to the finer ones, and each joint ends as the centre of mass of one map ("integral
regression", Sun et al., ECCV 2018; "DSNT", Nibali et al., 2018). Against a fully connected end it
keeps the picture's geometry, which is why it learns much faster (docs/experiments.md).
"""

from __future__ import annotations

import torch
from torch import nn

from posegram.pose import Card

__all__ = ["STRIDE", "Cnn", "Residual", "cnn"]

STRIDE = 8  # pixels of the crop per cell of the joint maps


def cnn(card: Card) -> Cnn:
    """The CNN that a card describes; settings: `width` (channels of the first stage)."""
    return Cnn(len(card.skeleton), card.size, width=int(card.settings.get("width", 24)))


class Residual(nn.Module):
    """Two 3x3 convolutions, the input added back: (B, in, h, w) -> (B, out, h, w)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output, (B, out, h, w)."""
        return torch.relu(self.body(x) + self.skip(x))


class Cnn(nn.Module):
    """Crop (B, 3, H, W) in, joints as shares of the crop (B, K, 2) and logits (B, K) out."""

    def __init__(self, joints: int, size: tuple[int, int], *, width: int = 24) -> None:
        super().__init__()
        self.size = size
        wide = [width, 2 * width, 4 * width, 8 * width]
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(a, b), Residual(b, b))
            for a, b in zip([width, *wide], wide, strict=False)
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        fine = wide[1]
        self.lateral = nn.ModuleList(nn.Conv2d(w, 2 * fine, 1) for w in wide[1:])
        self.merge = nn.ModuleList(Residual(2 * fine, 2 * fine) for _ in range(2))
        self.maps = nn.Conv2d(2 * fine, joints, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Joints as shares of the crop (B, K, 2) and how sharp their maps are, logits (B, K).

        In training mode the maps themselves, logits (B, K, h, w), come third.
        """
        x = self.stem(x)
        scales = []
        for number, stage in enumerate(self.stages):
            x = stage(self.pool(x) if number else x)
            scales.append(x)
        merged = self.lateral[2](scales[3])
        for finer, lateral, merge in zip(
            scales[2:0:-1], [self.lateral[1], self.lateral[0]], self.merge, strict=True
        ):
            up = nn.functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            side = lateral(finer)
            # ceil-mode pooling can leave one row or column more than the finer map has
            merged = merge(up[..., : side.shape[-2], : side.shape[-1]] + side)
        maps = self.maps(merged).float()
        found = self._centre_of_mass(maps)
        return (*found, maps) if self.training else found

    def _centre_of_mass(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        joints, rows, columns = maps.shape[1:]
        share = maps.flatten(2).softmax(dim=-1)
        grid = share.view(-1, joints, rows, columns)
        across = (torch.arange(columns, device=maps.device) + 0.5) * (STRIDE / self.size[1])
        down = (torch.arange(rows, device=maps.device) + 0.5) * (STRIDE / self.size[0])
        x = (grid.sum(dim=2) * across).sum(dim=-1)
        y = (grid.sum(dim=3) * down).sum(dim=-1)
        peak = share.amax(dim=-1).clamp(1e-6, 1 - 1e-6)
        return torch.stack([x, y], dim=-1), torch.log(peak / (1 - peak))
