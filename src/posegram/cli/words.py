"""Numbers of things in the sentences that verbs print."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str = "") -> str:
    """So many things in words; `many` are the one with an s without it.

    >>> counted(1, "photo"), counted(1200, "person", "people")
    ('1 photo', '1,200 people')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
