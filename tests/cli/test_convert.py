import json
from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram import data
from posegram.cli import main
from posegram.data import coco, door
from posegram.pose import COCO17, LSP14, Skeleton

OWN = Skeleton("own", ("head_top", "left_hip", "right_hip"), (("head_top", "left_hip"),))
SPELT = ["Head Top", "Hip L", "Hip R"]  # as a user would, in place of those


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


@pytest.fixture
def other(tmp_path):
    """A COCO file with two other people in COCO's joints, whose pictures have the same names."""
    people = figures.samples(tmp_path / "other" / "images", 2, skeleton=COCO17, seed=50)
    return coco.write(tmp_path / "other" / "people.json", people, tmp_path / "other" / "images")


@pytest.fixture
def patients(tmp_path):
    """A COCO file with two patients, whose joints and bones are the user's own."""
    people = figures.samples(tmp_path / "ward" / "images", 2, skeleton=OWN)
    file = coco.write(tmp_path / "ward" / "people.json", people, tmp_path / "ward" / "images")
    whole = json.loads(file.read_text())
    whole["categories"][0] |= {"name": "patient", "keypoints": SPELT}
    file.write_text(json.dumps(whole))
    return file


def category(path):
    (only,) = json.loads(path.read_text())["categories"]
    return only


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


def test_a_list_without_its_pictures_says_where_they_stay(capsys, tmp_path, source):
    images = tmp_path / "set" / "images"
    (tmp_path / "mp").mkdir()
    _, told, _ = run(capsys, source, tmp_path / "mp" / "mp.json", "--to", "mpii")
    first = told.splitlines()[0]
    assert first.endswith(f"(mpii); pictures stay in {images}: give images={images} to train")


def test_a_list_beside_its_pictures_says_nothing_of_them(capsys, tmp_path, source):
    _, told, _ = run(capsys, source, tmp_path / "set" / "mp.json", "--to", "mpii")
    assert "pictures stay" not in told
    assert all(s.image.exists() for s in data.read(f"mpii:{tmp_path / 'set' / 'mp.json'}"))


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
        "  val is train: data.yaml names the same pictures as both; "
        "--val SPEC or --split SHARE parts them",
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
    assert "left out by reading yolo: 1 part: val, not read; #val behind the path reads it" in told


# parts


def test_a_second_source_becomes_val(capsys, tmp_path, source, other):
    out = tmp_path / "yolo"
    _, said, _ = run(capsys, source, out, "--to", "yolo", "--val", other)
    names = ["figure0000", "figure0001", "figure0002"]
    shown = {place: sorted(p.stem for p in (out / place).iterdir())
             for place in ("images/train", "labels/train", "images/val", "labels/val")}  # fmt: skip
    assert list(shown.values()) == [names, names, names[:2], names[:2]]
    assert said.startswith(f"train: 3 people in 3 pictures, val: 2 people in 2 pictures -> {out}")
    assert "val is train" not in said


def test_both_parts_come_back_from_yolo(capsys, tmp_path, source, other):
    out = tmp_path / "yolo"
    run(capsys, source, out, "--to", "yolo", "--val", other)
    for part, before in (("train", source), ("val", other)):
        back = tmp_path / f"{part}.json"
        run(capsys, f"yolo:{out}/data.yaml#{part}", back, "--to", "coco")
        same(coco.read(before), coco.read(back, out / "images" / part), atol=1e-6)


def test_a_part_that_is_read_beside_the_other_is_not_left_out(capsys, tmp_path, source, other):
    yolo, again = tmp_path / "yolo", tmp_path / "again"
    run(capsys, source, yolo, "--to", "yolo", "--val", other)
    _, said, _ = run(capsys, yolo, again, "--to", "yolo", "--val", f"{yolo}#val")
    assert len(data.read(f"{again}#val")) == 2
    assert "left out" not in said


def test_people_are_parted_by_their_share(capsys, tmp_path, source):
    _, said, _ = run(capsys, source, tmp_path / "yolo", "--to", "yolo", "--split", "0.34")
    parts = [data.read(f"{tmp_path / 'yolo'}#{part}") for part in ("train", "val")]
    assert [len(some) for some in parts] == [2, 1]
    assert said.startswith("train: 2 people in 2 pictures, val: 1 person in 1 picture -> ")


def test_copies_of_a_photo_stay_on_one_side(capsys, tmp_path, source):
    people = coco.read(source)
    copy = people[0].image.with_name("copy.png")
    copy.write_bytes(people[0].image.read_bytes())
    coco.write(source, [*people, replace(people[0], image=copy)])
    run(capsys, source, tmp_path / "yolo", "--to", "yolo", "--split", "0.5")
    sides = [{p.name for p in (tmp_path / "yolo/images" / part).iterdir()}
             for part in ("train", "val")]  # fmt: skip
    pair = {people[0].image.name, "copy.png"}
    assert sorted(len(side & pair) for side in sides) == [0, 2]


def test_pictures_of_both_parts_are_told(capsys, tmp_path, source):
    _, said, _ = run(capsys, source, tmp_path / "yolo", "--to", "yolo", "--val", f"{source}#2-3")
    assert "  in train and in val: 2 pictures\n" in said


def test_what_does_not_fit_is_counted_of_both_parts(capsys, tmp_path, source, other):
    _, said, _ = run(capsys, source, tmp_path / "yolo", "--to", "yolo", "--val", other)
    assert "  does not fit yolo: 5 people: area\n" in said


def test_the_joints_of_val_take_the_sources_order(capsys, tmp_path, source):
    joints = Skeleton("turned", COCO17.joints[::-1])
    people = figures.samples(tmp_path / "v" / "images", 1, skeleton=joints)
    val = coco.write(tmp_path / "v" / "people.json", people, tmp_path / "v" / "images")
    run(capsys, source, tmp_path / "yolo", "--to", "yolo", "--val", val)
    (found,) = data.read(f"{tmp_path / 'yolo'}#val")
    np.testing.assert_allclose(found.xy, people[0].xy[::-1], atol=1e-4)


def test_a_val_of_other_joints_is_refused(capsys, tmp_path, source, patients):
    err = refused(capsys, source, tmp_path / "yolo", "--to", "yolo", "--val", patients)
    assert f"{patients}: has other joints than the source; --skeleton NAME" in err


def test_other_joints_meet_in_a_chosen_skeleton(capsys, tmp_path, source, patients):
    options = ("--to", "yolo", "--val", patients, "--skeleton", "lsp14")
    run(capsys, source, tmp_path / "yolo", *options)
    assert data.read(f"{tmp_path / 'yolo'}#val")[0].skeleton is LSP14


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--val", "x", "--split", "0.1"), "--split draws them: give one"),
        (("--split", "1.5"), "the validation share is 1.5, wanted a number between 0 and 1"),
        (("--val", "gone.json"), "gone.json: no such file"),
    ],
)
def test_parts_that_make_no_sense_are_refused(capsys, tmp_path, source, options, sentence):
    assert sentence in refused(capsys, source, tmp_path / "yolo", "--to", "yolo", *options)
    assert not (tmp_path / "yolo").exists()


@pytest.mark.parametrize("options", [("--val", "x"), ("--split", "0.1")])
def test_parts_are_for_yolo_alone(capsys, tmp_path, source, options):
    err = refused(capsys, source, tmp_path / "a.json", "--to", "coco", *options)
    assert f"{options[0]} is for --to yolo, and coco has no parts" in err


def test_two_readers_of_one_source_are_refused(capsys, tmp_path, source):
    err = refused(capsys, f"coco:{source}", tmp_path / "yolo", "--to", "yolo", "--from", "mpii")
    assert "name two readers: leave --from out" in err


def test_a_source_that_is_called_as_a_reader_names_none(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco").mkdir()
    err = refused(capsys, "coco", tmp_path / "a.json", "--to", "coco", "--from", "lsp")
    assert "joints.mat" in err


# names and bones


@pytest.fixture
def back(capsys, tmp_path, patients):
    """The COCO file that became a YOLO set and a COCO file again."""
    run(capsys, patients, tmp_path / "yolo", "--to", "yolo")
    run(capsys, tmp_path / "yolo", tmp_path / "back.json", "--to", "coco")
    return tmp_path / "back.json"


@pytest.mark.parametrize("key", ["name", "keypoints", "skeleton"])
def test_names_and_bones_come_back_as_they_were_spelt(patients, back, key):
    assert category(back)[key] == category(patients)[key]


def test_names_that_stay_are_not_told(capsys, tmp_path, patients):
    _, said, _ = run(capsys, patients, tmp_path / "a.json", "--to", "coco")
    assert said.splitlines() == [f"2 people in 2 pictures -> {tmp_path / 'a.json'} (coco)"]


def test_a_chosen_skeleton_has_its_own_spelling(capsys, tmp_path, patients):
    options = ("--to", "coco", "--skeleton", "lsp14")
    _, said, _ = run(capsys, patients, tmp_path / "a.json", *options)
    assert category(tmp_path / "a.json")["keypoints"] == list(LSP14.joints)
    assert "  does not fit coco: 1 spelling: of joints, written as head_top\n" in said


def test_a_chosen_skeleton_is_written_as_ours_where_the_source_spells_it_otherwise(
    capsys, tmp_path, source
):
    whole = json.loads(source.read_text())
    names = [joint.replace("_", " ").title() for joint in COCO17.joints]
    whole["categories"][0]["keypoints"] = names
    source.write_text(json.dumps(whole))
    run(capsys, source, tmp_path / "a.json", "--to", "coco", "--skeleton", "coco17")
    assert category(tmp_path / "a.json")["keypoints"] == list(COCO17.joints)


def test_two_categories_of_the_same_joints_become_one_and_are_told(capsys, tmp_path, source):
    whole = json.loads(source.read_text())
    first = whole["categories"][0] | {"name": "patient"}
    whole["categories"] = [first, first | {"id": 2, "name": "nurse"}]
    whole["annotations"][0]["category_id"] = 2
    source.write_text(json.dumps(whole))
    _, said, _ = run(capsys, source, tmp_path / "a.json", "--to", "coco")
    assert category(tmp_path / "a.json")["name"] == "person"
    for name in ("patient", "nurse"):
        assert f"  does not fit coco: 1 name: category {name}, written as person\n" in said


def test_a_category_has_no_place_in_lsp(capsys, tmp_path, patients):
    _, said, _ = run(capsys, patients, tmp_path / "lsp", "--to", "lsp")
    assert "  does not fit lsp: 1 name: category patient, not kept\n" in said


# joints without names


@pytest.fixture
def unnamed(capsys, tmp_path, patients):
    """A YOLO set of three joints, which are only counted."""
    run(capsys, patients, tmp_path / "bare", "--to", "yolo")
    text = (tmp_path / "bare" / "data.yaml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("kpt_names", "skeleton"))]
    (tmp_path / "bare" / "data.yaml").write_text("\n".join(kept))
    return tmp_path / "bare"


def test_joints_without_names_are_written_by_number(capsys, tmp_path, unnamed):
    assert run(capsys, unnamed, tmp_path / "a.json", "--to", "coco")[0] == 0
    assert category(tmp_path / "a.json")["keypoints"] == ["joint_0", "joint_1", "joint_2"]


def test_joints_without_names_are_written_as_a_skeleton_file_calls_them(
    capsys, tmp_path, patients, unnamed
):
    (tmp_path / "own.toml").write_text(f"joints = {SPELT}\nbones = [['Head Top', 'Hip L']]")
    options = ("--to", "coco", "--skeleton", tmp_path / "own.toml")
    assert run(capsys, unnamed, tmp_path / "a.json", *options)[0] == 0
    assert category(tmp_path / "a.json")["keypoints"] == ["head_top", "hip_l", "hip_r"]
    assert category(tmp_path / "a.json")["skeleton"] == [[1, 2]]
    before, after = (
        data.read(str(patients)),
        data.read(str(tmp_path / "a.json"), unnamed / "images"),
    )
    np.testing.assert_allclose([s.xy for s in after], [s.xy for s in before], atol=1e-4)


@pytest.mark.parametrize("skeleton", ["coco17", "few.toml"])
def test_a_skeleton_that_names_none_of_them_is_refused(
    capsys, tmp_path, unnamed, monkeypatch, skeleton
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text("joints = ['a', 'b']")
    options = ("--to", "coco", "--skeleton", skeleton)
    code, _, err = run(capsys, unnamed, tmp_path / "a.json", *options)
    assert (code, "the source has 3 joints without names, so --skeleton" in err) == (2, True)
    assert not (tmp_path / "a.json").exists()


def test_joints_with_names_go_into_a_skeleton_file_by_name(capsys, tmp_path, patients):
    (tmp_path / "own.toml").write_text("joints = ['hip_r', 'hip_l']")
    options = ("--to", "coco", "--skeleton", tmp_path / "own.toml")
    _, said, _ = run(capsys, patients, tmp_path / "a.json", *options)
    assert category(tmp_path / "a.json")["keypoints"] == ["hip_r", "hip_l"]
    assert "own has no head_top" in said


@pytest.mark.parametrize(("place", "times"), [("people.json", 3), ("", 4)])
def test_a_file_is_guessed_once(source, tmp_path, capsys, monkeypatch, place, times):
    seen, load = [], door.load_json
    monkeypatch.setattr(door, "load_json", lambda path: (seen.append(path), load(path))[1])
    assert run(capsys, source.parent / place, tmp_path / "yolo", "--to", "yolo")[0] == 0
    assert seen == [source] * times


def test_a_part_and_a_range_stay_with_what_was_guessed(source, tmp_path, capsys):
    run(capsys, source, tmp_path / "yolo", "--to", "yolo", "--val", f"{source}#1-1")
    code, out, _ = run(capsys, f"{tmp_path / 'yolo'}#val#1-1", tmp_path / "a.json", "--to", "coco")
    assert (code, out.splitlines()[0].split(" ->")[0]) == (0, "1 person in 1 picture")
