"""From nothing to a pose on a photo, by the commands and functions that a user would call."""

import csv
import json

import numpy as np
import pytest

import figures
import posegram
from posegram import train
from posegram.cli import main
from posegram.data import coco


def posegram_says(*args):
    """Exit code of one command."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in args])
    return stop.value.code or 0


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with stick figures, their annotations and photos of several figures each."""
    home = tmp_path_factory.mktemp("home")
    people = figures.samples(home / "set" / "images", 16)
    coco.write(home / "set" / "labels.json", people)
    (home / "photos").mkdir()
    for n in (1, 2):
        picture, _ = figures.figure(seed=100 + n, people=n, size=(240, 240))
        posegram.write(home / "photos" / f"{n}.png", picture)
    return home


@pytest.fixture(scope="module")
def boxes(home):
    """A COCO file with the boxes of the photos' figures."""
    found = []
    for n in (1, 2):
        _, xy = figures.figure(seed=100 + n, people=n, size=(240, 240))
        for one in xy:
            x0, y0, x1, y1 = (*one.min(axis=0), *one.max(axis=0))
            found.append({"id": len(found) + 1, "image_id": n, "category_id": 1})
            found[-1]["bbox"] = [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]
    pictures = [{"id": n, "file_name": f"{n}.png", "width": 240, "height": 240} for n in (1, 2)]
    path = home / "boxes.json"
    path.write_text(json.dumps({"images": pictures, "annotations": found, "categories": []}))
    return path


@pytest.fixture(scope="module")
def model(home):
    """The exported file of one epoch of training."""
    settings = home / "settings.toml"
    small = {"size": [64, 64], "channels": 4, "batch": 4, "threads": 1, "warmup": 2}
    changes = {"train": [str(home / "set" / "labels.json")], "folder": str(home / "runs")}
    settings.write_text(train.Config().override(small | changes).to_toml())
    assert posegram_says("train", settings, "epochs=1", "name=trip", "precision=fp32") == 0
    return home / "runs" / "trip" / "trip.onnx"


def test_the_data_is_found_fit_for_training(home):
    assert posegram_says("data", "check", home / "set" / "labels.json") == 0


def test_the_data_can_be_looked_at(home):
    out = home / "preview.png"
    assert posegram_says("data", "preview", home / "set" / "labels.json", "--out", out) == 0
    assert posegram.read(out).std() > 10


def test_training_leaves_one_line_an_epoch(home, model):
    with (model.parent / "metrics.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert float(line["loss"]) > 0


def test_the_trained_model_describes_itself(model):
    card = posegram.load(model).card
    assert (card.name, card.size, card.skeleton) == ("trip", (64, 64), posegram.LSP14)


def test_the_model_finds_a_person_in_each_given_box(home, model):
    picture = posegram.read(home / "photos" / "2.png")
    box = np.array([[20, 20, 110, 230], [130, 20, 220, 230]], dtype=np.float32)
    people = posegram.load(model)(picture, box)
    assert people.xy.shape == (2, 14, 2)
    assert ((people.score > 0) & (people.score < 1)).all()
    inside = (people.xy >= box[:, None, :2] - 60) & (people.xy <= box[:, None, 2:] + 60)
    assert inside.all()


def test_the_found_people_can_be_drawn(home, model):
    picture = posegram.read(home / "photos" / "1.png")
    found = posegram.load(model, detector="none")(picture)
    drawn = posegram.draw(picture, found, threshold=0)
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()


def test_the_command_predicts_with_boxes(home, model, boxes):
    out = home / "poses"
    given = ("--model", model, "--boxes", boxes, "--out", out)
    assert posegram_says("predict", home / "photos", *given) == 0
    assert [len(json.loads((out / f"{n}.json").read_text())["people"]) for n in (1, 2)] == [1, 2]
    assert (out / "2.png").exists()


def test_the_command_writes_coco_results_in_the_order_of_the_boxes(home, model, boxes):
    out = home / "results"
    given = ("--model", model, "--boxes", boxes, "--out", out, "--format", "coco")
    assert posegram_says("predict", home / "photos", *given) == 0
    entries = json.loads((out / "coco_results.json").read_text())
    assert [entry["image_id"] for entry in entries] == [1, 2, 2]


def test_the_checkpoint_predicts_what_the_exported_file_predicts(home, model):
    picture = posegram.read(home / "photos" / "1.png")
    here, there = (posegram.load(p)(picture) for p in (model, model.parent / "best.ckpt"))
    np.testing.assert_allclose(here.xy, there.xy, atol=0.02)
    np.testing.assert_allclose(here.score, there.score, atol=1e-3)


def test_the_checkpoint_can_be_exported_again(home, model):
    out = home / "again.onnx"
    assert posegram_says("export", model.parent / "best.ckpt", "--out", out) == 0
    assert posegram.load(out).card == posegram.load(model).card


def test_the_model_can_be_measured(home, model):
    truth = coco.read(model.parent / "valid.json")
    report = posegram.evaluate(posegram.load(model), truth, resamples=20)
    assert "pck" in str(report).lower()
