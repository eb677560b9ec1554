"""Load on a server: many uploads at a time, then live connections; one table each.

    python bench/load.py                                     # starts a server of its own
    python bench/load.py --url http://127.0.0.1:8000         # an own one's memory is told only here
    python bench/load.py --uploads 500 --at-a-time 16 --live 1 8 --seconds 600

A refused upload (503, 429) is sent again after `Retry-After`, as a good client does; `lost` counts
those that were never answered by 200. A live client sends 640x480 JPEGs, at most two under way,
without a pause between them, so its frames per second are the most that it can get. Exit code 1:
something was lost, or answered in another way than by joints or a word to come back.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import simple_websocket

PHOTO = Path(__file__).parent.parent / "docs" / "astronaut.jpg"
HEADER = struct.Struct("<IdHH")  # of a live frame, see posegram.web.live


@dataclass
class Seen:
    """What the clients of one run saw; appended to from many threads."""

    seconds: list[float] = field(default_factory=list)  # of each answer
    when: list[float] = field(default_factory=list)  # since the start, of each answer
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: float = field(default_factory=time.perf_counter)

    def note(self, answer: str, sent: float) -> None:
        now = time.perf_counter()
        with self.lock:
            self.answers[answer] += 1
            if answer in ("200", "frame"):
                self.seconds.append(now - sent)
                self.when.append(now - self.begun)


@contextmanager
def own_server(options: list[str]) -> Iterator[tuple[str, int]]:
    """Address and process id of a server that lives as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "serve.log"
        command = [sys.executable, "-m", "posegram", "serve", "--port", "0", "--folder", folder]
        with log.open("w") as out:
            begun = time.perf_counter()
            process = subprocess.Popen([*command, *options], stderr=out)
        try:
            while not (found := re.search(r"posegram is at (http://\S+)/", log.read_text())):
                if process.poll() is not None:
                    raise OSError(f"the server did not start: {log.read_text()}")
                time.sleep(0.01)
            print(f"ready {time.perf_counter() - begun:.1f} s after its start\n")
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait()


def memory(pid: int | None) -> float:
    """Resident megabytes of a process and all below it."""
    if pid is None:
        return float("nan")
    total, todo = 0.0, [pid]
    while todo:
        one = todo.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            todo += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
        total += int((re.search(r"VmRSS:\s+(\d+)", status) or [0, 0])[1]) / 1024
    return total


def upload(url: str, photo: bytes, seen: Seen, todo: Iterator[int], tries: int) -> None:
    """Send photos until none is left; each until it is answered by 200."""
    host = urlsplit(url).netloc
    line = http.client.HTTPConnection(host, timeout=120)
    for _ in todo:
        for _ in range(tries):
            sent = time.perf_counter()
            try:
                line.request("POST", "/v1/pose/image", photo, {"Content-Type": "image/jpeg"})
                answer = line.getresponse()
                body = answer.read()
            except OSError as fault:
                seen.note(type(fault).__name__, sent)
                line.close()
                continue
            seen.note(str(answer.status), sent)
            if answer.status == 200:
                if not json.loads(body)["people"]:
                    seen.note("nobody", sent)
                break
            if answer.status not in (429, 503):
                break
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        else:
            seen.note("lost", time.perf_counter())
    line.close()


def uploads(url: str, pid: int | None, count: int, at_a_time: int) -> int:
    """Upload photos side by side and print what came of it; how many were lost or met a 500."""
    photo, seen = PHOTO.read_bytes(), Seen()
    todo = iter(range(count))
    lock = threading.Lock()

    def shared() -> Iterator[int]:
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            yield number

    before = memory(pid)
    run(
        [
            threading.Thread(target=upload, args=(url, photo, seen, shared(), 200))
            for _ in range(at_a_time)
        ]
    )
    seconds = time.perf_counter() - seen.begun
    good = seen.answers["200"]
    print(f"{count} uploads, {at_a_time} at a time")
    row("answered by 200", f"{good}", f"{good / seconds:.1f}/s")
    row("lost", f"{count - good}", "")
    others = {k: n for k, n in sorted(seen.answers.items()) if k != "200"}
    row("other answers", " ".join(f"{k}: {n}" for k, n in others.items()) or "none", "")
    row("milliseconds", latencies(seen.seconds), "p50 p95 p99")
    row("memory, MB", f"{before:.0f} -> {memory(pid):.0f}", "")
    print()
    return count - good + seen.answers["500"]


def live(url: str, seen: Seen, until: float, jpegs: list[bytes]) -> None:
    """Be one live client until a moment."""
    address = url.replace("http", "ws", 1) + "/v1/live"
    try:
        socket = simple_websocket.Client(address, max_message_size=1 << 22)
    except (OSError, simple_websocket.ConnectionError) as fault:
        seen.note(type(fault).__name__, time.perf_counter())
        return
    sent: dict[int, float] = {}  # frames under way, by number
    numbers = itertools.count()
    try:
        while time.perf_counter() < until or sent:
            while len(sent) < 2 and time.perf_counter() < until:
                number, now = next(numbers), time.perf_counter()
                socket.send(HEADER.pack(number, now, 640, 480) + jpegs[number % len(jpegs)])
                sent[number] = now
            message = socket.receive(timeout=60)
            if message is None:
                seen.note("silence", time.perf_counter())
                return
            hear(json.loads(message), sent, seen)
    except simple_websocket.ConnectionClosed as closed:
        seen.note(f"closed {closed.reason}", time.perf_counter())
    finally:
        socket.close()


def hear(told: dict[str, Any], sent: dict[int, float], seen: Seen) -> None:
    """Note one answer; frames before the one that it is of were dropped for it."""
    if "sequence" not in told:
        return  # the greeting
    kind = "busy" if told.get("busy") else "error" if "error" in told else "frame"
    for number in [n for n in sent if n <= told["sequence"]]:
        seen.note(kind if number == told["sequence"] else "dropped", sent.pop(number))


def lives(url: str, pid: int | None, clients: int, seconds: float) -> int:
    """Let live clients send for a while and print what they saw, over time and in all.

    Returns:
        How many answers were neither joints nor a word of what to do instead.
    """
    photo = cv2.imread(str(PHOTO))
    jpegs = []
    for shift in range(30):  # somebody who moves
        frame = np.full((480, 640, 3), 90, dtype=np.uint8)
        frame[:, 2 * shift + 40 : 2 * shift + 520] = cv2.resize(photo, (480, 480))
        jpegs.append(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes())
    every = [Seen() for _ in range(clients)]
    begun = time.perf_counter()
    until = begun + seconds
    threads = [
        threading.Thread(target=live, args=(url, seen, until, jpegs), daemon=True) for seen in every
    ]
    print(f"{clients} live, 640x480, {len(jpegs[0]) / 1000:.0f} KB a frame, {seconds:g} s")
    sizes = [(0.0, memory(pid))]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(1.0, seconds / 10))
        sizes.append((time.perf_counter() - begun, memory(pid)))
    parts = min(10, max(2, int(seconds // 5)))
    row("seconds", "frames/s in all   p50 p95 p99 ms", "memory, MB")
    for n in range(parts):
        low, high = seconds * n / parts, seconds * (n + 1) / parts
        some = [
            s
            for seen in every
            for s, w in zip(seen.seconds, seen.when, strict=True)
            if low <= w < high
        ]
        size = next((mb for at, mb in sizes if at >= high - 1), sizes[-1][1])
        told = f"{len(some) / (high - low):8.1f}          {latencies(some)}"
        row(f"{low:.0f} to {high:.0f}", told, f"{size:.0f}")
    rates = sorted(len(seen.seconds) / seconds for seen in every)
    row("frames/s a client", f"{rates[0]:.1f} to {rates[-1]:.1f}", "")
    row("milliseconds", latencies([s for seen in every for s in seen.seconds]), "p50 p95 p99")
    total = sum((seen.answers for seen in every), Counter())
    row("answers", " ".join(f"{k}: {n}" for k, n in sorted(total.items())), "")
    print()
    return sum(n for kind, n in total.items() if kind not in ("frame", "dropped", "busy"))


def latencies(seconds: list[float]) -> str:
    """Median, 95th and 99th percentile in milliseconds."""
    if not seconds:
        return "-"
    return " ".join(f"{1000 * v:.0f}" for v in np.percentile(seconds, [50, 95, 99]))


def row(name: str, value: str, unit: str) -> None:
    print(f"  {name:<18} {value:<44} {unit}", flush=True)


def run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", help="of a running server; without it, one is started")
    parser.add_argument("--uploads", type=int, default=500)
    parser.add_argument("--at-a-time", type=int, default=16)
    parser.add_argument("--live", type=int, nargs="*", default=[1, 8], help="clients of each run")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each live run")
    parser.add_argument(
        "--serve", nargs=argparse.REMAINDER, default=[], help="options of the own server"
    )
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if args.url:
        sys.exit(min(measure(args, args.url.rstrip("/"), None), 1))
    most = max(args.live, default=1)
    with own_server(["--live", str(max(most, 8)), *args.serve]) as (url, pid):
        faults = measure(args, url, pid)
    sys.exit(min(faults, 1))


def measure(args: argparse.Namespace, url: str, pid: int | None) -> int:
    """Do all that was asked for; how much went wrong."""
    faults = uploads(url, pid, args.uploads, args.at_a_time) if args.uploads else 0
    for clients in args.live:
        faults += lives(url, pid, clients, args.seconds)
    return faults


if __name__ == "__main__":
    main()
