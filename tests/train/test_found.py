import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

import runs
from posegram import image
from posegram.data.scenes import Scene
from posegram.infer.detect import Detector
from posegram.infer.load import load_network
from posegram.metrics.boxes import Found
from posegram.models import load_weights
from posegram.train import Config, fit
from posegram.train.detect import card_for
from posegram.train.found import results, write_card

NOBODY = np.zeros((0, 4), dtype=np.float32)


def settings(folder, **changes):
    """Settings of the smallest run of a detector; it writes to folder/tiny."""
    train, valid = (runs.labels(folder / part).removeprefix("coco:") for part in ("a", "b"))
    small = {"network": "dense_detector", "channels": 16, "train": [train, str(folder / "b")]}
    small |= {"valid": [f"{valid}#1-6"], "margin": 1.0, "epochs": 2, "scale": [0.8, 1.2]}
    return runs.settings(folder, **small | changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Config:
    """A finished run on stick figures."""
    folder = tmp_path_factory.mktemp("detector")
    for part in ("a", "b"):
        (folder / part).mkdir()
    runs.labels(folder / "a", 8)
    config = settings(folder)
    # photos of the two sets must not have the same names
    for n, file in enumerate(sorted((folder / "b" / "images").iterdir())):
        file.rename(file.with_name(f"other{n:04d}.png"))
    text = (folder / "b" / "labels.json").read_text().replace("figure", "other")
    (folder / "b" / "labels.json").write_text(text)
    config = config.override({"train": [config.train[0], str(folder / "b" / "images") + "#7-20"]})
    fit(config, progress=False)
    return config


@pytest.mark.parametrize(
    "name",
    [
        *("config.toml", "environment.json", "metrics.csv", "curves.png", "card.md"),
        *("best.ckpt", "last.ckpt", "tiny.onnx"),
        *("results/any.png", "results/missed.png", "results/false.png"),
    ],
)
def test_a_run_leaves_its_files(run, name):
    assert (run.run / name).stat().st_size > 0


def test_every_epoch_has_its_numbers(run):
    with (run.run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"loss", "valid_loss", "valid_recall", "valid_ap50", "valid_false"} <= set(rows[0])


def test_the_best_checkpoint_is_that_of_the_best_precision(run):
    with (run.run / "metrics.csv").open(newline="") as file:
        precision = [float(row["valid_ap50"]) for row in csv.DictReader(file)]
    epoch = torch.load(run.run / "best.ckpt", weights_only=True)["epoch"]
    assert precision[epoch] == max(precision)


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (96, 64)])
def test_the_exported_file_takes_pictures_of_other_sizes(run, size):
    card, network = load_network(run.run / "tiny.onnx", threads=1)
    _, torchs = load_weights(run.run / "best.ckpt")
    picture = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    with torch.no_grad():
        expected = torchs((torch.from_numpy(picture).permute(0, 3, 1, 2).float() - mean) / std)
    for here, there in zip(network(picture), expected, strict=True):
        np.testing.assert_allclose(here, there.numpy(), rtol=1e-4, atol=1e-3)


def test_the_exported_file_detects(run):
    detector = Detector(*load_network(run.run / "tiny.onnx", threads=1), threshold=0.0)
    boxes, score = detector.scored(np.zeros((120, 90, 3), dtype=np.uint8))
    assert len(boxes) == len(score) > 0


def test_the_card_beside_the_run_says_what_was_measured(run):
    text = (run.run / "card.md").read_text()
    assert "## On its 6 validation photos" in text
    assert "(8, " not in text


# pictures and card alone


def seen(folder, count):
    """So many grey photos with one found and one missed person, and a false box."""
    made, found = [], []
    truth = np.array([[10, 10, 40, 60], [60, 10, 90, 60]], dtype=np.float32)
    boxes = np.array([[10, 10, 40, 60], [45, 70, 60, 90]], dtype=np.float32)
    for n in range(count):
        image.write(folder / f"{n}.png", np.full((100, 100, 3), 90, dtype=np.uint8))
        made.append(Scene(folder / f"{n}.png", truth, NOBODY))
        found.append(Found(boxes, np.array([3.0, 2.0], dtype=np.float32), truth, NOBODY))
    return found, made


def card():
    config = Config().override({"network": "detector", "size": [64, 64], "name": "tiny"})
    return card_for(config)


def test_right_boxes_are_green_wrong_ones_red_and_people_white(tmp_path):
    found, made = seen(tmp_path, 1)
    results(tmp_path / "results", found, made, card())
    tile = image.read(tmp_path / "results" / "any.png").reshape(-1, 3).astype(int)
    for colour in ((60, 220, 90), (240, 60, 50), (255, 255, 255)):
        assert np.abs(tile - colour).sum(axis=1).min() < 30


def test_boxes_that_do_not_count_as_found_are_not_drawn(tmp_path):
    found, made = seen(tmp_path, 1)
    found[0].logit[:] = -5
    results(tmp_path / "results", found, made, card())
    tile = image.read(tmp_path / "results" / "any.png").reshape(-1, 3).astype(int)
    assert np.abs(tile - (240, 60, 50)).sum(axis=1).min() > 100


def test_many_photos_make_a_grid_of_24(tmp_path):
    found, made = seen(tmp_path, 30)
    results(tmp_path / "results", found, made, card())
    height, width = image.read(tmp_path / "results" / "missed.png").shape[:2]
    assert (height // 284, width // 284) == (4, 6)


def test_the_card_is_a_table(tmp_path):
    scores = {"valid_recall": 81.25, "valid_precision": 70, "valid_ap50": 75, "valid_false": 0.125}

    write_card(tmp_path / "card.md", replace(card(), scores=scores), (10, 5), "posegram train x")
    text = (tmp_path / "card.md").read_text()
    assert "| 81.2 | 70.0 | 75.0 | 0.12 |" in text
    assert "made by `posegram train x`" in text
