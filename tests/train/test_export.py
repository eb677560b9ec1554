import sys

import numpy as np
import onnx
import pytest
import torch

import runs
from posegram import coords
from posegram.infer.onnx import load_onnx
from posegram.models import build, load_weights
from posegram.pose import LSP14, Card
from posegram.train.export import export, from_checkpoint
from posegram.train.fit import card_for

module = sys.modules["posegram.train.export"]  # the package's `export` is the function


class Weighed(torch.nn.Module):
    """Joints as weighed sums of an 8x8 crop: any change of the weights moves them."""

    def __init__(self, spread=0.2):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 42, 8)
        torch.nn.init.normal_(self.layer.weight, std=spread)

    def forward(self, x):
        out = self.layer(x).flatten(1).view(-1, 14, 3)
        return out[..., :2], out[..., 2]


CARD = Card("weighed", "regression", LSP14, (8, 8), data=("figures",), scores={"pck": 12.5})


def pictures(count=4, size=(8, 8)):
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def given(network, card, crops):
    """What torch gives for crops (B, H, W, 3) uint8."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    with torch.no_grad():
        raw = network((torch.from_numpy(crops).permute(0, 3, 1, 2).float() - mean) / std)
    return [r.numpy() for r in (raw if isinstance(raw, tuple) else (raw,))]


# the file


@pytest.mark.parametrize("kind", ["cnn", "lite"])
def test_the_file_gives_what_torch_gives(tmp_path, kind):
    torch.manual_seed(0)
    config = runs.settings(tmp_path, network=kind, channels=8, mean=[120, 110, 100], std=[60] * 3)
    card = card_for(config)
    network, crops = build(card).eval(), pictures(3, (64, 64))
    _, run = load_onnx(export(network, card, tmp_path / "m.onnx", crops=crops), threads=1)
    for here, there in zip(run(crops), given(network, card, crops), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-4)


def test_the_file_of_a_trained_run_gives_what_torch_gives(trained):
    best = trained.config.run / "best.ckpt"
    card, network = load_weights(best)
    boxes = [coords.crop(pictures(1, (200, 200))[0], s.box[None], card.size) for s in trained.valid]
    crops = np.concatenate([crop for crop, _ in boxes])
    _, run = load_onnx(trained.onnx, threads=1)
    for here, there in zip(run(crops), given(network, card, crops), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_file_takes_batches_of_any_size(tmp_path, count):
    path = export(Weighed(), CARD, tmp_path / "m.onnx", crops=pictures())
    _, run = load_onnx(path)
    np.testing.assert_allclose(
        run(pictures(5)[:count])[0], given(Weighed(), CARD, pictures(5)[:count])[0], atol=1e-4
    )


@pytest.mark.parametrize(
    ("kind", "names"), [("cnn", ["joints", "confidence"]), ("lite", ["heatmaps"])]
)
def test_the_files_arrays_have_names(tmp_path, kind, names):
    config = runs.settings(tmp_path, network=kind, channels=8)
    card = card_for(config)
    path = export(build(card), card, tmp_path / "m.onnx", crops=pictures(2, (64, 64)))
    graph = onnx.load(path).graph
    assert [one.name for one in graph.output] == names
    assert graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_file_holds_the_card(tmp_path):
    card, _ = load_onnx(export(Weighed(), CARD, tmp_path / "m.onnx", crops=pictures()))
    assert card == CARD


def test_a_single_crop_is_enough_to_compare_on(tmp_path):
    assert export(Weighed(), CARD, tmp_path / "m.onnx", crops=pictures(1)).exists()


def test_nothing_but_the_file_is_left(tmp_path):
    export(Weighed(), CARD, tmp_path / "m.onnx", crops=pictures())
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_network_in_training_mode_is_exported_as_it_predicts(tmp_path):
    torch.manual_seed(0)
    card = card_for(runs.settings(tmp_path))
    network, crops = build(card).train(), pictures(3, (64, 64))
    _, run = load_onnx(export(network, card, tmp_path / "m.onnx", crops=crops))
    np.testing.assert_allclose(run(crops)[0], given(network.eval(), card, crops)[0], atol=1e-4)


# half the size


def test_half_precision_makes_the_file_half_as_large(tmp_path):
    whole = export(Weighed(), CARD, tmp_path / "a.onnx", crops=pictures())
    half = export(Weighed(), CARD, tmp_path / "b.onnx", crops=pictures(), half=True)
    assert half.stat().st_size < 0.65 * whole.stat().st_size


def test_half_precision_hardly_moves_joints(tmp_path):
    half = export(Weighed(), CARD, tmp_path / "b.onnx", crops=pictures(), half=True)
    found, wanted = load_onnx(half)[1](pictures())[0], given(Weighed(), CARD, pictures())[0]
    assert not np.array_equal(found, wanted)
    np.testing.assert_allclose(found, wanted, atol=5e-3)


# the gate


@pytest.fixture
def rough(monkeypatch):
    """Weights are stored in steps of 0.25 instead of as float16."""

    def quantise(model):
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                values = onnx.numpy_helper.to_array(tensor)
                rounded = (np.round(values * 4) / 4).astype(np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))

    monkeypatch.setattr(module, "_halve", quantise)


def test_an_export_that_moves_joints_is_refused_with_a_table(tmp_path, rough):
    with pytest.raises(ValueError, match="moves joints by more than") as refusal:
        export(Weighed(), CARD, tmp_path / "m.onnx", crops=pictures(), half=True)
    head, title, *rows = str(refusal.value).splitlines()
    assert head.endswith("0.5 crop pixels on 4 crops:")
    assert title.split() == ["joint", "mean", "largest"]
    assert [row.split()[0] for row in rows] == list(LSP14.joints)
    assert max(float(row.split()[2]) for row in rows) > 0.5


def test_a_refused_export_leaves_no_file(tmp_path, rough):
    with pytest.raises(ValueError, match="moves joints"):
        export(Weighed(), CARD, tmp_path / "m.onnx", crops=pictures(), half=True)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_export_keeps_the_file_that_was_there(tmp_path, rough):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"yesterday's")
    with pytest.raises(ValueError, match="moves joints"):
        export(Weighed(), CARD, path, crops=pictures(), half=True)
    assert path.read_bytes() == b"yesterday's"


def test_a_network_that_gives_no_numbers_is_refused(tmp_path):
    broken = Weighed()
    torch.nn.init.constant_(broken.layer.weight, float("nan"))
    with pytest.raises(ValueError, match="moves joints"):
        export(broken, CARD, tmp_path / "m.onnx", crops=pictures())


# from a checkpoint


def test_a_checkpoint_becomes_the_file_of_its_run(trained, tmp_path):
    best = trained.config.run / "best.ckpt"
    card, run = load_onnx(from_checkpoint(best, tmp_path / "m.onnx", trained.valid), threads=1)
    theirs, again = load_onnx(trained.onnx, threads=1)
    assert card == theirs
    np.testing.assert_allclose(
        run(pictures(2, (64, 64)))[0], again(pictures(2, (64, 64)))[0], atol=1e-6
    )


def test_a_card_may_stand_in_for_the_checkpoints(trained, tmp_path):
    best = trained.config.run / "best.ckpt"
    renamed = card_for(trained.config.override("name=renamed"))
    path = from_checkpoint(best, tmp_path / "m.onnx", trained.valid[:1], card=renamed)
    assert load_onnx(path)[0].name == "renamed"


def test_an_export_without_people_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="give annotated people"):
        from_checkpoint(trained.config.run / "best.ckpt", tmp_path / "m.onnx", [])
