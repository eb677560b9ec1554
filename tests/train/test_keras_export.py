import numpy as np
import pytest
import torch

import figures
import kerases
from posegram import models
from posegram.infer.onnx import load_onnx
from posegram.models.keras_file import keras, load_keras_file
from posegram.pose import LSP14, Card
from posegram.train import keras_export
from posegram.train.keras_export import from_keras, to_keras


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return kerases.saved(tmp_path_factory.mktemp("keras") / "model.keras")


def checkpoint(folder, network, kind, **settings):
    card = Card("tiny", kind, LSP14, (64, 64), settings={"network": network, **settings})
    torch.manual_seed(0)
    weights = {f"network.{k}": v for k, v in models.build(card).state_dict().items()}
    torch.save({"card": card.to_json(), "state_dict": weights}, folder / "best.ckpt")
    return folder / "best.ckpt"


@pytest.mark.parametrize("outputs", ["shares", "pixels"])
def test_the_exported_file_gives_kerass_own_outputs(path, tmp_path, outputs):
    from_keras(path, tmp_path / "a.onnx", outputs=outputs)
    crops = np.random.default_rng(1).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)
    share, _ = load_onnx(tmp_path / "a.onnx")[1](crops)
    own = keras.saving.load_model(path).predict(crops / np.float32(255), verbose=0)
    own = own.reshape(7, 14, 2) if outputs == "shares" else (own.reshape(7, 14, 2) + 0.5) / 64
    np.testing.assert_allclose(share, own, atol=1e-4)


def test_people_tell_how_often_a_joint_is_right(path, tmp_path):
    people = figures.samples(tmp_path / "images", 3)
    card = from_keras(path, tmp_path / "a.onnx", people)
    assert card.calibration[0] == 0
    assert card.calibration[1] < 0  # an untrained model is seldom right


def test_outputs_that_differ_leave_no_file(path, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_export, "_BUDGET", -1.0)
    with pytest.raises(ValueError, match="its outputs differ from those of"):
        from_keras(path, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_our_cnn_becomes_a_keras_file_with_the_same_outputs(tmp_path):
    path = checkpoint(tmp_path, "cnn", "regression", width=4)
    card = to_keras(path, tmp_path / "cnn.keras")
    own, network = load_keras_file(tmp_path / "cnn.keras")
    crops = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected, found = models.load_weights(path)[1](crops), network(crops)
    for ours, theirs in zip(expected, found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert own == card


def test_another_network_is_refused(tmp_path):
    path = checkpoint(tmp_path, "lite", "heatmap", channels=8)
    with pytest.raises(ValueError, match="holds the network 'lite'; only `cnn` is written"):
        to_keras(path, tmp_path / "a.keras")
