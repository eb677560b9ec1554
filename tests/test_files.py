import contextlib

import pytest

from posegram.files import draft_of, replacing


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "new")]


def test_an_error_leaves_the_older_file_and_no_draft(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with contextlib.suppress(KeyboardInterrupt), replacing(path) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_an_error_before_a_word_is_written_is_the_one_that_is_told(tmp_path):
    with pytest.raises(ValueError, match="early"), replacing(tmp_path / "a.txt"):
        raise ValueError("early")


def test_a_place_that_is_taken_by_a_folder_leaves_no_draft(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError), replacing(tmp_path / "a") as draft:  # noqa: PT011
        draft.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_two_writers_of_a_file_have_drafts_of_their_own(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"


def test_a_draft_is_hidden_beside_its_file_and_may_end_as_its_writer_wants(tmp_path):
    draft = draft_of(tmp_path / "a.keras", ".keras")
    assert (draft.parent, draft.name[0], draft.suffix) == (tmp_path, ".", ".keras")


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"cannot write .*a\.txt: there is no folder .*no"),
        replacing(tmp_path / "no" / "a.txt"),
    ):
        pass


def test_a_file_has_the_mode_that_any_new_file_has(tmp_path):
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "a") as draft:
        draft.write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
