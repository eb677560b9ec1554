"""A stranger's clip in; a drawn clip and result files out, frame by frame."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posegram import image as pictures
from posegram.infer import records
from posegram.infer.follow import Follower
from posegram.pose import Estimate, Image, People
from posegram.video import Broken, Clip, Frame, Writer, frames, probe
from posegram.web import answers

__all__ = ["FILES", "Told", "Wanted", "make", "remove"]

FILES = {  # of a finished clip -> the form of results in it; the clip itself has none
    "clip.mp4": "",
    "poses.csv": "csv",
    "poses.json": "json",
    "coco.json": "coco-annotations",
}
Told = Callable[[int, int], None]  # frames done, pixels of the last one; raises to stop


@dataclass(frozen=True)
class Wanted:
    """What a visitor asked for."""

    model: str
    skeleton: str = ""  # name; the usual one without it
    smooth: bool = True
    threshold: float = 0.3  # smallest score that is drawn or labelled


def make(estimate: Estimate, source: Path, folder: Path, wanted: Wanted, told: Told) -> str:
    """Find, follow and draw the people of a clip; what was wrong with it, or nothing.

    Writes `FILES` into the folder, each whole or not at all.

    Args:
        estimate: the model.
        source: the clip; only plain containers are opened, and nothing but that file.
        folder: is there.
        wanted: model's name, joints, smoothing.
        told: is called after every frame; what it raises goes on to the caller.

    Raises:
        OSError: a file cannot be written.
        ValueError: the clip cannot be decoded.
    """
    clip = probe(source, trusted=False)
    follow = Follower(estimate, smooth=wanted.smooth)
    said: list[str] = []
    with ExitStack() as files:
        outputs: _Outputs | None = None
        for number, frame in enumerate(_good(source, said)):
            people = answers.usual(follow(frame.image, frame.time), wanted.skeleton)
            if outputs is None:
                outputs = _opened(files, folder, clip, wanted, frame, people)
            outputs.add(number, frame, people)
            told(number + 1, frame.image.shape[0] * frame.image.shape[1])
        if outputs is None:
            raise ValueError("the video holds no frame that can be decoded")
    return " ".join(said)


@dataclass(frozen=True, eq=False)
class _Outputs:
    """The files under way."""

    film: Writer
    streams: tuple[Any, ...]
    threshold: float

    def add(self, number: int, frame: Frame, people: People) -> None:
        size = frame.image.shape[:2]
        drawn = pictures.draw(frame.image, people, threshold=self.threshold)
        self.film.write(_fitted(drawn, self.film.size), frame.time)
        for stream in self.streams:
            stream.add(people, frame=number, time=frame.time, size=size)


def _opened(
    files: ExitStack, folder: Path, clip: Clip, wanted: Wanted, frame: Frame, people: People
) -> _Outputs:
    """The files of a clip whose first frame is known."""
    height, width = frame.image.shape[:2]
    film = files.enter_context(Writer(folder / "clip.mp4", (height, width), fps=clip.fps))
    streams = [
        records.open_writer(
            form, folder / name, people.skeleton, model=wanted.model, threshold=wanted.threshold
        )
        for name, form in FILES.items()
        if form
    ]
    return _Outputs(film, tuple(files.enter_context(s) for s in streams), wanted.threshold)


def _good(source: Path, said: list[str]) -> Iterator[Frame]:
    """The frames of a clip up to where it breaks off, which is then said."""
    try:
        yield from frames(source, trusted=False)
    except Broken:
        said.append("The video ends too early; what came before that is here.")


def _fitted(image: Image, size: tuple[int, int]) -> Image:
    """A frame in the first one's size: a stream may change its own half-way."""
    if image.shape[:2] == size:
        return image
    import cv2  # rarely needed

    return np.asarray(cv2.resize(image, (size[1], size[0])), dtype=np.uint8)


def remove(folder: Path) -> None:
    """Take a folder away with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
