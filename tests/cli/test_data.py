import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import figures
from posegram import image as pictures
from posegram.cli import main
from posegram.data import coco, yolo

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


def test_limbs_of_a_few_people_are_said_not_to_be_judged(capsys, people, tmp_path):
    _, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    assert out.endswith("no faults found\nlimbs not judged: 3 people of lsp14, wanted 20\n")


def test_limbs_of_many_people_are_judged_without_a_word(capsys, tmp_path):
    many = figures.samples(tmp_path / "images", 24)
    _, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", many), "--no-copies")
    assert "no faults found" in out
    assert "not judged" not in out


def test_where_there_are_faults_nothing_is_said_of_limbs(capsys, people, tmp_path):
    people[0].image.unlink()
    _, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    assert "not judged" not in out


def test_faults_in_the_data_end_with_1(capsys, people, tmp_path):
    people[0].image.unlink()
    code, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    assert code == 1
    assert "fault: missing-image: 1 time the picture's file is not there (figure0000.png)" in out


def test_a_set_without_any_picture_ends_with_1(capsys, people, tmp_path):
    for person in people:
        person.image.unlink()
    code, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    assert code == 1
    assert "fault: missing-image: no picture is at hand" in out


def test_what_is_worth_a_look_ends_with_0(capsys, people, tmp_path):
    other = tmp_path / "images" / "near.jpg"
    pictures.write(other, pictures.read(people[0].image))
    moved = replace(people[0], image=other, xy=people[0].xy + 1)
    code, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", [*people, moved]))
    assert code == 0
    assert "note: near-photo: 1 time " in out


def test_parts_of_a_set_are_compared(capsys, people, tmp_path):
    one, two = (coco.write(tmp_path / f"{n}.json", people[n:]) for n in (0, 2))
    images = tmp_path / "images"
    code, out, _ = _run(capsys, "check", one, two, "--images", images)
    assert code == 1
    assert "fault: same-photo: 1 time " in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fix", "b.json", "--also", "mirored"], "no cure for 'mirored'"),
        (["--also", "mirrored"], "give --fix"),
        (["--worst", "3"], "give --out"),
        (["--threads", "2"], "give --model"),
    ],
)
def test_what_has_no_meaning_is_refused_before_the_work(capsys, people, tmp_path, options, said):
    code, out, err = _run(capsys, "check", coco.write(tmp_path / "a.json", people), *options)
    assert (code, out) == (2, "")
    assert said in err


def test_a_split_key_parts_one_file(capsys, people, tmp_path):
    path = coco.write(tmp_path / "a.json", people)
    code, _, err = _run(capsys, "check", path, "--split", "use")
    assert code == 2
    assert "has no key 'use'" in err


def test_a_report_is_written(capsys, people, tmp_path):
    people[0].xy[3] = 900, 5
    path = coco.write(tmp_path / "a.json", people)
    _, out, _ = _run(capsys, "check", path, "-o", tmp_path / "report", "--no-copies")
    assert f"report: {tmp_path / 'report' / 'index.html'}" in out
    assert {"index.html", "report.json", "sheet.jpg"} <= {
        entry.name for entry in (tmp_path / "report").iterdir()
    }


def test_a_mended_file_is_found_without_that_fault(capsys, people, tmp_path):
    people[0].xy[3] = 900, 5
    path, fixed = coco.write(tmp_path / "a.json", people), tmp_path / "b.json"
    before = path.read_bytes()
    code, out, _ = _run(capsys, "check", path, "--fix", fixed)
    assert code == 1
    assert f"mended: {fixed} (outside-picture 1)" in out
    assert path.read_bytes() == before
    _, again, _ = _run(capsys, "check", fixed)
    assert "outside-picture" not in again


@pytest.mark.parametrize("form", ["{}", "coco:{}", "{}#1-1", "coco:{}#1-1"])
def test_the_source_is_not_overwritten(capsys, people, tmp_path, form):
    path = coco.write(tmp_path / "a.json", people)
    before = path.read_bytes()
    code, _, err = _run(capsys, "check", form.format(path), "--fix", path)
    assert code == 2
    assert "which is never changed" in err
    assert path.read_bytes() == before


def test_a_mended_file_has_no_range_in_its_name(capsys, people, tmp_path):
    path = coco.write(tmp_path / "a.json", people)
    code, _, err = _run(capsys, "check", path, "--fix", f"{path}#1-1")
    assert code == 2
    assert "--fix writes one .json file" in err
    assert [entry.name for entry in tmp_path.glob("a.json*")] == ["a.json"]


def test_a_model_is_asked_about_every_picture_that_can_be_read(capsys, people, tmp_path):
    people[0].image.write_bytes(people[0].image.read_bytes()[:900])
    path = coco.write(tmp_path / "a.json", people)
    code, out, _ = _run(capsys, "check", path, "--model", "small", "--threads", 1)
    assert code == 1
    assert "3 people in 3 images" in out


def test_an_unknown_model_is_misuse(capsys, people, tmp_path):
    path = coco.write(tmp_path / "a.json", people)
    code, _, err = _run(capsys, "check", path, "--model", "huge")
    assert code == 2
    assert "no model 'huge'" in err


def test_the_joints_are_listed_with_their_counts(capsys, people, tmp_path):
    _, out, _ = _run(capsys, "check", coco.write(tmp_path / "a.json", people))
    row = next(line for line in out.splitlines() if "left_wrist" in line)
    assert [word.strip() for word in row.split("│")][2:4] == ["3", "100.0%"]


def test_a_release_in_the_official_layout_is_checked(capsys, tmp_path):
    _, out, _ = _run(capsys, "check", release.save(tmp_path / "m.mat"))
    assert "3 people in 2 images, 0 of them at hand" in out


def test_the_mpii_list_is_checked_without_pictures(capsys, shared):
    _, out, _ = _run(capsys, "check", shared / "references" / "mpii" / "valid.json")
    assert "2,958 people in 2,729 images, 0 of them at hand" in out
    assert "fault: missing-image: no picture is at hand" in out


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


def test_a_set_of_nobody_is_not_called_sound(capsys, people, tmp_path):
    path = coco.write(tmp_path / "a.json", people)
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))
    code, out, err = _run(capsys, "check", path)
    assert (code, out, "holds nobody with joints" in err) == (2, "", True)


def test_joints_without_names_are_not_called_sound(capsys, people, tmp_path):
    path = coco.write(tmp_path / "a.json", people)
    bare = {**json.loads(path.read_text()), "categories": [{"id": 1, "name": "person"}]}
    path.write_text(json.dumps(bare))
    code, out, err = _run(capsys, "check", path)
    assert (code, out, "has `keypoints`, the joints' names" in err) == (2, "", True)


def test_a_report_over_a_file_is_refused_before_the_work(capsys, people, tmp_path):
    path = coco.write(tmp_path / "a.json", people)
    code, out, err = _run(capsys, "check", path, "--out", path)
    assert (code, out, "wanted a folder" in err) == (2, "", True)


def test_photos_without_labels_are_not_called_sound(capsys, people):
    code, _, err = _run(capsys, "check", people[0].image.parent)
    assert (code, "holds nobody with joints" in err) == (2, True)


def test_a_preview_without_pictures_says_how_to_name_their_folder(capsys, people, tmp_path):
    people[0].image.unlink()
    labels = coco.write(tmp_path / "a.json", people)
    code, _, err = _run(capsys, "preview", labels, "--out", tmp_path / "p.png")
    said = "figure0000.png (1 of 3 pictures missing; --images says where)"
    assert (code, said in err) == (2, True)


def test_a_report_among_somebodys_photos_is_refused_before_the_work(capsys, people, tmp_path):
    spec = coco.write(tmp_path / "set" / "a.json", people)
    (tmp_path / "images").rename(tmp_path / "set" / "pictures")
    code, _, err = _run(
        capsys, "check", spec, "--images", tmp_path / "set" / "pictures", "--out", tmp_path / "set"
    )
    assert (code, err.count("\n")) == (2, 1)
    assert "no report made it: give another --out" in err


def test_a_preview_never_replaces_a_photo_of_the_set(capsys, people, tmp_path):
    pytest.importorskip("torch")
    before = people[0].image.read_bytes()
    spec = coco.write(tmp_path / "a.json", people)
    code, _, err = _run(capsys, "preview", spec, "--out", people[0].image)
    assert code == 2
    assert "it is read, and what is read is never changed" in err
    assert people[0].image.read_bytes() == before


def test_numbers_that_are_none_are_mended_and_counted(capsys, people, tmp_path):
    spec = coco.write(tmp_path / "a.json", people)
    whole = json.loads(spec.read_text())
    whole["annotations"][0]["area"] = float("nan")
    spec.write_text(json.dumps(whole))
    _, out, _ = _run(capsys, "check", spec, "--fix", tmp_path / "fixed.json")
    assert "not-a-number 1" in out
    assert len(coco.read(tmp_path / "fixed.json")) == 3


# joints without names, folders that hold a file


@pytest.fixture
def unnamed(people, tmp_path):
    """A YOLO set of LSP's joints, which are only counted."""
    out = yolo.write(tmp_path / "set", people)
    lines = (out / "data.yaml").read_text().splitlines()
    kept = [line for line in lines if line.split(":")[0] not in ("kpt_names", "skeleton")]
    (out / "data.yaml").write_text("\n".join(kept))
    return out


@pytest.fixture
def toml(people, tmp_path):
    """A skeleton file that names as many."""
    (tmp_path / "mine.toml").write_text(f"joints = {list(people[0].skeleton.joints)}")
    return tmp_path / "mine.toml"


def test_joints_without_names_are_checked_by_number(capsys, unnamed):
    code, out, _ = _run(capsys, "check", unnamed)
    assert (code, "joint_13" in out) == (0, True)


def test_joints_without_names_are_called_as_a_skeleton_file_says(capsys, unnamed, toml, tmp_path):
    fixed = tmp_path / "fixed.json"
    code, out, _ = _run(capsys, "check", unnamed, "--skeleton", toml, "--fix", fixed)
    assert (code, "joint_" in out) == (0, False)
    assert coco.read(fixed)[0].skeleton.joints[0] == "right_ankle"


@pytest.mark.parametrize("verb", ["check", "preview"])
def test_a_skeleton_file_that_names_nothing_is_refused(capsys, people, toml, tmp_path, verb):
    pytest.importorskip("torch")
    spec = coco.write(tmp_path / "a.json", people)
    code, _, err = _run(capsys, verb, spec, "--skeleton", toml)
    assert code == 2
    assert "mine.toml: names 14 joints, and no source has as many unnamed" in err


def test_a_preview_calls_joints_as_a_skeleton_file_says(capsys, unnamed, toml, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "p.png"
    assert _run(capsys, "preview", unnamed, "--skeleton", toml, "--out", out)[0] == 0
    assert out.is_file()


def test_a_folder_with_its_annotations_is_checked(capsys, people):
    folder = people[0].image.parent
    coco.write(folder / "_annotations.coco.json", people, folder)
    code, out, _ = _run(capsys, "check", folder)
    assert (code, "3 people in 3 images, 3 of them at hand" in out) == (0, True)


def test_a_plain_folder_names_the_annotations_that_may_be_meant(capsys, people):
    folder = people[0].image.parent
    coco.write(folder / "a.json", people[:1], folder)
    code, _, err = _run(capsys, "check", folder)
    assert code == 2
    assert (
        f"nothing to check; {folder / 'a.json'} looks like COCO annotations: give that file" in err
    )
