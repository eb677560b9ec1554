import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import figures
from posegram.cli import main
from posegram.data import coco

sys.path.insert(0, str(Path(__file__).parent.parent / "data"))
import release


def _run(capsys, *args):
    """Exit code, output and errors of one command."""
    with pytest.raises(SystemExit) as stop:
        main(["data", *(str(a) for a in args)])
    shown = capsys.readouterr()
    return stop.value.code, shown.out, shown.err


@pytest.fixture
def people(tmp_path):
    return figures.samples(tmp_path / "images", 3)


def test_a_good_set_ends_with_0(capsys, people, tmp_path):
    code, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    assert code == 0
    assert "no faults found" in out


def test_faults_in_the_data_end_with_1(capsys, people, tmp_path):
    people[0].image.unlink()
    code, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    assert code == 1
    assert "fault: 1 images are missing (figure0000.png)" in out


def test_the_joints_are_listed_with_their_counts(capsys, people, tmp_path):
    _, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    row = next(line for line in out.splitlines() if "left_wrist" in line)
    assert [word.strip() for word in row.split("│")][2:4] == ["3", "100.0%"]


def test_a_release_in_the_official_layout_is_checked(capsys, tmp_path):
    code, out, _ = _run(capsys, "check", release.save(tmp_path / "m.mat"))
    assert code == 0
    assert "3 people in 2 images, 0 of them at hand" in out


def test_the_mpii_list_is_checked_without_pictures(capsys, shared):
    code, out, _ = _run(capsys, "check", shared / "references" / "mpii" / "valid.json")
    assert code == 0
    assert "2,958 people in 2,729 images, 0 of them at hand" in out
    assert "note: no image is at hand" in out


def _truncated(folder):
    path = release.save(folder / "m.mat")
    path.write_bytes(path.read_bytes()[:2000])
    return path


def _shaped_wrong(folder):
    scipy.io.savemat(folder / "m.mat", {"joints": np.ones((3, 16, 9))})
    return folder / "m.mat"


def _missing(folder):
    return folder / "m.mat"


@pytest.mark.parametrize("make", [_truncated, _shaped_wrong, _missing])
def test_an_unreadable_file_is_one_sentence_and_exit_code_2(capsys, tmp_path, make):
    code, out, err = _run(capsys, "check", make(tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith(f"posegram: {tmp_path / 'm.mat'}: ")
    assert err.count("\n") == 1


def test_a_preview_is_written(capsys, people, tmp_path):
    pytest.importorskip("torch")
    spec, out = coco.write(tmp_path / "a.json", people), tmp_path / "p.png"
    code, shown, _ = _run(capsys, "preview", spec, "--out", out, "--count", 2)
    assert code == 0
    assert shown.strip() == str(out)
    assert out.stat().st_size > 0
