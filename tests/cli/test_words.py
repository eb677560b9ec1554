import pytest

from posegram.cli.words import counted


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1200, "1,200 photos")]
)
def test_one_thing_is_no_plural(count, said):
    assert counted(count, "photo") == said


def test_a_plural_of_its_own_is_taken():
    assert [counted(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]
