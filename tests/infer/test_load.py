import sys
from pathlib import Path

import numpy as np
import pytest

import tiny
from posegram import image
from posegram.infer import load as module
from posegram.infer.load import (
    BUNDLED,
    DEFAULT,
    DETECTOR,
    bundled,
    detector_file,
    detector_of,
    file_of,
    load,
    load_detector,
    load_network,
    sized,
)
from posegram.pose import COCO17, Card, Skeleton


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A package folder whose weights are tiny stand-ins."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    for name, file in BUNDLED.items():
        tiny.constant(tmp_path / "weights" / file, size=(64, 48 if name == DEFAULT else 32))
    tiny.detector(tmp_path / "weights" / f"{DETECTOR}.onnx", (10, 20, 40, 80))
    return tmp_path / "weights"


def test_an_onnx_file_finds_the_spots_of_a_picture(tmp_path):
    estimate = load(tiny.colours(tmp_path / "m.onnx"))
    truth = np.array([[20, 30], [70, 55], [40, 80]], dtype=np.float32)
    people = estimate(tiny.spots(truth, (128, 128)))
    np.testing.assert_allclose(people.xy[0], truth, atol=1.0)


def test_no_argument_means_the_default_model(weights):
    assert load().card.size == (64, 48)


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_every_bundled_name_loads_its_own_file(weights, name):
    assert load(name).card.size == (64, 48 if name == DEFAULT else 32)


def test_the_default_is_a_bundled_model():
    assert DEFAULT in BUNDLED


def test_a_path_may_be_given_as_text(tmp_path):
    assert load(str(tiny.colours(tmp_path / "m.onnx"))).card.name == "colours"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=f"no model 'nonesuch'; bundled are .*{DEFAULT}"):
        load("nonesuch")


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.onnx, \.ckpt or \.keras"):
        load(tmp_path / "weights.bin")


@pytest.mark.parametrize("name", ["gone.onnx", "gone.ckpt"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"no model file .*{name}"):
        load(tmp_path / name)


def test_a_bundled_model_that_was_not_installed_is_named(weights):
    (weights / BUNDLED[DEFAULT]).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks the bundled model .*{DEFAULT}"):
        bundled(DEFAULT)


@pytest.mark.parametrize(
    ("model", "name"), [("", BUNDLED[DEFAULT]), (Path(), BUNDLED[DEFAULT]), ("cnn", "cnn.onnx")]
)
def test_the_file_behind_a_name_is_the_bundled_one(weights, model, name):
    assert file_of(model) == weights / name


def test_the_file_behind_a_path_is_the_path():
    assert file_of("some/net.ckpt") == Path("some/net.ckpt")


def test_the_file_behind_an_rcnn_with_a_preset_is_without_it(tmp_path):
    assert file_of(tmp_path / "net.pth:fast") == tmp_path / "net.pth"


def test_an_unknown_bundled_name_is_refused():
    with pytest.raises(ValueError, match="no model 'nonesuch'"):
        bundled("nonesuch")


def test_a_checkpoint_without_torch_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "posegram.infer.checkpoint", None)
    with pytest.raises(
        ImportError, match=r"best.ckpt needs torch: pip install 'posegram\[train\]'"
    ):
        load(path)


def test_a_checkpoint_is_opened_by_the_checkpoint_module(tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"x")
    card = Card(name="from a checkpoint", kind="heatmap", skeleton=tiny.RGB, size=(64, 64))

    class Stand:
        load_checkpoint = staticmethod(lambda given: (card, given))

    monkeypatch.setitem(sys.modules, "posegram.infer.checkpoint", Stand)
    assert load_network(path) == (card, path)


BLANK = np.zeros((96, 96, 3), dtype=np.uint8)


def test_the_bundled_detector_finds_the_people(weights):
    np.testing.assert_allclose(load()(BLANK).box, [[10, 20, 40, 80]], atol=1e-4)


def test_the_bundled_detector_may_be_called_by_its_name(weights):
    np.testing.assert_allclose(load(detector=DETECTOR)(BLANK).box, [[10, 20, 40, 80]], atol=1e-4)


def test_joints_of_no_people_need_no_detector():
    assert detector_of(Skeleton("hand", ("wrist", "thumb"))) == "none"
    assert detector_of(COCO17) == DETECTOR


@pytest.mark.parametrize("form", ["{}_{}", "{} {}", "{}.{}"])
def test_people_are_found_whatever_their_joints_are_called(form):
    names = tuple(form.format(part, side) for part in ("shoulder", "hip") for side in "lr")
    assert detector_of(Skeleton("clinic", (*names, "racket_tip"))) == DETECTOR


def test_a_face_is_nobody_to_detect():
    face = ("left_eye", "right_eye", "nose", "left_ear", "right_ear", "tail_base")
    assert detector_of(Skeleton("cat", face)) == "none"


def test_a_detector_that_is_none_says_what_there_is(weights):
    with pytest.raises(
        ValueError,
        match=r"no detector 'foo'; there is detector, detector:640 \(pixels\), none, or an",
    ):
        load(detector="foo")


def test_the_bundled_detector_is_no_model(weights):
    with pytest.raises(ValueError, match="detector is a detector: give it as --detector"):
        load(DETECTOR)


def test_another_detector_may_find_them(weights, tmp_path):
    other = tiny.detector(tmp_path / "other.onnx", (0, 0, 30, 60))
    np.testing.assert_allclose(load(detector=other)(BLANK).box, [[0, 0, 30, 60]], atol=1e-4)


def test_a_number_behind_a_detector_is_the_side_of_its_input(weights):
    assert load_detector("detector:512").card.size == (512, 512)


def test_an_input_that_was_chosen_is_the_only_one(weights):
    assert not load_detector("detector:320").closer


def test_a_number_behind_a_detectors_file_is_the_side_of_its_input(tmp_path):
    other = tiny.detector(tmp_path / "other.onnx", (0, 0, 30, 60))
    assert load_detector(f"{other}:256").card.size == (256, 256)


@pytest.mark.parametrize("side", [0, 95, 2049])
def test_an_input_of_a_side_that_makes_no_sense_is_refused(side):
    with pytest.raises(ValueError, match=f"^detector:{side}: an input has a side of 96 to 2048"):
        sized(f"detector:{side}")


@pytest.mark.parametrize("name", ["", "detector", "none", "C:own.onnx", ":512", "detector:-5"])
def test_no_number_behind_a_detector_is_its_own_input(name):
    assert sized(name) == (name, 0)


def test_the_file_behind_a_detector_is_without_its_size(tmp_path):
    assert detector_file(f"{tmp_path}/own.onnx:512") == tmp_path / "own.onnx"


def test_the_file_behind_no_name_of_a_detector_is_the_bundled_one(weights):
    assert detector_file("").name == "detector.onnx"


def test_without_a_detector_the_image_is_one_person(weights):
    np.testing.assert_array_equal(load(detector="none")(BLANK).box, [[-0.5, -0.5, 95.5, 95.5]])


def test_a_model_of_no_people_gets_no_detector(weights, tmp_path):
    assert load(tiny.colours(tmp_path / "m.onnx")).detect is None


def test_a_pose_network_is_no_detector(weights):
    with pytest.raises(ValueError, match="constant is a regression network, not a detector"):
        load(detector=bundled(DEFAULT))


# the real weights


ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_bundled_weights_have_a_model_card_beside_them(name):
    assert bundled(name).with_suffix(".md").read_text().startswith(f"# {name}\n")


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_bundled_weights_carry_their_own_name(name):
    assert load(name).card.name == name


def test_all_bundled_weights_together_stay_under_15_megabytes():
    assert sum(bundled(name).stat().st_size for name in BUNDLED) < 15e6


@pytest.fixture(scope="module", params=sorted(BUNDLED))
def astronaut(request):
    """NASA's portrait of Eileen Collins: seated, facing us, cut at the waist; and her joints."""
    photo = image.read(ROOT / "docs" / "astronaut.jpg")
    box = np.array([[20, 10, 480, 511]], dtype=np.float32)
    return load(request.param)(photo, box)


def test_the_astronauts_left_shoulder_is_on_the_pictures_right(astronaut):
    assert astronaut.joint("left_shoulder")[0, 0] > astronaut.joint("right_shoulder")[0, 0] + 50


def test_the_astronauts_shoulders_are_below_her_eyes_and_above_her_hips(astronaut):
    for side in ("left", "right"):
        shoulder = astronaut.joint(f"{side}_shoulder")[0, 1]
        assert 130 < shoulder < astronaut.joint(f"{side}_hip")[0, 1]


def test_the_scores_of_real_weights_are_probabilities(astronaut):
    assert ((astronaut.score > 0) & (astronaut.score < 1)).all()


@pytest.mark.parametrize("detector", ["mine.onnx", Path("mine.onnx")])
def test_a_detector_for_keypoint_rcnn_is_refused(detector):
    with pytest.raises(ValueError, match="keypoint-rcnn finds people itself, so it takes no"):
        load("keypoint-rcnn", detector=detector)


def test_a_detector_is_no_model(tmp_path):
    path = tiny.detector(tmp_path / "d.onnx", (10, 20, 40, 80))
    with pytest.raises(ValueError, match=r"d\.onnx is a detector: give it as --detector"):
        load(path)
