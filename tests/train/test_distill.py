import csv
import math

import numpy as np
import pytest
import torch

import figures
import runs
from posegram import coords, models
from posegram.pose import LSP14, Card, Skeleton
from posegram.train import curves, fit
from posegram.train.batches import Crops, loader
from posegram.train.distill import DistillModule, Teacher, distill_loss
from posegram.train.fit import card_for

FEW = Skeleton("few", ("head_top", "left_ankle", "tail"))
PUPIL = Card("mine", "heatmap", LSP14, (64, 64))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 8)


def teacher_file(folder, *, skeleton=LSP14, size=(96, 96), network="lite"):
    """A checkpoint of a fresh network that is sure of what it says."""
    torch.manual_seed(1)
    kind = models.KINDS[network]
    settings = {"network": network, "width": 4, "head": 4}
    card = Card("teacher", kind, skeleton, size, settings=settings)
    made = models.build(card)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(1.5)
    weights = {f"network.{name}": value for name, value in made.state_dict().items()}
    torch.save({"state_dict": weights, "card": card.to_json()}, path := folder / "teacher.ckpt")
    return str(path)


def module(tmp_path, people, **changes):
    torch.manual_seed(0)
    given = {"network": "lite", "batch": 4, "distill": teacher_file(tmp_path)}
    config = runs.settings(tmp_path, **(given | changes))
    mine = DistillModule(card_for(config), config, 2)
    mine.log = lambda *args, **kwargs: None
    crops = Crops(people[:4], mine.card.skeleton, config, training=True)
    return mine, next(iter(loader(crops, config)))


# the teacher's maps


class Says(torch.nn.Module):
    """A network that answers every crop with a bell at one share of it."""

    def __init__(self, cells, share):
        super().__init__()
        self.cells, self.share = cells, share
        self.seen = None

    def forward(self, x):
        self.seen = x
        size = self.cells[0] * 4, self.cells[1] * 4
        spot = np.array([[self.share]], np.float32) * [size[1], size[0]] - 0.5
        down, across = coords.encode_heatmap(spot, size, self.cells)
        bell = torch.from_numpy(np.einsum("bkh,bkw->bkhw", down, across)).clamp(min=1e-9)
        return bell.log().repeat(len(x), 1, 1, 1)


def says(cells, share=(0.3, 0.6), size=(80, 64), mean=(0.0, 0.0, 0.0)):
    card = Card("says", "heatmap", FEW, size, mean=mean, std=(1.0, 1.0, 1.0))
    return Teacher(Says(cells, share), card, (0,), (1,))


@pytest.mark.parametrize("cells", [(16, 12), (20, 16), (24, 20)], ids=["fewer", "equal", "more"])
def test_a_joint_keeps_its_place_in_maps_of_another_size(cells):
    maps = says((20, 16)).maps(torch.zeros((2, 64, 48, 3), dtype=torch.uint8), cells)
    size = cells[0] * 4, cells[1] * 4
    xy, _ = coords.decode((maps.clamp(min=1e-9).log().numpy(),), "heatmap", size)
    share = (xy[0, 0] + 0.5) / [size[1], size[0]]
    np.testing.assert_allclose(share, (0.3, 0.6), atol=0.02)


def test_maps_sum_to_one():
    maps = says((20, 16)).maps(torch.zeros((2, 64, 48, 3), dtype=torch.uint8), (16, 12))
    np.testing.assert_allclose(maps.sum(dim=(2, 3)), 1, atol=1e-5)


def test_the_teacher_sees_the_crop_in_its_own_size_and_numbers():
    teacher = says((20, 16), mean=(10.0, 20.0, 30.0))
    crop = torch.full((1, 64, 48, 3), 50, dtype=torch.uint8)
    teacher.maps(crop, (16, 12))
    seen = teacher.network.seen
    assert seen.shape == (1, 3, 80, 64)
    np.testing.assert_allclose(seen.amax(dim=(0, 2, 3)), [40, 30, 20], rtol=1e-5)


def test_only_joints_of_both_are_learnt(tmp_path):
    teacher = Teacher.read(teacher_file(tmp_path, skeleton=FEW), PUPIL)
    names = [LSP14.joints[n] for n in teacher.columns]
    assert names == [FEW.joints[n] for n in teacher.rows]
    assert set(names) == {"head_top", "left_ankle"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "cnn"}, "needs a network with heatmaps"),
        ({"skeleton": Skeleton("hand", ("thumb",))}, "hand has no joint of lsp14"),
    ],
)
def test_an_unfit_teacher_is_refused(tmp_path, changes, sentence):
    path = teacher_file(tmp_path, **changes)
    with pytest.raises(ValueError, match=sentence):
        Teacher.read(path, PUPIL)


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nobody"):
        Teacher.read(str(tmp_path / "nobody.ckpt"), PUPIL)


def test_a_bundled_model_can_teach():
    teacher = Teacher.read("small", PUPIL)
    assert len(teacher.rows) == len(LSP14)


# the loss


def test_the_loss_is_least_where_both_say_the_same():
    torch.manual_seed(0)
    heat = torch.randn(1, 2, 8, 6)
    same = heat.flatten(2).softmax(dim=-1).view(heat.shape)
    entropy = -(same * same.log()).sum(dim=(2, 3)).mean()
    assert distill_loss(heat, same) == pytest.approx(entropy.item(), rel=1e-5)
    assert distill_loss(heat + torch.randn_like(heat), same) > entropy


def test_joints_without_a_label_learn_from_the_teacher(tmp_path, people):
    mine, batch = module(tmp_path, people)
    batch["weight"][:, 3] = 0
    batch["absent"][:] = 0
    mine.training_step(batch, 0).backward()
    rows = mine.network.maps[0].bias.grad.view(14, -1)[3]
    assert rows.abs().max() > 0


def test_with_a_weight_of_0_they_learn_nothing(tmp_path, people):
    mine, batch = module(tmp_path, people, distill_weight=0.0)
    batch["weight"][:, 3] = 0
    batch["absent"][:] = 0
    mine.training_step(batch, 0).backward()
    rows = mine.network.maps[0].bias.grad.view(14, -1)[3]
    assert rows.abs().max() == 0


def test_the_teacher_stays_as_it_is(tmp_path, people):
    mine, batch = module(tmp_path, people)
    mine.training_step(batch, 0).backward()
    teacher = mine.kept["teacher"].network
    assert not teacher.training
    assert all(p.grad is None for p in teacher.parameters())


def test_a_checkpoint_holds_the_pupil_alone(tmp_path, people):
    mine, _ = module(tmp_path, people)
    assert all(key.startswith("network.") for key in mine.state_dict())


def test_an_epochs_loss_against_the_teacher_is_told(tmp_path, people):
    mine, batch = module(tmp_path, people)
    mine.training_step(batch, 0)
    assert mine.extras()["distill_loss"] > 0
    mine.on_train_epoch_start()
    assert math.isnan(mine.extras()["distill_loss"])


# whole runs


def test_a_run_nears_its_teacher(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "draw_curves", lambda rows, out: None)
    labels = runs.labels(tmp_path, 12)
    config = runs.settings(
        tmp_path, labels, network="lite", distill=teacher_file(tmp_path), epochs=4, flip=0.0
    )
    fit(config, progress=False)
    with (config.run / "metrics.csv").open() as file:
        told = [float(row["distill_loss"]) for row in csv.DictReader(file)]
    assert told[-1] < told[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "cnn", "distill": "small"}, "distill needs a network with heatmaps"),
        ({"distill": "small", "semi": "teacher", "unlabelled": ["x"]}, "a run has one teacher"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit(runs.settings(tmp_path, "coco:x.json", **changes), progress=False)
