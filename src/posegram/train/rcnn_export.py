"""What a finished run of Keypoint R-CNN shows: pictures, a model card, the exported file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from scipy.optimize import linear_sum_assignment

from posegram import coords, heatmaps, image
from posegram.areas import iou
from posegram.data import coco
from posegram.data.stream import save_text
from posegram.files import replacing
from posegram.models import load_weights, published
from posegram.models.keypoint_rcnn import Whole
from posegram.pose import Card, Floats, Image, Ints
from posegram.train import rcnn
from posegram.train.config import Config
from posegram.train.rcnn_photos import Photo, people_of

__all__ = ["INPUTS", "export", "finish", "from_file", "keep", "results", "write_card"]

INPUTS = (
    "picture",
    "sure",
    "most",
    "proposals",
)  # of the exported graph, see `models.keypoint_rcnn`
OUTPUTS = ("box", "score", "maps")
_BUDGET = 0.5  # pixels of the picture that a joint or a corner of a box may move
_TIES = 0.01  # share of joints that may jump: two places of a map as high but for rounding
_SAME = 0.5  # intersection over union of one person's two boxes
_FAINT = 0.3  # probability: below, suppression keeps one of two false alarms by a hair
_TILE = 320  # pixels, longest side of one picture in a results grid
_SHOWN = 12  # photos in a results grid
_COMPARED = 4  # photos on which an exported file is compared
_GRAPH = 17  # version of ONNX's operators


def keep(run: Path, photos: Sequence[Photo]) -> None:
    """Write whom the run validates on as `posegram evaluate` takes them."""
    by_skeleton = people_of(photos)
    first = by_skeleton[0].skeleton
    coco.write(run / "valid.json", [s for s in by_skeleton if s.skeleton == first], run.resolve())


def finish(config: Config, module: Any, train: Sequence[Photo], valid: Any) -> Path:
    """Draw results, write the model card and export; returns the ONNX file."""
    seen, card = module.seen_in_order(), module.card
    results(config.run / "results", seen, card)
    command = f"posegram train {config.run / 'config.toml'}"
    write_card(config.run / "card.md", card, (len(train), len(seen)), command)
    pictures = []
    for n in range(min(_COMPARED, len(seen))):
        one = valid.dataset[n]
        pictures.append(one["crop"][: one["extent"][0], : one["extent"][1]])
    return export(module.network, card, config.run / f"{config.name}.onnx", pictures=pictures)


def results(folder: Path, seen: Sequence[rcnn.Seen], card: Card) -> None:
    """Write a grid of photos with the people found in them as a PNG file; labels are white."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, len(seen) - 1, min(_SHOWN, len(seen))).astype(int)
    image.write(folder / "any.png", image.grid([_tile(seen[n], card) for n in rows], 4))


def _tile(one: rcnn.Seen, card: Card) -> Image:
    photo = image.read(one.photo.image)
    for sample in one.photo.people:
        x0, y0, x1, y1 = (round(float(v)) for v in sample.box)
        cv2.rectangle(photo, (x0, y0), (x1, y1), (255, 255, 255), 2)
    drawn = image.draw(photo, rcnn.people(one, card)[one.sure >= 0.5])
    zoom = _TILE / max(drawn.shape[:2])
    size = max(1, round(drawn.shape[1] * zoom)), max(1, round(drawn.shape[0] * zoom))
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def write_card(path: Path, card: Card, photos: tuple[int, int], command: str) -> None:
    """Write the model card of a run as Markdown: what it is, how it was made, how good it is.

    Args:
        path: the file.
        card: with the scores of the last validation.
        photos: how many were trained and validated on.
        command: that made it.
    """
    falloffs = "" if card.skeleton.sigmas else f" (falloff {rcnn.PLAIN} for every joint)"
    lines = [
        f"# {card.name}",
        "",
        f"- kind: Keypoint R-CNN, {len(card.skeleton)} joints ({card.skeleton.name})",
        f"- input: a whole photo, RGB, shorter side {min(card.size)} or longer side "
        f"{max(card.size)} pixels, not smoothed; (value - {card.mean}) / {card.std}",
        f"- data: {', '.join(card.data) or 'not recorded'}; {photos[0]} photos",
        f"- licence of the weights: {card.licence}; the photos keep their own terms",
        "- a joint's score is the probability of its person's box times the probability that the "
        "joint lies within a tenth of the longer side of that box from its place, calibrated on "
        "the validation people",
        f"- made by `{command}`",
        "",
        f"## On its {photos[1]} validation photos",
        "",
        f"| OKS AP, %{falloffs} | joints of all people found right, % |",
        "|---|---|",
        f"| {card.scores['valid_ap']:.1f} | {card.scores['valid_joints']:.1f} |",
        "",
    ]
    save_text(path, "\n".join(lines))


def export(network: Any, card: Card, out: Path, *, pictures: Sequence[Image]) -> Path:
    """Write the network with its card as ONNX and compare both on pictures; returns `out`.

    The graph takes a picture of any size and gives boxes, probabilities and maps; the joints are
    read off the maps outside, so it needs neither torch nor a loop.

    Args:
        network: of `models.keypoint_rcnn`, in evaluation mode, on the CPU.
        card: travels in the file's metadata under `Card.KEY`.
        out: the .onnx file; it appears only when the comparison holds.
        pictures: each (h, w, 3) uint8, of the size that the network sees.

    Raises:
        ValueError: other people were found, or a joint moved by more than half a pixel.
    """
    whole = Whole(network.eval(), card).eval()
    with replacing(out) as draft:
        _trace(whole, pictures[0], draft)
        model = onnx.load(draft)
        entry = model.metadata_props.add()
        entry.key, entry.value = Card.KEY, card.to_json()
        onnx.save(model, draft)
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])
        for picture in pictures:
            _compare(whole, session, picture, out)
    return out


def from_file(path: Path, out: Path, photos: Sequence[Path]) -> Path:
    """Export a checkpoint, or torchvision's weights, compared on up to four photos; returns `out`.

    Args:
        path: a .ckpt of `posegram train`, or a .pth of torchvision's `keypointrcnn_resnet50_fpn`.
        out: the .onnx file to write.
        photos: seen at half the size that the network is for: as good a comparison, sooner done.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no photos, or people differ; and as `load_weights`.
    """
    if not photos:
        raise ValueError("an export is compared on photos of people; give some")
    published_kind = path.suffix.lower() == ".pth"
    card, network = published.keypoints(path) if published_kind else load_weights(path)
    pictures = []
    for photo in list(dict.fromkeys(photos))[:_COMPARED]:
        seen = image.read(photo)
        sides = min(card.size) // 2, max(card.size) // 2
        height, width = coords.fit_sides(seen.shape[:2], *sides)
        small = cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR)
        pictures.append(np.asarray(small, dtype=np.uint8))
    return export(network, card, out, pictures=pictures)


def _given(picture: Image) -> tuple[Any, ...]:
    """What the graph takes: as many people and regions as it can give."""
    numbers = np.float32(0.05), np.int64(100), np.int64(1000)
    return (picture[None].astype(np.float32), *(np.asarray(number) for number in numbers))


def _trace(whole: Whole, picture: Image, out: Path) -> None:
    """Write the bare graph; a picture of any size may come in."""
    with warnings.catch_warnings():
        # tracing warns of every size that torchvision reads; they were checked one by one: padding
        # and anchors follow the picture, the levels' scales are powers of two at any size
        warnings.simplefilter("ignore")
        torch.onnx.export(
            whole,
            tuple(torch.from_numpy(part) for part in _given(picture)),
            str(out),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes={
                "picture": {1: "height", 2: "width"},
                **{name: {0: "people"} for name in OUTPUTS},
            },
            opset_version=_GRAPH,
            dynamo=False,
        )


def _compare(whole: Whole, session: Any, picture: Image, out: Path) -> None:
    given = _given(picture)
    with torch.no_grad():
        here = [part.numpy() for part in whole(*(torch.from_numpy(part) for part in given))]
    there = session.run(None, dict(zip(INPUTS, given, strict=True)))
    ours, theirs = _pairs(here, there, out)
    here, there = [part[ours] for part in here], [part[theirs] for part in there]
    away = [_joints(*here) - _joints(*there), (here[0] - there[0]).reshape(-1, 2, 2)]
    for name, far in zip(("joints", "boxes"), away, strict=True):
        moved = np.linalg.norm(far, axis=-1) > _BUDGET
        if moved.size and moved.mean() > _TIES:
            raise ValueError(
                f"{out}: {moved.mean():.1%} of the {name} moved by over {_BUDGET} pixels"
            )


def _pairs(here: Sequence[Floats], there: Sequence[Floats], out: Path) -> tuple[Ints, Ints]:
    """Rows of the same likely people in both answers: rounding may change their order.

    Who is unlikely, or half as likely as the likeliest, may be elsewhere or in one answer alone.

    Args:
        here: boxes (N, 4), probabilities (N,) and maps of one.
        there: the same of the other, M people.
        out: the file, for the message.

    Raises:
        ValueError: somebody likelier is in one answer alone.
    """
    shared = iou(here[0], there[0])
    ours, theirs = (np.asarray(rows, dtype=np.int64) for rows in linear_sum_assignment(-shared))
    least = min(_FAINT, 0.5 * float(max(here[1].max(initial=0), there[1].max(initial=0))))
    same = shared[ours, theirs] > _SAME
    ours, theirs = ours[same], theirs[same]
    alone = [
        int((np.delete(answer[1], rows) >= least).sum())
        for answer, rows in ((here, ours), (there, theirs))
    ]
    if any(alone):
        found = len(theirs) + alone[1], len(ours) + alone[0]
        raise ValueError(f"{out}: {found[0]} people were found instead of {found[1]}")
    likely = here[1][ours] >= least
    return ours[likely], theirs[likely]


def _joints(box: Floats, _: Floats, maps: Floats) -> Floats:
    return heatmaps.over_boxes(maps, box, fine=False)[0]
