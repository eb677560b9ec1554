import os
from pathlib import Path

import pytest

from posegram.data import yolo_folders

PAIR = ("images/train/a.png", "labels/train/a.txt")


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def root(tmp_path):
    """The layout of Ultralytics: a picture to train on and one to validate on."""
    _touch(tmp_path, *PAIR, "images/val/b.png", "labels/val/b.txt")
    return tmp_path


def _pairs(root, place=""):
    """What is found, below the root."""
    found = yolo_folders.pairs(root / place)
    return [tuple(os.path.relpath(p, root) for p in pair) for pair in found]


def _yaml(root, text):
    (root / "data.yaml").write_text(text)


def test_a_yaml_that_is_no_text_is_named(root):
    (root / "data.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"data\.yaml: is no YAML file"):
        yolo_folders.pairs(root / "data.yaml")


def test_a_list_of_pictures_that_is_no_text_is_named(root):
    (root / "train.txt").write_bytes(b"\xff\xfe")
    _yaml(root, "train: train.txt\n")
    with pytest.raises(ValueError, match=r"train\.txt: is no list of pictures"):
        yolo_folders.pairs(root / "data.yaml")


@pytest.mark.parametrize("place", ["labels/train", "images/train"])
def test_a_folder_of_either_finds_the_other(root, place):
    assert _pairs(root, place) == [PAIR]


def test_the_last_folder_of_that_name_is_meant(tmp_path):
    _touch(tmp_path / "labels", *PAIR)
    assert _pairs(tmp_path / "labels", "labels/train") == [PAIR]


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\n",
        "train: 'images/train'  # a comment, of two parts\n",
        "path: gone/elsewhere\ntrain: images/train\n",
        "path: .\ntrain:\n  - images/train\n",
        "train: [images/train]\n",
        "train: ../images/train\n",
        "train: list.txt\n",
    ],
)
def test_a_data_yaml_says_what_to_train_on(root, text):
    _yaml(root, text)
    (root / "list.txt").write_text("./images/train/a.png\n\n")
    assert _pairs(root, "data.yaml") == [PAIR]


def test_several_folders_to_train_on_are_all_taken(root):
    _yaml(root, "train: [images/train, images/val]\n")
    assert len(_pairs(root, "data.yaml")) == 2


def test_places_in_a_data_yaml_lie_below_its_path(root):
    (root / "about").mkdir()
    _yaml(root / "about", f"path: {root}\ntrain: images/train\n")
    assert _pairs(root, "about/data.yaml") == [PAIR]


def test_a_folder_without_labels_of_its_own_stands_for_its_data_yaml(root):
    _yaml(root, "train: images/train\n")
    assert _pairs(root) == [PAIR]


def test_labels_and_images_right_inside_come_before_the_data_yaml(tmp_path):
    _touch(tmp_path, "images/a.png", "labels/a.txt")
    _yaml(tmp_path, "train: elsewhere\n")
    assert _pairs(tmp_path) == [("images/a.png", "labels/a.txt")]


def test_pictures_are_looked_for_where_the_caller_says(root):
    _touch(root, "mine/c.png")
    found = yolo_folders.pairs(root / "labels" / "train", root / "mine")
    assert found == [(root / "mine" / "c.png", root / "labels" / "train" / "c.txt")]


@pytest.mark.parametrize(
    ("text", "fault", "message"),
    [
        ("names: {0: person}\n", ValueError, "has no `train`"),
        ("train:\n", ValueError, "has no `train`"),
        ("train: gone\n", FileNotFoundError, "its `train` is gone, which is not there"),
    ],
)
def test_a_data_yaml_that_names_nothing_is_refused(root, text, fault, message):
    _yaml(root, text)
    with pytest.raises(fault, match=rf"data\.yaml: {message}"):
        yolo_folders.pairs(root / "data.yaml")


def test_another_file_is_refused(root):
    with pytest.raises(ValueError, match=r"wanted a folder of labels or a data\.yaml"):
        yolo_folders.pairs(root / "labels" / "train" / "a.txt")


def test_a_folder_without_pictures_is_named(root):
    with pytest.raises(ValueError, match=r"no picture in .*images$"):
        yolo_folders.pairs(root)


def test_a_folder_of_the_working_folder_is_enough(root, monkeypatch):
    monkeypatch.chdir(root)
    assert yolo_folders.pairs(Path("labels/train")) == [tuple(Path(p) for p in PAIR)]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_labels_without_their_picture_are_refused(root, start):
    (root / "labels" / "train" / "lost.txt").write_bytes(start + b"0 0.5 0.5 0.2 1e-1\r\n")
    with pytest.raises(ValueError, match=r"lost\.txt: has no picture in .*, as have 1 label files"):
        _pairs(root, "labels/train")


@pytest.mark.parametrize("text", ["", "person\nball\n", "3 photos are missing"])
def test_a_text_that_holds_no_labels_is_passed_over(root, text):
    expected = _pairs(root, "labels/train")
    (root / "labels" / "train" / "classes.txt").write_text(text)
    assert _pairs(root, "labels/train") == expected


# parts


@pytest.mark.parametrize("place", ["data.yaml", ""])
@pytest.mark.parametrize("key", ["val", "validation"])
def test_a_part_of_a_data_yaml_may_be_chosen(root, place, key):
    _yaml(root, f"train: images/train\n{key}: images/val\n")
    found = yolo_folders.pairs(root / place, part="val")
    assert [image.name for image, _ in found] == ["b.png"]


def test_a_chosen_part_comes_before_the_folders_own_labels(root):
    _touch(root, "images/c.png", "labels/c.txt")
    _yaml(root, "train: images/train\n")
    assert yolo_folders.pairs(root, part="train")[0][0] == root / "images" / "train" / "a.png"


@pytest.mark.parametrize("part", ["test", "names"])
def test_a_part_that_is_not_there_lists_those_that_are(root, part):
    _yaml(root, "train: images/train\nval: images/val\nnames: [person]\n")
    with pytest.raises(ValueError, match=rf"has no part '{part}'; there are train, val$"):
        yolo_folders.pairs(root / "data.yaml", part=part)


def test_a_part_that_lies_nowhere_is_named(root):
    _yaml(root, "train: images/train\nval: gone\n")
    with pytest.raises(FileNotFoundError, match="its `val` is gone, which is not there"):
        yolo_folders.pairs(root / "data.yaml", part="val")


def test_a_folder_of_labels_has_no_parts(root):
    with pytest.raises(ValueError, match=r"holds no data\.yaml, so it has no part 'val'"):
        yolo_folders.pairs(root / "labels" / "train", part="val")


@pytest.mark.parametrize(
    ("place", "taken", "left"),
    [
        ("data.yaml", [""], ["val", "test"]),
        ("", [""], ["val", "test"]),  # the folder stands for its data.yaml
        ("data.yaml", ["val"], ["train", "test"]),
        ("data.yaml", ["", "val"], ["test"]),
        ("labels/train", [""], []),
    ],
)
def test_parts_that_are_not_taken_are_known(root, place, taken, left):
    _yaml(root, "train: images/train\nval: images/val\ntest: images/test\n")
    assert yolo_folders.parts_left(root / place, taken) == left


def test_a_val_that_is_train_is_not_left(root):
    _yaml(root, "train: images/train\nval: images/train\n")
    assert yolo_folders.parts_left(root / "data.yaml") == []


# names


@pytest.mark.parametrize(
    ("text", "category"),
    [
        (
            "names: [patient]\nkpt_names: {0: [Hip L]}\n",
            {"name": "patient", "keypoints": ["Hip L"]},
        ),
        ("names: [dog, Person]\n", {"name": "Person"}),
        ('names: ["patient, adult"]\n', {"name": "patient, adult"}),
        ("train: images/train\n", {}),
    ],
)
def test_people_and_joints_are_called_as_they_are_spelt(root, text, category):
    _yaml(root, text)
    assert yolo_folders.category(root / "data.yaml") == category


def test_the_nearest_data_yaml_names_people(root):
    _yaml(root, "names: [far]\n")
    (root / "labels" / "data.yaml").write_text("names: [near]\n")
    assert yolo_folders.category(root / "labels")["name"] == "near"


def test_a_key_says_what_stands_up_to_the_next_one():
    text = "a: [1,\n  2]  # two\n- 3\nb: 4\n"
    assert yolo_folders.said(text, "a") == " [1,\n  2]  # two\n- 3\n"
    assert yolo_folders.uncommented(yolo_folders.said(text, "a")) == " [1,\n  2] \n- 3\n"
    assert yolo_folders.said(text, "c") == ""
