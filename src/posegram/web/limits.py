"""Limits that a process sets on itself, so that a hostile file costs that process at most.

The standard library knows them on Linux and macOS only, where `posegram serve` runs, too.
"""

from __future__ import annotations

import sys

__all__ = ["memory", "no_files", "processor_time"]


def memory(size: int) -> None:
    """Refuse this process more than so many bytes of address space."""
    import resource  # not on every system

    if sys.platform == "darwin":  # which has the limit's name and refuses every value
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_within(size, hard), hard))


def processor_time(seconds: float) -> None:
    """End this process by a signal after so many more seconds on a processor."""
    import resource  # not on every system

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (_within(soft, hard), hard))


def _within(wanted: int, hard: int) -> int:
    """What is wanted, or what is allowed where that is less; no hard limit is a negative number."""
    return wanted if hard < 0 else min(wanted, hard)


def no_files() -> None:
    """Refuse this process to write to any file."""
    import resource  # not on every system

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
