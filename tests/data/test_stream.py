import os
from pathlib import Path

import numpy as np
import pytest

from posegram.data.stream import FileStream, Shot, exact, person_scores, save_text, sweep
from posegram.pose import COCO17, LSP14, People


class Count(FileStream):
    """A line with the number of people for each picture, and a last one."""

    def _write(self, people, shot):
        self._file.write(f"{len(people)} {people.skeleton.name}\n")

    def _end(self):
        self._file.write("end\n")


def nobody(skeleton=COCO17):
    return People.none(skeleton)


def broken_off(path, *, after):
    """Work on a file that Ctrl-C ends after some pictures."""
    with Count(path, COCO17) as out:
        for _ in range(after):
            out.add(nobody())
        raise KeyboardInterrupt


def test_the_file_appears_at_the_end_alone(tmp_path):
    with Count(tmp_path / "a.txt", COCO17) as out:
        out.add(nobody())
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "0 coco17\nend\n"


def test_nothing_else_is_left_behind(tmp_path):
    with Count(tmp_path / "a.txt", COCO17) as out:
        out.add(nobody())
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_work_that_is_broken_off_leaves_a_whole_file_of_what_was_done(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        broken_off(tmp_path / "a.txt", after=2)
    assert (tmp_path / "a.txt").read_text() == "0 coco17\n0 coco17\nend\n"


def test_work_that_fails_before_the_first_picture_keeps_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        broken_off(tmp_path / "a.txt", after=0)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_picture_that_fails_half_way_is_left_out_whole(tmp_path, fault):
    class Half(Count):
        def _write(self, people, shot):
            super()._write(people, shot)
            if shot.frame == 1:
                raise fault

    with Half(tmp_path / "a.txt", COCO17) as out:
        out.add(nobody(), frame=0)
        with pytest.raises(fault):
            out.add(nobody(), frame=1)
        out.add(nobody(LSP14), frame=2)
    assert ((tmp_path / "a.txt").read_text(), out.count) == ("0 coco17\n0 coco17\nend\n", 2)


def test_two_files_of_one_name_under_way_do_not_meet(tmp_path):
    first, second = (Count(tmp_path / "a.txt", COCO17) for _ in range(2))
    first.add(nobody())
    second.add(nobody(LSP14))
    assert first.close() == second.close()
    assert (tmp_path / "a.txt").read_text() == "0 coco17\nend\n"


def test_a_second_close_does_nothing(tmp_path):
    out = Count(tmp_path / "a.txt", COCO17)
    assert out.close() == out.close() == tmp_path / "a.txt"


def test_people_of_another_skeleton_are_converted(tmp_path):
    with Count(tmp_path / "a.txt", COCO17) as out:
        out.add(nobody(LSP14))
    assert (tmp_path / "a.txt").read_text().startswith("0 coco17")


def test_a_missing_folder_is_named_before_any_work(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot write .*a\.txt: there is no folder .*no"):
        Count(tmp_path / "no" / "a.txt", COCO17)


def test_a_file_in_the_way_of_a_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot write .*a\.txt: "):
        save_text(tmp_path / "file" / "a.txt", "x")


def test_a_text_is_replaced_as_a_whole(tmp_path):
    save_text(tmp_path / "new" / "a.txt", "long text")
    save_text(tmp_path / "new" / "a.txt", "short")
    assert [p.read_text() for p in (tmp_path / "new").iterdir()] == ["short"]


def test_a_text_may_have_the_longest_name(tmp_path):
    path = tmp_path / f"{'a' * 251}.txt"
    assert save_text(path, "all").read_text() == "all"


def test_a_frame_is_called_as_cvat_calls_it():
    assert Shot(image=Path("clip.mp4"), frame=7).name == "frame_000007.png"


def test_a_photo_keeps_its_name():
    assert Shot(image=Path("a/street.jpg")).name == "street.jpg"


def test_a_photo_may_keep_folders_in_its_name():
    assert Shot(image=Path("a/b/street.jpg"), place="b/street.jpg").name == "b/street.jpg"


def test_an_exact_number_is_the_same_float32_and_short():
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 2000, 200).astype(np.float32)
    assert [np.float32(exact(v)) for v in values] == values.tolist()
    assert repr(exact(np.float32(310.61))) == "310.61"


def test_a_persons_score_is_that_of_the_joints_that_exist():
    xy = np.zeros((2, 14, 2), np.float32)
    xy[0, 2:] = np.nan
    xy[1] = np.nan
    score = np.full((2, 14), 0.9, np.float32)
    score[0, :2] = 0.25, 0.75
    people = People(xy, score, np.zeros((2, 4), np.float32), LSP14)
    assert person_scores(people).tolist() == [0.625, 0.0]


# what killed runs left


@pytest.mark.parametrize(
    ("name", "written", "stays"),
    [
        (f".{'0a' * 16}.part", 0, False),
        (f".{'0a' * 16}.keras", 0, False),
        (f".{'0a' * 16}.part", None, True),  # just now
        (".film.part", 0, True),
        (f"{'0a' * 16}.part", 0, True),
    ],
)
def test_only_old_half_written_files_of_ours_are_removed(tmp_path, name, written, stays):
    (tmp_path / name).touch()
    if written is not None:
        os.utime(tmp_path / name, (written, written))
    sweep(tmp_path)
    assert (tmp_path / name).exists() == stays


def test_a_folder_that_is_not_there_has_nothing_to_remove(tmp_path):
    sweep(tmp_path / "gone")
