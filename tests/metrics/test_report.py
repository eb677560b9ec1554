import json
from dataclasses import replace

import numpy as np
import pytest

from posegram.metrics.bootstrap import Interval
from posegram.metrics.report import Case, Number, Report, filled
from posegram.pose import LSP14, MPII16

NUMBER = Number("PCK@0.2", "%", "distance <= 0.2 x torso", ("neck",), 1234, value=50.0)
SURE = replace(NUMBER, low=40.0, high=60.0)


def case(skeleton=LSP14, *, people=2, absent=(), missed=0):
    """A case in which some joints are not predicted at all and some of the first's once."""
    k = len(skeleton)
    xy = np.zeros((people, k, 2))
    xy[:, [skeleton.index(j) for j in absent]] = np.nan
    xy[0, :missed] = np.nan
    return Case(
        xy=xy,
        score=None,
        predicted=np.isfinite(xy).all(axis=-1),
        truth=np.zeros((people, k, 2)),
        labelled=np.ones((people, k), dtype=bool),
        image=np.arange(people),
        box=np.zeros((people, 4)),
        head=np.full(people, np.nan),
        area=np.full(people, np.nan),
        skeleton=skeleton,
    )


def report(*numbers, **changes):
    return Report("evaluation", 3, 2, numbers, **changes)


def test_all_predicted_joints_make_the_joint_set():
    assert case().joints == LSP14.joints


def test_a_joint_that_nobody_predicts_leaves_the_joint_set():
    assert case(absent=["neck", "head_top"]).joints == LSP14.joints[:12]


def test_a_joint_that_nobody_predicts_is_named_in_a_note():
    (note,) = case(absent=["neck", "head_top"]).notes
    assert note == "12 of 14 joints: neck, head_top are not predicted"


def test_mpiis_mean_leaves_out_pelvis_and_thorax():
    assert set(MPII16.joints) - set(case(MPII16).joints) == {"pelvis", "thorax"}


def test_what_mpiis_mean_leaves_out_is_said():
    assert case(MPII16).notes == (
        "14 of 16 joints: pelvis, thorax are outside this data set's mean",
    )


def test_a_joint_that_the_mean_leaves_out_anyway_is_not_named_twice():
    (note,) = case(MPII16, absent=["pelvis"]).notes
    assert note == (
        "14 of 16 joints: pelvis is not predicted; thorax is outside this data set's mean"
    )


def test_a_full_joint_set_needs_no_note():
    assert case().notes == ()


def test_labelled_joints_without_prediction_are_counted_in_a_note():
    (note,) = case(missed=3).notes
    assert note.startswith("3 labelled joints have no prediction: wrong in PCK")


def test_numbers_are_filled_with_values_and_ends():
    (number,) = filled([NUMBER], Interval(np.array([1.0]), np.array([0.5]), np.array([2.0])))
    assert (number.value, number.low, number.high) == (1, 0.5, 2)


def test_a_number_is_found_by_its_name():
    assert report(SURE)["PCK@0.2"] is SURE


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(KeyError, match=r"no number 'PCP'; there are PCK@0\.2"):
        report(SURE)["PCP"]


def test_the_page_shows_value_interval_and_protocol_on_one_line():
    line = (
        "PCK@0.2  50.00  %  [40.00, 60.00]  distance <= 0.2 x torso; count-weighted; 1,234 joints"
    )
    assert line in str(report(SURE)).splitlines()


def test_the_page_says_how_many_people_and_images():
    assert str(report(SURE)).startswith("evaluation: 3 people in 2 images\n")


def test_the_page_says_how_the_intervals_are_made():
    assert "95% percentile bootstrap, 2,000 resamples of whole images" in str(report(SURE))


def test_the_page_shows_its_notes():
    assert "\nnote: one image gives no interval\n" in str(
        report(SURE, notes=["one image gives no interval"])
    )


def test_the_page_shows_a_verdict():
    assert "no difference shown" in str(report(replace(SURE, verdict="no difference shown")))


def test_a_missing_interval_is_said():
    assert "[no interval]" in str(report(NUMBER))


def test_the_table_has_a_line_for_every_joint():
    text = str(report(SURE, by_joint=(SURE,), labels={"neck": 7}))
    assert text.splitlines()[-1].split() == ["neck", "7", "50.00", "[40.00,", "60.00]"]


def test_the_table_has_straight_columns():
    wrist = replace(SURE, joints=("left_wrist",), value=5.0)
    text = str(report(SURE, by_joint=(SURE, wrist), labels={"neck": 7, "left_wrist": 1234}))
    assert text.splitlines()[-3:] == [
        "joint       labelled  PCK@0.2 (%)",
        "neck               7  50.00 [40.00, 60.00]",
        "left_wrist     1,234  5.00 [40.00, 60.00]",
    ]


def test_without_numbers_of_joints_there_is_no_table():
    assert "labelled" not in str(report(SURE))


def test_the_dictionary_goes_into_strict_json():
    made = report(NUMBER, by_joint=(SURE,)).to_dict()
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_a_missing_interval_is_none_in_the_dictionary():
    assert report(NUMBER).to_dict()["numbers"][0]["low"] is None


def test_a_value_stands_in_the_dictionary():
    assert report(NUMBER).to_dict()["numbers"][0]["value"] == 50.0
