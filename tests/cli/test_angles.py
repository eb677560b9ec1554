import csv
import sys

import numpy as np
import pytest

from posegram.cli import main
from posegram.data.table import Wide
from posegram.pose import COCO17, People


@pytest.fixture
def run(capsys):
    """Runs the verb: exit code, what it printed, what it complained of."""

    def call(*args):
        code = 0
        try:
            main(["angles", *map(str, args)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def person(bend, track):
    """Somebody whose left knee is bent to so many degrees, and the right one to 90."""
    xy = np.random.default_rng(0).uniform(0, 90, (1, len(COCO17), 2)).astype(np.float32)
    for side, angle in (("left", np.radians(bend)), ("right", np.pi / 2)):
        xy[0, COCO17.index(f"{side}_hip")] = (50, 0)
        xy[0, COCO17.index(f"{side}_knee")] = (50, 100)
        ankle = (50 + 90 * np.sin(angle), 100 - 90 * np.cos(angle))
        xy[0, COCO17.index(f"{side}_ankle")] = ankle
    score = np.full((1, len(COCO17)), 0.9, dtype=np.float32)
    return People(xy, score, np.float32([[0, 0, 99, 199]]), COCO17, np.array([track]))


def table(path, **tracks):
    """A wide table: for `t1` and so on the left knee's angle, frame by frame."""
    with Wide(path, COCO17) as out:
        for name, bends in tracks.items():
            for frame, bend in enumerate(bends):
                out.add(person(bend, int(name[1:])), frame=frame, time=frame / 10)
    return path


@pytest.fixture
def clip(tmp_path):
    """Track 1 opens a knee by 10 degrees a frame; track 2 is there in fewer frames."""
    return table(tmp_path / "a_wide.csv", t1=range(60, 120, 10), t2=[120, 121])


def rows(out):
    with (out / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def row(out, angle, number=0):
    return [r for r in rows(out) if r["angle"] == angle][number]


def test_a_table_gives_a_summary_and_a_picture(run, clip, tmp_path):
    code, _, err = run(clip, "--out", tmp_path / "r")
    assert (code, err) == (0, "")
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["angles.png", "summary.csv"]


def test_the_summary_has_the_numbers_of_the_movement(run, clip, tmp_path):
    run(clip, "-o", tmp_path / "r")
    knee = row(tmp_path / "r", "left_knee")
    numbers = [float(knee[name]) for name in ("mean", "range", "peak_velocity")]
    assert numbers == pytest.approx([85, 50, 100], abs=0.1)


def test_left_and_right_are_compared(run, clip, tmp_path):
    run(clip, "-o", tmp_path / "r")
    knee = row(tmp_path / "r", "right_knee")
    assert float(knee["left_minus_right"]) == pytest.approx(-5, abs=0.02)
    assert float(knee["range_symmetry"]) == 200


def test_who_has_most_frames_is_taken_and_the_others_are_said(run, clip, tmp_path):
    _, out, _ = run(clip, "-o", tmp_path / "r")
    assert "a_wide.csv: track 1 (6 frames); --track chooses others: 2 (2 frames)" in out
    assert {r["track"] for r in rows(tmp_path / "r")} == {"1"}


def test_a_track_is_chosen(run, clip, tmp_path):
    run(clip, "--track", 2, "-o", tmp_path / "r")
    assert float(row(tmp_path / "r", "left_knee")["min"]) == pytest.approx(120, abs=0.02)


def test_the_screen_shows_a_row_for_each_angle(run, clip, tmp_path):
    _, out, _ = run(clip, "-o", tmp_path / "r")
    (knee,) = [line.split() for line in out.splitlines() if line.startswith("  left_knee ")]
    assert knee == ["left_knee", "0%", "85.0", "60.0", "to", "110.0", "50.0", "62.5", "to",
                    "107.5", "100", "-5.0"]  # fmt: skip


def test_the_screen_says_where_the_results_are(run, clip, tmp_path):
    _, out, _ = run(clip, "-o", tmp_path / "r")
    said = out.splitlines()[-2:]
    assert said == [
        f"summary: {tmp_path / 'r' / 'summary.csv'}", f"picture: {tmp_path / 'r' / 'angles.png'}"
    ]  # fmt: skip


def test_several_tables_are_summed_up_one_after_the_other(run, clip, tmp_path):
    other = table(tmp_path / "b_wide.csv", t5=[150] * 4)
    run(clip, other, "-o", tmp_path / "r")
    found = [row(tmp_path / "r", "left_knee", number) for number in (0, 1)]
    assert [(r["file"], r["track"]) for r in found] == [(str(clip), "1"), (str(other), "5")]


def test_each_table_may_have_a_track_of_its_own(run, clip, tmp_path):
    other = table(tmp_path / "b_wide.csv", t5=[150] * 4, t6=[30])
    run(clip, other, "--track", 2, "--track", 6, "-o", tmp_path / "r")
    assert list(dict.fromkeys(r["track"] for r in rows(tmp_path / "r"))) == ["2", "6"]


def test_two_people_of_one_clip_are_compared(run, clip, tmp_path):
    code, _, _ = run(clip, clip, "--track", 1, "--track", 2, "-o", tmp_path / "r")
    tracks = list(dict.fromkeys(r["track"] for r in rows(tmp_path / "r")))
    assert (code, tracks) == (0, ["1", "2"])


def test_an_angle_of_ones_own_joins_the_others(run, clip, tmp_path):
    run(clip, "--angle", "mine=left_hip,left_knee,left_ankle", "-o", tmp_path / "r")
    assert row(tmp_path / "r", "mine")["mean"] == row(tmp_path / "r", "left_knee")["mean"]


def test_angles_of_joints_below_the_smallest_score_are_missing(run, tmp_path):
    with Wide(tmp_path / "a.csv", COCO17) as out:
        for frame, score in enumerate([0.9, 0.9, 0.5, 0.9]):
            people = person(90, 1)
            people.score[0, COCO17.index("left_ankle")] = score
            out.add(people, frame=frame, time=frame / 10)
    run(tmp_path / "a.csv", "--min-score", 0.8, "-o", tmp_path / "r")
    shares = [row(tmp_path / "r", name)["missing"] for name in ("left_knee", "right_knee")]
    assert shares == ["0.2500", "0.0000"]


def test_somebody_without_any_angle_is_refused_before_anything_is_written(run, clip, tmp_path):
    code, _, err = run(clip, "--min-score", 0.95, "-o", tmp_path / "r")
    assert (code, (tmp_path / "r").exists()) == (2, False)
    assert "the person has no angle in any frame; choose another --track" in err


def test_time_in_percent_draws_another_picture_with_the_same_numbers(run, clip, tmp_path):
    run(clip, "-o", tmp_path / "a")
    run(clip, "--normalise", "-o", tmp_path / "b")
    pictures, tables = (
        [(tmp_path / folder / name).read_bytes() for folder in "ab"]
        for name in ("angles.png", "summary.csv")
    )
    assert (pictures[0] != pictures[1], tables[0] == tables[1]) == (True, True)


def test_a_second_run_replaces_the_results_of_the_first(run, clip, tmp_path):
    run(clip, "-o", tmp_path / "r")
    run(clip, "--track", 2, "-o", tmp_path / "r")
    assert {r["track"] for r in rows(tmp_path / "r")} == {"2"}


def test_without_matplotlib_the_summary_is_written(run, clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run(clip, "-o", tmp_path / "r")
    assert (code, len(rows(tmp_path / "r")), "summary: " in out) == (1, 9, True)
    assert err.count("\n") == 1
    assert err.startswith("posegram: no picture, for matplotlib is missing")


def test_the_table_that_is_read_is_never_replaced(run, clip, tmp_path):
    source = clip.rename(tmp_path / "summary.csv")
    before = source.read_bytes()
    code, _, err = run(source, "-o", tmp_path)
    assert (code, source.read_bytes() == before) == (2, True)
    assert err.startswith(f"posegram: cannot write {source}: it is read")


def refusal(run, *args):
    """The sentence of a command that is misuse."""
    code, _, err = run(*args)
    assert (code, err.count("\n")) == (2, 1)
    return err.strip()


def test_a_file_is_no_folder_for_results(run, clip, tmp_path):
    (tmp_path / "r").write_text("mine")
    said = refusal(run, clip, "-o", tmp_path / "r")
    assert "it is a file, wanted a folder for the results" in said


def test_the_same_person_twice_is_refused(run, clip):
    assert "is given twice for the same person" in refusal(run, clip, clip)


def test_more_tracks_than_tables_are_refused(run, clip):
    said = refusal(run, clip, "--track", 1, "--track", 2)
    assert said == (
        "posegram: --track is given 2 times for 1 table: once, or once for each"
    )  # fmt: skip


def test_a_track_that_is_not_there_is_refused(run, clip, tmp_path):
    said = refusal(run, clip, "--track", 9, "-o", tmp_path / "r")
    assert said.endswith("has no track 9; it has 1 (6 frames), 2 (2 frames)")


def test_a_refused_command_writes_nothing(run, clip, tmp_path):
    run(clip, "--track", 9, "-o", tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_one_name_for_two_angles_is_refused(run, clip):
    twice = ["--angle", "a=nose,left_ear,left_eye"] * 2
    assert "--angle a is given twice" in refusal(run, clip, *twice)
