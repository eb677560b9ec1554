import copy

import pytest
import torch

import rcnns
from posegram import models
from posegram.models.keypoint_rcnn import Whole, fold, halve, measure_norms, padded, people
from posegram.models.published import CARD
from posegram.models.vision_ops import torchvision_ready
from posegram.pose import LSP14

PICTURE = rcnns.picture(rcnns.photo())


def found(network, sure=0.05, most=100, proposals=60):
    with torch.inference_mode():
        return people(network, PICTURE, sure, most, proposals)


def test_arrays_have_torchvisions_names_and_shapes():
    torchvision_ready()
    from torchvision.models.detection import keypointrcnn_resnet50_fpn

    with torch.device("meta"):
        theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
        ours = models.build(CARD).state_dict()
    # their norms count batches where they are not frozen, as without weights
    wanted = {k: v.shape for k, v in theirs.items() if not k.endswith("num_batches_tracked")}
    assert {k: v.shape for k, v in ours.items()} == wanted


def test_the_head_has_a_map_for_each_joint_of_the_card():
    network = rcnns.fresh(rcnns.card(LSP14))
    assert found(network)[2].shape[1:] == (14, 56, 56)


def test_the_likeliest_people_come_first():
    _, score, _ = found(rcnns.kept())
    assert len(score) > 5
    assert (score.diff() <= 0).all()


def test_people_equal_those_of_torchvisions_own_forward():
    network = rcnns.kept()
    box, score, _ = found(network, proposals=1000)
    image = PICTURE[0] * torch.tensor(network.transform.image_std).view(3, 1, 1)
    image = image + torch.tensor(network.transform.image_mean).view(3, 1, 1)
    network.transform.min_size, network.transform.max_size = (80,), 100
    with torch.inference_mode():
        theirs = network([image])[0]
    torch.testing.assert_close(box, theirs["boxes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(score, theirs["scores"], atol=1e-4, rtol=0)


def test_a_higher_threshold_keeps_the_same_people_above_it():
    box, score, maps = found(rcnns.kept())
    middle = float(score.median())
    some = found(rcnns.kept(), middle)
    kept = score > middle
    for part, whole in zip(some, (box, score, maps), strict=True):
        torch.testing.assert_close(part, whole[kept])


def test_at_most_so_many_people_are_found():
    box, _, _ = found(rcnns.kept())
    few, _, maps = found(rcnns.kept(), 0.05, 3)
    torch.testing.assert_close(few, box[:3])
    assert len(maps) == 3


def test_fewer_proposals_give_fewer_people():
    assert len(found(rcnns.kept(), 0.05, 100, 5)[0]) <= 5


def test_nobody_is_an_answer_too():
    box, score, maps = found(rcnns.kept(), 1.0)
    assert (box.shape, score.shape, maps.shape) == ((0, 4), (0,), (0, 17, 56, 56))


def test_folded_normalisation_gives_the_same_maps():
    plain = found(rcnns.kept())
    folded = found(fold(copy.deepcopy(rcnns.kept())))
    torch.testing.assert_close(folded[0], plain[0], atol=1e-2, rtol=0)
    torch.testing.assert_close(folded[2], plain[2], atol=1e-2, rtol=1e-3)


def test_a_folded_network_normalises_no_more():
    kinds = {type(m).__name__ for m in fold(copy.deepcopy(rcnns.kept())).modules()}
    assert "FrozenBatchNorm2d" not in kinds


def test_halving_changes_the_backbones_maps_little():
    with torch.inference_mode():
        plain = rcnns.kept().backbone(padded(PICTURE))["0"]
        halved = halve(fold(copy.deepcopy(rcnns.kept()))).backbone(padded(PICTURE))["0"]
    assert (halved - plain).norm() / plain.norm() < 0.05


def test_a_halved_network_answers_in_full_numbers():
    halved = found(halve(fold(copy.deepcopy(rcnns.kept()))), 0.0, 2)
    assert [part.dtype for part in halved] == [torch.float32] * 3


def test_measured_norms_keep_random_layers_in_bounds():
    network = rcnns.fresh()
    with torch.inference_mode():
        maps = network.backbone.body(PICTURE)
    assert all(0.1 < x.std() < 10 for x in maps.values())


def test_measuring_leaves_no_hook_behind():
    network = rcnns.fresh()
    before = network.backbone.body.bn1.running_mean.clone()
    found(network)
    measure_norms(network, PICTURE)
    found(network)
    assert torch.equal(network.backbone.body.bn1.running_mean, before)


def test_pictures_are_padded_with_zeros_to_multiples_of_32():
    whole = padded(torch.ones(1, 3, 33, 64))
    assert whole.shape == (1, 3, 64, 64)
    assert whole.sum() == 3 * 33 * 64


def test_the_whole_takes_pixels_as_they_are():
    image = torch.from_numpy(rcnns.photo()).float()[None]
    with torch.inference_mode():
        box, _, _ = Whole(rcnns.kept(), rcnns.card())(image, 0.05, 100, 60)
    torch.testing.assert_close(box, found(rcnns.kept())[0], atol=1e-2, rtol=0)


def test_an_unknown_backbone_is_no_network():
    with pytest.raises(ValueError, match="no network 'keypoint_rcnn9'"):
        models.build(rcnns.card(network="keypoint_rcnn9"))
