import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tiny
from posegram import image as pictures
from posegram.infer import executors, parts
from posegram.infer.executors import EXECUTORS
from posegram.infer.shards import Look, Row
from posegram.pose import LSP14

local = EXECUTORS["local"]


@pytest.fixture
def look(tmp_path):
    return Look(model=str(tiny.constant(tmp_path / "m.onnx")), detector="none")


def photos(folder, count):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(count):
        image = rng.integers(0, 255, (40 + n % 3, 60, 3), dtype=np.uint8)
        pictures.write(folder / f"{n:03d}.png", image)
    return [Row(str(path)) for path in sorted(folder.iterdir())]


def shards(out, rows, size=10):
    out.mkdir(exist_ok=True)
    return {
        out / f"part-{n}.jsonl.gz": tuple(rows[n : n + size]) for n in range(0, len(rows), size)
    }


def children():
    """Processes of the pool that is at work."""
    return multiprocessing.active_children()


def in_workers(folder, monkeypatch, code):
    """Have workers begin with that code."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))


def test_two_workers_write_what_one_writes(tmp_path, look):
    rows = photos(tmp_path / "photos", 25)
    alone, both = shards(tmp_path / "1", rows), shards(tmp_path / "2", rows)
    list(local(look, LSP14, alone, 1))
    list(local(look, LSP14, both, 2))
    assert [p.read_bytes() for p in alone] == [p.read_bytes() for p in both]


def test_each_part_is_told_of_once(tmp_path, look):
    work = shards(tmp_path / "out", photos(tmp_path / "photos", 45))
    assert sorted(local(look, LSP14, work, 2)) == sorted(work)


def test_a_killed_worker_costs_no_photo(tmp_path, look):
    work = shards(tmp_path / "out", photos(tmp_path / "photos", 60), size=5)
    going = local(look, LSP14, work, 2)
    done = [next(going)]
    os.kill(children()[0].pid, signal.SIGKILL)
    done += going
    assert sorted(done) == sorted(work)
    assert [parts.count_of(part).images for part in work] == [5] * 12


def test_a_file_over_which_workers_die_is_a_line_with_an_error(tmp_path, look, monkeypatch):
    rows = photos(tmp_path / "photos", 30)
    poison = rows[12].path
    in_workers(
        tmp_path,
        monkeypatch,
        "import os, posegram.image as pictures\n"
        "read = pictures.read\n"
        f"pictures.read = lambda p: os.kill(os.getpid(), 9) if str(p) == {poison!r} else read(p)\n",
    )
    work = shards(tmp_path / "out", rows)
    list(local(look, LSP14, work, 2))
    assert [parts.count_of(part).failed for part in work] == [0, 1, 0]
    assert list(parts.failures(work)) == [f"{poison}: a process died over it"]


def test_shards_of_a_killed_worker_are_done_by_all_again(tmp_path, look, monkeypatch):
    def rescued(*args):
        raise AssertionError("one killed worker is no reason to do shards file by file")

    monkeypatch.setattr(executors, "_rescued", rescued)
    work = shards(tmp_path / "out", photos(tmp_path / "photos", 60), size=5)
    going = local(look, LSP14, work, 2)
    done = [next(going)]
    os.kill(children()[0].pid, signal.SIGKILL)
    assert sorted([*done, *going]) == sorted(work)


def gone(pids):
    """Whether the processes end within ten seconds."""
    for _ in range(100):
        states = [Path(f"/proc/{pid}/stat") for pid in pids]
        if all(not one.exists() or ") Z " in one.read_text() for one in states):
            return True
        time.sleep(0.1)
    return False


PARENT = """
import multiprocessing, os, sys
from posegram.infer import many
if __name__ == "__main__":
    look = many.Look(model=sys.argv[3], detector="none")
    going = many.run(many.cut(sys.argv[1], sys.argv[2], look, shard=5), "local", 2)
    next(going)
    print(*(one.pid for one in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_workers_end_with_a_killed_parent(tmp_path, look):
    photos(tmp_path / "photos", 60)
    (tmp_path / "parent.py").write_text(PARENT)
    words = [tmp_path / "parent.py", tmp_path / "photos", tmp_path / "out", look.model]
    parent = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    said, _ = parent.communicate(timeout=60)
    assert len(said.split()) == 2
    assert gone(said.split())


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_an_interrupt_waits_for_nobody(tmp_path, look, monkeypatch):
    rows = photos(tmp_path / "photos", 30)
    in_workers(
        tmp_path,
        monkeypatch,
        "import time, posegram.image as pictures\n"
        "read = pictures.read\n"
        "pictures.read = lambda p: read(p) if p.stem < '005' else time.sleep(60)\n",
    )
    going = local(look, LSP14, shards(tmp_path / "out", rows, size=5), 2)
    next(going)
    pids = [one.pid for one in children()]
    with pytest.raises(KeyboardInterrupt):
        going.throw(KeyboardInterrupt)
    assert gone(pids)


def test_workers_that_cannot_start_end_the_work(tmp_path, capfd):
    work = shards(tmp_path / "out", photos(tmp_path / "photos", 20))
    with pytest.raises(ChildProcessError, match="a worker dies as it starts"):
        list(local(Look(model=str(tmp_path / "gone.onnx")), LSP14, work, 2))
    assert not any(part.exists() for part in work)


def test_stopped_work_leaves_whole_parts_alone(tmp_path, look):
    work = shards(tmp_path / "out", photos(tmp_path / "photos", 60), size=5)
    going = local(look, LSP14, work, 2)
    next(going)
    going.close()
    made = list((tmp_path / "out").iterdir())
    assert 0 < len(made) < len(work)
    assert all(parts.count_of(part).images == 5 for part in made)


@pytest.mark.parametrize("executor", sorted(EXECUTORS))
def test_nothing_to_do_starts_nobody(executor, look):
    assert list(EXECUTORS[executor](look, LSP14, {}, 2)) == []


def test_without_ray_one_sentence_says_what_to_install(tmp_path, look, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    work = shards(tmp_path / "out", photos(tmp_path / "photos", 2))
    with pytest.raises(ImportError, match=r"pip install 'posegram\[ray\]'"):
        next(EXECUTORS["ray"](look, LSP14, work, 2))


@pytest.mark.slow
def test_ray_starts_no_more_actors_than_there_are_cores(tmp_path, look):
    pytest.importorskip("ray")
    cores = len(os.sched_getaffinity(0))
    work = shards(tmp_path / "out", photos(tmp_path / "photos", 4 * cores), size=1)
    assert sorted(EXECUTORS["ray"](look, LSP14, work, 2 * cores)) == sorted(work)


@pytest.mark.slow
def test_ray_writes_what_processes_write_and_survives_a_killed_actor(tmp_path, look):
    pytest.importorskip("ray")
    rows = photos(tmp_path / "photos", 200)
    ours, theirs = shards(tmp_path / "1", rows), shards(tmp_path / "2", rows)
    list(local(look, LSP14, ours, 2))
    going = EXECUTORS["ray"](look, LSP14, theirs, 2)
    done = [next(going)]
    os.kill(ray_actors()[0], signal.SIGKILL)
    done += going
    assert sorted(done) == sorted(theirs)
    assert [p.read_bytes() for p in ours] == [p.read_bytes() for p in theirs]


def ray_actors():
    """Process ids of Ray's actors."""
    commands = {path.parent.name: path.read_bytes() for path in Path("/proc").glob("*/cmdline")}
    return [int(pid) for pid, command in commands.items() if command.startswith(b"ray::Worker")]
