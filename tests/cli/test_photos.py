import json
import resource
import sys
from dataclasses import dataclass

import numpy as np
import pytest

import clips
import tiny
from posegram import image as pictures
from posegram.cli import main
from posegram.infer.detect import Detector
from posegram.infer.load import load_network
from posegram.infer.topdown import TopDown
from posegram.pose import COCO17, Card, Skeleton


@pytest.fixture
def model(tmp_path):
    return tiny.constant(tmp_path / "model.onnx", skeleton=COCO17)


@pytest.fixture
def two(tmp_path):
    """A folder with the photos a.png and b.png."""
    (tmp_path / "two").mkdir()
    for name in ("a.png", "b.png"):
        pictures.write(tmp_path / "two" / name, np.full((120, 100, 3), 128, dtype=np.uint8))
    return tmp_path / "two"


def run(*args):
    """Exit code of one run of `posegram predict`, each photo being one person."""
    with pytest.raises(SystemExit) as stop:
        main(["predict", *map(str, args), "--detector", "none"])
    return stop.value.code


def listing(folder):
    return sorted(p.name for p in folder.iterdir() if p.is_file())


# what cannot be written


def test_a_picture_that_cannot_be_written_costs_nothing_else(tmp_path, two, model, capsys):
    out = tmp_path / "out"
    (out / "a.png").mkdir(parents=True)
    assert run(two, "--out", out, "--model", model) == 1
    told = capsys.readouterr()
    assert listing(out) == ["a.json", "b.json", "b.png"]
    assert told.err.splitlines() == [
        "posegram: 1 photo failed:",
        f"  cannot write {out / 'a.png'}: Is a directory",
    ]


def test_a_json_file_that_cannot_be_written_costs_nothing_else(tmp_path, two, model, capsys):
    out = tmp_path / "out"
    (out / "a.json").mkdir(parents=True)
    assert run(two, "--out", out, "--model", model) == 1
    assert listing(out) == ["b.json", "b.png"]
    assert f"cannot write {out / 'a.json'}: Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("form", "name"),
    [("csv", "photos.csv"), ("coco", "coco_results.json"), ("coco", "images.json")],
)
def test_a_shared_file_that_cannot_be_written_is_named(tmp_path, two, model, capsys, form, name):
    out = tmp_path / "out"
    (out / name).mkdir(parents=True)
    assert run(two, "--out", out, "--model", model, "--format", form) == 1
    assert {"a.png", "b.png"} <= set(listing(out))
    assert name in capsys.readouterr().err


def test_a_table_holds_the_photos_that_fit_on_the_disk(tmp_path, two, model, capsys):
    table = tmp_path / "out" / "photos.csv"
    args = (two, "--out", tmp_path / "out", "--model", model, "--format", "csv", "--no-pictures")
    run(*args)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (table.stat().st_size - 1, before[1]))
    try:
        code = run(*args)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    text = table.read_text()
    assert (code, text.count("a.png"), text.count("b.png")) == (1, 17, 0)
    assert f"cannot write {table}: File too large" in capsys.readouterr().err


def test_coco_results_are_written_though_no_picture_can_be(tmp_path, two, model):
    out = tmp_path / "out"
    for name in ("a.png", "b.png"):
        (out / name).mkdir(parents=True)
    assert run(two, "--out", out, "--model", model, "--format", "coco") == 1
    found = json.loads((out / "coco_results.json").read_text())
    assert [entry["image_id"] for entry in found] == [1, 2]


@dataclass(frozen=True, eq=False)
class Failing(TopDown):
    """A model that fails at dark photos."""

    fault: type[Exception] = RuntimeError

    def __call__(self, image, boxes=None):
        if image.mean() < 100:
            raise self.fault("too dark")
        return super().__call__(image, boxes)


@pytest.mark.parametrize(("form", "name"), [("csv", "photos.csv"), ("coco", "coco_results.json")])
def test_what_was_found_is_written_when_the_work_breaks_off(
    tmp_path, two, model, monkeypatch, form, name
):
    failing = Failing(*load_network(model))
    monkeypatch.setattr(sys.modules["posegram.cli.predict"], "load", lambda *a, **k: failing)
    pictures.write(two / "b.png", np.zeros((120, 100, 3), dtype=np.uint8))
    with pytest.raises(RuntimeError):
        run(two, "--out", tmp_path / "out", "--format", form)
    assert (tmp_path / "out" / name).stat().st_size > 100


@pytest.mark.parametrize("form", ["json", "csv", "coco"])
def test_a_photo_that_the_model_refuses_costs_nothing_else(
    tmp_path, two, model, monkeypatch, capsys, form
):
    failing = Failing(*load_network(model), fault=ValueError)
    monkeypatch.setattr(sys.modules["posegram.cli.predict"], "load", lambda *a, **k: failing)
    pictures.write(two / "a.png", np.zeros((120, 100, 3), dtype=np.uint8))
    assert run(two, "--out", tmp_path / "out", "--format", form) == 1
    told = capsys.readouterr()
    assert told.out.startswith("1 photo, 1 person ->")
    assert f"  {two / 'a.png'}: too dark" in told.err.splitlines()


# COCO results


@pytest.fixture
def doubtful(model, monkeypatch):
    """A model that finds somebody and, hardly, somebody else in every photo."""
    card = Card("fake", "detector", Skeleton("box", ()), (96, 96), margin=1.0)
    found = (np.float32([[[0, 0, 30, 60], [50, 20, 80, 90]]]), np.float32([[5, -2.5]]))
    estimate = TopDown(*load_network(model), Detector(card, lambda picture: found))
    monkeypatch.setattr(sys.modules["posegram.cli.predict"], "load", lambda *a, **k: estimate)


def test_coco_results_rank_unlikely_people_too_but_only_likely_ones_are_counted(
    tmp_path, two, doubtful, capsys
):
    for form in ("json", "coco"):
        assert run(two, "--out", tmp_path / form, "--format", form) == 0
        assert capsys.readouterr().out.startswith("2 photos, 2 people ->")
    found = json.loads((tmp_path / "coco" / "coco_results.json").read_text())
    assert [entry["image_id"] for entry in found] == [1, 1, 2, 2]


def test_a_clip_changes_nothing_in_the_photos_coco_results(tmp_path, two, doubtful):
    clip = clips.make(tmp_path / "film.mp4")
    for out, given in (("alone", [two]), ("both", [two, clip])):
        run(*given, "--out", tmp_path / out, "--format", "coco", "--no-pictures")
    alone, both = (tmp_path / out / "coco_results.json" for out in ("alone", "both"))
    assert both.read_text() == alone.read_text()
    frames = json.loads((tmp_path / "both" / "film_coco_results.json").read_text())
    assert len({entry["track_id"] for entry in frames}) == 1  # plain, as in any other form


# who is left out


def test_people_below_the_smallest_score_are_left_out(tmp_path, two, doubtful, capsys):
    for form, name in (("coco", "coco_results.json"), ("csv", "photos.csv")):
        args = ("--out", tmp_path / form, "--format", form, "--min-score")
        assert run(two, *args, "0.05") == 0
        assert "2 people" in capsys.readouterr().out
        some = (tmp_path / form / name).read_text()
        assert run(two, *args, "1") == 0
        assert "0 people" in capsys.readouterr().out
        assert len((tmp_path / form / name).read_text()) < len(some)


def test_only_so_many_people_are_kept(tmp_path, two, doubtful, capsys):
    args = ("--out", tmp_path / "out", "--format", "coco", "--max-people", 1)
    assert run(two, *args) == 0
    found = json.loads((tmp_path / "out" / "coco_results.json").read_text())
    assert [entry["image_id"] for entry in found] == [1, 2]
