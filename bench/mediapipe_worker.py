"""MediaPipe's pose network in a Python of its own: `peers.MediaPipe` starts it and talks to it.

Standard input: a line of JSON {"height": H, "width": W}, then H x W x 3 bytes of RGB; and so on.
Standard output: at first a line of JSON {"megabytes": of the networks}, then for each picture one
line {"ms": CPU milliseconds of this process, "joints": 33 x [x, y, visibility] as shares of the
width and height, or null where nobody was found}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Answer pictures until standard input ends."""
    # the library may print to standard output: keep that for the answers alone
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import mediapipe
    import numpy as np

    folder = Path(mediapipe.__file__).parent / "modules"
    names = ("pose_detection/pose_detection.tflite", "pose_landmark/pose_landmark_full.tflite")
    size = sum((folder / name).stat().st_size for name in names)
    pose = mediapipe.solutions.pose.Pose(static_image_mode=True, model_complexity=1)
    print(json.dumps({"megabytes": size / 1e6}), file=out, flush=True)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        shape = asked["height"], asked["width"], 3
        raw = sys.stdin.buffer.read(shape[0] * shape[1] * 3)
        picture = np.frombuffer(raw, dtype=np.uint8).reshape(shape)
        start = time.process_time()
        found = pose.process(picture).pose_landmarks
        spent = 1000 * (time.process_time() - start)
        joints = None if found is None else [[p.x, p.y, p.visibility] for p in found.landmark]
        print(json.dumps({"ms": spent, "joints": joints}), file=out, flush=True)


if __name__ == "__main__":
    main()
