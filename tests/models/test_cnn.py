import pytest
import torch

from posegram import models
from posegram.models.cnn import Cnn, Residual
from posegram.pose import COCO17, LSP14, Card


def network(*, size=(64, 64), skeleton=LSP14, **settings):
    torch.manual_seed(0)
    card = Card("x", "regression", skeleton, size, settings={"network": "cnn", **settings})
    return models.build(card)


def weights(module):
    return sum(p.numel() for p in module.parameters())


def test_its_kind_is_regression():
    assert models.KINDS["cnn"] == "regression"


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (220, 220), (72, 100)])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_crop_gives_two_numbers_and_a_logit_a_joint(size, batch):
    share, logit = network(size=size, width=4).eval()(torch.zeros(batch, 3, *size))
    assert (share.shape, logit.shape) == ((batch, 14, 2), (batch, 14))


def test_the_number_of_joints_is_the_skeletons():
    share, logit = network(skeleton=COCO17, width=4).eval()(torch.zeros(1, 3, 64, 64))
    assert (share.shape, logit.shape) == ((1, 17, 2), (1, 17))


@pytest.mark.parametrize("size", [(64, 64), (220, 220), (72, 100)])
def test_joints_lie_on_the_crop(size):
    found = network(size=size, width=4).eval()(10 * torch.randn(4, 3, *size))[0]
    assert found.min() > -0.05
    assert found.max() < 1.05


def test_extreme_pixels_give_finite_numbers():
    share, logit = network(width=4).eval()(1e4 * torch.randn(2, 3, 64, 64))
    assert torch.isfinite(share).all()
    assert torch.isfinite(logit).all()


def test_training_gives_joints_and_logits_first_too():
    share, logit, *_ = network(width=4).train()(torch.zeros(2, 3, 64, 64))
    assert (share.shape, logit.shape) == ((2, 14, 2), (2, 14))


def test_a_person_of_a_batch_does_not_change_the_others():
    mine, crops = network(width=4).eval(), torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(mine(crops)[0][1:2], mine(crops[1:2])[0], atol=1e-5, rtol=0)


def test_every_weight_gets_a_gradient():
    mine = network(width=4).train()
    sum(out.square().sum() for out in mine(torch.randn(2, 3, 64, 64))).backward()
    assert [n for n, p in mine.named_parameters() if p.grad is None] == []


def test_a_wider_network_has_more_weights():
    assert weights(network(width=8)) > 2 * weights(network(width=4))


def test_the_width_of_a_card_is_the_constructors():
    assert weights(network(width=8)) == weights(Cnn(14, (64, 64), width=8))


def test_it_learns_where_a_spot_is():
    """Thirty steps teach one joint to follow a white spot on black."""
    torch.manual_seed(0)
    mine = Cnn(1, (64, 64), width=4).train()
    optimizer = torch.optim.Adam(mine.parameters(), 1e-2)
    for _ in range(30):
        crop, share = spots(8)
        loss = (mine(crop)[0][:, 0] - share).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.25 * share.var().item()


def spots(count):
    """Crops (B, 3, 64, 64) with one spot each, and its place (B, 2) as shares."""
    at = torch.randint(8, 56, (count, 2))
    crop = torch.zeros(count, 3, 64, 64)
    for one, (x, y) in zip(crop, at.tolist(), strict=True):
        one[:, y - 5 : y + 6, x - 5 : x + 6] = 1
    return crop, (at + 0.5) / 64


@pytest.mark.parametrize(("inside", "outside"), [(4, 4), (4, 8)])
def test_a_residual_block_keeps_the_size_of_the_map(inside, outside):
    assert Residual(inside, outside)(torch.randn(2, inside, 9, 7)).shape == (2, outside, 9, 7)


def test_a_residual_block_adds_its_input_back():
    block = Residual(4, 4).eval()
    for parameter in block.body.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(2, 4, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_a_network_that_nobody_knows_is_refused_with_the_known_ones():
    card = Card("x", "regression", LSP14, (64, 64), settings={"network": "vit"})
    with pytest.raises(ValueError, match=r"no network 'vit'; there are cnn, .*lite"):
        models.build(card)
