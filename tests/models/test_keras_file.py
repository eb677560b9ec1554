import shutil

import numpy as np
import pytest
import torch

import kerases
from posegram.models.keras_file import keras, load_keras_file, read_model
from posegram.pose import LSP14, Skeleton

HAND = Skeleton("hand", ("wrist", "thumb"))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return kerases.saved(tmp_path_factory.mktemp("keras") / "model.keras")


@pytest.fixture
def path(original, tmp_path):
    """A copy that may be changed."""
    return shutil.copy(original, tmp_path / "model.keras")


def set_layer(description, **changes):
    description["config"]["layers"][1] |= changes


# what is read


def test_the_network_gives_kerass_own_joints(path):
    _, network = load_keras_file(path)
    crops = np.random.default_rng(0).random((3, 64, 64, 3), dtype=np.float32)
    with torch.no_grad():
        share, _ = network(torch.from_numpy(crops).permute(0, 3, 1, 2))
    own = keras.saving.load_model(path).predict(crops, verbose=0).reshape(3, 14, 2)
    np.testing.assert_allclose(share.numpy(), own, atol=1e-5)


def test_pixels_become_shares(path):
    shares, pixels = (load_keras_file(path, outputs=o)[1].eval() for o in ("shares", "pixels"))
    crops = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        raw, moved = shares(crops)[0], pixels(crops)[0]
    torch.testing.assert_close(moved, (raw + 0.5) / 64)


def test_the_card_says_what_the_file_says(path):
    card, _ = load_keras_file(path)
    assert (card.kind, card.size, card.skeleton) == ("regression", (64, 64), LSP14)


def test_without_confidences_every_score_is_one_half(path):
    card, network = load_keras_file(path)
    with torch.no_grad():
        logit = network(torch.rand(1, 3, 64, 64))[1]
    assert (card.calibration, float(logit.abs().max())) == ((0.0, 0.0), 0.0)


def test_a_second_output_holds_the_confidences(tmp_path):
    path = kerases.saved(tmp_path / "sure.keras", sure=True)
    card, network = load_keras_file(path)
    with torch.no_grad():
        logit = network(torch.rand(1, 3, 64, 64))[1]
    assert (card.calibration, bool(logit.abs().max() > 0)) == ((1.0, 0.0), True)


def test_how_a_model_was_trained_does_not_matter(path):
    def train(config):
        config["compile_config"] = {"loss": {"class_name": "Mine", "module": "mine", "config": {}}}

    assert load_keras_file(kerases.doctored(path, train))[0].size == (64, 64)


def test_joints_can_be_named(tmp_path):
    path = kerases.saved(tmp_path / "hand.keras", HAND)
    assert load_keras_file(path, skeleton=HAND)[0].skeleton == HAND


# what is refused

LAMBDA = {"class_name": "Lambda", "module": "keras.layers"}
FOREIGN = [
    LAMBDA,
    {"class_name": "__lambda__", "module": "builtins"},
    {"class_name": "TorchModuleWrapper", "module": "keras.layers"},
    {"class_name": "run", "module": "subprocess"},
    {"class_name": "Mine", "module": "keras.layers", "registered_name": "mine>Mine"},
    {"class_name": "function", "module": "builtins", "registered_name": "function"},
]


@pytest.mark.parametrize("layer", FOREIGN, ids=lambda layer: layer["class_name"])
def test_code_of_its_own_is_refused(path, layer):
    kerases.doctored(path, lambda config: set_layer(config, **layer))
    with pytest.raises(ValueError, match="asks for code of its own"):
        read_model(path)


def test_code_inside_a_layers_settings_is_refused(path):
    hidden = {"class_name": "Lambda", "module": "keras.layers", "config": {}}
    kerases.doctored(path, lambda config: set_layer(config, config={"name": "x", "part": [hidden]}))
    with pytest.raises(ValueError, match=r"asks for code of its own \(Lambda\)"):
        read_model(path)


def test_a_real_lambda_layer_is_refused(tmp_path):
    layers = [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
    keras.Sequential(layers).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=r"asks for code of its own \(Lambda\)"):
        read_model(tmp_path / "a.keras")


@pytest.mark.parametrize("name", ["StringLookup", "TFSMLayer", "RandomFlip"])
def test_a_layer_that_is_not_on_the_list_is_refused(path, name):
    kerases.doctored(path, lambda config: set_layer(config, class_name=name))
    with pytest.raises(ValueError, match=f"is not read: {name}"):
        read_model(path)


@pytest.mark.parametrize("module", ["keras", "keras.utils", "keras.saving", "keras.src.utils.x"])
def test_what_is_no_layer_of_kerass_is_refused(path, module):
    kerases.doctored(path, lambda c: set_layer(c, class_name="get_file", module=module))
    with pytest.raises(ValueError, match="is not read: get_file"):
        read_model(path)


def test_a_subclassed_model_is_refused(path):
    kerases.doctored(path, lambda config: config | {"class_name": "Mine", "module": "mine"})
    with pytest.raises(ValueError, match="only Sequential and Functional models are read"):
        read_model(path)


@pytest.mark.parametrize("content", [b"nothing", b""])
def test_what_is_no_keras_file_is_refused(tmp_path, content):
    (tmp_path / "a.keras").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.keras is no \.keras file of Keras 3"):
        read_model(tmp_path / "a.keras")


def test_a_damaged_description_is_refused(path):
    kerases.doctored(path, lambda config: set_layer(config, config={"filters": "many"}))
    with pytest.raises(ValueError, match="is damaged"):
        read_model(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file .*a\.keras"):
        read_model(tmp_path / "a.keras")


@pytest.mark.parametrize(("outputs", "said"), [(5, r"\(5,\), which is not 2K"), (6, "3 joints")])
def test_outputs_that_are_no_known_joints_are_refused(tmp_path, outputs, said):
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(outputs)]
    keras.Sequential(layers).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=said):
        load_keras_file(tmp_path / "a.keras")


@pytest.mark.parametrize("shape", [(8, 8, 1), (None, None, 3)])
def test_inputs_that_are_no_pictures_of_one_size_are_refused(tmp_path, shape):
    pool = keras.layers.GlobalAveragePooling2D()
    keras.Sequential([keras.Input(shape), pool, keras.layers.Dense(28)]).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="posegram gives RGB of one size"):
        load_keras_file(tmp_path / "a.keras")


def test_a_skeleton_of_another_number_of_joints_is_refused(path):
    with pytest.raises(ValueError, match="14 joints, but skeleton 'hand' has 2"):
        load_keras_file(path, skeleton=HAND)


def test_other_outputs_than_shares_and_pixels_are_refused(path):
    with pytest.raises(ValueError, match="shares or pixels, not 'metres'"):
        load_keras_file(path, outputs="metres")
