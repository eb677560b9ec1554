from dataclasses import replace

import numpy as np
import pytest

from figures import pose
from posegram.metrics import METRICS
from posegram.metrics.oks import AP_NAMES
from posegram.metrics.pck import area_under, average, distance, mae, pck, pckh, torso
from posegram.metrics.protocols import (
    ap_numbers,
    average_precision,
    calibration,
    error,
    pck_torso,
    pckh_head,
)
from posegram.metrics.report import Case
from posegram.pose import COCO17, LSP14, MPII16, Skeleton


def case(skeleton=COCO17, *, people=8, noise=6.0, seed=0):
    """Standing figures, two to an image, every fifth joint unlabelled, predictions with noise."""
    rng = np.random.default_rng(seed)
    truth = np.array([pose(skeleton, rng) for _ in range(people)], dtype=np.float64)
    xy = truth + rng.normal(0, noise, truth.shape)
    box = np.concatenate([truth.min(axis=1), truth.max(axis=1)], axis=1)
    labelled = np.arange(people * len(skeleton)).reshape(people, -1) % 5 > 0
    return Case(
        xy=xy,
        score=rng.uniform(0, 1, truth.shape[:2]),
        predicted=np.ones(truth.shape[:2], dtype=bool),
        truth=truth,
        labelled=labelled,
        image=np.arange(people) // 2,
        box=box,
        head=rng.uniform(15, 25, people),
        area=np.full(people, 6000.0),
        skeleton=skeleton,
    )


def values(panel, images=4):
    found = panel.statistic(np.ones((1, images)))[0]
    overall = len(panel.numbers) - panel.by_joint
    return {n.name: v for n, v in zip(panel.numbers[:overall], found, strict=False)}


def test_every_metric_gives_as_many_numbers_as_it_names():
    panels = [metric(case()) for metric in METRICS.values()]
    assert [p.statistic(np.ones((3, 4))).shape for p in panels] == [
        (3, len(p.numbers)) for p in panels
    ]


def test_error_gives_mae_in_pixels():
    one = case()
    assert values(error(one))["MAE"] == pytest.approx(mae(one.xy, one.truth, one.labelled))


def test_error_gives_epe_in_pixels():
    one = case()
    assert values(error(one))["EPE"] == pytest.approx(
        average(distance(one.xy, one.truth), one.labelled)
    )


def test_error_counts_the_labelled_joints():
    one = case()
    assert error(one).numbers[0].counted == one.labelled.sum()


def test_error_leaves_out_joints_without_prediction():
    one = case()
    xy, predicted = one.xy.copy(), one.predicted.copy()
    xy[0, 1], predicted[0, 1] = np.nan, False
    seen = one.labelled & predicted
    wanted = average(np.nan_to_num(distance(xy, one.truth)), seen)
    assert values(error(replace(one, xy=xy, predicted=predicted)))["EPE"] == pytest.approx(wanted)


@pytest.mark.parametrize("weighting", ["count-weighted", "unweighted"])
@pytest.mark.parametrize("threshold", [0.5, 0.1])
def test_pckh_head_gives_pckh_in_both_weightings(threshold, weighting):
    one = case()
    name = f"PCKh@{threshold}" + " unweighted" * (weighting == "unweighted")
    wanted = pckh(
        one.xy, one.truth, one.labelled, one.head, threshold=threshold, weighting=weighting
    )
    assert values(pckh_head(one))[name] == pytest.approx(100 * wanted)


def test_pckh_of_mpii_leaves_out_pelvis_and_thorax():
    one = case(MPII16)
    kept = [r for r, j in enumerate(MPII16.joints) if j not in ("pelvis", "thorax")]
    wanted = pckh(one.xy[:, kept], one.truth[:, kept], one.labelled[:, kept], one.head)
    assert values(pckh_head(one))["PCKh@0.5"] == pytest.approx(100 * wanted)


def test_pckh_without_head_sizes_is_refused_and_pck_offered():
    blind = replace(case(), head=np.full(8, np.nan))
    with pytest.raises(ValueError, match=r"--heads FILE\.mat, or ask for PCK"):
        pckh_head(blind)


def test_pck_torso_gives_pck_of_people_with_a_torso():
    one = case()
    length = torso(one.truth, COCO17, one.labelled)
    known = length > 0
    right = distance(one.xy, one.truth, length) <= 0.2
    wanted = average(right[known].astype(float), one.labelled[known])
    assert values(pck_torso(one))["PCK@0.2"] == pytest.approx(100 * wanted)


def test_people_without_a_torso_are_counted_in_a_note():
    without = np.isnan(torso(case().truth, COCO17, case().labelled)).sum()
    assert pck_torso(case()).notes == (
        f"{without} people without a known torso (left shoulder to right hip) are left out of PCK",
    )


def test_pck_without_any_torso_is_refused():
    one = case()
    labelled = one.labelled.copy()
    labelled[:, COCO17.index("right_hip")] = False
    with pytest.raises(ValueError, match="no labelled person has one"):
        pck_torso(replace(one, labelled=labelled))


@pytest.mark.parametrize(
    ("metric", "name", "top"), [(pckh_head, "PCKh AUC", 0.5), (pck_torso, "PCK AUC", 0.2)]
)
def test_the_area_runs_to_the_threshold_of_its_metric(metric, name, top):
    one = case()
    length = one.head if metric is pckh_head else torso(one.truth, COCO17, one.labelled)
    counted = one.labelled & (length > 0)[:, None]
    wanted = average(area_under(distance(one.xy, one.truth, length), top=top), counted)
    assert values(metric(one))[name] == pytest.approx(100 * wanted)


def test_a_joint_exactly_on_the_threshold_is_right_in_pckh():
    one = replace(case(), head=np.full(8, 20.0))
    edge = replace(one, truth=np.zeros_like(one.xy), xy=np.full_like(one.xy, [10.0, 0.0]))
    assert values(pckh_head(edge))["PCKh@0.5"] == 100


def test_the_number_of_each_joint_is_pckh_at_one_half():
    panel = pckh_head(case())
    assert {n.name for n in panel.numbers[-panel.by_joint :]} == {"PCKh@0.5"}


def test_every_joint_has_its_own_number():
    one = case()
    panel = pckh_head(one)
    found = panel.statistic(np.ones((1, 4)))[0][-panel.by_joint :]
    assert found == pytest.approx(100 * pck(one.xy, one.truth, one.labelled, one.head, 0.5))


def test_a_missing_prediction_is_wrong_in_pckh():
    perfect = replace(case(), xy=case().truth.copy())
    xy = perfect.xy.copy()
    xy[0, 1] = np.nan  # this joint is labelled
    missing = replace(perfect, xy=xy, predicted=np.isfinite(xy).all(axis=-1))
    count = perfect.labelled.sum()
    assert values(pckh_head(missing))["PCKh@0.5"] == pytest.approx(100 * (count - 1) / count)


def test_average_precision_of_perfect_predictions_is_one():
    assert values(average_precision(replace(case(), xy=case().truth)))["AP"] == pytest.approx(1)


def test_average_precision_falls_with_noise():
    assert values(average_precision(case(noise=8)))["AP"] < 0.9


def test_average_precision_of_a_smaller_joint_set_takes_its_sigmas():
    xy = case().truth.copy()
    xy[:, 0] = np.nan
    one = replace(case(), xy=xy, predicted=np.isfinite(xy).all(axis=-1))
    assert values(average_precision(one))["AP"] == pytest.approx(1)


def test_a_person_without_prediction_is_missed_in_ap():
    xy = case().truth.copy()
    xy[0] = np.nan
    one = replace(case(), xy=xy, predicted=np.isfinite(xy).all(axis=-1))
    assert values(average_precision(one))["AR"] == pytest.approx(7 / 8)


def test_half_a_person_is_refused_in_ap():
    xy = case().truth.copy()
    xy[0, 3] = np.nan
    one = replace(case(), xy=xy, predicted=np.isfinite(xy).all(axis=-1))
    with pytest.raises(ValueError, match="1 predictions lack some joints"):
        average_precision(one)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"skeleton": replace(COCO17, sigmas=())}, "none are known here for coco17: state them"),
        ({"area": np.full(8, np.nan)}, "area of every person's outline"),
        ({"score": None}, "these predictions carry no scores"),
    ],
)
def test_average_precision_says_what_is_lacking(change, words):
    with pytest.raises(ValueError, match=words):
        average_precision(replace(case(), **change))


def test_people_of_crowdpose_without_areas_have_a_share_of_their_boxes():
    joints = (*COCO17.joints[5:], "head", "neck")
    rows = [*range(5, 17), 0, 1]
    one = case()
    parts = {k: getattr(one, k)[:, rows] for k in ("xy", "truth", "labelled", "predicted", "score")}
    crowd = replace(one, **parts, skeleton=Skeleton("person14", joints))
    box = (one.box[:, 2:] - one.box[:, :2]).prod(axis=1)
    taken = [replace(crowd, area=area) for area in (np.full(8, np.nan), 0.53 * box)]
    without, given = (average_precision(one) for one in taken)
    assert values(without) == pytest.approx(values(given), nan_ok=True)
    assert "8 people have no area in the labels, so 0.53 x their box" in " ".join(without.notes)
    assert "no area" not in " ".join(given.notes)


def test_the_ap_numbers_stand_in_cocos_order():
    assert tuple(n.name for n in ap_numbers(COCO17.joints, 3)) == AP_NAMES


@pytest.mark.parametrize(
    ("name", "threshold"), [("AP", "0.50:0.05:0.95"), ("AP75", "0.75"), ("ARM", "0.50:0.05:0.95")]
)
def test_each_ap_number_says_its_threshold(name, threshold):
    (number,) = (n for n in ap_numbers(COCO17.joints, 3) if n.name == name)
    assert number.threshold == threshold


def test_of_errors_and_miscalibration_less_is_better():
    panels = [error(case()), calibration(case())]
    assert not any(n.higher_is_better for panel in panels for n in panel.numbers)


def test_calibration_takes_half_a_head_where_heads_are_known():
    assert calibration(case()).numbers[0].threshold == "0.5"


def test_calibration_takes_a_fifth_of_a_torso_elsewhere():
    blind = replace(case(LSP14), head=np.full(8, np.nan))
    assert calibration(blind).numbers[0].threshold == "0.2"


def test_sure_and_perfect_predictions_are_calibrated():
    one = replace(case(), xy=case().truth, score=np.ones((8, 17)))
    assert values(calibration(one))["ECE"] == 0


def test_calibration_without_a_normaliser_says_what_is_missing():
    lost = case().labelled.copy()
    lost[:, COCO17.index("left_shoulder")] = False
    blind = replace(case(), labelled=lost, head=np.full(8, np.nan))
    with pytest.raises(ValueError, match=r"calibration needs the torso .* no predicted person has"):
        calibration(blind)


def test_calibration_without_scores_is_refused():
    with pytest.raises(ValueError, match="these predictions carry none"):
        calibration(replace(case(), score=None))


def test_a_skeleton_without_a_torso_is_measured_by_its_boxes():
    one = case()
    own = Skeleton("own", tuple(f"j{n}" for n in range(len(COCO17))))
    panel = pck_torso(replace(one, skeleton=own))
    length = (one.box[:, 2:] - one.box[:, :2]).max(axis=1) / 4
    right = distance(one.xy, one.truth, length) <= 0.2
    wanted = average(right.astype(float), one.labelled)
    assert panel.numbers[0].normaliser == "a quarter of the box's longer side"
    assert values(panel)["PCK@0.2"] == pytest.approx(100 * wanted)
