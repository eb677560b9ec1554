from dataclasses import replace

import numpy as np
import pytest

import figures
import planted
from posegram import data
from posegram.data import mpii
from posegram.data.check import check
from posegram.data.doctor.annotations import gather, load
from posegram.data.doctor.opinion import Opinion
from posegram.pose import COCO17, LSP14


@pytest.fixture
def people(tmp_path):
    return figures.samples(tmp_path, 4)


def _check(samples, **options):
    return check(gather(samples), **options)


def _flagged(sample, flag):
    return replace(sample, visible=np.full(len(sample.skeleton), flag, dtype=np.uint8))


def test_a_good_set_has_no_findings(people):
    assert _check(people).findings == ()


def test_people_images_and_pictures_at_hand_are_counted(people):
    people[0].image.unlink()
    report = _check([*people, replace(people[1], xy=people[1].xy + 20)])
    assert (report.people, report.images, report.present) == (5, 4, 3)


def test_labels_are_counted_joint_by_joint(people):
    people[0] = _flagged(people[0], 0)
    people[1] = _flagged(people[1], 1)
    counts = {(j.labelled, j.hidden, j.outside) for j in _check(people).joints}
    assert counts == {(3, 1, 0)}


def test_joints_outside_are_counted(people):
    people[2].xy[3] = 500, 5
    outside = {j.joint: j.outside for j in _check(people).joints}
    assert (outside["left_hip"], sum(outside.values())) == (1, 1)


def test_joints_of_two_skeletons_are_counted_by_name(people, tmp_path):
    more = figures.samples(tmp_path / "coco", 2, skeleton=COCO17)
    counts = {j.joint: j.labelled for j in _check([*people, *more]).joints}
    assert (counts["neck"], counts["left_knee"], counts["nose"]) == (4, 6, 2)


def test_people_who_face_the_camera_have_their_left_on_the_right(people):
    facing = {pair.pair[0]: pair.facing for pair in _check(people).pairs}
    assert facing["left_shoulder"] == 1.0


def test_the_worst_comes_first(people):
    people[2].xy[3] = 500, 5
    people.append(replace(people[0], xy=people[0].xy + 1))
    levels = [one.level for one in _check(people).findings]
    assert levels == sorted(levels, key=["certain", "likely", "look"].index)


def test_people_with_faults_are_flagged(people):
    people[2].xy[3] = 500, 5
    assert _check(people).flagged() == {(0, 2)}


def test_pictures_of_two_skeletons_of_one_file_are_judged_once(people, tmp_path):
    (tmp_path / "coco").mkdir()
    more = figures.samples(tmp_path / "coco", 1, skeleton=COCO17)
    people[0].image.unlink()
    found = [one for one in _check([*people, *more]).findings if one.kind == "missing-image"]
    assert len(found) == 1


def test_copies_are_not_looked_for_when_told_so(people, tmp_path):
    (tmp_path / "copy.png").write_bytes(people[0].image.read_bytes())
    samples = [*people, replace(people[0], image=tmp_path / "copy.png", xy=people[0].xy + 1)]
    assert {one.kind for one in _check(samples).findings} == {"same-photo"}
    assert _check(samples, copies=False).findings == ()


def test_a_model_is_heard(people):
    sources = gather(people)
    xy = sources[0].xy.copy()
    xy[1] = xy[1][LSP14.flipped]
    opinion = Opinion(xy, np.full(xy.shape[:2], 0.9))
    found = check(sources, opinions=[opinion]).findings
    assert [(one.kind, one.person) for one in found] == [("mirrored", 1)]


def test_a_person_mirrored_by_face_and_model_is_so_for_certain(tmp_path):
    (people,) = gather(figures.samples(tmp_path, 4, skeleton=COCO17))
    opinion = Opinion(people.xy.copy(), np.full(people.flag.shape, 0.9))
    people.xy[2] = people.xy[2][COCO17.flipped]
    levels = {one.level for one in check([people], opinions=[opinion]).findings}
    assert levels == {"certain"}


def test_opinions_must_count_as_the_sources(people):
    with pytest.raises(ValueError, match="2 opinions on 1 sets"):
        _check(people, opinions=[None, None])


def test_nobody_at_all_is_checked_without_fault():
    assert check([]).findings == ()


def test_the_mpii_list_is_checked_without_its_pictures(shared):
    report = _check(mpii.read(shared / "references" / "mpii" / "valid.json"))
    assert (report.people, report.present) == (2958, 0)
    assert len(report.flagged()) < 0.015 * report.people


def _plant(samples, folder, seed):
    made = planted.plant(samples, folder, seed=seed)
    sources = load(str(made.train), made.images) + load(str(made.valid), made.images)
    return made, check(sources)


def _missed(made, report):
    return {name: hits for name, hits in planted.found(made, report).items() if hits[0] < hits[1]}


@pytest.fixture(scope="module")
def spoilt_figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    samples = figures.samples(folder / "figures", 420, freedom=0.35)
    hidden = np.random.default_rng(0).random((len(samples), len(LSP14))) < 0.1
    samples = [
        replace(sample, visible=np.where(flags, 1, 2).astype(np.uint8))
        for sample, flags in zip(samples, hidden, strict=True)
    ]
    return _plant(samples, folder / "spoilt", 0)


def test_every_fault_planted_on_figures_is_found(spoilt_figures):
    assert _missed(*spoilt_figures) == {}


def test_at_least_twelve_kinds_are_planted_on_eight_each(spoilt_figures):
    made, _ = spoilt_figures
    counts = [len(some) for some in (made.people | made.pictures).values()]
    assert len(counts) >= 12
    assert min(counts) >= 8


def test_no_figure_is_blamed_wrongly(spoilt_figures):
    assert planted.false_alarms(*spoilt_figures) == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_fault_planted_on_a_real_set_is_found(shared, tmp_path, seed):
    made, report = _plant(data.read(f"lsp:{shared / 'data' / 'lsp'}"), tmp_path / "spoilt", seed)
    assert _missed(made, report) == {}


def test_at_most_one_in_a_hundred_of_a_clean_set_is_flagged(shared):
    report = check(load(f"lsp:{shared / 'data' / 'lsp'}"))
    assert report.people == 1000
    assert len(report.flagged()) <= 10
    assert [one for one in report.faults if one.person is None] == []


def _renamed(*pairs):
    """LSP's skeleton with names exchanged, as in a file that lists them in a wrong order."""
    other = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    return replace(LSP14, name="odd", joints=tuple(other.get(j, j) for j in LSP14.joints))


@pytest.mark.parametrize(
    ("kind", "skeleton"),
    [
        ("sides-swapped", _renamed(*LSP14.mirror)),
        *(("sides-swapped", _renamed(pair)) for pair in LSP14.mirror),
        ("joint-order", _renamed(("left_knee", "left_ankle"), ("right_knee", "right_ankle"))),
        ("joint-order", _renamed(("left_elbow", "left_wrist"))),
        ("mirror-map", replace(LSP14, mirror=LSP14.mirror[1:])),
    ],
)
def test_a_skeleton_that_is_wrong_for_a_real_set_is_found(shared, kind, skeleton):
    (people,) = load(f"lsp:{shared / 'data' / 'lsp'}#1-500")
    report = check([replace(people, skeleton=skeleton)], copies=False)
    assert kind in {one.kind for one in report.faults if one.person is None}
