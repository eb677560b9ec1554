"""Keypoint R-CNN by torch: the published weights, a file of such, or a checkpoint of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posegram import models
from posegram.infer.rcnn_people import KeypointRcnn, Options
from posegram.models import keypoint_rcnn, published
from posegram.models.keypoint_rcnn import people
from posegram.pose import Card, Floats, Image

__all__ = ["load_checkpoint", "load_published", "on_torch"]


def load_published(
    weights: str | Path = "", *, threads: int = 0, options: Options | None = None
) -> KeypointRcnn:
    """torchvision's published Keypoint R-CNN, or one of the same kind from a file.

    Args:
        weights: a .pth file of torchvision's; without it the file that the environment variable
            POSEGRAM_KEYPOINT_RCNN names, the one in torch's cache, or a download.
        threads: how many cores torch may use; 0 means torch's own choice.
        options: how to look.

    Raises:
        FileNotFoundError: there are no weights; the message says what to fetch and where to put it.
        ImportError: torchvision is missing or does not fit torch.
        ValueError: the file does not fit.
    """
    card, network = published.keypoints(weights)
    return on_torch(card, network, threads=threads, options=options)


def load_checkpoint(
    path: Path, *, threads: int = 0, options: Options | None = None
) -> KeypointRcnn:
    """A Keypoint R-CNN from a .ckpt file of `posegram train`; arguments as `load_published`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint of such a network.
    """
    card, network = models.load_weights(path)
    return on_torch(card, network, threads=threads, options=options)


def on_torch(
    card: Card, network: Any, *, threads: int = 0, options: Options | None = None
) -> KeypointRcnn:
    """A network of `models.keypoint_rcnn` as an `Estimate`; takes the network over.

    Raises:
        ValueError: the threads are fewer than 0.
    """
    if threads < 0:
        raise ValueError(f"threads must be 0 or more, not {threads}")
    options = options or Options()
    network = network.eval()
    if options.folded or options.precision == "bf16":
        network = keypoint_rcnn.fold(network)
    if options.precision == "bf16":
        network = keypoint_rcnn.halve(network)
    network.to(memory_format=torch.channels_last)
    mean, std = (torch.tensor(v).view(3, 1, 1) / 255 for v in (card.mean, card.std))

    def maps(image: Image, size: tuple[int, int], how: Options) -> tuple[Floats, Floats, Floats]:
        if threads:
            torch.set_num_threads(min(threads, os.cpu_count() or 1))
        with torch.inference_mode():
            # normalised, then resized without smoothing: torchvision's order, to the last bit
            x = ((torch.from_numpy(image).permute(2, 0, 1).float() / 255 - mean) / std)[None]
            x = torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)
            found = people(network, x, how.box_score, how.people, how.proposals)
        box, score, heat = (np.ascontiguousarray(part.numpy()) for part in found)
        return box, score, heat

    return KeypointRcnn(card, maps, options)
