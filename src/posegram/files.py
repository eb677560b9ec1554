"""Files that appear under their names whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["draft_of", "replacing"]


def draft_of(path: Path, suffix: str = ".part") -> Path:
    """A hidden name beside a file for one under way, another one each time it is asked for.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    return path.with_name(f".{uuid.uuid4().hex}{suffix}")


@contextmanager
def replacing(path: Path, suffix: str = ".part") -> Iterator[Path]:
    """A draft beside a file, to be written in `with`; then it takes the file's place.

    An error in between leaves an older file of that name as it was, and no draft.

    Args:
        path: of the file.
        suffix: of the draft, for writers that look at it.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    draft = draft_of(path, suffix)
    try:
        yield draft
        draft.replace(path)
    finally:
        with suppress(OSError):  # as a rule it is gone: it is the file now
            draft.unlink()
