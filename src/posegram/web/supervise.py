"""The two processes of a server: gunicorn with the app, and one worker for clips beside it."""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from posegram.web.jobs import Queue
from posegram.web.settings import VARIABLE, Settings

__all__ = ["Server", "listen"]

GRACE = 5  # seconds that requests under way get on SIGTERM
_LAST = 3.0  # seconds more before a process is killed
_SILENCE = 30  # seconds after which a client that sends nothing more is dropped
_START = 180.0  # seconds to come up, on a slow computer
_REST = 1.0  # seconds before a dead worker is started again


def listen(host: str, port: int) -> socket.socket:
    """A socket that waits for visitors; port 0 takes a free one.

    Raises:
        OSError: the address is not ours or taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # what a visitor's socket inherits: a client that falls silent must not hold a thread for ever
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _SILENCE, 0))
    try:
        door.bind((host, port))
        door.listen(256)
    except OSError as fault:
        door.close()
        raise OSError(f"cannot listen at {host}:{port}: {fault.strerror}") from fault
    return door


@dataclass(eq=False)
class Server:
    """Runs the processes; `stop` ends them by their own ids."""

    settings: Settings
    door: socket.socket
    say: Callable[[str], None]  # one line for a person
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """Serve until `stopping` is set or the app dies; the exit code."""
        web = self._start(self._gunicorn())
        worker = self._start([sys.executable, "-m", "posegram.web.worker"])
        try:
            if not self._up(web):
                return 0 if self.stopping.is_set() else 1
            self.say(f"posegram is at {self.address}  (Ctrl+C stops it)")
            while not self.stopping.wait(0.2):
                if web.poll() is not None:
                    self.say("posegram: the web server ended by itself")
                    return 1
                if worker.poll() is not None and not self.stopping.wait(_REST):
                    self._free_jobs()
                    worker = self._start([sys.executable, "-m", "posegram.web.worker"])
            return 0
        finally:
            _end([web, worker])

    def _free_jobs(self) -> None:
        """Let a new worker take the dead one's job at once; else it waits for the lease's end."""
        with suppress(sqlite3.Error):
            Queue.of(self.settings).lapse()

    @property
    def address(self) -> str:
        """Where a browser on this computer finds the server."""
        host, port = self.door.getsockname()[:2]
        return f"http://{_reachable(host)}:{port}/"

    def _gunicorn(self) -> list[str]:
        options = {
            "bind": f"fd://{self.door.fileno()}",
            "worker-class": "posegram.web.serving.Threads",
            "logger-class": "posegram.web.serving.Log",
            "workers": 1,  # the model, the locks and the live connections must agree
            "threads": self.settings.max_live + 16,
            "timeout": 120,  # seconds without a sign of life; also of loading
            "graceful-timeout": GRACE,
            "keep-alive": 5,
            "log-level": "warning",
        }
        command = [sys.executable, "-m", "gunicorn", "posegram.web:create_app()"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        return [*command, "--no-control-socket"]

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env={**os.environ, VARIABLE: self.settings.to_json(), "OMP_NUM_THREADS": "1"},
            pass_fds=[self.door.fileno()],
            start_new_session=True,  # Ctrl+C reaches this process alone, which stops the others
            preexec_fn=_follow_into_death,
        )

    def _up(self, web: subprocess.Popen[bytes]) -> bool:
        """Wait for the first answer; whether it came."""
        until = time.monotonic() + _START
        while time.monotonic() < until and not self.stopping.wait(0.05):
            if web.poll() is not None:
                return False
            if self._answers():
                return True
        return False

    def _answers(self) -> bool:
        host, port = self.door.getsockname()[:2]
        asked = http.client.HTTPConnection(_reachable(host).strip("[]"), port, timeout=5)
        try:
            asked.request("GET", "/healthz", headers={"Host": "localhost"})
            return asked.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asked.close()


def _reachable(host: str) -> str:
    """A host to call for an address to listen at, as an URL has it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _follow_into_death() -> None:
    """Ask Linux to end this process when its parent dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE + _LAST
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
