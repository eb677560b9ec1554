"""A server as a person starts it, and clips for it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import tiny
from posegram.video import Writer
from posegram.web.settings import VARIABLE, Settings

PATIENCE = 180.0  # seconds; a computer may be busy with other work


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings of a quick server: a network whose answer is known, and no detector."""
    model = folder / "still.onnx"
    if not model.exists():
        tiny.constant(model)
    quick = {"models": (str(model),), "detector": "none", "cores": 2, "lease_seconds": 1.0}
    return Settings(folder=folder / "instance", **(quick | changes))


def clip(path: Path, count: int = 30, size: tuple[int, int] = (48, 64)) -> Path:
    """A clip of so many frames at 25 a second, a bright bar moving over each."""
    with Writer(path, size, fps=25) as out:
        for n in range(count):
            image = np.full((*size, 3), 40, dtype=np.uint8)
            at = n % (size[1] - 8)
            image[:, at : at + 8] = 220
            out.write(image, n / 25)
    return path


def until(done: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `done` gives as soon as it gives something; fails when it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = done()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {done}")


@contextmanager
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The process that works clips off."""
    process = subprocess.Popen(
        [sys.executable, "-m", "posegram.web.worker"],
        env={**os.environ, VARIABLE: settings.to_json()},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Served:
    """A running `posegram serve`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log
        self.address = until(self._address)

    def _address(self) -> str:
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"posegram is at (http://\S+)/", self.log.read_text())
        return found[1] if found else ""

    def ask(
        self, path: str, data: bytes | None = None, *, method: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of an answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = urllib.request.Request(self.address + path, data, named, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    def json(self, path: str, data: bytes | None = None, **options: Any) -> Any:
        """The JSON value of an answer."""
        return json.loads(self.ask(path, data, **options)[1])

    def stop(self) -> tuple[int, float]:
        """Exit code, and the seconds that it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE), time.monotonic() - begun


@contextmanager
def served(folder: Path, *options: str, model: bool = True) -> Iterator[Served]:
    """`posegram serve` with a quick model on a free port."""
    chosen = settings_for(folder)
    own = ["--model", chosen.models[0], "--detector", "none"] if model else []
    command = [sys.executable, "-m", "posegram", "serve", "--port", "0", *own]
    log = folder / "serve.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--folder", str(chosen.folder), *options], stderr=out, stdout=out, text=True
        )
    try:
        yield Served(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
