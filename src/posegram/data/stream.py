"""Results that are written picture by picture, so that a long clip never sits in memory."""

from __future__ import annotations

import contextlib
import os
import re
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from posegram.data.growing import Growing
from posegram.files import replacing
from posegram.pose import Floats, People, Skeleton, convert
from posegram.scores import overall

__all__ = [
    "FileStream",
    "Shot",
    "Stream",
    "exact",
    "person_scores",
    "save_bytes",
    "save_text",
    "sweep",
]

_HALF = re.compile(r"\.[0-9a-f]{32}\.(part|keras)")  # what files under way are called
_STALE = 3600.0  # seconds without a word written after which nobody is at work on a file


@dataclass(frozen=True)
class Shot:
    """Where people were found: a photo, or one frame of a clip."""

    image: Path | None = None  # the photo, or the clip of a frame
    frame: int | None = None  # counted from 0; None for a photo
    time: float | None = None  # seconds from the start of the clip
    size: tuple[int, int] | None = None  # height, width in pixels
    number: int | None = None  # id of the picture where the caller has one
    place: str = ""  # file name with the folders that it keeps; by default the picture's own
    label: str = ""  # what its file of labels is called, without suffix; by default as the picture

    @property
    def name(self) -> str:
        """File name of the picture: the photo's, or `frame_000000.png` as CVAT calls frames."""
        if self.frame is not None:
            return f"frame_{self.frame:06d}.png"
        return self.place or ("" if self.image is None else self.image.name)


class Stream(ABC):
    """Results under way; use it in `with`.

    What was added is valid in the end, also when the work is broken off by an exception or by
    Ctrl-C; where nothing was added before that, older results of the name stay as they were.
    People are converted to the skeleton by joint name.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self.path = path
        self.skeleton = skeleton
        self.count = 0  # pictures added
        self._closed = False

    def add(
        self,
        people: People,
        *,
        image: Path | None = None,
        frame: int | None = None,
        time: float | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Write the people of one picture, N = 0 included.

        Args:
            people: who was found.
            image: the photo, or the clip.
            frame: number of the clip's frame, from 0; None for a photo.
            time: of the frame, in seconds.
            size: height and width of the picture in pixels.
        """
        self.put(people, Shot(image, frame, time, size))

    def put(self, people: People, shot: Shot) -> None:
        """As `add`, with what is known of the picture in one value."""
        self._write(convert(people, self.skeleton), shot)
        self.count += 1

    def close(self) -> Path:
        """The path of the results, finished and in their place; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._finish()
        return self.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and self.count == 0:
            self._closed = True
            self._drop()
        else:
            self.close()

    @abstractmethod
    def _write(self, people: People, shot: Shot) -> None:
        """Append one picture's people."""

    @abstractmethod
    def _finish(self) -> None:
        """Complete the results and put them into their place."""

    @abstractmethod
    def _drop(self) -> None:
        """Leave nothing behind."""


class FileStream(Stream):
    """Results in one text file, which appears whole under its name when it is closed.

    A picture that does not fit on the disk is left out whole; others may be added behind it.

    Raises:
        FileNotFoundError: the folder does not exist.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        super().__init__(path, skeleton)
        self._file = Growing(path)

    def _begin(self, text: str = "") -> None:
        """Write what opens the file, or leave nothing behind."""
        try:
            self._file.write(text)
            self._keep()
        except BaseException:
            self._drop()
            raise

    def put(self, people: People, shot: Shot) -> None:
        """As `Stream.put`.

        Raises:
            OSError: the picture's people cannot be written, and nothing of them was.
        """
        count = self.count
        try:
            super().put(people, shot)
            self._keep()
        except BaseException:
            self.count = count
            self._forget()
            raise

    def _keep(self) -> None:
        """Put what was appended into the file."""
        self._file.keep()

    def _forget(self) -> None:
        """Take back what was appended since."""
        self._file.forget()

    def _finish(self) -> None:
        try:
            self._end()
            self._file.done()
        finally:
            self._drop()

    def _drop(self) -> None:
        self._file.drop()

    def _end(self) -> None:
        """Append what closes the file."""


def save_text(path: Path, text: str) -> Path:
    """The path of the UTF-8 file written, as `save_bytes`."""
    return save_bytes(path, text.encode("utf-8"))


def save_bytes(path: Path, data: bytes, *, surely: bool = False) -> Path:
    """The path of the file written; it appears whole or not at all, its folder is made.

    Args:
        path: the file.
        data: all that is in it.
        surely: wait until the disk has it, so that not even a power cut leaves an empty file.

    Raises:
        OSError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
            file.write(data)
            if surely:
                file.flush()
                os.fsync(file.fileno())
    except OSError as fault:
        raise type(fault)(f"cannot write {path}: {fault.strerror}") from fault
    return path


def sweep(folder: Path) -> None:
    """Remove the files that killed runs left half-written in a folder, an hour ago or earlier."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _HALF.fullmatch(path.name):
            with contextlib.suppress(OSError):  # another run may sweep as well
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()


def exact(value: float) -> float:
    """The shortest decimal that is the same float32: 0.1 and not 0.10000000149."""
    return float(str(np.float32(value)))


def person_scores(people: People) -> Floats:
    """Score of each person over the joints that exist, see `overall`, (N,); 0 where none does."""
    has = np.isfinite(people.xy).all(axis=2)
    return np.asarray(overall(np.where(has, people.score, 0.0)), dtype=np.float32)
