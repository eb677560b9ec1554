"""The formats of a picture's result."""

import csv
import io
import json

import numpy as np
import pytest

import tiny
from posegram import image as pictures
from posegram.pose import BODY19, COCO17, LSP14, People
from posegram.web import answers
from posegram.web.errors import Refused

TABLES = ("poses.csv", "poses_wide.csv", "coco.json")


@pytest.fixture
def people():
    xy = tiny.places(LSP14)[None] * 60
    score = np.full((1, 14), 0.75, dtype=np.float32)
    return People(xy, score, np.array([[0, 0, 60, 60]], dtype=np.float32), LSP14)


@pytest.fixture
def written(people, tmp_path):
    record = {"id": "a" * 32, "model": "small"}
    image = np.zeros((64, 80, 3), dtype=np.uint8)
    return answers.write(tmp_path, record, image, people, 0.3), tmp_path


def test_there_is_a_file_for_every_format(written):
    names = {path.name for path in written[1].iterdir()}
    assert names == {form.file for form in answers.FORMS.values()}


def test_the_json_file_is_what_is_answered(written):
    assert json.loads((written[1] / "poses.json").read_text()) == written[0]


def test_the_json_object_has_the_pictures_size_and_joints(written, people):
    whole = written[0]
    assert (whole["width"], whole["height"], whole["joints"]) == (80, 64, list(LSP14.joints))
    neck = whole["people"][0]["joints"]["neck"]
    assert (neck["x"], neck["y"]) == pytest.approx(tuple(people.joint("neck")[0]), abs=1e-3)


def test_the_csv_file_has_a_row_per_joint(written):
    rows = list(csv.DictReader(io.StringIO((written[1] / "poses.csv").read_text())))
    assert [row["joint"] for row in rows] == list(LSP14.joints)


def test_the_wide_csv_file_has_a_row_per_person_with_angles(written):
    text = (written[1] / "poses_wide.csv").read_text()
    (row,) = csv.DictReader(io.StringIO(text))
    assert float(row["left_knee_angle"]) == pytest.approx(180, abs=0.1)  # all lie on one line
    assert float(row["neck_x"]) == pytest.approx(written[0]["people"][0]["joints"]["neck"]["x"])


def test_an_angle_needs_joints_that_reach_the_threshold(people, tmp_path):
    image = np.zeros((64, 80, 3), dtype=np.uint8)
    answers.write(tmp_path, {"id": "a" * 32, "model": "small"}, image, people, 0.8)
    (row,) = csv.DictReader(io.StringIO((tmp_path / "poses_wide.csv").read_text()))
    assert row["left_knee_angle"] == ""


def test_tables_that_are_passed_on_do_not_hold_the_key(written):
    texts = [(written[1] / name).read_text() for name in TABLES]
    assert not any("a" * 32 in text for text in texts)


def test_the_coco_file_has_an_annotation_per_person(written):
    whole = json.loads((written[1] / "coco.json").read_text())
    assert [a["num_keypoints"] for a in whole["annotations"]] == [14]


def test_the_overlay_has_the_pictures_size(written):
    assert pictures.probe(written[1] / "overlay.jpg") == (64, 80)


def test_no_path_of_the_server_is_told(written):
    assert all(str(written[1]).encode() not in p.read_bytes() for p in written[1].iterdir())


def test_our_19_joints_become_cocos_17():
    assert answers.usual(People.none(BODY19)).skeleton == COCO17


def test_another_models_joints_stay():
    assert answers.usual(People.none(LSP14)).skeleton == LSP14


def test_the_joints_can_be_chosen():
    assert answers.usual(People.none(BODY19), "body19").skeleton == BODY19


@pytest.mark.parametrize(
    ("accept", "suffix"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("text/csv", "csv"),
        ("application/vnd.coco+json", "coco"),
        ("image/*", "jpg"),
        ("text/html;q=0.9, text/csv;q=0.5", "csv"),
    ],
)
def test_the_accept_header_chooses_the_format(app, accept, suffix):
    headers = {"Accept": accept} if accept else {}
    with app.test_request_context("/", headers=headers):
        assert answers.chosen("").suffix == suffix


def test_a_named_format_comes_before_the_header(app):
    with app.test_request_context("/", headers={"Accept": "text/csv"}):
        assert answers.chosen("coco").suffix == "coco"


def test_the_wide_table_is_had_by_name(app):
    with app.test_request_context("/"):
        assert answers.chosen("csv-wide").file == "poses_wide.csv"


def test_no_format_in_common_is_406(app):
    with (
        app.test_request_context("/", headers={"Accept": "application/pdf"}),
        pytest.raises(Refused) as refused,
    ):
        answers.chosen("")
    assert refused.value.status_code == 406
