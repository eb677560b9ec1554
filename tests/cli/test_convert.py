import json

import numpy as np
import pytest

import figures
from posegram import data
from posegram.cli import main
from posegram.data import coco
from posegram.pose import COCO17, LSP14


def run(capsys, *args):
    """Exit code, output and errors of one conversion."""
    with pytest.raises(SystemExit) as stop:
        main(["data", "convert", *(str(a) for a in args)])
    shown = capsys.readouterr()
    return stop.value.code, shown.out, shown.err


@pytest.fixture
def source(tmp_path):
    """A COCO file with three people in COCO's joints, its pictures beside it."""
    people = figures.samples(tmp_path / "set" / "images", 3, skeleton=COCO17)
    for n, sample in enumerate(people):
        sample.visible[n] = n
    return coco.write(tmp_path / "set" / "people.json", people, tmp_path / "set" / "images")


def by_image(samples):
    return {sample.image.name: sample for sample in samples}


def same(before, after, *, atol):
    for name, one in by_image(before).items():
        other = by_image(after)[name]
        assert one.visible.tolist() == other.visible.tolist()
        seen = one.visible > 0
        np.testing.assert_allclose(other.xy[seen], one.xy[seen], atol=atol)
        np.testing.assert_allclose(other.box, one.box, atol=atol)


def test_coco_to_yolo_and_back_is_the_same_to_a_millionth(capsys, tmp_path, source):
    run(capsys, source, tmp_path / "yolo", "--to", "yolo")
    code, *_ = run(capsys, tmp_path / "yolo", tmp_path / "back.json", "--to", "coco")
    assert code == 0
    same(coco.read(source), coco.read(tmp_path / "back.json", tmp_path / "yolo/images"), atol=1e-6)


def test_the_shared_coco_part_survives_yolo(capsys, tmp_path, shared):
    source = shared / "data" / "coco" / "person_keypoints_train.json"
    run(capsys, source, tmp_path / "yolo", "--to", "yolo")
    before, after = coco.read(source), data.read(str(tmp_path / "yolo"))
    assert len(after) == 391
    place = {image: n for n, image in enumerate(dict.fromkeys(s.image.name for s in after))}
    before.sort(key=lambda s: place[s.image.name])
    for one, other in zip(before, after, strict=True):
        assert one.visible.tolist() == other.visible.tolist()
        np.testing.assert_allclose(other.xy, one.xy, atol=1e-6)
        np.testing.assert_allclose(other.box, one.box, atol=1e-6)


def test_lsp_to_coco_and_back_is_the_same(capsys, tmp_path, shared):
    run(capsys, f"lsp:{shared}/data/lsp#801-820", tmp_path / "a.json", "--to", "coco")
    images = ("--images", shared / "data" / "lsp" / "images")
    run(capsys, tmp_path / "a.json", tmp_path / "lsp", "--to", "lsp", *images)
    before = data.read(f"lsp:{shared}/data/lsp#801-820")
    after = data.read(f"lsp:{tmp_path}/lsp")
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other.xy, one.xy, atol=1e-6)
        assert one.visible.tolist() == other.visible.tolist()
        assert one.image.read_bytes() == other.image.read_bytes()


def test_mpii_lists_to_coco_and_back_are_the_same(capsys, tmp_path, shared):
    images = tmp_path / "images"  # of which none is at hand
    source = f"mpii:{shared}/references/mpii/valid.json#1-200"
    run(capsys, source, tmp_path / "a.json", "--to", "coco", "--images", images)
    run(capsys, tmp_path / "a.json", tmp_path / "b.json", "--to", "mpii", "--images", images)
    labelled = [s for s in data.read(source, images) if s.visible.any()]
    after = data.read(f"mpii:{tmp_path}/b.json", images)
    for one, other in zip(labelled, after, strict=True):
        np.testing.assert_allclose(other.xy, one.xy, atol=1e-3)
        np.testing.assert_allclose(other.box, one.box, atol=1e-2)


def test_a_format_without_pictures_cannot_leave_them_out(capsys, tmp_path, source):
    code, _, said = run(capsys, source, tmp_path / "b.json", "--to", "mpii", "--no-pictures")
    assert (code, (tmp_path / "b.json").exists()) == (2, False)
    assert "--no-pictures" in said


def test_joints_are_carried_over_by_name(capsys, tmp_path, source):
    run(capsys, source, tmp_path / "lsp", "--to", "lsp")
    before, after = coco.read(source), data.read(f"lsp:{tmp_path}/lsp")
    row, wanted = LSP14.index("left_ankle"), COCO17.index("left_ankle")
    assert [s.xy[row].tolist() for s in after] == [s.xy[wanted].tolist() for s in before]


def test_the_joints_may_be_chosen(capsys, tmp_path, source):
    run(capsys, source, tmp_path / "a.json", "--to", "coco", "--skeleton", "lsp14")
    assert coco.read(tmp_path / "a.json")[0].skeleton is LSP14


def test_joints_that_the_chosen_ones_lack_are_counted(capsys, tmp_path, source):
    _, out, _ = run(capsys, source, tmp_path / "a.json", "--to", "coco", "--skeleton", "lsp14")
    assert "  does not fit coco: 14 labelled joints: lsp14 has no left_eye, right_eye, " in out


def test_what_does_not_fit_is_listed_with_counts(capsys, tmp_path, source):
    _, out, _ = run(capsys, source, tmp_path / "yolo", "--to", "yolo")
    assert out.splitlines() == [
        f"3 people in 3 pictures -> {tmp_path / 'yolo'} (yolo)",
        "  does not fit yolo: 3 people: area",
    ]


def test_what_reading_leaves_out_is_listed_too(capsys, tmp_path, source):
    whole = json.loads(source.read_text())
    whole["annotations"][0]["iscrowd"] = 1
    source.write_text(json.dumps(whole))
    _, out, _ = run(capsys, source, tmp_path / "yolo", "--to", "yolo")
    assert "  left out by reading coco: 1 crowd region: not read\n" in out


def test_a_reader_may_be_named(capsys, tmp_path, source):
    code, out, _ = run(capsys, source, tmp_path / "a.json", "--from", "coco", "--to", "coco")
    assert (code, out.splitlines()[0][:8]) == (0, "3 people")


def test_pictures_may_stay_where_they_are(capsys, tmp_path, source):
    run(capsys, source, tmp_path / "yolo", "--to", "yolo", "--no-pictures")
    assert sorted(p.name for p in (tmp_path / "yolo").iterdir()) == ["data.yaml", "labels"]


def refused(capsys, *args):
    code, out, err = run(capsys, *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_a_missing_source_is_one_sentence(capsys, tmp_path):
    err = refused(capsys, tmp_path / "no.json", tmp_path / "yolo", "--to", "yolo")
    assert f"{tmp_path / 'no.json'}: no such file" in err


def test_an_unknown_format_lists_the_known_ones(capsys, tmp_path, source):
    err = refused(capsys, source, tmp_path / "x", "--to", "voc")
    assert "no format 'voc' to write; there are coco, lsp, mpii, yolo" in err


def test_a_format_of_one_file_wants_its_name(capsys, tmp_path, source):
    err = refused(capsys, source, tmp_path / "folder", "--to", "coco")
    assert "coco is one .json file" in err


def test_a_folder_with_something_in_it_is_left_alone(capsys, tmp_path, source):
    err = refused(capsys, source, source.parent, "--to", "yolo")
    assert "exists already; yolo is written into a new or empty folder" in err


def test_the_source_is_never_overwritten(capsys, tmp_path, source):
    before = source.read_bytes()
    assert "is the source itself" in refused(capsys, source, source, "--to", "coco")
    assert source.read_bytes() == before


def test_what_yolo_holds_beside_people_is_told(capsys, tmp_path, source):
    out = tmp_path / "yolo"
    run(capsys, source, out, "--to", "yolo")
    text = next((out / "labels").glob("*.txt"))
    text.write_text(text.read_text() + "5 0.5 0.5 0.2 0.2\n")
    (out / "data.yaml").write_text((out / "data.yaml").read_text().replace("val: images", "val: x"))
    _, told, _ = run(capsys, out / "data.yaml", tmp_path / "back.json", "--to", "coco")
    assert "left out by reading yolo: 1 line: of other classes, not read" in told
    assert "left out by reading yolo: 1 part: val, not read: train alone is" in told
