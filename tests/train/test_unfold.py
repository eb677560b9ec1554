from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from posegram import models
from posegram.pose import LSP14, Card
from posegram.train.export import export
from posegram.train.quantize import quantize
from posegram.train.start import path_of
from posegram.train.unfold import settle, unfold

LITE = Card("a", "heatmap", LSP14, (64, 64), settings={"network": "lite", "head": 8})
CNN = Card("a", "regression", LSP14, (64, 64), settings={"network": "cnn", "width": 4})


def crops(count=4, size=(64, 64), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def answers(network, card, given):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    with torch.no_grad():
        raw = network((torch.from_numpy(given).permute(0, 3, 1, 2).float() - mean) / std)
    return (raw[0] if isinstance(raw, tuple) else raw).numpy()


def lived(card):
    """A network whose statistics are not those of a fresh one, and no scale of which is zero."""
    torch.manual_seed(0)
    network = models.build(card).train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
    answers(network, card, crops())
    return network.eval()


GROWN = Card("a", "heatmap", LSP14, (64, 64), settings={"network": "lite", "head": 8, "refine": 1})


@pytest.fixture(scope="module", params=[LITE, GROWN, CNN], ids=["lite", "grown", "cnn"])
def exported(request, tmp_path_factory):
    card = request.param
    network = lived(card)
    path = tmp_path_factory.mktemp("export") / "a.onnx"
    return card, network, export(network, card, path, crops=crops())


def test_the_network_in_our_file_answers_as_before_its_export(exported):
    card, network, path = exported
    theirs, rebuilt = unfold(path)
    assert theirs == card
    given = crops(seed=1)
    np.testing.assert_allclose(
        answers(rebuilt, card, given), answers(network, card, given), rtol=1e-3, atol=1e-4
    )


def test_settling_changes_no_answer(exported):
    card, _, path = exported
    _, network = unfold(path)
    before = answers(network, card, crops(seed=2))
    settle(network, card, crops(16))
    after = answers(network, card, crops(seed=2))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)


def test_a_settled_network_answers_in_training_as_in_use(exported):
    card, _, path = exported
    _, network = unfold(path)
    given = crops(16)
    before = answers(network, card, given)
    settle(network, card, given)
    np.testing.assert_allclose(answers(network.train(), card, given), before, rtol=2e-2, atol=2e-3)


def test_without_settling_training_would_answer_otherwise(exported):
    card, _, path = exported
    _, network = unfold(path)
    before = answers(network, card, crops(16))
    assert np.abs(answers(network.train(), card, crops(16)) - before).max() > 0.01


@pytest.mark.parametrize("name", ["small", "medium", "cnn", "detector"])
def test_the_bundled_models_can_be_trained_on(name):
    card, network = unfold(path_of(name))
    assert card.name == name
    assert sum(p.numel() for p in network.parameters()) > 1e5


def test_a_file_that_is_no_onnx_is_named(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"this is text")
    with pytest.raises(ValueError, match=r"a\.onnx is no ONNX file"):
        unfold(path)


def changed(path, out, change):
    model = onnx.load(path)
    change(model)
    onnx.save(model, out)
    return out


def test_a_file_without_a_card_is_refused(exported, tmp_path):
    path = changed(exported[2], tmp_path / "a.onnx", lambda m: m.metadata_props.pop())
    with pytest.raises(ValueError, match="carries no posegram card"):
        unfold(path)


def test_a_file_whose_card_names_another_network_is_refused(exported, tmp_path):
    card, _, path = exported
    other = LITE if card == CNN else CNN

    def swap(model):
        model.metadata_props[0].value = other.to_json()

    with pytest.raises(ValueError, match="holds other layers than"):
        unfold(changed(path, tmp_path / "a.onnx", swap))


def test_a_file_that_computes_something_else_is_refused(exported, tmp_path):
    def swap(model):
        for node in model.graph.node:
            if node.op_type in ("Relu", "Clip"):
                node.CopyFrom(onnx.helper.make_node("Neg", [node.input[0]], [node.output[0]]))

    with pytest.raises(ValueError, match="answers otherwise than the network"):
        unfold(changed(exported[2], tmp_path / "a.onnx", swap))


@pytest.mark.parametrize("mean", [0.0, 127.0])
def test_a_file_in_8_bits_can_be_trained_on(tmp_path, mean):
    card = replace(LITE, mean=(mean,) * 3, std=(128.0,) * 3)
    network = lived(card)
    whole = export(network, card, tmp_path / "whole.onnx", crops=crops())
    quantize(whole, tmp_path / "eight.onnx", crops=crops(16), budget=1.0)
    _, rebuilt = unfold(tmp_path / "eight.onnx")
    ours, theirs = (answers(n, card, crops(seed=1)) for n in (rebuilt, network))
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
