"""A quicker front for a trained lite or detector: layers that mimic its own up to stride 4.

    python bench/dense_front.py SOURCE.ckpt OUT.ckpt MINUTES PHOTOS...

SOURCE is a run's checkpoint, PHOTOS are folders. Of lite0's front it gives front = "dense": stem
and first block learn to give what the source's stem and first two blocks give, behind block 1 and
behind block 2, on random patches. Everything else is the source's.
Networks that keep their ImageNet front (freeze = true) share it: FRONT=OTHER.ckpt takes the front
of a checkpoint that this script wrote instead of learning one. Then train on:

    posegram train configs/small.toml start=OUT.ckpt front=dense freeze=false
"""

from __future__ import annotations

import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from posegram import image, models
from posegram.models import kernels

PATCH, BATCH, RATE = 160, 32, 4e-3
OURS = ("stem.", "blocks.0.", "blocks.1.")


def patches(photos: list[Path], rng: np.random.Generator) -> torch.Tensor:
    """Random turned and zoomed patches in random light, (BATCH, 3, PATCH, PATCH), normalised."""
    cut: list[np.ndarray] = []
    while len(cut) < BATCH:
        try:
            photo = image.read(random.choice(photos))
        except (OSError, ValueError):
            continue
        for _ in range(4):
            centre = rng.uniform(0, 1, 2) * photo.shape[1::-1]
            zoom, angle = (
                np.exp(rng.uniform(np.log(0.5), np.log(2.5))),
                np.degrees(rng.normal(0, 0.3)),
            )
            matrix = cv2.getRotationMatrix2D(centre.tolist(), float(angle), float(zoom))
            matrix[:, 2] += PATCH / 2 - centre
            border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REFLECT
            patch = cv2.warpAffine(photo, matrix, (PATCH, PATCH), borderMode=border)
            patch = patch[:, ::-1] if rng.random() < 0.5 else patch
            cut.append(patch.astype(np.float32) * rng.uniform(0.7, 1.3) + rng.uniform(-40, 40))
    x = torch.from_numpy(np.clip(np.stack(cut), 0, 255)).permute(0, 3, 1, 2)
    return ((x - 127) / 128).contiguous(memory_format=torch.channels_last)


def given(network: Any, x: torch.Tensor, teacher: Any) -> list[torch.Tensor]:
    """What a network gives behind the layers that are taught, and behind the next block."""
    one = network.blocks[1](network.blocks[0](network.stem(x)))
    return [one, teacher.blocks[2](one)]


def mimic(teacher: Any, student: Any, photos: list[Path], minutes: float) -> None:
    """Teach the student's front; tells the share of the variance that is left unexplained."""
    rng = np.random.default_rng(0)
    weights = [p for name, p in student.named_parameters() if name.startswith(OURS)]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=1e-3)
    started, left, step, spread = time.monotonic(), np.ones(2), 0, None
    while (done := (time.monotonic() - started) / (60 * minutes)) < 1:
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / 100) * (0.5 + 0.5 * np.cos(np.pi * done))
        x = patches(photos, rng)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                truth = given(teacher, x, teacher)
            said = given(student, x, teacher)
        if spread is None:
            spread = [t.float().var((0, 2, 3), keepdim=True) for t in truth]
        errors = [(a.float() - b.float()) ** 2 for a, b in zip(said, truth, strict=True)]
        losses = torch.stack([(e / s).mean() for e, s in zip(errors, spread, strict=True)])
        optimizer.zero_grad()
        losses.sum().backward()
        nn.utils.clip_grad_norm_(weights, 5)
        optimizer.step()
        left = 0.99 * left + 0.01 * losses.detach().numpy()
        if step % 100 == 0:
            print(f"{done:4.0%} {step} steps, left unexplained: {left.round(3)}", flush=True)


def main() -> None:
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    source, out, minutes, *folders = sys.argv[1:]
    card, teacher = models.load_weights(Path(source))
    before = str(card.settings.get("front", "lite0"))
    if before != "lite0":
        sys.exit(f"{source} has front = {before!r}, not lite0's")
    card = replace(card, settings={**card.settings, "front": "dense"}, scores={})
    student = models.build(card).train()
    theirs = {k: v for k, v in teacher.state_dict().items() if not k.startswith(OURS)}
    if other := os.environ.get("FRONT"):
        front = models.load_weights(Path(other))[1].state_dict()
    else:
        photos = sorted(p for f in folders for p in Path(f).rglob("*.jpg"))
        if not kernels.missing():
            kernels.quicken(student)
        mimic(teacher, student, photos, float(minutes))
        front = student.state_dict()
    weights = theirs | {k: v for k, v in front.items() if k.startswith(OURS)}
    kept = {f"network.{k}": v for k, v in weights.items()}
    torch.save({"card": card.to_json(), "state_dict": kept}, out)


if __name__ == "__main__":
    main()
