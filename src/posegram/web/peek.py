"""What a stranger's clip says of itself, learnt in a process of its own under tight limits.

A decoder may crash, hang or take all memory over a clip made for that: then only this process goes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from posegram.web import limits
from posegram.web.errors import Refused
from posegram.web.settings import Settings

__all__ = ["MEMORY", "SECONDS", "facts", "main"]

SECONDS = 4  # of wall time and of processor time
MEMORY = 2 << 30  # bytes of address space

_UNREADABLE = "The video is damaged, cut off or of a kind that cannot be decoded."


def facts(path: Path, settings: Settings) -> dict[str, Any]:
    """Width, height, seconds, count and fps of a clip whose first frame decodes.

    Raises:
        Refused: 413, it is too large or too long; 422, it cannot be decoded.
    """
    command = [sys.executable, "-m", "posegram.web.peek", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as fault:
        raise Refused(422, _UNREADABLE) from fault
    if "width" not in found:
        raise Refused(422, _UNREADABLE)
    _admit(found, settings)
    return found


def _admit(found: dict[str, Any], settings: Settings) -> None:
    pixels, count = found["width"] * found["height"], found["count"] or 0
    if pixels > settings.pixels:
        most = settings.pixels / 1e6
        raise Refused(413, f"A frame of the video has more than {most:g} million pixels.")
    if (found["seconds"] or 0) > settings.clip_seconds:
        raise Refused(413, f"The video is longer than {settings.clip_seconds:g} seconds.")
    if pixels * count > settings.clip_pixels:
        raise Refused(413, "The video has too many pixels in all: make it shorter or smaller.")


def main(path: str) -> None:
    """Write a clip's facts to standard output as JSON; nothing where it cannot be decoded."""
    limits.memory(MEMORY)
    limits.processor_time(SECONDS)
    limits.no_files()
    from posegram.video import probe  # under the limits already

    clip = probe(Path(path), trusted=False)
    names = ("width", "height", "seconds", "count", "fps")
    sys.stdout.write(json.dumps({name: getattr(clip, name) for name in names}))


if __name__ == "__main__":
    main(sys.argv[1])
