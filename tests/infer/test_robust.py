import numpy as np
import pytest

import figures
from posegram.data.corrupt import KINDS, SEVERITIES, corrupt
from posegram.infer import robust
from posegram.infer.robust import Spoilt, kinds, robustness, sheet, table
from posegram.pose import LSP14, People


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 4)


class Reader:
    """Answers the truth, pushed aside by how much the photo differs from the clean one."""

    def __init__(self, people):
        from posegram import image

        self.clean = [(image.read(s.image), s) for s in people]
        self.seen = []

    def __call__(self, photo, boxes):
        self.seen.append(photo)
        offs = [np.abs(photo.astype(float) - clean).mean() for clean, _ in self.clean]
        sample = self.clean[int(np.argmin(offs))][1]
        xy = sample.xy[None] + np.float32(2 * min(offs))
        return People(xy, np.ones((1, 14), np.float32), boxes, LSP14)


def test_all_stands_for_every_kind():
    assert kinds("all") == KINDS


def test_kinds_are_named_with_commas():
    assert kinds("blur, dark") == ("blur", "dark")


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no corruption 'fog'; there are all, dark"):
        kinds("blur,fog")


def test_the_first_line_is_of_the_photos_as_they_are(people):
    lines = robustness(Reader(people), people, ("dark",), resamples=100)
    assert (lines[0].kind, lines[0].severity, lines[0].value) == ("none", 0.0, 100.0)


def test_there_is_a_line_for_every_severity(people):
    lines = robustness(Reader(people), people, ("dark", "blur"), resamples=100)
    wanted = [(k, s) for k in ("dark", "blur") for s in SEVERITIES]
    assert [(line.kind, line.severity) for line in lines[1:]] == wanted


def test_harder_photos_have_lower_numbers(people):
    lines = robustness(Reader(people), people, ("dark",), resamples=100)
    values = [line.value for line in lines]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 50


def test_two_models_see_the_same_spoilt_photos(people):
    one, two = Reader(people), Reader(people)
    for reader in (one, two):
        robustness(reader, people, ("noise",), resamples=100)
    for a, b in zip(one.seen, two.seen, strict=True):
        np.testing.assert_array_equal(a, b)


def test_chance_differs_from_photo_to_photo_and_not_with_the_severity(people, monkeypatch):
    seeds = []

    def listening(*arguments, seed):
        seeds.append(seed)
        return corrupt(*arguments, seed=seed)

    monkeypatch.setattr(robust, "corrupt", listening)
    robustness(Reader(people), people, ("noise",), resamples=100)
    by_photo = np.reshape(seeds, (len(SEVERITIES), len(people)))
    assert (by_photo == by_photo[0]).all()
    assert len(set(seeds)) == len(people)


LINES = [
    Spoilt("none", 0.0, 80.0, 75.0, 85.0, "PCK@0.2", "%"),
    *(Spoilt("dark", s, 80 - 50 * s, 20.0, 90.0, "PCK@0.2", "%") for s in SEVERITIES),
]


def test_the_table_names_the_number_and_the_clean_value():
    assert table(LINES).startswith(
        "PCK@0.2 (%), 95 % intervals over whole images; as they are 80.0"
    )


def test_the_table_has_the_mean_of_each_kind():
    assert "| dark | 70.0 [20.0, 90.0] |" in table(LINES)
    assert "| 30.0 [20.0, 90.0] | 50.0 |" in table(LINES)


def test_the_table_has_a_row_for_each_kind_and_one_for_all():
    kinds_of_rows = [line.split("|")[1].strip() for line in table(LINES).splitlines()[4:]]
    assert kinds_of_rows == ["dark", "**all**"]


def test_without_spoilt_photos_the_table_has_no_row():
    assert len(table(LINES[:1]).splitlines()) == 4


def test_a_number_from_0_to_1_has_three_decimals():
    lines = [Spoilt("none", 0.0, 0.8, 0.75, 0.85, "AP", ""),
             *(Spoilt("dark", s, 0.5, 0.2, 0.9, "AP", "") for s in SEVERITIES)]  # fmt: skip
    text = table(lines)
    assert text.startswith("AP, 95 % intervals over whole images; as they are 0.800 [0.750, 0.850]")
    assert "| 0.500 [0.200, 0.900] | 0.500 |" in text


def test_the_sheet_has_a_row_for_each_kind(people):
    one = sheet(Reader(people), people, ("dark",))
    two = sheet(Reader(people), people, ("dark", "blur"))
    assert one.shape[1] == two.shape[1]
    assert two.shape[0] > 1.8 * one.shape[0]
