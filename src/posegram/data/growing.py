"""A text file that grows piece by piece and holds whole pieces alone, also on a full disk."""

from __future__ import annotations

from pathlib import Path

from posegram.files import draft_of

__all__ = ["Growing"]


class Growing:
    """A file under way, which appears under its name when it is done.

    What is written waits in memory for `keep`, which puts it into the file whole or not at all.

    Attributes:
        path: the file.
        part: where it grows: a hidden file beside it.
    """

    def __init__(self, path: Path) -> None:
        """An empty file.

        Raises:
            FileNotFoundError: the folder does not exist.
            OSError: the file cannot be written.
        """
        self.path, self.part = path, draft_of(path)
        self._waiting: list[str] = []
        self._entries = self._kept = 0  # of the list that the file is in; in the file already
        try:
            self._file = self.part.open("wb", buffering=0)
        except OSError as fault:
            raise self._named(fault) from fault

    def write(self, text: str) -> None:
        """Append a text."""
        self._waiting.append(text)

    def entry(self, text: str) -> None:
        """Append an entry of the JSON list in which the file is, with the comma before it."""
        self.write((",\n" if self._entries else "\n") + text)
        self._entries += 1

    def keep(self) -> None:
        """Put what waits into the file.

        Raises:
            OSError: it cannot be written, and nothing of it was.
        """
        # a file's name may be no UTF-8; what was found in it is kept, its name written with escapes
        text = "".join(self._waiting).encode("utf-8", "backslashreplace")
        data, end = memoryview(text), self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except BaseException as fault:  # Ctrl-C leaves no half piece either
            self._file.seek(end)
            self._file.truncate()
            self.forget()
            if isinstance(fault, OSError):
                raise self._named(fault) from fault
            raise
        self._waiting.clear()
        self._kept = self._entries

    def forget(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._entries = self._kept

    def done(self) -> None:
        """Keep what waits and put the file into its place; errors as `keep`."""
        self.keep()
        self._file.close()
        try:
            self.part.replace(self.path)
        except OSError as fault:
            raise self._named(fault) from fault

    def drop(self) -> None:
        """Leave nothing behind; a file that is done stays."""
        self._file.close()
        self.part.unlink(missing_ok=True)

    def _named(self, fault: OSError) -> OSError:
        return type(fault)(f"cannot write {self.path}: {fault.strerror}")
