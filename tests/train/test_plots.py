import pytest

from posegram import image
from posegram.train.plots import plot


def test_a_plot_has_100_pixels_an_inch(tmp_path):
    with plot(tmp_path / "a.png", (3, 2)) as (_, axis):
        axis.plot([1, 2])
    assert image.read(tmp_path / "a.png").shape == (200, 300, 3)


def test_a_plot_that_fails_leaves_the_older_file(tmp_path):
    older = tmp_path / "a.png"
    older.write_bytes(b"older")
    with pytest.raises(ZeroDivisionError), plot(older, (3, 2)):
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert older.read_bytes() == b"older"


def test_a_plot_is_closed_after_use(tmp_path):
    from matplotlib import pyplot as plt

    with plot(tmp_path / "a.png", (3, 2)):
        pass
    assert plt.get_fignums() == []
