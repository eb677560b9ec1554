"""Shards of very many files, and what looks at one: files in, one part out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from posegram import image as pictures
from posegram.data import folder
from posegram.data.stream import person_scores
from posegram.infer import parts
from posegram.infer.load import load
from posegram.infer.topdown import TopDown
from posegram.infer.views import views
from posegram.pose import Image, People, Skeleton, convert
from posegram.track import foremost

__all__ = ["Look", "Row", "Shards", "Worker", "estimate_of"]


class Row(NamedTuple):
    """A file as it was when it was listed, or a piece of a clip."""

    path: str
    size: int = -1  # bytes; -1: there was none
    changed: int = 0  # nanoseconds
    start: float = 0.0  # seconds into a clip
    end: float | None = None

    @property
    def is_clip(self) -> bool:
        """Whether the file is a clip, by its name."""
        return Path(self.path).suffix.lower() in folder.CLIPS


@dataclass(frozen=True)
class Look:
    """What finds people, and who of them is kept: every setting that changes a result."""

    model: str = ""  # these three as `load` takes them
    detector: str = ""
    engine: str = "onnxruntime"
    flip: bool = False  # average with the mirrored crop
    skeleton: str = ""  # a built-in one; else the model's
    least: float = 0.0  # smallest score of somebody who is kept
    most: int = 0  # people of a photo or frame who are kept, the foremost ones; 0 for all
    every: int = 10  # clips: frames from one look of the detector to the next
    smooth: bool = True  # clips: mend joints with what lies around them
    follow: bool = True  # clips: False takes each frame as a photo, so that nobody has an id


Shards = dict[Path, tuple[Row, ...]]  # part -> its files, in order


class Worker:
    """Does shards with a model that is loaded once."""

    def __init__(self, look: Look, skeleton: Skeleton) -> None:
        self.look, self.skeleton = look, skeleton
        self.estimate = estimate_of(look)

    def shard(self, part: Path, rows: Sequence[Row]) -> Path:
        """Look at the files of a shard and write its part; the part."""
        return parts.save(part, [line for row in rows for line in self.lines(row)])

    def lines(self, row: Row) -> list[parts.Line]:
        """The lines of one file; one with an error where it cannot be looked at."""
        path = Path(row.path)
        try:
            return self._frames(row) if row.is_clip else [self._photo(path)]
        except (OSError, ValueError, MemoryError) as fault:
            return [parts.failure(path, _named(path, fault))]

    def _photo(self, path: Path) -> parts.Line:
        image = pictures.read(path)
        found = self.estimate(image)
        likely = person_scores(convert(found, self.skeleton)) >= self.look.least
        people = convert(foremost(found[likely], self.look.most), self.skeleton)
        return parts.line(path, people, (image.shape[0], image.shape[1]))

    def _alone(self, image: Image, time: float) -> People:
        """The people of a frame as if it were a photo."""
        return self.estimate(image)

    def _frames(self, row: Row) -> list[parts.Line]:
        from posegram.infer import film  # brings PyAV and scipy, which photos do not need
        from posegram.infer.follow import Follower
        from posegram.video import probe

        look, notes, path = self.look, film.Notes(), Path(row.path)
        follow: film.Follow = self._alone
        if look.follow:
            follow = Follower(self.estimate, smooth=look.smooth, every=look.every)
        clip, made = probe(path), []
        plan = film.Plan(
            skeleton=self.skeleton,
            start=row.start,
            end=row.end,
            least=look.least,
            most=look.most,
        )
        size = (clip.height, clip.width)
        for shot in film.found(follow, path, plan, notes):
            people = convert(shot.people, self.skeleton)
            made.append(parts.line(path, people, size, shot.number, shot.time))
        if notes.fault:
            made.append(parts.failure(path, notes.fault))
        return made


def estimate_of(look: Look) -> TopDown:
    """One core a worker: several photos side by side take less time than all cores on each."""
    found = load(look.model, detector=look.detector, threads=1, engine=look.engine)
    return views(found, flip=look.flip)


def _named(path: Path, fault: Exception) -> str:
    said = str(fault) or type(fault).__name__
    return said if str(path) in said else f"{path}: {said}"
