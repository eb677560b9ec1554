"""One finished run, shared by all tests of training that only look at it."""

from typing import NamedTuple

import pytest

import runs
from posegram.pose import Sample
from posegram.train import Config, fit
from posegram.train.fit import sets


class Trained(NamedTuple):
    config: Config
    onnx: object
    train: list[Sample]
    valid: list[Sample]


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    config = runs.settings(folder, runs.labels(folder))
    return Trained(config, fit(config, progress=False), *sets(config))
