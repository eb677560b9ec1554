"""COCO files that grow picture by picture: results, and annotations with v-flags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from posegram.data import coco
from posegram.data.growing import Growing
from posegram.data.stream import FileStream, Shot, exact, person_scores
from posegram.pose import People, Skeleton

__all__ = ["Annotations", "Results"]

_PIECE = 1 << 16  # characters of the list of images that are copied at once


class Results(FileStream):
    """COCO results: a list with an entry per person, see `posegram.data.coco.results`.

    The image id is the caller's number, else the frame's number + 1, else the position from 1.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        super().__init__(path, skeleton)
        self._begin("[")

    def _write(self, people: People, shot: Shot) -> None:
        for entry in coco.results(_number(shot, self.count), people):
            self._file.entry(json.dumps(entry, allow_nan=False))

    def _end(self) -> None:
        self._file.write("\n]\n")


class Annotations(FileStream):
    """COCO annotations, to be corrected in CVAT, Label Studio or FiftyOne or to train on.

    A joint that scores at least `threshold` is labelled with v = 2, for a model does not tell
    hidden from seen; any other is 0, 0, 0. Each annotation has more than COCO asks for: `score`
    (the person's), `keypoint_scores`, and `track_id` where people have one.

    Somebody without any labelled joint is kept, with his box. The area is estimated from the box.
    """

    def __init__(
        self, path: Path, skeleton: Skeleton, *, model: str = "", threshold: float = 0.3
    ) -> None:
        super().__init__(path, skeleton)
        self._threshold = threshold
        # images are listed apart and joined at the end, so that none has to be kept in memory
        self._images = Growing(path)
        self._people = 0
        made = f"People found by {model or 'a model'}; v = 2 where score >= {threshold:g}, else 0"
        heading = json.dumps(coco.heading(skeleton, made))
        self._begin(heading[:-1] + ', "annotations": [')

    def _write(self, people: People, shot: Shot) -> None:
        number = _number(shot, self.count)
        scores = person_scores(people)
        for n in range(len(people)):
            entry = self._entry(people, n) | {"score": round(float(scores[n]), 6)}
            self._people += 1
            whole = {"id": self._people, "image_id": number} | entry
            self._file.entry(json.dumps(whole, allow_nan=False))
        image: dict[str, Any] = {"id": number, "file_name": shot.name}
        if shot.size is not None:
            image |= {"height": shot.size[0], "width": shot.size[1]}
        self._images.entry(json.dumps(image))

    def _entry(self, people: People, n: int) -> dict[str, Any]:
        has = np.isfinite(people.xy[n]).all(axis=1)
        visible = np.where(has & (people.score[n] >= self._threshold), 2, 0).astype(np.uint8)
        entry = coco.record(people.xy[n], visible, people.box[n], None)
        entry["keypoint_scores"] = [exact(v) for v in np.where(has, people.score[n], 0)]
        track = {} if people.track is None else {"track_id": int(people.track[n])}
        return entry | track

    def _end(self) -> None:
        self._file.write('\n], "images": [')
        with self._images.part.open(encoding="utf-8") as listed:
            while piece := listed.read(_PIECE):
                self._file.write(piece)
                self._file.keep()
        self._file.write("\n]}\n")

    def _keep(self) -> None:
        self._images.keep()  # at first: an image without its people is still valid
        super()._keep()

    def _forget(self) -> None:
        self._images.forget()
        super()._forget()

    def _drop(self) -> None:
        self._images.drop()
        super()._drop()


def _number(shot: Shot, count: int) -> int:
    """The picture's id; counted from 1, since some tools take 0 for none."""
    if shot.number is not None:
        return shot.number
    return 1 + (count if shot.frame is None else shot.frame)
