import numpy as np
import pytest

from posegram.infer.verify import verify
from posegram.pose import LSP14, People

BLANK = np.zeros((200, 200, 3), dtype=np.uint8)


def somebody(shift=0.0, score=0.9):
    """An estimate that always finds one person, moved right by some pixels."""
    xy = np.linspace(20, 160, 28, dtype=np.float32).reshape(1, 14, 2)
    xy = xy + np.array([shift, 0], dtype=np.float32)
    box = np.array([[10, 10, 170, 170]], dtype=np.float32)
    people = People(xy, np.full((1, 14), score, dtype=np.float32), box, LSP14)
    return lambda image: people


def test_the_same_people_agree():
    assert verify({"a": somebody(), "b": somebody(1)}, [BLANK]).agrees


def test_people_elsewhere_do_not_agree():
    assert not verify({"a": somebody(), "b": somebody(9)}, [BLANK]).agrees


def test_somebody_whom_one_misses_is_a_difference():
    nobody = lambda image: People.none(LSP14)  # noqa: E731
    assert not verify({"a": nobody, "b": somebody()}, [BLANK]).agrees


def test_unsure_people_may_differ():
    nobody = lambda image: People.none(LSP14)  # noqa: E731
    assert verify({"a": nobody, "b": somebody(score=0.3)}, [BLANK]).agrees


def test_the_distance_is_told_in_pixels():
    assert verify({"a": somebody(), "b": somebody(2)}, [BLANK]).away == pytest.approx(2)


def test_each_engine_has_its_time():
    assert set(verify({"a": somebody(), "b": somebody()}, [BLANK]).milliseconds) == {"a", "b"}


def test_no_photos_are_refused():
    with pytest.raises(ValueError, match="at least one photo"):
        verify({"a": somebody(), "b": somebody()}, [])
