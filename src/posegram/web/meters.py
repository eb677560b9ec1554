"""What /metrics prints: requests, answers, people, live connections."""

from __future__ import annotations

import threading
from collections import deque
from statistics import median

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

__all__ = ["Meters"]

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Meters:
    """The counters of one server; two servers in one process do not mix theirs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "posegram_requests",
            "Answered requests",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "posegram_request_seconds",
            "Time to answer",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.looking = Histogram(
            "posegram_estimate_seconds",
            "Time of a model for one picture",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.following = Histogram(  # most frames need no look of the detector
            "posegram_live_frame_seconds",
            "Time of a model for one live frame",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.people = Counter("posegram_people", "People found", registry=self.registry)
        self.busy = Counter("posegram_busy", "Refused since all cores work", registry=self.registry)
        self.live = Gauge("posegram_live", "Open live connections", registry=self.registry)
        self.frames = Counter(
            "posegram_frames", "Live frames by their answer", ("answer",), registry=self.registry
        )
        self.jobs = Gauge("posegram_jobs", "Video jobs", ("state",), registry=self.registry)
        self._recent: dict[str, deque[float]] = {}
        self._tried: dict[str, float] = {}  # milliseconds, before anybody has sent a picture
        self._lock = threading.Lock()

    def looked(self, model: str, seconds: float) -> None:
        """Note how long a model took for one picture."""
        self.looking.labels(model).observe(seconds)
        with self._lock:
            self._recent.setdefault(model, deque(maxlen=51)).append(1000 * seconds)

    def tried(self, model: str, seconds: float) -> None:
        """Note how long a model took for a picture of ours; what visitors' pictures take is more
        worth."""
        with self._lock:
            self._tried[model] = 1000 * seconds

    def knows(self, model: str) -> bool:
        """Whether a model's time is known."""
        return model in self._tried or model in self._recent

    def milliseconds(self) -> dict[str, float]:
        """Median time of each model's latest pictures, by name; before them, that of ours."""
        with self._lock:
            return self._tried | {name: median(times) for name, times in self._recent.items()}
