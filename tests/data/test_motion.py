import csv

import numpy as np
import pytest

from posegram.data.motion import labels, listed, own_angle, pick, read
from posegram.data.table import Wide
from posegram.pose import COCO17, People

KNEE = ("left_hip", "left_knee", "left_ankle")


def leg(bend, *, score=1.0, skeleton=COCO17):
    """One person whose left knee is bent to `bend` degrees; everything else lies in a row."""
    xy = np.stack([np.arange(len(skeleton)) * 3.0, np.arange(len(skeleton)) * 5.0], axis=1)
    turn = np.radians(bend)
    places = {
        "left_hip": (50, 0),
        "left_knee": (50, 100),
        "left_ankle": (50 + 90 * np.sin(turn), 100 - 90 * np.cos(turn)),
    }
    for joint, place in places.items():
        xy[skeleton.index(joint)] = place
    sure = np.full((1, len(skeleton)), score, dtype=np.float32)
    box = np.float32([[0, 0, 100, 200]])
    return People(xy[None].astype(np.float32), sure, box, skeleton, np.array([7]))


def clip(path, frames, *, step=0.1):
    """A wide table: frame -> the people in it."""
    with Wide(path, COCO17) as out:
        for frame, people in frames.items():
            out.add(people, image=path, frame=frame, time=frame * step)
    return path


def named(people, track):
    return People(people.xy, people.score, people.box, people.skeleton, np.array([track]))


def rewritten(path, change):
    """The table with its rows, a list of dicts, changed."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows)
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    return path


@pytest.fixture
def bends(tmp_path):
    """A table of 5 frames in which the left knee bends from 170 by 10 degrees a frame."""
    return clip(tmp_path / "a_wide.csv", {n: leg(170 - 10 * n) for n in range(5)})


def test_the_angles_of_a_table_are_read(bends):
    (course,) = read(bends)
    np.testing.assert_allclose(course.angle["left_knee"], [170, 160, 150, 140, 130], atol=0.01)


def test_times_and_track_are_those_of_the_table(bends):
    (course,) = read(bends)
    assert (course.track, course.time.tolist()) == (7, pytest.approx([0, 0.1, 0.2, 0.3, 0.4]))


def test_a_frame_without_the_person_is_missing_in_its_place(tmp_path):
    path = clip(tmp_path / "a.csv", {0: leg(90), 1: leg(91), 3: leg(93)})
    (course,) = read(path)
    assert np.isnan(course.angle["left_knee"]).tolist() == [False, False, True, False]


def test_a_missing_frame_has_a_time_between(tmp_path):
    (course,) = read(clip(tmp_path / "a.csv", {0: leg(90), 1: leg(91), 3: leg(93)}))
    assert course.time[2] == pytest.approx(0.2)


def test_frames_that_were_left_out_by_a_stride_are_no_gap(tmp_path):
    (course,) = read(clip(tmp_path / "a.csv", {n: leg(90) for n in (0, 4, 8, 16)}))
    assert np.isfinite(course.angle["left_knee"]).tolist() == [True, True, True, False, True]


def test_every_frame_has_its_place_whatever_the_steps_between(tmp_path):
    (course,) = read(clip(tmp_path / "a.csv", {n: leg(90) for n in (0, 4, 10)}))
    assert np.flatnonzero(np.isfinite(course.angle["left_knee"])).tolist() == [0, 2, 5]


def test_who_was_found_most_often_comes_first(tmp_path):
    with Wide(tmp_path / "a.csv", COCO17) as out:
        for frame, track in enumerate([1, 2, 2, 3]):
            out.add(named(leg(90), track), frame=frame, time=frame / 10)
    assert [course.track for course in read(tmp_path / "a.csv")] == [2, 1, 3]


def test_rows_in_another_order_are_put_in_order(bends):
    before = read(bends)[0].angle["left_knee"].tolist()
    after = read(rewritten(bends, lambda rows: rows[::-1]))[0].angle["left_knee"].tolist()
    assert after == before


def test_a_cell_without_an_angle_is_missing(bends):
    def emptied(rows):
        rows[2]["left_knee_angle"] = ""
        return rows

    (course,) = read(rewritten(bends, emptied))
    assert np.isnan(course.angle["left_knee"]).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("bend", [0, 35, 90, 145, 180])
def test_an_angle_of_ones_own_is_at_the_middle_joint(tmp_path, bend):
    path = clip(tmp_path / "a.csv", {0: leg(bend)})
    (course,) = read(path, own={"mine": KNEE})
    assert course.angle["mine"][0] == pytest.approx(bend, abs=0.05)


def test_an_angle_of_ones_own_may_join_any_joints(tmp_path):
    people = leg(90)
    for joint, place in {"nose": (0, 0), "left_ear": (10, 0), "right_wrist": (10, 30)}.items():
        people.xy[0, COCO17.index(joint)] = place
    (course,) = read(
        clip(tmp_path / "a.csv", {0: people}), own={"odd": ("nose", "left_ear", "right_wrist")}
    )
    assert course.angle["odd"][0] == pytest.approx(90, abs=0.01)


@pytest.mark.parametrize(("score", "there"), [(0.29, False), (0.3, True)])
def test_joints_of_ones_own_angle_count_from_three_tenths(tmp_path, score, there):
    (course,) = read(clip(tmp_path / "a.csv", {0: leg(90, score=score)}), own={"mine": KNEE})
    assert np.isfinite(course.angle["mine"][0]) == there


@pytest.mark.parametrize("name", ["left_knee", "mine"])
def test_a_smallest_score_takes_angles_of_unsure_joints_away(tmp_path, name):
    path = clip(tmp_path / "a.csv", {0: leg(90, score=0.5), 1: leg(90, score=0.9)})
    (course,) = read(path, own={"mine": KNEE}, min_score=0.8)
    assert np.isfinite(course.angle[name]).tolist() == [False, True]


def test_a_smaller_score_brings_angles_back(tmp_path):
    path = clip(tmp_path / "a.csv", {0: leg(90, score=0.2)})
    there = [np.isfinite(read(path, min_score=s)[0].angle["left_knee"][0]) for s in (None, 0.1)]
    assert there == [False, True]


def test_a_trunk_that_turns_over_counts_on_beyond_180(bends):
    def turned(rows):
        for row, lean in zip(rows, ("170", "179", "-172", "", "-160"), strict=True):
            row["trunk_angle"] = lean
        return rows

    (course,) = read(rewritten(bends, turned))
    np.testing.assert_allclose(course.angle["trunk"], [170, 179, 188, np.nan, 200])


def test_a_limb_that_folds_at_once_stays_between_0_and_180(bends):
    def folded(rows):
        for row, bend in zip(rows, ("0", "180", "0", "180", "0"), strict=True):
            row["left_knee_angle"] = bend
        return rows

    (course,) = read(rewritten(bends, folded))
    assert course.angle["left_knee"].tolist() == [0, 180, 0, 180, 0]


def test_a_table_saved_by_excel_with_a_mark_is_read(bends):
    bends.write_bytes(b"\xef\xbb\xbf" + bends.read_bytes())
    assert read(bends)[0].found == 5


def without(*names):
    return lambda rows: [{k: v for k, v in row.items() if k not in names} for row in rows]


def set_to(column, value, row=1):
    def change(rows):
        rows[row][column] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("time"), "has no column time; give the table"),
        (set_to("time", ""), "row 3 has no time .a photo has none.; give the table"),
        (set_to("track", ""), "row 3 has no track .every row needs a track.; give the table"),
        (set_to("track", "1.5"), "row 3 has 1.5 as track, wanted a whole number"),
        (set_to("frame", "1e12"), "row 3 has 1e12 as frame, wanted a whole number"),
        (set_to("left_knee_angle", "wide"), "row 3 has 'wide' as left_knee_angle, wanted a number"),
        (set_to("frame", "0"), "track 7, frame 0 comes twice or no later than the frame before"),
        (set_to("time", "0"), "track 7, frame 1 comes twice or no later than the frame before"),
        (set_to("image", "other.mp4"), "is of 2 clips or photos; give a table of each clip"),
    ],
)
def test_a_table_that_is_none_of_a_clip_is_refused(bends, change, said):
    with pytest.raises(ValueError, match=f"^{bends}: {said}"):
        read(rewritten(bends, change))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,frame,time,person,track,joint,x,y,score\n", "is a long table, a row a joint"),
        ("frame,time,track,left_knee_angle\n", "holds nobody"),
        ("frame,time,track,left_knee_angle\n0,0,1\n", "row 2 has 3 cells for 4 columns"),
        ("frame,time,track\n0,0,1\n", "has no column of an angle, such as left_knee_angle"),
        ("frame;time;track\n0;0;1\n", "has no column frame or time or track"),
        ("", "has no column frame or time or track"),
        ("frame,time,track,a_angle\n0,0,1,\xff\n", "is no CSV file"),
    ],
)
def test_what_is_no_wide_table_is_refused(tmp_path, text, said):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=said):
        read(path)


def test_a_missing_table_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such table"):
        read(tmp_path / "a.csv")


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(ValueError, match="is a folder; give the table"):
        read(tmp_path)


def test_an_unknown_joint_is_named_with_those_there_are(bends):
    said = "has no joint left_toe for --angle a; it has nose, left_eye"
    with pytest.raises(ValueError, match=said):
        read(bends, own={"a": ("left_knee", "left_ankle", "left_toe")})


def test_an_angle_of_ones_own_replaces_none_of_the_table(bends):
    with pytest.raises(ValueError, match="has an angle left_knee already"):
        read(bends, own={"left_knee": KNEE})


@pytest.mark.parametrize("lost", ["left_knee_score", "right_ear_score"])
def test_a_smallest_score_needs_scores(bends, lost):
    said = f"has no score of {lost.removesuffix('_score')}, so leave --min-score out"
    with pytest.raises(ValueError, match=said):
        read(rewritten(bends, without(lost)), min_score=0.5)


def test_a_smallest_score_is_refused_for_a_column_of_unknown_joints(bends):
    named_so = rewritten(bends, lambda rows: [{**row, "toe_angle": "5"} for row in rows])
    with pytest.raises(ValueError, match="has not the joints of its angle toe"):
        read(named_so, min_score=0.5)


def test_a_table_without_scores_still_gives_angles_of_ones_own(bends):
    plain = rewritten(bends, without(*(f"{joint}_score" for joint in KNEE)))
    assert read(plain, own={"mine": KNEE})[0].angle["mine"][1] == pytest.approx(160, abs=0.05)


@pytest.mark.parametrize("text", ["knee", "knee=a,b", "=a,b,c", "knee=a,,c", "knee=a,b,a"])
def test_an_angle_without_a_name_and_three_joints_is_refused(text):
    with pytest.raises(ValueError, match="NAME=JOINT,JOINT,JOINT with three joints, not"):
        own_angle(text)


def test_spaces_around_names_are_nothing():
    assert own_angle(" a = b, c ,d") == ("a", ("b", "c", "d"))


@pytest.fixture
def crowd(tmp_path):
    """Track n in n frames, of 12."""
    with Wide(tmp_path / "many_wide.csv", COCO17) as out:
        for track in range(1, 13):
            for frame in range(track):
                out.add(named(leg(90), track), frame=frame, time=frame / 10)
    return read(tmp_path / "many_wide.csv")


def test_without_a_wish_the_first_is_picked(crowd):
    assert pick(crowd).track == 12


def test_a_track_is_picked_by_its_number(crowd):
    assert pick(crowd, 3).found == 3


def test_an_unknown_track_is_said_with_those_there_are(crowd):
    with pytest.raises(ValueError, match=r"has no track 40; it has 12 \(12 frames\), 11 "):
        pick(crowd, 40)


def test_of_many_tracks_some_are_listed(crowd):
    assert listed(crowd).endswith("5 (5 frames), and 4 more")


def test_one_frame_is_said_in_the_singular(crowd):
    assert listed(crowd[-1:]) == "1 (1 frame)"


def test_a_course_is_called_as_its_clip(bends):
    assert labels(read(bends)) == ["a, track 7"]


def test_tables_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder in ("monday", "friday"):
        (tmp_path / folder).mkdir()
        clip(tmp_path / folder / "run.csv", {0: leg(90)})
    courses = [read(tmp_path / folder / "run.csv")[0] for folder in ("monday", "friday")]
    assert [name.split("/")[-2] for name in labels(courses)] == ["monday", "friday"]
