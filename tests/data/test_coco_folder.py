import json

import pytest

import figures
from posegram import data
from posegram.data import coco, coco_folder, door, folder
from posegram.data.folder import images_in


@pytest.fixture
def photos(tmp_path):
    """A folder of two pictures of one person each."""
    figures.samples(tmp_path / "set", 2)
    return tmp_path / "set"


def _labelled(folder, name, *, count=2):
    """A COCO file of the pictures in a folder, or of the first ones."""
    people = figures.samples(folder, 2)[:count]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return coco.write(folder / name, people, folder)


@pytest.mark.parametrize("spec", ["{}", "coco:{}"])
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("_annotations.coco.json", ()),
        ("labels.json", ("notes.json", "README.txt")),
        ("annotations/any.json", ("labels/notes.json",)),
    ],
)
def test_a_folder_stands_for_its_one_annotation_file(photos, spec, name, others):
    file = _labelled(photos, name)
    for other in others:
        (photos / other).parent.mkdir(exist_ok=True)
        (photos / other).write_text('{"a": 1}')
    assert data.reader_of(spec.format(photos)) == ("coco", file)
    (one, two) = data.read(spec.format(photos))
    assert (one.image, two.image.is_file()) == (photos / "figure0000.png", True)


def test_cvats_export_is_read_as_it_is_unpacked(tmp_path):
    people = figures.samples(tmp_path / "images" / "default", 2)
    file = tmp_path / "annotations" / "person_keypoints_default.json"
    file.parent.mkdir()
    coco.write(file, people, tmp_path / "images" / "default")
    found = data.read(str(tmp_path))
    assert [one.image for one in found] == [one.image for one in people]


def test_roboflows_parts_are_named(tmp_path):
    for part in ("train", "valid"):
        _labelled(tmp_path / part, "_annotations.coco.json")
    (tmp_path / "README.roboflow.txt").write_text("no labels of YOLO's")
    said = r"2 COCO annotation files \(train/_annotations\.coco\.json, valid/.*\): give one"
    with pytest.raises(ValueError, match=said):
        data.read(str(tmp_path))
    assert len(data.read(str(tmp_path / "valid"))) == 2


def test_of_many_files_some_are_named(tmp_path):
    for n in range(6):
        _labelled(tmp_path, f"{n}.json")
    with pytest.raises(ValueError, match=r"holds 6 COCO .* \(0\.json, 1\.json, .*, \.\.\.\): give"):
        coco_folder.only(tmp_path)


def test_a_folder_without_annotations_is_refused_by_name(photos):
    with pytest.raises(ValueError, match="holds no COCO annotation file, here or in `annotations`"):
        data.read(f"coco:{photos}")


def test_a_broken_file_says_itself_what_is_wrong(photos):
    (photos / "labels.json").write_text('{"info": {}, ')
    with pytest.raises(ValueError, match=r"labels\.json: not a readable JSON file"):
        data.read(f"coco:{photos}")


def test_a_file_that_lists_other_pictures_leaves_a_plain_folder(photos):
    _labelled(photos, "labels.json", count=1)
    assert data.reader_of(str(photos)) == ("folder", photos)


def test_what_a_model_found_in_a_folders_pictures_is_not_their_labels(photos):
    file = _labelled(photos, "labels.json")
    whole = json.loads(file.read_text())
    whole["annotations"][0]["keypoint_scores"] = [1.0]
    file.write_text(json.dumps(whole))
    assert data.reader_of(str(photos)) == ("folder", photos)
    assert data.reader_of(f"coco:{photos}") == ("coco", file)


@pytest.mark.parametrize(
    "text", ['{"info": 1}', '{"images": [], "annotations": 3}', "[]", '{"version": "5"}', "\xff"]
)
def test_other_json_beside_pictures_changes_nothing(photos, text):
    (photos / "a.json").write_text(text, encoding="latin-1")
    assert data.reader_of(str(photos)) == ("folder", photos)
    assert coco_folder.files(photos) == []


def test_two_files_beside_pictures_leave_a_plain_folder(photos):
    for name in ("a.json", "b.json"):
        _labelled(photos, name)
    assert not coco_folder.guessed(photos, images_in(photos))
    assert data.reader_of(str(photos)) == ("folder", photos)


@pytest.mark.parametrize("name", ["labels.json", "_annotations.coco.json"])
def test_boxes_alone_leave_a_plain_folder(photos, name):
    file = _labelled(photos, name)
    whole = json.loads(file.read_text())
    for record in whole["annotations"]:
        del record["keypoints"]
    file.write_text(json.dumps(whole))
    assert data.reader_of(str(photos)) == ("folder", photos)


def test_annotations_that_are_no_objects_are_no_reason_to_stop(photos):
    whole = {"images": [{"id": 1, "file_name": "x.png"}], "annotations": [3]}
    (photos / "a.json").write_text(json.dumps(whole))
    assert not coco_folder.guessed(photos, images_in(photos))


@pytest.mark.parametrize("place", ["", "train"])
def test_roboflows_folders_are_known(tmp_path, place):
    _labelled(tmp_path / "own" / place, "_annotations.coco.json")
    (tmp_path / "own" / "images").mkdir()
    assert coco_folder.is_roboflow(tmp_path / "own", ())
    assert not coco_folder.is_roboflow(tmp_path / "own" / "images", ())


def test_pictures_above_roboflows_folder_are_a_plain_folder(photos):
    _labelled(photos / "train", "_annotations.coco.json")
    assert data.reader_of(str(photos)) == ("folder", photos)


@pytest.fixture
def parsed(monkeypatch):
    """The JSON files parsed, in order."""
    seen, load = [], door.load_json
    monkeypatch.setattr(door, "load_json", lambda path: (seen.append(path), load(path))[1])
    return seen


def test_a_folders_file_is_parsed_once_to_guess_and_once_to_read(photos, parsed):
    file = _labelled(photos, "labels.json")
    data.read(str(photos))
    assert parsed == [file] * 2


def test_a_file_is_parsed_only_to_be_read(photos, parsed):
    file = _labelled(photos, "labels.json")
    data.read(str(file))
    assert parsed == [file]


def test_a_file_of_captions_is_not_parsed_to_be_found_no_labelmes(photos, parsed):
    (photos / "figure0000.json").write_text('{"info": {}, "images": []}')
    assert data.reader_of(str(photos))[0] == "folder"
    assert len(parsed) == 1  # as a COCO file, for it begins as one


def test_files_of_one_picture_each_are_not_opened(photos, monkeypatch):
    for picture in images_in(photos):
        picture.with_suffix(".json").write_text('{"score": 1}')
    file, opened, begins = _labelled(photos, "labels.json"), [], coco_folder.begins
    monkeypatch.setattr(coco_folder, "begins", lambda p: (opened.append(p), begins(p))[1])
    assert coco_folder.guessed(photos, images_in(photos)) == [file]
    assert opened == [file]


def test_a_single_file_called_as_a_picture_may_be_about_all(photos):
    file = _labelled(photos, "figure0000.json")
    assert data.reader_of(str(photos)) == ("coco", file)


def test_the_pictures_are_listed_once_to_guess(photos, monkeypatch):
    listed = []
    monkeypatch.setattr(folder, "images_in", lambda p: (listed.append(p), images_in(p))[1])
    _labelled(photos, "labels.json")
    data.reader_of(str(photos))
    assert listed == [photos]
