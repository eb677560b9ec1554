import json
import os
from pathlib import Path

import pytest

from posegram.cli.clips import Cut
from posegram.cli.photos import Form
from posegram.cli.results import is_clip, is_done, names_for, of_another, tell_renamed


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def input_at(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def done(out, name, image, **head):
    """Results of an input, as `posegram predict --no-pictures` writes them."""
    head = {"model": "small", **head}
    if is_clip(image):
        told = head | {"frames": [{"frame": 0, "image": image.as_posix(), "people": []}]}
    else:
        told = {"image": image.as_posix(), **head}
    (out / f"{name}.json").write_text(json.dumps(told))


def is_whole(path, out, name="a", cut=None):
    return is_done(path, out, name, cut or Cut(), drawn=False)


@pytest.mark.parametrize("kind", ["png", "mp4"])
def test_results_that_name_the_input_are_its_own(tmp_path, out, kind, monkeypatch):
    path = input_at(tmp_path / "A" / f"a.{kind}")
    monkeypatch.chdir(tmp_path)
    done(out, "a", Path("A") / "x" / ".." / path.name)
    (tmp_path / "A" / "x").mkdir()
    assert is_whole(path, out)
    assert names_for({path: path.name}, out, Form.json) == {path: "a"}


@pytest.mark.parametrize("kind", ["png", "mp4"])
def test_results_of_another_input_are_neither_done_nor_overwritten(tmp_path, out, kind):
    first, second = (input_at(tmp_path / folder / f"a.{kind}") for folder in "AB")
    done(out, "a", first)
    assert not is_whole(second, out)
    assert names_for({second: second.name}, out, Form.json) == {second: "a_2"}


def test_another_input_that_comes_first_leaves_the_earlier_one_its_name(tmp_path, out):
    new, old = (input_at(tmp_path / name) for name in ("run.mov", "run.mp4"))
    done(out, "run", old)
    assert names_for({new: new.name, old: old.name}, out, Form.json) == {new: "run_2", old: "run"}


def test_results_that_name_no_input_are_nobodys(tmp_path, out):
    path = input_at(tmp_path / "a.png")
    for text in ("{}", "no JSON", '{"image": "\\q"}', '{"image": null}'):
        (out / "a.json").write_text(text)
        assert not is_whole(path, out)
        assert not of_another(path, [out / "a.json"])


def test_only_the_head_of_a_file_is_read(tmp_path, out):
    path = input_at(tmp_path / "a.mp4")
    done(out, "a", path, joints=["x" * (1 << 16)])
    assert not is_whole(path, out)


@pytest.mark.parametrize("form", [Form.csv, Form.wide])
def test_a_table_names_its_clip_too(tmp_path, out, form):
    first, second = (input_at(tmp_path / folder / "a, b.mp4") for folder in "AB")
    ends = "_wide.csv" if form is Form.wide else ".csv"
    (out / f"a, b{ends}").write_text(f'image,frame\n"{first}",0\n')
    assert names_for({first: first.name}, out, form) == {first: "a, b"}
    assert names_for({second: second.name}, out, form) == {second: "a, b_2"}


def test_a_table_without_people_is_nobodys(tmp_path, out):
    path = input_at(tmp_path / "a.mp4")
    (out / "a.csv").write_text("image,frame\n")
    assert names_for({path: path.name}, out, Form.csv) == {path: "a"}


def test_photos_that_share_a_file_keep_their_names(tmp_path, out):
    path = input_at(tmp_path / "a.png")
    done(out, "a", tmp_path / "b.png")
    assert names_for({path: path.name}, out, Form.csv) == {path: "a"}


PART = {"start": 0.0, "end": 0.3, "stride": 1}


@pytest.mark.parametrize(
    ("head", "cut", "same"),
    [
        ({}, Cut(), True),
        ({"part": PART}, Cut(), False),
        ({"part": PART}, Cut(end=0.3), True),
        ({"part": PART}, Cut(end=0.3, stride=2), False),
        ({}, Cut(start=1.0), False),
        ({}, Cut(every=3, smooth=False), True),
    ],
)
def test_a_part_of_a_clip_is_done_where_that_part_was(tmp_path, out, head, cut, same):
    path = input_at(tmp_path / "a.mp4")
    done(out, "a", path, **head)
    assert is_whole(path, out, cut=cut) == same


def test_an_input_that_was_changed_since_is_not_done(tmp_path, out):
    path = input_at(tmp_path / "a.png")
    done(out, "a", path)
    os.utime(out / "a.json", (0, 0))
    assert not is_whole(path, out)


def test_a_photo_whose_name_was_taken_before_is_told_its_own(tmp_path, out, capsys):
    first, *more = [input_at(tmp_path / folder / "a.png") for folder in "ABC"]
    done(out, "a", first)
    tell_renamed(more, dict.fromkeys(more, "a.png"), dict.fromkeys(more, "a_2"), out)
    assert capsys.readouterr().err == (
        f"posegram: {out} holds results of another a.png, so those of {more[0]} are called a_2; "
        "so it is with 1 more\n"
    )


def test_photos_of_one_run_that_share_a_name_are_not_told(tmp_path, out, capsys):
    path = input_at(tmp_path / "a.png")
    tell_renamed([path], {path: "a.png"}, {path: "a_2"}, out)
    assert capsys.readouterr().err == ""
