import sys

import numpy as np
import pytest

import kerases
import posegram
from figures import figure
from posegram import coords
from posegram.coords import whole
from posegram.infer.keras_file import load_keras
from posegram.models.keras_file import keras


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return kerases.saved(tmp_path_factory.mktemp("keras") / "model.keras")


def test_the_network_takes_pictures_as_they_come(path):
    card, network = load_keras(path)
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    own = keras.saving.load_model(path).predict(crops / np.float32(255), verbose=0)
    share, logit = network(crops)
    np.testing.assert_allclose(share, own.reshape(2, 14, 2), atol=1e-5)
    assert (logit.shape, card.name) == ((2, 14), "model")


def test_a_keras_file_is_a_model_like_any_other(path):
    image, _ = figure()
    people = posegram.load(path, detector="none")(image)
    crop, back = coords.crop(image, whole(image), (64, 64), margin=1.0)
    own = keras.saving.load_model(path).predict(crop / np.float32(255), verbose=0)
    expected = coords.move(own.reshape(1, 14, 2) * 64 - np.float32(0.5), back)
    np.testing.assert_allclose(people.xy, expected, atol=1e-3)


def test_without_keras_one_sentence_says_what_to_install(path, monkeypatch):
    for name in ("posegram.infer.keras_file", "posegram.models.keras_file"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match=r"needs Keras: pip install 'posegram\[keras\]'"):
        posegram.load(path)
