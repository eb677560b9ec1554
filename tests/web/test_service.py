"""What the pages and routes of a server share."""

import os

import numpy as np
import pytest

from posegram.web.service import Busy, core_count
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


def test_a_look_before_anybody_came_is_not_measured(service):
    service.warm()
    assert service.meters.milliseconds() == {}


def test_the_default_model_is_loaded_before_anybody_asks(service):
    assert list(service.shelf.loaded) == ["still"]


def test_the_models_are_those_on_the_shelf(service):
    assert [entry["name"] for entry in service.models()] == list(service.shelf.sources)
