"""Live people over a real WebSocket, with a model that takes no time."""

import dataclasses
import http.client
import json
import struct
import threading
import time

import cv2
import numpy as np
import pytest
import simple_websocket
from werkzeug.serving import make_server

import crowd
from posegram.pose import BODY19, COCO17, MPII16, People
from posegram.web import create_app, live
from posegram.web.settings import Settings

NAMED = "http://pages.example:3000"  # an origin whose pages may connect


def _people(image, skeleton=COCO17):
    """One person whose joints all lie in the middle of the picture."""
    height, width = image.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2], dtype=np.float32)
    xy = np.tile(middle, (1, len(skeleton), 1))
    score = np.full((1, len(skeleton)), 0.9, dtype=np.float32)
    box = np.array([[-0.5, -0.5, width - 0.5, height - 0.5]], dtype=np.float32)
    return People(xy, score, box, skeleton)


def _jpeg(width=64, height=48):
    return cv2.imencode(".jpg", np.full((height, width, 3), 90, dtype=np.uint8))[1].tobytes()


def _message(sequence=1, time=0.0, size=(64, 48), body=None):
    return live.HEADER.pack(sequence, time, *size) + (_jpeg() if body is None else body)


@dataclasses.dataclass
class _Serving:
    """A running server, its shared parts and a gate that every look waits for."""

    port: int
    service: object
    gate: threading.Event
    looks: list

    def connect(self, query=""):
        """A new connection; those before it have ended for the server, too."""
        self.gate.set()
        _until(lambda: self.service.meters.live._value.get() == 0)
        return self.another(query)

    def another(self, query=""):
        return _Client(f"ws://127.0.0.1:{self.port}/v1/live{query}")


class _Client(simple_websocket.Client):
    """A client that reads, too, what came in one packet with the handshake's answer."""

    def handshake(self):
        super().handshake()
        self._handle_events()
        self.connected = True  # a goodbye in that packet counts once the socket is read to its end


def _until(true):
    for _ in range(1500):
        if true():
            return
        time.sleep(0.01)
    raise TimeoutError


def _told(client):
    message = client.receive(timeout=30)
    assert message is not None, "no answer"
    return json.loads(message)


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instance")
    app = create_app(Settings(folder=folder, max_live=2, cores=1, slot_seconds=0.2,
                              origins=(NAMED,)))  # fmt: skip
    service = app.extensions["posegram"]
    gate, looks = threading.Event(), []

    def estimate(image, boxes=None):
        looks.append(image.shape)
        gate.wait(10)
        return _people(image)

    service.shelf.loaded["small"] = estimate
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield _Serving(server.port, service, gate, looks)
    service.stopping.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def socket(serving):
    client = serving.connect()
    serving.looks.clear()
    yield client
    serving.gate.set()
    if client.connected:
        client.close()


def _ask(socket, message):
    socket.send(message)
    return _told(socket)


def test_an_answer_repeats_sequence_and_time(socket):
    told = _ask(socket, _message(sequence=7, time=12.5))
    assert (told["sequence"], told["time"]) == (7, 12.5)


def test_frames_and_people_are_counted(serving, socket):
    serving.gate.set()
    meters = serving.service.meters
    seconds, people = meters.following.labels("small")._sum, meters.people._value
    before = (seconds.get(), people.get())
    _ask(socket, _message())
    assert seconds.get() > before[0]
    assert people.get() == before[1] + 1


def test_joints_come_in_the_pixels_that_the_header_names(socket):
    told = _ask(socket, _message(size=(640, 480)))
    assert told["people"][0]["xy"][0] == pytest.approx([319.5, 239.5], abs=0.51)


def test_a_person_has_a_track(socket):
    assert _ask(socket, _message())["people"][0]["track"] is not None


def test_a_person_keeps_the_track_from_frame_to_frame(socket):
    first, second = (_ask(socket, _message(n, n / 30))["people"][0]["track"] for n in (1, 2))
    assert first == second


def test_a_clock_that_runs_backwards_is_borne(socket):
    _ask(socket, _message(1, 100.0))
    assert _ask(socket, _message(2, 50.0))["people"]


@pytest.mark.parametrize(
    "message",
    [
        "text",
        b"short",
        _message(body=b"no jpeg at all"),
        _message(body=_jpeg()[:200]),
        _message(time=float("nan")),
        _message(size=(0, 48)),
        _message(body=_jpeg(width=live.LARGEST + 8, height=8)),
    ],
    ids=["text", "short", "no jpeg", "cut off", "no time", "no width", "too large"],
)
def test_what_is_no_frame_is_refused_in_one_sentence(socket, message):
    assert _ask(socket, message)["error"]["message"].endswith(".")


def test_a_connection_outlives_a_broken_frame(socket):
    _ask(socket, b"broken")
    assert _ask(socket, _message())["people"]


def test_a_connection_that_sends_only_rubbish_ends(socket):
    for _ in range(20):
        _ask(socket, b"rubbish")
    with pytest.raises(simple_websocket.ConnectionClosed):
        socket.receive(timeout=30)


def test_of_frames_that_wait_only_the_newest_is_looked_at(serving, socket):
    serving.gate.clear()
    for n in range(1, 6):  # the first is being looked at while the others arrive
        socket.send(_message(n, n / 30))
        _until(lambda: serving.looks)
    time.sleep(0.3)  # for the last to arrive, behind the server's back
    serving.gate.set()
    told = [_told(socket)["sequence"] for _ in range(2)]
    assert told == [1, 5]


def test_without_a_free_core_a_client_is_told_so(serving, socket):
    with serving.service.slot():
        told = _ask(socket, _message(3))
    assert told == {"sequence": 3, "busy": True}


def test_more_connections_than_allowed_are_turned_away(serving, socket):
    second = serving.another()
    _ask(second, _message())  # the server has taken both in
    third = serving.another()
    _until(lambda: not third.connected)
    second.close()
    assert third.close_reason == 1013


def test_who_comes_back_at_once_finds_the_old_place_free(serving, socket):
    second = serving.another()
    _until(lambda: serving.service.meters.live._value.get() == 2)
    third = serving.another()
    second.close()
    assert _ask(third, _message())["people"]
    third.close()


def test_an_unknown_model_is_refused_in_one_sentence(serving):
    assert _told(serving.connect("?model=nobody"))["error"]["code"] == "no_model"


def test_no_more_people_are_told_of_than_asked_for(serving):
    serving.service.shelf.loaded["medium"] = lambda image: crowd.people([(20, 24), (44, 24)])
    client = serving.connect("?model=medium&max_people=1")
    told = _ask(client, _message())
    client.close()
    assert len(told["people"]) == 1


@pytest.mark.parametrize("most", ["x", "-1", "1001", "9" * 5000])
def test_a_number_of_people_that_is_none_is_refused_in_one_sentence(serving, most):
    told = _told(serving.connect(f"?max_people={most}"))
    assert told["error"]["message"] == "The parameter max_people is a whole number from 0 to 1000."


def test_a_page_of_another_site_may_not_connect(serving):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "http://else.example"}
    headers |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30)
    connection.request("GET", "/v1/live", headers=headers)
    status = connection.getresponse().status
    connection.close()
    assert status == 403


def test_a_page_of_a_named_origin_may_connect(serving):
    serving.gate.set()
    address = f"ws://127.0.0.1:{serving.port}/v1/live"
    client = _Client(address, headers={"Origin": NAMED, "Sec-Fetch-Site": "cross-site"})
    assert _ask(client, _message())["people"]
    client.close()


def test_a_stopping_server_says_goodbye(serving, socket):
    serving.service.stopping.set()
    try:
        with pytest.raises(simple_websocket.ConnectionClosed) as closed:
            socket.receive(timeout=30)
    finally:
        serving.service.stopping.clear()
    assert closed.value.reason == 1001


def test_who_sends_nothing_for_long_makes_room(socket, monkeypatch):
    monkeypatch.setattr(live, "_QUIET", 0.5)
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        socket.receive(timeout=30)
    assert closed.value.reason == 4001


def test_a_connection_that_ended_makes_room(serving):
    for _ in range(2 * serving.service.settings.max_live):
        client = serving.connect()
        assert _ask(client, _message())["people"]
        client.close()


def test_unpacking_gives_what_was_packed():
    assert live.unpack(_message(9, 1.5, (640, 480), b"abc")) == (9, 1.5, (480, 640), b"abc")


def test_the_header_has_sixteen_bytes():
    assert live.HEADER.size == struct.calcsize("<IdHH") == 16


def test_colours_of_a_frame_are_red_green_blue():
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[..., 2] = 255  # cv2 writes blue, green, red
    image = live.decode(cv2.imencode(".jpg", red)[1].tobytes())
    assert image[8, 8, 0] > 200


def test_people_are_told_in_their_own_joints():
    told = live.answer(_people(np.zeros((8, 8, 3), dtype=np.uint8), BODY19))
    assert (told["skeleton"], len(told["people"][0]["xy"])) == ("body19", 19)


def test_our_nineteen_joints_are_told_live_as_cocos_seventeen():
    connection = live._Connection(None, None, lambda image, time: _people(image, BODY19))
    told = live._look(connection, _message())
    assert (told["skeleton"], len(told["people"][0]["xy"])) == ("coco17", 17)


def test_a_joint_that_does_not_exist_is_told_as_none():
    people = _people(np.zeros((8, 8, 3), dtype=np.uint8), MPII16)
    people.xy[0, 3] = np.nan
    assert live.answer(people)["people"][0]["xy"][3] is None
