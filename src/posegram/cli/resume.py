"""Photos looked at chunk by chunk, so that an interrupted run of `posegram label` goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from posegram.cli.bars import bar
from posegram.cli.crew import in_order
from posegram.data import door
from posegram.infer.label import Task

__all__ = ["begin", "records_of"]

_CHUNK = 32  # photos whose results are kept together: what a killed run loses at most


def _stamp(photo: Path) -> list[int]:
    """Size in bytes and time of the last change of a file, ns; nothing where there is none."""
    try:
        found = photo.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def begin(parts: Path, settings: dict[str, Any]) -> None:
    """A folder for the results of these settings, new or that of an interrupted run.

    Raises:
        ValueError: the folder holds results of other settings.
    """
    path = parts / "settings.json"
    if not path.exists():
        door.save_json(path, settings)
        return
    before = door.load_json(path)
    other = sorted(k for k in settings.keys() | before.keys() if settings.get(k) != before.get(k))
    if other:
        advice = "repeat that command to go on, or delete the folder to begin anew"
        raise ValueError(f"{parts} is of a run with another {', '.join(other)}; {advice}")


def records_of(
    work: Sequence[Task], one: Callable[[Task], dict[str, Any]], parts: Path, crew: int
) -> list[dict[str, Any]]:
    """A record for each photo, from finished chunks or made now, with a bar on a terminal."""

    def known_or_made(task: Task, known: dict[str, Any]) -> dict[str, Any]:
        # what failed may have been mended since, and a photo replaced by another of its name
        stamp = _stamp(task.photo)
        same = known and "failed" not in known and known.get("stamp") == stamp
        return known if same else one(task) | {"stamp": stamp}

    records: list[dict[str, Any]] = []
    with _resumable(), bar() as shown:
        photos = shown.add_task("photos", total=len(work))
        for start in range(0, len(work), _CHUNK):
            path = parts / f"{start:07d}.json"
            tasks = work[start : start + _CHUNK]
            before = door.load_json(path) if path.exists() else []
            before += [{}] * (len(tasks) - len(before))
            chunk = []
            pairs = zip(tasks, before, strict=False)
            for record in in_order(lambda pair: known_or_made(*pair), pairs, crew):
                chunk.append(record)
                shown.advance(photos)
            if chunk != before:
                door.save_json(path, chunk)
            records += chunk
    return records


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("posegram: stopped; the same command goes on from here", err=True)
        raise
