import json

import numpy as np
import pytest
from scipy.io import loadmat

from posegram.metrics.pck import (
    area_under,
    average,
    distance,
    head_size,
    mae,
    paired,
    pck,
    pckh,
    torso,
)
from posegram.pose import LSP14, MPII16, Skeleton

TRUTH = np.zeros((2, 2, 2))
XY = np.array([[[3.0, 4.0], [0.0, 1.0]], [[6.0, 8.0], [0.0, 0.0]]])  # distances 5, 1; 10, 0
ALL = np.ones((2, 2), dtype=bool)
SIZE = np.array([10.0, 10.0])


def epe(xy, truth, seen, normaliser=None):
    """The mean distance, as the report has it."""
    return average(distance(xy, truth, normaliser), seen)


def auc(xy, truth, seen, normaliser, top=0.5):
    """The area under PCK, as the report has it."""
    return average(area_under(distance(xy, truth, normaliser), top=top), seen)


def test_distance_is_euclidean():
    assert distance(XY, TRUTH).tolist() == [[5, 1], [10, 0]]


def test_distance_does_not_depend_on_where_the_person_stands():
    assert distance(XY + 7, TRUTH + 7).tolist() == distance(XY, TRUTH).tolist()


def test_distance_is_divided_by_each_persons_normaliser():
    assert distance(XY, TRUTH, np.array([10.0, 20.0])).tolist() == [[0.5, 0.1], [0.5, 0]]


def test_distance_is_unknown_where_the_normaliser_is_zero():
    assert np.isnan(distance(XY, TRUTH, np.array([10.0, 0.0]))).tolist() == [
        [False] * 2,
        [True] * 2,
    ]


def test_distance_refuses_labels_of_another_shape():
    with pytest.raises(ValueError, match=r"must both be \(N, K, 2\)"):
        distance(XY, TRUTH[:1])


def test_distance_refuses_normalisers_of_other_people():
    with pytest.raises(ValueError, match="the normaliser has shape"):
        distance(XY, TRUTH, np.ones(3))


def test_mae_is_the_mean_over_both_coordinates():
    assert mae(XY, TRUTH, ALL) == pytest.approx((3 + 4 + 0 + 1 + 6 + 8) / 8)


def test_mae_does_not_depend_on_where_the_person_stands():
    assert mae(XY + 7, TRUTH + 7, ALL) == pytest.approx(mae(XY, TRUTH, ALL))


def test_mae_leaves_out_unlabelled_joints():
    assert mae(XY, TRUTH, np.array([[True, False], [False, False]])) == 3.5


def test_epe_is_the_mean_distance():
    assert epe(XY, TRUTH, ALL) == 4


def test_epe_can_be_in_units_of_a_normaliser():
    assert epe(XY, TRUTH, ALL, SIZE) == pytest.approx(0.4)


def test_an_error_refuses_a_labelled_joint_without_prediction():
    broken = np.where(XY == 3, np.nan, XY)
    with pytest.raises(ValueError, match="no finite prediction"):
        epe(broken, TRUTH, ALL)


def test_an_average_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no joint is labelled"):
        average(SIZE[None], np.zeros((1, 2), dtype=bool))


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ValueError, match="no weighting 'plain'"):
        average(XY[..., 0], ALL, "plain")


def test_pck_counts_a_distance_on_the_threshold_as_right():
    assert pck(XY, TRUTH, ALL, SIZE, 0.5).tolist() == [0.5, 1]


def test_pck_counts_a_joint_without_prediction_as_wrong():
    broken = np.where(XY == 1, np.nan, XY)
    assert pck(broken, TRUTH, ALL, SIZE, 0.5).tolist() == [0.5, 0.5]


def test_pck_of_a_joint_that_nobody_labelled_is_nan():
    seen = np.array([[True, False], [True, False]])
    assert np.isnan(pck(XY, TRUTH, seen, SIZE, 0.5)[1])


def test_pck_refuses_a_labelled_person_without_normaliser():
    with pytest.raises(ValueError, match="1 people have labelled joints but no positive"):
        pck(XY, TRUTH, ALL, np.array([10.0, 0.0]))


def test_pckh_weighs_every_labelled_joint_alike_by_default():
    seen = np.array([[True, True], [True, False]])
    assert pckh(XY, TRUTH, seen, SIZE) == pytest.approx(2 / 3)


def test_pckh_unweighted_weighs_every_kind_of_joint_alike():
    seen = np.array([[True, True], [True, False]])
    assert pckh(XY, TRUTH, seen, SIZE, weighting="unweighted") == pytest.approx((0.5 + 1) / 2)


def test_auc_is_the_trapezoid_area_under_pck_at_every_threshold():
    rng = np.random.default_rng(0)
    xy, seen = rng.normal(0, 3, (40, 5, 2)), rng.random((40, 5)) > 0.2
    truth, size = np.zeros_like(xy), rng.uniform(5, 15, 40)
    grid = np.arange(51) / 100
    curve = [pckh(xy, truth, seen, size, threshold=t) for t in grid]
    wanted = np.sum((np.array(curve[1:]) + curve[:-1]) / 2) * 0.01 / 0.5
    assert auc(xy, truth, seen, size) == pytest.approx(wanted)


@pytest.mark.parametrize(("top", "step"), [(0.5, 0.3), (0.0, 0.1)])
def test_auc_refuses_a_step_that_does_not_divide_its_range(top, step):
    with pytest.raises(ValueError, match="does not divide"):
        area_under(XY[..., 0], top=top, step=step)


def test_a_missing_prediction_adds_no_area():
    assert area_under(np.array([np.nan])).tolist() == [0]


def test_torso_runs_from_left_shoulder_to_right_hip():
    truth = np.zeros((1, 14, 2))
    truth[0, LSP14.index("left_shoulder")] = (3, 4)
    assert torso(truth, LSP14).tolist() == [5]


def test_torso_is_unknown_where_an_end_is_not_labelled():
    truth = np.arange(28.0).reshape(1, 14, 2)
    seen = np.ones((1, 14), dtype=bool)
    seen[0, LSP14.index("right_hip")] = False
    assert np.isnan(torso(truth, LSP14, seen)).all()


def test_torso_is_unknown_where_both_ends_are_one_point():
    assert np.isnan(torso(np.zeros((1, 14, 2)), LSP14)).all()


def test_head_size_is_six_tenths_of_the_box_diagonal():
    assert head_size(np.array([[10.0, 10.0, 13.0, 14.0]])).tolist() == [3]


def test_paired_numbers_are_the_plain_mean_of_left_and_right():
    small = Skeleton("small", ("nose", "left_eye", "right_eye"), (), (("left_eye", "right_eye"),))
    assert paired(np.array([7.0, 1.0, 3.0]), small) == {"nose": 7, "eye": 2}


# --- published predictions with published results: ../shared/references/metrics ---

MEAN = [row for row, joint in enumerate(MPII16.joints) if joint not in ("pelvis", "thorax")]
JOINT = {"rank": "right_ankle", "rkne": "right_knee", "rhip": "right_hip", "lhip": "left_hip",
         "lkne": "left_knee", "lank": "left_ankle", "pelv": "pelvis", "thor": "thorax",
         "neck": "upper_neck", "head": "head_top", "rwri": "right_wrist", "relb": "right_elbow",
         "rsho": "right_shoulder", "lsho": "left_shoulder", "lelb": "left_elbow",
         "lwri": "left_wrist"}  # fmt: skip


@pytest.fixture
def references(shared):
    return shared / "references" / "metrics"


@pytest.fixture
def expected(references):
    entries = json.loads((references / "expected.json").read_text())["entries"]
    return {entry["id"]: entry for entry in entries}


@pytest.fixture
def mpii(references):
    """MPII's validation labels and Tompson's predictions: xy, truth, labelled, head size."""
    raw = loadmat(references / "mpii" / "detections_our_format.mat")
    corners = raw["headboxes_src"].transpose(2, 0, 1).reshape(-1, 4)
    people = (raw[name].transpose(2, 0, 1) for name in ("pos_pred_src", "pos_gt_src"))
    return (*people, raw["jnt_missing"].T == 0, head_size(corners))


def of_mean(mpii):
    xy, truth, seen, head = mpii
    return xy[:, MEAN], truth[:, MEAN], seen[:, MEAN], head


@pytest.fixture
def lsp(references):
    """LSP's test labels and Yang's predictions by annotation: xy, truth, labelled, torso."""

    def read(kind):
        joints = loadmat(references / "lsp" / f"lsp-joints-{kind}.mat")["joints"]
        pred = loadmat(references / "lsp" / f"pred_keypoints_lsp_{kind.lower()}.mat")["pred"]
        truth, xy = joints[:2, :, 1000:].transpose(2, 1, 0), pred.transpose(2, 1, 0)
        return xy, truth, np.ones(truth.shape[:2], dtype=bool), torso(truth, LSP14)

    return read


def close(value, entry, wanted):
    return value == pytest.approx(wanted, abs=entry["tolerance"])


def test_every_published_entry_has_its_test(expected):
    here = {"mpii_val_pckh", "mpii_val_pckh_per_joint", "mpii_val_pckh_from_raw_predictions",
            "mpii_val_auc", "mpii_val_epe", "mpii_val_mae", "mpii_val_json_against_mat",
            "lsp_test_pck_pc", "lsp_test_pck_oc"}  # fmt: skip
    in_test_oks = {"coco_example_oks_ap", "coco_test_distorted_oks_ap"}
    assert set(expected) == here | in_test_oks


def test_mpii_counts_are_the_published_ones(mpii, expected):
    xy, _, seen, _ = of_mean(mpii)
    entry = expected["mpii_val_pckh"]
    assert (len(xy), seen.sum()) == (entry["n_persons"], entry["n_labelled_joints"])


@pytest.mark.parametrize("threshold", ["0.05", "0.10", "0.11", "0.20", "0.30", "0.50"])
@pytest.mark.parametrize("weighting", ["count-weighted", "unweighted"])
def test_pckh_reproduces_the_published_mpii_result(mpii, expected, threshold, weighting):
    entry = expected["mpii_val_pckh"]
    wanted = entry["expected_percent"][threshold][weighting.replace("-", "_")]
    value = pckh(*of_mean(mpii), threshold=float(threshold), weighting=weighting)
    assert close(100 * value, entry, wanted)


def test_the_published_mpii_thresholds_are_all_tested(expected):
    tested = {"0.05", "0.10", "0.11", "0.20", "0.30", "0.50"}
    assert set(expected["mpii_val_pckh"]["expected_percent"]) == tested


@pytest.mark.parametrize("short", JOINT)
def test_pck_reproduces_the_published_result_of_each_mpii_joint(mpii, expected, short):
    entry = expected["mpii_val_pckh_per_joint"]
    value = pck(*mpii, 0.5)[MPII16.index(JOINT[short])]
    assert close(100 * value, entry, entry["expected_percent"][short])


@pytest.mark.parametrize("part", ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"])
def test_paired_reproduces_the_published_groups_of_mpii(mpii, expected, part):
    entry = expected["mpii_val_pckh_per_joint"]
    value = paired(pck(*mpii, 0.5), MPII16)[part]
    assert close(100 * value, entry, entry["expected_groups_percent"][part])


def test_the_published_head_group_of_mpii_is_the_head_top(mpii, expected):
    entry = expected["mpii_val_pckh_per_joint"]
    value = paired(pck(*mpii, 0.5), MPII16)["head_top"]
    assert close(100 * value, entry, entry["expected_groups_percent"]["head (row head only)"])


def test_pckh_is_the_same_from_the_predictions_in_their_first_form(references, mpii, expected):
    raw = loadmat(references / "mpii" / "detections.mat")["keypointsAll"]
    xy = np.stack([cell.astype(np.float64) for cell in raw[0]])
    _, truth, seen, head = of_mean(mpii)
    entry = expected["mpii_val_pckh_from_raw_predictions"]
    assert close(100 * pckh(xy, truth, seen, head), entry, entry["expected_percent"])


def test_auc_reproduces_the_published_mpii_result(mpii, expected):
    entry = expected["mpii_val_auc"]
    assert close(100 * auc(*of_mean(mpii)), entry, entry["expected_percent"])


def test_epe_reproduces_the_published_mpii_result(mpii, expected):
    entry = expected["mpii_val_epe"]
    assert close(epe(*of_mean(mpii)[:3]), entry, entry["expected_px"])


def test_epe_in_head_sizes_reproduces_the_readme_of_the_references(mpii):
    assert epe(*of_mean(mpii)) == pytest.approx(0.379, abs=5e-4)  # stated to three digits


def test_mae_reproduces_the_published_mpii_result(mpii, expected):
    entry = expected["mpii_val_mae"]
    assert close(mae(*of_mean(mpii)[:3]), entry, entry["expected_px"])


def test_the_json_labels_against_the_mat_labels_give_the_published_result(shared, mpii, expected):
    records = json.loads((shared / "references" / "mpii" / "valid.json").read_text())
    xy = np.array([record["joints"] for record in records])
    _, truth, seen, head = mpii
    entry = expected["mpii_val_json_against_mat"]
    assert close(100 * pckh(*of_mean((xy, truth, seen, head))), entry, entry["expected_percent"])


@pytest.mark.parametrize("kind", ["PC", "OC"])
@pytest.mark.parametrize("threshold", ["0.2", "0.1"])
def test_pck_reproduces_the_published_lsp_result(lsp, expected, kind, threshold):
    entry = expected[f"lsp_test_pck_{kind.lower()}"]
    value = pck(*lsp(kind), float(threshold)).mean()
    assert close(100 * value, entry, entry["expected_percent"][threshold])


@pytest.mark.parametrize("kind", ["PC", "OC"])
def test_auc_reproduces_the_published_lsp_result(lsp, expected, kind):
    entry = expected[f"lsp_test_pck_{kind.lower()}"]
    value = auc(*lsp(kind), top=0.2)
    assert close(100 * value, entry, entry["expected_auc_percent"]["value"])


@pytest.mark.parametrize("part", ["ankle", "knee", "hip", "wrist", "elbow", "shoulder"])
def test_paired_reproduces_the_published_groups_of_lsp(lsp, expected, part):
    entry = expected["lsp_test_pck_pc"]
    value = paired(pck(*lsp("PC"), 0.2), LSP14)[part]
    assert close(100 * value, entry, entry["expected_groups_percent_at_0.2"][part])


def test_the_published_head_group_of_lsp_is_the_mean_of_neck_and_head_top(lsp, expected):
    entry = expected["lsp_test_pck_pc"]
    parts = paired(pck(*lsp("PC"), 0.2), LSP14)
    wanted = entry["expected_groups_percent_at_0.2"]["head (mean of neck and head top)"]
    assert close(50 * (parts["neck"] + parts["head_top"]), entry, wanted)
