import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

import rcnns
import tiny
from posegram.infer.load import load
from posegram.infer.rcnn_load import is_rcnn, load_rcnn, weights_of
from posegram.infer.rcnn_people import PRESETS, KeypointRcnn, Options
from posegram.models import published

PHOTO = rcnns.photo()


@pytest.fixture
def checkpoint(tmp_path):
    weights = {f"network.{k}": v for k, v in rcnns.kept().state_dict().items()}
    path = tmp_path / "best.ckpt"
    torch.save({"card": rcnns.card().to_json(), "state_dict": weights}, path)
    return path


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The file of the published weights, a thousandth as large."""
    monkeypatch.setattr(published, "CARD", rcnns.card())
    monkeypatch.delenv(published.VARIABLE, raising=False)
    torch.save(rcnns.kept().state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


def exported(path):
    """A file that says of itself that it is one."""
    tiny.bare(path, {"posegram": rcnns.card().to_json()})
    return path


def test_the_name_is_known_with_and_without_a_preset():
    assert is_rcnn("keypoint-rcnn")
    assert is_rcnn("keypoint-rcnn:fast")


def test_files_are_known_by_their_cards(tmp_path, checkpoint):
    assert is_rcnn(checkpoint)
    assert is_rcnn(exported(tmp_path / "m.onnx"))


def test_files_of_other_kinds_are_not_taken_for_one(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(b"no checkpoint")
    others = [
        tiny.constant(tmp_path / "m.onnx"),
        tmp_path / "x.ckpt",
        tmp_path / "gone.onnx",
        "cnn",
    ]
    assert [is_rcnn(other) for other in others] == [False] * 4


@pytest.mark.parametrize("whole", [b"PK\x01\x02", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(checkpoint, whole):
    checkpoint.write_bytes(checkpoint.read_bytes().replace(whole, b"lost"))
    with pytest.raises(ValueError, match=r"best\.ckpt is no checkpoint"):
        load(checkpoint)


def test_a_checkpoint_whose_beginning_is_missing_is_refused_in_one_sentence(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[300:])
    with pytest.raises(ValueError, match=r"best\.ckpt is no checkpoint"):
        load(checkpoint)


def test_the_card_is_found_in_a_large_file(tmp_path):
    path = exported(tmp_path / "m.onnx")
    model = onnx.load(path)
    weight = np.zeros(100_000, dtype=np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(model, path)
    assert is_rcnn(path)


def test_loading_by_name_and_weights_gives_people(small):
    people = load_rcnn(weights=small, preset="box_score=0.05")(PHOTO)
    assert len(people) > 3
    assert people.skeleton.name == "coco17"


def test_a_preset_may_stand_behind_the_name(small):
    assert load_rcnn("keypoint-rcnn:fast", weights=small).options == PRESETS["fast"]


def test_a_preset_may_stand_behind_a_file(checkpoint):
    assert load(f"{checkpoint}:fast,people=4").options == replace(PRESETS["fast"], people=4)


def test_a_file_with_a_preset_that_is_gone_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no model '.*gone\.onnx:fast'"):
        load(f"{tmp_path / 'gone.onnx'}:fast")


def test_the_weights_of_the_published_network_may_be_given(small):
    assert isinstance(load("keypoint-rcnn", weights=small), KeypointRcnn)


def test_weights_for_another_model_are_refused(small):
    with pytest.raises(ValueError, match="weights are for keypoint-rcnn; cnn has its own"):
        load("cnn", weights=small)


def test_the_file_behind_a_model_is_told(checkpoint, small, monkeypatch):
    monkeypatch.setenv(published.VARIABLE, str(small))
    assert weights_of(f"{checkpoint}:fast") == checkpoint
    assert weights_of("keypoint-rcnn:fast") == small


def test_options_may_be_given_as_such(small):
    assert load_rcnn(small, preset=Options(people=3)).options.people == 3


def test_load_takes_the_name_too(small, monkeypatch):
    monkeypatch.setenv(published.VARIABLE, str(small))
    assert isinstance(load("keypoint-rcnn:people=4"), KeypointRcnn)


def test_load_takes_a_checkpoint_too(checkpoint):
    assert isinstance(load(checkpoint), KeypointRcnn)


def test_torchvisions_file_is_a_model_by_itself(small):
    assert isinstance(load(small), KeypointRcnn)


def test_an_unknown_preset_is_refused_before_anything_is_fetched():
    with pytest.raises(ValueError, match="no preset 'quick'"):
        load_rcnn("keypoint-rcnn:quick")


def test_without_torch_one_sentence_says_what_to_install(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "posegram.infer.rcnn", None)
    monkeypatch.delattr("posegram.infer.rcnn", raising=False)
    with pytest.raises(ImportError, match=r"needs torch: pip install 'posegram\[rcnn\]'"):
        load_rcnn(weights=small)
