from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram import coords, image
from posegram.infer import evaluate as measure
from posegram.pose import LSP14, MPII16, Card
from posegram.train.report import baseline, results, table, write_card

CARD = Card("tiny", "regression", LSP14, (64, 64), data=("lspet",))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 5)


def perfect(people):
    """A validation whose predictions are the labels, in photo pixels."""
    truth = np.stack([s.xy for s in people])
    return {
        "xy": truth.copy(),
        "truth": truth,
        "logit": np.zeros(truth.shape[:2], np.float32),
        "weight": np.ones(truth.shape[:2], np.float32),
        "scale": np.full(len(people), 3, np.float32),
        "loss": np.full(len(people), 0.5, np.float32),
        "row": np.arange(len(people)),
    }


def cells(text, joint):
    """The cells behind a joint's name."""
    (row,) = [r for r in text.splitlines() if r.startswith(f"| {joint} ")]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


# the mean pose


def test_the_mean_of_one_person_is_that_person(people):
    seen = perfect(people[:1])
    mean = baseline(people[:1], people[:1], seen, CARD)
    np.testing.assert_allclose(mean["xy"], seen["truth"], atol=1e-3)


def test_the_mean_pose_is_the_same_in_every_crop(people):
    mean = baseline(people, people, perfect(people), CARD)
    crops = [
        coords.move(xy, coords.to_crop(s.box, CARD.size, margin=CARD.margin))
        for xy, s in zip(mean["xy"], people, strict=True)
    ]
    np.testing.assert_allclose(crops, [crops[0]] * len(people), atol=1e-3)


def test_the_mean_pose_is_worse_than_the_truth_and_better_than_nothing(people):
    mean = baseline(people[:3], people[3:], perfect(people[3:]), CARD)
    away = np.linalg.norm(mean["xy"] - mean["truth"], axis=-1).mean()
    assert 1 < away < 40


def test_joints_that_are_not_labelled_leave_the_mean_alone(people):
    hidden = replace(
        people[1], visible=np.zeros(14, np.uint8), xy=np.full((14, 2), 9999, np.float32)
    )
    with_and_without = [
        baseline(train, people, perfect(people), CARD)["xy"]
        for train in ([people[0], hidden], [people[0]])
    ]
    np.testing.assert_array_equal(*with_and_without)


# the pictures


def test_there_are_pictures_of_the_best_the_median_and_the_worst(people, tmp_path):
    results(tmp_path / "results", perfect(people), people, CARD)
    assert sorted(p.name for p in tmp_path.glob("results/*")) == [
        "best.png",
        "median.png",
        "worst.png",
    ]


def test_the_best_picture_starts_with_the_best_and_the_worst_with_the_worst(people, tmp_path):
    seen = perfect(people)
    seen["xy"][3] += 60
    seen["xy"][[0, 1, 4]] += 20
    results(tmp_path, seen, people, CARD)
    results(tmp_path / "2", {k: v[2:3] for k, v in seen.items()}, people[2:3], CARD)
    results(tmp_path / "3", {k: v[3:4] for k, v in seen.items()}, people[3:4], CARD)
    for name, number in (("best", 2), ("worst", 3)):
        first = image.read(tmp_path / f"{name}.png")[:200, :200]
        alone = image.read(tmp_path / f"{number}" / "best.png")[:200, :200]
        np.testing.assert_array_equal(first, alone)


def test_people_with_few_labels_are_not_shown(people, tmp_path):
    seen = perfect(people)
    seen["weight"][1:, 3:] = 0
    results(tmp_path, seen, people, CARD)
    whole = image.read(tmp_path / "best.png")
    results(tmp_path, {k: v[:1] for k, v in perfect(people).items()}, people[:1], CARD)
    np.testing.assert_array_equal(whole, image.read(tmp_path / "best.png"))


def shown(people, folder, seen):
    """The best picture of one person, between whose joints there are no bones."""
    bare = replace(CARD, skeleton=replace(LSP14, name="bare", bones=(), mirror=()), margin=1.25)
    results(folder, {k: v[:1] for k, v in seen.items()}, people[:1], bare)
    return image.read(folder / "best.png").astype(int)


def pink(picture):
    """How many pixels are of the line between a predicted joint and its label."""
    red, green, blue = (picture[..., n] for n in range(3))
    return int(((red > 200) & (green < 90) & (blue > 130)).sum())


def test_a_line_leads_from_a_joint_without_bones_to_its_label(people, tmp_path):
    seen = perfect(people)
    right = shown(people, tmp_path / "right", seen)[:200]
    seen["xy"][0, 3] += 15
    wrong = shown(people, tmp_path / "wrong", seen)[:200]
    assert pink(wrong) > pink(right) + 10


def test_no_line_leads_to_a_joint_that_is_not_labelled(people, tmp_path):
    seen = perfect(people)
    seen["weight"][0, 3] = 0
    right = shown(people, tmp_path / "right", seen)[:200]
    seen["xy"][0, 3] += 15
    assert pink(shown(people, tmp_path / "wrong", seen)[:200]) <= pink(right)


def test_the_colours_are_explained_below_the_people(people, tmp_path):
    sheet = shown(people, tmp_path, perfect(people))
    assert sheet.shape[0] == 220 + 2 * 4 + 24
    assert pink(sheet[-24:]) > 10
    assert (sheet[-24:] > 250).all(axis=-1).sum() > 100


def test_without_anybody_to_rank_there_is_no_picture(people, tmp_path):
    seen = perfect(people)
    seen["weight"][:] = 0
    results(tmp_path, seen, people, CARD)
    assert list(tmp_path.iterdir()) == []


# the table


def test_the_table_has_a_row_for_every_joint_and_one_for_all(people):
    text = table(perfect(people), perfect(people), LSP14)
    names = [row.strip("|").split("|")[0].strip() for row in text.splitlines()[2:]]
    assert names == [*LSP14.joints, "**all**"]


def test_a_perfect_joint_has_mae_0_and_pck_100(people):
    assert cells(table(perfect(people), perfect(people), LSP14), "neck")[:3] == [
        "5",
        "0.00",
        "100.0",
    ]


def test_a_joint_that_is_off_shows_its_distance_and_its_misses(people):
    seen = perfect(people)
    seen["xy"][:2, LSP14.index("neck"), 0] += 50  # 25 a coordinate, of 2 people in 5
    assert cells(table(seen, perfect(people), LSP14), "neck") == ["5", "10.00", "60.0", "100.0"]


def test_the_mean_pose_stands_in_the_last_column(people):
    mean = perfect(people)
    mean["xy"] = mean["xy"] + 500
    assert cells(table(perfect(people), mean, LSP14), "neck")[3] == "0.0"


def test_a_joint_that_is_never_labelled_has_no_numbers(people):
    seen = perfect(people)
    seen["weight"][:, LSP14.index("neck")] = 0
    assert cells(table(seen, seen, LSP14), "neck") == ["0", "-", "-", "-"]


def test_a_joint_of_people_without_a_torso_alone_has_no_pck(people):
    seen = perfect(people)
    seen["weight"][1:, LSP14.index("neck")] = 0
    seen["weight"][0, LSP14.index("left_shoulder")] = 0
    assert cells(table(seen, seen, LSP14), "neck") == ["1", "0.00", "-", "-"]


def test_the_last_row_is_over_all_labelled_joints(people):
    seen = perfect(people)
    seen["weight"][:, 0] = 0
    seen["xy"][:, 0] += 500
    last = table(seen, seen, LSP14).splitlines()[-1]
    assert [c.strip(" *") for c in last.strip("|").split("|")] == [
        "all",
        str(5 * 13),
        "0.00",
        "100.0",
        "100.0",
    ]


@pytest.fixture(scope="module")
def mpiis(tmp_path_factory):
    """MPII's people, and a validation that has all of their pelvises and some knees wrong."""
    made = figures.samples(tmp_path_factory.mktemp("mpii"), 5, skeleton=MPII16)
    seen = perfect(made)
    seen["xy"][:, MPII16.index("pelvis")] += 500
    seen["xy"][:2, MPII16.index("left_knee")] += 500
    return made, seen


def test_below_mpiis_joints_stands_the_mean_that_evaluate_prints(mpiis):
    made, seen = mpiis
    *_, empty, line = table(seen, perfect(made), MPII16).splitlines()
    found = measure.Predicted(seen["xy"], None)
    report = measure.evaluate(found, made, metrics=("pck",), resamples=100)
    (pck,) = [n.value for n in report.numbers if n.name == "PCK@0.2"]
    assert (empty, f"{pck:.1f}") == ("", f"{100 * 68 / 70:.1f}")
    assert line == (
        "MPII's mean leaves out pelvis and thorax, as `posegram evaluate` does: "
        f"PCK@0.2 {pck:.1f} %, mean pose 100.0 %."
    )


# the card


@pytest.fixture
def card_text(tmp_path):
    write_card(tmp_path / "card.md", CARD, "| joint |", "posegram train x.toml")
    return (tmp_path / "card.md").read_text()


@pytest.mark.parametrize(
    "told",
    [
        "# tiny\n",
        "kind: regression, 14 joints (lsp14)",
        "64x64 pixels",
        "data: lspet",
        "licence of the weights: Apache-2.0",
        "made by `posegram train x.toml`",
        "| joint |",
    ],
)
def test_the_card_tells(card_text, told):
    assert told in card_text


def test_a_card_without_data_says_so(tmp_path):
    write_card(tmp_path / "card.md", replace(CARD, data=()), "", "")
    assert "data: not recorded" in (tmp_path / "card.md").read_text()


def test_the_card_of_a_run_holds_the_table_of_its_validation(trained):
    text = (trained.config.run / "card.md").read_text()
    assert cells(text, "left_wrist")[0] == "5"
