import pytest
import torch

from posegram import models
from posegram.pose import Card, Skeleton


def network(**settings):
    torch.manual_seed(0)
    settings = {"network": "dense_detector", **settings}
    return models.build(Card("x", "detector", Skeleton("box", ()), (64, 64), settings=settings))


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_it_answers_like_the_other_detector(size):
    other = models.build(
        Card("x", "detector", Skeleton("box", ()), size, settings={"network": "detector"})
    )
    picture = torch.zeros(2, 3, *size)
    shapes = [[part.shape for part in one.eval()(picture)] for one in (network(head=16), other)]
    assert shapes[0] == shapes[1]


def test_no_convolution_is_depthwise():
    assert {m.groups for m in network().modules() if isinstance(m, torch.nn.Conv2d)} == {1}


def test_every_weight_gets_a_gradient():
    mine = network(head=16).train()
    box, logit = mine(torch.randn(2, 3, 64, 64))
    (box.square().mean() + logit.square().mean()).backward()
    assert [n for n, p in mine.named_parameters() if p.grad is None] == []


def test_the_heads_width_is_a_setting():
    small, large = (sum(p.numel() for p in network(head=h).parameters()) for h in (16, 32))
    assert large > small
