"""The arguments of a script that takes no options but -h."""

from __future__ import annotations

import sys

__all__ = ["arguments"]


def arguments(words: str | None, least: int) -> list[str]:
    """What the script was given; where that is -h or too little, its own words and the end.

    Args:
        words: its docstring.
        least: how many arguments it needs.
    """
    given = sys.argv[1:]
    asked = bool({"-h", "--help"} & set(given))
    if asked or len(given) < least:
        print(words, file=sys.stdout if asked else sys.stderr)
        raise SystemExit(0 if asked else 2)
    return given
