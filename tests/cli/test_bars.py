import pytest
from rich.console import Console

from posegram.cli.bars import bar, watched


def test_everything_comes_once_and_in_order():
    assert list(watched([3, 1, 2], "numbers")) == [3, 1, 2]


def test_a_file_gets_no_bar(capsys):
    list(watched([1, 2], "numbers"))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_for_terminals(monkeypatch, terminal):
    monkeypatch.setattr(Console, "is_terminal", terminal)
    assert bar().disable is not terminal


def test_what_has_no_length_is_watched_too():
    assert list(watched(iter("ab"), "letters", 2)) == ["a", "b"]
