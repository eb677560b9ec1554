"""Other people's networks, fed and read as their public descriptions say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posegram.infer.onnx import open_session
from posegram.infer.topdown import TopDown
from posegram.metrics.boxes import suppress
from posegram.pose import COCO17, Card, Floats, Image, People, Raw

MEDIAPIPE = "0.10.21"  # the last release on PyPI that carries its pose networks
_CROP = (384, 384)  # of one person, given to MediaPipe
# MediaPipe's 33 landmarks (ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker)
_LANDMARKS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)  # in COCO's order


def kind_of(path: Path) -> str:
    """What a file of the teachers' folder finds: "people", "boxes" or, by default, "joints"."""
    shapes = [tuple(one.shape) for one in open_session(path, 1).get_outputs()]
    if len(shapes) == 1 and shapes[0][-2:] == (6, 56):
        return "people"
    if len(shapes) == 6 and {shape[-1] for shape in shapes} == {80, 44}:
        return "boxes"
    return "joints"


class NanoDet:
    """NanoDet with 80 COCO classes, one of them people, as a `posegram.infer.topdown.Detect`.

    Outputs: class scores (1, n^2, 80), 0 to 1, and distances (1, n^2, 44) from a cell's centre to
    the left, top, right and bottom, each the expectation of a softmax over 0..10 strides
    (github.com/RangiLyu/nanodet; Generalized Focal Loss, arXiv 2006.04388).
    """

    def __init__(self, path: Path, *, threshold: float = 0.25, overlap: float = 0.6) -> None:
        self._session = open_session(path, 1)
        self._name = self._session.get_inputs()[0].name
        self._side = self._session.get_inputs()[0].shape[2]  # pixels of the square input
        self._least, self._overlap = threshold, overlap

    def __call__(self, image: Image) -> Floats:
        """Boxes (N, 4) x0, y0, x1, y1 image pixels."""
        return self.scored(image)[0]

    def scored(self, image: Image) -> tuple[Floats, Floats]:
        """Boxes (N, 4) in image pixels by falling score, and their scores (N,)."""
        outputs = self._session.run(None, {self._name: self._input(image)})
        sure = {len(one[0]): one[0, :, 0] for one in outputs if one.shape[2] == 80}
        away = {len(one[0]): one[0] for one in outputs if one.shape[2] == 44}
        parts = [self._level(sure[cells], away[cells]) for cells in sure]
        box, score = (np.concatenate(part) for part in zip(*parts, strict=True))
        height, width = image.shape[:2]
        photo = np.array([width, height, width, height], dtype=np.float32)
        box = (box * photo / self._side - 0.5).clip(-0.5, photo - 0.5).astype(np.float32)
        rows = suppress(box, score, overlap=self._overlap)
        return box[rows], score[rows]

    def _input(self, image: Image) -> Floats:
        """The whole photo, its aspect lost, (1, 3, side, side) blue, green, red, normalised."""
        small = cv2.resize(image[..., ::-1], (self._side, self._side)).astype(np.float32)
        small -= np.float32([103.53, 116.28, 123.675])
        small /= np.float32([57.375, 57.12, 58.395])
        return np.ascontiguousarray(small.transpose(2, 0, 1)[None])

    def _level(self, score: Floats, away: Floats) -> tuple[Floats, Floats]:
        """Boxes (N, 4) in pixels of the input and scores (N,), of one grid of n x n cells."""
        cells = round(len(score) ** 0.5)
        stride = self._side / cells
        rows = np.flatnonzero(score >= self._least)
        share = away[rows].reshape(len(rows), 4, 11)
        share = np.exp(share - share.max(axis=2, keepdims=True))
        side = (share @ np.arange(11)) / share.sum(axis=2) * stride
        centre = np.stack([rows % cells, rows // cells], axis=1) * stride + stride / 2
        box = np.concatenate([centre - side[:, :2], centre + side[:, 2:]], axis=1)
        return box.astype(np.float32), score[rows]


class MultiPose:
    """MoveNet MultiPose: up to six people of a photo at once, boxes and joints.

    Input: RGB 0..255, the photo's aspect kept, padded right and below. Output (1, 6, 56): 17 x
    (y, x, score), then y0, x0, y1, x1, score, all shares of the input (the model's page on TF Hub,
    google/movenet/multipose/lightning).
    """

    def __init__(self, path: Path, *, threshold: float = 0.1) -> None:
        self._session = open_session(path, 1)
        taken = self._session.get_inputs()[0]
        self._name, self._dtype = taken.name, np.int32 if "int32" in taken.type else np.float32
        self._fixed = taken.shape[1:3] if all(isinstance(n, int) for n in taken.shape[1:3]) else []
        self._least = threshold

    def __call__(self, image: Image) -> People:
        """The people of an image; a joint's score is its own times the person's."""
        height, width = self._fixed or _padded(image.shape[:2])
        zoom = min(height / image.shape[0], width / image.shape[1])
        inner = round(image.shape[1] * zoom), round(image.shape[0] * zoom)
        picture = np.zeros((1, height, width, 3), dtype=self._dtype)
        small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
        picture[0, : inner[1], : inner[0]] = small
        rows = self._session.run(None, {self._name: picture})[0].reshape(-1, 56)
        rows = rows[rows[:, 55] >= self._least]
        rows = rows[np.argsort(-rows[:, 55], kind="stable")]
        scale = np.array([width, height], dtype=np.float32)
        joints = rows[:, :51].reshape(-1, 17, 3)
        xy = _unzoomed(joints[..., [1, 0]] * scale, zoom)
        ends = _unzoomed(rows[:, [52, 51, 54, 53]].reshape(-1, 2, 2) * scale, zoom)
        box = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)
        return People(xy, joints[..., 2] * rows[:, 55:], box, COCO17)

    def scored(self, image: Image) -> tuple[Floats, Floats]:
        """Boxes (N, 4) in image pixels, and the mean scores of their people, (N,)."""
        people = self(image)
        return people.box, people.score.mean(axis=1)


def _padded(photo: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the input: longer side 256, both multiples of 32."""
    high, wide = (max(1, -(-side * 256 // (32 * max(photo)))) * 32 for side in photo)
    return high, wide


def _unzoomed(xy: Floats, zoom: float) -> Floats:
    """Image pixels of the input's pixels: pixel centres, so half a pixel moves with the size."""
    return ((xy + 0.5) / zoom - 0.5).astype(np.float32)


class MediaPipe:
    """MediaPipe's "full" pose network (one person) in a process of its own, see its worker.

    Raises:
        ValueError: it does not start.
    """

    def __init__(self, python: Path) -> None:
        self.spent = 0.0  # CPU milliseconds of the worker so far
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        worker = Path(__file__).with_name("mediapipe_worker.py")
        self._process = subprocess.Popen(
            [python, worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"},
        )
        self.megabytes = float(self._answer()["megabytes"])

    def __call__(self, image: Image) -> People:
        """The one person of an image, or nobody; its box is around its joints."""
        landmarks = self._ask(image)
        if landmarks is None:
            return People.none(COCO17)
        xy = (landmarks[None, :, :2] * (image.shape[1], image.shape[0]) - 0.5).astype(np.float32)
        box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
        return People(xy, landmarks[None, :, 2], box, COCO17)

    def topdown(self) -> TopDown:
        """The same network on crops of people in given boxes."""
        card = Card("mediapipe", "regression", COCO17, _CROP)
        return TopDown(card, self._network)

    def _network(self, crops: Image) -> Raw:
        """Shares (B, 17, 2) and logits (B, 17) of crops; the middle where it sees nobody."""
        nobody = np.tile(np.float32([0.5, 0.5, 0.0]), (17, 1))
        seen = [self._ask(crop) for crop in crops]
        rows = np.stack([nobody if one is None else one for one in seen])
        sure = rows[..., 2].clip(1e-6, 1 - 1e-6)
        return rows[..., :2], np.log(sure / (1 - sure)).astype(np.float32)

    def _ask(self, image: Image) -> Floats | None:
        """Joints (17, 3) of one picture: shares x, y and visibility; None for nobody."""
        head = json.dumps({"height": image.shape[0], "width": image.shape[1]})
        try:
            self._process.stdin.write(head.encode() + b"\n" + image.tobytes())
            self._process.stdin.flush()
        except OSError as fault:
            raise ValueError(f"MediaPipe's worker stopped: {self._last_words()}") from fault
        answer = self._answer()
        self.spent += answer["ms"]
        if answer["joints"] is None:
            return None
        return np.array(answer["joints"], dtype=np.float32)[list(_LANDMARKS)]

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(f"MediaPipe's worker stopped: {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        """End the worker."""
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
        self._said.close()


def mediapipe(folder: Path) -> MediaPipe:
    """MediaPipe in a virtual environment in that folder, which is made where there is none.

    Raises:
        ValueError: it cannot be installed or does not start.
    """
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    ready = folder / f"ready-{MEDIAPIPE}"
    if not ready.exists():
        wanted = ["-m", "pip", "install", "--quiet", f"mediapipe=={MEDIAPIPE}"]
        for command in ([sys.executable, "-m", "venv", folder], [python, *wanted]):
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
            except (subprocess.SubprocessError, OSError) as fault:
                said = (getattr(fault, "stderr", None) or str(fault)).strip().splitlines()
                raise ValueError(f"MediaPipe cannot be installed: {said[-1]}") from fault
        ready.touch()
    return MediaPipe(python)
