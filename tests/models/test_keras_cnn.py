import numpy as np
import pytest
import torch

from posegram.models import build
from posegram.models.keras_cnn import card_of, save, twin
from posegram.models.keras_file import keras, load_keras_file, read_model
from posegram.pose import LSP14, Card


def network(size):
    """An untrained CNN whose normalisations do something, and its card."""
    settings = {"network": "cnn", "width": 4}
    mean, std = (120.0, 110.0, 100.0), (60.0, 50.0, 55.0)
    card = Card("small", "regression", LSP14, size, mean, std, settings=settings)
    torch.manual_seed(0)
    made = build(card).eval()
    for part in made.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return made, card


@pytest.mark.parametrize("size", [(64, 64), (72, 56)])  # the second needs uneven pooling
def test_the_twin_gives_what_torch_gives(size):
    ours, card = network(size)
    crops = torch.randint(0, 256, (3, *size, 3)).float()
    mean, std = (torch.tensor(v) for v in (card.mean, card.std))
    with torch.no_grad():
        share, logit = ours(((crops - mean) / std).permute(0, 3, 1, 2))
    joints, sure = twin(ours, card).predict(crops.numpy() / 255, verbose=0)
    np.testing.assert_allclose(joints.reshape(3, 14, 2), share.numpy(), atol=1e-4)
    np.testing.assert_allclose(sure, logit.numpy(), atol=1e-4)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The file of a twin, and its card."""
    ours, card = network((64, 64))
    path = tmp_path_factory.mktemp("twin") / "a.keras"
    return save(twin(ours, card), card_of(card), path), card_of(card)


def test_the_file_is_read_back_without_trust(written):
    path, card = written
    model, own = read_model(path)
    assert (model.output_shape, own) == ([(None, 28), (None, 14)], card)


def test_keras_itself_reads_the_file(written):
    assert keras.saving.load_model(written[0]).input_shape == (None, 64, 64, 3)


def test_the_card_in_the_file_is_used(written):
    path, card = written
    assert load_keras_file(path)[0] == card


def test_the_places_of_the_cells_are_not_trained(written):
    fixed = read_model(written[0])[0].get_layer("centre_of_mass")
    assert fixed.trainable_weights == []


def test_the_twins_card_takes_pictures_from_0_to_1():
    _, card = network((64, 64))
    assert (card_of(card).mean, card_of(card).std) == ((0.0,) * 3, (255.0,) * 3)
