"""A clip in; the clip with people drawn into it and their joints in files out, frame by frame."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from posegram import image as pictures
from posegram.data.stream import Stream, person_scores
from posegram.infer import records
from posegram.infer.follow import Follower
from posegram.infer.topdown import TopDown
from posegram.pose import Image, People, Skeleton, convert
from posegram.smooth import mend
from posegram.track import foremost
from posegram.video import Broken, Clip, Frame, Writer, frames, probe

__all__ = ["Draw", "Follow", "Found", "Notes", "Plan", "Progress", "Summary", "film", "found"]

Follow = Callable[[Image, float], People]  # a frame and its time -> people with ids
Draw = Callable[[Image, People], Image]
Progress = Callable[[int, int | None], bool]  # frames done, in all (estimate) -> go on?

_AHEAD = 1.0  # seconds that mending looks ahead and back
_FEWEST, _MOST = 12, 120  # frames, whatever the seconds


@dataclass(frozen=True)
class Plan:
    """What to make of a clip."""

    results: Mapping[str, Path] = field(default_factory=dict)  # form (`records.FORMS`) -> file
    skeleton: Skeleton | None = None  # joints to write; None: as found
    model: str = ""  # its name, for the files that tell it
    called: Path | None = None  # the clip in the files; None: by its path
    threshold: float = 0.3  # smallest score of a joint that is drawn or becomes a label
    start: float = 0.0  # seconds into the clip
    end: float | None = None
    stride: int = 1  # every n-th frame is looked at and written
    least: float = 0.0  # smallest score of somebody who is drawn and written
    most: int = 0  # people of a frame who are drawn and written, the foremost ones; 0 for all
    trusted: bool = True  # False for a stranger's file, see `video.frames`


@dataclass(frozen=True)
class Summary:
    """What became of a clip."""

    frames: int  # written
    people: int  # different ids
    files: tuple[Path, ...]
    fault: str = ""  # why the clip ended too early
    stopped: bool = False  # by `progress`


@dataclass
class Notes:
    """What happens on the way through a clip."""

    fault: str = ""
    stopped: bool = False
    ids: set[int] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Found:
    """The people of one frame."""

    time: float  # seconds
    people: People
    number: int = 0  # of the frame in the whole clip, from 0


def found(
    follow: Follow,
    source: Path,
    plan: Plan,
    notes: Notes,
    progress: Progress | None = None,
) -> Iterator[Found]:
    """The people of a clip's frames, one after the other, that `film` draws and writes.

    Args:
        follow: a fresh one for each clip. Other callables than a `Follower` are not smoothed.
        source: the clip.
        plan: part of the clip, and who is wanted.
        notes: told of it when the clip breaks off or the work is stopped.
        progress: is told of every frame that was looked at; False stops the work in good order.

    Raises:
        FileNotFoundError: there is no such clip.
        ValueError: it holds no video that can be decoded.
    """
    clip = probe(source, trusted=plan.trusted)
    shots = _looked(follow, _frames(source, plan), notes, _watch(progress, clip, plan))
    if isinstance(follow, Follower) and follow.smooth:
        shots = _mended(shots, _window(clip.fps / plan.stride))
    return _likely(shots, plan)


def film(
    follow: Follow | TopDown,
    source: str | Path,
    out: str | Path | None,
    *,
    plan: Plan | None = None,
    draw: Draw | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Find and follow the people of a clip; draw them into a copy and write their joints.

    A `Follower` that smooths is asked for joints as the network saw them; they are mended without
    lag a second later (`smooth.mend`), while a second decoder reads the pictures for drawing. So
    memory does not grow with the clip. What is done when the clip breaks off, `progress` says no
    or something fails, is kept in complete files.

    Args:
        follow: a fresh one for each clip, or a model, which gets a `Follower`. Other callables are
            not smoothed.
        source: the clip.
        out: the drawn clip, an .mp4 file with the clip's sound; None for none.
        plan: joints, files of results, part of the clip.
        draw: how people are drawn, `image.draw` by default.
        progress: is told of every frame that was looked at; False stops the work in good order.

    Raises:
        FileNotFoundError: there is no such clip, or no folder for a file.
        OSError: a file cannot be written.
        ValueError: the clip holds no video that can be decoded, or nothing between start and end;
            or a file to write is the clip itself.
    """
    plan, source, out = plan or Plan(), Path(source), None if out is None else Path(out)
    follow = Follower(follow) if isinstance(follow, TopDown) else follow
    _spare(source, [*([out] if out else []), *plan.results.values()])
    clip, notes = probe(source, trusted=plan.trusted), Notes()
    shots = found(follow, source, plan, notes, progress)
    brush = draw or (lambda image, people: pictures.draw(image, people, threshold=plan.threshold))
    count = 0
    with ExitStack() as files:
        sinks: list[Stream] = []
        movie = None if out is None else _Movie(files, out, source, plan, clip, brush)
        for count, shot in enumerate(shots, 1):
            if count == 1:
                sinks = _opened(files, plan, shot.people.skeleton)
            notes.ids |= set(shot.people.track.tolist() if shot.people.track is not None else ())
            for sink in sinks:
                sink.add(
                    shot.people,
                    image=plan.called or source,
                    frame=shot.number,
                    time=shot.time,
                    size=(clip.height, clip.width),
                )
            if movie is not None:
                movie.add(shot)
    if not count and not notes.stopped:
        raise ValueError(notes.fault or f"{source} has no frame between start and end")
    made = [*([out] if out and count else []), *(plan.results.values() if count else ())]
    return Summary(count, len(notes.ids), tuple(made), notes.fault, notes.stopped)


def _spare(source: Path, made: Sequence[Path]) -> None:
    """See that nothing replaces the clip that it is made of."""
    for path in made:
        if path.exists() and source.exists() and path.samefile(source):
            raise ValueError(f"cannot write {path}: it is the clip itself")


def _frames(source: Path, plan: Plan) -> Iterator[Frame]:
    """The frames that the plan wants."""
    moving = frames(source, trusted=plan.trusted, start=plan.start, end=plan.end)
    return islice(moving, 0, None, plan.stride)


def _watch(progress: Progress | None, clip: Clip, plan: Plan) -> Callable[[int], bool]:
    """`progress` with the number of frames that there will be."""
    total = clip.count
    if clip.seconds is not None:
        end = clip.seconds if plan.end is None else min(plan.end, clip.seconds)
        total = max(1, round(max(end - plan.start, 0.0) * clip.fps / plan.stride))
    return lambda done: progress is None or progress(done, total)


def _looked(
    follow: Follow, moving: Iterator[Frame], notes: Notes, go_on: Callable[[int], bool]
) -> Iterator[Found]:
    """The people of frame after frame, up to where the clip ends or the work is stopped."""
    look = follow.track if isinstance(follow, Follower) else follow
    try:
        for done, frame in enumerate(moving, 1):
            yield Found(frame.time, look(frame.image, frame.time), frame.number)
            if not go_on(done):
                notes.stopped = True
                return
    except Broken as fault:
        notes.fault = str(fault)


def _window(fps: float) -> int:
    return int(np.clip(round(fps * _AHEAD), _FEWEST, _MOST))


def _mended(shots: Iterable[Found], ahead: int) -> Iterator[Found]:
    """The same frames `ahead` to twice that later, mended with what lies around them."""
    held: list[Found] = []
    ready = 0  # frames at the front of `held` that are out already: they only help the others
    for shot in shots:
        held.append(shot)
        if len(held) - ready == 2 * ahead:
            yield from _smoothed(held)[ready : ready + ahead]
            held = held[ready:]
            ready = ahead
    yield from _smoothed(held)[ready:]


def _smoothed(held: list[Found]) -> list[Found]:
    times = np.array([shot.time for shot in held])
    people = mend([shot.people for shot in held], times)
    return [replace(shot, people=some) for shot, some in zip(held, people, strict=True)]


def _likely(shots: Iterable[Found], plan: Plan) -> Iterator[Found]:
    """The same frames with those alone whom the plan wants: likely people, of them the foremost."""
    before: list[int] = []  # ids
    for shot in shots:
        written = convert(shot.people, plan.skeleton or shot.people.skeleton)
        likely = shot.people[person_scores(written) >= plan.least]
        kept = foremost(likely, plan.most, before=before)
        before = [] if kept.track is None else kept.track.tolist()
        yield replace(shot, people=kept)


def _opened(files: ExitStack, plan: Plan, own: Skeleton) -> list[Stream]:
    """The files of results, closed by `files`."""
    skeleton, made = plan.skeleton or own, list[Stream]()
    for form, path in plan.results.items():
        made.append(files.enter_context(_sink(form, path, skeleton, plan)))
    return made


def _sink(form: str, path: Path, skeleton: Skeleton, plan: Plan) -> Stream:
    if form == "json":
        return _Frames(path, skeleton, plan)
    return records.open_writer(form, path, skeleton, model=plan.model, threshold=plan.threshold)


class _Frames(records.Frames):
    """A clip's JSON, which says before its frames which part of the clip they are."""

    def __init__(self, path: Path, skeleton: Skeleton, plan: Plan) -> None:
        end = plan.end if plan.end is not None and math.isfinite(plan.end) else None
        part = {"start": plan.start, "end": end, "stride": plan.stride}
        whole = all(value == getattr(Plan, key) for key, value in part.items())
        self._part = "" if whole else f'"part": {json.dumps(part)}, '
        super().__init__(path, skeleton, model=plan.model)

    def _begin(self, text: str = "") -> None:
        heading, frames, rest = text.rpartition('"frames": [')
        super()._begin(f"{heading}{self._part}{frames}{rest}")


class _Movie:
    """The drawn clip, under way; it reads the clip's pictures on its own."""

    def __init__(
        self, files: ExitStack, out: Path, source: Path, plan: Plan, clip: Clip, draw: Draw
    ) -> None:
        self._files, self._out, self._source, self._plan = files, out, source, plan
        self._clip, self._draw = clip, draw
        self._moving = _frames(source, plan)
        self._writer: Writer | None = None

    def add(self, shot: Found) -> None:
        """Draw the people into the next frame."""
        people = convert(shot.people, self._plan.skeleton or shot.people.skeleton)
        frame = next(self._moving, None)
        if frame is None:  # a damaged clip may be decoded otherwise another time
            raise Broken(f"{self._source} has fewer frames when it is read again")
        drawn = self._draw(frame.image, people)
        if self._writer is None:
            size = (drawn.shape[0], drawn.shape[1])
            writer = Writer(
                self._out,
                size,
                fps=self._clip.fps / self._plan.stride,
                sound=self._source,
                start=self._plan.start,
                pixel=self._clip.pixel,
            )
            self._writer = self._files.enter_context(writer)
        height, width = self._writer.size
        if drawn.shape[:2] != (height, width):  # a clip may change its size half-way
            drawn = np.asarray(cv2.resize(drawn, (width, height)), dtype=np.uint8)
        self._writer.write(drawn, shot.time - self._plan.start)
