import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import rcnns
from posegram import image
from posegram.data import coco, figures
from posegram.infer.load import load
from posegram.infer.openvino import has_openvino
from posegram.infer.rcnn_load import load_rcnn
from posegram.models import load_weights, published
from posegram.pose import COCO17
from posegram.train import Config, fit, rcnn_export
from posegram.train.rcnn_export import export, from_file, keep, write_card
from posegram.train.rcnn_photos import Photo

CARD = rcnns.card()
PICTURES = [rcnns.photo((64, 80), 0), rcnns.photo((80, 64), 1)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on stick figures: one epoch, so it has learnt next to nothing."""
    folder = tmp_path_factory.mktemp("run")
    made = figures.samples(folder / "images", 4, skeleton=COCO17)
    labels = coco.write(folder / "labels.json", made, folder / "images")
    small = {"name": "few", "folder": str(folder), "train": [f"coco:{labels}"], "split": 0.5}
    net = {"network": "keypoint_rcnn18", "channels": 8, "size": [64, 64], "skeleton": "coco17"}
    steps = {"batch": 2, "epochs": 1, "rate": 5e-4, "precision": "fp32", "threads": 1}
    fit(Config().override(small | net | steps), progress=False)
    return folder / "few"


def test_a_run_leaves_what_every_run_leaves(run):
    names = {path.name for path in run.iterdir()}
    wanted = {"best.ckpt", "last.ckpt", "few.onnx", "card.md", "curves.png", "metrics.csv"}
    assert wanted | {"config.toml", "environment.json", "valid.json", "results"} <= names


def test_the_people_of_the_validation_are_read_back_whatever_their_photos_are_called(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (sample,) = figures.samples(Path("images"), 1, skeleton=COCO17)
    nobody = np.zeros((0, 4), dtype=np.float32)
    (tmp_path / "runs" / "few").mkdir(parents=True)
    keep(Path("runs/few"), [Photo(sample.image, (sample,), nobody)])
    (back,) = coco.read(Path("runs/few/valid.json"))
    assert back.image.is_file()


def test_the_card_names_the_kind_and_the_numbers(run):
    text = (run / "card.md").read_text()
    assert "Keypoint R-CNN, 17 joints (coco17)" in text
    assert "OKS AP" in text


def test_the_results_are_a_picture(run):
    assert image.read(run / "results" / "any.png").shape[0] > 100


def test_the_checkpoint_is_read_back(run):
    card, _ = load_weights(run / "best.ckpt")
    assert card.kind == "rcnn"
    assert set(card.scores) == {"valid_loss", "valid_ap", "valid_joints"}


@pytest.mark.parametrize("size", [(128, 128), (96, 150), (150, 90)])
def test_the_exported_file_finds_the_people_of_the_checkpoint(run, size):
    photo = rcnns.photo(size)
    how = "box_score=0.05"
    here = load_rcnn(run / "best.ckpt", preset=how)(photo)
    there = load_rcnn(run / "few.onnx", preset=how)(photo)
    assert len(here) == len(there) > 0
    np.testing.assert_allclose(there.box, here.box, atol=0.02)
    np.testing.assert_allclose(there.score, here.score, atol=1e-3)
    away = np.linalg.norm(there.xy - here.xy, axis=-1)
    assert (away < 0.05).mean() > 0.98  # two places of a map may be equally high


def test_the_exported_file_runs_where_there_is_no_torch(run):
    code = (
        "import sys\nsys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "import numpy, posegram\n"
        f"posegram.load({str(run / 'few.onnx')!r})(numpy.zeros((64, 64, 3), numpy.uint8))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
def test_openvino_finds_the_same_people(run):
    photo = rcnns.photo((128, 128))
    here, there = (
        load_rcnn(run / "few.onnx", preset="box_score=0.05", threads=1, engine=engine)(photo)
        for engine in ("onnxruntime", "openvino")
    )
    assert len(here) == len(there) > 0
    np.testing.assert_allclose(there.box, here.box, atol=0.05)
    away = np.linalg.norm(there.xy - here.xy, axis=-1)
    assert (away < 0.1).mean() > 0.98


def test_a_checkpoint_is_exported_by_itself(run, tmp_path):
    photos = [Path(figure) for figure in sorted((run.parent / "images").iterdir())[:2]]
    from_file(run / "best.ckpt", tmp_path / "again.onnx", photos)
    photo = rcnns.photo((96, 150))
    here, there = (
        load_rcnn(path, preset="box_score=0.05")(photo)
        for path in (run / "few.onnx", tmp_path / "again.onnx")
    )
    np.testing.assert_array_equal(there.box, here.box)


def test_torchvisions_weights_are_exported_too(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "CARD", CARD)
    torch.save(rcnns.kept().state_dict(), tmp_path / "w.pth")
    image.write(tmp_path / "a.png", rcnns.photo((128, 160)))
    out = from_file(tmp_path / "w.pth", tmp_path / "w.onnx", [tmp_path / "a.png"])
    assert load(out).card == CARD


def test_without_photos_nothing_is_exported(run, tmp_path):
    with pytest.raises(ValueError, match="compared on photos of people"):
        from_file(run / "best.ckpt", tmp_path / "again.onnx", [])


def test_a_threshold_that_nobody_reaches_gives_nobody(run):
    assert len(load_rcnn(run / "few.onnx", preset="box_score=1.0")(PICTURES[0])) == 0


def test_load_tells_it_apart_from_other_files(run):
    assert load(run / "few.onnx").card.kind == "rcnn"


def test_the_same_settings_again_only_finish_the_run(run):
    before = (run / "metrics.csv").read_bytes()
    config = Config.read(run / "config.toml")
    fit(config, progress=False)
    assert (run / "metrics.csv").read_bytes() == before


def test_a_graph_that_answers_otherwise_never_appears(tmp_path, monkeypatch):
    trace = rcnn_export._trace

    def shifted(whole, picture, out):
        trace(whole, picture, out)
        model = onnx.load(out)
        for tensor in model.graph.initializer:
            if tensor.name.endswith("bbox_pred.bias"):
                values = onnx.numpy_helper.to_array(tensor) + 1
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(model, out)

    monkeypatch.setattr(rcnn_export, "_trace", shifted)
    with pytest.raises(ValueError, match=r"moved by over 0\.5 pixels|people were found instead of"):
        export(rcnns.kept(), CARD, tmp_path / "m.onnx", pictures=PICTURES)
    assert list(tmp_path.iterdir()) == []


def test_the_card_tells_of_a_skeleton_without_falloffs(tmp_path):
    from dataclasses import replace

    from posegram.pose import LSP14

    scores = {"valid_ap": 50.0, "valid_joints": 60.0}
    write_card(tmp_path / "c.md", replace(CARD, skeleton=LSP14, scores=scores), (3, 2), "train")
    assert "falloff 0.05 for every joint" in (tmp_path / "c.md").read_text()


def answer(*people):
    """Boxes, probabilities and maps of people (x, probability)."""
    box = np.array([[x, 0, x + 10, 20] for x, _ in people], np.float32).reshape(-1, 4)
    score = np.array([p for _, p in people], np.float32)
    return box, score, np.zeros((len(people), 2, 4, 4), np.float32)


def test_people_in_another_order_are_the_same_people(tmp_path):
    here, there = answer((0, 0.9), (50, 0.9)), answer((50, 0.9), (0, 0.9))
    ours, theirs = rcnn_export._pairs(here, there, tmp_path)
    assert (ours.tolist(), theirs.tolist()) == ([0, 1], [1, 0])


def test_a_faint_person_may_be_found_by_one_alone(tmp_path):
    ours, theirs = rcnn_export._pairs(answer((0, 0.9)), answer((0, 0.9), (50, 0.051)), tmp_path)
    assert (ours.tolist(), theirs.tolist()) == ([0], [0])


def test_a_likely_person_found_by_one_alone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="1 people were found instead of 2"):
        rcnn_export._pairs(answer((0, 0.9), (50, 0.5)), answer((0, 0.9)), tmp_path)
