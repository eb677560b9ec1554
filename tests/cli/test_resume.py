import json

import pytest

from posegram.cli.resume import begin, records_of
from posegram.infer.label import Task


@pytest.fixture
def work(tmp_path):
    """Forty photos, of which no more than names and bytes matter here."""
    photos = [tmp_path / f"{n}.png" for n in range(40)]
    for photo in photos:
        photo.write_bytes(b"a photo")
    return [Task(photo) for photo in photos]


@pytest.fixture
def seen():
    return []


@pytest.fixture
def one(seen):
    def look(task):
        seen.append(task.photo.name)
        return {"size": [1, 1]}

    return look


def test_every_photo_is_looked_at_once_in_order(work, one, seen, tmp_path):
    made = records_of(work, one, tmp_path / "parts", 1)
    assert seen == [f"{n}.png" for n in range(40)]
    assert len(made) == 40


def test_what_was_done_before_is_not_done_again(work, one, seen, tmp_path):
    first = records_of(work, one, tmp_path / "parts", 1)
    seen.clear()
    assert records_of(work, one, tmp_path / "parts", 1) == first
    assert not seen


def test_a_photo_that_was_changed_is_looked_at_again(work, one, seen, tmp_path):
    records_of(work, one, tmp_path / "parts", 1)
    seen.clear()
    work[33].photo.write_bytes(b"another photo")
    records_of(work, one, tmp_path / "parts", 1)
    assert seen == ["33.png"]


def test_what_failed_is_tried_again(work, one, seen, tmp_path):
    records_of(work, lambda task: {"failed": "broken"}, tmp_path / "parts", 1)
    assert "failed" not in records_of(work, one, tmp_path / "parts", 1)[0]


def test_other_settings_are_refused_with_their_names(tmp_path):
    begin(tmp_path / "parts", {"model": "small", "flip": False})
    with pytest.raises(ValueError, match="of a run with another flip, model"):
        begin(tmp_path / "parts", {"model": "medium", "flip": True})
    assert json.loads((tmp_path / "parts" / "settings.json").read_text())["model"] == "small"


def test_the_same_settings_go_on(tmp_path):
    for _ in range(2):
        begin(tmp_path / "parts", {"model": "small"})
