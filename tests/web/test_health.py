"""Alive, ready, counted."""

import io

import PIL.Image
import pytest
from prometheus_client.parser import text_string_to_metric_families

import serving
from posegram.web import create_app


def samples(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *sorted(s.labels.values())): s.value for f in families for s in f.samples}


def test_a_server_is_alive(client):
    assert client.get("/healthz").json == {"alive": True}


def test_a_server_is_ready(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["ready"]) == (200, True)


def test_a_full_disk_is_not_ready(tmp_path):
    client = create_app(serving.settings_for(tmp_path, spare_bytes=1 << 60)).test_client()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["disk"]) == (503, False)


def test_a_full_queue_is_not_ready(tmp_path):
    app = create_app(serving.settings_for(tmp_path, queue=1))
    app.extensions["posegram"].queue.put("a" * 32, "film", {})
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["checks"]["queue"]) == (503, False)


def test_a_broken_list_of_jobs_is_not_ready_but_alive(client, settings):
    for path in settings.folder.glob("jobs.sqlite*"):
        path.write_bytes(b"no database at all" * 100)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_server_that_stops_is_not_ready(client, service):
    service.stopping.set()
    assert client.get("/readyz").status_code == 503


def test_requests_are_counted_by_their_route(client):
    for _ in range(3):
        client.get("/v1/models")
    assert samples(client)[("posegram_requests_total", "/v1/models", "200", "GET")] == 3


def test_unknown_addresses_share_one_line(client):
    for n in range(3):
        client.get(f"/v1/none{n}")
    assert samples(client)[("posegram_requests_total", "404", "GET", "none")] == 3


def test_pictures_and_people_are_counted(client):
    before = samples(client)[("posegram_people_total",)]
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 48)).save(out, "PNG")
    client.post("/v1/pose/image", data=out.getvalue(), content_type="image/png")
    assert samples(client)[("posegram_people_total",)] == before + 1


@pytest.mark.parametrize("state", ["queued", "running", "done", "failed", "cancelled"])
def test_jobs_are_counted_by_their_state(client, state):
    assert samples(client)[("posegram_jobs", state)] == 0
