from pathlib import Path

import numpy as np
import pytest
import torch

import rcnns
from posegram import coords, image
from posegram.infer import rcnn
from posegram.infer.rcnn import load_checkpoint, load_published, on_torch
from posegram.infer.rcnn_people import Options
from posegram.models import published

ROOT = Path(__file__).parent.parent.parent
PHOTO = rcnns.photo((160, 200))


def ours(photo=PHOTO, **options):
    return on_torch(rcnns.card(), rcnns.fresh(), options=Options(box_score=0.05, **options))(photo)


def theirs(photo=PHOTO, size=rcnns.SIZE):
    """torchvision's raw answer to a photo."""
    network = rcnns.fresh()
    network.transform.min_size, network.transform.max_size = (min(size),), max(size)
    with torch.inference_mode():
        raw = network([torch.from_numpy(photo).permute(2, 0, 1).float() / 255])[0]
    return {key: value.numpy() for key, value in raw.items()}


@pytest.fixture(scope="module")
def both():
    return ours(), theirs()


# nothing that torchvision says is lost or changed


def test_boxes_equal_torchvisions(both):
    people, raw = both
    assert len(people) > 5
    np.testing.assert_allclose(people.box, raw["boxes"], atol=0.01)


def test_joints_equal_torchvisions(both):
    people, raw = both
    np.testing.assert_allclose(people.xy, raw["keypoints"][..., :2], atol=0.01)


def test_scores_are_torchvisions_box_scores_and_joint_logits(both):
    people, raw = both
    joint = coords.probability(raw["keypoints_scores"], rcnns.card().calibration)
    np.testing.assert_allclose(people.score, raw["scores"][:, None] * joint, atol=1e-3)


def test_the_astronaut_gets_torchvisions_answer_too():
    photo = image.read(ROOT / "docs" / "astronaut.jpg")
    people, raw = ours(photo), theirs(photo)
    # people who are as likely as each other may change places
    apart = np.abs(people.box[:, None] - raw["boxes"][None]).max(axis=-1)
    rows = apart.argmin(axis=1)
    assert sorted(rows) == list(range(len(people)))
    assert apart.min(axis=1).max() < 0.05
    away = np.linalg.norm(people.xy - raw["keypoints"][rows, :, :2], axis=-1)
    assert (away < 0.05).mean() > 0.99  # two places of a map may be equally high


# what makes it fast


def test_folding_changes_nothing_but_rounding(both):
    np.testing.assert_allclose(ours(folded=True).box, both[0].box, atol=0.2)


def test_cheap_decoding_keeps_the_boxes(both):
    np.testing.assert_array_equal(ours(decoding="cheap").box, both[0].box)


def test_half_precision_gives_people_in_the_photo():
    people = ours(precision="bf16")
    assert (people.box[:, 2:] <= [200.5, 160.5]).all()
    assert ((people.score >= 0) & (people.score <= 1)).all()


def test_fewer_people_are_the_likeliest(both):
    np.testing.assert_allclose(ours(people=2).box, both[0].box[:2], atol=0.01)


def test_threads_below_none_are_refused():
    with pytest.raises(ValueError, match="threads must be 0 or more, not -1"):
        on_torch(rcnns.card(), rcnns.fresh(), threads=-1)


# files


@pytest.fixture
def small(monkeypatch):
    """The published network, a thousandth as large."""
    monkeypatch.setattr(published, "CARD", rcnns.card())
    monkeypatch.delenv(published.VARIABLE, raising=False)


def test_torchvisions_weights_from_a_file_find_the_same_people(small, tmp_path, both):
    torch.save(rcnns.fresh().state_dict(), tmp_path / "w.pth")
    estimate = load_published(tmp_path / "w.pth", options=Options(box_score=0.05))
    np.testing.assert_array_equal(estimate(PHOTO).xy, both[0].xy)


def test_the_variable_names_the_file(small, tmp_path, monkeypatch, both):
    torch.save(rcnns.fresh().state_dict(), tmp_path / "w.pth")
    monkeypatch.setenv(published.VARIABLE, str(tmp_path / "w.pth"))
    estimate = load_published(options=Options(box_score=0.05))
    np.testing.assert_array_equal(estimate(PHOTO).xy, both[0].xy)


def test_a_checkpoint_of_ours_finds_the_same_people(tmp_path, both):
    weights = {f"network.{k}": v for k, v in rcnns.fresh().state_dict().items()}
    whole = {"card": rcnns.card().to_json(), "state_dict": weights}
    torch.save(whole, tmp_path / "best.ckpt")
    estimate = load_checkpoint(tmp_path / "best.ckpt", options=Options(box_score=0.05))
    np.testing.assert_array_equal(estimate(PHOTO).xy, both[0].xy)


def test_the_published_card_tells_its_calibration_and_licence():
    assert published.CARD.calibration == (0.4, -0.8)
    assert "torchvision" in published.CARD.licence


def test_the_card_beside_the_code_says_the_same():
    text = (Path(rcnn.__file__).parent.parent / "weights" / "keypoint-rcnn.md").read_text()
    assert text.startswith("# keypoint-rcnn\n")
    assert "0.4" in text
    assert published.PAGE in text
