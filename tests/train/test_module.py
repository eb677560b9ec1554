import numpy as np
import pytest
import torch

import runs
from posegram.pose import LSP14, Skeleton
from posegram.train.fit import card_for
from posegram.train.module import (
    PoseModule,
    heatmap_loss,
    measurable,
    nowhere_loss,
    regression_loss,
    right_joints,
    summary,
    torsos,
)

SIZE = (64, 48)


def places(batch=3):
    """Crop pixels inside the crop, (B, 14, 2), and full weights (B, 14)."""
    chance = np.random.default_rng(0)
    xy = chance.uniform(4, 44, (batch, 14, 2)).astype(np.float32)
    return torch.from_numpy(xy), torch.ones(batch, 14)


def shares(xy):
    return (xy + 0.5) / torch.tensor([SIZE[1], SIZE[0]])


def peaked(xy, bell=1.5):
    """Heatmap logits (B, K, 16, 12) with a bell of so many cells around each place."""
    cell = (xy + 0.5) / 4 - 0.5
    rows, columns = torch.arange(16.0), torch.arange(12.0)
    down = (rows - cell[..., 1:]) ** 2
    across = (columns - cell[..., :1]) ** 2
    return -(down[..., :, None] + across[..., None, :]) / (2 * bell**2)


# losses


def test_the_regression_loss_is_0_at_the_truth():
    xy, weight = places()
    assert regression_loss(shares(xy), xy, weight, SIZE).item() == pytest.approx(0, abs=1e-12)


def test_the_regression_loss_is_the_mean_square_of_the_error_in_shares():
    xy, weight = places()
    off = shares(xy) + torch.tensor([0.1, 0.3])
    loss = regression_loss(off, xy, weight, SIZE).item()
    assert loss == pytest.approx((0.1**2 + 0.3**2) / 2, rel=1e-4)


def test_the_regression_loss_is_a_mean_over_labelled_joints_alone():
    xy, weight = places()
    off = shares(xy) + 0.1
    off[:, 7:] += 5
    weight[:, 7:] = 0
    assert regression_loss(off, xy, weight, SIZE).item() == pytest.approx(0.01, rel=1e-4)


def test_half_a_weight_counts_half():
    xy, weight = places(1)
    off = shares(xy)
    off[0, 0] += 1
    weight[0, 0] = 0.5
    assert regression_loss(off, xy, weight, SIZE).item() == pytest.approx(0.5 / 13.5, rel=1e-4)


def test_the_heatmap_loss_is_lowest_at_the_true_place():
    xy, weight = places(1)
    moves = [(0, 0), (6, 0), (-6, 0), (0, 6), (0, -6), (2, 2)]
    losses = [
        heatmap_loss(peaked(xy + torch.tensor(move)), xy, weight, SIZE).item() for move in moves
    ]
    assert losses.index(min(losses)) == 0


def test_no_other_map_beats_the_bell_of_the_target():
    xy, weight = places(1)
    heat = peaked(xy).requires_grad_()
    heatmap_loss(heat, xy, weight, SIZE).backward()
    assert heat.grad.abs().max().item() == pytest.approx(0, abs=1e-6)


def test_a_narrow_bell_makes_more_of_a_small_miss():
    xy, weight = places(1)
    miss = xy + torch.tensor([2, 0])

    def cost(bell: float) -> float:
        there, beside = (peaked(at, bell) for at in (xy, miss))
        losses = [heatmap_loss(heat, xy, weight, SIZE, bell=bell) for heat in (beside, there)]
        return (losses[0] - losses[1]).item()

    assert cost(0.75) > 3 * cost(1.5)


def test_the_heatmap_loss_of_an_even_map_is_the_log_of_its_cells():
    xy, weight = places()
    loss = heatmap_loss(torch.zeros(3, 14, 16, 12), xy, weight, SIZE).item()
    assert loss == pytest.approx(np.log(16 * 12), rel=1e-4)


def test_an_even_map_says_nowhere():
    assert nowhere_loss(torch.zeros(3, 14, 16, 12), torch.ones(3, 14)).item() == pytest.approx(0)


def test_a_peak_says_somewhere():
    xy, weight = places(1)
    assert nowhere_loss(peaked(xy), weight).item() > 1


def test_only_absent_joints_learn_to_be_nowhere():
    xy, weight = places()
    heat = peaked(xy).requires_grad_()
    absent = torch.zeros_like(weight)
    absent[1, 5] = 1
    nowhere_loss(heat, absent).backward()
    moved = (heat.grad != 0).flatten(2).any(dim=-1)
    assert torch.nonzero(moved).tolist() == [[1, 5]]


def test_a_missing_joint_gives_no_gradient_to_a_regression():
    xy, weight = places()
    weight[1, 5] = 0
    share = (shares(xy) + 0.1).requires_grad_()
    regression_loss(share, xy, weight, SIZE).backward()
    still = (share.grad == 0).all(dim=-1)
    assert torch.nonzero(still).tolist() == [[1, 5]]


def test_a_missing_joint_gives_no_gradient_to_a_heatmap():
    xy, weight = places()
    weight[1, 5] = 0
    heat = torch.zeros(3, 14, 16, 12, requires_grad=True)
    heatmap_loss(heat, xy, weight, SIZE).backward()
    still = (heat.grad == 0).flatten(2).all(dim=-1)
    assert torch.nonzero(still).tolist() == [[1, 5]]


@pytest.mark.parametrize("kind", ["regression", "heatmap"])
def test_a_batch_without_any_label_has_loss_0(kind):
    xy, weight = places()
    if kind == "regression":
        loss = regression_loss(shares(xy) + 1, xy, 0 * weight, SIZE)
    else:
        loss = heatmap_loss(torch.zeros(3, 14, 16, 12), xy, 0 * weight, SIZE)
    assert loss.item() == 0


# numbers of a validation


def standing(count=4):
    """A perfect validation of people with a torso of 30 pixels, in photos at crop scale 2."""
    xy = np.random.default_rng(0).uniform(0, 100, (count, 14, 2)).astype(np.float32)
    xy[:, LSP14.index("left_shoulder")] = (50, 20)
    xy[:, LSP14.index("right_hip")] = (50, 50)
    return {
        "xy": xy.copy(),
        "truth": xy,
        "logit": np.zeros((count, 14), np.float32),
        "weight": np.ones((count, 14), np.float32),
        "scale": np.full(count, 2, np.float32),
        "loss": np.full(count, 0.5, np.float32),
        "row": np.arange(count),
    }


def test_a_perfect_validation_has_mae_0_and_pck_100():
    assert summary(standing(), LSP14) == {
        "valid_loss": 0.5,
        "valid_mae": 0.0,
        "valid_pck": 100.0,
    }


def test_the_mae_is_in_crop_pixels():
    seen = standing()
    seen["xy"][..., 0] += 8  # photo pixels: 4 of the crop, and none down
    assert summary(seen, LSP14)["valid_mae"] == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize(("away", "right"), [(5.9, 100.0), (6.1, 0.0)])
def test_a_joint_is_right_within_a_fifth_of_the_torso(away, right):
    seen = standing()
    seen["xy"][..., 1] += away
    assert summary(seen, LSP14)["valid_pck"] == right


def test_unlabelled_joints_count_nowhere():
    seen = standing()
    seen["xy"][:, LSP14.index("neck")] = 999
    seen["weight"][:, LSP14.index("neck")] = 0
    assert summary(seen, LSP14)["valid_pck"] == 100.0
    assert summary(seen, LSP14)["valid_mae"] == 0.0


def test_people_without_a_labelled_torso_are_left_out_of_pck():
    seen = standing()
    seen["xy"][0] += 500
    seen["weight"][0, LSP14.index("right_hip")] = 0
    assert measurable(seen, LSP14)[1].tolist() == [False, True, True, True]
    assert right_joints(seen, LSP14).tolist() == [True] * 42


def test_a_validation_without_any_torso_has_no_pck():
    seen = standing()
    seen["weight"][:, LSP14.index("right_hip")] = 0
    assert summary(seen, LSP14)["valid_pck"] == 0.0


# the module


def module(tmp_path, *, steps=10, **changes):
    torch.manual_seed(0)
    config = runs.settings(tmp_path, **changes)
    return PoseModule(card_for(config), config, steps)


def batch(size=64):
    chance = np.random.default_rng(0)
    crop = torch.from_numpy(chance.integers(0, 256, (3, size, size, 3), dtype=np.uint8))
    xy, weight = places()
    back = torch.tensor([[2.0, 0, 10], [0, 2.0, 20]]).repeat(3, 1, 1)
    return {"crop": crop, "xy": xy, "weight": weight, "back": back, "row": torch.arange(3)}


def test_crops_are_normalised_as_the_card_says(tmp_path):
    mine = module(tmp_path, mean=[10, 20, 30], std=[2, 4, 8])
    mine.network = torch.nn.Identity()
    crop = torch.tensor([12, 28, 62], dtype=torch.uint8).expand(1, 4, 4, 3)
    assert mine(crop)[0, :, 0, 0].tolist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("network", ["cnn", "lite"])
def test_steps_on_one_batch_lower_its_loss(tmp_path, network):
    mine = module(tmp_path, network=network, channels=8)
    mine.log = lambda *args, **kwargs: None
    optimizer = torch.optim.Adam(mine.parameters(), 3e-3)
    losses = []
    for number in range(6):
        loss = mine.training_step(batch(), number)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0], losses


def test_the_training_losses_of_an_epoch_are_kept(tmp_path):
    mine = module(tmp_path)
    mine.log = lambda *args, **kwargs: None
    for number in range(3):
        mine.training_step(batch(), number)
    assert len(mine.train_loss) == 3


def test_predictions_are_in_photo_pixels(tmp_path, monkeypatch):
    mine = module(tmp_path)
    xy, _ = places()
    monkeypatch.setattr(mine, "forward", lambda crop: ((xy + 0.5) / 64, torch.zeros(3, 14)))
    mine.on_validation_epoch_start()
    mine.validation_step(batch(), 0)
    seen = mine.predictions()
    np.testing.assert_allclose(seen["xy"], 2 * xy.numpy() + [10, 20], atol=1e-3)
    np.testing.assert_allclose(seen["truth"], seen["xy"], atol=1e-3)
    np.testing.assert_allclose(seen["scale"], 2)


def test_predictions_of_all_batches_are_joined_in_order(tmp_path):
    mine = module(tmp_path).eval()
    mine.on_validation_epoch_start()
    with torch.no_grad():
        mine.validation_step(batch(), 0)
        mine.validation_step({**batch(), "row": torch.arange(3, 6)}, 1)
    assert mine.predictions()["row"].tolist() == list(range(6))


def test_a_new_validation_forgets_the_last_one(tmp_path):
    mine = module(tmp_path)
    mine.seen = [{"row": np.arange(3)}]
    mine.on_validation_epoch_start()
    assert mine.seen == []


def test_a_checkpoint_holds_the_card(tmp_path):
    mine, checkpoint = module(tmp_path), {}
    mine.on_save_checkpoint(checkpoint)
    assert checkpoint["card"] == mine.card.to_json()


# the learning rate


def rates(mine, count, metric=None):
    """The learning rate of the first steps."""
    made = mine.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if metric is None else [metric]))
    return found


def test_the_rate_rises_during_warm_up_and_then_falls_to_0(tmp_path):
    found = rates(module(tmp_path, rate=0.1, warmup=5, epochs=3, steps=20), 61)
    top = found.index(max(found))
    assert top in (4, 5)
    assert found[:top] == sorted(found[:top])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_the_rise_takes_a_tenth_of_a_short_run_at_most(tmp_path, schedule):
    mine = module(tmp_path, rate=0.1, warmup=300, epochs=4, steps=10, schedule=schedule)
    found = rates(mine, 40)
    assert found.index(max(found)) <= 4
    assert max(found) > 0.095


def test_without_warm_up_the_first_step_has_the_full_rate(tmp_path):
    assert rates(module(tmp_path, rate=0.1, warmup=0), 1) == [pytest.approx(0.1)]


def test_the_rate_of_steps_drops_every_so_many_epochs(tmp_path):
    mine = module(
        tmp_path, rate=0.1, warmup=0, schedule="step", step_epochs=2, step_factor=0.5, steps=3
    )
    assert rates(mine, 13) == pytest.approx([0.1] * 6 + [0.05] * 6 + [0.025])


def test_the_rate_of_a_plateau_drops_when_nothing_is_gained(tmp_path):
    mine = module(tmp_path, rate=0.1, schedule="plateau", plateau_patience=2, step_factor=0.1)
    assert rates(mine, 5, metric=1.0) == pytest.approx([0.1] * 4 + [0.01])


def test_a_plateau_watches_the_validation_loss(tmp_path):
    schedule = module(tmp_path, schedule="plateau").configure_optimizers()["lr_scheduler"]
    assert (schedule["monitor"], schedule["interval"]) == ("valid_loss", "epoch")


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW")])
def test_the_optimizer_is_the_setting(tmp_path, name, kind):
    made = module(tmp_path, optimizer=name, decay=0.01).configure_optimizers()["optimizer"]
    assert (type(made).__name__, made.defaults["weight_decay"]) == (kind, 0.01)


def test_every_weight_is_trained(tmp_path):
    mine = module(tmp_path, network="lite", start="imagenet", start_rate=0.1)
    groups = mine.configure_optimizers()["optimizer"].param_groups
    counted = sum(p.numel() for group in groups for p in group["params"])
    assert counted == sum(p.numel() for p in mine.network.parameters())


def test_a_started_body_learns_at_its_own_rate(tmp_path):
    mine = module(tmp_path, network="lite", start="imagenet", rate=0.1, start_rate=0.2, warmup=0)
    names = [name for name, _ in mine.network.named_parameters()]
    mine.fresh = {name for name in names if not name.startswith(("stem", "blocks"))}
    head, body = mine.configure_optimizers()["optimizer"].param_groups
    assert (head["lr"], body["lr"]) == (pytest.approx(0.1), pytest.approx(0.02))


DEEP = {"network": "lite", "start": "x.ckpt", "rate": 0.1, "start_rate": 0.5, "depth_rate": 0.9}


def test_blocks_further_from_the_head_learn_more_slowly(tmp_path):
    mine = module(tmp_path, warmup=0, **DEEP)
    groups = mine.configure_optimizers()["optimizer"].param_groups
    assert [g["lr"] for g in groups] == pytest.approx([0.05 * 0.9**n for n in range(len(groups))])
    near, far = mine.network.blocks[-1].body[0].weight, mine.network.stem[0].weight
    assert any(p is near for p in groups[0]["params"])
    assert any(p is far for p in groups[-1]["params"])


def test_only_what_is_fresh_learns_at_the_full_rate(tmp_path):
    mine = module(tmp_path, warmup=0, **DEEP)
    mine.fresh = {"maps.0.weight", "maps.0.bias"}
    first = mine.configure_optimizers()["optimizer"].param_groups[0]
    assert first["lr"] == pytest.approx(0.1)
    assert {id(p) for p in first["params"]} == {id(p) for p in mine.network.maps.parameters()}


def test_every_weight_learns_at_some_depth(tmp_path):
    mine = module(tmp_path, **DEEP)
    groups = mine.configure_optimizers()["optimizer"].param_groups
    counted = sum(p.numel() for group in groups for p in group["params"])
    assert counted == sum(p.numel() for p in mine.network.parameters())


def test_without_a_torso_a_quarter_of_the_box_stands_for_it(tmp_path):
    seen = standing() | {"side": np.full(4, 120.0)}
    skeleton = Skeleton("mine", tuple(f"j{n}" for n in range(14)))
    np.testing.assert_allclose(torsos(seen, skeleton), 30)
    np.testing.assert_allclose(torsos(seen, LSP14), 30)


def test_a_validation_keeps_the_side_of_every_box(tmp_path):
    mine = module(tmp_path, margin=1.6).eval()
    mine.on_validation_epoch_start()
    with torch.no_grad():
        mine.validation_step(batch(), 0)
    np.testing.assert_allclose(mine.predictions()["side"], 2 * 64 / 1.6)


def test_the_loss_fits_what_the_network_emits(tmp_path):
    xy, weight = places()
    labels = {"xy": xy, "weight": weight}
    regression, heatmap = (module(tmp_path, network=n, size=SIZE) for n in ("cnn", "lite"))
    share = shares(xy) + 0.1
    assert regression.loss((share, weight), labels).item() == pytest.approx(0.01, rel=1e-4)
    even = heatmap.loss(torch.zeros(3, 14, 16, 12), labels).item()
    assert even == pytest.approx(np.log(16 * 12), rel=1e-4)


def test_crops_whose_heatmaps_would_not_fit_are_refused(tmp_path):
    config = runs.settings(tmp_path, network="lite", size=[220, 220])
    with pytest.raises(ValueError, match=r"size = \[220, 220\]; lite takes multiples of 8"):
        card_for(config)


def test_a_started_head_learns_at_the_started_rate(tmp_path):
    mine = module(tmp_path, network="lite", start="imagenet", rate=0.1, start_rate=0.2, warmup=0)
    mine.fresh = {name for name, _ in mine.network.named_parameters() if name.startswith("maps")}
    _, started = mine.configure_optimizers()["optimizer"].param_groups
    named = dict(mine.network.named_parameters())
    others = [p for n, p in named.items() if not n.startswith("maps")]
    assert started["lr"] == pytest.approx(0.02)
    assert {id(p) for p in started["params"]} == {id(p) for p in others}
