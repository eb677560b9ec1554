"""Keypoint R-CNN around its network: a photo in, people out; whoever runs the network.

Needs no torch: ONNX Runtime runs exported files. Boxes and joints are those that torchvision
gives, in its pixels; a joint's score is made of its map's height, see `Options` and `KeypointRcnn`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posegram import coords, heatmaps
from posegram import image as pictures
from posegram.areas import iou
from posegram.pose import Card, Floats, Image, People

__all__ = ["PRESETS", "KeypointRcnn", "Maps", "Options", "open_rcnn", "options_named", "prepare"]

_OVERLAP = 0.3  # intersection over union of a given box with its person
MOST = 100  # people, and ...
PROPOSALS = 1000  # ... regions, that the network gives at most
_CHOICES = {"decoding": ("fine", "cheap"), "precision": ("fp32", "bf16")}


@dataclass(frozen=True)
class Options:
    """How Keypoint R-CNN looks at a photo.

    Raises:
        ValueError: a value is out of its range.
    """

    size: int = 0  # shorter side of what the network sees, pixels; 0, or more than that: as trained
    box_score: float = 0.5  # smallest probability of a person; use 0.05 to measure AP
    joint_score: float = 0.0  # joints below are absent: NaN with score 0
    people: int = MOST  # the likeliest so many
    proposals: int = PROPOSALS  # regions that are looked at, the likeliest so many
    decoding: str = "fine"  # "fine": maps resized to the box as torchvision does; "cheap": not
    folded: bool = False  # torch: normalisation inside the convolutions; equal but for rounding
    precision: str = "fp32"  # torch and OpenVINO: or "bf16"

    def __post_init__(self) -> None:
        for key, known in _CHOICES.items():
            if getattr(self, key) not in known:
                raise ValueError(f"{key} = {getattr(self, key)!r}; it can be {' or '.join(known)}")
        for key in ("box_score", "joint_score"):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} = {getattr(self, key)}; it is between 0 and 1")
        for key, low, high in (
            ("size", 0, 4000),
            ("people", 1, MOST),
            ("proposals", 1, PROPOSALS),
        ):
            if not low <= getattr(self, key) <= high:
                raise ValueError(f"{key} = {getattr(self, key)}; it is between {low} and {high}")


PRESETS = {
    "default": Options(),  # as torchvision answers
    "fast": Options(size=480, proposals=100, decoding="cheap", folded=True, precision="bf16"),
}


_READ: dict[type, Callable[[str], Any]] = {bool: lambda text: {"true": True, "false": False}[text]}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def options_named(text: str = "") -> Options:
    """Options from a preset's name, changes `key=value` or both, with commas between.

    >>> options_named("fast,people=5").people
    5

    Raises:
        ValueError: there is no such preset or option, or a value does not fit.
    """
    first, *rest = [part.strip() for part in text.split(",")] if text.strip() else ["default"]
    if "=" in first:
        first, rest = "default", [first, *rest]
    if first not in PRESETS:
        raise ValueError(f"no preset {first!r}; there are {', '.join(PRESETS)}")
    known = {f.name: _READ.get(type(f.default), type(f.default)) for f in fields(Options)}
    changes: dict[str, Any] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or key not in known:
            raise ValueError(f"no option {part!r}; write key=value with {', '.join(known)}")
        try:
            changes[key] = known[key](value)
        except (ValueError, KeyError) as fault:
            kind = _KINDS[type(getattr(PRESETS["default"], key))]
            raise ValueError(f"{part!r}: {key} takes {kind}") from fault
    return replace(PRESETS[first], **changes)


# a photo (H, W, 3) uint8, the height and width that the network is to see of it, how to look
# -> boxes (N, 4) in pixels of that size, probabilities (N,), maps (N, K, 56, 56)
Maps = Callable[[Image, tuple[int, int], Options], tuple[Floats, Floats, Floats]]


def prepare(image: Image, size: tuple[int, int]) -> Floats:
    """A photo (H, W, 3) resized without smoothing, as torchvision does, (1, h, w, 3) 0..255."""
    flat = image.astype(np.float32)
    if flat.shape[:2] == size:
        return flat[None]
    return np.asarray(cv2.resize(flat, size[::-1], interpolation=cv2.INTER_LINEAR)[None])


@dataclass(frozen=True, eq=False)
class KeypointRcnn:
    """An `Estimate` that finds people and their joints in one go; likeliest people first.

    A joint's score is the probability of its person's box times `1 / (1 + exp(-(a logit + b)))`,
    where the logit is the height of the joint's map and (a, b) the card's calibration.

    Raises:
        ValueError: the card is not that of such a network.
    """

    card: Card
    maps: Maps
    options: Options = Options()

    def __post_init__(self) -> None:
        if self.card.kind != "rcnn":
            raise ValueError(f"{self.card.name} is a {self.card.kind} network, not an R-CNN")

    def __call__(self, image: pictures.Picture, boxes: Floats | None = None) -> People:
        """The people in a photo; with boxes, one for each of them, in their order.

        A box gets the joints of the found person who overlaps it most, by 0.3 at least; without
        one its joints are absent: NaN with score 0.

        Args:
            image: (H, W, 3) uint8 RGB, or another kind of picture, see `posegram.image.rgb`.
            boxes: (N, 4) x0, y0, x1, y1 image pixels.

        Raises:
            FileNotFoundError: there is no such photo.
            ValueError: the photo is broken, or the image has another shape.
        """
        image = pictures.rgb(image)
        found = self._found(image)
        return found if boxes is None else _given(found, np.asarray(boxes, dtype=np.float32))

    def _found(self, image: Image) -> People:
        """Everybody in a photo."""
        how, size = self.options, self.sides(image.shape[:2])
        box, sure, maps = self.maps(image, size, how)
        xy, logit = heatmaps.over_boxes(maps, box, fine=how.decoding == "fine")
        score = sure[:, None] * coords.probability(logit, self.card.calibration)
        # corners to corners: torchvision scales coordinates, half a pixel is not taken off
        back = np.array([image.shape[1] / size[1], image.shape[0] / size[0]], dtype=np.float32)
        absent = score < how.joint_score
        xy, score = xy * back, np.where(absent, 0, score).astype(np.float32)
        xy[absent] = np.nan
        return People(xy, score, box * np.tile(back, 2), self.card.skeleton)

    def sides(self, photo: tuple[int, int]) -> tuple[int, int]:
        """Height and width in pixels of what the network sees of a photo of height and width."""
        short, long = min(self.card.size), max(self.card.size)
        wanted = min(self.options.size or short, short)
        return coords.fit_sides(photo, wanted, round(long * wanted / short))


def _given(found: People, box: Floats) -> People:
    """One person a box (N, 4): the found one who overlaps it most."""
    box = box.reshape(-1, 4)
    near = iou(box, found.box)
    rows = near.argmax(axis=1) if len(found) else np.zeros(len(box), dtype=np.int64)
    k = len(found.skeleton)
    xy = np.full((len(box), k, 2), np.nan, dtype=np.float32)
    score = np.zeros((len(box), k), dtype=np.float32)
    met = near.max(axis=1, initial=0.0) >= _OVERLAP
    xy[met], score[met] = found.xy[rows[met]], found.score[rows[met]]
    return People(xy, score, box, found.skeleton)


def open_rcnn(
    path: Path, *, threads: int = 0, options: Options | None = None, engine: str = "onnxruntime"
) -> KeypointRcnn:
    """A Keypoint R-CNN from the .onnx file that training wrote, without torch.

    Args:
        path: the file; it holds its card.
        threads: how many cores one call may use; 0 means all physical ones.
        options: how to look; ONNX Runtime takes the precision of the file, OpenVINO that of these.
        engine: "onnxruntime" or "openvino".

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: OpenVINO is asked for and not installed.
        ValueError: it is no exported Keypoint R-CNN.
    """
    from posegram.infer.onnx import card_in, open_session  # brings the runtime

    how = options or Options()
    session = open_session(path, threads)
    card = card_in(session, path)
    names = [put.name for put in session.get_inputs()]
    if names != ["picture", "sure", "most", "proposals"] or len(session.get_outputs()) != 3:
        raise ValueError(f"{path} takes {', '.join(names)}, which is no exported Keypoint R-CNN")
    if engine != "openvino":
        return KeypointRcnn(card, _asking(lambda given: session.run(None, given)), how)
    from posegram.infer.openvino import compiled

    run = compiled(path, threads=threads, half=how.precision == "bf16")
    return KeypointRcnn(card, _asking(run), how)


def _asking(run: Callable[[dict[str, Any]], Sequence[Any]]) -> Maps:
    """What a runtime that takes the graph's inputs by name says of a photo."""

    def maps(image: Image, size: tuple[int, int], how: Options) -> tuple[Floats, Floats, Floats]:
        given = {
            "picture": prepare(image, size),
            "sure": np.asarray(how.box_score, dtype=np.float32),
            "most": np.asarray(how.people, dtype=np.int64),
            "proposals": np.asarray(how.proposals, dtype=np.int64),
        }
        box, score, heat = run(given)
        return box, score, heat

    return maps
