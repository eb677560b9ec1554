"""What every page and route of one server shares."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posegram.pose import Estimate, Image, People
from posegram.web.jobs import Queue
from posegram.web.meters import Meters
from posegram.web.results import Results
from posegram.web.settings import Settings
from posegram.web.shelf import Shelf

__all__ = ["Busy", "Service", "core_count"]


_BLANK = np.zeros((480, 640, 3), dtype=np.uint8)
_SOMEBODY = np.array([[240, 40, 400, 440]], dtype=np.float32)  # where one person could be in it


class Busy(Exception):
    """All cores work; the caller should come back in a second."""


def _trial(estimate: Any) -> float:
    """Seconds that a loaded model takes for a picture of one person.

    Nobody is in the blank one, so the search and the look at a person are asked for each.
    """
    seconds = 0.0
    for _ in range(2):  # the first look takes longer
        started = time.perf_counter()
        if estimate.detect is not None:
            estimate(_BLANK)
        estimate(_BLANK, _SOMEBODY)
        seconds = time.perf_counter() - started
    return seconds


def core_count(settings: Settings) -> int:
    """How many pictures are looked at side by side."""
    if settings.cores:
        return settings.cores
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Service:
    """The models, stores, locks and counters of one server; `app.extensions["posegram"]`."""

    settings: Settings
    shelf: Shelf
    store: Results
    queue: Queue
    slots: threading.BoundedSemaphore  # around all inference: as many as there are cores
    live: threading.BoundedSemaphore  # one per live connection
    meters: Meters = field(default_factory=Meters)
    stopping: threading.Event = field(default_factory=threading.Event)  # set on SIGTERM

    @classmethod
    def of(cls, settings: Settings) -> Service:
        """A server's shared parts; makes its folders.

        Raises:
            OSError: a folder cannot be made.
            ValueError: a model on offer is none.
        """
        settings.make_folders()
        return cls(
            settings=settings,
            shelf=Shelf.of(settings.models, detector=settings.detector),
            store=Results.of(settings),
            queue=Queue.of(settings),
            slots=threading.BoundedSemaphore(core_count(settings)),
            live=threading.BoundedSemaphore(settings.max_live),
        )

    def estimate(self, name: str = "") -> Estimate:
        """A model on offer, loaded and timed once for all; errors as `Shelf.estimate`.

        Who asks while it is timed waits, so that as many trials as callers do not share the cores.
        """
        name = self.shelf.known(name)
        estimate = self.shelf.estimate(name)
        if not self.meters.knows(name) and hasattr(estimate, "detect"):
            with self.shelf.locks[name]:  # free again: the model is loaded
                if not self.meters.knows(name):
                    self.meters.tried(name, _trial(estimate))
        return estimate

    def models(self) -> list[dict[str, Any]]:
        """What GET /v1/models lists."""
        return self.shelf.entries(self.meters.milliseconds())

    def warm(self) -> None:
        """Load the default model and let it look once: the first visitor should not wait."""
        estimate = self.estimate()
        if not self.meters.knows(self.shelf.default):  # a Keypoint R-CNN: one slow look is enough
            started = time.perf_counter()
            estimate(_BLANK)
            self.meters.tried(self.shelf.default, time.perf_counter() - started)

    def look(self, model: str, image: Image) -> People:
        """The people in an image (H, W, 3) uint8 RGB; the caller holds a slot."""
        estimate = self.estimate(model)
        started = time.perf_counter()
        people = estimate(image)
        self.meters.looked(self.shelf.known(model), time.perf_counter() - started)
        self.meters.people.inc(len(people))
        return people

    @contextmanager
    def slot(self, seconds: float | None = None) -> Iterator[None]:
        """A core for one picture.

        Raises:
            Busy: none came free within so many seconds; `settings.slot_seconds` without them.
        """
        wait = self.settings.slot_seconds if seconds is None else seconds
        if not self.slots.acquire(timeout=wait):
            self.meters.busy.inc()
            raise Busy
        try:
            yield
        finally:
            self.slots.release()
