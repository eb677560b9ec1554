"""The first weights of a Keypoint R-CNN: nothing, ImageNet's, torchvision's or a run's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from posegram.models import keypoint_rcnn, published
from posegram.models.normalise import Normalise
from posegram.pose import COCO17, Card, Image, Skeleton
from posegram.train.config import Config

__all__ = ["load"]

_MEASURED = 8  # pictures from which normalisation is measured
_LEAST = 1e-5  # what ImageNet's normalisation adds to its variance


def load(network: Any, config: Config, card: Card, items: Callable[[], dict[str, Any]]) -> None:
    """Fill a network with the weights that `config.start` names.

    - "": random weights, their normalisation measured on some of the photos.
    - "imagenet": torchvision's ResNet trained on ImageNet, the rest fresh.
    - "coco": torchvision's published Keypoint R-CNN (see `models.published.find`).
    - a file: torchvision's .pth of that kind, or a .ckpt of ours.

    Joints that the start knows by name keep their maps, others are fresh. `config.freeze` keeps
    the stem and the first stage as they are, as torchvision's recipe does.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not fit.
    """
    if not config.start:
        _measure(network, card, items()["crop"])
    elif config.start == "imagenet":
        _imagenet(network, config)
    elif config.start == "coco":
        _take(network, published.keypoints()[1].state_dict(), COCO17, card)
    else:
        _file(network, Path(config.start), card)
    if config.freeze:
        body = network.backbone.body
        for part in (body.conv1, body.layer1):
            part.requires_grad_(False)


def _file(network: Any, path: Path, card: Card) -> None:
    """Weights from a .pth of torchvision's kind or from a .ckpt of ours."""
    if not path.is_file():
        raise FileNotFoundError(f"no weights {path} to start from")
    found, skeleton = published.arrays(path), COCO17
    if "state_dict" in found:  # ours
        skeleton = Card.from_json(found["card"]).skeleton if "card" in found else COCO17
        found = {k.removeprefix("network."): v for k, v in found["state_dict"].items()}
    if not _take(network, found, skeleton, card):
        raise ValueError(f"{path} holds no weights of {card.settings['network']!r} to start from")


def _measure(network: Any, card: Card, pictures: Image) -> None:
    x = Normalise(card)(torch.from_numpy(pictures[:_MEASURED]))
    keypoint_rcnn.measure_norms(network, x)


def _imagenet(network: Any, config: Config) -> None:
    """torchvision's own ImageNet weights into the body."""
    from torchvision.models import ResNet18_Weights, ResNet50_Weights

    small = keypoint_rcnn.BACKBONES[config.network] == "resnet18"
    weights = ResNet18_Weights if small else ResNet50_Weights
    address = weights.IMAGENET1K_V1.url
    arrays = published.arrays(published.find("", address, variable=""))
    for name, value in arrays.items():
        if name.endswith("running_var"):  # ours adds nothing to its variance
            arrays[name] = value + _LEAST
    network.backbone.body.load_state_dict(arrays, strict=False)  # no `fc`, no counters


def _take(network: Any, theirs: dict[str, Any], skeleton: Skeleton, card: Card) -> bool:
    """Take all arrays that fit; whether those were more than half."""
    ours = network.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape}
    if len(fitting) < len(ours) / 2:
        return False
    last = "roi_heads.keypoint_predictor.kps_score_lowres"
    for name, axis in ((f"{last}.weight", 1), (f"{last}.bias", 0)):
        fitting[name] = _by_joint(ours[name], theirs.get(name), (skeleton, card.skeleton), axis)
    network.load_state_dict(ours | fitting)
    return True


def _by_joint(
    ours: torch.Tensor, theirs: Any, skeletons: tuple[Skeleton, Skeleton], axis: int
) -> torch.Tensor:
    """Our array with the parts of every joint that both know taken from theirs."""
    there, here = (skeleton.joints for skeleton in skeletons)
    mixed = ours.clone()
    if theirs is None or theirs.shape[axis] != len(there) or theirs.dim() != ours.dim():
        return mixed
    for row, joint in enumerate(here):
        if joint in there:
            part = theirs.select(axis, there.index(joint))
            if part.shape == mixed.select(axis, row).shape:
                mixed.select(axis, row).copy_(part)
    return mixed
