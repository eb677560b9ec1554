"""What the pages and routes of a server share."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from posegram.web.service import Busy, _trial, core_count
from posegram.web.settings import Settings

PICTURE = np.zeros((48, 64, 3), dtype=np.uint8)


def test_there_is_a_slot_for_every_core(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert core_count(Settings()) == 3


def test_the_cores_can_be_chosen():
    assert core_count(Settings(cores=5)) == 5


def test_a_server_makes_its_folders_and_nothing_else(app, settings):
    found = {path.name for path in settings.folder.iterdir()}
    assert found <= {"uploads", "results", "jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm"}


def test_without_a_free_core_one_is_told_so(service):
    for _ in range(2):
        service.slots.acquire()
    with pytest.raises(Busy), service.slot(0.0):
        pass


def test_a_slot_is_free_again_after_a_mistake(service):
    for _ in range(3):
        with pytest.raises(RuntimeError), service.slot(0.0):
            raise RuntimeError
    with service.slot(0.0):
        pass


def test_a_look_is_measured(service):
    service.look("", PICTURE)
    assert service.meters.milliseconds()["still"] > 0


def test_a_look_counts_people(service):
    before = service.meters.people._value.get()
    service.look("", PICTURE)
    assert service.meters.people._value.get() == before + 1


def test_the_default_models_time_is_known_before_anybody_came(service):
    times = {entry["name"]: entry["milliseconds"] for entry in service.models()}
    assert times.pop("still") > 0
    assert set(times.values()) == {None}


def test_a_models_time_is_known_once_it_is_loaded(service):
    service.estimate("small")
    assert service.meters.milliseconds()["small"] > 0


def test_a_model_is_timed_once(service, monkeypatch):
    monkeypatch.setattr(sys.modules["posegram.web.service"], "_trial", lambda _: 1 / 0)
    service.estimate("still")
    service.look("still", PICTURE)


def test_callers_at_once_time_a_model_once(service, monkeypatch):
    trials, ready = [], threading.Barrier(6)

    def trial(_):
        trials.append(time.sleep(0.1))
        return 1.0

    def ask(_):
        ready.wait(10)
        return service.estimate("small")

    service.shelf.estimate("small")
    monkeypatch.setattr(sys.modules["posegram.web.service"], "_trial", trial)
    with ThreadPoolExecutor(6) as crew:
        assert len(set(crew.map(ask, range(6)))) == 1
    assert len(trials) == 1


def test_a_trial_tells_of_one_person_who_was_looked_for():
    seen = []

    def estimate(image, boxes=None):
        seen.append(None if boxes is None else len(boxes))

    estimate.detect = lambda image: None
    assert _trial(estimate) > 0
    assert seen == [None, 1] * 2


def test_a_default_model_without_a_detector_is_timed_by_its_only_look(service, monkeypatch):
    seen = []
    service.shelf.loaded["medium"] = seen.append
    monkeypatch.setattr(type(service.shelf), "default", "medium")
    service.warm()
    assert len(seen) == 1
    assert "medium" in service.meters.milliseconds()


def test_the_default_model_is_loaded_before_anybody_asks(service):
    assert list(service.shelf.loaded) == ["still"]


def test_the_models_are_those_on_the_shelf(service):
    assert [entry["name"] for entry in service.models()] == list(service.shelf.sources)
