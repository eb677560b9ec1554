import json
import socket
import threading
import time
import urllib.request

import cv2
import numpy as np
import pytest

from posegram.web.show import Screen, create_app, shown


def picture(grey, size=(60, 80)):
    return np.full((*size, 3), grey, dtype=np.uint8)


def decoded(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def client(screen):
    app = create_app(screen)
    app.testing = True
    return app.test_client()


def get(client, path, host="127.0.0.1:5000"):
    return client.get(path, headers={"Host": host})


# the page


def test_the_page_shows_the_stream(client):
    answer = get(client, "/")
    assert (answer.status_code, b'src="/stream"' in answer.data) == (200, True)


@pytest.mark.parametrize(
    ("path", "kind"), [("/page.css", "text/css"), ("/page.js", "text/javascript")]
)
def test_its_parts_have_their_kinds(client, path, kind):
    assert get(client, path).mimetype == kind


def test_numbers_that_change_all_the_time_are_not_read_out(client):
    """A live region would have screen readers speak without end."""
    page = get(client, "/").data
    assert (b"role=" in page, b"aria-live" in page) == (False, False)


def test_nothing_comes_from_elsewhere(client):
    policy = get(client, "/").headers["Content-Security-Policy"]
    assert policy == "default-src 'self'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    "host", ["evil.example:5000", "192.168.1.2:5000", "127.0.0.1.evil.example:5000"]
)
@pytest.mark.parametrize("path", ["/", "/stream", "/now"])
def test_another_name_of_this_computer_is_refused(client, host, path):
    assert get(client, path, host).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_at_the_usual_port_a_browser_names_none(client, host):
    assert get(client, "/", host).status_code == 200


def test_numbers_tell_rate_and_people(screen, client):
    for _ in range(3):
        screen.put(picture(9), people=2)
        time.sleep(0.01)
    told = json.loads(get(client, "/now").data)
    assert (told["frames"], told["people"], told["fps"] > 0) == (3, 2, True)


# the screen


def test_before_the_second_picture_there_is_no_rate(screen):
    screen.put(picture(9))
    assert screen.fps == 0.0


def test_a_watcher_gets_the_newest_picture(screen):
    stream = screen.pictures()
    screen.put(picture(10))
    first = next(stream)
    screen.put(picture(200))
    assert [int(decoded(j).mean().round()) for j in (first, next(stream))] == [10, 200]


def test_large_pictures_are_sent_smaller(screen):
    screen.put(picture(10, (900, 1600)))
    assert decoded(next(screen.pictures())).shape == (720, 1280, 3)


def test_a_closed_screen_ends_its_streams(screen):
    seen = []
    watcher = threading.Thread(target=lambda: seen.extend(screen.pictures()))
    watcher.start()
    screen.close()
    watcher.join(10)
    assert (watcher.is_alive(), seen) == (False, [])


# the server


def test_a_stream_is_pictures_one_after_another():
    with shown() as (screen, address):
        screen.put(picture(77))
        with urllib.request.urlopen(f"{address}stream", timeout=10) as answer:
            boundary = answer.headers["Content-Type"].partition("boundary=")[2]
            head = [answer.readline().strip() for _ in range(4)]
            data = answer.read(int(head[2].split()[1]))
    assert (head[0].decode(), head[1]) == (f"--{boundary}", b"Content-Type: image/jpeg")
    assert decoded(data).mean() == pytest.approx(77, abs=2)


def test_requests_are_not_told_to_the_terminal(caplog):
    with caplog.at_level("INFO"), shown() as (_, address):
        urllib.request.urlopen(address, timeout=60).close()
    assert caplog.records == []


def test_only_this_computer_is_served():
    with shown() as (_, address):
        assert address.startswith("http://127.0.0.1:")


def test_the_server_ends_with_its_block():
    with shown():
        during = [thread.name for thread in threading.enumerate()]
    after = [thread.name for thread in threading.enumerate()]
    assert ("posegram-screen" in during, "posegram-screen" in after) == (True, False)


def test_a_taken_port_is_told(capfd):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="is it taken by another program"):
            shown(other.getsockname()[1]).__enter__()
