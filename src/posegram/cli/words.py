"""Sentences that several verbs print, and numbers of things in them."""

from __future__ import annotations

from typing import Any

import typer

from posegram.pose import SKELETONS

__all__ = ["SKELETON", "counted", "tell_whole"]

# help of --skeleton where people are found
SKELETON = f"{', '.join(SKELETONS)}; else the model's own, of body19 those of coco17."


def counted(count: int, one: str, many: str = "") -> str:
    """So many things in words; `many` are the one with an s without it.

    >>> counted(1, "photo"), counted(1200, "person", "people")
    ('1 photo', '1,200 people')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def tell_whole(estimate: Any, detector: str) -> None:
    """Say that each picture is taken as one person, where nobody asked for that.

    Args:
        estimate: as `posegram.load` gives it.
        detector: what was asked for; "" for nothing.
    """
    if not detector and getattr(estimate, "detect", detector) is None:
        said = (
            f"{estimate.card.name} has no joints of a person's body that we know, so each picture"
        )
        typer.echo(f"posegram: {said} is taken as one; --detector detector finds people", err=True)
