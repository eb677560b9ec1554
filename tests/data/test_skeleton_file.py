from dataclasses import replace

import pytest

import figures
from posegram.data import nameless
from posegram.data.skeleton_file import read, with_sigmas
from posegram.pose import COCO17, LSP14, Skeleton


def written(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_gives_joints_bones_and_pairs(tmp_path):
    path = written(tmp_path, 'joints = ["Hand.L", "Hand.R", "Top"]\nbones = [["Top", "Hand.L"]]')
    assert read(path) == Skeleton(
        "mine", ("hand.l", "hand.r", "top"), (("top", "hand.l"),), (("hand.l", "hand.r"),)
    )


def test_stated_pairs_win_over_names(tmp_path):
    assert read(written(tmp_path, 'joints = ["l_a", "r_a"]\nmirror = []')).mirror == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("joints = ", "is not TOML"),
        ("bones = []", "a skeleton file has `joints`"),
        ('joints = ["a"]\njoint = 3', "a skeleton file has `joints` and may have name, joints"),
        ('joints = ["a", "a"]', "names a joint twice"),
        ('joints = ["a"]\nbones = [["a", "b"]]', "has no joint 'b'"),
        ('joints = ["a"]\nbones = ["a"]', "is no skeleton"),
        ('joints = "nose"', "a skeleton file has `joints`"),
        ('joints = ["a"]\nsigmas = [0]', "`sigmas` are finite numbers above 0"),
        ('joints = ["a"]\nsigmas = [-0.1]', "`sigmas` are finite numbers above 0"),
        ('joints = ["a"]\nsigmas = [nan]', "`sigmas` are finite numbers above 0"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=rf"mine\.toml.*{sentence}"):
        read(written(tmp_path, text))


def test_a_file_of_windows_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b'\xef\xbb\xbfjoints = ["a"]\r\n')
    assert read(path).joints == ("a",)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no skeleton file .*gone\.toml"):
        read(tmp_path / "gone.toml")


@pytest.fixture
def people(tmp_path):
    return figures.samples(tmp_path, 2)


def test_joints_get_the_sigmas_of_their_names(tmp_path, people):
    joints = ", ".join(f'"{joint}"' for joint in reversed(people[0].skeleton.joints))
    count = len(people[0].skeleton)
    sigmas = [round(0.01 * (n + 1), 2) for n in range(count)]
    path = written(tmp_path, f"joints = [{joints}]\nsigmas = {sigmas}")
    for sample in with_sigmas(people, str(path)):
        assert sample.skeleton.sigmas == tuple(reversed(sigmas))


def test_people_of_several_skeletons_keep_their_own(people, tmp_path):
    names = people[0].skeleton.joints
    turned = replace(people[0], skeleton=Skeleton("turned", names[::-1]))
    path = written(tmp_path, f"joints = {list(names)}\nsigmas = {[0.1] * len(names)}")
    found = with_sigmas([people[0], turned], str(path))
    assert [one.skeleton.joints for one in found] == [names, names[::-1]]


def test_nobody_needs_no_sigmas():
    assert with_sigmas([], "coco17") == []


def test_a_joint_without_a_sigma_is_named(people):
    lacking = set(people[0].skeleton.joints) - set(COCO17.joints)
    assert lacking
    with pytest.raises(ValueError, match="coco17 has no sigma for .*" + sorted(lacking)[0]):
        with_sigmas(people, "coco17")


def test_a_skeleton_without_sigmas_is_refused(people):
    assert not LSP14.sigmas
    with pytest.raises(ValueError, match="lsp14 states no sigmas, which AP needs"):
        with_sigmas(people, "lsp14")


def test_only_ap_asks_for_sigmas(people):
    assert with_sigmas(people, "lsp14", ["error"]) == people
    with pytest.raises(ValueError, match="lsp14 states no sigmas, which AP needs"):
        with_sigmas(people, "lsp14", ["error", "ap"])


@pytest.mark.parametrize("metrics", [["error"], ["error", "ap"], ["ap"]])
def test_a_file_without_sigmas_names_joints_for_all_but_ap(people, tmp_path, metrics):
    bare = [replace(s, skeleton=Skeleton("yolo14", nameless.names(14))) for s in people]
    path = written(tmp_path, f"joints = {list(LSP14.joints)}")
    if metrics == ["ap"]:
        with pytest.raises(ValueError, match=r"mine\.toml states no sigmas, which AP needs"):
            with_sigmas(bare, str(path), metrics)
    else:
        found = with_sigmas(bare, str(path), metrics)
        assert {s.skeleton.joints for s in found} == {LSP14.joints}


def test_joints_without_names_get_the_files_and_their_sigmas(people, tmp_path):
    bare = [replace(s, skeleton=Skeleton("yolo14", nameless.names(14))) for s in people]
    names = people[0].skeleton.joints
    path = written(tmp_path, f"joints = {list(names)}\nsigmas = {[0.1] * len(names)}")
    assert {s.skeleton.joints for s in with_sigmas(bare, str(path))} == {names}
