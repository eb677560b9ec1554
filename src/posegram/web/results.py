"""What was found, kept for a while: joints and overlay of a picture, files of a clip.

A result is a folder `<id>`: of a picture, with its files; of a clip's job, with a folder for each
try. An id is 32 hexadecimal digits out of 122 random bits, and the only key to a result. The
uploaded picture itself is never written.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posegram.web.settings import Settings

__all__ = ["Results", "new_key"]

_HOUR = 3600.0
_PART = "part-"  # begins the name of a folder that is being filled


def new_key() -> str:
    """A name for a result that nobody can guess."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Results:
    """The results in one folder."""

    folder: Path
    picture_seconds: float  # a picture's result is kept so long
    clip_seconds: float
    quota: int  # bytes of all results
    spare: int  # bytes of the disk that stay free

    @classmethod
    def of(cls, settings: Settings) -> Results:
        """The results of a server."""
        return cls(
            folder=settings.results,
            picture_seconds=settings.picture_hours * _HOUR,
            clip_seconds=settings.clip_hours * _HOUR,
            quota=settings.quota_bytes,
            spare=settings.spare_bytes,
        )

    def room(self, wanted: int = 0) -> None:
        """Refuse when so many bytes more would leave less of the disk free than must stay.

        Raises:
            OSError: ENOSPC, there is no room.
        """
        if shutil.disk_usage(self.folder).free < self.spare + wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))

    @contextmanager
    def saving(self, key: str) -> Iterator[Path]:
        """A folder to fill with a picture's files; it becomes the result whole or not at all.

        Raises:
            OSError: there is no room, or the folder cannot be made.
        """
        self.room()
        part = self.folder / f"{_PART}{key}"
        part.mkdir()
        try:
            yield part
            part.rename(self.folder / key)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def picture(self, key: str, name: str) -> Path | None:
        """A file of a picture's result; None where there is none, or no longer."""
        path = self.folder / key / name
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return None
        return path if age <= self.picture_seconds else None

    def clip(self, key: str, tries: int) -> Path:
        """The folder for what one try at a clip gives."""
        return self.folder / key / str(tries)

    def delete(self, key: str) -> bool:
        """Remove a result with all its files; whether there was one."""
        there = (self.folder / key).is_dir()
        shutil.rmtree(self.folder / key, ignore_errors=True)
        return there

    def sweep(
        self, jobs: Collection[str], *, active: Collection[str] = (), now: float = 0.0
    ) -> int:
        """Remove what is too old or was left half done, then the oldest above the quota.

        Args:
            jobs: ids of all jobs; any other folder is a picture's, or an orphan.
            active: ids of the jobs that wait or run, whose folders stay.
            now: seconds since 1970; the clock's without it.

        Returns:
            How many results went.
        """
        now = now or time.time()
        gone, left = 0, []
        for path in [path for path in self.folder.iterdir() if path.name not in active]:
            age = now - _changed(path, now)
            keep = self.clip_seconds if path.name in jobs else self.picture_seconds
            if age > keep:
                shutil.rmtree(path, ignore_errors=True)
                gone += 1
            else:
                left.append((age, path, _size(path)))
        total = sum(size for *_, size in left)
        for _, path, size in sorted(left, reverse=True):
            if total <= self.quota:
                break
            shutil.rmtree(path, ignore_errors=True)
            gone, total = gone + 1, total - size
        return gone


def _changed(path: Path, now: float) -> float:
    """When a folder or anything in it last changed, seconds since 1970; `now` where it has gone."""
    try:
        return max(each.stat().st_mtime for each in (path, *path.rglob("*")))
    except FileNotFoundError:
        return now


def _size(path: Path) -> int:
    """Bytes of a folder's files; those that go meanwhile do not count."""
    total = 0
    for each in path.rglob("*"):
        try:
            total += each.stat().st_size
        except FileNotFoundError:
            continue
    return total
