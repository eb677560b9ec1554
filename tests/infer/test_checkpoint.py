import numpy as np
import pytest
import torch

from posegram import models
from posegram.infer.checkpoint import load_checkpoint
from posegram.infer.load import load
from posegram.infer.onnx import load_onnx
from posegram.pose import LSP14, Card
from posegram.train import export

CARDS = {
    "cnn": Card(
        *("plain", "regression", LSP14, (64, 64)),
        mean=(120.0, 110.0, 100.0),
        std=(60.0, 50.0, 40.0),
        calibration=(0.5, 1.0),
        settings={"network": "cnn", "width": 4},
    ),
    "lite": Card(*("maps", "heatmap", LSP14, (64, 64)), settings={"network": "lite", "head": 8}),
}


def crops(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def checkpoint(path, card, prefix="network."):
    """A checkpoint as training writes it, with random weights; and its network."""
    torch.manual_seed(0)
    network = models.build(card).eval()
    state = {prefix + key: value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "card": card.to_json(), "epoch": 3}, path)
    return network


@pytest.mark.parametrize("name", sorted(CARDS))
def test_a_checkpoint_answers_as_its_exported_file(tmp_path, name):
    card = CARDS[name]
    network = checkpoint(tmp_path / "a.ckpt", card)
    export(network, card, tmp_path / "a.onnx", crops=crops())
    here, there = load_checkpoint(tmp_path / "a.ckpt"), load_onnx(tmp_path / "a.onnx", threads=1)
    assert here[0] == there[0] == card
    for one, two in zip(here[1](crops()), there[1](crops()), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_a_checkpoint_loads_by_its_path(tmp_path):
    checkpoint(tmp_path / "a.ckpt", CARDS["cnn"])
    people = load(tmp_path / "a.ckpt", detector="none")(crops(1)[0])
    assert people.xy.shape == (1, 14, 2)


def test_the_answers_are_float32_arrays(tmp_path):
    checkpoint(tmp_path / "a.ckpt", CARDS["cnn"])
    assert [a.dtype for a in load_checkpoint(tmp_path / "a.ckpt")[1](crops())] == [np.float32] * 2


def test_crops_need_not_be_contiguous(tmp_path):
    checkpoint(tmp_path / "a.ckpt", CARDS["cnn"])
    _, network = load_checkpoint(tmp_path / "a.ckpt")
    mirrored = crops()[:, :, ::-1]
    np.testing.assert_array_equal(network(mirrored)[0], network(mirrored.copy())[0])


def test_asking_twice_gives_the_same_answer(tmp_path):
    checkpoint(tmp_path / "a.ckpt", CARDS["cnn"])
    _, network = load_checkpoint(tmp_path / "a.ckpt")
    np.testing.assert_array_equal(network(crops())[0], network(crops())[0])


def test_no_crops_give_no_people(tmp_path):
    checkpoint(tmp_path / "a.ckpt", CARDS["cnn"])
    assert load_checkpoint(tmp_path / "a.ckpt")[1](crops(0))[0].shape == (0, 14, 2)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*gone\.ckpt"):
        load_checkpoint(tmp_path / "gone.ckpt")


@pytest.mark.parametrize("content", [b"", b"this is text", b"\x80\x02}q\x00.", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    (tmp_path / "fake.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"fake\.ckpt is no checkpoint that posegram can read"):
        load_checkpoint(tmp_path / "fake.ckpt")


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / "cut.ckpt"
    checkpoint(path, CARDS["cnn"])
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"cut\.ckpt is no checkpoint that posegram can read"):
        load_checkpoint(path)


class Evil:
    def __reduce__(self):
        return (eval, ("__import__('os').system('true')",))


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    torch.save({"state_dict": {}, "card": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"evil\.ckpt is no checkpoint that posegram can read"):
        load_checkpoint(tmp_path / "evil.ckpt")


@pytest.mark.parametrize("whole", [{"state_dict": {}}, {"card": "{}"}, [1, 2]])
def test_a_foreign_checkpoint_is_refused_for_its_missing_card(tmp_path, whole):
    torch.save(whole, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match=r"foreign\.ckpt is a checkpoint without a posegram card"):
        load_checkpoint(tmp_path / "foreign.ckpt")


def test_a_card_that_cannot_be_read_is_refused(tmp_path):
    torch.save({"state_dict": {}, "card": "{}"}, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match="not a posegram model card"):
        load_checkpoint(tmp_path / "odd.ckpt")


def test_weights_that_do_not_fit_the_card_are_refused(tmp_path):
    path = tmp_path / "odd.ckpt"
    checkpoint(path, CARDS["cnn"], prefix="other.")
    with pytest.raises(ValueError, match=r"odd\.ckpt: the weights do not fit the network"):
        load_checkpoint(path)


def test_a_network_that_nobody_knows_is_refused(tmp_path):
    card = Card("x", "regression", LSP14, (64, 64), settings={"network": "vit"})
    torch.save({"state_dict": {}, "card": card.to_json()}, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match="no network 'vit'"):
        load_checkpoint(tmp_path / "odd.ckpt")
