from types import SimpleNamespace

import pytest
import torch

import figures
import runs
from posegram.pose import LSP14
from posegram.train import Config
from posegram.train.batches import Crops, loader
from posegram.train.keepers import Epochs, keepers, kept


@pytest.fixture
def network():
    return SimpleNamespace(network=torch.nn.Identity(), config=Config(), fresh=set())


@pytest.fixture
def batches(tmp_path):
    people = figures.samples(tmp_path, 2)
    return loader(Crops(people, LSP14, runs.settings(tmp_path), training=True), Config())


def test_every_epoch_tells_the_data_its_number(batches, network):
    Epochs(batches).on_train_epoch_start(SimpleNamespace(current_epoch=3), network)
    assert (batches.dataset.epoch, batches.sampler.epoch) == (3, 3)


def test_a_resumed_run_tells_the_data_its_epoch_before_any_worker_starts(batches):
    Epochs(batches).on_load_checkpoint(None, None, {"epoch": 4})
    assert (batches.dataset.epoch, batches.sampler.epoch) == (5, 5)


def names(config, watched="valid_loss"):
    return [type(one).__name__ for one in keepers(config, watched)]


def test_the_best_and_the_last_weights_are_kept(tmp_path):
    best, last = keepers(runs.settings(tmp_path, patience=0), "valid_loss")
    assert (best.filename, best.monitor, best.mode) == ("best", "valid_loss", "min")
    assert (last.filename, last.monitor) == ("last", None)


def test_the_best_of_a_score_is_the_highest(tmp_path):
    assert keepers(runs.settings(tmp_path), "valid_ap50")[0].mode == "max"


def test_patience_stops_early(tmp_path):
    assert "EarlyStopping" in names(runs.settings(tmp_path, patience=3))


def test_weights_are_averaged_on_request(tmp_path):
    assert "_Average" in names(runs.settings(tmp_path, ema=0.9))
    assert "EMAWeightAveraging" not in names(runs.settings(tmp_path))


# going on


@pytest.fixture
def run(tmp_path):
    for name in ("best", "last"):
        torch.save({"epoch": 1}, tmp_path / f"{name}.ckpt")
    return tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def test_a_new_run_goes_on_from_nothing(tmp_path):
    assert kept(tmp_path) is None


def test_a_run_goes_on_from_its_last_checkpoint(run):
    assert kept(run) == run / "last.ckpt"


def test_a_run_whose_last_checkpoint_was_cut_short_goes_on_from_its_best(run):
    cut(run / "last.ckpt")
    assert kept(run) == run / "best.ckpt"


def test_a_run_whose_checkpoints_are_damaged_says_what_to_do(run):
    cut(run / "last.ckpt")
    cut(run / "best.ckpt")
    with pytest.raises(ValueError, match=r"last.ckpt is damaged, .* remove .* to begin anew"):
        kept(run)
