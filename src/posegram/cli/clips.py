"""Clips for `posegram predict`: drawn and written frame by frame, watched, stopped in order."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.progress import ProgressColumn, Task
from rich.text import Text

from posegram import image as pictures
from posegram.cli.bars import bar
from posegram.cli.words import counted
from posegram.data.stream import save_text
from posegram.infer import records
from posegram.pose import Estimate, Skeleton

if TYPE_CHECKING:
    from posegram.infer.film import Summary

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

    sentence: str  # how it went; empty where `fault` tells it all
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
    called: str,
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

    Beside results that are not complete lies a note why, for --skip-done. They replace no complete
    ones: those stay where the clip breaks off or the work is stopped.

    Raises:
        ImportError: PyAV or scipy is not installed.
        OSError: the clip cannot be read, or a file not written.
        ValueError: it is no clip.
    """
    from posegram.infer.film import Plan, film  # brings PyAV and scipy, which photos do not need
    from posegram.infer.follow import Follower

    base, draw = out / name, partial(pictures.draw, threshold=threshold)
    files = [*results_of(form, out, name).values(), base.with_name(f"{base.name}.mp4")]
    before = _complete(base, files, clip)
    with _draft(base) if before else _marked(base, files) as place:
        plan = Plan(
            results=results_of(form, place, base.name),
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
        target = place / files[-1].name if drawn else None
        work = partial(film, follow, clip, target, plan=plan, draw=draw)
        made, spent = _watched(work, called, stopped)
        why = made.fault or ("stopped" if made.stopped else "")
        if before and not why:
            _settle(place, base, files)
    if not before:
        _mark(base, why)
    elif why:
        return _kept(made, called, out)
    note = _silence(clip) if drawn and made.frames else ""
    return _filmed(made, spent, called, out if name == clip.stem else out / f"{name}.*", note)


def _watched(
    work: Callable[..., Summary], called: str, stopped: Callable[[], int]
) -> tuple[Summary, float]:
    """What became of a clip, and the seconds that it took."""
    with bar(_Rate()) as shown:
        task = shown.add_task(called, total=None)

        def go_on(done: int, total: int | None) -> bool:
            shown.update(task, completed=done, total=None if total is None else max(done, total))
            return not stopped()

        made = work(progress=go_on)
        return made, shown.tasks[0].elapsed or 0.0


def _filmed(made: Summary, spent: float, called: str, place: Path, note: str) -> Filmed:
    """How it went with a clip whose results are in their place."""
    rate = f"{made.frames / spent:.1f} frames/s" if spent > 0 else "at once"
    frames, people = counted(made.frames, "frame"), counted(made.people, "person", "people")
    fault = f"{made.fault}; the {frames} before that are done" if made.fault else ""
    return Filmed(f"{called}: {frames}, {people}, {rate} -> {place}", fault, note)


def _kept(made: Summary, called: str, place: Path) -> Filmed:
    """How it went with a clip that ended too early, while complete results were there."""
    stay = f"the complete results of before stay in {place}"
    if made.fault:
        return Filmed("", f"{made.fault}; {stay}", "")
    return Filmed(f"{called}: stopped after {counted(made.frames, 'frame')}; {stay}", "", "")


def _complete(results: Path, files: Sequence[Path], clip: Path) -> bool:
    """Whether an earlier run has left complete results, none of which is the clip itself."""
    there = [file for file in files if file.exists()]
    if _note_of(results).exists() or any(file.samefile(clip) for file in there):
        return False
    return any(file in there for file in files[:-1])


@contextmanager
def _draft(results: Path) -> Iterator[Path]:
    """A hidden folder beside complete results for what may replace them; it goes in the end."""
    folder = results.parent
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as draft:
        try:
            yield Path(draft)
        except OSError as fault:  # names a file by the place where it is to be
            raise type(fault)(str(fault).replace(draft, str(folder))) from fault


def _settle(draft: Path, results: Path, files: Sequence[Path]) -> None:
    """Put complete results into the place of older ones; a folder keeps what else it holds."""
    with _marked(results, files):
        for file in [p for p in draft.rglob("*") if p.is_file()]:
            place = results.parent / file.relative_to(draft)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    _mark(results, "")


@contextmanager
def _marked(results: Path, files: Iterable[Path]) -> Iterator[Path]:
    """A note beside results that are under way; it stays where work that fails has left some.

    Gives their folder.

    Args:
        results: their path, without suffix.
        files: of them.
    """
    _mark(results, "broken off")
    try:
        yield results.parent
    except BaseException:
        if not any(file.exists() for file in files):
            _mark(results, "")
        raise


def _mark(results: Path, why: str) -> None:
    """Leave a note why a clip's results are incomplete; take it away where they are not."""
    path = _note_of(results)
    if why:
        save_text(path, f"{why}\n")
    else:
        path.unlink(missing_ok=True)


def _note_of(results: Path) -> Path:
    return results.with_name(f"{results.name}{INCOMPLETE}")


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
