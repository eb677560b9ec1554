import numpy as np
import pytest

from posegram import data
from posegram.data import deeplabcut

HEAD = ["scorer,ann,ann,ann,ann", "bodyparts,toe_left,toe_left,nose,nose", "coords,x,y,x,y"]
LINE = "labeled-data/walk/img1.png,10.5,20,30,40"


def _table(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def project(tmp_path):
    """A project with one folder of labels, and its picture."""
    folder = tmp_path / "labeled-data" / "walk"
    _table(folder / "CollectedData_ann.csv", [*HEAD, LINE])
    (folder / "img1.png").touch()
    return tmp_path


@pytest.mark.parametrize("place", ["", "labeled-data", "labeled-data/walk"])
def test_a_project_is_read_from_any_of_its_folders(project, place):
    (sample,) = data.read(str(project / place))
    np.testing.assert_allclose(sample.xy, [[10.5, 20], [30, 40]])


def test_joints_are_the_body_parts(project):
    assert deeplabcut.read(project)[0].skeleton.joints == ("toe_left", "nose")


def test_the_picture_lies_beside_the_table(project):
    assert deeplabcut.read(project)[0].image == project / "labeled-data" / "walk" / "img1.png"


def test_a_path_in_three_cells_is_the_same_picture(project):
    lines = [head.replace(",", ",,,", 1) for head in HEAD] + [LINE.replace("/", ",")]
    _table(project / "labeled-data" / "walk" / "CollectedData_ann.csv", lines)
    assert deeplabcut.read(project)[0].image.is_file()


def test_the_path_of_windows_is_the_same_picture(project):
    lines = [*HEAD, LINE.replace("/", "\\")]
    _table(project / "labeled-data" / "walk" / "CollectedData_ann.csv", lines)
    assert deeplabcut.read(project)[0].image.is_file()


def test_a_table_of_the_whole_project_finds_its_pictures(project):
    table = _table(project / "training-datasets" / "set" / "CollectedData_ann.csv", [*HEAD, LINE])
    assert deeplabcut.read(table)[0].image.is_file()


def test_pictures_may_lie_elsewhere(project, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "img1.png").touch()
    image = deeplabcut.read(project, tmp_path / "photos")[0].image
    assert image == tmp_path / "photos" / "img1.png"


def test_an_empty_cell_is_not_labelled(tmp_path):
    table = _table(tmp_path / "a.csv", [*HEAD, "img1.png,10,20,,"])
    assert deeplabcut.read(table)[0].visible.tolist() == [2, 0]


def test_a_picture_without_labels_has_nobody(tmp_path):
    table = _table(tmp_path / "a.csv", [*HEAD, "img1.png,10,20,,", "img2.png,,,,"])
    assert len(deeplabcut.read(table)) == 1


def test_individuals_are_people_of_their_own(tmp_path):
    lines = [HEAD[0], "individuals,one,one,two,two", "bodyparts,toe,toe,toe,toe", HEAD[2]]
    found = deeplabcut.read(_table(tmp_path / "a.csv", [*lines, "img1.png,1,2,3,4"]))
    assert [s.xy.tolist() for s in found] == [[[1, 2]], [[3, 4]]]


def test_unique_body_parts_belong_to_nobody(tmp_path):
    lines = [HEAD[0], "individuals,one,one,single,single", "bodyparts,toe,toe,corner,corner"]
    found = deeplabcut.read(_table(tmp_path / "a.csv", [*lines, HEAD[2], "img1.png,1,2,3,4"]))
    assert [s.skeleton.joints for s in found] == [("toe",)]


@pytest.mark.parametrize(
    "skeleton", ["- - nose\n  - toe_left", "  - - nose\n    - toe_left", "- - 'nose'\n  - toe_left"]
)
def test_bones_are_those_of_the_project(project, skeleton):
    (project / "config.yaml").write_text(
        f"Task: walk\nskeleton:\n{skeleton}\nskeleton_color: red\n"
    )
    assert deeplabcut.read(project)[0].skeleton.bones == (("nose", "toe_left"),)


def test_a_bone_to_no_body_part_is_left_out(project):
    (project / "config.yaml").write_text("skeleton:\n- - nose\n  - tail\n")
    assert deeplabcut.read(project)[0].skeleton.bones == ()


def test_tables_share_a_skeleton(project):
    other = project / "labeled-data" / "run" / "CollectedData_ann.csv"
    _table(other, [HEAD[0], HEAD[1].replace("nose", "heel"), HEAD[2], "img1.png,1,2,3,4"])
    assert len({s.skeleton for s in deeplabcut.read(project)}) == 1


def test_a_joint_stands_in_its_row_whatever_its_table_names_first(project):
    other = project / "labeled-data" / "run" / "CollectedData_ann.csv"
    _table(other, [HEAD[0], "bodyparts,nose,nose,toe_left,toe_left", HEAD[2], "img1.png,1,2,3,4"])
    noses = [s.xy[s.skeleton.index("nose")].tolist() for s in deeplabcut.read(project)]
    assert sorted(noses) == [[1, 2], [30, 40]]


def test_names_are_told_as_they_are_spelt(tmp_path):
    table = _table(tmp_path / "a.csv", [HEAD[0], HEAD[1].replace("nose", "Nose Tip"), *HEAD[2:]])
    assert data.categories(f"deeplabcut:{table}") == [{"keypoints": ["toe_left", "Nose Tip"]}]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (HEAD[:2], "has no row 'coords'"),
        ([HEAD[0], HEAD[1] + ",x", HEAD[2]], "not equally long"),
        ([*HEAD[:2], "coords,a,b,c,d"], "no column of it is an x or a y"),
        ([*HEAD, "img1.png,1,2"], "line 4 is wrong: holds 3 cells, wanted 5"),
        ([*HEAD, "img1.png,1,2,left,4"], "line 4 is wrong: could not convert"),
        ([*HEAD, "img1.png,1,2,1e12,4"], "line 4 is wrong: 1e12 is no number of pixels"),
        ([*HEAD, ",1,2,3,4"], "line 4 is wrong: names no picture"),
        ([*HEAD, "img1.png,,,,"], "nobody has a labelled body part"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, said):
    with pytest.raises(ValueError, match=said):
        deeplabcut.read(_table(tmp_path / "a.csv", lines))


def test_a_folder_without_a_table_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no CollectedData_"):
        deeplabcut.read(tmp_path)


def test_another_csv_is_no_table(tmp_path):
    with pytest.raises(ValueError, match="say how to read it"):
        data.read(str(_table(tmp_path / "a.csv", ["image,x,y"])))


def test_a_joint_may_be_spelt_otherwise_in_another_table(project):
    other = project / "labeled-data" / "run" / "CollectedData_ann.csv"
    _table(other, [HEAD[0], HEAD[1].replace("nose", "Nose"), HEAD[2], "img1.png,1,2,3,4"])
    assert {s.skeleton.joints for s in deeplabcut.read(project)} == {("toe_left", "nose")}


def test_a_cell_too_long_for_a_table_is_named(tmp_path):
    line = LINE + ',"' + "4" * 140_000  # the quote is never closed
    table = _table(tmp_path / "CollectedData_ann.csv", [*HEAD, line])
    with pytest.raises(ValueError, match=r"CollectedData_ann\.csv: line 4 is wrong: field larger"):
        deeplabcut.read(table)
