"""Keypoint R-CNN: what each step towards speed gains, and what it costs in agreement.

    python bench/rcnn.py PHOTOS --weights FILE [--photos 3] [--repeats 2] [--out build/rcnn]

PHOTOS is a folder; FILE a .ckpt of `posegram train` or torchvision's .pth (without it, as
`posegram predict --model keypoint-rcnn` finds it). One thread; CPU milliseconds of whole calls,
from the decoded photo to people, in turns. Everybody sees pictures of the published size: a
checkpoint that was trained on smaller ones gets each photo at the scale of its training, in the
middle of a grey picture. Agreement is with the default's people.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch; waiting threads count as work

import cv2
import numpy as np
import torch

from posegram import coords, image, models
from posegram.areas import iou
from posegram.data.folder import images_in
from posegram.infer.openvino import has_openvino
from posegram.infer.rcnn import on_torch
from posegram.infer.rcnn_people import PRESETS, Options, open_rcnn
from posegram.models import published
from posegram.pose import Card, Estimate, Image, People
from posegram.train.rcnn_export import export
from posegram.train.rcnn_photos import GREY

SIZE = published.CARD.size
DEFAULT = "posegram's default"
STEPS = {  # each by itself, then together
    DEFAULT: Options(),
    "normalisation folded into convolutions": Options(folded=True),
    "folded, bfloat16": Options(folded=True, precision="bf16"),
    "shorter side 480": Options(size=480),
    "100 proposals instead of 1000": Options(proposals=100),
    "cheap decoding on the 56x56 maps": Options(decoding="cheap"),
    "all together: fast": PRESETS["fast"],
    "fast at 320": replace(PRESETS["fast"], size=320),
}
ENGINES = {
    "ONNX Runtime": ("onnxruntime", Options()),
    "ONNX Runtime, 480, 100 proposals, cheap": ("onnxruntime", PRESETS["fast"]),
    "OpenVINO": ("openvino", Options()),
    "OpenVINO, all together: fast": ("openvino", PRESETS["fast"]),
}


def read(weights: str) -> Callable[[], tuple[Card, Any]]:
    """What gives a fresh copy of the network and its card."""
    if weights.endswith(".ckpt"):
        return lambda: models.load_weights(Path(weights))
    return lambda: published.keypoints(weights)


def torchvisions(card: Card, network: Any) -> Estimate:
    """torchvision's own forward; its likeliest people, 0.5 or more."""
    network.eval()

    def estimate(photo: Image) -> People:
        with torch.inference_mode():
            raw = network([torch.from_numpy(photo).permute(2, 0, 1).float() / 255])[0]
        sure = raw["scores"] >= Options().box_score
        box, score = raw["boxes"][sure].numpy(), raw["scores"][sure].numpy()
        joint = coords.probability(raw["keypoints_scores"][sure].numpy(), card.calibration)
        xy = raw["keypoints"][sure][..., :2].numpy()
        return People(xy, (score[:, None] * joint).astype(np.float32), box, card.skeleton)

    return estimate


def ways(args: argparse.Namespace, sample: Image) -> dict[str, Estimate]:
    """Every way by its name, torchvision's own first; the export is compared on `sample`."""
    fresh = read(args.weights)
    card, network = fresh()
    card = replace(card, size=SIZE)
    network.transform.min_size, network.transform.max_size = (min(SIZE),), max(SIZE)
    found: dict[str, Estimate] = {"torchvision's own, eager": torchvisions(card, network)}
    for name, options in STEPS.items():
        found[name] = on_torch(card, fresh()[1], threads=1, options=options)
    path = Path(args.out) / "rcnn.onnx"
    export(fresh()[1], card, path, pictures=[sample])
    for name, (engine, options) in ENGINES.items():
        if engine == "onnxruntime" or has_openvino():
            found[name] = open_rcnn(path, threads=1, options=options, engine=engine)
        else:
            print("OpenVINO is not installed: pip install 'posegram[openvino]'")
    return found


def shown(photo: Image, trained: tuple[int, int]) -> Image:
    """The photo; for a network of smaller pictures, at their scale in a grey one of full size."""
    if trained == SIZE:
        return photo
    small = scaled(photo, trained)
    height, width = small.shape[:2]
    tall, wide = coords.fit_sides(photo.shape[:2], min(SIZE), max(SIZE))
    whole = np.full((tall, wide, 3), GREY, dtype=np.uint8)
    y, x = (tall - height) // 2, (wide - width) // 2
    whole[y : y + height, x : x + width] = small
    return whole


def scaled(photo: Image, size: tuple[int, int]) -> Image:
    """The photo as torchvision would scale it for pictures of a size."""
    height, width = coords.fit_sides(photo.shape[:2], min(size), max(size))
    small = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def agreement(base: People, other: People) -> dict[str, Any]:
    """People in all and found again, people too many, and how far joints moved / longer side."""
    near = iou(base.box, other.box)
    met = near.max(axis=1, initial=0) >= 0.5
    rows = near.argmax(axis=1)[met] if len(other) else np.zeros(0, dtype=int)
    side = (base.box[:, 2:] - base.box[:, :2]).max(axis=1)[met]
    away = np.linalg.norm(other.xy[rows] - base.xy[met], axis=-1) / side[:, None]
    return {
        "people": len(base),
        "again": int(met.sum()),
        "more": int((near.max(axis=0, initial=0) < 0.5).sum()),
        "away": away.ravel().tolist(),
        "score": np.abs(other.score[rows] - base.score[met]).ravel().tolist(),
    }


def measure(found: dict[str, Estimate], photos: list[Image], repeats: int) -> dict[str, Any]:
    """CPU milliseconds (photos, repeats) by way, and agreement of each photo."""
    spent = {name: np.zeros((len(photos), repeats)) for name in found}
    agree: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
    names = list(found)
    for row, photo in enumerate(photos):
        people = {}
        for turn in range(repeats):
            names.append(names.pop(0))
            for name in names:
                begun = time.process_time()
                people[name] = found[name](photo)
                spent[name][row, turn] = (time.process_time() - begun) * 1000
        for name in found:
            agree[name].append(agreement(people[DEFAULT], people[name]))
        print(f"photo {row + 1} of {len(photos)}", flush=True)
    return {name: (spent[name], agree[name]) for name in found}


def table(measured: dict[str, Any]) -> str:
    """The rows as Markdown; the best call of a photo counts, the first one prepares memory."""
    base = measured[DEFAULT][0].min(axis=1)
    head = "| way | CPU ms | times faster | people found again, % | people more, % "
    head += "| joints within 2 % of the box, % | joints moved, % of the box | score moved |"
    rows = [head, "|---|---|---|---|---|---|---|---|"]
    for name, (spent, agree) in measured.items():
        best = spent.min(axis=1)
        people = max(sum(a["people"] for a in agree), 1)
        away = np.concatenate([np.zeros(0), *(a["away"] for a in agree)])
        score = np.concatenate([np.zeros(0), *(a["score"] for a in agree)])
        cells = [
            f"{np.median(best):.0f}",
            f"{np.median(base / best):.1f}",
            f"{100 * sum(a['again'] for a in agree) / people:.0f}",
            f"{100 * sum(a['more'] for a in agree) / people:.0f}",
            f"{100 * (away <= 0.02).mean():.0f}" if len(away) else "-",
            f"{100 * np.median(away):.2f}" if len(away) else "-",
            f"{np.median(score):.3f}" if len(score) else "-",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def note(args: argparse.Namespace, photos: list[Image], people: int, trained: Any) -> str:
    """How the table was measured."""
    small = f" The network was trained on pictures of {trained[0]}x{trained[1]}, so each photo "
    small += "stands at that scale in a grey picture of the published size."
    sides = ", ".join(f"{photo.shape[1]}x{photo.shape[0]}" for photo in photos)
    return (
        f"Pictures of {sides}; the default finds {people} people in all. One thread of "
        f"{processor()}, torch {torch.__version__.partition('+')[0]}; CPU time of the best of "
        f"{args.repeats} calls, median over pictures. A person is found again at an IoU of 0.5; "
        f"moves are medians.{'' if trained == SIZE else small}\n"
    )


def processor() -> str:
    """The processor's name, as far as the system tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--weights", default="")
    parser.add_argument("--out", default="build/rcnn")
    parser.add_argument("--photos", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    files = images_in(args.source)
    rows = np.linspace(0, len(files) - 1, min(args.photos, len(files))).astype(int)
    trained = read(args.weights)()[0].size
    photos = [shown(image.read(files[n]), trained) for n in rows]
    half = (SIZE[0] // 2, SIZE[1] // 2)
    sample = scaled(image.read(files[rows[0]]), half if trained == SIZE else trained)
    measured = measure(ways(args, sample), photos, args.repeats)
    people = sum(a["people"] for a in measured[DEFAULT][1])
    text = f"{table(measured)}\n\n{note(args, photos, people, trained)}"
    (Path(args.out) / "table.md").write_text(text, encoding="utf-8")
    raw = {name: (spent.tolist(), agree) for name, (spent, agree) in measured.items()}
    (Path(args.out) / "table.json").write_text(json.dumps(raw), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
