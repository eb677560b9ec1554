from dataclasses import replace

import cv2
import numpy as np
import pytest
import scipy.io

import figures
from posegram.data import lsp
from posegram.pose import COCO17, LSP14


@pytest.fixture
def people():
    """Joints of three people as MATLAB has them, counted from 1, with flags of 1, (3, 14, 3)."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(20, 80, (3, 14, 2)), np.ones((3, 14, 1))], axis=2)


def _save(folder, joints):
    scipy.io.savemat(folder / "joints.mat", {"joints": joints})
    return folder / "joints.mat"


def _lsp(folder, people):
    return _save(folder, people.transpose(2, 1, 0))


def _lspet(folder, people):
    return _save(folder, people.transpose(1, 2, 0))


@pytest.mark.parametrize("save", [_lsp, _lspet])
def test_pixels_are_counted_from_0_in_both_layouts(tmp_path, people, save):
    found = lsp.read(save(tmp_path, people))
    np.testing.assert_allclose([s.xy for s in found], people[..., :2] - 1, atol=1e-4)


def test_in_lsp_a_flag_of_1_means_hidden(tmp_path, people):
    people[0, 3:, 2] = 0
    assert lsp.read(_lsp(tmp_path, people))[0].visible.tolist() == [1] * 3 + [2] * 11


def test_in_lsp_extended_a_flag_of_1_means_labelled(tmp_path, people):
    people[0, 3:, 2] = 0
    assert lsp.read(_lspet(tmp_path, people))[0].visible.tolist() == [2] * 3 + [0] * 11


def test_unlabelled_joints_do_not_move_the_box(tmp_path, people):
    people[0, 3:, 2] = 0
    people[0, 3:, :2] = -1e6
    assert lsp.read(_lspet(tmp_path, people))[0].box.min() > 0


@pytest.mark.parametrize(("save", "name"), [(_lsp, "im0003.jpg"), (_lspet, "im00003.jpg")])
def test_the_number_in_a_file_name_has_4_or_5_digits(tmp_path, people, save, name):
    assert lsp.read(save(tmp_path, people))[2].image.name == name


def test_a_folder_is_read_by_its_joints_mat(tmp_path, people):
    _lsp(tmp_path, people)
    assert len(lsp.read(tmp_path)) == 3


def test_images_can_lie_elsewhere(tmp_path, people):
    _lsp(tmp_path, people)
    assert lsp.read(tmp_path, tmp_path / "photos")[0].image == tmp_path / "photos" / "im0001.jpg"


def test_a_range_reads_only_its_images(tmp_path, people):
    found = lsp.read(_lsp(tmp_path, people), first=2, last=2)
    assert [s.image.name for s in found] == ["im0002.jpg"]


@pytest.mark.parametrize(("first", "last"), [(0, 2), (3, 2), (1, 4)])
def test_a_range_beyond_the_file_is_refused(tmp_path, people, first, last):
    with pytest.raises(ValueError, match=r"joints\.mat: holds images 1 to 3, so not"):
        lsp.read(_lsp(tmp_path, people), first=first, last=last)


def test_a_label_outside_the_picture_is_masked(tmp_path, people):
    people[0, 5, 0] = 150
    cv2.imwrite(str(tmp_path / "im00001.jpg"), np.zeros((100, 100, 3), dtype=np.uint8))
    assert np.flatnonzero(lsp.read(_lspet(tmp_path, people))[0].visible == 0).tolist() == [5]


def test_a_label_that_is_no_number_is_masked(tmp_path, people):
    people[0, 5, 0] = np.nan
    found = lsp.read(_lsp(tmp_path, people))[0]
    assert np.flatnonzero(found.visible == 0).tolist() == [5]


def test_somebody_with_one_joint_is_left_out(tmp_path, people):
    people[1, 1:, 2] = 0
    assert len(lsp.read(_lspet(tmp_path, people))) == 2


def test_a_file_of_one_person_is_read(tmp_path, people):
    assert len(lsp.read(_lsp(tmp_path, people[:1]))) == 1


@pytest.mark.parametrize("shape", [(14, 2, 5), (3, 16, 5), (14,), (2, 3, 14, 1)])
def test_another_shape_is_refused_by_its_numbers(tmp_path, shape):
    path = _save(tmp_path, np.full(shape, 7.5))
    with pytest.raises(ValueError, match=r"joints\.mat: `joints` is .* wanted 3 x 14 x N"):
        lsp.read(path)


def test_a_file_without_joints_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "joints.mat", {"other": 1})
    with pytest.raises(ValueError, match="has no array `joints`"):
        lsp.read(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.mat"):
        lsp.read(tmp_path / "gone.mat")


def test_lsp_has_1000_people_with_990_hidden_joints(shared):
    found = lsp.read(shared / "data" / "lsp")
    assert (len(found), sum(int((s.visible == 1).sum()) for s in found)) == (1000, 990)


def test_lsp_images_hold_all_their_joints(shared):
    found = lsp.read(shared / "data" / "lsp", last=50)
    assert all(s.image.exists() and s.visible.all() for s in found)


def test_1566_of_4000_people_in_lsp_extended_have_all_joints(shared, tmp_path):
    # without the pictures nothing is masked
    found = lsp.read(shared / "data" / "lspet", tmp_path)
    counts = np.array([(s.visible > 0).sum() for s in found])
    assert [len(found), (counts == len(LSP14)).sum(), (counts >= 10).sum()] == [4000, 1566, 3635]


@pytest.mark.parametrize("number", [24, 712, 3363])
def test_labels_outside_the_pictures_of_lsp_extended_are_masked(shared, tmp_path, number):
    folder = shared / "data" / "lspet"
    before = lsp.read(folder, tmp_path, first=number, last=number)[0]
    after = lsp.read(folder, first=number, last=number)[0]
    assert (before.visible > 0).sum() - (after.visible > 0).sum() == 1


# writing


@pytest.fixture
def drawn(tmp_path):
    """Three people in pictures of their own, with every flag."""
    samples = figures.samples(tmp_path / "photos", 3)
    for n, sample in enumerate(samples):
        sample.visible[:3] = (0, 1, 2)
        sample.xy[0] = 7 * n
    return samples


def test_a_written_folder_reads_back_the_same(tmp_path, drawn):
    after = lsp.read(lsp.write(tmp_path / "out", drawn))
    for one, other in zip(drawn, after, strict=True):
        assert one.visible.tolist() == other.visible.tolist()
        seen = one.visible > 0
        np.testing.assert_allclose(other.xy[seen], one.xy[seen], atol=1e-6)


def test_written_pixels_are_counted_from_1_in_lsps_layout(tmp_path, drawn):
    path = lsp.write(tmp_path / "out", drawn) / "joints.mat"
    joints = scipy.io.loadmat(path)["joints"]
    assert joints.shape == (3, 14, 3)
    np.testing.assert_allclose(joints[:2, 5, 1], drawn[1].xy[5] + 1, atol=1e-6)
    assert joints[2, :3, 0].tolist() == [0, 1, 0]


def test_a_joint_without_label_is_not_a_number(tmp_path, drawn):
    path = lsp.write(tmp_path / "out", drawn) / "joints.mat"
    assert np.isnan(scipy.io.loadmat(path)["joints"][:2, 0]).all()


def test_pictures_are_numbered_by_person(tmp_path, drawn):
    out = lsp.write(tmp_path / "out", [drawn[2], drawn[0]])
    assert sorted(p.name for p in (out / "images").iterdir()) == ["im0001.jpg", "im0002.jpg"]
    listed = (out / "images.txt").read_text().splitlines()
    assert [line[-8:] for line in listed] == ["0002.png", "0000.png"]


def test_a_jpeg_is_copied_byte_by_byte(tmp_path, drawn):
    photo = tmp_path / "a.jpg"
    cv2.imwrite(str(photo), np.zeros((50, 60, 3), np.uint8))
    out = lsp.write(tmp_path / "out", [replace(drawn[0], image=photo)])
    assert (out / "images" / "im0001.jpg").read_bytes() == photo.read_bytes()


def test_pictures_stay_where_they_are_on_request(tmp_path, drawn):
    out = lsp.write(tmp_path / "out", drawn, copy=False)
    assert sorted(p.name for p in out.iterdir()) == ["images.txt", "joints.mat"]


def test_people_of_other_joints_are_written_by_name(tmp_path):
    people = figures.samples(tmp_path / "photos", 1, skeleton=COCO17)
    after = lsp.read(lsp.write(tmp_path / "out", people))[0]
    rows = [LSP14.index("right_wrist"), LSP14.index("neck")]
    wrist = people[0].xy[COCO17.index("right_wrist")]
    np.testing.assert_allclose(after.xy[rows], [wrist, (0, 0)], atol=1e-4)
    assert after.visible[rows].tolist() == [2, 0]


def test_nothing_is_written_where_one_picture_is_missing(tmp_path, drawn):
    drawn[-1].image.unlink()
    with pytest.raises(FileNotFoundError, match="no such picture"):
        lsp.write(tmp_path / "set", drawn)
    assert not (tmp_path / "set").exists()
