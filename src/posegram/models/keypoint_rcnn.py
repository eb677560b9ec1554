"""Keypoint R-CNN: torchvision's network, as torchvision builds it, for any number of joints.

He et al., "Mask R-CNN", ICCV 2017; arrays have the names that torchvision gives them in
`keypointrcnn_resnet50_fpn`, so that its published weights fit. One photo goes in; boxes, their
probabilities and one map a joint come out. What torchvision does before and after (resizing; map to
joint) is done outside the network, the same for torch, ONNX Runtime and OpenVINO.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from posegram.models.normalise import Normalise
from posegram.models.vision_ops import torchvision_ready
from posegram.pose import Card

__all__ = [
    *("Found", "Whole", "fold", "halve", "keypoint_rcnn", "measure_norms", "padded"),
    "people",
]

BACKBONES = {"keypoint_rcnn": "resnet50", "keypoint_rcnn18": "resnet18"}
STEP = 32  # both sides of what the backbone sees are multiples
LOWEST = 0.05  # box probability under which torchvision drops a box unseen

Found = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # (N, 4) pixels, (N,), (N, K, 56, 56)


def keypoint_rcnn(card: Card) -> Any:
    """torchvision's `KeypointRCNN` for the card's joints, a fresh `torch.nn.Module`.

    Settings: `network` names the backbone, `width` is that of the joints' head (512 as published;
    the boxes' head is twice as wide), `sampled` how many regions of a photo train the heads. The
    frozen normalisation adds nothing to its variance, as the published weights want it.

    Raises:
        ImportError: torchvision is missing or does not fit torch.
    """
    torchvision_ready()
    from torchvision.models.detection import faster_rcnn
    from torchvision.models.detection import keypoint_rcnn as parts
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.misc import FrozenBatchNorm2d

    settings = card.settings
    wide = int(settings.get("width", 512))
    name = BACKBONES[str(settings.get("network", "keypoint_rcnn"))]
    backbone = resnet_fpn_backbone(backbone_name=name, weights=None, trainable_layers=5)
    maps = backbone.out_channels
    network = parts.KeypointRCNN(
        backbone,
        box_head=faster_rcnn.TwoMLPHead(maps * 7**2, 2 * wide),
        box_predictor=faster_rcnn.FastRCNNPredictor(2 * wide, 2),
        keypoint_head=parts.KeypointRCNNHeads(maps, (wide,) * 8),
        keypoint_predictor=parts.KeypointRCNNPredictor(wide, len(card.skeleton)),
        box_batch_size_per_image=int(settings.get("sampled", 512)),
        min_size=min(card.size),
        max_size=max(card.size),
    )
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0
    # anchors take the number format of what the head says, and bfloat16 cannot count pixels
    network.rpn.head.register_forward_hook(
        lambda _, x, said: tuple([part.float() for part in parts] for parts in said)
    )
    # torchvision's loss takes views of the maps, which channels last does not allow
    network.roi_heads.keypoint_predictor.register_forward_hook(lambda _, x, maps: maps.contiguous())
    return network


def padded(picture: torch.Tensor) -> torch.Tensor:
    """Normalised pictures (B, 3, h, w) with zeros to the right and below, up to multiples of 32."""
    height, width = picture.shape[-2:]
    return nn.functional.pad(picture, (0, -width % STEP, 0, -height % STEP))


def people(
    network: Any,
    picture: torch.Tensor,
    sure: torch.Tensor | float = LOWEST,
    most: torch.Tensor | int = 100,
    proposals: torch.Tensor | int = 1000,
) -> Found:
    """Boxes (N, 4) in the picture's pixels by falling probability (N,), and maps (N, K, 56, 56).

    Args:
        network: of `keypoint_rcnn`, in evaluation mode.
        picture: (1, 3, h, w), normalised.
        sure: smallest probability of a box; below 0.05 it is 0.05.
        most: people at most; above 100 it is 100.
        proposals: regions that are looked at, the likeliest ones; above 1000 it is 1000.
    """
    from torchvision.models.detection.image_list import ImageList

    size = [tuple(picture.shape[-2:])]
    whole = padded(picture)
    # anchors take the maps' number format, and bfloat16 has too few digits for pixels
    features = {key: x.float() for key, x in network.backbone(whole).items()}
    regions, _ = network.rpn(ImageList(whole, size), features)
    regions = [regions[0].float()[:proposals]]
    heads = network.roi_heads
    # from sizes the pools take the maps' scales, which the padded one tells exactly
    exact = [tuple(whole.shape[-2:])]
    seen = heads.box_predictor(heads.box_head(heads.box_roi_pool(features, regions, exact)))
    boxes, scores, _ = heads.postprocess_detections(*(s.float() for s in seen), regions, size)
    kept = torch.where(scores[0] > sure)[0][:most]
    box, score = boxes[0][kept], scores[0][kept]
    pooled = heads.keypoint_roi_pool(features, [box], exact)
    return box, score, heads.keypoint_predictor(heads.keypoint_head(pooled)).float()


class Whole(Normalise):
    """A picture as it comes (1, h, w, 3), 0 to 255, normalised inside; then `people`."""

    def __init__(self, network: Any, card: Card) -> None:
        super().__init__(card, persistent=True)
        self.network = network

    def forward(  # type: ignore[override]
        self,
        picture: torch.Tensor,
        sure: torch.Tensor | float,
        most: torch.Tensor | int,
        proposals: torch.Tensor | int,
    ) -> Found:
        """As `people`."""
        return people(self.network, super().forward(picture), sure, most, proposals)


def _normed(network: Any) -> list[tuple[Any, str, str]]:
    """Parent, convolution's and frozen normalisation's name of every such pair in the body."""
    from torchvision.ops.misc import FrozenBatchNorm2d

    found = []
    for parent in network.backbone.body.modules():
        children = list(parent.named_children())
        for (first, conv), (second, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, FrozenBatchNorm2d):
                found.append((parent, first, second))
    return found


def fold(network: Any) -> Any:
    """The network with every frozen normalisation multiplied into the convolution before it.

    The same answers but for rounding, with a third fewer passes over memory. Works in place.
    """
    for parent, first, second in _normed(network):
        conv, norm = parent.get_submodule(first), parent.get_submodule(second)
        statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
        setattr(parent, second, nn.Identity())
    return network


class _Half(nn.Module):
    """A part that computes in bfloat16, channels last; float32 in and out."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        heavy: Any = part.to(torch.bfloat16)
        self.part = heavy.to(memory_format=torch.channels_last)

    def forward(self, x: Any) -> Any:
        return _cast(self.part(_cast(x, torch.bfloat16)), torch.float32)


def _cast(x: Any, dtype: torch.dtype) -> Any:
    """A tensor, or tensors in a list, tuple or dict, in another number format."""
    if isinstance(x, dict):
        return type(x)((key, _cast(value, dtype)) for key, value in x.items())
    if isinstance(x, (list, tuple)):
        return type(x)(_cast(value, dtype) for value in x)
    shape = torch.channels_last if x.dim() == 4 else torch.preserve_format
    return x.to(dtype, memory_format=shape)


def halve(network: Any) -> Any:
    """The network with everything heavy in bfloat16; boxes and suppression stay in float32.

    Fold the normalisation first: its statistics have too few digits in bfloat16.
    """
    network.backbone = _Half(network.backbone)
    network.rpn.head = _Half(network.rpn.head)
    heads = network.roi_heads
    for name in ("box_head", "box_predictor", "keypoint_head", "keypoint_predictor"):
        setattr(heads, name, _Half(getattr(heads, name)))
    return network


def measure_norms(network: Any, picture: torch.Tensor) -> None:
    """Set the frozen normalisations of random weights by what they see in pictures (B, 3, H, W).

    Frozen statistics come with trained weights. Beside random weights they would say mean 0 and
    variance 1, whatever comes, and 50 layers would blow the maps up.
    """
    norms = [parent.get_submodule(second) for parent, _, second in _normed(network)]
    hooks = [norm.register_forward_pre_hook(_measured) for norm in norms]
    with torch.no_grad():
        network.backbone.body(padded(picture))
    for hook in hooks:
        hook.remove()


def _measured(norm: Any, inputs: tuple[torch.Tensor]) -> None:
    norm.running_mean = inputs[0].mean(dim=(0, 2, 3))
    norm.running_var = inputs[0].var(dim=(0, 2, 3)).clamp(min=1e-5)
