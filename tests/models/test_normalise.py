import pytest
import torch

from posegram.models.normalise import Normalise
from posegram.pose import LSP14, Card

CARD = Card("t", "heatmap", LSP14, (4, 6), mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0))


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_each_colour_loses_its_mean_and_is_divided(kind):
    picture = torch.tensor([10, 24, 46]).to(kind).expand(1, 4, 6, 3)
    found = Normalise(CARD)(picture)
    assert found.shape == (1, 3, 4, 6)
    assert found[0, :, 1, 2].tolist() == [0, 2, 4]


def test_its_numbers_are_no_weights_unless_asked_for():
    assert list(Normalise(CARD).state_dict()) == []
    assert list(Normalise(CARD, persistent=True).state_dict()) == ["mean", "std"]
