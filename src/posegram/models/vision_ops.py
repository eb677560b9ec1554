"""torchvision, also where its compiled part does not fit torch.

A torchvision wheel that was built for another torch (a CUDA wheel beside a CPU torch is the usual
case) cannot load its compiled operators. Keypoint R-CNN needs two of them, `nms` and `roi_align`.
Where they are missing, those written here are registered under their names, and torchvision works
as ever, some 1.5 times slower in these two operators.
"""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from posegram.pose import Floats, Ints

__all__ = ["nms", "roi_align", "torchvision_ready"]

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",  # named, never run
    "roi_align": "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
}
_BLOCK = 1024  # boxes whose overlaps with all later ones are held at once
_ROWS = 256  # regions that are pooled at once
_library: list[Any] = []  # keeps the registrations alive


def torchvision_ready() -> ModuleType:
    """The module torchvision, with working `nms` and `roi_align`.

    Raises:
        ImportError: torchvision is not installed, or does not fit torch in more than these two.
    """
    if "torchvision" in sys.modules:
        return sys.modules["torchvision"]
    try:
        vision = _imported()
    except ModuleNotFoundError as fault:
        if fault.name != "torchvision":
            raise
        raise ImportError(
            "Keypoint R-CNN needs torchvision: pip install 'posegram[rcnn]'"
        ) from fault
    extension: Any = importlib.import_module("torchvision.extension")
    if not extension._has_ops():
        _define(*_SCHEMAS)
        # both modules asked once, before the operators were there, whether they are
        extension._has_ops = _present
        importlib.import_module("torchvision.ops")
        sys.modules["torchvision.ops.roi_align"].__dict__["_has_ops"] = _present
    return vision


def _present() -> bool:  # not a lambda: torch compiles it into graphs
    return True


def _imported() -> ModuleType:
    """Import torchvision; an operator that it misses while being imported is defined first."""
    for _ in _SCHEMAS:
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as fault:
            missing = _MISSING.search(str(fault))
            if not missing or missing[1] not in _SCHEMAS:
                raise ImportError(
                    f"torchvision does not fit torch {torch.__version__}: {fault}; "
                    "install the pair that pytorch.org/get-started names"
                ) from fault
            for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
                del sys.modules[name]  # half imported
            _define(missing[1])
    return importlib.import_module("torchvision")


def _define(*names: str) -> None:
    """Register those of our operators that torch does not know yet."""
    for name in names:
        if hasattr(torch.ops.torchvision, name):
            continue
        make: Any = torch.library.Library  # without types
        library = make("torchvision", "FRAGMENT")
        library.define(_SCHEMAS[name])
        if name == "nms":
            library.impl(name, nms, "CompositeExplicitAutograd")
        if name == "roi_align":  # made of differentiable parts, so torch finds the gradient
            library.impl(name, roi_align, "CompositeImplicitAutograd")
        _library.append(library)


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Rows of the boxes that no better one overlaps by more than the threshold, best first.

    Args:
        dets: (N, 4) x0, y0, x1, y1.
        scores: (N,) any numbers that order the boxes.
        iou_threshold: intersection over union above which the worse of two boxes goes.
    """
    order = scores.argsort(descending=True, stable=True)
    box = dets[order].detach().float().cpu().numpy()
    return order[torch.from_numpy(_kept(box, iou_threshold)).to(order.device)]


def _kept(box: Floats, threshold: float) -> Ints:
    """Positions of the boxes (N, 4), best first, that survive."""
    gone = np.zeros(len(box), dtype=np.bool_)
    for start in range(0, len(box), _BLOCK):
        # only the alive ones of a block are worth comparing with those behind
        rows = start + np.flatnonzero(~gone[start : start + _BLOCK])
        alike = _overlap(box[rows], box[start:]) > threshold
        for row, near in zip(rows, alike, strict=True):
            if not gone[row]:
                gone[start:] |= near
                gone[row] = False  # it overlaps itself
    return np.flatnonzero(~gone)


def _overlap(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every pair of boxes, (N, M)."""
    low, high = (
        np.maximum(a[:, None, :2], b[None, :, :2]),
        np.minimum(a[:, None, 2:], b[None, :, 2:]),
    )
    side = np.maximum(high - low, 0)
    shared = side[..., 0] * side[..., 1]
    area = [(x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b)]
    with np.errstate(invalid="ignore", divide="ignore"):  # two empty boxes: 0 / 0, no overlap
        return np.asarray(shared / (area[0][:, None] + area[1][None] - shared), dtype=np.float32)


def roi_align(  # noqa: PLR0913  its arguments are the operator's
    input: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """Each region of a map on a grid of its own, (N, C, pooled_height, pooled_width).

    A cell is the mean of `sampling_ratio` squared bilinear samples (He et al., ICCV 2017). All of
    a cell's samples are one weighted sum over rows of the map, which is what `embedding_bag` does.

    Args:
        input: (B, C, H, W) maps.
        rois: (N, 5) image of the batch, x0, y0, x1, y1; pixels of the picture.
        spatial_scale: map cells / pixel.
        pooled_height: cells down.
        pooled_width: cells across.
        sampling_ratio: samples a cell, down as across.
        aligned: count from the first cell's centre instead of its corner.

    Raises:
        NotImplementedError: the number of samples is left open.
    """
    if sampling_ratio < 1:
        raise NotImplementedError("posegram's roi_align needs a sampling_ratio of 1 or more")
    channels, height, width = input.shape[1:]
    table = input.float().permute(0, 2, 3, 1).reshape(-1, channels)
    regions = rois.detach().float()
    corner = regions[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    least = 0.0 if aligned else 1.0
    row, down = _taps(corner[:, 1], corner[:, 3], (pooled_height, sampling_ratio), height, least)
    column, across = _taps(corner[:, 0], corner[:, 2], (pooled_width, sampling_ratio), width, least)
    row = (row + regions[:, 0].long()[:, None, None] * height) * width
    place = row[:, :, None, :, None] + column[:, None, :, None, :]
    weight = down[:, :, None, :, None] * across[:, None, :, None, :]
    taps = (2 * sampling_ratio) ** 2
    parts = [  # in parts, so that the places of a thousand regions do not fill the memory
        nn.functional.embedding_bag(
            p.reshape(-1, taps), table, None, mode="sum", per_sample_weights=w.reshape(-1, taps)
        )
        for p, w in zip(torch.split(place, _ROWS), torch.split(weight, _ROWS), strict=True)
    ]
    pooled = torch.cat(parts).view(-1, pooled_height, pooled_width, channels)
    return pooled.permute(0, 3, 1, 2).to(input.dtype)


def _taps(
    low: torch.Tensor, high: torch.Tensor, cells: tuple[int, int], size: int, least: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which places of an axis each cell reads, (N, cells, 2 samples), and by which weights.

    Args:
        low: (N,) where the regions begin.
        high: (N,) where they end.
        cells: how many there are, and how many samples each takes.
        size: places on the axis; samples further than one place outside count nothing.
        least: smallest length of a region.
    """
    count, samples = cells
    length = (high - low).clamp(min=least)[:, None]
    step = torch.arange(count * samples, device=low.device) + 0.5
    at = low[:, None] + step * length / (count * samples)  # (N, cells * samples)
    counted = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    first = at.floor().long()
    second = (first + 1).clamp(max=size - 1)
    share = at - first
    place = torch.stack([first, second], dim=-1).view(-1, count, 2 * samples)
    weight = torch.stack([1 - share, share], dim=-1) * counted[..., None] / samples
    return place, weight.view(-1, count, 2 * samples)
