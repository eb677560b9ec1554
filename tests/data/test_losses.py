import json

import cv2
import numpy as np
import pytest

from posegram.data.losses import losses, renamed, unread
from posegram.pose import COCO17, LSP14, MPII16, Sample


@pytest.fixture
def photo(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), dtype=np.uint8))
    return tmp_path / "a.png"


def sample(photo, skeleton=LSP14, **changes):
    fields = {
        "xy": np.full((len(skeleton), 2), 50, np.float32),
        "visible": np.full(len(skeleton), 2, np.uint8),
        "box": np.array([10, 10, 90, 90], np.float32),
        "head": None,
        "area": 900.0,
        "skeleton": skeleton,
    }
    return Sample(image=photo, **(fields | changes))


def told(samples, form):
    return [str(loss) for loss in losses(samples, form)]


def test_coco_holds_all_of_a_usual_person(photo):
    assert told([sample(photo)], "coco") == []


@pytest.mark.parametrize(
    ("form", "change", "sentence"),
    [
        ("coco", {"head": 20.0}, "1 person: head size"),
        ("coco", {"area": None}, "1 person: area not known, so estimated as 0.53 x the box"),
        ("yolo", {}, "1 person: area"),
        ("yolo", {"weight": np.ones(14, np.float32)}, "1 person: trust in each label (weights)"),
        ("yolo", {"box": np.float32([-5, 0, 50, 60])},
         "1 person: box beyond the picture, cut at its edges"),
        ("yolo", {"xy": np.full((14, 2), 150, np.float32)},
         "14 labelled joints: outside their picture, which YOLO refuses"),
        ("mpii", {"visible": np.ones(14, np.uint8)},
         "14 hidden joints: MPII's lists do not tell hidden from seen"),
        ("mpii", {"box": np.float32([0, 0, 50, 60])},
         "1 person: box, of which MPII keeps the square around it"),
        ("lsp", {"visible": np.array([0] * 5 + [2] * 9, np.uint8)},
         "5 joints: not labelled; LSP has no sign for that, so NaN is written"),
        ("lsp", {"visible": np.array([0] * 13 + [2], np.uint8)},
         "1 person: fewer than two of LSP's joints, so our reader leaves them out"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_counted_by_kind(photo, form, change, sentence):
    without = told([sample(photo)], form) if change else []
    assert sentence in told([sample(photo, **change)], form)
    assert sentence not in without


def test_a_box_half_a_pixel_beyond_the_picture_is_not_cut(photo):
    whole = sample(photo, box=np.float32([-0.5, -0.5, 199.5, 99.5]))
    assert not any("cut" in line for line in told([whole], "yolo"))


def test_a_joint_on_the_pictures_far_corner_is_inside(photo):
    corner = sample(photo, xy=np.tile(np.float32([200, 100]), (14, 1)))
    assert not any("outside" in line for line in told([corner], "yolo"))


def test_mpii_keeps_a_square_box_wherever_it_is(photo):
    square = sample(photo, box=np.float32([10, 30, 90, 110]))
    assert not any("square" in line for line in told([square], "mpii"))


def test_labelled_joints_without_a_place_are_counted_and_named(photo):
    face = sample(photo, COCO17, visible=np.array([2, 1, 0] + [2] * 14, np.uint8))
    line = "4 labelled joints: lsp14 has no nose, left_eye, left_ear, right_ear"
    assert line in told([face], "lsp")


def test_mpiis_upper_neck_is_lsps_neck(photo):
    found = told([sample(photo, MPII16)], "lsp")
    assert "2 labelled joints: lsp14 has no pelvis, thorax" in found


def test_pictures_of_several_people_are_counted_once(photo, tmp_path):
    people = [sample(photo), sample(photo), sample(tmp_path / "b.png")]
    line = "1 picture: of several people; LSP has one each, so they are repeated"
    assert line in told(people, "lsp")


def test_what_the_coco_reader_leaves_out_is_counted(tmp_path):
    person = {"image_id": 1, "keypoints": [1, 2, 2], "segmentation": [[1, 2]]}
    whole = {
        "images": [{"id": 1, "license": 3}, {"id": 2}, {"id": 3, "license": 0}],
        "annotations": [
            person,
            person | {"iscrowd": 1},
            person | {"keypoints": [0, 0, 0]},
            person | {"keypoints": None},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert [str(loss) for loss in unread("coco", tmp_path / "a.json")] == [
        "1 crowd region: not read",
        "2 annotations: without a labelled joint, not read",
        "2 pictures: without a person who has joints, not read",
        "1 person: outline (segmentation), of which only the area is kept",
        "1 picture: licence of the photo",
    ]


@pytest.mark.parametrize(
    ("own", "category", "joints", "sentences"),
    [
        ({"name": "patient"}, "person", (), ["1 name: category patient, written as person"]),
        ({"name": "person"}, "patient", (), ["1 name: category person, written as patient"]),
        ({"name": "patient"}, "", (), ["1 name: category patient, not kept"]),
        ({"name": "person"}, "", (), []),
        ({"name": "patient"}, "patient", (), []),
        ({}, "patient", (), []),
        ({"keypoints": ["Hip L", "tail"]}, "person", ("hip_l", "tail"),
         ["1 spelling: of joints, written as hip_l"]),
        ({"keypoints": ["Hip L", "tail"]}, "person", ("Hip L", "tail"), []),
        ({"keypoints": list("ABCD")}, "person", tuple("abcd"),
         ["4 spellings: of joints, written as a, b, c, ..."]),
    ],
)  # fmt: skip
def test_names_that_are_written_otherwise_are_counted(own, category, joints, sentences):
    assert [str(loss) for loss in renamed(own, category, joints)] == sentences


@pytest.mark.parametrize(
    ("bones", "sentences"),
    [
        ([[1, 2], [3, 2]], []),
        ([[9, 1]], ["1 bone: not kept; those known between joints of these names are taken"]),
    ],
)
def test_bones_that_fit_no_joint_are_counted(tmp_path, bones, sentences):
    whole = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "keypoints": [1, 2, 2] * 3}],
        "categories": [{"id": 1, "keypoints": ["a", "b", "c"], "skeleton": bones},
                       {"id": 2, "keypoints": ["a"], "skeleton": [[7, 8]]}],
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert [str(loss) for loss in unread("coco", tmp_path / "a.json")] == sentences


def test_parts_that_are_not_read_are_told_with_the_way_to_them(tmp_path, photo):
    (tmp_path / "data.yaml").write_text("train: .\nval: v\ntest: t\n")
    said = "2 parts: val and test, not read; #val or #test behind the path reads it"
    assert [str(loss) for loss in unread("yolo", tmp_path / "data.yaml")] == [said]


@pytest.mark.parametrize(("bone", "count"), [([1, 2], 0), ([2, 1], 0), ([2, 3], 1)])
def test_bones_between_built_in_joints_are_the_built_in_ones(tmp_path, bone, count):
    whole = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "keypoints": [1, 2, 2] * 17}],
        "categories": [{"id": 1, "keypoints": list(COCO17.joints), "skeleton": [bone]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert sum(loss.count for loss in unread("coco", tmp_path / "a.json")) == count


def test_lines_of_other_classes_are_counted_over_all_parts_that_were_read(tmp_path, photo):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "b.png").write_bytes(photo.read_bytes())
    for text in ("a.txt", "v/b.txt"):
        (tmp_path / text).write_text("3 0.5 0.5 0.2 0.4\n")
    (tmp_path / "data.yaml").write_text("train: .\nval: v\n")
    found = unread("yolo", tmp_path / "data.yaml", parts=["train", "val"])
    assert [str(loss) for loss in found] == ["2 lines: of other classes, not read"]
