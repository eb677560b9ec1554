"""Bars that tell how work goes, on a terminal; nothing where standard error is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["bar", "watched"]

_Thing = TypeVar("_Thing")


def bar(*more: ProgressColumn) -> Progress:
    """A bar, to be used in `with`; more columns stand before the time that is left."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *more)
    made = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    made.disable = not console.is_terminal
    return made


def watched(things: Iterable[_Thing], what: str, total: int | None = None) -> Iterator[_Thing]:
    """The things one by one, with a bar that calls them so; `total` where they have no length."""
    with bar() as shown:
        yield from shown.track(things, total=total, description=what)
