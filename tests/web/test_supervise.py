"""The two processes of a server."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import serving
from posegram.web.jobs import Queue
from posegram.web.supervise import Server, listen


def children(pid: int) -> dict[str, int]:
    """The processes that a server started, by what they run."""
    found = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    named = {}
    for child in found:
        with suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            said = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"gunicorn" in said or b"worker" in said:  # not one that is only about to become it
                named["web" if b"gunicorn" in said else "worker"] = int(child)
    return named


def gone(pid: int) -> bool:
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return said.rsplit(")", 1)[1].split()[0] == "Z"


def test_a_taken_port_is_refused_in_one_sentence():
    with listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}: .*in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")]
)
def test_the_address_is_one_that_a_browser_can_open(tmp_path, host, address):
    with listen(host, 0) as door:
        server = Server(serving.settings_for(tmp_path), door, print)
        assert server.address == f"http://{address}:{door.getsockname()[1]}/"


def test_an_ipv6_address_stands_in_brackets(tmp_path):
    if not socket.has_ipv6:
        pytest.skip("this computer has no IPv6")
    try:
        door = listen("::1", 0)
    except OSError:
        pytest.skip("this computer has no IPv6")
    with door:
        server = Server(serving.settings_for(tmp_path), door, print)
        assert server.address.startswith("http://[::1]:")


def test_a_dead_worker_is_started_again(tmp_path):
    with serving.served(tmp_path) as running:
        first = serving.until(lambda: children(running.process.pid).get("worker"))
        os.kill(first, signal.SIGKILL)
        second = serving.until(
            lambda: (now := children(running.process.pid).get("worker")) != first and now
        )
        assert second
        assert running.ask("/healthz")[0] == 200


def test_the_job_of_a_dead_worker_goes_on_before_its_lease_is_over(tmp_path):
    settings = serving.settings_for(tmp_path, lease_seconds=1e6)
    settings.make_folders()
    queue, key = Queue.of(settings), "a" * 32
    serving.clip(settings.uploads / f"{key}.mp4", 600)
    args = {"file": f"{key}.mp4", "model": "still", "skeleton": "", "smooth": False}
    queue.put(key, "film", args | {"pixels": 48 * 64}, total=600)
    with listen("127.0.0.1", 0) as door:
        server = Server(settings, door, print)
        running = threading.Thread(target=server.run)
        running.start()
        try:
            serving.until(lambda: queue.get(key).done)
            os.kill(children(os.getpid())["worker"], signal.SIGKILL)
            job = serving.until(lambda: (j := queue.get(key)).state == "done" and j)
        finally:
            server.stopping.set()
            running.join()
    assert job.tries == 2


def test_a_stop_ends_both_processes(tmp_path):
    with serving.served(tmp_path) as running:
        started = children(running.process.pid)
        code, _ = running.stop()
    assert code == 0
    assert set(started) == {"web", "worker"}
    assert all(gone(pid) for pid in started.values())


def test_a_killed_server_leaves_no_process_behind(tmp_path):
    with serving.served(tmp_path) as running:
        started = children(running.process.pid)
        running.process.kill()
        running.process.wait()
        assert serving.until(lambda: all(gone(pid) for pid in started.values()))


def test_a_web_server_that_ends_by_itself_ends_all(tmp_path):
    with serving.served(tmp_path) as running:
        started = children(running.process.pid)
        os.kill(started["web"], signal.SIGTERM)
        assert running.process.wait(serving.PATIENCE) == 1
    assert "ended by itself" in running.log.read_text()
    assert gone(started["worker"])
