"""A small Keypoint R-CNN with seeded random weights: it finds plenty, none of it people."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from posegram import models
from posegram.data import figures
from posegram.models import keypoint_rcnn
from posegram.models.published import CARD
from posegram.pose import COCO17, Card, Image, Skeleton

SIZE = (96, 128)


def card(skeleton: Skeleton = COCO17, *, network: str = "keypoint_rcnn18", width: int = 8) -> Card:
    settings = {"network": network, "width": width, "sampled": 16}
    return replace(CARD, name="small", skeleton=skeleton, size=SIZE, settings=settings)


def fresh(given: Card | None = None):
    """A network of that card, its normalisation measured on a picture."""
    given = given or card()
    torch.manual_seed(0)
    network = models.build(given).eval()
    keypoint_rcnn.measure_norms(network, picture(photo(), given))
    # random scores lie near one half: spread them, so that rounding does not reorder people
    network.roi_heads.box_predictor.cls_score.weight.data.mul_(20)
    network.roi_heads.box_predictor.cls_score.bias.data = torch.tensor([0.0, 3.0])
    return network


@cache
def kept():
    """One network for all tests that only look through it."""
    return fresh()


def picture(image: Image, given: Card | None = None) -> torch.Tensor:
    """A photo (H, W, 3) as the network takes it, (1, 3, H, W)."""
    given = given or card()
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (given.mean, given.std))
    return (x - mean) / std


def photo(size: tuple[int, int] = (80, 100), seed: int = 0) -> Image:
    """A stick figure before noise, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    xy = figures.pose(COCO17, rng, height=0.8 * size[0]) + np.array([size[1] / 2, 4])
    figures.draw(image, xy.astype(np.float32), COCO17)
    return image
