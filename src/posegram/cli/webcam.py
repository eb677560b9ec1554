"""`posegram webcam`: a camera, file or stream with people drawn in, live or recorded."""

from __future__ import annotations

import math
import time
import webbrowser
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from posegram import coords
from posegram import image as pictures
from posegram.cli.clips import stoppable
from posegram.cli.words import counted, tell_whole
from posegram.data.joints import usual
from posegram.infer.load import load
from posegram.pose import Image, People, convert

if TYPE_CHECKING:
    from posegram.video import Frame

__all__ = ["webcam"]

_SLOWEST = 100_000  # milliseconds; slower frames are counted as such
_DETECTOR = "Finds people: detector:640 (its input's side, pixels), a file, or none: one in all."
_MOST = "Only so many people, the largest and surest; 0 means all."


def webcam(
    source: str = typer.Argument(
        "0", help="A camera's number or device, a clip, or a stream's address (rtsp://, http://)."
    ),
    record: Path | None = typer.Option(
        None, help="Write the drawn pictures to this .mp4 instead of showing them."
    ),
    model: str = typer.Option("", help="A bundled model or an .onnx or .ckpt file."),
    weights: str = typer.Option("", help="Of keypoint-rcnn: a .pth file, not the download."),
    detector: str = typer.Option("", help=_DETECTOR),
    threshold: float = typer.Option(0.3, min=0.0, max=1.0, help="Smallest score that is drawn."),
    every: int = typer.Option(
        10, min=1, help="Frames from one look of the person detector to the next."
    ),
    max_people: int = typer.Option(0, min=0, metavar="N", help=_MOST),
    no_smooth: bool = typer.Option(False, "--no-smooth", help="Joints as they are found."),
    seconds: float | None = typer.Option(None, min=0.0, help="Stop after so long."),
    port: int = typer.Option(0, min=0, max=65535, help="Of the page; any free one without it."),
    no_browser: bool = typer.Option(False, "--no-browser", help="Open no browser."),
    threads: int = typer.Option(0, min=0, help="Cores to use; 0 means all."),
    engine: str = typer.Option("onnxruntime", help="onnxruntime, openvino or auto."),
) -> None:
    """Find people's joints in a camera's picture, live.

    The picture is shown in the browser, at an address that only this
    computer reaches; nothing is kept. With --record it is written to a
    file. Ctrl-C stops.

    At the end it says how long frames took from their coming to their
    being shown or written, and how many were left out meanwhile.

    Exit code 1: the source broke off; what came before is shown or
    recorded. 2: misuse.
    """
    from posegram.infer.follow import Follower  # brings scipy, which photos do not need

    _spare(source, record)
    if record is not None and (port or no_browser):
        name = "--port" if port else "--no-browser"
        raise ValueError(f"--record shows no page, so {name} has no meaning beside it")
    estimate = load(model, detector=detector, threads=threads, engine=engine, weights=weights)
    tell_whole(estimate, detector)
    follow = Follower(estimate, smooth=not no_smooth, every=every, most=max_people)
    faults: list[str] = []
    with stoppable() as stopped:
        end = None if seconds is None else time.monotonic() + seconds
        done = partial(_is_over, stopped, end)
        log = _Log()
        moving = _noted(_frames(source, log, pace=record is None, stop=done), faults)
        look = partial(_drawn, follow, partial(pictures.draw, threshold=threshold))
        if record is None:
            _show(moving, look, done, log, port, not no_browser)
        else:
            _record(moving, look, done, log, record)
    if faults:
        typer.echo(f"posegram: {faults[0]}", err=True)
        raise typer.Exit(1)


class _Log:
    """When frames came and were done, in memory that does not grow with the run."""

    def __init__(self) -> None:
        self.done = self.left_out = 0
        self._waiting: deque[tuple[float, float]] = deque()  # of each frame: its time, when it came
        self._spent: Counter[int] = Counter()  # milliseconds -> frames
        self._began: float | None = None
        self._ended = 0.0

    def coming(self, moving: Iterator[Frame]) -> Iterator[Frame]:
        """The same frames, noted as they come, perhaps in a thread of their own."""
        for frame in moving:
            now = time.monotonic()
            self._began = now if self._began is None else self._began
            self._waiting.append((frame.time, now))
            yield frame

    def finished(self, frame: Frame) -> None:
        """Note that a frame is shown or written; those that came before it never will be."""
        self._ended = time.monotonic()
        self.done += 1
        while self._waiting and self._waiting[0][0] <= frame.time:
            moment, came = self._waiting.popleft()
            if moment < frame.time:
                self.left_out += 1
            else:
                self._spent[min(math.ceil(1000 * (self._ended - came)), _SLOWEST)] += 1

    def within(self, share: float) -> int:
        """Milliseconds in which that share of the frames was done."""
        count, wanted = 0, share * self._spent.total()
        for spent in sorted(self._spent):
            count += self._spent[spent]
            if count >= wanted:
                return spent
        return 0

    def __str__(self) -> str:
        rate = self.done / max(self._ended - (self._began or 0.0), 1e-6)
        usual, most = self.within(0.5), self.within(0.95)
        latency = f"{rate:.1f} frames/s, latency median {usual} ms, 95 % under {most} ms"
        return f"{latency}; {counted(self.left_out, 'frame')} left out"


def _spare(source: str, record: Path | None) -> None:
    """See that the recording does not replace the clip that it is made of."""
    from posegram.video import is_live

    clip = Path(source)
    if record is None or is_live(source) or not (record.exists() and clip.exists()):
        return
    if record.samefile(clip):
        raise ValueError(f"{record} is the clip itself: give --record another name")


def _noted(moving: Iterator[Frame], faults: list[str]) -> Iterator[Frame]:
    """The frames up to where their source breaks off, which is noted; without any it is refused."""
    from posegram.video import Broken

    begun = False
    try:
        for frame in moving:
            begun = True
            yield frame
    except Broken as fault:
        if not begun:
            raise
        faults.append(str(fault))


def _is_over(stopped: Callable[[], int], end: float | None) -> bool:
    return bool(stopped()) or (end is not None and time.monotonic() >= end)


def _frames(source: str, log: _Log, *, pace: bool, stop: Callable[[], bool]) -> Iterator[Frame]:
    """The frames of a source; a live one, or one shown at its own pace, drops what is too late."""
    from posegram.video import frames, is_live, latest

    if is_live(source):
        return latest(log.coming(frames(source)), stop=stop)
    if pace:
        return latest(log.coming(_paced(frames(source))), stop=stop)
    return log.coming(frames(source))


def _paced(moving: Iterator[Frame]) -> Iterator[Frame]:
    """The frames of a clip at the times when they are due."""
    began = None
    for frame in moving:
        began = time.monotonic() - frame.time if began is None else began
        time.sleep(max(0.0, began + frame.time - time.monotonic()))
        yield frame


def _drawn(
    follow: Callable[[Image, float], People], draw: Callable[[Image, People], Image], frame: Frame
) -> tuple[Image, int]:
    """A frame with its people drawn in, and how many they are."""
    people = follow(frame.image, frame.time)
    shown = convert(people, usual(people.skeleton))
    return draw(frame.image, shown), len(shown)


def _show(
    moving: Iterator[Frame],
    look: Callable[[Frame], tuple[Image, int]],
    done: Callable[[], bool],
    log: _Log,
    port: int,
    browse: bool,
) -> None:
    from posegram.web.show import shown  # brings Flask

    first = _first(moving)  # before a page opens that would stay empty
    with shown(port) as (screen, address):
        typer.echo(f"showing at {address} - Ctrl-C stops")
        if browse:
            webbrowser.open(address)
        for frame in chain([first], moving):
            screen.put(*look(frame))
            log.finished(frame)
            if done():
                break
    typer.echo(f"{counted(log.done, 'frame')} shown, {log}")


def _record(
    moving: Iterator[Frame],
    look: Callable[[Frame], tuple[Image, int]],
    done: Callable[[], bool],
    log: _Log,
    path: Path,
) -> None:
    from posegram.video import Writer

    first = _first(moving)
    size = (first.image.shape[0], first.image.shape[1])
    with Writer(path, size) as writer:
        frame: Frame | None = first
        while frame is not None:
            writer.write(_fitted(look(frame)[0], size), frame.time - first.time)
            log.finished(frame)
            frame = None if done() else next(moving, None)
    typer.echo(f"{counted(writer.count, 'frame')}, {log} -> {path}")


def _fitted(image: Image, size: tuple[int, int]) -> Image:
    """The whole image in a picture of that height and width, black around; a stream may change."""
    if image.shape[:2] == size:
        return image
    crops, _ = coords.crop(image, coords.whole(image), size, margin=1.0)
    fitted: Image = crops[0]
    return fitted


def _first(moving: Iterator[Frame]) -> Frame:
    """The first frame of a source, which shows that there is one."""
    first = next(moving, None)
    if first is None:
        raise ValueError("the source gave no picture")
    return first
