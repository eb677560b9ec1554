import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

import figures
from posegram import data
from posegram.data import coco, yolo

JOINTS = np.arange(3 * 14 * 5, dtype=float).reshape(3, 14, 5)


@pytest.fixture
def lsp(tmp_path):
    scipy.io.savemat(tmp_path / "joints.mat", {"joints": JOINTS})
    return tmp_path / "joints.mat"


@pytest.fixture
def people(lsp):
    """A COCO file with the five people of the LSP file."""
    return coco.write(lsp.parent / "people.json", data.read(str(lsp)))


def test_every_reader_is_called_with_a_path_and_a_folder(tmp_path):
    for read in data.READERS.values():
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "gone.mat", tmp_path / "gone")


def test_a_reader_can_be_named(lsp):
    assert len(data.read(f"lsp:{lsp}")) == 5


@pytest.mark.parametrize(("spec", "count"), [("#2-4", 3), ("#4-", 2), ("#5-5", 1), ("", 5)])
def test_a_range_counts_from_1_and_holds_both_ends(people, spec, count):
    assert len(data.read(f"{people}{spec}")) == count


def test_a_range_of_lsp_is_of_image_numbers(lsp):
    assert [s.image.name for s in data.read(f"{lsp}#2-3")] == ["im0002.jpg", "im0003.jpg"]


def test_a_range_that_ends_before_it_begins_is_refused(people):
    with pytest.raises(ValueError, match="the range 4-2 ends before it begins"):
        data.read(f"{people}#4-2")


@pytest.mark.parametrize("range_", ["#0-3", "#1-6", "#6-"])
def test_a_range_beyond_the_people_is_refused(people, range_):
    with pytest.raises(ValueError, match=f"holds people 1 to 5, so not {range_[1:]}"):
        data.read(f"{people}{range_}")


def test_an_unknown_reader_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="no reader 'voc'; there are coco, deeplabcut, folder, labelme"
    ):
        data.read("voc:somewhere")


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.json: no such file or folder"):
        data.read(str(tmp_path / "gone.json"))


def test_the_images_folder_is_passed_on(people, tmp_path):
    assert data.read(str(people), tmp_path / "x")[0].image.parent == tmp_path / "x"


def test_a_folder_with_joints_mat_is_lsp(lsp):
    assert len(data.read(str(lsp.parent))) == 5


def test_a_json_list_of_people_is_mpii(tmp_path):
    person = {"image": "a.jpg", "center": [10, 10], "scale": 1}
    (tmp_path / "list.json").write_text(json.dumps([person]))
    assert data.read(str(tmp_path / "list.json"))[0].skeleton.name == "mpii16"


def test_a_mat_file_with_a_release_is_mpii(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"RELEASE": {"other": 1}})
    with pytest.raises(ValueError, match="has no struct `RELEASE` with `annolist`"):
        data.read(str(tmp_path / "a.mat"))


def test_a_folder_of_pictures_is_read_as_such(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 6, 3), dtype=np.uint8))
    assert len(data.read(str(tmp_path))) == 1


@pytest.mark.parametrize("name", ["", "/data.yaml"])
def test_a_data_yaml_makes_yolo(tmp_path, name):
    (tmp_path / "data.yaml").write_text("train: images/train")
    assert data.reader_of(f"{tmp_path}{name}")[0] == "yolo"


def test_a_folder_of_pictures_with_texts_is_yolo(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 6, 3), dtype=np.uint8))
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5")
    assert len(data.read(str(tmp_path))) == 2


@pytest.mark.parametrize("value", ["[]", "{}", "3", '[{"image_id": 1, "keypoints": []}]'])
def test_other_json_is_refused(tmp_path, value):
    (tmp_path / "a.json").write_text(value)
    with pytest.raises(ValueError, match=r"a\.json: is neither a COCO annotation file,"):
        data.read(str(tmp_path / "a.json"))


def test_another_mat_file_is_refused_by_what_it_holds(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"some": 1})
    with pytest.raises(ValueError, match=r"a\.mat: holds some, but neither MPII's RELEASE"):
        data.read(str(tmp_path / "a.mat"))


def test_another_file_wants_its_reader_named(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ValueError, match=r"a\.csv: say how to read it, as reader:path"):
        data.read(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("name", data.WRITERS)
def test_every_writer_writes_what_its_reader_reads(tmp_path, name):
    people = figures.samples(tmp_path / "images", 5)
    out = data.WRITERS[name](tmp_path / "out.json", people)
    after = data.read(f"{name}:{out}", None if out.is_dir() else tmp_path / "images")
    assert len(after) == 5
    for one, other in zip(people, after, strict=True):
        rows = [other.skeleton.index(joint) for joint in ("left_wrist", "right_knee", "head_top")]
        wanted = [one.skeleton.index(joint) for joint in ("left_wrist", "right_knee", "head_top")]
        np.testing.assert_allclose(other.xy[rows], one.xy[wanted], atol=1e-4)


@pytest.mark.parametrize("name", data.WRITERS)
def test_nobody_is_refused_by_every_writer(tmp_path, name):
    with pytest.raises(ValueError, match="there is nobody to write"):
        data.WRITERS[name](tmp_path / "out.json", [])


@pytest.fixture
def parted(tmp_path):
    """A YOLO set of three people to train on and two to validate on."""
    train, val = (figures.samples(tmp_path / name, n) for name, n in (("t", 3), ("v", 2)))
    return yolo.write(tmp_path / "set", train, valid=val)


@pytest.mark.parametrize(
    ("spec", "count"),
    [("", 3), ("#train", 3), ("#val", 2), ("#val#2-2", 1), ("#2-", 2), ("#train#1-2", 2)],
)
@pytest.mark.parametrize("place", ["yolo:{}", "yolo:{}/data.yaml", "{}", "{}/data.yaml"])
def test_a_part_of_a_yolo_set_may_be_read(parted, place, spec, count):
    assert len(data.read(place.format(parted) + spec)) == count


def test_a_spec_of_a_part_and_a_range_is_taken_apart(parted):
    spec = f"yolo:{parted}#val#1-2"
    assert data.reader_of(spec) == ("yolo", parted)
    assert data.pieces(spec) == data.Pieces("yolo", parted, "val", "1-2")


@pytest.mark.parametrize(
    ("spec", "reader", "path", "part", "ends"),
    [
        ("gone.json", "", "gone.json", "", (1, None)),
        ("coco:a#b/gone.json#2-", "coco", "a#b/gone.json", "", (2, None)),
        ("a#b/gone.json#train#2-3", "", "a#b/gone.json", "train", (2, 3)),
        ("C:/gone.json", "", "C:/gone.json", "", (1, None)),
        ("lsp:C:/gone", "lsp", "C:/gone", "", (1, None)),
        ("coco", "", "coco", "", (1, None)),
    ],
)
def test_a_spec_is_taken_apart_before_its_file_is_there(spec, reader, path, part, ends):
    told = data.pieces(spec)
    assert (told.reader, told.path, told.part, told.ends) == (reader, Path(path), part, ends)


def test_a_part_of_another_format_is_refused(people):
    with pytest.raises(
        ValueError, match=r"#train is a part of YOLO's data\.yaml, and this is coco"
    ):
        data.read(f"coco:{people}#train")


def test_a_path_may_have_a_sharp_of_its_own(parted):
    place = parted.rename(parted.with_name("set#val"))
    assert len(data.read(f"yolo:{place}")) == 3


def test_a_yolo_set_says_what_people_are_called(tmp_path):
    people = figures.samples(tmp_path / "t", 1)
    out = yolo.write(tmp_path / "set", people, category="patient")
    assert [c["name"] for c in data.categories(str(out))] == ["patient"]


def test_a_coco_file_says_it_of_those_that_have_joints(people):
    whole = json.loads(people.read_text())
    own = whole["categories"][0]
    whole["categories"] = [own | {"name": "patient"}, own | {"id": 2, "name": "nurse"}]
    people.write_text(json.dumps(whole))
    wanted = {"name": "patient", "keypoints": own["keypoints"]}
    assert data.categories(str(people)) == [wanted]


def test_lsp_calls_people_nothing(lsp):
    assert data.categories(str(lsp)) == []


@pytest.mark.parametrize("spec", ["{}", "coco:{}", "yolo:{}"])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_is_to_be_unpacked(tmp_path, spec, name):
    (tmp_path / name).write_bytes(b"PK")
    said = rf"{name} is an archive: unpack it and give the folder"
    with pytest.raises(ValueError, match=said):
        data.read(spec.format(tmp_path / name))


@pytest.mark.parametrize(
    "task",
    [
        {"id": 1, "data": {"image": "/data/upload/1/a.jpg"}, "annotations": [{"result": []}]},
        {"id": 1, "data": {"img": "a.jpg"}, "completions": []},
        {"image": "a.jpg", "id": 1, "annotator": 1, "annotation_id": 1, "lead_time": 2.5},
    ],
)
def test_the_json_of_label_studio_says_how_to_export_it(tmp_path, task):
    (tmp_path / "a.json").write_text(json.dumps([task]))
    with pytest.raises(
        ValueError, match=r"is Label Studio's JSON, .*: export the .* as COCO, .* model_index"
    ):
        data.read(str(tmp_path / "a.json"))
