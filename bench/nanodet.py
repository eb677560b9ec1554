"""NanoDet as a person detector, to compare with and to stand in: a file of the teachers' folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from posegram.metrics.boxes import suppress
from posegram.pose import Floats, Image

_MEAN, _STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # of BGR
_SIDE = 416
_STRIDES = {52 * 52: 8, 26 * 26: 16, 13 * 13: 32}


class NanoDet:
    """Boxes of the people in a picture, best first."""

    def __init__(self, path: Path, *, threshold: float = 0.35) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.threshold = threshold

    def __call__(self, image: Image) -> Floats:
        return self.scored(image)[0]

    def scored(self, image: Image) -> tuple[Floats, Floats]:
        small = cv2.resize(image[..., ::-1], (_SIDE, _SIDE)).astype(np.float32)
        x = ((small - np.float32(_MEAN)) / np.float32(_STD)).transpose(2, 0, 1)[None]
        out = self.session.run(None, {self.session.get_inputs()[0].name: x})
        scores = {o.shape[1]: o[0, :, 0] for o in out if o.shape[2] == 80}
        reach = {o.shape[1]: o[0].reshape(-1, 4, 11) for o in out if o.shape[2] == 44}
        boxes, sure = [], []
        for cells, stride in _STRIDES.items():
            rows = np.flatnonzero(scores[cells] >= self.threshold)
            share = np.exp(reach[cells][rows] - reach[cells][rows].max(axis=2, keepdims=True))
            far = (share * np.arange(11)).sum(axis=2) / share.sum(axis=2) * stride
            width = _SIDE // stride
            centre = (np.stack([rows % width, rows // width], axis=1) + 0.5) * stride
            boxes.append(np.concatenate([centre - far[:, :2], centre + far[:, 2:]], axis=1))
            sure.append(scores[cells][rows])
        height, wide = image.shape[:2]
        scale = np.array([wide, height, wide, height]) / _SIDE
        box = (np.concatenate(boxes) * scale - 0.5).astype(np.float32)
        box = box.clip(-0.5, np.array([wide, height, wide, height], dtype=np.float32) - 0.5)
        kept = suppress(box, np.concatenate(sure))
        return box[kept], np.concatenate(sure)[kept]
