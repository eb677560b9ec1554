import copy
import json

import numpy as np
import pytest

import figures
from posegram.data import coco, door
from posegram.data.check import check
from posegram.data.doctor.annotations import gather, load
from posegram.data.doctor.cure import CURES, cure
from posegram.data.doctor.findings import KINDS, Finding
from posegram.pose import LSP14


@pytest.fixture
def spoil(tmp_path):
    """Writes six figures, spoilt by a function of the file's value; gives what is mended of it."""
    samples = figures.samples(tmp_path / "images", 6)

    def spoilt(change, findings=None):
        path = coco.write(tmp_path / "a.json", samples)
        whole = door.load_json(path)
        good = copy.deepcopy(whole)
        change(whole)
        path.write_text(json.dumps(whole))
        sources = load(str(path))
        found = check(sources).findings if findings is None else findings
        spoilt.done = (cured := cure(sources, found)).done
        return good, cured.whole

    return spoilt


def _keypoints(whole, row=1):
    return np.array(whole["annotations"][row]["keypoints"]).reshape(-1, 3)


def test_a_good_file_stays_as_it_is(spoil):
    good, mended = spoil(lambda whole: None)
    assert mended == good


@pytest.mark.parametrize(
    "values",
    [
        *((50, 50, 7), (float("nan"), 50, 2), (0, 0, 2), (900, 50, 2), (50, 50, 0)),
        *((float("inf"), 50, 2), (50, -1e200, 2)),
    ],
)
def test_a_joint_that_cannot_be_becomes_unlabelled(spoil, values):
    def change(whole):
        whole["annotations"][1]["keypoints"][6:9] = values

    good, mended = spoil(change)
    assert _keypoints(mended)[2].tolist() == [0, 0, 0]
    assert mended["annotations"][1]["num_keypoints"] == 13
    assert (
        np.delete(_keypoints(mended), 2, axis=0) == np.delete(_keypoints(good), 2, axis=0)
    ).all()


def test_shares_become_pixels_again(spoil):
    def change(whole):
        flat = whole["annotations"][1]["keypoints"]
        flat[0::3] = [x / 200 for x in flat[0::3]]
        flat[1::3] = [y / 240 for y in flat[1::3]]

    good, mended = spoil(change)
    assert np.abs(_keypoints(mended) - _keypoints(good)).max() < 0.01


def test_axes_are_exchanged_back(spoil):
    def change(whole):
        flat = whole["annotations"][1]["keypoints"]
        flat[0::3], flat[1::3] = flat[1::3], flat[0::3]

    good, mended = spoil(change)
    assert _keypoints(mended).tolist() == _keypoints(good).tolist()


def test_places_of_another_size_are_scaled_and_the_size_is_right(spoil):
    def change(whole):
        whole["images"][1] |= {"width": 100, "height": 120}
        flat = whole["annotations"][1]["keypoints"]
        flat[0::3], flat[1::3] = ([v / 2 for v in flat[n::3]] for n in (0, 1))

    good, mended = spoil(change)
    assert np.abs(_keypoints(mended) - _keypoints(good)).max() < 0.01
    assert mended["images"] == good["images"]


def test_a_mirrored_person_is_turned_back(spoil):
    finding = Finding("mirrored", "certain", 0.9, "", 0, 1, 1)
    good, mended = spoil(lambda whole: None, [finding])
    assert _keypoints(mended).tolist() == _keypoints(good)[LSP14.flipped].tolist()


@pytest.mark.parametrize("key", ["keypoint_weights", "keypoint_scores"])
def test_numbers_of_its_joints_turn_with_a_mirrored_person(spoil, key):
    def change(whole):
        whole["annotations"][1][key] = list(range(14))

    _, mended = spoil(change, [Finding("mirrored", "certain", 0.9, "", 0, 1, 1)])
    assert mended["annotations"][1][key] == LSP14.flipped.tolist()


def test_what_is_only_likely_stays(spoil):
    finding = Finding("mirrored", "likely", 0.9, "", 0, 1, 1)
    good, mended = spoil(lambda whole: None, [finding])
    assert mended == good


def test_what_is_only_likely_is_mended_on_demand(good):
    finding = Finding("mirrored", "likely", 0.9, "", 0, 1, 1)
    mended = cure([good.people], [finding], also=["mirrored"]).whole
    assert np.allclose(_keypoints(mended)[:, :2], good.people.xy[1][LSP14.flipped])


def test_a_kind_without_a_cure_is_refused(good):
    with pytest.raises(ValueError, match="no cure for 'long-limb'; there are at-origin"):
        cure([good.people], [], also=["long-limb"])


def test_an_empty_box_becomes_that_of_the_joints(spoil):
    def change(whole):
        whole["annotations"][1]["bbox"][2] = 0

    good, mended = spoil(change)
    x, y, w, h = mended["annotations"][1]["bbox"]
    places = _keypoints(good)[:, :2]
    assert ((places >= (x, y)) & (places <= (x + w, y + h))).all()
    assert w < 200


def test_corners_become_width_and_height(spoil):
    def change(whole):
        x, y, w, h = whole["annotations"][1]["bbox"]
        whole["annotations"][1]["bbox"] = [x, y, 2 * x + w, 2 * y + h]

    finding = Finding("box-corners", "certain", 0.9, "", 0, 1, 1)
    good, mended = spoil(change, [finding])
    x, y, w, h = good["annotations"][1]["bbox"]
    assert mended["annotations"][1]["bbox"] == pytest.approx([x, y, x + w, y + h])


def test_a_person_twice_is_left_out_once(spoil):
    def change(whole):
        whole["annotations"].append(whole["annotations"][1] | {"id": 99})

    good, mended = spoil(change)
    assert mended == good


def test_a_broken_record_is_left_out(spoil):
    def change(whole):
        whole["annotations"][1]["keypoints"].pop()

    _, mended = spoil(change)
    assert [record["id"] for record in mended["annotations"]] == [1, 3, 4, 5, 6]
    assert spoil.done == {"broken-record": 1}


def test_a_missing_picture_goes_with_its_people(spoil, tmp_path):
    (tmp_path / "images" / "figure0001.png").unlink()
    _, mended = spoil(lambda whole: None)
    assert [entry["file_name"] for entry in mended["images"]] == [
        f"figure000{n}.png" for n in (0, 2, 3, 4, 5)
    ]
    assert len(mended["annotations"]) == 5


def test_a_set_without_pictures_is_kept_whole_on_demand(tmp_path):
    samples = figures.samples(tmp_path / "images", 2)
    for sample in samples:
        sample.image.unlink()
    sources = gather(samples)
    mended = cure(sources, check(sources).findings, also=["missing-image"])
    assert len(mended.whole["images"]) == 2
    assert "missing-image" not in mended.done


def test_crowds_and_other_keys_are_kept(spoil):
    def change(whole):
        whole["licenses"] = [{"id": 1}]
        whole["annotations"].append({"id": 9, "image_id": whole["images"][0]["id"], "iscrowd": 1})

    _, mended = spoil(change)
    assert mended["licenses"] == [{"id": 1}]
    assert mended["annotations"][-1]["id"] == 9


def test_the_source_is_never_changed(good):
    people = good.moved(1, "neck", (900, 50))
    before = copy.deepcopy(people.whole)
    cure([people], check([people], copies=False).findings)
    assert people.whole == before


def test_a_copy_in_the_second_source_leaves_the_first_as_it_is(tmp_path):
    samples = figures.samples(tmp_path, 3)
    sources = gather(samples, "one") + gather(samples[:1], "two")
    mended = cure(sources, check(sources).findings)
    assert len(mended.whole["annotations"]) == 3


def test_what_was_mended_is_counted(good):
    people = good.moved(1, "neck", (900, 50))
    assert cure([people], check([people], copies=False).findings).done == {"outside-picture": 1}


def test_nothing_cannot_be_mended():
    with pytest.raises(ValueError, match="nothing to mend"):
        cure([], [])


def test_every_cure_is_for_a_known_kind():
    assert set(CURES) <= set(KINDS)
