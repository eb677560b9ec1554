"""The settings of a server."""

import re
from pathlib import Path

import pytest

from posegram.web.settings import VARIABLE, Settings


def test_settings_come_back_from_their_json(tmp_path):
    settings = Settings(folder=tmp_path, models=("a.onnx",), names=("example.org",), cores=3,
                        origins=("http://localhost:3000",))  # fmt: skip
    assert Settings.from_json(settings.to_json()) == settings


def test_the_environment_brings_the_settings(tmp_path):
    settings = Settings(folder=tmp_path, max_live=3)
    assert Settings.from_environment({VARIABLE: settings.to_json()}) == settings


def test_without_the_variable_all_is_default():
    assert Settings.from_environment({}) == Settings()


def test_only_this_computer_is_let_in_by_default():
    assert not Settings().public


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no setting 'flder'; there are .*folder"):
        Settings.from_json('{"flder": "x"}')


def test_what_is_no_object_is_refused():
    with pytest.raises(ValueError, match="must hold one JSON object"):
        Settings.from_json("[]")


def test_what_is_no_json_is_refused_with_the_variable():
    with pytest.raises(ValueError, match="POSEGRAM_WEB must hold one JSON object: Expecting"):
        Settings.from_json("{queue: 50}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"models": "small"}', 'the setting models is a list of texts, not "small"'),
        ('{"queue": "50"}', 'the setting queue is a whole number, not "50"'),
        ('{"queue": true}', "the setting queue is a whole number, not true"),
        ('{"clip_hours": null}', "the setting clip_hours is a number, not null"),
        ('{"public": 1}', "the setting public is true or false, not 1"),
        ('{"folder": 3}', "the setting folder is a path, not 3"),
        ('{"origins": [3]}', "the setting origins is a list of texts, not [3]"),
    ],
)
def test_a_value_of_another_kind_is_refused(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Settings.from_json(text)


def test_a_whole_number_does_for_a_number():
    assert Settings.from_json('{"clip_hours": 2}').clip_hours == 2


def test_a_limit_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="clip_hours must be above 0, not nan"):
        Settings(clip_hours=float("nan"))


@pytest.mark.parametrize("name", ["max_live", "queue", "picture_bytes", "clip_hours", "tries"])
def test_a_limit_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0, not 0"):
        Settings(**{name: 0})


def test_no_number_is_below_0():
    with pytest.raises(ValueError, match="proxies must be above 0, not -1"):
        Settings(proxies=-1)


def test_a_folder_is_known_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings(folder=Path("here")).results == tmp_path / "here" / "results"


def test_folders_are_made(tmp_path):
    settings = Settings(folder=tmp_path / "new")
    settings.make_folders()
    assert sorted(path.name for path in settings.folder.iterdir()) == ["results", "uploads"]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://App.Example.org", "https://app.example.org"),
        ("http://a.example:80", "http://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://[::1]:5173", "http://[::1]:5173"),
        ("http://my_app:3000", "http://my_app:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(text, origin):
    assert Settings(origins=(text,)).origins == (origin,)


@pytest.mark.parametrize(
    "text",
    [
        *("*", "null", "", "localhost:3000", "//a.example", "http://", "http:a.example"),
        *("http://a.example/", "http://a.example/app", "http://a.example?b", "http://a.example#b"),
        *("http://*.example", "http://me@a.example", "http://a.example:", "http://a.example:x"),
        *(
            "http://a.example:0",
            "http://a.example:65536",
            "http://a.example b",
            "http://a.example\n",
        ),
        *("ws://localhost:3000", "wss://a.example", "http://b\u00fccher.example"),
    ],
)
def test_what_is_no_origin_is_refused(text):
    said = (
        "an origin is a scheme, a host and perhaps a port, such as http://localhost:3000,"
        f" not {text!r}"
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        Settings(origins=(text,))
