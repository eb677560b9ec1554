import sys

import numpy as np
import pytest

import tiny
from posegram.infer import load as module
from posegram.infer.load import BUNDLED, DEFAULT, bundled, load, load_network
from posegram.pose import Card


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A package folder whose weights are tiny stand-ins."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    for name, file in BUNDLED.items():
        tiny.constant(tmp_path / "weights" / file, size=(64, 48 if name == DEFAULT else 32))
    return tmp_path / "weights"


def test_an_onnx_file_finds_the_spots_of_a_picture(tmp_path):
    estimate = load(tiny.colours(tmp_path / "m.onnx"))
    truth = np.array([[20, 30], [70, 55], [40, 80]], dtype=np.float32)
    people = estimate(tiny.spots(truth, (128, 128)))
    np.testing.assert_allclose(people.xy[0], truth, atol=1.0)


def test_no_argument_means_the_default_model(weights):
    assert load().card.size == (64, 48)


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_every_bundled_name_loads_its_own_file(weights, name):
    assert load(name).card.size == (64, 48 if name == DEFAULT else 32)


def test_the_default_is_a_bundled_model():
    assert DEFAULT in BUNDLED


def test_a_path_may_be_given_as_text(tmp_path):
    assert load(str(tiny.colours(tmp_path / "m.onnx"))).card.name == "colours"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=f"no model 'nonesuch'; bundled are .*{DEFAULT}"):
        load("nonesuch")


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.onnx or \.ckpt"):
        load(tmp_path / "weights.bin")


@pytest.mark.parametrize("name", ["gone.onnx", "gone.ckpt"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"no model file .*{name}"):
        load(tmp_path / name)


def test_a_bundled_model_that_was_not_installed_is_named(weights):
    (weights / BUNDLED[DEFAULT]).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks the bundled model '{DEFAULT}'"):
        bundled(DEFAULT)


def test_an_unknown_bundled_name_is_refused():
    with pytest.raises(ValueError, match="no model 'nonesuch'"):
        bundled("nonesuch")


def test_a_checkpoint_without_torch_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "posegram.infer.checkpoint", None)
    with pytest.raises(
        ImportError, match=r"best.ckpt needs torch: pip install 'posegram\[train\]'"
    ):
        load(path)


def test_a_checkpoint_is_opened_by_the_checkpoint_module(tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"x")
    card = Card(name="from a checkpoint", kind="heatmap", skeleton=tiny.RGB, size=(64, 64))

    class Stand:
        load_checkpoint = staticmethod(lambda given: (card, given))

    monkeypatch.setitem(sys.modules, "posegram.infer.checkpoint", Stand)
    assert load_network(path) == (card, path)


def test_a_detector_is_asked_for_boxes(tmp_path):
    box = np.array([[5, 5, 60, 60]], dtype=np.float32)
    estimate = load(tiny.colours(tmp_path / "m.onnx"), detect=lambda image: box)
    np.testing.assert_array_equal(estimate(np.zeros((99, 99, 3), np.uint8)).box, box)
