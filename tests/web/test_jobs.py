"""The queue: leases, the fence, the cap."""

import sqlite3
import threading
import time

import pytest

from posegram.web.jobs import Queue
from posegram.web.settings import Settings

A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def queue(tmp_path):
    return Queue.of(Settings(folder=tmp_path, queue=2, lease_seconds=30.0, tries=3))


def lapse(queue):
    """Let every lease run out."""
    with sqlite3.connect(queue.path) as database:
        database.execute("update job set lease = 1")
    database.close()


def test_a_job_waits_until_it_is_claimed(queue):
    queue.put(A, "film", {})
    assert queue.get(A).state == "queued"


def test_a_claim_hands_out_what_was_put(queue):
    queue.put(A, "film", {"file": "x.mp4"}, total=7)
    lease = queue.claim()
    assert (lease.id, lease.kind, lease.args, lease.tries, lease.total) == (
        *(A, "film", {"file": "x.mp4"}),
        *(1, 7),
    )


def test_the_oldest_job_is_claimed_first(queue):
    queue.put(B, "film", {})
    time.sleep(0.01)
    queue.put(A, "film", {})
    assert queue.claim().id == B


def test_a_job_is_claimed_once(queue):
    queue.put(A, "film", {})
    queue.claim()
    assert queue.claim() is None


def test_many_workers_claim_a_job_once(queue):
    queue.put(A, "film", {})
    got = []
    threads = [threading.Thread(target=lambda: got.append(queue.claim())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease is not None for lease in got) == 1


def test_a_full_queue_refuses(queue):
    assert [queue.put(key, "film", {}) for key in (A, B, C)] == [True, True, False]


def test_running_jobs_count_for_the_cap(queue):
    queue.put(A, "film", {})
    queue.put(B, "film", {})
    queue.claim()
    assert queue.full()


def test_an_ended_job_makes_room(queue):
    queue.put(A, "film", {})
    queue.put(B, "film", {})
    queue.end(queue.claim(), "done")
    assert queue.put(C, "film", {})


def test_a_beat_tells_how_far_the_job_is(queue):
    queue.put(A, "film", {})
    queue.beat(queue.claim(), 3, 10)
    assert (queue.get(A).done, queue.get(A).total) == (3, 10)


def test_a_beating_job_is_nobody_elses(queue):
    queue.put(A, "film", {})
    lease = queue.claim()
    lapse(queue)
    queue.beat(lease, 1, 2)
    assert queue.claim() is None


def test_a_lapsed_job_is_claimed_by_another(queue):
    queue.put(A, "film", {})
    queue.claim()
    lapse(queue)
    assert queue.claim().tries == 2


@pytest.mark.parametrize("deed", ["beat", "end", "release"])
def test_who_lost_the_lease_can_do_nothing(queue, deed):
    queue.put(A, "film", {})
    old = queue.claim()
    lapse(queue)
    queue.claim()
    deeds = {
        "beat": lambda: queue.beat(old, 9, 9),
        "end": lambda: queue.end(old, "done"),
        "release": lambda: queue.release(old),
    }
    assert not deeds[deed]()


def test_the_new_owner_ends_the_job(queue):
    queue.put(A, "film", {})
    queue.claim()
    lapse(queue)
    queue.end(queue.claim(), "done", done=5, total=5)
    assert (queue.get(A).state, queue.get(A).tries) == ("done", 2)


def test_a_released_job_is_claimed_at_once(queue):
    queue.put(A, "film", {})
    queue.release(queue.claim())
    assert queue.claim() is not None


def test_a_job_given_back_is_untried(queue):
    queue.put(A, "film", {})
    for _ in range(5):  # more often than a job may fail
        queue.release(queue.claim())
    queue.sweep(3600)
    assert (queue.get(A).state, queue.get(A).tries) == ("queued", 0)


def test_who_gave_a_job_back_can_do_nothing(queue):
    queue.put(A, "film", {})
    old = queue.claim()
    queue.release(old)
    assert (queue.beat(old, 1, 2), queue.end(old, "done"), queue.release(old)) == (False,) * 3


def test_a_job_is_not_tried_for_ever(queue):
    queue.put(A, "film", {})
    for _ in range(3):
        queue.claim()
        lapse(queue)
    assert queue.claim() is None


def test_a_sweep_fails_what_lost_every_worker(queue):
    queue.put(A, "film", {})
    for _ in range(3):
        queue.claim()
        lapse(queue)
    queue.sweep(3600)
    assert (queue.get(A).state, queue.get(A).error) == ("failed", "stopped 3 times")


def test_a_sweep_leaves_a_job_that_may_be_tried_again(queue):
    queue.put(A, "film", {})
    queue.claim()
    lapse(queue)
    queue.sweep(3600)
    assert queue.get(A).state == "running"


def test_a_sweep_forgets_what_ended_long_ago(queue):
    queue.put(A, "film", {})
    queue.end(queue.claim(), "done")
    time.sleep(0.02)
    queue.sweep(0.01)
    assert queue.get(A) is None


def test_a_sweep_keeps_what_ended_just_now(queue):
    queue.put(A, "film", {})
    queue.end(queue.claim(), "done")
    queue.sweep(3600)
    assert queue.get(A).state == "done"


def test_a_cancelled_job_loses_its_worker(queue):
    queue.put(A, "film", {})
    lease = queue.claim()
    queue.cancel(A)
    assert not queue.beat(lease, 1, 1)


def test_a_cancelled_job_is_never_claimed(queue):
    queue.put(A, "film", {})
    queue.cancel(A)
    assert queue.claim() is None


def test_an_ended_job_cannot_be_cancelled(queue):
    queue.put(A, "film", {})
    queue.end(queue.claim(), "done")
    assert not queue.cancel(A)


def test_only_an_ended_job_is_forgotten(queue):
    queue.put(A, "film", {})
    assert not queue.forget(A)
    queue.cancel(A)
    assert queue.forget(A)


def test_jobs_are_counted_by_their_state(queue):
    queue.put(A, "film", {})
    queue.put(B, "film", {})
    queue.claim()
    assert queue.counts() == {"queued": 1, "running": 1}


def test_keys_are_those_of_the_states_asked_for(queue):
    queue.put(A, "film", {})
    queue.put(B, "film", {})
    queue.claim()
    assert (queue.keys("running"), queue.keys()) == ({A}, {A, B})


def test_there_is_no_job_of_an_unknown_name(queue):
    assert queue.get(C) is None


def test_a_queue_outlives_its_process(queue, tmp_path):
    queue.put(A, "film", {})
    assert Queue.of(Settings(folder=tmp_path)).get(A).state == "queued"


def test_a_locked_file_is_given_up_on_after_a_while(tmp_path):
    queue = Queue.of(Settings(folder=tmp_path), patience=0.05)
    other = sqlite3.connect(queue.path, isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        queue.put(A, "film", {})
    other.close()
    assert queue.put(A, "film", {})
