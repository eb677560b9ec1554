import json
import re
from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram import image as pictures
from posegram.data.check import Report, check
from posegram.data.doctor import page
from posegram.data.doctor.annotations import gather
from posegram.data.doctor.findings import Finding
from posegram.data.doctor.opinion import Opinion


@pytest.fixture
def people(tmp_path):
    samples = figures.samples(tmp_path / "images", 4)
    samples[1].xy[3] = 900, 20
    return gather(samples, "a <b> & c")[0]


def report_of(people, findings):
    return Report((people,), tuple(findings), (), ())


@pytest.fixture
def report(people, tmp_path):
    found = [one for one in check([people]).findings if one.kind == "outside-picture"]
    page.write(tmp_path / "report", report_of(people, found))
    return tmp_path / "report"


def test_findings_are_gathered_by_person_the_worst_first():
    found = [
        Finding("crossed", "look", 0.2, "", 0, 1, 1),
        Finding("mirrored", "likely", 0.2, "", 0, 2, 2),
        Finding("long-limb", "likely", 0.9, "", 0, 1, 1),
        Finding("flags-equal", "look", 0.9, ""),
        Finding("missing-image", "certain", 0.1, "", 0, 0),
    ]
    made = page.cases(found)
    assert [(case.image, case.person) for case in made] == [(0, None), (1, 1), (2, 2)]
    assert [one.kind for one in made[1].findings] == ["long-limb", "crossed"]


def test_the_page_loads_nothing_from_elsewhere(report):
    text = (report / "index.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert links
    assert all((report / link).is_file() for link in links)
    assert "http" not in text


def test_names_are_escaped(report):
    text = (report / "index.html").read_text()
    assert "a &lt;b&gt; &amp; c" in text
    assert "<b> & c" not in text


def test_the_json_names_picture_annotation_and_joint(report):
    (one,) = json.loads((report / "report.json").read_text())["findings"]
    assert (one["kind"], one["level"]) == ("outside-picture", "certain")
    assert one["image"].endswith("figure0001.png")
    assert (one["annotation_id"], one["joints"]) == (2, ["left_hip"])


def test_the_json_counts_people_and_faults(report):
    facts = json.loads((report / "report.json").read_text())
    assert (facts["people"], facts["people_with_faults"], facts["faults"]) == (4, 1, 1)
    assert facts["counts"]["outside-picture"] == {"look": 0, "likely": 0, "certain": 1}


def test_a_picture_of_the_case_and_a_sheet_are_written(report):
    assert pictures.probe(report / "pictures" / "0001.jpg")[0] == 300
    assert (report / "sheet.jpg").is_file()


def test_pictures_of_an_earlier_report_are_gone(report, people):
    page.write(report, report_of(people, []))
    assert list((report / "pictures").iterdir()) == []
    assert not (report / "sheet.jpg").exists()


@pytest.mark.parametrize("name", ["pictures/0001.jpg", "sheet.jpg", "index.html", "report.json"])
def test_somebody_elses_files_are_neither_removed_nor_replaced(people, tmp_path, name):
    (tmp_path / "set" / "pictures").mkdir(parents=True)
    (tmp_path / "set" / "pictures").rmdir() if "/" not in name else None
    (tmp_path / "set" / name).write_bytes(b"{}")
    with pytest.raises(ValueError, match=f"{name.split('/')[0]} is there, and no report made it"):
        page.write(tmp_path / "set", report_of(people, []))
    assert (tmp_path / "set" / name).read_bytes() == b"{}"


def test_a_report_that_broke_off_is_replaced(people, tmp_path):
    page.write(tmp_path / "r", report_of(people, []))
    (tmp_path / "r" / "index.html").unlink()
    assert page.write(tmp_path / "r", report_of(people, [])).is_file()


def test_no_more_than_the_worst_are_shown(people, tmp_path):
    found = [Finding("crossed", "look", 0.1, "", 0, row, row) for row in range(4)]
    page.write(tmp_path / "r", report_of(people, found), worst=2)
    assert len(list((tmp_path / "r" / "pictures").iterdir())) == 2


def test_a_picture_that_is_missing_does_not_stop_the_report(people, tmp_path):
    people.images[1].unlink()
    found = check([people]).findings
    assert "(no picture)" in page.write(tmp_path / "r", report_of(people, found)).read_text()


def test_a_joint_in_question_is_ringed(people):
    case = page.Case(0, 0, 0, (Finding("long-limb", "likely", 0.5, "", 0, 0, 0, ("neck",)),))
    plain = page.Case(0, 0, 0, (Finding("long-limb", "likely", 0.5, "", 0, 0, 0),))
    red = page.picture(people, case).astype(int) - page.picture(people, plain)
    assert (red[..., 0] - red[..., 1] > 60).sum() > 30


def test_the_models_joints_are_drawn_beside_the_labels(people):
    case = page.Case(0, 0, 0, (Finding("mirrored", "likely", 0.5, "", 0, 0, 0),))
    opinion = Opinion(people.xy, np.ones(people.flag.shape))
    alone, both = page.picture(people, case), page.picture(people, case, opinion)
    assert both.shape[1] == 2 * alone.shape[1]
    assert (both[:, : alone.shape[1]] == both[:, alone.shape[1] :]).all()


@pytest.mark.parametrize("place", [(np.nan, 3), (1e12, -1e12), (-np.inf, 0)])
def test_places_that_cannot_be_drawn_are_left_out(people, place):
    xy = people.xy.copy()
    xy[0, 3] = place
    case = page.Case(
        0, 0, 0, (Finding("not-a-number", "certain", 0.5, "", 0, 0, 0, ("left_hip",)),)
    )
    assert page.picture(replace(people, xy=xy), case).shape == (300, 260, 3)


def test_nothing_found_is_said(people, tmp_path):
    assert "Nothing was found." in page.write(tmp_path / "r", report_of(people, [])).read_text()


def test_the_report_is_plain_json_without_files(people):
    facts = page.summary(check([people]))
    assert json.loads(json.dumps(facts))["format"] == "posegram data check 1"
