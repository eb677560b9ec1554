"""Several photos side by side: one on each core takes less time than all cores on each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2

from posegram.infer.load import BUNDLED, DETECTOR, sized
from posegram.infer.onnx import threads_for
from posegram.infer.openvino import has_openvino
from posegram.infer.rcnn_load import is_rcnn

__all__ = ["crew_for", "in_order"]

_Thing = TypeVar("_Thing")
_Answer = TypeVar("_Answer")


def crew_for(photos: int, files: Iterable[str], engine: str, threads: int) -> tuple[int, int]:
    """How many photos to look at side by side, and with how many threads each.

    ONNX Runtime's sessions can be called from several threads, and let Python's lock go while they
    work, as OpenCV does. On two cores of an AMD EPYC, `predict` took 101 instead of 60 photos a
    second (120 COCO photos, in turns). What torch, Keras or OpenVINO run has all cores for each
    photo, and so has a Keypoint R-CNN, for the memory that each look takes.

    Args:
        photos: how many there are to be looked at so.
        files: the model, the detector, as `load` takes them.
        engine: as `load` takes it.
        threads: cores to use; 0 means all physical ones.

    Raises:
        ValueError: `threads` is below 0.
    """
    if engine == "openvino" or (engine == "auto" and has_openvino()):
        return 1, threads
    if not all(map(_can_share, files)):
        return 1, threads
    cores = threads_for(threads)
    crew = max(1, min(photos, cores))
    return crew, cores // crew


def _can_share(file: str) -> bool:
    """Whether photos may be looked at side by side with this model or detector."""
    name, _ = sized(file)
    if name in ("", "none", *BUNDLED, DETECTOR):
        return True
    return Path(name).suffix.lower() == ".onnx" and not is_rcnn(file)


def in_order(
    work: Callable[[_Thing], _Answer], things: Iterable[_Thing], crew: int
) -> Iterator[_Answer]:
    """What `work` makes of each thing, in the things' order; some are worked on ahead of that.

    Things are taken from their iterator as the work goes on, at most three for each of the crew
    before their answers have gone out.
    """
    if crew < 2:
        yield from map(work, things)
        return
    cv2.setNumThreads(1)  # the crew has the cores
    pool = ThreadPoolExecutor(crew, thread_name_prefix="photo")
    ahead: deque[Future[_Answer]] = deque()
    try:
        for thing in things:
            ahead.append(pool.submit(work, thing))
            if len(ahead) >= 3 * crew:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
