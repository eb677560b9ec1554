import math
import re
import sys

import numpy as np
import pytest
import torch

import figures
import runs
from posegram import coords
from posegram.pose import LSP14
from posegram.train import curves, fit
from posegram.train.batches import loader
from posegram.train.fit import card_for
from posegram.train.pairs import Pairs
from posegram.train.semi import (
    Collapsed,
    Guard,
    SemiModule,
    carried,
    collapse,
    ramp,
    sharpness,
)

SIZE = (64, 48)
CELLS = (16, 12)


def bells(xy, bell=1.5):
    """Maps (U, K, 16, 12) that sum to 1 and peak at crop pixels (U, K, 2)."""
    down, across = coords.encode_heatmap(np.asarray(xy, np.float32), SIZE, CELLS, bell)
    return torch.from_numpy(np.einsum("ukh,ukw->ukhw", down, across))


def peaks(maps):
    logits = maps.clamp(min=1e-9).log().numpy()
    return coords.decode((logits,), "heatmap", SIZE)[0]


# maps carried from view to view


def test_the_same_view_keeps_its_maps():
    share = bells([[[20.0, 30.0]]])
    moved, trust = carried(share, torch.eye(2, 3)[None], SIZE)
    np.testing.assert_allclose(moved, share, atol=1e-5)
    assert trust.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        coords.Change(turn=30.0),
        coords.Change(scale=1.3),
        coords.Change(shift=(0.1, -0.1)),
        coords.Change(flip=True),
        coords.Change(turn=-60.0, scale=0.8, flip=True),
    ],
    ids=["turn", "smaller", "shift", "flip", "all"],
)
def test_a_peak_is_carried_to_where_the_joint_is(change):
    box = np.array([0, 0, 47, 63], np.float32)
    easy, hard = (coords.to_crop(box, SIZE, margin=1.0, change=c) for c in (None, change))
    spot = np.array([[26.0, 28.0]], np.float32)  # photo pixels
    to_easy = easy @ np.vstack([coords.inverse(hard), [0, 0, 1]])
    share = bells(coords.move(spot, easy)[None])
    moved, _ = carried(share, torch.from_numpy(to_easy[None].astype(np.float32)), SIZE)
    np.testing.assert_allclose(peaks(moved)[0], coords.move(spot, hard), atol=1.0)


def test_carried_maps_sum_to_one():
    share = bells(np.random.default_rng(0).uniform(15, 35, (2, 3, 2)))
    matrix = torch.tensor([[0.8, 0.2, 3.0], [-0.2, 0.8, 5.0]]).repeat(2, 1, 1)
    moved, _ = carried(share, matrix, SIZE)
    np.testing.assert_allclose(moved.sum(dim=(2, 3)), 1, atol=1e-4)


def test_what_the_hard_view_does_not_show_has_no_weight():
    _, trust = carried(bells([[[20.0, 30.0]]]), torch.tensor([[[1.0, 0, 500], [0, 1, 0]]]), SIZE)
    assert trust.item() == 0


def test_the_weight_does_not_depend_on_the_zoom():
    share = bells([[[24.0, 32.0]]])
    for zoom in (0.7, 1.4):
        middle = (np.array([24, 32]) * (1 - zoom)).tolist()
        matrix = torch.tensor([[[zoom, 0, middle[0]], [0, zoom, middle[1]]]])
        assert carried(share, matrix, SIZE)[1].item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("step", "weight"), [(0, 0), (10, 0), (15, 0.5), (20, 1), (99, 1)])
def test_the_weight_waits_for_the_labels_and_then_rises(step, weight):
    assert ramp(step, 10) == weight


# the guard


def line(peak, spread=0.1):
    return {"semi_peak": peak, "semi_spread": spread}


@pytest.mark.parametrize(
    "lines",
    [
        [line(math.nan)],
        [line(math.nan), line(0.4)],
        [line(0.4), line(0.9), line(0.7)],
        [line(0.4, math.nan)],
        [{"valid_loss": 3.0}],
    ],
)
def test_a_run_in_health_is_left_alone(lines):
    assert collapse(lines) == ""


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([line(0.05)], "sharpness sank to 0.05"),
        ([line(0.9), line(0.4)], r"sank to 0.40 \(best 0.90; 0 is background\)"),
        ([line(0.7, 0.001)], "the same for everybody"),
    ],
)
def test_a_collapse_is_told_in_words(lines, word):
    assert re.search(word, collapse(lines))


def test_the_guard_stops_a_run_with_one_sentence(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,semi_peak,semi_spread\n0,0.01,0.2\n")
    trainer = type("Trainer", (), {"current_epoch": 0})()
    with pytest.raises(Collapsed, match=r"stopped after epoch 1: the network collapses"):
        Guard(tmp_path).on_train_epoch_end(trainer, None)


@pytest.mark.parametrize("cells", [64, 432, 3072])
def test_background_has_no_sharpness(cells):
    assert sharpness(1 / cells, cells) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("bell", [0.3, 0.5, 0.8, 1.5, 2.0])
def test_a_label_has_sharpness_1_however_wide_its_bell_is(bell):
    peak = bells([[[21.5, 29.5]]], bell).max().item()
    assert sharpness(peak, 16 * 12, bell) == pytest.approx(1, abs=0.01)


def test_a_bell_wider_than_the_map_still_ranks_sharp_above_flat():
    assert sharpness(0.5, 16 * 12, 50.0) > sharpness(1 / 192, 16 * 12, 50.0)


# the module


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 8)


def module(tmp_path, people, semi, **changes):
    torch.manual_seed(0)
    config = runs.settings(
        tmp_path,
        **{"network": "lite", "semi": semi, "unlabelled": ["x"], "semi_warmup": 0, "batch": 4},
        **changes,
    )
    mine = SemiModule(card_for(config), config, 2)
    mine.log = lambda *args, **kwargs: None
    batch = next(iter(loader(Pairs(people[:4], people, LSP14, config), config)))
    return mine, batch


@pytest.mark.parametrize("semi", ["consistency", "teacher", "pseudo"])
def test_every_way_gives_a_finite_loss_and_gradients(tmp_path, people, semi, monkeypatch):
    mine, batch = module(tmp_path, people, semi)
    monkeypatch.setattr(type(mine), "global_step", 5)
    loss = mine.training_step(batch, 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in mine.network.parameters())


def test_the_easy_view_gets_no_gradient(tmp_path, people):
    mine, batch = module(tmp_path, people, "consistency")
    assert not mine._easy(batch["easy"].flatten(0, 1)).requires_grad


def test_before_the_warm_up_ends_only_labels_teach(tmp_path, people, monkeypatch):
    mine, batch = module(tmp_path, people, "consistency")
    mine.config = mine.config.override("semi_warmup=100")
    monkeypatch.setattr(type(mine), "global_step", 50)
    monkeypatch.setattr(mine, "_easy", lambda easy: pytest.fail("looked at the unlabelled"))
    mine.training_step(batch, 0)
    assert math.isnan(mine.extras()["semi_peak"])


def test_an_epochs_numbers_are_told(tmp_path, people, monkeypatch):
    mine, batch = module(tmp_path, people, "teacher")
    monkeypatch.setattr(type(mine), "global_step", 5)
    mine.training_step(batch, 0)
    told = mine.extras()
    assert sorted(told) == ["semi_loss", "semi_peak", "semi_spread", "semi_trust"]
    assert np.isfinite(list(told.values())).all()
    mine.on_train_epoch_start()
    assert math.isnan(mine.extras()["semi_peak"])


def test_the_teacher_follows_slowly(tmp_path, people, monkeypatch):
    mine, _ = module(tmp_path, people, "teacher", teacher_decay=0.9)
    monkeypatch.setattr(type(mine), "global_step", 1000)
    before = mine.teacher.maps[0].bias.clone()
    with torch.no_grad():
        mine.network.maps[0].bias += 1
    mine._follow()
    np.testing.assert_allclose(mine.teacher.maps[0].bias - before, 0.1, rtol=1e-4)


def test_a_checkpoint_holds_the_teacher_beside_one_network(tmp_path, people):
    mine, _ = module(tmp_path, people, "teacher")
    with torch.no_grad():
        mine.teacher.maps[0].bias += 1
    checkpoint = {}
    mine.on_save_checkpoint(checkpoint)
    assert not any("teacher" in key for key in mine.state_dict())
    other, _ = module(tmp_path, people, "teacher")
    other.on_load_checkpoint(checkpoint)
    np.testing.assert_array_equal(other.teacher.maps[0].bias, mine.teacher.maps[0].bias)


def test_mirrored_views_swap_left_and_right(tmp_path, people):
    mine, batch = module(tmp_path, people, "pseudo")
    xy = np.stack([np.linspace(10, 50, 14), np.linspace(12, 52, 14)], axis=-1)
    down, across = coords.encode_heatmap(xy[None].astype(np.float32), (64, 64), (16, 16))
    share = torch.from_numpy(np.einsum("ukh,ukw->ukhw", down, across)).repeat(4, 1, 1, 1)
    batch = batch | {
        "to_easy": torch.eye(2, 3).repeat(4, 1, 1, 1),
        "swap": torch.tensor([[True], [False], [True], [False]]),
    }
    points, _, _ = mine._targets(share, batch)
    np.testing.assert_allclose(points[0], points[1][LSP14.flipped], atol=1e-4)


def test_unsure_points_do_not_teach(tmp_path, people):
    mine, batch = module(tmp_path, people, "pseudo")
    flat = torch.full((4, 14, 16, 16), 1 / 256)
    _, trust, _ = mine._targets(flat, batch)
    # a window of 9 x 9 cells holds at most 0.32 of a flat map
    assert (trust < 0.33).all()


@pytest.mark.parametrize("bell", [0.8, 1.5])
def test_maps_like_labels_are_told_as_sharp_as_labels(tmp_path, people, bell):
    mine, batch = module(tmp_path, people, "teacher", bell=bell)
    mine._look(bells([[[21.5, 29.5]]] * 2, bell), batch, 0.5, 0.5)
    assert mine.extras()["semi_peak"] == pytest.approx(1, abs=0.01)


def test_one_person_alone_says_nothing_of_how_maps_differ(tmp_path, people):
    mine, batch = module(tmp_path, people, "teacher")
    mine._look(torch.full((1, 14, 16, 16), 1 / 256), batch, 0.5, 0.5)
    assert math.isnan(mine.extras()["semi_spread"])


# whole runs


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(curves, "draw_curves", lambda rows, out: None)


def settings(tmp_path, **changes):
    labels = runs.labels(tmp_path, 8)
    given = {"network": "lite", "unlabelled": [labels], "batch": 3, "semi_warmup": 1}
    return runs.settings(tmp_path, labels, **(given | changes))


def test_a_runs_checkpoint_keeps_its_teacher(tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(sys.modules["posegram.train.semi"], "collapse", lambda lines: "")
    config = settings(tmp_path, semi="teacher", epochs=2, size=[32, 32])
    fit(config, progress=False)
    assert "teacher" in torch.load(config.run / "last.ckpt", weights_only=True)


def test_a_run_told_to_agree_with_itself_on_nothing_is_stopped(tmp_path, undrawn):
    config = settings(tmp_path, semi="consistency", semi_weight=100.0, epochs=20, rate=0.2)
    with pytest.raises(Collapsed, match="stopped after epoch"):
        fit(config, progress=False)


def test_maps_are_carried_to_the_same_place_in_bf16():
    share = torch.rand(4, 3, 64, 48)
    share = share / share.sum(dim=(2, 3), keepdim=True)
    turn = torch.tensor([[0.94, -0.31, 37.3], [0.28, 0.97, -21.7]]).repeat(4, 1, 1)
    plain = carried(share, turn, (256, 192))[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = carried(share, turn, (256, 192))[0]
    torch.testing.assert_close(mixed, plain)
