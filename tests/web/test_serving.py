"""gunicorn as the server runs it; its threads and its log are seen from outside."""

import http.client
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import simple_websocket

import serving


def lines(log):
    """The JSON objects among a log's lines."""
    found = []
    for line in log.read_text().splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def test_an_answer_leaves_one_line_in_the_log(server):
    server.ask("/v1/results/" + "b" * 32 + ".json")
    found = serving.until(lambda: [e for e in lines(server.log) if e.get("status") == 404])
    assert found[-1]["route"].startswith("/v1/results/<key:key>")
    assert "b" * 32 not in server.log.read_text()


def test_gunicorns_own_messages_are_json_lines(tmp_path):
    with serving.served(tmp_path) as running:
        pids = subprocess.run(
            ["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True, check=True
        )
        master = [pid for pid in pids.stdout.split() if b"gunicorn" in command(pid)]
        inner = subprocess.run(
            ["pgrep", "-P", master[0]], capture_output=True, text=True, check=True
        ).stdout.split()
        os.kill(int(inner[0]), signal.SIGKILL)
        found = serving.until(
            lambda: [e for e in lines(running.log) if e.get("logger") == "gunicorn.error"]
        )
    assert "SIGKILL" in found[0]["message"]


def command(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def reason_of_the_end(socket) -> int:
    """Why a server closed a connection, once what it had said before is read."""
    while True:
        try:
            socket.receive(timeout=5)
        except simple_websocket.ConnectionClosed as closed:
            return closed.reason


def test_a_server_stops_while_live_connections_are_open(tmp_path):
    with serving.served(tmp_path) as running:
        address = running.address.replace("http", "ws") + "/v1/live"
        sockets = [simple_websocket.Client(address) for _ in range(3)]
        for socket in sockets:
            socket.send("no frame")
            assert socket.receive(timeout=serving.PATIENCE)
        code, _ = running.stop()
        assert code == 0
        assert [reason_of_the_end(socket) for socket in sockets] == [1001] * 3


def test_a_client_that_stalls_does_not_stop_others(server):
    host = server.address.removeprefix("http://")
    stalled = []
    for _ in range(8):
        asked = http.client.HTTPConnection(host, timeout=serving.PATIENCE)
        asked.putrequest("POST", "/v1/pose/image")
        asked.putheader("Content-Type", "image/png")
        asked.putheader("Content-Length", "1000")
        asked.endheaders(b"half")
        stalled.append(asked)
    time.sleep(0.2)
    assert server.ask("/healthz")[0] == 200
    for asked in stalled:
        asked.close()
