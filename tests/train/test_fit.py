import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import figures
import runs
from posegram import data, image, models
from posegram.data import coco
from posegram.infer.load import load
from posegram.models import load_weights
from posegram.pose import COCO17, LSP14, Skeleton
from posegram.train import Config, curves, fit, start
from posegram.train.fit import card_for, sets


def lines(config, *, but=("seconds",)):
    """The lines of a run's metrics.csv without the columns that differ from run to run."""
    with (config.run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: float(v) for k, v in row.items() if k not in but} for row in rows]


def epoch_of(config, name):
    return torch.load(config.run / name, weights_only=True)["epoch"]


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return runs.labels(tmp_path_factory.mktemp("figures"))


@pytest.fixture
def undrawn(monkeypatch):
    """Leaves out the picture of the curves, which takes most of so small a run's time."""
    monkeypatch.setattr(curves, "draw_curves", lambda rows, out: None)


# what a run leaves behind


@pytest.mark.parametrize(
    "name",
    [
        *("config.toml", "environment.json", "metrics.csv", "curves.png", "card.md"),
        *("best.ckpt", "last.ckpt", "valid.json", "tiny.onnx"),
        *("results/best.png", "results/median.png", "results/worst.png"),
    ],
)
def test_a_run_leaves_its_files(trained, name):
    assert (trained.config.run / name).stat().st_size > 0


def test_a_run_leaves_tensorboards_events(trained):
    assert list((trained.config.run / "events").glob("events.out.tfevents.*"))


def test_a_run_leaves_no_half_written_file(trained):
    assert list(trained.config.run.rglob("*.part*")) == []


def test_the_exported_file_is_what_comes_back(trained):
    assert trained.onnx == trained.config.run / "tiny.onnx"


def test_the_resolved_settings_are_kept(trained):
    assert Config.read(trained.config.run / "config.toml") == trained.config


def test_the_environment_is_kept(trained):
    facts = json.loads((trained.config.run / "environment.json").read_text())
    assert facts["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert (facts["threads"], facts["precision"]) == (1, "32-true")
    assert (facts["people to train on"], facts["people to validate on"]) == (15, 5)


def test_there_is_a_line_for_every_epoch(trained):
    assert [line["epoch"] for line in lines(trained.config)] == [1, 2]


def test_every_number_of_a_line_is_finite(trained):
    assert np.isfinite([list(line.values()) for line in lines(trained.config, but=())]).all()


def test_the_best_weights_are_those_of_the_lowest_validation_loss(trained):
    losses = [line["valid_loss"] for line in lines(trained.config)]
    assert epoch_of(trained.config, "best.ckpt") == losses.index(min(losses))


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_a_checkpoint_runs_without_its_training_module(trained, name):
    estimate = load(trained.config.run / name, detector="none")
    assert estimate(image.read(trained.valid[0].image)).xy.shape == (1, 14, 2)


def test_the_best_checkpoint_and_the_exported_file_hold_the_same_card(trained):
    best, _ = load_weights(trained.config.run / "best.ckpt")
    assert best == load(trained.onnx).card


def test_the_card_says_how_good_the_network_is(trained):
    scores = load(trained.onnx).card.scores
    losses = [line["valid_loss"] for line in lines(trained.config)]
    assert sorted(scores) == ["valid_loss", "valid_mae", "valid_pck"]
    assert scores["valid_loss"] == pytest.approx(min(losses), abs=1e-3)


def test_scores_are_calibrated_on_the_validation_people(trained):
    assert load(trained.onnx).card.calibration != (1.0, 0.0)


def test_the_people_of_the_validation_are_kept_as_a_data_set(trained):
    kept = data.read(str(trained.config.run / "valid.json"))
    assert [s.image.name for s in kept] == [s.image.name for s in trained.valid]
    assert all(s.image.exists() for s in kept)


# data


def test_a_share_of_the_photos_is_kept_apart(trained):
    train, valid = ({s.image for s in part} for part in (trained.train, trained.valid))
    assert (len(train), len(valid), len(train & valid)) == (15, 5, 0)


def test_people_to_validate_on_may_be_named(labels, tmp_path):
    train, valid = sets(runs.settings(tmp_path, labels, valid=[f"{labels}#1-3"]))
    assert (len(train), len(valid)) == (20, 3)


def test_data_sets_are_put_together(labels, tmp_path):
    train, valid = sets(runs.settings(tmp_path, train=[f"{labels}#1-8", f"{labels}#9-20"]))
    assert len(train) + len(valid) == 20


@pytest.fixture
def moved(labels, tmp_path):
    """The labels alone, away from their pictures."""
    path = tmp_path / "moved" / "labels.json"
    path.parent.mkdir()
    path.write_bytes(Path(labels.removeprefix("coco:")).read_bytes())
    return f"coco:{path}"


def test_pictures_may_lie_elsewhere(labels, moved, tmp_path):
    folder = Path(labels.removeprefix("coco:")).parent / "images"
    settings = runs.settings(tmp_path, moved, images=str(folder), valid=[f"{moved}#1-3"])
    assert all(s.image.is_file() for side in sets(settings) for s in side)


def test_a_missing_start_is_told_before_data_is_read(tmp_path):
    config = runs.settings(tmp_path, "coco:gone.json", start="gone.ckpt")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint gone\.ckpt to start from"):
        fit(config, progress=False)


def test_missing_pictures_are_told_before_anything_is_written(moved, tmp_path):
    config = runs.settings(tmp_path, moved)
    with pytest.raises(FileNotFoundError, match="20 of 20 pictures missing; images=FOLDER says"):
        fit(config, progress=False)
    assert not config.run.exists()


def test_a_run_without_data_says_how_to_name_it(tmp_path):
    with pytest.raises(ValueError, match="no data to train on; give train=reader:path"):
        fit(runs.settings(tmp_path), progress=False)


def test_a_single_photo_cannot_be_shared(tmp_path):
    with pytest.raises(ValueError, match="1 people of one photo or of its copies cannot be parted"):
        fit(runs.settings(tmp_path, runs.labels(tmp_path, 1)), progress=False)


# cards


def test_the_card_says_what_the_settings_say(tmp_path):
    card = card_for(runs.settings(tmp_path, skeleton="coco17", margin=1.5, mean=[1, 2, 3]))
    assert (card.name, card.kind, card.skeleton) == ("tiny", "regression", COCO17)
    assert (card.size, card.margin, card.mean) == ((64, 64), 1.5, (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    "spec", ["lsp:data/lspet", "data/lspet", "lsp:data/lspet#1-5", "lsp:C:/data/lspet"]
)
def test_the_card_names_the_data(tmp_path, spec):
    assert card_for(runs.settings(tmp_path, spec)).data == ("lspet",)


def test_the_card_names_a_data_set_once(tmp_path):
    assert card_for(runs.settings(tmp_path, train=["lsp:a/lsp", "lsp:a/lsp"])).data == ("lsp",)


def test_the_card_of_a_detector_refuses_sides_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match=r"size = \[90, 96\]; a detector's sides are multiples"):
        card_for(runs.settings(tmp_path, network="detector", size=[90, 96]))


@pytest.mark.parametrize("network", ["cnn", "detector", "keypoint_rcnn18"])
def test_learning_without_labels_is_refused_for_networks_without_heatmaps(tmp_path, network):
    config = runs.settings(tmp_path, network=network, semi="teacher", unlabelled=["x"])
    with pytest.raises(ValueError, match=f"semi needs a network with heatmaps .*, not '{network}'"):
        fit(config, progress=False)


def test_an_unknown_network_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"no network 'vit'; there are cnn, .*lite"):
        card_for(runs.settings(tmp_path, network="vit"))


def test_an_unknown_skeleton_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="no skeleton 'cat'; there are body19"):
        card_for(runs.settings(tmp_path, skeleton="cat"))


# a run's folder


def test_a_folder_with_other_settings_is_refused_with_the_changed_keys(trained):
    other = trained.config.override("rate=0.1", "turn=3")
    with pytest.raises(ValueError, match=r"other settings \(turn, rate\).*give another name="):
        fit(other, progress=False)


def test_a_refused_folder_is_left_as_it_was(trained):
    with pytest.raises(ValueError, match="other settings"):
        fit(trained.config.override("rate=0.1"), progress=False)
    assert Config.read(trained.config.run / "config.toml") == trained.config


@pytest.mark.parametrize("change", ["threads=2", "cache=off", "kernels=off"])
def test_a_run_may_go_on_with_other_means(tmp_path, labels, undrawn, change):
    config = runs.settings(tmp_path, labels, epochs=1)
    fit(config, progress=False)
    fit(config.override(change), progress=False)
    assert Config.read(config.run / "config.toml") == config.override(change)


def test_a_run_may_go_on_with_pictures_that_were_moved(tmp_path, labels, undrawn):
    config = runs.settings(tmp_path, labels, epochs=1)
    fit(config, progress=False)
    folder = Path(labels.removeprefix("coco:")).parent / "images"
    fit(moved := config.override({"images": str(folder)}), progress=False)
    assert Config.read(config.run / "config.toml") == moved


def test_settings_written_by_hand_belong_to_the_run_all_the_same(tmp_path):
    config = runs.settings(tmp_path)
    config.run.mkdir()
    text = "# by hand\n" + "\n".join(reversed(config.to_toml().splitlines()))
    (config.run / "config.toml").write_text(text)
    with pytest.raises(ValueError, match="no data to train on"):  # and so not refused before
        fit(config, progress=False)


@pytest.mark.parametrize("change", ["train=[]", "network=vit", "start=gone.ckpt"])
def test_a_mistake_leaves_the_name_free(tmp_path, labels, change):
    config = runs.settings(tmp_path, labels)
    with pytest.raises((ValueError, FileNotFoundError)):
        fit(config.override(change), progress=False)
    assert not config.run.exists()


# going on


def test_a_finished_run_is_only_evaluated_and_exported_again(tmp_path, labels, undrawn):
    config = runs.settings(tmp_path, labels, epochs=1)
    fit(config, progress=False).unlink()
    before = lines(config, but=())
    killed_writing = config.run / f".{'0' * 32}.part"
    killed_writing.touch()
    os.utime(killed_writing, (0, 0))
    assert fit(config, progress=False).exists()
    assert lines(config, but=()) == before
    assert not killed_writing.exists()


def test_a_run_whose_last_checkpoint_was_cut_short_goes_on(tmp_path, labels, undrawn):
    config = runs.settings(tmp_path, labels, epochs=1)
    fit(config, progress=False)
    last = config.run / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    assert fit(config, progress=False).exists()


# a rate so high that nothing is gained after the first epochs
WILD = {"rate": 30.0, "epochs": 40, "patience": 2, "schedule": "step", "step_epochs": 100}


def test_training_stops_early_and_stays_stopped(tmp_path, labels, undrawn):
    config = runs.settings(tmp_path, labels, **WILD)
    fit(config, progress=False)
    found = [line["valid_loss"] for line in lines(config)]
    best = found.index(min(found))
    assert len(found) == best + 1 + 2 < 40
    fit(config, progress=False)
    assert len(lines(config)) == len(found)


def test_the_last_weights_are_kept_when_they_are_not_the_best(tmp_path, labels, undrawn):
    config = runs.settings(tmp_path, labels, **{**WILD, "epochs": 4, "patience": 0})
    fit(config, progress=False)
    assert epoch_of(config, "best.ckpt") < epoch_of(config, "last.ckpt") == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "plateau", "plateau_patience": 1, "rate": 0.5},
        {"ema": 0.8, "optimizer": "adamw"},
    ],
    ids=["plateau", "averaged"],
)
def test_a_run_that_dies_in_its_second_epoch_goes_on_as_if_it_had_not(
    tmp_path, labels, monkeypatch, undrawn, changes
):
    """It dies at the worst moment: the epoch's line is written, its checkpoint is not."""
    whole, broken = (
        runs.settings(tmp_path / name, labels, epochs=3, **changes) for name in ("whole", "broken")
    )
    fit(whole, progress=False)

    def dies(rows, out):
        if len(rows) == 2:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(curves, "draw_curves", dies)
        with pytest.raises(RuntimeError, match="killed"):
            fit(broken, progress=False)
    before = lines(broken, but=())
    assert (len(before), epoch_of(broken, "last.ckpt")) == (2, 0)
    fit(broken, progress=False)
    assert lines(broken, but=())[0] == before[0]  # not trained again
    assert_alike(broken, whole)


def assert_alike(one, two):
    here, there = (np.array([list(line.values()) for line in lines(c)]) for c in (one, two))
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-4)


def killed(config):
    """Start a run as a user does and kill it for good after an epoch; its line and file."""
    settings = config.run.parent / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(config.to_toml())
    process = subprocess.Popen(
        [sys.executable, "-m", "posegram", "train", str(settings)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not (config.run / "last.ckpt").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return lines(config, but=())


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_as_if_it_had_not(tmp_path, labels, undrawn):
    whole, broken = (
        runs.settings(tmp_path / name, labels, epochs=6) for name in ("whole", "broken")
    )
    before = killed(broken)
    assert 1 <= len(before) < 6
    assert not (broken.run / "tiny.onnx").exists()
    fit(broken, progress=False)
    fit(whole, progress=False)
    assert lines(broken, but=())[0] == before[0]  # not trained again
    assert_alike(broken, whole)


# what may be missing


def test_people_without_torsos_can_be_trained_on(tmp_path, undrawn):
    made = figures.samples(tmp_path / "images", 8)
    for sample in made:
        sample.visible[[LSP14.index("left_shoulder"), LSP14.index("neck")]] = 0
    coco.write(tmp_path / "labels.json", made, tmp_path / "images")
    config = runs.settings(tmp_path, f"coco:{tmp_path / 'labels.json'}", epochs=1, batch=3)
    card = load(fit(config, progress=False)).card
    assert (card.calibration, card.scores["valid_pck"]) == ((1.0, 0.0), 0.0)


@pytest.mark.parametrize(("side", "what"), [("train", "train on"), ("valid", "validate on")])
def test_people_without_a_joint_of_the_skeleton_are_refused(tmp_path, labels, side, what):
    made = figures.samples(tmp_path / "images", 2, skeleton=Skeleton("face", ("left_eye", "nose")))
    faces = f"coco:{coco.write(tmp_path / 'faces.json', made, tmp_path / 'images')}"
    config = runs.settings(tmp_path, train=[labels], valid=[labels]).override({side: [faces]})
    with pytest.raises(ValueError, match=f"none of the 2 people to {what} has a labelled joint"):
        sets(config)


def test_people_of_another_skeleton_are_trained_on_by_joint_name(tmp_path, undrawn):
    labels = runs.labels(tmp_path, 8, skeleton=COCO17)
    config = runs.settings(tmp_path, labels, epochs=1, batch=3)
    assert load(fit(config, progress=False)).card.skeleton == LSP14


def test_a_run_shorter_than_its_warm_up_saves_what_it_learnt(tmp_path, labels, undrawn):
    config = runs.settings(tmp_path, labels, epochs=1, warmup=500, ema=0.999, rate=0.5)
    fit(config, progress=False)
    other = runs.settings(tmp_path / "plain", labels, epochs=1, warmup=500, rate=0.5)
    fit(other, progress=False)
    averaged, plain = (load_weights(c.run / "best.ckpt")[1].state_dict() for c in (config, other))
    assert all(torch.equal(averaged[name], plain[name]) for name in plain)


def test_a_run_that_goes_on_keeps_its_number_format(tmp_path, labels, undrawn):
    config = runs.settings(tmp_path, labels, epochs=1, precision="auto")
    fit(config, progress=False)
    path = config.run / "environment.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"precision": "bf16-mixed"}))
    fit(config, progress=False)
    assert json.loads(path.read_text())["precision"] == "bf16-mixed"


def test_before_and_after_meets_joints_by_the_people_that_the_start_was_fitted_on(
    labels, tmp_path, undrawn, monkeypatch
):
    config = runs.settings(tmp_path, labels, network="lite", epochs=1, start=str(tmp_path / "a"))
    card = card_for(config)
    torch.save(
        {"state_dict": models.build(card).state_dict(), "card": card.to_json()}, config.start
    )
    shown = []
    monkeypatch.setattr(start, "meet", lambda *given: shown.append(given[-1]()) or {})
    fit(config, progress=False)
    first, last = shown
    np.testing.assert_array_equal(last["crop"], first["crop"])
