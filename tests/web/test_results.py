"""The store of results."""

import errno
import os
import time

import pytest

from posegram.web.results import Results, new_key
from posegram.web.settings import Settings


@pytest.fixture
def store(tmp_path):
    settings = Settings(folder=tmp_path, spare_bytes=0)
    settings.make_folders()
    return Results.of(settings)


def save(store, *, size: int = 10, age: float = 0.0) -> str:
    key = new_key()
    with store.saving(key) as folder:
        (folder / "poses.json").write_bytes(b"x" * size)
    then = time.time() - age
    for path in (store.folder / key, store.folder / key / "poses.json"):
        os.utime(path, (then, then))
    return key


def test_a_key_cannot_be_guessed():
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)


def test_a_saved_file_is_found(store):
    key = save(store)
    assert store.picture(key, "poses.json").read_bytes() == b"x" * 10


def test_what_fails_half_way_leaves_nothing(store):
    def fail() -> None:
        with store.saving(new_key()) as folder:
            (folder / "poses.json").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(store.folder.iterdir()) == []


def test_a_result_under_way_is_not_found(store):
    key = new_key()
    with store.saving(key) as folder:
        (folder / "poses.json").write_text("{}")
        assert store.picture(key, "poses.json") is None


def test_an_old_result_is_not_found_even_before_the_sweep(store):
    key = save(store, age=2 * 3600)
    assert store.picture(key, "poses.json") is None


def test_a_deleted_result_is_gone(store):
    key = save(store)
    assert store.delete(key)
    assert not (store.folder / key).exists()


def test_deleting_what_is_not_there_says_so(store):
    assert not store.delete(new_key())


def test_a_disk_without_spare_room_is_refused(tmp_path):
    settings = Settings(folder=tmp_path, spare_bytes=1 << 60)
    settings.make_folders()
    with pytest.raises(OSError, match="No space") as refused:
        Results.of(settings).room()
    assert refused.value.errno == errno.ENOSPC


def test_what_is_wanted_counts_for_the_room(store):
    with pytest.raises(OSError, match="No space"):
        store.room(1 << 60)


def test_a_sweep_removes_old_pictures_only(store):
    old, new = save(store, age=2 * 3600), save(store)
    assert store.sweep(set()) == 1
    assert [path.name for path in store.folder.iterdir()] == [new] != [old]


def test_a_clip_is_kept_longer_than_a_picture(store):
    clip = save(store, age=2 * 3600)
    assert store.sweep({clip}) == 0


def test_an_old_clip_is_removed(store):
    clip = save(store, age=25 * 3600)
    assert store.sweep({clip}) == 1


def test_the_oldest_go_first_above_the_quota(tmp_path):
    settings = Settings(folder=tmp_path, spare_bytes=0, quota_bytes=20_000)
    settings.make_folders()
    store = Results.of(settings)
    keys = [save(store, size=8_000, age=age) for age in (300, 200, 100)]
    assert store.sweep(set()) == 1
    assert {path.name for path in store.folder.iterdir()} == set(keys[1:])


def test_a_running_jobs_folder_stays_above_the_quota(tmp_path):
    settings = Settings(folder=tmp_path, spare_bytes=0, quota_bytes=1)
    settings.make_folders()
    store = Results.of(settings)
    key = save(store, size=8_000, age=300)
    assert store.sweep({key}, active={key}) == 0


def test_a_sweep_removes_what_was_left_half_done(store):
    part = store.folder / f"part-{new_key()}"
    part.mkdir()
    assert store.sweep(set(), now=time.time() + 2 * 3600) == 1


def test_each_try_at_a_clip_has_a_folder_of_its_own(store):
    assert store.clip("a" * 32, 1) != store.clip("a" * 32, 2)
