"""The process that works clips off, beside the web server and at a lower priority.

It may die at any moment: another one claims its job when the lease runs out, begins it again in a
folder of its own, and the old one, should it still live, can neither beat nor end the job.
"""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from posegram.web import limits, logs, render
from posegram.web.jobs import ACTIVE, Lease, Queue
from posegram.web.results import Results
from posegram.web.settings import Settings
from posegram.web.shelf import Shelf

__all__ = ["Worker", "main"]

_BEAT = 1.0  # seconds
_IDLE = 0.3
_SWEEP = 60.0
_FORGOTTEN = 3600.0  # age in seconds of an upload that no job knows
_NICE = 10
_PATIENCE = 15.0  # for a locked file; a worker has more of it than a visitor
_BACKSTOP = 2.0  # times a try's processor time, after which the system ends this process
_STARVED = 10.0  # times longer may a step take on a computer that is busy with other work

_log = logging.getLogger("posegram.worker")


class _Stopped(Exception):
    """The job at hand is over for this worker."""


@dataclass(eq=False)
class Worker:
    """Claims jobs one after another."""

    settings: Settings
    queue: Queue
    store: Results
    shelf: Shelf
    stopping: threading.Event = field(default_factory=threading.Event)
    moved: tuple[float, float] = (0.0, 0.0)  # the clocks when work last went on, see `_clocks`
    swept: float = -_SWEEP  # by the wall's clock

    @classmethod
    def of(cls, settings: Settings) -> Worker:
        """A worker on a server's folder."""
        settings.make_folders()
        queue = Queue.of(settings, patience=_PATIENCE)
        shelf = Shelf.of(settings.models, detector=settings.detector, threads=0)
        return cls(settings, queue, Results.of(settings), shelf)

    def run(self) -> None:
        """Work until `stopping` is set."""
        while not self.stopping.is_set():
            self.moved = _clocks()
            self.tidy()
            try:
                lease = self.queue.claim()
                if lease is None:
                    self.stopping.wait(_IDLE)
                else:
                    self.work(lease)
            except (sqlite3.Error, OSError) as fault:  # a locked file, a full disk: they pass
                _log.error("cannot go on just now: %s", fault)
                self.stopping.wait(_BEAT)

    def hangs(self, wall: float, worked: float) -> bool:
        """Whether a step has taken too long, at such times of the clocks of `_clocks`."""
        patience = self.settings.lease_seconds + _PATIENCE
        since_wall, since_worked = wall - self.moved[0], worked - self.moved[1]
        # the wall's clock alone would end a healthy worker on a computer busy with other work
        return since_worked > patience or since_wall > _STARVED * patience

    def work(self, lease: Lease) -> None:
        """Do one job to its end, or until it is no longer ours."""
        _log.info("begins", extra={"fields": {"try": lease.tries}})
        pulse = _Pulse(self, lease, total=lease.total)
        folder = self.store.clip(lease.id, lease.tries)
        limits.processor_time(_BACKSTOP * self.settings.job_seconds)
        try:
            frames, said = self._render(lease, folder, pulse)
            ended = self.queue.end(lease, "done", done=frames, total=frames, error=said or None)
        except _Stopped:
            ended = False
        except (ValueError, ImportError, OSError, MemoryError) as fault:
            ended = self._fail(lease, pulse, fault)
            render.remove(folder)
        if not ended:  # cancelled, stopping, or another's by now
            render.remove(folder)
            if self.stopping.is_set():
                self.queue.release(lease)
            return
        self._upload(lease).unlink(missing_ok=True)

    def _render(self, lease: Lease, folder: Path, pulse: _Pulse) -> tuple[int, str]:
        """Fill a job's folder; how many frames it has, and what was wrong with the clip."""
        upload, args = self._upload(lease), lease.args
        if not upload.is_file():
            raise ValueError("the uploaded video is gone")
        self.store.room(upload.stat().st_size)
        for old in range(1, lease.tries):  # what dead workers left
            render.remove(self.store.clip(lease.id, old))
        folder.mkdir(parents=True, exist_ok=True)
        most = args.get("max_people", 0)  # a job of an older server has none
        wanted = render.Wanted(args["model"], args["skeleton"], args["smooth"], most)
        source = Path(upload.name) if Path.cwd() == self.settings.uploads else upload
        return render.make(self.shelf.estimate(wanted.model), source, folder, wanted, pulse)

    def _fail(self, lease: Lease, pulse: _Pulse, fault: Exception) -> bool:
        """End a job that cannot be done; whether it was still ours."""
        said = "it needs too much memory" if isinstance(fault, MemoryError) else str(fault)
        if isinstance(fault, OSError):
            said = "the server could not read or write a file"
        _log.warning("failed: %s", fault)
        for name in (str(self._upload(lease)), lease.args["file"]):
            said = said.replace(name, "the video")
        return self.queue.end(lease, "failed", done=pulse.done, total=pulse.total, error=said)

    def _upload(self, lease: Lease) -> Path:
        return self.settings.uploads / str(lease.args["file"])

    def tidy(self) -> None:
        """Sweep once a minute, in the midst of a long job, too."""
        now = time.monotonic()
        if now - self.swept < _SWEEP:
            return
        self.swept = now
        try:
            self.sweep()
        except (sqlite3.Error, OSError) as fault:  # a minute later it may go
            _log.error("cannot sweep just now: %s", fault)

    def sweep(self) -> None:
        """Remove what nobody needs: dead jobs, old results, uploads without a job."""
        self.queue.sweep(self.store.clip_seconds)
        jobs, active = self.queue.keys(), self.queue.keys(*ACTIVE)
        gone = self.store.sweep(jobs, active=active)
        for path in self.settings.uploads.iterdir():
            known = path.stem in jobs
            if path.stem not in active and (known or _age(path) > _FORGOTTEN):
                path.unlink(missing_ok=True)
                gone += 1
        if gone:
            _log.info("swept", extra={"fields": {"gone": gone}})


@dataclass(eq=False)
class _Pulse:
    """Told of every frame; beats once a second, and stops the work when it is no longer ours."""

    worker: Worker
    lease: Lease
    done: int = 0
    total: int = 0
    beaten: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.process_time)

    def __call__(self, done: int, _: int | None) -> bool:
        """Note that so many frames were looked at.

        Raises:
            ValueError: the clip turns out longer, or its work, than the server allows.
        """
        worker = self.worker
        worker.moved = _clocks()
        now = worker.moved[0]
        self.done, self.total = done, max(self.total, done)
        if done * self.lease.args["pixels"] > worker.settings.clip_pixels:
            raise ValueError("the video has too many pixels in all")
        if time.process_time() - self.began > worker.settings.job_seconds:
            raise ValueError("the video takes more work than this server allows; make it shorter")
        if worker.stopping.is_set():
            raise _Stopped
        if now - self.beaten >= _BEAT:
            self.beaten = now
            if not worker.queue.beat(self.lease, self.done, self.total):
                raise _Stopped
            worker.tidy()
        return True


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _clocks() -> tuple[float, float]:
    """Seconds by the wall's clock, and of processor time that the main thread has taken."""
    if sys.platform != "linux":  # elsewhere a thread's clock can be read by itself alone
        return time.monotonic(), time.process_time()
    main = time.pthread_getcpuclockid(threading.main_thread().ident or 0)
    return time.monotonic(), time.clock_gettime(main)


def _watch(worker: Worker, parent: int) -> None:
    """End the process when a decoder hangs, or when nobody is left who would stop it."""
    while True:
        time.sleep(_BEAT)
        stuck = worker.hangs(*_clocks())
        if stuck or os.getppid() != parent:
            _log.error("hangs" if stuck else "is alone")
            os._exit(70)


def main() -> None:
    """Work for the server whose settings are in the environment, until SIGTERM."""
    settings = Settings.from_environment()
    logs.install()
    os.nice(_NICE)
    limits.memory(settings.worker_memory)
    worker = Worker.of(settings)
    os.chdir(settings.uploads)  # results name the clip as we open it: without the server's folders
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopping.set())
    worker.moved = _clocks()
    threading.Thread(target=_watch, args=(worker, os.getppid()), daemon=True).start()
    worker.run()


if __name__ == "__main__":
    main()
