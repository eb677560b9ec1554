"""The process that works clips off; killed at any time."""

import csv
import errno
import os
import signal
import sqlite3
import time

import pytest

import serving
from posegram import video
from posegram.recorder import Writer
from posegram.web.results import new_key
from posegram.web.worker import Worker


@pytest.fixture
def worker(settings):
    return Worker.of(settings)


def add(worker, count=30, **changes):
    """A job with its uploaded clip."""
    key = new_key()
    serving.clip(worker.settings.uploads / f"{key}.mp4", count)
    args = {"file": f"{key}.mp4", "model": "still", "skeleton": "", "smooth": False}
    worker.queue.put(key, "film", args | {"pixels": 48 * 64} | changes, total=count)
    return key


def lapse(worker):
    database = sqlite3.connect(worker.queue.path)
    with database:
        database.execute("update job set lease = 1")
    database.close()


def test_a_job_is_done_with_every_frame(worker):
    key = add(worker)
    worker.work(worker.queue.claim())
    job = worker.queue.get(key)
    assert (job.state, job.done, job.total, job.error) == ("done", 30, 30, None)


def test_the_uploaded_clip_goes(worker):
    add(worker)
    worker.work(worker.queue.claim())
    assert list(worker.settings.uploads.iterdir()) == []


def test_files_of_dead_workers_go(worker):
    key = add(worker)
    worker.queue.claim()
    left = worker.store.clip(key, 1)
    left.mkdir(parents=True)
    (left / ".poses.csv.1.part").write_text("half")
    lapse(worker)
    worker.work(worker.queue.claim())
    assert [path.name for path in left.parent.iterdir()] == ["2"]


def test_who_lost_a_job_leaves_nothing_and_spoils_nothing(worker):
    key = add(worker)
    old = worker.queue.claim()
    lapse(worker)
    worker.work(worker.queue.claim())
    # the old one comes back to life, with a copy of the clip that it still had open
    serving.clip(worker.settings.uploads / f"{key}.mp4")
    worker.work(old)
    assert [path.name for path in (worker.settings.results / key).iterdir()] == ["2"]
    assert (worker.queue.get(key).state, worker.queue.get(key).tries) == ("done", 2)


def test_a_job_cancelled_half_way_leaves_nothing(worker, monkeypatch):
    key = add(worker, 200)
    lease = worker.queue.claim()
    monkeypatch.setattr("posegram.web.worker._BEAT", 0.0)
    worker.queue.cancel(key)
    worker.work(lease)
    assert worker.queue.get(key).state == "cancelled"
    assert not worker.store.clip(key, 1).exists()


def test_a_worker_that_stops_gives_its_job_back(worker):
    key = add(worker)
    lease = worker.queue.claim()
    worker.stopping.set()
    worker.work(lease)
    assert worker.queue.get(key).state == "queued"
    assert worker.queue.claim().tries == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"file": "nix.mp4"}, "the uploaded video is gone"),
        ({"model": "nix"}, "no model of that name"),
        ({"pixels": 10**12}, "too many pixels in all"),
    ],
)
def test_a_job_that_cannot_be_done_says_why(worker, changes, said):
    key = add(worker, **changes)
    worker.work(worker.queue.claim())
    job = worker.queue.get(key)
    assert job.state == "failed"
    assert said in job.error
    assert not worker.store.clip(key, 1).exists()


def test_a_job_that_takes_too_much_work_fails_at_once_and_says_so(worker, monkeypatch):
    key = add(worker)
    clock = iter(range(0, 10**9, 5000))  # seconds of processor time: three frames use them up
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    worker.work(worker.queue.claim())
    job = worker.queue.get(key)
    assert (job.state, job.tries) == ("failed", 1)
    assert "more work than this server allows" in job.error


def test_a_disk_that_fills_up_half_way_fails_the_job_and_spoils_nothing(worker, monkeypatch):
    frames, write = [], Writer.write

    def fills(self, image, time):
        frames.append(time)
        if len(frames) == 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, image, time)

    first, second = add(worker), add(worker)
    monkeypatch.setattr(Writer, "write", fills)
    worker.work(worker.queue.claim())
    worker.work(worker.queue.claim())
    jobs = [worker.queue.get(key) for key in (first, second)]
    assert [(job.state, job.done) for job in jobs] == [("failed", 9), ("done", 30)]
    assert jobs[0].error == "the server could not read or write a file"
    assert [path.name for path in worker.settings.results.glob("*/*/clip.mp4")] == ["clip.mp4"]
    assert list(worker.settings.uploads.iterdir()) == []


def test_a_failure_tells_nothing_of_the_servers_folders(worker):
    key = add(worker)
    (worker.settings.uploads / f"{key}.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 500)
    worker.work(worker.queue.claim())
    job = worker.queue.get(key)
    assert job.state == "failed"
    assert str(worker.settings.folder) not in job.error
    assert key not in job.error


def test_a_clip_that_breaks_off_is_done_up_to_there(worker):
    key = add(worker, 60)
    path = worker.settings.uploads / f"{key}.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 5])
    worker.work(worker.queue.claim())
    job = worker.queue.get(key)
    assert job.state == "done"
    assert "ends too early" in job.error


def test_a_sweep_removes_uploads_that_no_job_needs(worker):
    key = add(worker)
    worker.queue.cancel(key)
    worker.sweep()
    assert list(worker.settings.uploads.iterdir()) == []


def test_a_sweep_keeps_uploads_under_way(worker):
    add(worker)
    (worker.settings.uploads / f"{new_key()}.part").write_bytes(b"half")
    worker.sweep()
    assert len(list(worker.settings.uploads.iterdir())) == 2


def test_a_sweep_removes_uploads_that_never_became_a_job(worker):
    path = worker.settings.uploads / f"{new_key()}.part"
    path.write_bytes(b"half")
    os.utime(path, (1, 1))
    worker.sweep()
    assert not path.exists()


def test_old_results_go_while_a_long_job_runs(worker, monkeypatch):
    monkeypatch.setattr("posegram.web.worker._BEAT", 0.0)
    key = add(worker)
    old = worker.settings.results / new_key()
    old.mkdir()
    os.utime(old, (1, 1))
    there = []
    monkeypatch.setattr(worker.store.__class__, "room", lambda *_: there.append(old.exists()))
    worker.work(worker.queue.claim())
    assert (there, old.exists(), worker.queue.get(key).state) == ([True], False, "done")


def test_a_sweep_that_fails_spoils_no_job(worker, monkeypatch):
    monkeypatch.setattr("posegram.web.worker._BEAT", 0.0)
    key = add(worker)

    def locked(*_):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(type(worker.queue), "sweep", locked)
    worker.work(worker.queue.claim())
    assert worker.queue.get(key).state == "done"


def test_a_locked_list_of_jobs_does_not_end_the_worker(worker, monkeypatch):
    asked = []

    def locked():
        asked.append(1)
        if len(asked) > 1:
            worker.stopping.set()
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(type(worker.queue), "claim", lambda _: locked())
    monkeypatch.setattr("posegram.web.worker._BEAT", 0.01)
    worker.run()
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("wall", "worked", "hangs"),
    [(20.0, 20.0, True), (15.0, 15.0, False), (100.0, 5.0, False), (200.0, 0.0, True)],
    ids=["spinning", "at work", "starved by other work", "asleep for ever"],
)
def test_a_worker_hangs_by_its_own_time_rather_than_the_walls(worker, wall, worked, hangs):
    worker.moved = (1000.0, 50.0)
    assert worker.hangs(1000.0 + wall, 50.0 + worked) == hangs


@pytest.mark.slow
def test_a_job_outlives_three_killed_workers_with_every_frame(worker, settings):
    key = add(worker, 500)
    for tries in (1, 2, 3):
        with serving.worker(settings) as process:
            serving.until(
                lambda n=tries: (j := worker.queue.get(key)).tries == n and j.done > 0 and j
            )
            process.kill()
            process.wait()
        assert worker.queue.get(key).state == "running"
    with serving.worker(settings):
        job = serving.until(lambda: (j := worker.queue.get(key)).state != "running" and j)
        serving.until(lambda: not list(settings.uploads.iterdir()))
    folder = worker.store.clip(key, job.tries)
    assert (job.state, job.done, job.tries) == ("done", 500, 4)
    assert [path.name for path in folder.parent.iterdir()] == ["4"]
    with (folder / "poses.csv").open() as file:
        assert {int(row["frame"]) for row in csv.DictReader(file)} == set(range(500))
    assert sum(1 for _ in video.frames(folder / "clip.mp4")) == 500


def test_a_worker_stops_on_sigterm(settings):
    with serving.worker(settings) as process:
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(serving.PATIENCE) in (0, -signal.SIGTERM)


def test_a_workers_files_do_not_name_the_servers_folders(worker, settings):
    key = add(worker)
    with serving.worker(settings):
        serving.until(lambda: worker.queue.get(key).state == "done")
    folder = worker.store.clip(key, 1)
    named = [p.name for p in folder.iterdir() if str(settings.folder).encode() in p.read_bytes()]
    assert named == []
