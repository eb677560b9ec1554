import sys

import numpy as np
import pytest
import torch

import rcnns
import tiny
from posegram import image as pictures
from posegram.cli import main
from posegram.infer import load as module
from posegram.infer.load import BUNDLED, DEFAULT, DETECTOR
from posegram.infer.openvino import has_openvino
from posegram.infer.verify import Verdict


def run(*args):
    """Exit code of one run of `posegram models`."""
    with pytest.raises(SystemExit) as stop:
        main(["models", *map(str, args)])
    return stop.value.code


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A package folder whose weights are tiny stand-ins."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    for file in BUNDLED.values():
        tiny.constant(tmp_path / "weights" / file)
    return tmp_path / "weights"


def test_the_list_names_every_bundled_model_with_its_facts(weights, capsys):
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in BUNDLED:
        (line,) = [row for row in lines if row.split()[:1] == [name]]
        for fact in ("MB", "regression", "64x48", "lsp14", "Apache-2.0"):
            assert fact in line


def test_the_list_marks_the_default(weights, capsys):
    run("list")
    assert f"{DEFAULT} (default)" in capsys.readouterr().out


def test_the_list_tells_of_a_model_that_is_not_installed(weights, capsys):
    (weights / BUNDLED[DEFAULT]).unlink()
    assert run("list") == 0
    assert "not in this installation" in capsys.readouterr().out


def test_a_models_card_is_shown_by_name(weights, capsys):
    assert run("info", DEFAULT) == 0
    assert "right_ankle, right_knee" in capsys.readouterr().out


def test_a_models_card_is_shown_by_path(tmp_path, capsys):
    assert run("info", tiny.colours(tmp_path / "m.onnx")) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (told["name"], told["kind"], told["data"]) == ("colours", "heatmap", "spots")


def test_an_unknown_model_is_misuse(capsys):
    assert run("info", "nonesuch") == 2
    assert "posegram: no model 'nonesuch'; bundled are" in capsys.readouterr().err


@pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
def test_both_engines_are_compared_on_photos(weights, tmp_path, capsys):
    tiny.detector(weights / f"{DETECTOR}.onnx", (10, 20, 40, 80))
    pictures.write(tmp_path / "a.png", np.full((96, 96, 3), 128, dtype=np.uint8))
    assert run("verify", tmp_path / "a.png") == 0
    said = capsys.readouterr().out
    assert "1 of 1 people the same" in said
    assert "the engines agree" in said


def test_photos_of_nobody_show_nothing_about_the_engines(tmp_path, capsys, monkeypatch):
    verb = sys.modules["posegram.cli.models"]
    monkeypatch.setattr(verb, "load", lambda *_, **__: None)
    monkeypatch.setattr(verb, "same_people", lambda *_: Verdict(0, 0, 0.0, {}))
    pictures.write(tmp_path / "a.png", np.full((96, 96, 3), 128, dtype=np.uint8))
    assert run("verify", tmp_path / "a.png") == 2
    assert "give photos of people" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["keypoint-rcnn", "keypoint-rcnn:fast"])
def test_the_published_keypoint_rcnn_shows_its_model_card(capsys, name):
    assert run("info", name) == 0
    assert capsys.readouterr().out.startswith("# keypoint-rcnn\n")


@pytest.mark.parametrize("preset", ["", ":fast"])
def test_the_card_of_a_keypoint_rcnn_is_shown(tmp_path, capsys, preset):
    weights = {f"network.{k}": v for k, v in rcnns.kept().state_dict().items()}
    torch.save({"card": rcnns.card().to_json(), "state_dict": weights}, tmp_path / "best.ckpt")
    assert run("info", f"{tmp_path / 'best.ckpt'}{preset}") == 0
    assert "96x128 pixels, a whole photo" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["small", "medium", "cnn", "detector"])
def test_the_card_that_lies_beside_a_bundled_model_is_shown_with_its_scores(name, capsys):
    assert run("info", name) == 0
    said = capsys.readouterr().out
    assert f"# {name}\n" in said
    assert "not stated" not in said.partition(f"# {name}\n")[0]


def test_the_list_names_what_is_behind_the_models(weights, capsys):
    run("list")
    assert "detector, which finds the people; not bundled: keypoint-rcnn" in capsys.readouterr().out
