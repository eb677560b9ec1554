"""The API for clips."""

import contextlib
import io
import sqlite3
import threading

import pytest

import crowd
import serving
from posegram.web import create_app, peek
from posegram.web.shelf import Shelf
from posegram.web.worker import Worker

FACTS = {"width": 64, "height": 48, "seconds": 1.2, "count": 30}


@pytest.fixture
def trusting(monkeypatch):
    """Clips are taken at their word, without a process that looks."""
    monkeypatch.setattr(peek, "facts", lambda _: dict(FACTS))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return serving.clip(tmp_path_factory.mktemp("clip") / "a.mp4").read_bytes()


def add(client, data, query=""):
    return client.post(f"/v1/jobs{query}", data={"video": (io.BytesIO(data), "../a.mp4")})


def work(settings):
    """Work every job off, here."""
    worker = Worker.of(settings)
    while lease := worker.queue.claim():
        worker.work(lease)


def test_a_clip_becomes_a_job(client, data):
    answer = add(client, data)
    job = client.get(answer.json["links"]["self"]).json
    assert (answer.status_code, job["state"], job["total"], job["files"]) == (202, "queued", 30, [])


def test_a_finished_job_lists_its_files(client, data, settings, trusting):
    key = add(client, data).json["id"]
    work(settings)
    job = client.get(f"/v1/jobs/{key}").json
    assert (job["state"], job["done"], job["total"], job["error"]) == ("done", 30, 30, None)
    kinds = {file["name"]: client.get(file["url"]).mimetype for file in job["files"]}
    assert kinds == {
        "clip.mp4": "video/mp4",
        "poses.csv": "text/csv",
        "poses_wide.csv": "text/csv",
        "poses.json": "application/json",
        "coco.json": "application/json",
    }


def test_no_more_people_of_a_clip_are_told_of_than_asked_for(
    client, data, settings, service, trusting, monkeypatch
):
    two = crowd.people([(20, 24), (44, 24)], height=40.0)
    monkeypatch.setattr(Shelf, "estimate", lambda *_: lambda image: two)
    key = add(client, data, "?max_people=1").json["id"]
    work(settings)
    frames = client.get(f"/v1/jobs/{key}/files/poses.json").json["frames"]
    assert {len(frame["people"]) for frame in frames} == {1}


def test_the_uploaded_clip_goes_when_its_job_ends(client, data, settings, trusting):
    add(client, data)
    work(settings)
    assert list(settings.uploads.iterdir()) == []


def test_a_part_of_a_file_can_be_fetched(client, data, settings, trusting):
    key = add(client, data).json["id"]
    work(settings)
    path = f"/v1/jobs/{key}/files/clip.mp4"
    whole = client.get(path).data
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.data) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"


def test_a_part_that_is_not_there_is_416(client, data, settings, trusting):
    key = add(client, data).json["id"]
    work(settings)
    path = f"/v1/jobs/{key}/files/clip.mp4"
    answer = client.get(path, headers={"Range": "bytes=99999999-"})
    assert (answer.status_code, answer.json["error"]["code"]) == (416, "bad_range")


@pytest.mark.parametrize(
    "name", ["jobs.sqlite", "..%2f..%2fjobs.sqlite", ".clip.mp4", "clip.mp4%00", "nix.mp4"]
)
def test_only_the_named_files_can_be_fetched(client, data, settings, trusting, name):
    key = add(client, data).json["id"]
    work(settings)
    assert client.get(f"/v1/jobs/{key}/files/{name}").status_code == 404


def test_a_file_of_an_unfinished_job_is_404(client, data, trusting):
    key = add(client, data).json["id"]
    assert client.get(f"/v1/jobs/{key}/files/clip.mp4").status_code == 404


def test_a_cancelled_job_leaves_no_file(client, data, settings, trusting):
    key = add(client, data).json["id"]
    assert client.delete(f"/v1/jobs/{key}").status_code == 204
    assert client.get(f"/v1/jobs/{key}").json["state"] == "cancelled"
    assert list(settings.uploads.iterdir()) == list(settings.results.iterdir()) == []


def test_a_deleted_finished_job_is_forgotten(client, data, settings, trusting):
    key = add(client, data).json["id"]
    work(settings)
    client.delete(f"/v1/jobs/{key}")
    assert client.get(f"/v1/jobs/{key}").status_code == 404
    assert list(settings.results.iterdir()) == []


def test_a_clip_past_its_time_is_gone_before_it_is_swept(client, data, settings, trusting):
    key = add(client, data).json["id"]
    work(settings)
    with contextlib.closing(sqlite3.connect(settings.database)) as database, database:
        database.execute("update job set ended = 1")
    assert client.get(f"/v1/jobs/{key}").status_code == 404
    assert client.get(f"/v1/jobs/{key}/files/poses.csv").status_code == 404


@pytest.mark.parametrize("method", ["get", "delete"])
def test_an_unknown_job_is_404(client, method):
    assert getattr(client, method)(f"/v1/jobs/{'a' * 32}").status_code == 404


def test_a_full_queue_is_503(tmp_path, data, trusting):
    settings = serving.settings_for(tmp_path, queue=1)
    client = create_app(settings).test_client()
    add(client, data)
    answer = add(client, data)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert len(list(settings.uploads.iterdir())) == 1


def test_uploads_that_race_for_the_last_place_do_not_exceed_it(tmp_path, data, trusting):
    settings = serving.settings_for(tmp_path, queue=3, clip_rate="1000 per minute")
    app = create_app(settings)
    got = []

    def one():
        got.append(add(app.test_client(), data).status_code)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [202] * 3 + [503] * 9
    assert len(list(settings.uploads.iterdir())) == 3


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"width": 9000, "height": 9000}, 413),
        ({"seconds": 601.0}, 413),
        ({"count": 20_000_000}, 413),
        ({"seconds": None, "count": None}, 202),
    ],
)
def test_a_clip_beyond_the_limits_is_refused(client, data, monkeypatch, settings, changes, status):
    monkeypatch.setattr(peek, "facts", lambda _: FACTS | changes)
    assert add(client, data).status_code == status
    assert len(list(settings.uploads.iterdir())) == (status == 202)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"#EXTM3U\nfile:///etc/passwd\n", 415),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
        (b"\xff\xd8\xff" + b"\0" * 100, 415),
        (b"\0\0\0\x18ftypisom" + b"\0" * 1000, 422),
        (b"", 400),
    ],
)
def test_what_is_no_clip_is_refused_and_not_kept(client, settings, data, status):
    assert add(client, data).status_code == status
    assert list(settings.uploads.iterdir()) == []


def test_a_clip_of_too_many_bytes_is_refused_and_not_kept(tmp_path, data):
    settings = serving.settings_for(tmp_path, clip_bytes=1000)
    assert add(create_app(settings).test_client(), data).status_code == 413
    assert list(settings.uploads.iterdir()) == []


def test_a_computer_too_busy_to_look_is_503(client, data, settings, monkeypatch):
    def late(_):
        raise TimeoutError

    monkeypatch.setattr(peek, "facts", late)
    assert add(client, data).status_code == 503
    assert list(settings.uploads.iterdir()) == []


def test_a_disk_without_room_is_503(tmp_path, data):
    settings = serving.settings_for(tmp_path, spare_bytes=1 << 60)
    assert add(create_app(settings).test_client(), data).status_code == 503
    assert list(settings.uploads.iterdir()) == []


def test_a_locked_list_of_jobs_is_503_and_keeps_nothing(client, data, settings, trusting):
    other = sqlite3.connect(settings.database, isolation_level=None)
    other.execute("begin exclusive")
    answer = add(client, data)
    other.close()
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")
    assert list(settings.uploads.iterdir()) == []


def test_jobs_can_be_put_again_once_the_list_is_free(client, data, settings, trusting):
    other = sqlite3.connect(settings.database, isolation_level=None)
    other.execute("begin exclusive")
    add(client, data)
    other.close()
    assert add(client, data).status_code == 202
