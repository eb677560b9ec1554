"""What a stranger's clip says of itself, learnt in a process of its own under tight limits.

A decoder may crash, hang or take all memory over a clip made for that: then only this process goes.
`python -m posegram.web.peek CLIP` writes one JSON object; nothing where the clip cannot be decoded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from posegram.video import probe
from posegram.web import limits

__all__ = ["MEMORY", "PATIENCE", "SECONDS", "facts", "main"]

SECONDS = 3  # of processor time
PATIENCE = 30  # seconds of wall time, for a computer that is busy with other work
MEMORY = 2 << 30  # bytes of address space

_NAMES = ("width", "height", "seconds", "count")


def facts(path: Path) -> dict[str, Any]:
    """Width, height, seconds and count of frames of a clip whose first frame decodes.

    Raises:
        TimeoutError: the computer is too busy to look.
        ValueError: the clip cannot be decoded within the limits.
    """
    command = [sys.executable, "-m", "posegram.web.peek", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as fault:
        raise TimeoutError("the computer is too busy to look at the video") from fault
    if done.returncode != 0:
        raise ValueError("the video is damaged, cut off or of a kind that cannot be decoded")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(path: str) -> None:
    """Write a clip's facts to standard output."""
    limits.memory(MEMORY)
    limits.processor_time(SECONDS)
    limits.no_files()
    clip = probe(Path(path), trusted=False)
    sys.stdout.write(json.dumps({name: getattr(clip, name) for name in _NAMES}))


if __name__ == "__main__":
    main(sys.argv[1])
