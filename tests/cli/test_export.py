"""`posegram export` as a person types it."""

import io
import json
from dataclasses import replace

import numpy as np
import onnx
import PIL.Image
import pytest
import torch

import figures
import kerases
import posegram
import rcnns
import runs
import serving
from figures import figure
from posegram import coords, data, models
from posegram import image as pictures
from posegram.cli import main
from posegram.data import coco
from posegram.infer.load import load_detector, load_network
from posegram.models.keras_file import keras
from posegram.pose import LSP14, Card, Skeleton
from posegram.web import create_app


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


@pytest.mark.parametrize("how", [[], ["--int8"]])
def test_another_margin_travels_in_the_card(checkpoint, tmp_path, how):
    path, _ = checkpoint
    people = runs.labels(tmp_path, 16)
    changed = ["--margin", "1.1", *how]
    assert _run(path, "--out", tmp_path / "a.onnx", "--people", people, *changed) == 0
    assert load_network(tmp_path / "a.onnx")[0].margin == 1.1


def test_8_bits_shrink_the_file_and_tell_what_jumped(checkpoint, tmp_path, capsys):
    path, _ = checkpoint
    people = runs.labels(tmp_path, 16)
    assert _run(path, "--out", tmp_path / "a.onnx", "--people", people, "--int8") == 0
    assert "of the joints elsewhere" in capsys.readouterr().out
    assert load_network(tmp_path / "a.onnx")[0].name == "tiny"


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


@pytest.fixture
def apart(checkpoint, tmp_path):
    """People whose pictures lie elsewhere than beside their labels, and where."""
    spec = data.mpii.write(tmp_path / "labels" / "list.json", data.read(checkpoint[1]))
    return f"mpii:{spec}", checkpoint[0].parent / "images"


def test_pictures_that_lie_elsewhere_are_named(checkpoint, tmp_path, apart):
    people, images = apart
    given = ("--people", people, "--images", images)
    assert _run(checkpoint[0], "--out", tmp_path / "a.onnx", *given) == 0


def test_people_without_their_pictures_are_told_what_says_where(
    checkpoint, tmp_path, capsys, apart
):
    assert _run(checkpoint[0], "--out", tmp_path / "a.onnx", "--people", apart[0]) == 2
    assert "4 of 4 pictures missing; --images says where" in capsys.readouterr().err


def test_nobody_to_compare_on_is_refused_in_one_sentence(checkpoint, tmp_path, capsys):
    assert _run(checkpoint[0], "--out", tmp_path / "a.onnx") == 2
    assert "--people reader:path" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_told_before_people_are_missed(tmp_path, capsys):
    (tmp_path / "notes.ckpt").write_text("no model")
    assert _run(tmp_path / "notes.ckpt", "--out", tmp_path / "a.onnx") == 2
    assert "notes.ckpt is no checkpoint that posegram can read" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gone.ckpt", "gone.keras", "gone.pth"])
def test_a_missing_model_is_named_before_anything_else(tmp_path, capsys, name):
    assert _run(tmp_path / name, "--out", tmp_path / "a.onnx") == 2
    assert capsys.readouterr().err == f"posegram: there is no model file {tmp_path / name}\n"


@pytest.mark.parametrize(
    ("out", "options", "said"),
    [
        ("a.onnx", ["--half", "--int8"], "two ways to store weights"),
        ("gone/a.onnx", [], "there is no folder"),
        ("folder.onnx", [], "it is a folder"),
        ("a.txt", [], "must end in .onnx or .keras"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    checkpoint, tmp_path, capsys, out, options, said
):
    path, people = checkpoint
    (tmp_path / "folder.onnx").mkdir()
    assert _run(path, "--out", tmp_path / out, "--people", people, *options) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_refused(checkpoint, tmp_path, capsys):
    (tmp_path / "bad.ckpt").write_text("nothing")
    assert _run(tmp_path / "bad.ckpt", "-o", tmp_path / "a.onnx", "--people", checkpoint[1]) == 2
    assert "bad.ckpt is no checkpoint that posegram can read" in capsys.readouterr().err


# Keras


@pytest.fixture(scope="module")
def keras_home(tmp_path_factory):
    """A small CNN built and trained with Keras on stick figures, exported; and its people."""
    home = tmp_path_factory.mktemp("keras")
    people = figures.samples(home / "images", 12)
    coco.write(home / "labels.json", people)
    crops, shares = kerases.crops(people)
    model = kerases.model()
    model.compile(optimizer="adam", loss="mse")
    model.fit(crops, shares, batch_size=6, epochs=3, verbose=0)
    model.save(home / "own.keras")
    given = ("--skeleton", "lsp14", "--people", f"coco:{home / 'labels.json'}")
    assert _run(home / "own.keras", "--out", home / "own.onnx", *given) == 0
    return home


def _by_keras(home, image, box):
    """Keras's own joints in one box of an image, (K, 2) pixels."""
    model = keras.saving.load_model(home / "own.keras")
    matrix = coords.to_crop(box, (64, 64))
    crop = coords.warp(image, matrix, (64, 64))[None] / np.float32(255)
    share = model.predict(crop, verbose=0).reshape(14, 2)
    return coords.move(share * 64 - np.float32(0.5), coords.inverse(matrix))


def _says(*args) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in args])
    return ended.value.code or 0


def test_predict_gives_the_joints_that_keras_gives(keras_home, tmp_path):
    args = ("--boxes", keras_home / "labels.json", "--no-pictures", "--out", tmp_path)
    assert _says("predict", keras_home / "images", "--model", keras_home / "own.onnx", *args) == 0
    sample = data.read(f"coco:{keras_home / 'labels.json'}")[0]
    expected = _by_keras(keras_home, posegram.read(sample.image), sample.box)
    (person,) = json.loads((tmp_path / f"{sample.image.stem}.json").read_text())["people"]
    found = [[person["joints"][j]["x"], person["joints"][j]["y"]] for j in LSP14.joints]
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the file has 3 decimals


def test_people_are_those_of_keras(keras_home):
    sample = data.read(f"coco:{keras_home / 'labels.json'}")[0]
    image = posegram.read(sample.image)
    found = posegram.load(keras_home / "own.onnx")(image, sample.box[None]).xy[0]
    # a share of the crop to 1e-4, as pixels of the image
    side = 1.25 * (sample.box[2:] - sample.box[:2]).max()
    expected = _by_keras(keras_home, image, sample.box)
    np.testing.assert_allclose(found / side, expected / side, atol=1e-4)


def test_a_keras_model_is_evaluated(keras_home, tmp_path):
    truth, model = f"coco:{keras_home / 'labels.json'}", keras_home / "own.onnx"
    out = tmp_path / "report.json"
    code = _says("evaluate", truth, "--model", model, "--resamples", 100, "--out", out)
    assert (code, out.exists()) == (0, True)


def test_a_keras_model_is_served(keras_home, tmp_path):
    settings = serving.settings_for(tmp_path, models=(str(keras_home / "own.onnx"),))
    image, _ = figure()
    body = io.BytesIO()
    PIL.Image.fromarray(image).save(body, "PNG")
    client = create_app(settings).test_client()
    answer = client.post("/v1/pose/image", data=body.getvalue(), content_type="image/png")
    joints = answer.json["people"][0]["joints"]
    found = [[joints[j]["x"], joints[j]["y"]] for j in LSP14.joints]
    own = posegram.load(keras_home / "own.keras", detector="none")(image).xy[0]
    np.testing.assert_allclose(found, own, atol=0.01)


def test_a_checkpoint_becomes_a_keras_file(checkpoint, tmp_path):
    assert _run(checkpoint[0], "--out", tmp_path / "a.keras") == 0
    image, _ = figure()
    ours, theirs = (posegram.load(p)(image) for p in (checkpoint[0], tmp_path / "a.keras"))
    np.testing.assert_allclose(ours.xy, theirs.xy, atol=0.03)
    np.testing.assert_allclose(ours.score, theirs.score, atol=1e-4)


def test_a_keras_file_that_asks_for_code_is_refused(tmp_path, capsys):
    path = kerases.saved(tmp_path / "a.keras")
    kerases.doctored(path, lambda c: c["config"]["layers"][1].update(class_name="Lambda"))
    assert _run(path, "--out", tmp_path / "a.onnx") == 2
    assert "asks for code of its own (Lambda), which is never run" in capsys.readouterr().err


def test_half_precision_is_refused_for_keras(keras_home, tmp_path, capsys):
    assert _run(keras_home / "own.keras", "--out", tmp_path / "a.onnx", "--half") == 2
    assert "--half has no meaning for a .keras file; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more",
    [("--side", 96), ("--photos", "."), ("--skeleton", "lsp14"), ("--outputs", "pixels")],
)
def test_what_is_for_other_models_is_refused_for_a_pose_network(checkpoint, tmp_path, capsys, more):
    path, people = checkpoint
    assert _run(path, "--out", tmp_path / "a.onnx", "--people", people, *more) == 2
    assert f"{more[0]} has no meaning for a pose network" in capsys.readouterr().err


def test_people_are_refused_for_a_keras_file_to_write(checkpoint, tmp_path, capsys):
    path, people = checkpoint
    assert _run(path, "--out", tmp_path / "a.keras", "--people", people) == 2
    assert "--people has no meaning for a .keras file to write" in capsys.readouterr().err


def test_a_skeleton_file_names_the_joints(tmp_path):
    (tmp_path / "s.toml").write_text('name = "hand"\njoints = ["wrist", "thumb"]\n')
    path = kerases.saved(tmp_path / "a.keras", posegram.Skeleton("two", ("a", "b")))
    assert _run(path, "--out", tmp_path / "a.onnx", "--skeleton", tmp_path / "s.toml") == 0
    assert posegram.load(tmp_path / "a.onnx").card.skeleton.joints == ("wrist", "thumb")


@pytest.fixture(scope="module")
def rcnn(tmp_path_factory):
    """A small Keypoint R-CNN with random weights as a checkpoint, and people to compare on."""
    folder = tmp_path_factory.mktemp("rcnn")
    weights = {f"network.{k}": v for k, v in rcnns.kept().state_dict().items()}
    torch.save({"card": rcnns.card().to_json(), "state_dict": weights}, folder / "best.ckpt")
    return folder / "best.ckpt", runs.labels(folder, 1)


def test_a_keypoint_rcnn_is_exported_too(rcnn, tmp_path, capsys):
    path, people = rcnn
    assert _run(path, "--out", tmp_path / "a.onnx", "--people", people) == 0
    assert "people as of" in capsys.readouterr().out
    assert posegram.load(tmp_path / "a.onnx").card == rcnns.card()


def test_a_keypoint_rcnn_is_not_exported_in_8_bits(rcnn, tmp_path, capsys):
    path, people = rcnn
    assert _run(path, "--out", tmp_path / "a.onnx", "--people", people, "--int8") == 2
    assert "--int8 has no meaning for a Keypoint R-CNN" in capsys.readouterr().err


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """A detector with random weights, sure of every box, and a folder of twenty photos."""
    folder = tmp_path_factory.mktemp("finder")
    settings = {"network": "detector", "head": 16}
    card = Card("finder", "detector", Skeleton("box", ()), (64, 64), margin=1.0, settings=settings)
    card = replace(card, calibration=(1.0, 9.0))
    weights = {f"network.{k}": v for k, v in models.build(card).state_dict().items()}
    torch.save({"card": card.to_json(), "state_dict": weights}, folder / "best.ckpt")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for n in range(20):
        photo = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        pictures.write(folder / "photos" / f"{n}.png", photo)
    return folder / "best.ckpt", folder / "photos"


@pytest.fixture
def lenient(monkeypatch):
    """Any box may jump in 8 bits, as those of random weights do."""
    monkeypatch.setattr("posegram.train.quantize._BOXES", 1.0)


@pytest.mark.parametrize(("more", "eight"), [([], False), (["--int8"], True)])
def test_a_detector_is_exported_on_photos(finder, lenient, tmp_path, more, eight):
    checkpoint, photos = finder
    assert _run(checkpoint, "--out", tmp_path / "a.onnx", "--photos", photos, *more) == 0
    nodes = {node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node}
    assert ("QuantizeLinear" in nodes) == eight
    assert load_detector(tmp_path / "a.onnx").card.name == "finder"


@pytest.mark.parametrize("more", [[], ["--int8"]])
def test_a_detector_is_exported_for_another_input(finder, lenient, tmp_path, more):
    checkpoint, photos = finder
    ways = ["--photos", photos, "--side", 96, *more]
    assert _run(checkpoint, "--out", tmp_path / "a.onnx", *ways) == 0
    assert load_detector(tmp_path / "a.onnx").card.size == (96, 96)


def test_a_detector_without_photos_is_refused(finder, tmp_path, capsys):
    assert _run(finder[0], "--out", tmp_path / "a.onnx") == 2
    assert "is a detector: give photos to compare on" in capsys.readouterr().err


def test_a_margin_is_refused_for_a_detector(finder, tmp_path, capsys):
    ways = ["--photos", finder[1], "--margin", 1.1]
    assert _run(finder[0], "--out", tmp_path / "a.onnx", *ways) == 2
    assert "--margin has no meaning for a detector" in capsys.readouterr().err


def test_a_detector_with_few_photos_is_refused(finder, tmp_path, capsys):
    photo = finder[1] / "0.png"
    assert _run(finder[0], "--out", tmp_path / "a.onnx", "--photos", photo, "--int8") == 2
    assert "1 of 1 photos are wider than high" in capsys.readouterr().err
