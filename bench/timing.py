"""CPU milliseconds, turns and progress: what every measurement here shares."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


def nowhere() -> float:
    """CPU milliseconds spent outside this process by what works inside it: none."""
    return 0.0


def clock(
    work: Callable[..., Any], *given_to: Any, elsewhere: Callable[[], float] = nowhere
) -> tuple[float, Any]:
    """CPU milliseconds of one call, over all threads, and what it gave.

    Args:
        work: what is called.
        given_to: its arguments.
        elsewhere: CPU milliseconds so far in a process of its own, where it has one.
    """
    start, away = time.process_time(), elsewhere()
    given = work(*given_to)
    return 1000 * (time.process_time() - start) + elsewhere() - away, given


def in_turns(count: int, round_number: int) -> list[int]:
    """Everybody's turn in one round; another one begins each time."""
    return [(n + round_number) % count for n in range(count)]


def progress(what: str, done: int, of: int) -> None:
    """Show how far a measurement is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{what} {done}/{of} ", end="\n" if done == of else "", file=sys.stderr, flush=True)
