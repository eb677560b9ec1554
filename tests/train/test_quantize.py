from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

import tiny
from posegram.infer.onnx import load_onnx
from posegram.models import build
from posegram.pose import LSP14, Card, Skeleton
from posegram.train import quantize as module
from posegram.train.export import export
from posegram.train.quantize import quantize, quantize_checkpoint
from posegram.train.unfold import to_first_convolution

CARD = Card("small", "heatmap", LSP14, (64, 64), settings={"network": "lite", "head": 16})


def pictures(count=16, size=(64, 64)):
    """Smooth noise, (count, H, W, 3) uint8."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(size[0] // 8, axis=1).repeat(size[1] // 8, axis=2)


def exported(path, card=CARD, **options):
    torch.manual_seed(0)
    network = build(card).eval()
    return export(network, card, path, crops=pictures(4, card.size), **options)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A heatmap network as exported, and in 8 bits."""
    folder = tmp_path_factory.mktemp("quantize")
    path = exported(folder / "whole.onnx")
    quantize(path, folder / "eight.onnx", crops=pictures(), budget=1.0)
    return path, folder / "eight.onnx"


def test_the_file_shrinks_to_about_a_quarter(pair):
    whole, eight = (path.stat().st_size for path in pair)
    assert eight < 0.4 * whole


def test_the_card_stays(pair):
    assert load_onnx(pair[1])[0] == CARD


def test_nothing_else_is_left_in_the_metadata(pair):
    assert [entry.key for entry in onnx.load(pair[1]).metadata_props] == ["posegram"]


def test_the_heatmaps_stay_close(pair):
    whole, eight = (load_onnx(path, threads=1)[1](pictures(2))[0] for path in pair)
    assert np.corrcoef(whole.ravel(), eight.ravel())[0, 1] > 0.95


def test_weights_in_half_precision_give_the_same_8_bits(tmp_path, pair):
    half = exported(tmp_path / "half.onnx", half=True)
    quantize(half, tmp_path / "eight.onnx", crops=pictures(), budget=1.0)
    ours, theirs = (
        load_onnx(path, threads=1)[1](pictures(2))[0] for path in (pair[1], tmp_path / "eight.onnx")
    )
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("mean", "kinds"), [(127.0, ["Pad"]), (0.0, [])])
def test_the_first_convolution_normalises_pictures_to_the_same_answers(tmp_path, mean, kinds):
    card = replace(CARD, mean=(mean,) * 3, std=(128.0,) * 3)
    before, after = exported(tmp_path / "before.onnx", card), tmp_path / "after.onnx"
    model = onnx.load(before)
    module._normalise(model, card)
    onnx.save(model, after)
    path = [node.op_type for node in to_first_convolution(model)]
    assert path == [*kinds, "Transpose", "Cast", "Conv"]
    one, two = (load_onnx(path, threads=1)[1](pictures(2))[0] for path in (before, after))
    assert np.allclose(one, two, atol=1e-3)


def test_colours_with_means_of_their_own_are_normalised_before(tmp_path):
    card = replace(CARD, mean=(120.0, 110.0, 100.0))
    model = onnx.load(exported(tmp_path / "whole.onnx", card))
    module._normalise(model, card)
    assert [node.op_type for node in to_first_convolution(model)][2:4] == ["Sub", "Div"]


def test_joints_that_jump_are_refused_with_a_table(tmp_path, pair):
    # an untrained network's peaks are nearly equal, so rounding makes them jump
    with pytest.raises(ValueError, match=r"(?s)in 8 bits .* of the joints jump .*left_wrist"):
        quantize(pair[0], tmp_path / "no.onnx", crops=pictures(), budget=0.0)


def test_what_is_refused_is_not_written(tmp_path, pair):
    with pytest.raises(ValueError, match="jump"):
        quantize(pair[0], tmp_path / "no.onnx", crops=pictures(), budget=0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_few_crops_are_not_enough(tmp_path, pair):
    with pytest.raises(ValueError, match="at least 16 crops, not 15"):
        quantize(pair[0], tmp_path / "no.onnx", crops=pictures(15))


def test_a_few_people_are_refused_before_anything_is_exported(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "from_checkpoint", lambda *_, **__: pytest.fail("exported"))
    with pytest.raises(ValueError, match=r"at least 16 people .*, not 15: .* --people coco:FILE"):
        quantize_checkpoint(tmp_path / "a.ckpt", tmp_path / "no.onnx", [None] * 15)


def test_a_file_without_a_card_is_refused(tmp_path):
    bare = tiny.bare(tmp_path / "bare.onnx", {})
    with pytest.raises(ValueError, match="without a posegram card"):
        quantize(bare, tmp_path / "no.onnx", crops=pictures())


def test_a_detectors_boxes_stay(tmp_path):
    settings = {"network": "dense_detector", "channels": 16}
    card = replace(
        Card("d", "detector", Skeleton("box", ()), (64, 64), margin=1.0, settings=settings),
        calibration=(1.0, 9.0),  # sure of every box
    )
    whole = exported(tmp_path / "whole.onnx", card)
    quantize(whole, tmp_path / "eight.onnx", crops=pictures(), budget=1.0)
    first, second = (
        load_onnx(tmp_path / f"{name}.onnx", threads=1)[1](pictures(1))
        for name in ("whole", "eight")
    )
    np.testing.assert_allclose(second[0], first[0], atol=8)


def test_a_detectors_corners_may_lie_beyond_those_of_the_calibration(tmp_path):
    settings = {"network": "dense_detector", "channels": 16}
    card = replace(
        Card("d", "detector", Skeleton("box", ()), (64, 64), margin=1.0, settings=settings),
        calibration=(1.0, 9.0),  # sure of every box
    )
    whole = exported(tmp_path / "whole.onnx", card)
    quantize(whole, tmp_path / "eight.onnx", crops=pictures(), budget=1.0)
    large = np.tile(pictures(1), (1, 4, 4, 1))
    first, second = (
        load_onnx(tmp_path / f"{name}.onnx", threads=1)[1](large) for name in ("whole", "eight")
    )
    assert first[0].max() > 240
    np.testing.assert_allclose(second[0], first[0], atol=8)
