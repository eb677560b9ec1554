import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clips
import crowd
import tiny
from posegram import image as pictures
from posegram.cli import main
from posegram.cli.clips import results_of, stoppable
from posegram.pose import COCO17, People
from posegram.video import frames


class Standing:
    """A model that finds one standing person in the middle of every picture."""

    def __init__(self, model):
        self.card = model.card

    def __call__(self, image, boxes=None):
        return crowd.people([(image.shape[1] / 2, image.shape[0] / 2)], height=60.0)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """One run of `posegram predict` with a model that is never wrong: exit code, out, err."""
    from posegram.infer.load import load_network
    from posegram.infer.topdown import TopDown

    model = TopDown(*load_network(tiny.constant(tmp_path / "m.onnx", skeleton=COCO17)))
    monkeypatch.setattr(
        sys.modules["posegram.cli.predict"], "load", lambda *a, **k: Standing(model)
    )

    def work(*args):
        with pytest.raises(SystemExit) as stop:
            main(["predict", *map(str, args), "--out", str(tmp_path / "out")])
        told = capsys.readouterr()
        return stop.value.code, told.out, told.err

    return work


def listing(tmp_path):
    return sorted(p.name for p in (tmp_path / "out").iterdir())


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def photo(path):
    pictures.write(path, np.full((120, 100, 3), 128, dtype=np.uint8))
    return path


# what a clip's results are


def test_a_clip_gives_a_clip_and_json_and_a_table(tmp_path, run):
    code, said, _ = run(clips.make(tmp_path / "street.mov"))
    assert (code, listing(tmp_path)) == (0, ["street.csv", "street.json", "street.mp4"])
    assert said.startswith("street.mov: 10 frames, 1 person, ")


def test_a_clip_whose_sound_cannot_come_along_is_drawn_and_says_so(tmp_path, run):
    clip = clips.make(tmp_path / "in.mkv", sound=0.4)
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    code, _, said = run(clip)
    assert (code, len(list(frames(tmp_path / "out" / "in.mp4")))) == (0, 10)
    assert said == (
        f"posegram: {clip}: an .mp4 does not hold its kind of sound (unknown), "
        "so the drawn clip is without sound\n"
    )


def test_everybody_has_a_number_in_every_frame(tmp_path, run):
    run(clips.make(tmp_path / "a.mp4"))
    found = json.loads((tmp_path / "out" / "a.json").read_text())["frames"]
    assert [[p["track"] for p in frame["people"]] for frame in found] == [[1]] * 10


def test_photos_and_clips_of_a_folder_are_both_done(tmp_path, run):
    (tmp_path / "in").mkdir()
    photo(tmp_path / "in" / "a.png")
    clips.make(tmp_path / "in" / "b.mp4")
    code, said, _ = run(tmp_path / "in")
    told = ["a.json", "a.png", "b.csv", "b.json", "b.mp4"]
    assert (code, listing(tmp_path), said.count("\n")) == (0, told, 2)


@pytest.mark.parametrize("form", ["json", "yolo"])
def test_a_clip_in_a_folder_within_a_folder_keeps_the_folder(tmp_path, run, form):
    (tmp_path / "in" / "one").mkdir(parents=True)
    clips.make(tmp_path / "in" / "one" / "a.mp4")
    code, _, err = run(tmp_path / "in", "--recursive", "--format", form)
    assert (code, err, listing(tmp_path)) == (0, "", ["one"])
    assert (tmp_path / "out" / "one" / "a.mp4").is_file()


def test_a_photo_and_a_clip_of_one_name_do_not_overwrite_each_other(tmp_path, run):
    run(photo(tmp_path / "a.png"), clips.make(tmp_path / "a.mp4"))
    assert listing(tmp_path) == ["a.json", "a.png", "a_2.csv", "a_2.json", "a_2.mp4"]


@pytest.mark.parametrize(
    ("form", "ends"), [("csv", ".csv"), ("csv-wide", "_wide.csv"), ("yolo", "_yolo")]
)
def test_a_clip_called_photos_leaves_the_table_of_all_photos_alone(tmp_path, run, form, ends):
    both = (photo(tmp_path / "a.png"), clips.make(tmp_path / "photos.mp4"))
    code, _, _ = run(*both, "--no-pictures", "--format", form)
    assert (code, listing(tmp_path)) == (0, sorted([f"photos{ends}", f"photos_2{ends}"]))


def test_a_clip_called_photos_keeps_its_name_without_photos(tmp_path, run):
    run(clips.make(tmp_path / "photos.mp4"), "--no-pictures", "--format", "csv")
    assert listing(tmp_path) == ["photos.csv"]


def test_results_beside_a_clip_leave_the_clip_alone(tmp_path, run):
    (tmp_path / "out").mkdir()
    clip = clips.make(tmp_path / "out" / "a.mp4")
    before = clip.read_bytes()
    run(clip)
    assert (clip.read_bytes(), listing(tmp_path)[-1]) == (before, "a_2.mp4")


def test_people_below_the_smallest_score_are_left_out(tmp_path, run):
    _, said, _ = run(clips.make(tmp_path / "a.mp4"), "--no-pictures", "--min-score", "1")
    assert (", 0 people," in said, rows(tmp_path / "out" / "a.csv")) == (True, [])


def test_only_so_many_people_of_a_clip_are_kept(tmp_path, run, monkeypatch):
    model = sys.modules["posegram.cli.predict"].load()
    two = crowd.people([(20, 40), (60, 40)], height=60.0)
    monkeypatch.setattr(type(model), "__call__", lambda self, image, boxes=None: two)
    clip = clips.make(tmp_path / "a.mp4")
    said = [run(clip, "--no-pictures", "--max-people", most)[1] for most in (0, 1)]
    assert (", 2 people," in said[0], ", 1 person," in said[1]) == (True, True)


def test_the_foremost_of_a_clip_is_chosen_among_the_likely(tmp_path, run, monkeypatch):
    model = sys.modules["posegram.cli.predict"].load()
    large, likely = (
        crowd.people([at], height=high, score=score)
        for at, high, score in (((20, 40), 60.0, 0.4), ((60, 40), 20.0, 0.9))
    )
    parts = (
        np.concatenate([getattr(p, n) for p in (large, likely)]) for n in ("xy", "score", "box")
    )
    both = People(*parts, large.skeleton)
    monkeypatch.setattr(type(model), "__call__", lambda self, image, boxes=None: both)
    clip = clips.make(tmp_path / "a.mp4")
    said = run(clip, "--no-pictures", "--max-people", 1, "--min-score", 0.5)[1]
    assert ", 1 person," in said


def test_no_pictures_means_no_clip(tmp_path, run):
    run(clips.make(tmp_path / "a.mp4"), "--no-pictures")
    assert listing(tmp_path) == ["a.csv", "a.json"]


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("coco", "a_coco_results.json"),
        ("coco-annotations", "a_coco.json"),
        ("csv", "a.csv"),
        ("csv-wide", "a_wide.csv"),
        ("yolo", "a_yolo"),
    ],
)
def test_results_have_the_form_asked_for(tmp_path, run, form, name):
    code, _, _ = run(clips.make(tmp_path / "a.mp4"), "--no-pictures", "--format", form)
    assert (code, listing(tmp_path)) == (0, [name])


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("csv", "photos.csv"),
        ("csv-wide", "photos_wide.csv"),
        ("coco-annotations", "photos_coco.json"),
    ],
)
def test_photos_share_one_file_in_the_forms_that_are_one(tmp_path, run, form, name):
    given = [photo(tmp_path / f"{n}.png") for n in "ab"]
    code, _, _ = run(*given, "--no-pictures", "--format", form)
    assert (code, listing(tmp_path)) == (0, [name])


def test_a_table_of_photos_has_all_of_them(tmp_path, run):
    run(photo(tmp_path / "a.png"), photo(tmp_path / "b.png"), "--format", "csv")
    found = {Path(r["image"]).name for r in rows(tmp_path / "out" / "photos.csv")}
    assert found == {"a.png", "b.png"}


def test_a_part_of_a_clip_is_chosen_by_seconds_and_stride(tmp_path, run):
    clip = clips.make(tmp_path / "a.mp4", [n / 25 for n in range(50)])
    run(clip, "--start", "0.4", "--end", "1.2", "--stride", "2")
    times = [float(r["time"]) for r in rows(tmp_path / "out" / "a.csv")[::17]]
    assert times == pytest.approx(0.4 + 0.08 * np.arange(10), abs=1e-6)


# when things go wrong


def test_a_broken_clip_among_others_is_listed_and_the_rest_is_done(tmp_path, run):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_text("text")
    (tmp_path / "in" / "b.mp4").touch()
    clips.sound_only(tmp_path / "in" / "c.mp4")
    clips.make(tmp_path / "in" / "d.mp4")
    code, said, told = run(tmp_path / "in")
    reasons = ("is not a readable video (another kind of file, or cut off)", "is empty",
               "holds sound but no video")  # fmt: skip
    names = (tmp_path / "in" / f"{n}.mp4" for n in "abc")
    listed = [f"  {name} {why}" for name, why in zip(names, reasons, strict=True)]
    assert (code, said.count("\n")) == (1, 1)
    assert told.splitlines() == ["posegram: 3 files failed:", *listed]
    assert listing(tmp_path) == ["d.csv", "d.json", "d.mp4"]


def test_a_clip_that_breaks_off_keeps_what_came_before_and_fails(tmp_path, run):
    clip = clips.cut(clips.make(tmp_path / "a.mp4", [n / 25 for n in range(60)]))
    code, _, told = run(clip)
    done = len(list(frames(tmp_path / "out" / "a.mp4")))
    assert code == 1
    assert "breaks off after" in told
    assert f"the {done} frames before that are done" in told


def test_boxes_are_not_for_clips(tmp_path, run):
    (tmp_path / "b.json").write_text("{}")
    code, _, told = run(clips.make(tmp_path / "a.mp4"), "--boxes", tmp_path / "b.json")
    assert (code, "--boxes is for photos" in told) == (2, True)


@pytest.mark.parametrize("option", [("--every", "0"), ("--stride", "0"), ("--start", "-1")])
def test_options_out_of_range_are_misuse(tmp_path, run, option):
    assert run(clips.make(tmp_path / "a.mp4"), *option)[0] == 2


def test_options_of_clips_are_refused_where_there_is_none(tmp_path, run):
    pictures.write(tmp_path / "a.png", np.zeros((40, 40, 3), np.uint8))
    code, _, told = run(tmp_path / "a.png", "--start", "5", "--no-smooth")
    assert (code, told) == (
        2,
        "posegram: clips alone have --no-smooth, --start, and no clip is given\n",
    )


def test_an_end_before_the_start_is_misuse(tmp_path, run):
    code, _, told = run(clips.make(tmp_path / "a.mp4"), "--start", "5", "--end", "2")
    assert (code, told) == (2, "posegram: --end 2 is not after --start 5\n")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_leaves_a_clip_that_plays_and_its_results(tmp_path):
    clips.make(tmp_path / "a.mp4", [n / 25 for n in range(2000)], size=(32, 32))
    code = f"""
import sys; sys.path.insert(0, {str(Path(clips.__file__).parent)!r})
import crowd, signal, os
from types import SimpleNamespace
from posegram.cli import main
import posegram.cli.predict
from posegram.pose import COCO17
seen = []
def estimate(image):
    seen.append(1)
    if len(seen) == 40:
        os.kill(os.getpid(), signal.SIGINT)
    return crowd.people([(16, 16)], height=20.0)
estimate.card = SimpleNamespace(name="fake", skeleton=COCO17)
sys.modules["posegram.cli.predict"].load = lambda *a, **k: estimate
main(["predict", "a.mp4", "--out", "out"])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    count = len(list(frames(tmp_path / "out" / "a.mp4")))
    found = json.loads((tmp_path / "out" / "a.json").read_text())["frames"]
    assert (done.returncode, count, len(found)) == (130, 40, 40)
    assert (tmp_path / "out" / "a.incomplete").read_text() == "stopped\n"


def test_a_clip_that_ended_too_early_is_done_again(tmp_path, run):
    clip = clips.make(tmp_path / "a.mp4")
    out = tmp_path / "out"
    run(clip, "--out", out)
    frames_of = (out / "a.json").read_text()
    (out / "a.json").write_text(frames_of + " ")
    code, said, told = run(clip, "--out", out, "--skip-done")
    assert (code, said, told) == (0, "", "posegram: 1 file done before\n")
    assert (out / "a.json").read_text() == frames_of + " "
    (out / "a.incomplete").write_text("stopped\n")
    run(clip, "--out", out, "--skip-done")
    assert (out / "a.json").read_text() == frames_of
    assert not (out / "a.incomplete").exists()


def test_what_a_clip_that_failed_half_way_leaves_is_done_again(tmp_path, run, monkeypatch):
    clip = clips.make(tmp_path / "a.mp4")
    seen = []

    def estimate(self, image, boxes=None):
        seen.append(1)
        if len(seen) == 5:
            raise OSError("the disk is gone")
        return crowd.people([(50, 60)], height=60.0)

    monkeypatch.setattr(Standing, "__call__", estimate)
    assert "the disk is gone" in run(clip, "--no-smooth")[2]
    assert len(json.loads((tmp_path / "out" / "a.json").read_text())["frames"]) == 4
    assert run(clip, "--no-smooth", "--skip-done")[:2] != (0, "")
    assert len(json.loads((tmp_path / "out" / "a.json").read_text())["frames"]) == 10
    assert listing(tmp_path) == ["a.csv", "a.json", "a.mp4"]


def test_a_part_that_was_done_is_not_taken_for_the_whole(tmp_path, run):
    clip = clips.make(tmp_path / "a.mp4", [n / 25 for n in range(20)])
    results = tmp_path / "out" / "a.json"
    run(clip, "--end", "0.3", "--no-pictures")
    told = json.loads(results.read_text())
    assert (told["part"], len(told["frames"])) == ({"start": 0.0, "end": 0.3, "stride": 1}, 8)
    again = run(clip, "--end", "0.3", "--no-pictures", "--skip-done")
    assert again == (0, "", "posegram: 1 file done before\n")
    run(clip, "--no-pictures", "--skip-done")
    told = json.loads(results.read_text())
    assert ("part" in told, len(told["frames"])) == (False, 20)


def test_a_clip_of_the_same_name_has_results_of_its_own(tmp_path, run):
    paths = []
    for folder, count in (("A", 10), ("B", 5)):
        (tmp_path / folder).mkdir()
        paths.append(clips.make(tmp_path / folder / "x.mp4", [n / 25 for n in range(count)]))
        code, said, _ = run(paths[-1], "--skip-done")
    out = tmp_path / "out"
    assert said.startswith("x.mp4: 5 frames, 1 person, ")
    assert said.endswith(f" -> {out / 'x_2.*'}\n")
    assert (code, len(json.loads((out / "x.json").read_text())["frames"])) == (0, 10)
    _, said, _ = run(*paths)
    lines = said.splitlines()
    assert [line.partition(": ")[0] for line in lines] == list(map(str, paths))
    assert [line.rpartition(" -> ")[2] for line in lines] == [str(out), str(out / "x_2.*")]
    assert len(listing(tmp_path)) == 6


def test_another_kind_of_clip_that_was_added_is_done_under_a_name_of_its_own(tmp_path, run):
    (tmp_path / "in").mkdir()
    clips.make(tmp_path / "in" / "run.mp4")
    run(tmp_path / "in", "--no-pictures")
    clips.make(tmp_path / "in" / "run.mov", [n / 25 for n in range(5)])
    code, said, told = run(tmp_path / "in", "--no-pictures", "--skip-done")
    assert (code, told) == (0, "posegram: 1 file done before\n")
    assert said.startswith("run.mov: 5 frames")
    assert listing(tmp_path) == ["run.csv", "run.json", "run_2.csv", "run_2.json"]


# complete results of before


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def interrupted(monkeypatch, fault=None):
    """The third picture brings Ctrl-C, or an error."""
    seen = []

    def estimate(self, image, boxes=None):
        seen.append(1)
        if len(seen) == 3:
            if fault is not None:
                raise fault
            signal.raise_signal(signal.SIGINT)
        return crowd.people([(50, 60)], height=60.0)

    monkeypatch.setattr(Standing, "__call__", estimate)


@pytest.mark.parametrize("form", ["json", "yolo"])
def test_ctrl_c_leaves_complete_results_of_before(tmp_path, run, monkeypatch, form):
    clip, out = clips.make(tmp_path / "a.mp4"), tmp_path / "out"
    args = (clip, "--format", form)
    run(*args)
    before = contents(out)
    with monkeypatch.context() as patch:
        interrupted(patch)
        code, said, _ = run(*args)
    kept = f"a.mp4: stopped after 3 frames; the complete results of before stay in {out}\n"
    assert (code, said, contents(out)) == (130, kept, before)
    assert run(*args)[0] == 0
    assert sorted(contents(out)) == sorted(before)


def test_a_clip_that_breaks_off_now_leaves_complete_results_of_before(tmp_path, run):
    clip = clips.make(tmp_path / "a.mp4", [n / 25 for n in range(60)])
    run(clip)
    before = contents(tmp_path / "out")
    clips.cut(clip)
    code, said, told = run(clip)
    assert (code, said, contents(tmp_path / "out")) == (1, "", before)
    assert "breaks off" in told
    assert f"; the complete results of before stay in {tmp_path / 'out'}\n" in told


@pytest.mark.parametrize("fault", [OSError("the disk is gone"), KeyboardInterrupt()])
def test_work_that_fails_leaves_complete_results_of_before(tmp_path, run, monkeypatch, fault):
    clip = clips.make(tmp_path / "a.mp4")
    run(clip)
    before = contents(tmp_path / "out")
    interrupted(monkeypatch, fault)
    assert run(clip)[0] != 0
    assert contents(tmp_path / "out") == before


def test_results_that_replace_complete_ones_are_those_of_the_new_run(tmp_path, run):
    clip, out = clips.make(tmp_path / "a.mp4"), tmp_path / "out"
    run(clip)
    run(clip, "--stride", "2")
    assert len(json.loads((out / "a.json").read_text())["frames"]) == 5
    assert len(list(frames(out / "a.mp4"))) == 5
    assert listing(tmp_path) == ["a.csv", "a.json", "a.mp4"]


def test_a_clip_that_lies_where_its_drawn_copy_would_is_refused(tmp_path, run):
    clip, out = clips.make(tmp_path / "a.mp4"), tmp_path / "out"
    run(clip, "--no-pictures")
    (out / "a.mp4").hardlink_to(clip)
    before = clip.read_bytes()
    assert "it is the clip itself" in run(clip)[2]
    assert clip.read_bytes() == (out / "a.mp4").read_bytes() == before


# parts


def test_plain_json_has_a_table_beside_it():
    assert results_of("json", Path("o"), "a") == {"json": Path("o/a.json"), "csv": Path("o/a.csv")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_once_and_interrupts_the_second_time(number):
    before = signal.getsignal(number)
    with stoppable() as stopped:
        first = stopped()
        signal.raise_signal(number)
        assert (first, stopped()) == (0, number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before
