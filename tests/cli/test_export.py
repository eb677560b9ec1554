"""`posegram export` as a person types it."""

import numpy as np
import pytest
import torch

import posegram
import runs
from figures import figure
from posegram import data, models
from posegram.cli import main
from posegram.pose import LSP14, Card


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained CNN as a checkpoint, and the data set to compare on."""
    folder = tmp_path_factory.mktemp("export")
    settings = {"network": "cnn", "width": 4}
    card = Card("tiny", "regression", LSP14, (64, 64), settings=settings)
    torch.manual_seed(0)
    weights = {f"network.{k}": v for k, v in models.build(card).state_dict().items()}
    torch.save({"card": card.to_json(), "state_dict": weights}, folder / "best.ckpt")
    return folder / "best.ckpt", runs.labels(folder, 4)


def _run(*args) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, args)])
    return ended.value.code


@pytest.mark.parametrize("half", [[], ["--half"]])
def test_the_exported_file_finds_the_checkpoints_joints(checkpoint, tmp_path, half):
    path, people = checkpoint
    assert _run(path, "--out", tmp_path / "a.onnx", "--people", people, *half) == 0
    image, _ = figure()
    ours, theirs = (posegram.load(p)(image).xy for p in (path, tmp_path / "a.onnx"))
    np.testing.assert_allclose(ours, theirs, atol=0.5)


def test_half_precision_halves_the_file(checkpoint, tmp_path):
    path, people = checkpoint
    sizes = []
    for name, flag in (("whole.onnx", []), ("half.onnx", ["--half"])):
        _run(path, "--out", tmp_path / name, "--people", people, *flag)
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_valid_json_beside_the_checkpoint_is_what_is_compared_on(checkpoint, tmp_path):
    path, people = checkpoint
    data.coco.write(path.parent / "valid.json", data.read(people))
    try:
        assert _run(path, "--out", tmp_path / "a.onnx") == 0
    finally:
        (path.parent / "valid.json").unlink()


def test_nobody_to_compare_on_is_refused_in_one_sentence(checkpoint, tmp_path, capsys):
    assert _run(checkpoint[0], "--out", tmp_path / "a.onnx") == 2
    assert "--people reader:path" in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_refused(checkpoint, tmp_path, capsys):
    (tmp_path / "bad.ckpt").write_text("nothing")
    assert _run(tmp_path / "bad.ckpt", "-o", tmp_path / "a.onnx", "--people", checkpoint[1]) == 2
    assert "bad.ckpt is no checkpoint that posegram can read" in capsys.readouterr().err


def test_a_detector_is_refused(tmp_path, checkpoint, capsys):
    settings = {"network": "dense_detector", "width": 8}
    card = Card("boxes", "detector", LSP14, (64, 64), settings=settings)
    weights = {f"network.{k}": v for k, v in models.build(card).state_dict().items()}
    torch.save({"card": card.to_json(), "state_dict": weights}, tmp_path / "best.ckpt")
    assert _run(tmp_path / "best.ckpt", "-o", tmp_path / "a.onnx", "--people", checkpoint[1]) == 2
    assert "is a detector, which its training run exports itself" in capsys.readouterr().err
