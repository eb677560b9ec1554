from dataclasses import replace

import numpy as np
import pytest
import torch

import rcnns
from posegram.models import published
from posegram.pose import COCO17, LSP14, Skeleton
from posegram.train import Config
from posegram.train import rcnn_start as module
from posegram.train.rcnn_start import load

LAST = "roi_heads.keypoint_predictor.kps_score_lowres.weight"
DEEP = "roi_heads.box_head.fc6.weight"
BIRD = Skeleton("bird", ("beak", "nose", "left_wrist"))  # two of COCO's joints, one of its own


def settings(start="", **changes):
    return Config().override({"network": "keypoint_rcnn18", "start": start} | changes)


def filled(start, skeleton=COCO17, **changes):
    given = rcnns.card(skeleton)
    torch.manual_seed(1)  # other weights than those of `rcnns.kept`
    network = module.keypoint_rcnn.keypoint_rcnn(given)
    load(
        network, settings(start, **changes), given, lambda: {"crop": np.stack([rcnns.photo()] * 2)}
    )
    return network


@pytest.fixture
def file(tmp_path):
    torch.save(rcnns.kept().state_dict(), tmp_path / "w.pth")
    return str(tmp_path / "w.pth")


@pytest.fixture
def checkpoint(tmp_path):
    given = rcnns.card(LSP14)
    weights = {f"network.{k}": v for k, v in rcnns.fresh(given).state_dict().items()}
    torch.save({"card": given.to_json(), "state_dict": weights}, tmp_path / "best.ckpt")
    return str(tmp_path / "best.ckpt")


def test_random_weights_get_the_normalisation_of_the_photos():
    norm = filled("").backbone.body.bn1
    assert not torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))


def test_a_file_of_weights_is_taken_whole_where_it_fits(file):
    network, theirs = filled(file), rcnns.kept().state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in network.state_dict().items())


def test_other_joints_get_the_maps_of_those_that_share_their_names(file):
    ours, theirs = filled(file, BIRD).state_dict(), rcnns.kept().state_dict()
    assert torch.equal(ours[DEEP], theirs[DEEP])
    assert torch.equal(ours[LAST][:, 1], theirs[LAST][:, COCO17.index("nose")])
    assert torch.equal(ours[LAST][:, 2], theirs[LAST][:, COCO17.index("left_wrist")])
    assert not any(torch.equal(ours[LAST][:, 0], theirs[LAST][:, k]) for k in range(17))


def test_a_checkpoint_tells_its_joints_by_its_card(checkpoint):
    ours = filled(checkpoint, COCO17).state_dict()
    theirs = torch.load(checkpoint, weights_only=True)["state_dict"]
    wanted = theirs[f"network.{LAST}"][:, LSP14.index("left_knee")]
    assert torch.equal(ours[LAST][:, COCO17.index("left_knee")], wanted)


def test_coco_means_the_published_weights(monkeypatch):
    card = rcnns.card()
    monkeypatch.setattr(published, "keypoints", lambda: (card, rcnns.kept()))
    assert torch.equal(filled("coco").state_dict()[DEEP], rcnns.kept().state_dict()[DEEP])


def test_imagenet_means_torchvisions_resnet(monkeypatch, tmp_path):
    from torchvision.models import resnet18

    torch.save(resnet18(weights=None).state_dict(), tmp_path / "r.pth")
    asked = []
    monkeypatch.setattr(
        published, "find", lambda *said, **more: asked.append(said) or tmp_path / "r.pth"
    )
    theirs = torch.load(tmp_path / "r.pth", weights_only=True)
    body = filled("imagenet").backbone.body
    assert "resnet18" in asked[0][1]
    assert torch.equal(body.layer2[0].conv1.weight, theirs["layer2.0.conv1.weight"])
    assert torch.allclose(body.bn1.running_var, theirs["bn1.running_var"] + 1e-5)


def test_freezing_keeps_the_stem_and_the_first_stage(file):
    network = filled(file, freeze=True)
    still = {n.split(".")[2] for n, p in network.named_parameters() if not p.requires_grad}
    assert still == {"conv1", "layer1"}


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"no weights gone\.pth to start from"):
        filled("gone.pth")


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"x": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="holds no weights of 'keypoint_rcnn18'"):
        filled(str(tmp_path / "x.pth"))


def test_a_narrower_head_stays_fresh(file):
    given = replace(rcnns.card(), settings=rcnns.card().settings | {"width": 4})
    network = module.keypoint_rcnn.keypoint_rcnn(given)
    before = network.state_dict()[LAST].clone()
    load(network, settings(file), given, lambda: None)
    assert torch.equal(network.state_dict()[LAST], before)
