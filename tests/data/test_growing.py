import json
import resource
from contextlib import contextmanager

import pytest

from posegram.data.growing import Growing


@contextmanager
def full(size):
    """No file grows beyond so many bytes, as on a full disk; pytest may write its report after."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_file_appears_when_it_is_done(tmp_path):
    file = Growing(tmp_path / "a.txt")
    file.write("one ")
    file.keep()
    file.write("two")
    assert not file.path.exists()
    file.done()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "one two")]


def test_a_piece_that_does_not_fit_is_left_out_whole(tmp_path):
    file = Growing(tmp_path / "a.txt")
    with full(10):
        for text in ("12345\n", "123456789\n", "89\n"):
            file.write(text)
            if len(text) == 10:
                with pytest.raises(OSError, match=r"cannot write .*a\.txt: File too large"):
                    file.keep()
            else:
                file.keep()
        file.done()
    assert file.path.read_text() == "12345\n89\n"


def test_a_list_stays_a_list_without_what_did_not_fit(tmp_path):
    file = Growing(tmp_path / "a.json")
    with full(40):
        file.write("[")
        file.keep()
        for entry in ("x" * 40, "one", "y" * 40, "two"):
            file.entry(json.dumps(entry))
            if len(entry) == 40:
                with pytest.raises(OSError, match="File too large"):
                    file.keep()
            else:
                file.keep()
        file.write("]")
        file.done()
    assert json.loads(file.path.read_text()) == ["one", "two"]


def test_what_is_forgotten_is_not_written(tmp_path):
    file = Growing(tmp_path / "a.txt")
    file.write("no")
    file.forget()
    file.write("yes")
    file.done()
    assert file.path.read_text() == "yes"


def test_a_file_that_is_dropped_leaves_nothing_and_one_that_is_done_stays(tmp_path):
    files = [Growing(tmp_path / name) for name in ("a", "b")]
    files[0].done()
    for file in files:
        file.drop()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_place_that_is_taken_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    file = Growing(tmp_path / "a")
    with pytest.raises(OSError, match=r"cannot write .*/a: Is a directory"):
        file.done()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Growing(tmp_path / "gone" / "a")


def test_a_file_name_that_is_no_utf8_is_written_with_escapes(tmp_path):
    file = Growing(tmp_path / "a.txt")
    file.write("bad\udcff.jpg")
    file.done()
    assert file.path.read_text(encoding="utf-8") == "bad\\udcff.jpg"
