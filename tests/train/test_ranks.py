import subprocess
import sys
from pathlib import Path

import pytest

import runs
from posegram.train import ranks
from posegram.train.batches import Shuffle
from posegram.train.curves import read_metrics

TWO = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_WORLD_SIZE": "2"}


@pytest.fixture
def second(monkeypatch):
    """This process is the second of two."""
    for key, value in TWO.items():
        monkeypatch.setenv(key, value)


def torchrun(*words):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_alone_a_process_is_the_first_of_one():
    assert (ranks.rank(), ranks.count(), ranks.devices()) == (0, 1, 1)


def test_torchrun_says_who_one_is(second):
    assert (ranks.rank(), ranks.count(), ranks.devices()) == (1, 2, 2)


def test_a_batch_is_shared(second, tmp_path):
    assert ranks.batch(runs.settings(tmp_path, batch=6)) == 3


def test_a_batch_that_does_not_divide_is_refused(second, tmp_path):
    with pytest.raises(ValueError, match="batch = 5 does not divide by 2 processes"):
        ranks.begin(runs.settings(tmp_path, batch=5))


@pytest.mark.parametrize("change", [{"semi": "consistency", "unlabelled": ["x"]}, {"release": 1}])
def test_what_needs_one_process_is_refused(second, tmp_path, change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} = .* is for one process"):
        ranks.begin(runs.settings(tmp_path, batch=4, start="small", **change))


def test_alone_everybody_agrees():
    assert ranks.agreed("bf16") == "bf16"


def test_two_processes_share_an_epoch_without_overlap():
    whole = list(Shuffle(21, 0))
    first, second = (list(Shuffle(21, 0, part=(n, 2))) for n in range(2))
    assert len(first) == len(second) == 10
    assert sorted(first + second) == sorted(whole[:20])


LEFT = """
import atexit, os, sys
from pathlib import Path
from torch import distributed
from posegram.train import Config, ranks
left = Path(f"{sys.argv[2]}.{os.environ['RANK']}")
atexit.register(lambda: left.write_text(f"{distributed.is_initialized()}"))
ranks.begin(Config.read(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_processes_leave_their_group_before_python_ends(tmp_path):
    (tmp_path / "a.toml").write_text(runs.settings(tmp_path, batch=4).to_toml())
    (tmp_path / "a.py").write_text(LEFT)
    done = torchrun(tmp_path / "a.py", tmp_path / "a.toml", tmp_path / "left")
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"left.{n}").read_text() for n in range(2)] == ["False", "False"]


COMPARED = """
import sys
from pathlib import Path
from posegram.train import Config, fit
import lightning, torch
from torch import distributed
plain = lightning.Trainer.fit
def compared(self, module, *args, **more):
    plain(self, module, *args, **more)
    sums = [None, None]
    ours = torch.cat([p.detach().flatten() for p in module.network.parameters()])
    distributed.all_gather_object(sums, ours)
    if distributed.get_rank() == 0:
        Path(sys.argv[2]).write_text(f"{torch.equal(*sums)} {len(ours)}")
lightning.Trainer.fit = compared
fit(Config.read(Path(sys.argv[1])), progress=False)
"""


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(tmp_path):
    config = runs.settings(tmp_path, runs.labels(tmp_path / "data"), batch=4)
    (tmp_path / "a.toml").write_text(config.to_toml())
    (tmp_path / "a.py").write_text(COMPARED)
    done = torchrun(tmp_path / "a.py", tmp_path / "a.toml", tmp_path / "equal.txt")
    assert done.returncode == 0, done.stderr
    equal, count = (tmp_path / "equal.txt").read_text().split()
    assert equal == "True"
    assert int(count) > 1000


@pytest.mark.slow
def test_two_processes_leave_one_run_which_goes_on(tmp_path):
    config = runs.settings(tmp_path, runs.labels(tmp_path / "data"), batch=4)
    (tmp_path / "a.toml").write_text(config.to_toml())
    words = ["-m", "posegram", "train", tmp_path / "a.toml"]
    done = torchrun(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained: ") == 1
    assert [line["epoch"] for line in read_metrics(tmp_path / "tiny" / "metrics.csv")] == [1, 2]
    again = torchrun(*words)
    assert again.returncode == 0, again.stderr
    assert (Path(tmp_path) / "tiny" / "tiny.onnx").exists()
