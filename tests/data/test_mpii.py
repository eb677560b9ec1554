import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from posegram.data import mpii

sys.path.insert(0, str(Path(__file__).parent))
import release


@pytest.fixture
def mat(tmp_path):
    return release.save(tmp_path / "mpii.mat")


def test_people_without_a_labelled_joint_are_left_out(mat):
    assert [s.image.name for s in mpii.read(mat)] == ["000000000.jpg"] * 2 + ["000000003.jpg"]


def test_joints_in_any_order_land_on_their_rows_counted_from_0(mat):
    sample = mpii.read(mat)[0]
    wanted = {9: (49, 19.5), 8: (50, 29), 0: (-1, 249), 1: (199, 199), 2: (0, 0)}
    assert {row: tuple(sample.xy[row]) for row in wanted} == wanted


def test_flags_may_be_numbers_characters_or_empty(mat):
    sample = mpii.read(mat)[0]
    assert sample.visible.tolist() == [2, 1, 1, 0, 0, 0, 0, 0, 2, 2] + [0] * 6


def test_the_head_is_06_of_the_head_boxes_diagonal(mat):
    assert mpii.read(mat)[0].head == pytest.approx(0.6 * 50)


def test_the_box_is_the_square_of_published_code(mat):
    # centre (100, 200) counted from 0, moved down by 15 x 1.5; side 300
    assert mpii.read(mat)[0].box.tolist() == [-50, 72.5, 250, 372.5]


def test_somebody_without_scale_is_boxed_by_joints(mat):
    box = mpii.read(mat)[2].box
    np.testing.assert_allclose(box, [49 - 0.57, 19.5 - 0.57, 50 + 0.57, 29 + 0.57], atol=1e-4)


def test_the_training_split_is_by_img_train(mat):
    assert len(mpii.read(mat, split="train")) == 3


def test_the_test_split_keeps_people_without_labels(mat):
    found = mpii.read(mat, split="test")
    assert [(s.image.name, s.visible.any()) for s in found] == [("000000002.jpg", False)]


def test_single_keeps_the_well_separated_people(mat):
    found = mpii.read(mat, single=True)
    assert [int((s.visible > 0).sum()) for s in found] == [5, 16, 2]


def test_single_numbers_are_positions_in_the_image(tmp_path):
    entries = release.images()
    entries[0] = (*entries[0][:2], [3])
    found = mpii.read(release.save(tmp_path / "m.mat", entries), single=True)
    assert [int((s.visible > 0).sum()) for s in found] == [16, 2]


def test_a_release_of_one_image_and_one_person_is_read(tmp_path):
    path = release.save(tmp_path / "m.mat", release.images()[3:])
    assert len(mpii.read(path)) == 1


def test_a_release_without_single_person_is_read(tmp_path):
    assert len(mpii.read(release.save(tmp_path / "m.mat", single_person=None))) == 3


def test_an_unknown_split_is_refused(mat):
    with pytest.raises(ValueError, match="no split 'valid'; there are train, test"):
        mpii.read(mat, split="valid")


@pytest.mark.parametrize("missing", ["annolist", "img_train"])
def test_a_release_without_a_part_is_refused(tmp_path, missing):
    path = release.save(tmp_path / "m.mat", **{missing: None})
    with pytest.raises(ValueError, match=r"m\.mat: has no struct `RELEASE` with"):
        mpii.read(path)


def test_parts_of_different_lengths_are_refused(tmp_path):
    path = release.save(tmp_path / "m.mat", img_train=np.ones((1, 3)))
    with pytest.raises(ValueError, match="count 4, 3 and 4 images"):
        mpii.read(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (release.point(16, 1, 1, 1), "joint id 16 is not among 0 to 15"),
        (release.point(0, 1, np.nan, 1), "nan is not a finite number"),
        ({"id": np.uint8(1)}, "has no attribute 'x'"),
        (release.point(3, 1, 1, 1) | {"x": np.zeros((0, 0))}, "wanted one number, found 0"),
    ],
)
def test_a_wrong_person_is_named(tmp_path, wrong, message):
    entries = release.images()
    entries[3][1].append(release.person([wrong]))
    path = release.save(tmp_path / "m.mat", entries)
    with pytest.raises(ValueError, match=r"m\.mat: image 4, person 2 is wrong: .*" + message):
        mpii.read(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.csv", "a .csv file"), ("x", "a file without an ending"), ("x.d/", "a folder")],
)
def test_another_kind_of_file_is_told(tmp_path, name, kind):
    path = tmp_path / name
    path.mkdir() if name.endswith("/") else path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=rf"reads one \.mat or \.json file, and {path} is {kind}$"):
        mpii.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.csv: no such file"):
        mpii.read(tmp_path / "gone.csv")


def test_a_truncated_release_is_refused(mat):
    mat.write_bytes(mat.read_bytes()[: mat.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"mpii\.mat: not a readable MATLAB file"):
        mpii.read(mat)


def _listed(**changes):
    person = {"image": "a.jpg", "center": [101, 201], "scale": 1.5}
    person["joints"] = [[-1, -1], *([10.5 + n, 20] for n in range(15))]
    person["joints_vis"] = [0] + [1] * 15
    return person | changes


def _list(tmp_path, *people):
    (tmp_path / "valid.json").write_text(json.dumps(people))
    return tmp_path / "valid.json"


def test_a_list_is_counted_from_0(tmp_path):
    assert mpii.read(_list(tmp_path, _listed()))[0].xy[1].tolist() == [9.5, 19]


def test_in_a_list_labelled_means_seen(tmp_path):
    assert mpii.read(_list(tmp_path, _listed()))[0].visible.tolist() == [0] + [2] * 15


def test_the_box_of_a_list_is_that_of_the_release(tmp_path):
    assert mpii.read(_list(tmp_path, _listed()))[0].box.tolist() == [-50, 72.5, 250, 372.5]


def test_a_list_without_labels_gives_boxes(tmp_path):
    person = {k: v for k, v in _listed().items() if not k.startswith("joints")}
    assert not mpii.read(_list(tmp_path, person))[0].visible.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": [[1, 2]] * 14}, r"joints \(14, 2\) and joints_vis \(16,\), wanted \(16, 2\)"),
        ({"joints": [[1, 2]] * 15 + [[1]]}, "inhomogeneous"),
        ({"joints": [[float("nan"), 2]] * 16}, "not a finite number"),
        ({"scale": "tall"}, "could not convert"),
        ({"center": [1]}, "not enough values"),
    ],
)
def test_a_wrong_person_of_a_list_is_named(tmp_path, change, message):
    path = _list(tmp_path, _listed(), _listed(**change))
    with pytest.raises(ValueError, match=r"valid\.json: person 1 is wrong: .*" + message):
        mpii.read(path)


def test_a_person_of_a_list_without_a_field_is_named(tmp_path):
    person = _listed()
    del person["image"]
    with pytest.raises(ValueError, match=r"valid\.json: person 0 lacks 'image'"):
        mpii.read(_list(tmp_path, person))


def test_a_list_has_no_split(tmp_path):
    with pytest.raises(ValueError, match="a list has no `img_train`"):
        mpii.read(_list(tmp_path, _listed()), split="train")


def test_the_validation_list_has_2958_people_in_2729_images(shared):
    found = mpii.read(shared / "references" / "mpii" / "valid.json")
    assert (len(found), len({s.image for s in found})) == (2958, 2729)


def test_the_sample_images_are_found_beside_their_list(shared):
    found = mpii.read(shared / "data" / "samples" / "mpii" / "test_mpii.json")
    assert [s.image.exists() for s in found] == [True] * 5


EVERY = slice(None, None, 6)  # savemat takes ten seconds for all of them


@pytest.fixture
def original(shared, tmp_path):
    """People read from every sixth original entry of the release, put back into its layout."""
    listed = json.loads((shared / "references" / "mpii" / "valid.json").read_text())
    source = shared / "references" / "metrics" / "mpii" / "detections.mat"
    entries = scipy.io.loadmat(source)["annolist"]["annorect"][0]
    rows = [
        {"image": release.struct(name=person["image"]), "annorect": rects}
        for person, rects in zip(listed[EVERY], entries[EVERY], strict=True)
    ]
    fields = {"annolist": release.structs(*rows), "img_train": np.ones((1, len(rows)))}
    scipy.io.savemat(tmp_path / "m.mat", {"RELEASE": release.struct(**fields)})
    return mpii.read(tmp_path / "m.mat")


def test_original_entries_of_the_release_give_the_people_of_the_list(shared, original):
    listed = mpii.read(shared / "references" / "mpii" / "valid.json")[EVERY]
    np.testing.assert_allclose([s.xy for s in original], [s.xy for s in listed], atol=1e-3)
    np.testing.assert_allclose([s.box for s in original], [s.box for s in listed], atol=1e-3)
    flags = [[(s.visible > 0).tolist() for s in people] for people in (original, listed)]
    assert flags[0] == flags[1]


def test_head_sizes_are_those_of_the_published_evaluation(shared, original):
    source = shared / "references" / "metrics" / "mpii" / "detections_our_format.mat"
    boxes = scipy.io.loadmat(source)["headboxes_src"].astype(float)[..., EVERY]
    wanted = 0.6 * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    np.testing.assert_allclose([s.head for s in original], wanted, atol=1e-3)


def test_pictures_of_a_list_are_found_beside_its_folder(tmp_path, mat):
    people = mpii.read(mat, tmp_path / "images")
    path = mpii.write(tmp_path / "annot" / "train.json", people)
    (tmp_path / "images").mkdir()
    people[0].image.touch()
    assert mpii.read(path)[0].image == people[0].image


# writing


def test_a_written_list_reads_back_the_same(tmp_path, mat):
    before = mpii.read(mat, tmp_path)
    after = mpii.read(mpii.write(tmp_path / "out.json", before), tmp_path)
    for one, other in zip(before, after, strict=True):
        seen = one.visible > 0
        np.testing.assert_allclose(other.xy[seen], one.xy[seen], atol=1e-4)
        assert (one.image, seen.tolist()) == (other.image, (other.visible > 0).tolist())


def test_a_square_box_reads_back_the_same(tmp_path, mat):
    before = mpii.read(mat, tmp_path)[:2]
    after = mpii.read(mpii.write(tmp_path / "out.json", before), tmp_path)
    np.testing.assert_allclose([s.box for s in after], [s.box for s in before], atol=1e-3)


def test_pictures_named_from_here_and_from_the_root_are_written(tmp_path, mat, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = mpii.read(mat, tmp_path)[:2]
    samples = [replace(one, image=Path("a.jpg")), replace(two, image=tmp_path / "b.jpg")]
    listed = json.loads(mpii.write(tmp_path / "out.json", samples).read_text())
    assert [record["image"] for record in listed] == ["a.jpg", "b.jpg"]


def test_written_pixels_are_counted_from_1(tmp_path, mat):
    before = mpii.read(mat, tmp_path)[0]
    (record,) = json.loads(mpii.write(tmp_path / "out.json", [before]).read_text())
    assert record["joints"][9] == [50, 20.5]


def test_a_joint_without_label_is_minus_1(tmp_path, mat):
    before = mpii.read(mat, tmp_path)[0]
    (record,) = json.loads(mpii.write(tmp_path / "out.json", [before]).read_text())
    assert (record["joints"][3], record["joints_vis"][3]) == ([-1, -1], 0)
