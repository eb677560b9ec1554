"""A good set of stick figures, and ways to spoil it."""

from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram.data.doctor.annotations import gather

COUNT = 60


class Good:
    """Sixty stick figures, one in a picture; every change makes a new set."""

    def __init__(self, samples):
        self.samples = samples
        (self.people,) = gather(samples)

    def changed(self, **arrays):
        """The set with some of its arrays replaced."""
        return replace(self.people, **arrays)

    def moved(self, row, joint, place):
        """The set with one joint of one person somewhere else."""
        xy = self.people.xy.copy()
        xy[row, self.people.skeleton.index(joint)] = place
        return self.changed(xy=xy)

    def flagged(self, row, joint, flag):
        """The set with another v of one joint."""
        flags = self.people.flag.copy()
        flags[row, self.people.skeleton.index(joint)] = flag
        return self.changed(flag=flags)

    def boxed(self, row, box):
        """The set with another box x0, y0, x1, y1 of one person."""
        boxes = self.people.box.copy()
        boxes[row] = box
        return self.changed(box=boxes)

    def exchanged(self, row, *pairs):
        """The set with joints of one person exchanged, or of everybody when the row is a slice."""
        xy = self.people.xy.copy()
        for pair in pairs:
            a, b = (self.people.skeleton.index(joint) for joint in pair)
            xy[row, a], xy[row, b] = self.people.xy[row, b], self.people.xy[row, a]
        return self.changed(xy=xy)


@pytest.fixture(scope="session")
def _samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    samples = figures.samples(folder, COUNT, freedom=0.35)
    rng = np.random.default_rng(0)  # some joints are hidden, as in any real set
    return [
        replace(s, visible=np.where(rng.random(len(s.visible)) < 0.1, 1, 2).astype(np.uint8))
        for s in samples
    ]


@pytest.fixture
def good(_samples):
    return Good(_samples)


@pytest.fixture
def kinds():
    """Levels and kinds of findings, each once, sorted."""
    return lambda findings: sorted({(one.level, one.kind) for one in findings})
