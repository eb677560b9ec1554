import cv2
import numpy as np
import pytest

from posegram.data import door, yolo
from posegram.data.stream import Shot
from posegram.pose import COCO17, LSP14, MPII16, People, Sample, Skeleton


@pytest.fixture
def photos(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), dtype=np.uint8))
    return tmp_path


def _label(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("\n".join(lines))


JOINTS = " ".join(f"{n / 20} 0.5 {n % 3}" for n in range(17))


def test_a_box_is_scaled_to_pixels(photos):
    _label(photos, "0 0.5 0.5 0.2 0.4")
    np.testing.assert_allclose(yolo.read(photos)[0].box, [80, 30, 120, 70], atol=1e-4)


def test_a_plain_box_has_no_labelled_joint(photos):
    _label(photos, "0 0.5 0.5 0.2 0.4")
    assert not yolo.read(photos)[0].visible.any()


def test_labels_may_begin_with_a_byte_order_mark(photos):
    (photos / "a.txt").write_text("0 0.5 0.5 0.2 0.4", encoding="utf-8-sig")
    assert len(yolo.read(photos)) == 1


@pytest.mark.parametrize(("data", "said"), [(b"\xff\xfe0", "no text file"), (b"inf 1", "line 1")])
def test_labels_that_cannot_be_read_are_named(photos, data, said):
    (photos / "a.txt").write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.txt: .*{said}"):
        yolo.read(photos)


def test_joints_are_scaled_to_pixels(photos):
    _label(photos, f"0 0.5 0.5 0.2 0.4 {JOINTS}")
    np.testing.assert_allclose(yolo.read(photos)[0].xy[5], [50, 50], atol=1e-4)


def test_flags_are_taken_as_they_are(photos):
    _label(photos, f"0 0.5 0.5 0.2 0.4 {JOINTS}")
    assert yolo.read(photos)[0].visible.tolist() == [n % 3 for n in range(17)]


def test_joints_without_flags_are_seen_unless_0_0(photos):
    _label(photos, "0 0.5 0.5 0.2 0.4 " + "0.5 0.5 " * 13 + "0 0")
    found = yolo.read(photos, skeleton=LSP14)[0]
    assert found.visible.tolist() == [2] * 13 + [0]


def test_other_classes_and_empty_lines_are_passed_over(photos):
    _label(photos, "3 0.5 0.5 0.2 0.4", "", "0 0.5 0.5 0.2 0.4")
    assert len(yolo.read(photos)) == 1


def test_labels_and_images_may_lie_in_folders_of_that_name(photos):
    (photos / "images").mkdir()
    (photos / "a.png").rename(photos / "images" / "a.png")
    _label(photos / "labels", "0 0.5 0.5 0.2 0.4")
    places = [yolo.read(p)[0].image for p in (photos, photos / "labels")]
    assert places == [photos / "images" / "a.png"] * 2


@pytest.mark.parametrize("place", ["", "data.yaml", "labels/train", "images/train"])
def test_the_layout_of_ultralytics_is_read(photos, place):
    for name in ("images/train", "labels"):
        (photos / name).mkdir(parents=True)
    (photos / "a.png").rename(photos / "images" / "train" / "a.png")
    _label(photos / "labels" / "train", "0 0.5 0.5 0.2 0.4")
    (photos / "data.yaml").write_text(
        f"train: images/train\nkpt_names: {{0: {list(LSP14.joints)}}}"
    )
    (person,) = yolo.read(photos / place)
    assert (person.image, person.skeleton) == (photos / "images" / "train" / "a.png", LSP14)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", "line 2 is wrong: holds 4 numbers, wanted 5, 39 or 56"),
        ("0 a 0.5 0.2 0.4", "line 2 is wrong: could not convert"),
        ("0 0.5 0.5 0.2 0.4" + " 0.1 0.1 5" * 17, "line 2 is wrong: v is one of 0, 1, 2"),
        ("0 nan 0.5 0.2 0.4", "line 2 is wrong: holds 5 numbers"),
    ],
)
def test_a_wrong_line_is_named(photos, line, message):
    _label(photos, "0 0.5 0.5 0.2 0.4", line)
    with pytest.raises(ValueError, match=r"a\.txt: " + message):
        yolo.read(photos)


def test_a_folder_without_people_is_refused(photos):
    with pytest.raises(ValueError, match="holds no label file with a person"):
        yolo.read(photos)


# writing


def sample(image, **changes):
    rng = np.random.default_rng(1)
    fields = {
        "xy": rng.uniform(1, 99, (17, 2)).astype(np.float32),
        "visible": np.array([0, 1, *[2] * 15], dtype=np.uint8),
        "box": np.array([1.25, 2, 90, 95.5], dtype=np.float32),
        "head": None,
        "area": None,
        "skeleton": COCO17,
    }
    return Sample(image=image, **(fields | changes))


def test_what_is_written_reads_back_the_same_to_a_millionth(photos):
    before = sample(photos / "a.png")
    after = yolo.read(yolo.write(photos / "out", [before]))[0]
    seen = before.visible > 0
    np.testing.assert_allclose(after.xy[seen], before.xy[seen], atol=1e-6)
    np.testing.assert_allclose(after.box, before.box, atol=1e-6)
    assert after.visible.tolist() == before.visible.tolist()


@pytest.mark.parametrize("skeleton", [LSP14, MPII16])
def test_the_joints_names_travel_in_data_yaml(photos, skeleton):
    k = len(skeleton)
    joints = {"xy": np.ones((k, 2), np.float32), "visible": np.full(k, 2, np.uint8)}
    out = yolo.write(photos / "out", [sample(photos / "a.png", skeleton=skeleton, **joints)])
    assert yolo.read(out)[0].skeleton is skeleton


def test_names_in_block_style_are_read_too(photos):
    lines = "\n".join(f"    - {joint}" for joint in LSP14.joints)
    (photos / "data.yaml").write_text(f"kpt_names:\n  0:\n{lines}\nnames:\n  0: person\n")
    _label(photos, "0 0.5 0.5 0.2 0.4")
    assert yolo.read(photos)[0].skeleton is LSP14


def test_data_yaml_says_how_joints_swap_in_a_mirror(photos):
    text = (yolo.write(photos / "out", [sample(photos / "a.png")]) / "data.yaml").read_text()
    swapped = "[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]"
    assert f"kpt_shape: [17, 3]\nflip_idx: {swapped}\nnames: {{0: person}}\n" in text


def test_pictures_are_copied_where_the_format_wants_them(photos):
    out = yolo.write(photos / "out", [sample(photos / "a.png")])
    assert (out / "images" / "a.png").read_bytes() == (photos / "a.png").read_bytes()


def test_pictures_stay_where_they_are_on_request(photos):
    out = yolo.write(photos / "out", [sample(photos / "a.png")], copy=False)
    assert yolo.read(out, photos)[0].image == photos / "a.png"
    assert not (out / "images").exists()


def test_people_of_one_picture_share_a_file(photos):
    out = yolo.write(photos / "out", [sample(photos / "a.png")] * 2)
    assert len((out / "labels" / "a.txt").read_text().splitlines()) == 2


def test_no_number_lies_outside_0_to_1(photos):
    outside = {"xy": np.full((17, 2), 150, np.float32), "box": np.float32([-9, -9, 300, 300])}
    out = yolo.write(photos / "out", [sample(photos / "a.png", **outside)])
    numbers = [float(word) for word in (out / "labels" / "a.txt").read_text().split()[1:]]
    assert numbers == [0.5, 0.5, 1, 1, *[0] * 51]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (lambda p: [], "there is nobody to write"),
        (lambda p: [sample(p / "b.png")], r"b\.png: YOLO labels need the picture's size"),
        (lambda p: [sample(p / "a.png"), sample(p / "x" / "a.jpg")], "would share one label file"),
    ],
)
def test_what_yolo_cannot_hold_at_all_is_refused(photos, samples, message):
    with pytest.raises(ValueError, match=message):
        yolo.write(photos / "out", samples(photos))


def found(score):
    xy = np.full((1, 17, 2), 20, np.float32)
    sure = np.full((1, 17), score, np.float32)
    return People(xy, sure, np.float32([[0, 0, 40, 40]]), COCO17)


def test_found_people_become_labels_by_a_threshold(photos):
    with yolo.Labels(photos / "out", COCO17, threshold=0.5) as out:
        for score, name in ((0.5, "a.png"), (0.4, "b.png")):
            out.add(found(score), image=photos / name, size=(100, 200))
    texts = [(out.path / "labels" / f"{n}.txt").read_text().split() for n in "ab"]
    assert [(words[5], words[7]) for words in texts] == [("0.1", "2"), ("0", "0")]


def test_labels_may_have_a_name_of_their_own(photos):
    with yolo.Labels(photos / "out", COCO17) as out:
        for name, label in (("a.png", ""), ("a.jpg", "a_2")):
            out.put(found(1), Shot(photos / name, size=(100, 200), label=label))
    assert sorted(p.name for p in (out.path / "labels").iterdir()) == ["a.txt", "a_2.txt"]


def test_a_picture_without_people_has_an_empty_text(photos):
    with yolo.Labels(photos / "out", COCO17) as out:
        out.add(People.none(COCO17), frame=0, size=(100, 200))
    assert (out.path / "labels" / "frame_000000.txt").read_text() == ""


def test_labels_of_pictures_of_unknown_size_are_refused(photos):
    with (
        pytest.raises(ValueError, match="need the size of each picture"),
        yolo.Labels(photos / "out", COCO17) as out,
    ):
        out.add(found(1))


def test_photos_that_would_share_their_labels_are_refused(photos):
    with yolo.Labels(photos / "out", COCO17) as out:
        out.add(found(1), image=photos / "a.png", size=(100, 200))
        with pytest.raises(ValueError, match=r"a\.png and .*a\.jpg would share one label file"):
            out.add(found(1), image=photos / "a.jpg", size=(100, 200))


def test_nothing_is_written_where_one_picture_is_missing(photos):
    people = [sample(photos / "a.png"), sample(photos / "gone.png")]
    with pytest.raises(ValueError, match="not at hand"):
        yolo.write(photos / "set", people)
    assert not (photos / "set").exists()


@pytest.mark.parametrize(
    "names",
    [
        "names: {0: dog, 1: person}",
        "names: [dog, person]",
        "names: ['dog', 'Person']",
        "names:\n  0: dog\n  1: person",
        "names:\n- dog\n- person\nnc: 2",
    ],
)
def test_people_are_the_class_that_is_called_person(photos, names):
    (photos / "data.yaml").write_text(f"{names}\n")
    _label(photos, "0 0.1 0.1 0.1 0.1", "1 0.5 0.5 0.2 0.4")
    (found,) = yolo.read(photos)
    np.testing.assert_allclose(found.box, [80, 30, 120, 70], atol=1e-4)


def test_classes_without_a_person_are_refused(photos):
    (photos / "data.yaml").write_text("names: [cat, dog]\n")
    _label(photos, "0 0.5 0.5 0.2 0.4")
    with pytest.raises(ValueError, match="`names` has no person among cat, dog"):
        yolo.read(photos)


def test_a_single_class_is_people_whatever_its_name(photos):
    (photos / "data.yaml").write_text("names: ['athlete']\n")
    _label(photos, "0 0.5 0.5 0.2 0.4")
    assert len(yolo.read(photos)) == 1


def test_lines_of_other_classes_are_counted(photos):
    _label(photos, "0 0.5 0.5 0.2 0.4", "3 0.5 0.5 0.2 0.4", "", "7 0.5 0.5 0.2 0.4")
    assert yolo.others(photos) == 2


@pytest.mark.parametrize("names", [("épaule_gauche", "nez"), ("左肩", "右肩"), ("l", "r")])
def test_names_in_any_script_come_back(photos, names):
    own = Skeleton("own", names)
    joints = {"xy": np.ones((2, 2), np.float32), "visible": np.full(2, 2, np.uint8)}
    out = yolo.write(photos / "out", [sample(photos / "a.png", skeleton=own, **joints)])
    assert yolo.read(out)[0].skeleton.joints == names


def test_twins_whose_names_do_not_tell_come_back(photos):
    own = Skeleton("own", ("port", "starboard"), mirror=(("port", "starboard"),))
    joints = {"xy": np.ones((2, 2), np.float32), "visible": np.full(2, 2, np.uint8)}
    out = yolo.write(photos / "out", [sample(photos / "a.png", skeleton=own, **joints)])
    assert yolo.read(out)[0].skeleton.mirror == (("port", "starboard"),)


def test_a_box_of_no_size_becomes_that_of_the_joints(photos):
    _label(photos, f"0 0 0 0 0 {JOINTS}")
    (found,) = yolo.read(photos)
    np.testing.assert_allclose(found.box, door.person_box(found.xy, found.visible > 0))


# parts, names and bones


def test_people_to_validate_on_lie_beside_those_to_train_on(photos):
    (photos / "other").mkdir()
    (photos / "other" / "a.png").write_bytes((photos / "a.png").read_bytes())
    train, val = sample(photos / "a.png"), sample(photos / "other" / "a.png", xy=np.ones((17, 2)))
    out = yolo.write(photos / "out", [train], valid=[val])
    found = [yolo.read(out, part=part)[0].image for part in ("train", "val")]
    assert found == [out / "images" / part / "a.png" for part in ("train", "val")]
    np.testing.assert_allclose(yolo.read(out, part="val")[0].xy[1], [1, 1], atol=1e-6)


def test_without_people_to_validate_on_val_is_train(photos):
    text = (yolo.write(photos / "out", [sample(photos / "a.png")]) / "data.yaml").read_text()
    assert text.startswith("train: images\nval: images\n")


def test_people_to_validate_on_have_the_same_skeleton(photos):
    joints = {"xy": np.ones((14, 2), np.float32), "visible": np.full(14, 2, np.uint8)}
    other = sample(photos / "a.png", skeleton=LSP14, **joints)
    with pytest.raises(ValueError, match="several skeletons"):
        yolo.write(photos / "out", [sample(photos / "a.png")], valid=[other])


def test_nothing_is_written_where_a_picture_to_validate_on_is_missing(photos):
    with pytest.raises(ValueError, match="not at hand"):
        yolo.write(photos / "set", [sample(photos / "a.png")], valid=[sample(photos / "gone.png")])
    assert not (photos / "set").exists()


def test_lines_of_other_classes_are_counted_in_a_part(photos):
    out = yolo.write(photos / "out", [sample(photos / "a.png")], valid=[sample(photos / "a.png")])
    text = out / "labels" / "val" / "a.txt"
    text.write_text(text.read_text() + "3 0.5 0.5 0.2 0.4\n")
    assert [yolo.others(out, part=part) for part in ("train", "val")] == [0, 1]


@pytest.mark.parametrize("bones", [(("b", "c"), ("a", "b")), ()])
def test_bones_come_back(photos, bones):
    own = Skeleton("own", ("a", "b", "c"), bones)
    joints = {"xy": np.ones((3, 2), np.float32), "visible": np.full(3, 2, np.uint8)}
    out = yolo.write(photos / "out", [sample(photos / "a.png", skeleton=own, **joints)])
    assert yolo.read(out)[0].skeleton.bones == bones


def test_people_may_be_called_otherwise(photos):
    out = yolo.write(photos / "out", [sample(photos / "a.png")], category="patient, adult")
    assert 'names: ["patient, adult"]\n' in (out / "data.yaml").read_text()
    assert len(yolo.read(out)) == 1


def test_what_is_written_is_yaml(photos):
    yaml = pytest.importorskip("yaml")
    own = Skeleton("own", ("Hip: L", "#hip r"), (("Hip: L", "#hip r"),))
    joints = {"xy": np.ones((2, 2), np.float32), "visible": np.full(2, 2, np.uint8)}
    people = [sample(photos / "a.png", skeleton=own, **joints)]
    out = yolo.write(photos / "out", people, category="a: b")
    found = yaml.safe_load((out / "data.yaml").read_text())
    assert found["names"] == ["a: b"]
    assert found["kpt_names"] == {0: ["Hip: L", "#hip r"]}
    assert found["skeleton"] == [["Hip: L", "#hip r"]]


# joints without names


@pytest.mark.parametrize("values", [2, 3])
def test_joints_that_are_only_counted_are_read(photos, values):
    (photos / "data.yaml").write_text(f"kpt_shape: [8, {values}]\nflip_idx: [1,0,2,3,4,5,6,7]\n")
    _label(photos, "0 0.5 0.5 0.2 0.4" + (" 0.5 0.25 2" if values == 3 else " 0.5 0.25") * 8)
    (found,) = yolo.read(photos)
    assert found.skeleton.mirror == (("joint_0", "joint_1"),)
    np.testing.assert_allclose(found.xy, [[100, 25]] * 8, atol=1e-4)


def test_17_joints_of_an_animal_are_not_cocos(photos):
    flip = [1, 0, 2, 3, 4, 8, 9, 10, 5, 6, 7, 14, 15, 16, 11, 12, 13]  # AP-10K's
    (photos / "data.yaml").write_text(f"kpt_shape: [17, 3]\nflip_idx: {flip}\n")
    _label(photos, f"0 0.5 0.5 0.2 0.4 {JOINTS}")
    assert yolo.read(photos)[0].skeleton.joints[0] == "joint_0"


@pytest.mark.parametrize("yaml", ["", "kpt_shape: [10, 3]\n"])
def test_numbers_that_do_not_fit_say_where_joints_are_named(photos, yaml):
    (photos / "data.yaml").write_text(yaml)
    _label(photos, "0 0.5 0.5 0.2 0.4" + " 0.1 0.1 2" * 8)
    said = r"holds 29 numbers, wanted 5, .* write kpt_shape: \[K, 3\] and kpt_names: \{0: \[NAME"
    with pytest.raises(ValueError, match=said):
        yolo.read(photos)


@pytest.mark.parametrize("line", ["0 0.5 0.5", "0 0.5 0.5 nan 0.4"])
def test_other_faults_of_a_line_speak_of_no_names(photos, line):
    _label(photos, line)
    with pytest.raises(ValueError, match=r"finite numbers for coco17$"):
        yolo.read(photos)


# photos beside the labels of a run


def test_photos_are_laid_beside_their_labels(photos):
    with yolo.Labels(photos / "out", COCO17) as out:
        out.put(found(1), Shot(photos / "a.png", size=(100, 200), label="a_2"))
    assert (out.path / "images" / "a_2.png").samefile(photos / "a.png")
    (person,) = yolo.read(out.path)
    assert person.image == out.path / "images" / "a_2.png"


def test_photos_may_be_left_where_they_are(photos):
    with yolo.Labels(photos / "out", COCO17, pictures=False) as out:
        out.add(found(1), image=photos / "a.png", size=(100, 200))
    assert not (out.path / "images").exists()


def test_frames_of_a_clip_are_not_laid_there(photos):
    with yolo.Labels(photos / "out", COCO17) as out:
        out.add(found(1), image=photos / "a.png", frame=0, size=(100, 200))
    assert not (out.path / "images").exists()


def test_a_photo_that_cannot_have_a_second_name_is_copied(photos, monkeypatch):
    monkeypatch.setattr(yolo.os, "link", _no_links)
    with yolo.Labels(photos / "out", COCO17) as out:
        out.add(found(1), image=photos / "a.png", size=(100, 200))
    copy = out.path / "images" / "a.png"
    assert copy.read_bytes() == (photos / "a.png").read_bytes()
    assert not copy.samefile(photos / "a.png")
    assert [path.name for path in copy.parent.iterdir()] == ["a.png"]


def _no_links(*_):
    raise PermissionError(1, "Operation not permitted")


def test_a_photo_that_changed_takes_the_place_of_the_older_one(photos):
    (photos / "out" / "images").mkdir(parents=True)
    (photos / "out" / "images" / "a.png").write_text("older")
    for _ in range(2):
        with yolo.Labels(photos / "out", COCO17) as out:
            out.add(found(1), image=photos / "a.png", size=(100, 200))
    assert (out.path / "images" / "a.png").samefile(photos / "a.png")


def test_photos_in_the_folder_itself_stay(photos):
    photo = photos / "out" / "images" / "a.png"
    photo.parent.mkdir(parents=True)
    (photos / "a.png").rename(photo)
    with yolo.Labels(photos / "out", COCO17) as out:
        out.add(found(1), image=photo, size=(100, 200))
    assert photo.stat().st_size


def test_a_photo_that_finds_no_place_is_named(photos):
    (photos / "out").mkdir()
    (photos / "out" / "images").write_text("in the way")
    with (
        pytest.raises(OSError, match=r"cannot write .*images.*a\.png"),
        yolo.Labels(photos / "out", COCO17) as out,
    ):
        out.add(found(1), image=photos / "a.png", size=(100, 200))
