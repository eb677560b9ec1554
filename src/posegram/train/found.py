"""What a finished detector's run shows: pictures of its boxes, a model card, the exported file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posegram import coords, image
from posegram.data.scenes import SURE, Scene
from posegram.data.stream import save_text
from posegram.metrics import boxes
from posegram.metrics.boxes import Found
from posegram.pose import Card, Floats, Image
from posegram.train.config import Config
from posegram.train.export import export

__all__ = ["finish", "results", "write_card"]

_TILE = 280  # pixels, longest side of one picture in a results grid
_SHOWN = 24  # photos in a results grid
_WHITE, _GREEN, _RED, _GREY = (255, 255, 255), (60, 220, 90), (240, 60, 50), (150, 150, 150)


def finish(config: Config, module: Any, train: Sequence[Scene], valid: Any) -> Path:
    """Draw results, write the model card and export; returns the ONNX file."""
    seen, card = module.seen_in_order(), module.card
    scenes = valid.dataset.scenes
    results(config.run / "results", seen, scenes, card)
    command = f"posegram train {config.run / 'config.toml'}"
    write_card(config.run / "card.md", card, (len(train), len(scenes)), command)
    crops = np.stack([valid.dataset[n]["crop"] for n in range(min(8, len(scenes)))])
    return export(module.network, card, config.run / f"{config.name}.onnx", crops=crops)


def results(folder: Path, seen: Sequence[Found], scenes: Sequence[Scene], card: Card) -> None:
    """Write grids of photos as PNG files: any, with most missed people, with most false boxes.

    People are white, right boxes green, wrong ones red, those in ignored regions grey.
    """
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = [_judge(one, card) for one in seen]
    missed = np.array([len(s.truth) - (v == 1).sum() for s, v in zip(seen, verdicts, strict=True)])
    false = np.array([(v == 0).sum() for v in verdicts])
    spread = np.linspace(0, len(seen) - 1, min(_SHOWN, len(seen))).astype(int)
    parts = {
        "any": spread,
        "missed": np.argsort(-missed, kind="stable")[:_SHOWN],
        "false": np.argsort(-false, kind="stable")[:_SHOWN],
    }
    for name, rows in parts.items():
        tiles = [_tile(scenes[n], seen[n], verdicts[n]) for n in rows]
        image.write(folder / f"{name}.png", image.grid(tiles, 6))


def _judge(one: Found, card: Card) -> Any:
    """Verdicts of `boxes.match` on the boxes that count as found; of the others there is none."""
    sure = coords.probability(one.logit, card.calibration) >= SURE
    return boxes.match(one.box[sure], one.truth, one.ignore)


def _tile(scene: Scene, one: Found, verdict: Any) -> Image:
    """One small photo with its people and boxes, (H, W, 3)."""
    photo = image.read(scene.image)
    zoom = _TILE / max(photo.shape[:2])
    size = (max(1, round(photo.shape[1] * zoom)), max(1, round(photo.shape[0] * zoom)))
    tile = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    for box in one.truth:
        _draw(tile, box * zoom, _WHITE, 3)
    # found boxes come by falling score, so the sure ones are the first
    for box, right in zip(one.box, verdict, strict=False):
        _draw(tile, box * zoom, {1: _GREEN, 0: _RED}.get(int(right), _GREY), 1)
    return tile


def _draw(tile: Image, box: Floats, colour: tuple[int, int, int], width: int) -> None:
    x0, y0, x1, y1 = (int(v) for v in box.clip(-1e4, 1e4).round())
    cv2.rectangle(tile, (x0, y0), (x1, y1), colour, width)


def write_card(path: Path, card: Card, photos: tuple[int, int], command: str) -> None:
    """Write the model card of a run as Markdown: what it is, how it was made, how good it is.

    Args:
        path: the file.
        card: with the scores of the last validation.
        photos: how many were trained and validated on.
        command: that made it.
    """
    scores = card.scores
    lines = [
        f"# {card.name}",
        "",
        "- kind: detector, one class: people",
        f"- input: a whole photo, RGB, about {card.size[0]}x{card.size[1]} pixels in its own aspect"
        f", both sides multiples of 32; (value - {card.mean}) / {card.std}",
        f"- data: {', '.join(card.data) or 'not recorded'}; {photos[0]} photos",
        f"- licence of the weights: {card.licence}; the photos keep their own terms",
        "- a box's score is the probability that it overlaps a person with an IoU of 0.5 or more, "
        "calibrated on the validation photos",
        f"- made by `{command}`",
        "",
        f"## On its {photos[1]} validation photos (IoU 0.5, boxes with a score of {SURE} or more)",
        "",
        "| recall, % | precision, % | AP50, % | boxes per photo without people |",
        "|---|---|---|---|",
        f"| {scores['valid_recall']:.1f} | {scores['valid_precision']:.1f} "
        f"| {scores['valid_ap50']:.1f} | {scores['valid_false']:.2f} |",
        "",
        "People lower than 6 pixels of the input are neither wanted nor counted as false.",
        "",
    ]
    save_text(path, "\n".join(lines))
