from types import SimpleNamespace

import pytest

from posegram.cli.words import counted, tell_whole


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1200, "1,200 photos")]
)
def test_one_thing_is_no_plural(count, said):
    assert counted(count, "photo") == said


def test_a_plural_of_its_own_is_taken():
    assert [counted(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]


@pytest.mark.parametrize(
    ("detect", "asked", "told"),
    [(None, "", True), (None, "none", False), (print, "", False)],
)
def test_who_did_not_ask_for_it_is_told_that_pictures_are_taken_as_one(capsys, detect, asked, told):
    tell_whole(SimpleNamespace(detect=detect, card=SimpleNamespace(name="mine")), asked)
    assert ("each picture is taken as one" in capsys.readouterr().err) is told


def test_a_model_that_finds_people_itself_needs_no_word(capsys):
    tell_whole(SimpleNamespace(card=SimpleNamespace(name="rcnn")), "")
    assert capsys.readouterr().err == ""
