import json

import pytest

from posegram import data
from posegram.data import labelme
from posegram.data.losses import unread


def _point(label, x, y, **more):
    return {"label": label, "points": [[x, y]], "shape_type": "point", **more}


def _box(*points, **more):
    return {"label": "person", "points": points, "shape_type": "rectangle", **more}


def _file(folder, *shapes, name="a", **more):
    folder.mkdir(exist_ok=True)
    whole = {"shapes": shapes, "imagePath": f"{name}.jpg", **more}
    (folder / f"{name}.json").write_text(json.dumps(whole))
    return folder


def test_points_without_a_group_are_one_person(tmp_path):
    (sample,) = data.read(str(_file(tmp_path, _point("toe", 3, 4), _point("heel", 1, 2))))
    assert sample.xy.tolist() == [[1, 2], [3, 4]]


def test_joints_are_sorted(tmp_path):
    found = labelme.read(_file(tmp_path, _point("toe", 3, 4), _point("heel", 1, 2)))
    assert found[0].skeleton.joints == ("heel", "toe")


def test_a_group_is_a_person(tmp_path):
    shapes = [_point("toe", n, 4, group_id=n) for n in (1, 2)]
    assert [s.xy[0, 0] for s in labelme.read(_file(tmp_path, *shapes))] == [1, 2]


def test_a_rectangle_of_the_group_is_the_box(tmp_path):
    shapes = [_point("toe", 3, 4, group_id=1), _box([9, 8], [1, 2], group_id=1)]
    assert labelme.read(_file(tmp_path, *shapes))[0].box.tolist() == [1, 2, 9, 8]


def test_without_a_rectangle_the_box_lies_around_the_joints(tmp_path):
    found = labelme.read(_file(tmp_path, _point("toe", 0, 0), _point("heel", 100, 50)))
    assert found[0].box.tolist() == [-6, -6, 106, 56]


def test_a_rectangle_alone_is_nobody(tmp_path):
    shapes = [_point("toe", 3, 4, group_id=1), _box([0, 0], [5, 5], group_id=2)]
    assert len(labelme.read(_file(tmp_path, *shapes))) == 1


@pytest.mark.parametrize("mark", [{"difficult": True}, {"flags": {"occluded": True}}])
def test_a_marked_joint_is_hidden(tmp_path, mark):
    assert labelme.read(_file(tmp_path, _point("toe", 3, 4, **mark)))[0].visible.tolist() == [1]


def test_an_unmarked_joint_is_seen(tmp_path):
    shape = _point("toe", 3, 4, flags={"occluded": False})
    assert labelme.read(_file(tmp_path, shape))[0].visible.tolist() == [2]


def test_a_joint_that_another_picture_has_is_not_labelled(tmp_path):
    _file(tmp_path, _point("toe", 3, 4))
    found = labelme.read(_file(tmp_path, _point("heel", 3, 4), name="b"))
    assert [s.visible.tolist() for s in found] == [[0, 2], [2, 0]]


def test_other_shapes_are_counted(tmp_path):
    shape = {"label": "ball", "points": [[0, 0], [1, 1], [2, 0]], "shape_type": "polygon"}
    _file(tmp_path, _point("toe", 3, 4), shape)
    assert [str(loss) for loss in unread("labelme", tmp_path)] == [
        "1 shape: neither point nor rectangle, not read"
    ]


def test_names_are_told_as_they_are_spelt(tmp_path):
    _file(tmp_path, _point("Big Toe", 3, 4))
    assert data.categories(f"labelme:{tmp_path}") == [{"keypoints": ["Big Toe"]}]


def test_the_picture_lies_where_the_file_says(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    _file(tmp_path / "labels", _point("toe", 3, 4), imagePath="..\\photos\\a.jpg")
    assert labelme.read(tmp_path / "labels")[0].image.samefile(tmp_path / "photos" / "a.jpg")


def test_the_picture_may_have_moved_beside_the_file(tmp_path):
    (tmp_path / "a.jpg").touch()
    _file(tmp_path, _point("toe", 3, 4), imagePath="/elsewhere/a.jpg")
    assert labelme.read(tmp_path)[0].image == tmp_path / "a.jpg"


def test_pictures_may_lie_elsewhere(tmp_path):
    found = labelme.read(_file(tmp_path, _point("toe", 3, 4)), tmp_path / "photos")
    assert found[0].image == tmp_path / "photos" / "a.jpg"


def test_one_file_is_read_alone(tmp_path):
    _file(tmp_path, _point("toe", 3, 4), name="b")
    _file(tmp_path, _point("toe", 3, 4))
    assert len(data.read(str(tmp_path / "a.json"))) == 1


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([_point("toe", 1, 2), _point("toe", 3, 4)], "shape 1 is wrong: 'toe' stands twice"),
        ([_point("toe", 1, float("nan"))], "shape 0 is wrong: .* are no pixels"),
        ([_box([1, 2])], "shape 0 is wrong: a rectangle has no such points"),
        ([{"shape_type": "point", "points": [[1, 2]]}], "shape 0 is wrong: 'label'"),
        (["toe"], "shape 0 is wrong"),
        ([], "holds no point"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, shapes, said):
    with pytest.raises(ValueError, match=said):
        labelme.read(_file(tmp_path, *shapes))


def test_a_file_of_another_kind_is_named(tmp_path):
    _file(tmp_path, _point("toe", 3, 4))
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ValueError, match=r"b\.json: has no list `shapes`"):
        labelme.read(tmp_path)


def test_a_folder_without_files_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no JSON file"):
        labelme.read(tmp_path)


@pytest.mark.parametrize("text", ["{", '{"people": []}'])
def test_pictures_beside_other_files_are_a_plain_folder(tmp_path, text):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.json").write_text(text)
    assert data.reader_of(str(tmp_path))[0] == "folder"


def test_a_label_may_be_spelt_in_several_ways(tmp_path):
    _file(tmp_path, _point("Big Toe", 1, 2), _point("heel", 3, 4))
    _file(tmp_path, _point("big-toe", 5, 6), _point("Heel", 7, 8), name="b")
    first, second = labelme.read(tmp_path)
    assert first.skeleton.joints == ("big_toe", "heel")
    assert second.xy.tolist() == [[5, 6], [7, 8]]
    assert labelme.category(tmp_path) == {"keypoints": ["Big Toe", "heel"]}


def test_two_spellings_in_one_group_are_one_label_twice(tmp_path):
    with pytest.raises(ValueError, match="shape 1 is wrong: 'nose' stands twice"):
        labelme.read(_file(tmp_path, _point("Nose", 1, 2), _point("nose", 3, 4)))


def test_pictures_within_the_files_are_not_kept(tmp_path, monkeypatch):
    kept, people = [], labelme._people
    monkeypatch.setattr(labelme, "_people", lambda f, w: (kept.append(w), people(f, w))[1])
    labelme.read(_file(tmp_path, _point("toe", 3, 4), imageData="x" * 99))
    assert [set(whole) for whole in kept] == [{"shapes", "imagePath"}]


def test_a_shape_of_a_strange_type_is_another_one(tmp_path):
    _file(tmp_path, _point("toe", 3, 4), {"shape_type": ["point"]})
    assert len(labelme.read(tmp_path)) == labelme.others(tmp_path) == 1
