import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from typer.testing import CliRunner

import clips
import tiny
from posegram import image as pictures
from posegram.cli import app, main
from posegram.cli.batch import By, Merge, _percent
from posegram.infer.executors import EXECUTORS
from posegram.infer.parts import MERGED, count_of, lines


@pytest.fixture
def model(tmp_path):
    return ["--model", str(tiny.constant(tmp_path / "m.onnx")), "--detector", "none"]


def photos(folder, count=5):
    folder.mkdir()
    for n in range(count):
        pictures.write(folder / f"{n:04d}.png", np.full((40, 60, 3), n % 250, dtype=np.uint8))
    return folder


def run(*words):
    return CliRunner().invoke(app, ["batch", *map(str, words)])


def test_the_choices_are_those_of_the_library():
    assert [str(form) for form in Merge] == list(MERGED)
    assert [str(by) for by in By] == list(EXECUTORS)


def test_parts_are_written_and_counted(tmp_path, model):
    done = run(photos(tmp_path / "in"), "-o", tmp_path / "out", "--shard", 2, *model)
    assert done.exit_code == 0
    assert "5 images, 5 people, 3 parts" in done.stdout


def test_a_second_run_says_what_was_done_before(tmp_path, model):
    words = [photos(tmp_path / "in"), "-o", tmp_path / "out", "--shard", 2, *model]
    run(*words)
    assert "3 parts done before" in run(*words).stderr


def test_all_are_merged_into_one_file(tmp_path, model):
    run(photos(tmp_path / "in"), "-o", tmp_path / "out", "--merge", "coco", *model)
    entries = json.loads((tmp_path / "out" / "photos_coco_results.json").read_text())
    assert [one["image_id"] for one in entries] == [0, 1, 2, 3, 4]


def test_a_broken_photo_is_listed_and_all_else_is_done(tmp_path, model):
    folder = photos(tmp_path / "in")
    (folder / "bad.jpg").write_bytes(b"no photo")
    done = run(folder, "-o", tmp_path / "out", "--merge", "csv", *model)
    assert done.exit_code == 1
    assert "bad.jpg" in done.stderr
    assert "1 of 6 files failed (16.67 %); --tolerate allows 1 %" in done.stderr
    assert (tmp_path / "out" / "photos.csv").exists()


@pytest.mark.parametrize(("share", "code"), [("0", 1), ("0.1", 1), ("0.2", 0)])
def test_a_share_of_files_may_fail(tmp_path, model, share, code):
    folder = photos(tmp_path / "in")
    (folder / "bad.jpg").write_bytes(b"no photo")
    done = run(folder, "-o", tmp_path / "out", "--tolerate", share, *model)
    assert (done.exit_code, "bad.jpg" in done.stderr) == (code, True)


def test_one_broken_photo_among_very_many_is_no_failure(tmp_path, model):
    folder = photos(tmp_path / "in", 199)
    (folder / "bad.jpg").write_bytes(b"no photo")
    done = run(folder, "-o", tmp_path / "out", *model)
    assert done.exit_code == 0
    assert "1 of 200 files failed (0.50 %)" in done.stderr


def test_when_all_failed_no_limit_helps(tmp_path, model):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    done = run(tmp_path / "bad.jpg", "-o", tmp_path / "out", "--tolerate", 1, *model)
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("share", "said"), [(3 / 12_000, "0.03 %"), (1e-6, "under 0.01 %"), (1.0, "100.00 %")]
)
def test_small_shares_are_told(share, said):
    assert _percent(share) == said


def test_what_failed_is_done_again_when_asked(tmp_path, model):
    folder = photos(tmp_path / "in", 4)
    whole = (folder / "0001.png").read_bytes()
    (folder / "0001.png").unlink()
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(str(folder / f"{n:04d}.png") for n in range(4)))
    words = [listed, "-o", tmp_path / "out", "--shard", 2, *model]
    assert run(*words).exit_code == 1
    part = next(p for p in (tmp_path / "out").glob("part-*") if count_of(p).failed)
    before = part.read_bytes()
    assert run(*words).exit_code == 1
    assert run(*words, "--again").exit_code == 1
    assert part.read_bytes() == before  # the photo is still not there
    (folder / "0001.png").write_bytes(whole)
    done = run(*words, "--again")
    assert done.exit_code == 0
    assert "4 images" in done.stdout


def test_of_many_that_failed_ten_are_listed(tmp_path, model):
    folder = photos(tmp_path / "in")
    for n in range(12):
        (folder / f"bad{n}.jpg").write_bytes(b"no photo")
    said = run(folder, "-o", tmp_path / "out", *model).stderr
    assert said.count("bad") == 10
    assert "and 2 more" in said


def test_a_plan_tells_times_and_writes_nothing(tmp_path, model):
    told = run(photos(tmp_path / "in"), "-o", tmp_path / "out", "--plan", "--workers", 4, *model)
    assert "5 photos" in told.stdout
    assert "4 workers: less than a minute" in told.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "said"), [(["--merge", "csv"], "--merge"), (["--executor", "ray"], "--executor ray")]
)
def test_a_plan_is_asked_for_nothing_that_it_does_not_do(capsys, tmp_path, model, option, said):
    words = [str(photos(tmp_path / "in")), "-o", str(tmp_path / "out"), "--plan", *model]
    with pytest.raises(SystemExit) as stop:
        main(["batch", *words, *option])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_plan_times_clips_and_counts_their_frames(tmp_path, model):
    folder = photos(tmp_path / "in")
    clips.make(folder / "a.mp4", [n / 25 for n in range(70)])
    clips.make(folder / "b.mp4", [n / 25 for n in range(30)])
    (folder / "bad.mp4").write_bytes(b"no clip")
    told = run(folder, "-o", tmp_path / "out", "--plan", *model).stdout.splitlines()
    assert told[0].startswith("5 photos, ")
    assert told[1].startswith("3 clips, 100 frames, ")
    assert told[1].endswith("ms each on one core (80 timed)")


def test_a_plan_of_broken_clips_times_nothing(tmp_path, model):
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    told = run(tmp_path / "bad.mp4", "-o", tmp_path / "out", "--plan", *model).stdout
    assert told == "1 clip, not timed\n1 part\n"


def test_clips_whose_people_are_not_followed_have_no_ids(tmp_path, model):
    clip = clips.make(tmp_path / "a.mp4")
    run(clip, "-o", tmp_path / "out", "--no-follow", *model)
    (part,) = (tmp_path / "out").glob("part-*")
    assert [sorted(line) for line in lines(part)] == [
        ["box", "frame", "image", "score", "size", "time", "xy"]
    ] * 10


def test_a_plan_leaves_out_what_is_done(tmp_path, model):
    folder = photos(tmp_path / "in")
    words = [folder, "-o", tmp_path / "out", "--shard", 2, *model]
    run(*words)
    (folder / "0005.png").write_bytes((folder / "0004.png").read_bytes())
    told = run(*words, "--plan").stdout
    assert told.startswith("2 photos, ")
    assert told.endswith("3 parts, 2 done before\n")


def test_a_plan_of_nothing_left_says_so(tmp_path, model):
    words = [photos(tmp_path / "in"), "-o", tmp_path / "out", *model]
    run(*words)
    assert run(*words, "--plan").stdout == "1 part, 1 done before\n"


def test_a_plan_counts_what_is_done_again(tmp_path, model):
    folder = photos(tmp_path / "in")
    (folder / "bad.jpg").write_bytes(b"no photo")
    words = [folder, "-o", tmp_path / "out", *model]
    run(*words)
    assert run(*words, "--plan", "--again").stdout.startswith("6 photos, ")


def test_a_mistake_is_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["batch", str(photos(tmp_path / "in")), "-o", str(tmp_path / "o"), "--model", "larg"])
    assert left.value.code == 2
    assert "no model 'larg'" in capsys.readouterr().err


def test_a_signal_during_the_last_part_stops_nothing(tmp_path, model, monkeypatch):
    @contextmanager
    def stopped():
        yield lambda: signal.SIGINT

    monkeypatch.setattr(sys.modules["posegram.cli.batch"], "stoppable", stopped)
    done = run(photos(tmp_path / "in"), "-o", tmp_path / "out", *model)
    assert done.exit_code == 0
    assert "5 images" in done.stdout


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path, model):
    folder, out = photos(tmp_path / "in", 400), tmp_path / "out"
    words = ["batch", str(folder), "-o", str(out), "--shard", "5", "--workers", "2", *model]
    command = [sys.executable, "-m", "posegram", *words]
    killed = subprocess.Popen(command, start_new_session=True)
    while not list(out.glob("part-*")):
        time.sleep(0.005)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = len(list(out.glob("part-*")))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < before < 80
    assert f"{before} part" in done.stderr
    assert sum(count_of(part).images for part in out.glob("part-*")) == 400


@pytest.mark.slow
def test_ctrl_c_finishes_what_is_under_way(tmp_path, model):
    folder, out = photos(tmp_path / "in", 600), tmp_path / "out"
    words = ["batch", str(folder), "-o", str(out), "--shard", "5", "--workers", "2", *model]
    command = [sys.executable, "-m", "posegram", *words]
    stopped = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(out.glob("part-*")):
        time.sleep(0.005)
    os.killpg(stopped.pid, signal.SIGINT)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "Ctrl-C again: at once" in said
    assert "the same command does the other" in said
    assert "Traceback" not in said
