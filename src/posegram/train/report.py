"""What a finished run shows: pictures of its predictions, a table per joint and a model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from posegram import coords, image
from posegram.data.stream import save_text
from posegram.drawing import SIDES
from posegram.metrics import pck
from posegram.metrics.pck import Mask
from posegram.pose import MPII16, Card, Floats, Image, People, Sample, Skeleton
from posegram.train.batches import relabel
from posegram.train.module import measurable, summary, torsos

__all__ = ["baseline", "results", "table", "write_card"]

_TILE = 220  # pixels, side of one picture in a results grid
_SHOWN = 24  # people in a results grid
_OUTSIDE = ("pelvis", "thorax")  # of MPII's mean, see `posegram.metrics.report`
_LABEL = (255, 255, 255)  # colour of the truth
_MISS = (255, 0, 200)  # of the line from a predicted joint to its label
_DARK = (32, 32, 32)  # around what must be seen on any photo
_LEGEND = (
    ("label", _LABEL),
    *((f"predicted, {side}", SIDES[side]) for side in ("left", "right", "middle")),
    ("predicted to label", _MISS),
)


def baseline(
    train: Sequence[Sample], valid: Sequence[Sample], seen: dict[str, Floats], card: Card
) -> dict[str, Floats]:
    """What the mean training pose, laid into every validation crop, would have predicted.

    Args:
        train: the people whose mean it is.
        valid: the people of `seen`, in its order.
        seen: the predictions of a validation, see `PoseModule.predictions`.
        card: says how crops are cut.
    """
    total = np.zeros((len(card.skeleton), 2))
    count = np.zeros(len(card.skeleton))
    for sample in train:
        xy, labelled, _ = relabel(sample, card.skeleton)
        matrix = coords.to_crop(sample.box, card.size, margin=card.margin)
        total[labelled] += coords.move(xy, matrix)[labelled]
        count += labelled
    mean = (total / np.maximum(count, 1)[:, None]).astype(np.float32)
    back = [coords.inverse(coords.to_crop(s.box, card.size, margin=card.margin)) for s in valid]
    xy = np.stack([coords.move(mean, matrix) for matrix in back])
    return seen | {"xy": xy}


def results(folder: Path, seen: dict[str, Floats], valid: Sequence[Sample], card: Card) -> None:
    """Write grids of the best, median and worst predictions beside their truth, as PNG files.

    People with at least half of their joints labelled are ranked by mean distance in torsos.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labelled, known = measurable(seen, card.skeleton)
    size = np.where(known, torsos(seen, card.skeleton), np.nan)
    away = np.linalg.norm(seen["xy"] - seen["truth"], axis=-1) / size[:, None]
    full = known & (labelled.sum(axis=1) >= labelled.shape[1] / 2)
    rows = np.flatnonzero(full)
    if not len(rows):
        return
    error = np.array([away[n][labelled[n]].mean() for n in rows])
    order = rows[error.argsort()]
    middle = max(0, len(order) // 2 - _SHOWN // 2)
    parts = {
        "best": order[:_SHOWN],
        "median": order[middle : middle + _SHOWN],
        "worst": order[-_SHOWN:][::-1],
    }
    for name, chosen in parts.items():
        tiles = [_tile(seen, n, valid[n], card, labelled[n]) for n in chosen]
        image.write(folder / f"{name}.png", _explained(image.grid(tiles, 6)))


def _tile(seen: dict[str, Floats], n: int, sample: Sample, card: Card, labelled: Mask) -> Image:
    """One crop with the truth (white) and the prediction (coloured), joint to joint, (H, W, 3).

    `labelled` (K,) says which joints of the truth are drawn.
    """
    matrix = coords.to_crop(sample.box, card.size, margin=card.margin)
    crop = coords.warp(image.read(sample.image), matrix, card.size)
    scale = _TILE / crop.shape[0]
    width = round(crop.shape[1] * scale)
    drawn: Image = np.asarray(cv2.resize(crop, (width, _TILE)), dtype=np.uint8)
    truth, found = ((coords.move(seen[k][n], matrix) + 0.5) * scale - 0.5 for k in ("truth", "xy"))
    for a, b in card.skeleton.edges:
        if labelled[a] and labelled[b]:
            _line(drawn, truth[a], truth[b], _LABEL)
    for joint in np.flatnonzero(labelled):
        _ring(drawn, truth[joint])
    score = np.ones((1, len(card.skeleton)), dtype=np.float32)
    box = np.zeros((1, 4), dtype=np.float32)
    drawn = image.draw(drawn, People(found[None], score, box, card.skeleton))
    for joint in np.flatnonzero(labelled & np.isfinite(found).all(axis=1)):
        _line(drawn, found[joint], truth[joint], _MISS)
    return drawn


def _line(canvas: Image, start: Floats, end: Floats, colour: tuple[int, int, int]) -> None:
    ends = [tuple(int(v) for v in one.round().clip(-9999, 9999)) for one in (start, end)]
    cv2.line(canvas, ends[0], ends[1], colour, 1, cv2.LINE_AA)


def _ring(canvas: Image, at: Floats) -> None:
    """A small white ring, which shows a label also where no bone leads to it."""
    centre = tuple(int(v) for v in at.round().clip(-9999, 9999))
    cv2.circle(canvas, centre, 3, _DARK, 3, cv2.LINE_AA)
    cv2.circle(canvas, centre, 3, _LABEL, 1, cv2.LINE_AA)


def _explained(sheet: Image) -> Image:
    """The same picture over a line that says what its colours mean, (H + 24, W, 3)."""
    height, width = sheet.shape[:2]
    whole = np.full((height + 24, width, 3), 32, dtype=np.uint8)
    whole[:height] = sheet
    size = min(0.5, width / 1500)
    x = 8
    for text, colour in _LEGEND:
        cv2.line(whole, (x, height + 11), (x + 14, height + 11), colour, 2, cv2.LINE_AA)
        cv2.putText(whole, text, (x + 20, height + 16), cv2.FONT_HERSHEY_SIMPLEX, size, _LABEL, 1,
                    cv2.LINE_AA)  # fmt: skip
        x += 44 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]
    return whole


def table(seen: dict[str, Floats], mean: dict[str, Floats], skeleton: Skeleton) -> str:
    """MAE and PCK@0.2 of the torso per joint, the mean pose's beside them, as Markdown.

    A joint that is labelled in nobody, or in nobody whose torso is, has no PCK: "-". Of MPII's
    joints a line below gives the data set's own mean, which is what `posegram evaluate` prints.

    Args:
        seen: the predictions of a validation, see `PoseModule.predictions`.
        mean: the same of the mean pose, see `baseline`.
        skeleton: names the K joints.
    """
    labelled, known = measurable(seen, skeleton)
    size = torsos(seen, skeleton)
    rows = ["| joint | labelled | MAE, px | PCK@0.2, % | mean pose, % |", "|---|---|---|---|---|"]
    ours, theirs = (
        pck.pck(s["xy"][known], s["truth"][known], labelled[known], size[known], 0.2) * 100
        for s in (seen, mean)
    )
    off = np.abs(seen["xy"] - seen["truth"]).mean(axis=-1)
    for k, joint in enumerate(skeleton.joints):
        one = off[labelled[:, k], k]
        mean_error = f"{one.mean():.2f}" if len(one) else "-"
        shares = ("-" if np.isnan(part[k]) else f"{part[k]:.1f}" for part in (ours, theirs))
        rows.append(f"| {joint} | {len(one)} | {mean_error} | {' | '.join(shares)} |")
    whole = [summary(s, skeleton)["valid_pck"] for s in (seen, mean)]
    rows.append(
        f"| **all** | {labelled.sum()} | {off[labelled].mean():.2f} "
        f"| **{whole[0]:.1f}** | {whole[1]:.1f} |"
    )
    return "\n".join([*rows, *_own_mean(seen, mean, skeleton)])


def _own_mean(seen: dict[str, Floats], mean: dict[str, Floats], skeleton: Skeleton) -> list[str]:
    """The line below a table whose **all** is not the mean that the data set is compared by."""
    if skeleton != MPII16:
        return []
    kept = seen["weight"].copy()
    kept[:, [skeleton.index(joint) for joint in _OUTSIDE]] = 0
    ours, theirs = (summary(s | {"weight": kept}, skeleton)["valid_pck"] for s in (seen, mean))
    return [
        "",
        f"MPII's mean leaves out {' and '.join(_OUTSIDE)}, as `posegram evaluate` does: "
        f"PCK@0.2 {ours:.1f} %, mean pose {theirs:.1f} %.",
    ]


def write_card(path: Path, card: Card, numbers: str, command: str) -> None:
    """Write the model card of a run as Markdown: what it is, how it was made, how good it is."""
    whole = pck.has_torso(card.skeleton)
    torso = "left shoulder to right hip" if whole else "taken as a quarter of the box's longer side"
    lines = [
        f"# {card.name}",
        "",
        f"- kind: {card.kind}, {len(card.skeleton)} joints ({card.skeleton.name})",
        f"- input: one person's crop, {card.size[0]}x{card.size[1]} pixels, RGB, "
        f"box x {card.margin}, (value - {card.mean}) / {card.std}",
        f"- data: {', '.join(card.data) or 'not recorded'}",
        f"- licence of the weights: {card.licence}; the photos keep their own terms",
        "- a joint's score is the probability that it lies within 0.2 torso lengths "
        f"({torso}) of its true place, calibrated on the validation people",
        f"- made by `{command}`",
        "",
        "## On its validation people (box given, labelled joints only, photo pixels)",
        "",
        numbers,
        "",
    ]
    save_text(path, "\n".join(lines))
