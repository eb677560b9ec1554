import csv
from pathlib import Path

import numpy as np

from posegram.data.angles import angle_names, angles
from posegram.data.table import LONG, Long, Wide, wide_columns
from posegram.pose import COCO17, People, Skeleton

PAIR = Skeleton("pair", ("nose", "tail"))


def pair(track=None):
    xy = np.float32([[[10.25, 20.5], [np.nan, np.nan]], [[1, 2], [3, 4]]])
    score = np.float32([[0.5, 0.0], [0.25, 0.75]])
    return People(xy, score, np.float32([[0, 0, 50, 60], [1, 2, 3, 4]]), PAIR, track)


def rows(kind, path, *shots, people=None, skeleton=PAIR):
    with kind(path, skeleton) as out:
        for shot in shots:
            out.add(pair() if people is None else people, **shot)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_long_table_has_a_row_per_joint(tmp_path):
    found = rows(Long, tmp_path / "a.csv", {"frame": 3, "time": 0.1, "image": Path("b/c.mp4")})
    assert list(found[0]) == list(LONG)
    assert list(found[2].values()) == [
        *("b/c.mp4", "3", "0.100000", "1", "", "nose", "1.000", "2.000", "0.2500")
    ]
    assert len(found) == 4


def test_a_joint_that_does_not_exist_has_empty_cells(tmp_path):
    absent = rows(Long, tmp_path / "a.csv", {})[1]
    assert (absent["joint"], absent["x"], absent["y"], absent["score"]) == (
        "tail",
        "",
        "",
        "0.0000",
    )


def test_a_photo_has_no_frame_and_no_time(tmp_path):
    first = rows(Long, tmp_path / "a.csv", {"image": Path("street.jpg")})[0]
    assert (first["image"], first["frame"], first["time"]) == ("street.jpg", "", "")


def test_tracks_are_written_where_people_have_them(tmp_path):
    people = pair(track=np.array([7, 9]))
    for kind in (Long, Wide):
        found = rows(kind, tmp_path / "a.csv", {"frame": 0}, people=people)
        assert list(dict.fromkeys(row["track"] for row in found)) == ["7", "9"]


def test_nobody_leaves_no_row(tmp_path):
    assert rows(Long, tmp_path / "a.csv", {}, people=People.none(PAIR)) == []


def test_a_name_with_a_comma_stays_one_cell(tmp_path):
    assert rows(Long, tmp_path / "a.csv", {"image": Path("a, b.jpg")})[0]["image"] == "a, b.jpg"


def test_a_wide_table_has_a_row_per_person(tmp_path):
    found = rows(Wide, tmp_path / "a.csv", {"frame": 0}, {"frame": 1})
    assert [(row["frame"], row["person"]) for row in found] == [
        *(("0", "0"), ("0", "1"), ("1", "0"), ("1", "1"))
    ]
    assert list(found[0]) == list(wide_columns(PAIR))


def test_a_wide_row_holds_box_joints_and_score(tmp_path):
    row = rows(Wide, tmp_path / "a.csv", {})[1]
    assert (row["score"], row["box_x1"], row["tail_x"], row["tail_y"], row["tail_score"]) == (
        *("0.6250", "3.000", "3.000", "4.000", "0.7500"),
    )


def test_a_wide_table_ends_with_the_angles_in_degrees(tmp_path):
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 90, (1, 17, 2)).astype(np.float32)
    score = np.ones((1, 17), np.float32)
    score[0, COCO17.index("left_wrist")] = 0.1
    people = People(xy, score, np.zeros((1, 4), np.float32), COCO17)
    (row,) = rows(Wide, tmp_path / "a.csv", {}, people=people, skeleton=COCO17)
    shown = [row[f"{name}_angle"] for name in angle_names(COCO17)]
    wanted = ["" if np.isnan(v) else f"{v:.2f}" for v in angles(people)[0]]
    assert shown == wanted
    assert row["left_elbow_angle"] == ""
