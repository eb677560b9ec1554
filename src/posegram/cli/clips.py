"""Clips for `posegram predict`: drawn and written frame by frame, watched, stopped in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from rich.progress import ProgressColumn, Task
from rich.text import Text

from posegram import image as pictures
from posegram.cli.bars import bar
from posegram.cli.words import counted
from posegram.data.stream import save_text
from posegram.infer import records
from posegram.pose import Estimate, Skeleton

__all__ = ["INCOMPLETE", "Cut", "Filmed", "film_clip", "require_clip", "results_of", "stoppable"]

INCOMPLETE = ".incomplete"  # ending of the note beside the results of a clip that ended too early
_OPTIONS = {  # what is asked of clips alone
    "every": "--every",
    "smooth": "--no-smooth",
    "start": "--start",
    "end": "--end",
    "stride": "--stride",
}


@dataclass(frozen=True)
class Cut:
    """Which frames of a clip are looked at, and how.

    Raises:
        ValueError: it ends before it begins.
    """

    every: int = 10  # frames from one look of the detector to the next
    smooth: bool = True
    start: float = 0.0  # seconds
    end: float | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"--end {self.end:g} is not after --start {self.start:g}")


def require_clip(cut: Cut, given: bool) -> Cut:
    """The same, where a clip is given or nothing is asked that clips alone have.

    Raises:
        ValueError: something is, and there is none.
    """
    asked = [name for key, name in _OPTIONS.items() if getattr(cut, key) != getattr(Cut, key)]
    if asked and not given:
        raise ValueError(f"clips alone have {', '.join(asked)}, and no clip is given")
    return cut


@dataclass(frozen=True)
class Filmed:
    """What became of one clip."""

    sentence: str  # how it went
    fault: str  # why it ended too early; empty when it did not
    note: str  # what the drawn clip lacks


def results_of(form: str, out: Path, name: str) -> dict[str, Path]:
    """The files of a clip's results by their form; plain JSON has a table beside it.

    Args:
        form: one of `records.FORMS`.
        out: the folder.
        name: what the clip's results are called.
    """
    forms = ("json", "csv") if form == "json" else (form,)
    return {one: out / f"{name}{records.FORMS[one]}" for one in forms}


def film_clip(
    estimate: Estimate,
    clip: Path,
    out: Path,
    name: str,
    form: str,
    *,
    skeleton: Skeleton,
    model: str,
    threshold: float,
    min_score: float,
    most: int,
    drawn: bool,
    cut: Cut,
    stopped: Callable[[], int],
) -> Filmed:
    """Find and follow the people of one clip, with a bar on a terminal.

    Beside results that are not complete lies a note why, for --skip-done.

    Raises:
        ImportError: PyAV or scipy is not installed.
        OSError: the clip cannot be read, or a file not written.
        ValueError: it is no clip.
    """
    from posegram.infer.film import Plan, film  # brings PyAV and scipy, which photos do not need
    from posegram.infer.follow import Follower

    plan = Plan(
        results=results_of(form, out, name),
        skeleton=skeleton,
        model=model,
        threshold=threshold,
        start=cut.start,
        end=cut.end,
        stride=cut.stride,
        least=min_score,
        most=most,
    )
    follow = Follower(estimate, smooth=cut.smooth, every=cut.every)
    target = out / f"{name}.mp4" if drawn else None
    draw = partial(pictures.draw, threshold=threshold)
    with _marked(out / name, plan.results.values()), bar(_Rate()) as shown:
        task = shown.add_task(clip.name, total=None)

        def go_on(done: int, total: int | None) -> bool:
            shown.update(task, completed=done, total=None if total is None else max(done, total))
            return not stopped()

        made = film(follow, clip, target, plan=plan, draw=draw, progress=go_on)
        spent = shown.tasks[0].elapsed or 0.0
    _mark(out / name, made.fault or ("stopped" if made.stopped else ""))
    note = _silence(clip) if drawn and made.frames else ""
    rate = f"{made.frames / spent:.1f} frames/s" if spent > 0 else "at once"
    frames, people = counted(made.frames, "frame"), counted(made.people, "person", "people")
    fault = f"{made.fault}; the {frames} before that are done" if made.fault else ""
    return Filmed(f"{clip.name}: {frames}, {people}, {rate} -> {out}", fault, note)


@contextmanager
def _marked(results: Path, files: Iterable[Path]) -> Iterator[None]:
    """A note beside results that are under way; it stays where work that fails has left some.

    Args:
        results: their path, without suffix.
        files: of them.
    """
    _mark(results, "broken off")
    try:
        yield
    except BaseException:
        if not any(file.exists() for file in files):
            _mark(results, "")
        raise


def _mark(results: Path, why: str) -> None:
    """Leave a note why a clip's results are incomplete; take it away where they are not."""
    path = results.with_name(f"{results.name}{INCOMPLETE}")
    if why:
        save_text(path, f"{why}\n")
    else:
        path.unlink(missing_ok=True)


def _silence(clip: Path) -> str:
    """A sentence where a clip's sound could not come along."""
    from posegram.recorder import silence
    from posegram.video import probe

    why = silence(clip) if probe(clip).sound else ""
    return f"{clip}: {why}, so the drawn clip is without sound" if why else ""


class _Rate(ProgressColumn):
    """Frames a second, of late."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("- frames/s" if speed is None else f"{speed:.1f} frames/s")


@contextmanager
def stoppable() -> Iterator[Callable[[], int]]:
    """The signal that asked for an end, as a function, 0 for none; a second one interrupts at once.

    Ctrl-C is one, and what schedulers, containers and `kill` send is another.
    """
    asked: list[int] = []

    def ask(number: int, at: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    def first() -> int:
        return asked[0] if asked else 0

    if threading.current_thread() is not threading.main_thread():
        yield first  # only the main thread is told of signals
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield first
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
