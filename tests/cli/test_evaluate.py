import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

import figures
import tiny
from posegram import data
from posegram import image as pictures
from posegram.cli import main
from posegram.data import coco, yolo
from posegram.data.joints import in_skeleton
from posegram.infer import robust
from posegram.infer.load import load_network
from posegram.infer.topdown import TopDown
from posegram.metrics.pck import distance, head_size
from posegram.pose import COCO17, LSP14, MPII16, People, Skeleton

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import release


@pytest.fixture
def run(capsys):
    """Runs the verb: exit code, what it printed, what it complained of."""

    def call(*args):
        code = 0
        try:
            main(["evaluate", *map(str, args)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def people(tmp_path):
    """Figures in COCO's joints with pictures, written as truth.json."""
    made = figures.samples(tmp_path / "images", 6, skeleton=COCO17)
    coco.write(tmp_path / "truth.json", made)
    return made


@pytest.fixture
def truth(tmp_path, people):
    return tmp_path / "truth.json"


def npy(path, people, off=0.0):
    np.save(path, np.stack([s.xy for s in people]) + np.float32(off))
    return path


def results(path, people, off=0.0, extra=0):
    """COCO results in the order of the truth, with `extra` more for the first image."""
    images = [
        image["id"] for image in json.loads((path.parent / "truth.json").read_text())["images"]
    ]
    rows = [*zip(images, people, strict=True), *[(images[0], people[0])] * extra]
    path.write_text(json.dumps([e for image, s in rows for e in coco.results(image, one(s, off))]))
    return path


def one(sample, off):
    score = np.full((1, len(sample.skeleton)), 0.9, dtype=np.float32)
    return People(sample.xy[None] + np.float32(off), score, sample.box[None], sample.skeleton)


def row(text, name):
    """Value and interval of a number on the printed page."""
    (line,) = [line for line in text.splitlines() if line.split("  ")[0] == name]
    return line


def test_an_array_of_predictions_is_measured(run, truth, people, tmp_path):
    _, out, _ = run(truth, "--predictions", npy(tmp_path / "p.npy", people, 3))
    assert row(out, "MAE").split()[:3] == ["MAE", "3.00", "px"]


def test_lists_of_predictions_are_measured(run, truth, people, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps([(s.xy + 3).tolist() for s in people]))
    _, out, _ = run(truth, "--predictions", tmp_path / "p.json")
    assert row(out, "MAE").split()[1] == "3.00"


def test_null_in_a_list_is_a_joint_that_is_not_predicted(run, truth, people, tmp_path):
    value = [[[None, None], *s.xy[1:].tolist()] for s in people]
    (tmp_path / "p.json").write_text(json.dumps(value))
    _, out, _ = run(truth, "--predictions", tmp_path / "p.json")
    assert "note: 16 of 17 joints: nose is not predicted" in out


def test_coco_results_are_measured_joint_by_joint(run, truth, people, tmp_path):
    _, out, _ = run(truth, "--predictions", results(tmp_path / "p.json", people, 3))
    assert row(out, "MAE").split()[1] == "3.00"


def test_coco_results_are_measured_by_ap(run, truth, people, tmp_path):
    _, out, _ = run(
        truth, "--predictions", results(tmp_path / "p.json", people), "--resamples", 100
    )
    assert row(out, "AP").split()[1] == "1.0000"


def test_coco_results_of_every_annotation_are_paired_with_the_labelled_ones(
    run, truth, people, tmp_path
):
    path = results(tmp_path / "p.json", people, 3)
    whole = json.loads(truth.read_text())
    blind = dict(whole["annotations"][0], id=77, keypoints=[0] * 51, num_keypoints=0)
    whole["annotations"].insert(0, blind)
    truth.write_text(json.dumps(whole))
    found = json.loads(path.read_text())
    path.write_text(json.dumps([dict(found[0], keypoints=[5.0] * 51), *found]))
    _, out, _ = run(truth, "--predictions", path, "--metric", "error")
    assert row(out, "MAE").split()[1] == "3.00"


@pytest.mark.parametrize("metric", ["error", "ap"])
def test_an_annotation_may_have_no_keypoints(run, truth, people, tmp_path, metric):
    path = results(tmp_path / "p.json", people)
    whole = json.loads(truth.read_text())
    whole["annotations"].append(dict(whole["annotations"][0], id=77, keypoints=None))
    truth.write_text(json.dumps(whole))
    code, out, err = run(truth, "--predictions", path, "--metric", metric, "--resamples", 100)
    assert (code, err) == (0, "")
    assert "6 people" in out


# joints of one's own


OWN = Skeleton("own", ("nose", "hand_l", "hand_r"), mirror=(("hand_l", "hand_r"),))


@pytest.fixture
def own(tmp_path):
    """People of three joints that no built-in skeleton has, and results 9 pixels off."""
    made = [
        in_skeleton(s, COCO17) for s in figures.samples(tmp_path / "images", 6, skeleton=COCO17)
    ]
    rows = [COCO17.index(joint) for joint in ("nose", "left_wrist", "right_wrist")]
    made = [replace(s, xy=s.xy[rows], visible=s.visible[rows], skeleton=OWN) for s in made]
    coco.write(tmp_path / "truth.json", made)
    return tmp_path / "truth.json", results(tmp_path / "p.json", made, 9)


def test_ap_of_joints_without_sigmas_is_refused(run, own):
    code, _, err = run(own[0], "--predictions", own[1], "--metric", "ap", "--resamples", 100)
    assert (code, len(err.splitlines())) == (2, 1)


def test_joints_without_sigmas_are_measured_by_all_but_ap(run, own):
    _, out, _ = run(own[0], "--predictions", own[1], "--resamples", 100)
    assert row(out, "MAE").split()[1] == "9.00"


def test_a_missing_ap_is_explained(run, own):
    _, out, _ = run(own[0], "--predictions", own[1], "--resamples", 100)
    assert "note: no ap: AP needs OKS sigmas and none are known here for" in out
    assert "state them in a skeleton file, --skeleton FILE.toml" in out


def test_ap_of_ones_own_joints_takes_the_sigmas_of_a_skeleton_file(run, own, tmp_path):
    found = []
    for sigma in (0.02, 0.5):
        path = tmp_path / "own.toml"
        path.write_text(f'joints = ["hand_l", "nose", "hand_r"]\nsigmas = {[sigma] * 3}')
        args = (own[0], "--predictions", own[1], "--metric", "ap", "--skeleton", path)
        code, out, _ = run(*args, "--resamples", 100)
        assert code == 0
        found.append(float(row(out, "AP").split()[1]))
    assert found[0] < found[1] == 1.0


@pytest.fixture
def sorted_by_score(truth, people, tmp_path):
    """Results 3 px off of all but the first person, the last first, and two of nobody."""
    path = results(tmp_path / "p.json", people, 3)
    found = json.loads(path.read_text())[:0:-1]
    nobody = [dict(one, keypoints=[5000.0, 5000.0, 0.1] * 17, score=0.1) for one in found[:2]]
    path.write_text(json.dumps([*found, *nobody]))
    return path


def test_results_that_are_not_one_per_annotation_are_measured_over_who_was_met(
    run, truth, sorted_by_score
):
    _, out, _ = run(truth, "--predictions", sorted_by_score, "--resamples", 100)
    assert "note: met 5 of 6 labelled people, and all but AP is of these alone" in out
    assert "evaluation: 5 people in 5 images" in out
    assert row(out, "EPE").split()[1] == f"{3 * 2**0.5:.2f}"
    assert "AP is over all 6 images of the annotation file" in out


def test_pck_alone_is_measured_over_who_was_met(run, truth, sorted_by_score):
    code, out, _ = run(truth, "--predictions", sorted_by_score, "--metric", "pck")
    assert (code, "note: met 5 of 6 labelled people" in out) == (0, True)


def test_two_files_are_compared_over_whom_both_met(run, truth, people, sorted_by_score, tmp_path):
    second = npy(tmp_path / "p.npy", people, 3)
    args = (truth, "--predictions", sorted_by_score, "--compare", second, "--metric", "error")
    _, out, _ = run(*args)
    assert out.count("note: met 5 of 6 labelled people") == 2
    assert "p.npy: evaluation: 6 people" in out
    assert "second minus first: 5 people" in out
    assert "no difference shown" in out


def test_results_that_meet_nobody_are_measured_by_ap_alone(run, truth, people, tmp_path):
    path = results(tmp_path / "p.json", people, 5000, extra=1)
    _, out, _ = run(truth, "--predictions", path, "--resamples", 100)
    assert "note: only ap: no labelled person is met by a result" in out
    text = refused(run(truth, "--predictions", path, "--metric", "pck"))
    assert "is met by a result, so ask for --metric ap alone" in text


def test_two_files_that_meet_different_people_are_compared_by_ap_alone(
    run, truth, people, tmp_path
):
    whole = json.loads(results(tmp_path / "p.json", people, 1).read_text())
    files = tmp_path / "a.json", tmp_path / "b.json"
    for path, own in zip(files, (whole[:3], whole[3:]), strict=True):
        nobody = [dict(one, keypoints=[5000.0, 5000.0, 0.1] * 17, score=0.1) for one in own[:1]]
        path.write_text(json.dumps([*own, *nobody]))
    args = (truth, "--predictions", files[0], "--compare", files[1], "--resamples", 100)
    code, out, _ = run(*args)
    assert (code, out.count("only ap: no labelled person is met by a result of both files")) == (
        *(0, 3),
    )
    text = refused(run(*args, "--metric", "pck"))
    assert "is met by a result of both files, so ask for --metric ap alone" in text


@pytest.mark.parametrize("metric", ["error", "all"])
def test_joints_without_names_are_named_by_a_file_without_sigmas(run, tmp_path, metric):
    made = figures.samples(tmp_path / "images", 3, skeleton=LSP14)
    out = yolo.write(tmp_path / "set", made)
    (out / "data.yaml").write_text("train: images\nkpt_shape: [14, 3]\n")
    rows = [(s.xy + 3).tolist() for s in data.read(f"yolo:{out}")]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    (tmp_path / "mine.toml").write_text(f"joints = {[f'j{n}' for n in range(14)]}")
    args = (f"yolo:{out}", "--predictions", tmp_path / "p.json", "--metric", metric)
    _, text, _ = run(*args, "--skeleton", tmp_path / "mine.toml")
    assert row(text, "MAE").split()[1] == "3.00"
    assert "j13" in text
    assert ("no ap: " in text) == (metric == "all")


def test_a_model_gets_the_labelled_boxes(run, truth, people, monkeypatch):
    def estimate(image, boxes):
        near = [min(people, key=lambda s: np.abs(s.box - box).sum()) for box in boxes]
        xy = np.stack([s.xy + 2 for s in near])
        return People(xy, np.ones(xy.shape[:2], np.float32), boxes, COCO17)

    # as an attribute of posegram.cli, the name is the verb and not its module
    monkeypatch.setattr(
        sys.modules["posegram.cli.evaluate"], "load", lambda name, **options: estimate
    )
    _, out, _ = run(truth, "--model", "small", "--metric", "error")
    assert row(out, "MAE").split()[1] == "2.00"


def test_a_metric_is_chosen(run, truth, people, tmp_path):
    _, out, _ = run(truth, "--predictions", npy(tmp_path / "p.npy", people), "--metric", "error")
    assert "PCK" not in out


def test_two_equal_files_show_no_difference(run, truth, people, tmp_path):
    path = npy(tmp_path / "p.npy", people, 3)
    _, out, _ = run(truth, "--predictions", path, "--compare", path, "--metric", "error")
    assert out.count("no difference shown") == 2


def test_the_better_file_is_named(run, truth, people, tmp_path):
    files = [npy(tmp_path / f"{off}.npy", people, off) for off in (9, 3)]
    _, out, _ = run(truth, "--predictions", files[0], "--compare", files[1], "--metric", "error")
    assert out.count("second is better") == 2


def test_two_files_of_coco_results_are_compared_by_ap(run, truth, people, tmp_path):
    files = [results(tmp_path / f"{off}.json", people, off) for off in (0, 9)]
    _, out, _ = run(
        truth,
        "--predictions",
        files[0],
        "--compare",
        files[1],
        "--metric",
        "ap",
        "--resamples",
        100,
    )
    assert "first is better" in out


def test_coco_results_and_an_array_are_compared_joint_by_joint(run, truth, people, tmp_path):
    first, second = results(tmp_path / "p.json", people, 3), npy(tmp_path / "p.npy", people, 3)
    _, out, _ = run(truth, "--predictions", first, "--compare", second, "--metric", "error")
    assert row(out.split("second minus first")[1], "MAE").split()[1].lstrip("-") == "0.00"


def test_the_report_is_written_as_json(run, truth, people, tmp_path):
    out = tmp_path / "report.json"
    run(truth, "--predictions", npy(tmp_path / "p.npy", people, 3), "--out", out)
    numbers = {n["name"]: n["value"] for n in json.loads(out.read_text())["numbers"]}
    assert numbers["MAE"] == pytest.approx(3, abs=1e-3)


# --- MPII: a list without head boxes ---


@pytest.fixture
def mpii(tmp_path):
    """A list of five people in the layout of MPII's valid.json, and their joints from 0."""
    rng = np.random.default_rng(0)
    joints = np.array([figures.pose(MPII16, rng, height=200) + 300 for _ in range(5)])
    records = [
        {
            "image": f"{n}.jpg",
            "center": [300.0, 400.0],
            "scale": 1.0,
            "joints": (xy + 1).tolist(),
            "joints_vis": [1] * 16,
        }
        for n, xy in enumerate(joints)
    ]
    path = tmp_path / "valid.json"
    path.write_text(json.dumps(records))
    np.save(tmp_path / "p.npy", joints + 6)
    corners = np.zeros((2, 2, 5))
    corners[1] = [[30], [40]]  # diagonal 50, head size 30
    savemat(tmp_path / "heads.mat", {"headboxes_src": corners})
    return path


def test_pckh_takes_head_boxes_from_a_mat(run, mpii, tmp_path):
    _, out, _ = run(mpii, "--predictions", tmp_path / "p.npy", "--heads", tmp_path / "heads.mat")
    assert row(out, "EPE/head").split()[1] == f"{6 * 2**0.5 / 30:.4f}"


def test_pckh_without_heads_is_refused_and_pck_offered(run, mpii, tmp_path):
    code, _, err = run(mpii, "--predictions", tmp_path / "p.npy", "--metric", "pckh")
    assert (code, "or ask for PCK, whose normaliser is the torso" in err) == (2, True)


def test_all_without_heads_says_that_pckh_is_missing(run, mpii, tmp_path):
    _, out, _ = run(mpii, "--predictions", tmp_path / "p.npy")
    assert "note: no pckh: PCKh needs head sizes" in out


def test_a_part_of_the_people_can_be_evaluated(run, mpii, tmp_path):
    np.save(tmp_path / "p.npy", np.load(tmp_path / "p.npy")[1:3])
    _, out, _ = run(f"mpii:{mpii}#2-3", "--predictions", tmp_path / "p.npy", "--metric", "error")
    assert "2 people in 2 images" in out


def test_the_mpii_list_of_2958_people_is_evaluated(run, shared, tmp_path):
    references = shared / "references"
    heads = references / "metrics" / "mpii" / "detections_our_format.mat"
    raw = loadmat(heads)
    xy = (raw["pos_pred_src"].transpose(2, 0, 1) - 1).astype(np.float32)  # ours count from 0
    np.save(tmp_path / "p.npy", xy)
    run(
        f"mpii:{references / 'mpii' / 'valid.json'}",
        *("--predictions", tmp_path / "p.npy", "--heads", heads, "--metric", "pckh"),
        *("--resamples", 100, "--out", tmp_path / "r.json"),
    )
    report = json.loads((tmp_path / "r.json").read_text())
    # 82.3367 against the labels of the .mat; 13 of its 38,430 are zeroed where the list's are not
    assert report["numbers"][0]["value"] == pytest.approx(82.3367, abs=100 * 13 / 38430)
    assert report["people"] == 2958


def test_a_number_on_the_mpii_list_is_that_of_its_own_labels(run, shared, tmp_path):
    references = shared / "references"
    heads = references / "metrics" / "mpii" / "detections_our_format.mat"
    raw = loadmat(heads)
    records = json.loads((references / "mpii" / "valid.json").read_text())
    kept = [r for r, j in enumerate(MPII16.joints) if j not in ("pelvis", "thorax")]
    xy = raw["pos_pred_src"].transpose(2, 0, 1)[:, kept]
    labels = np.array([r["joints"] for r in records])[:, kept]
    seen = np.array([r["joints_vis"] for r in records])[:, kept] > 0
    size = head_size(raw["headboxes_src"].transpose(2, 0, 1).reshape(-1, 4))
    wanted = 100 * (distance(xy, labels, size) <= 0.5)[seen].mean()
    np.save(tmp_path / "p.npy", (raw["pos_pred_src"].transpose(2, 0, 1) - 1).astype(np.float32))
    run(
        references / "mpii" / "valid.json",
        *("--predictions", tmp_path / "p.npy", "--heads", heads, "--metric", "pckh"),
        *("--resamples", 100, "--out", tmp_path / "r.json"),
    )
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["numbers"][0]["value"] == pytest.approx(wanted, abs=1e-3)


@pytest.fixture
def official(tmp_path):
    """A .mat of the official MPII layout with predictions 3 pixels to the right of its labels."""
    path = release.save(tmp_path / "mpii.mat")
    xy = np.stack([s.xy for s in data.read(f"mpii:{path}")])
    np.save(tmp_path / "p.npy", xy + np.array([3, 0]))
    return path


def test_a_mat_of_the_official_layout_is_evaluated(run, official, tmp_path):
    _, out, _ = run(official, "--predictions", tmp_path / "p.npy")
    assert row(out, "EPE").split()[1] == "3.00"


def test_the_official_layout_brings_its_head_sizes(run, official, tmp_path):
    _, out, _ = run(official, "--predictions", tmp_path / "p.npy", "--metric", "pckh")
    assert row(out, "PCKh@0.1").split()[1] == "100.00"


def test_a_truncated_mat_is_refused(run, official, tmp_path):
    official.write_bytes(official.read_bytes()[:700])
    assert "mpii.mat" in refused(run(f"mpii:{official}", "--predictions", tmp_path / "p.npy"))


# --- what a user can get wrong ---


def refused(answer):
    """The one sentence of a refusal with exit code 2."""
    code, _, err = answer
    assert code == 2
    assert err.startswith("posegram: ")
    assert len(err.strip().splitlines()) == 1
    return err


def test_people_without_labels_are_refused_before_a_model_looks(run, tmp_path, monkeypatch):
    figures.samples(tmp_path / "photos", 2)
    monkeypatch.setattr(TopDown, "__call__", lambda *_: pytest.fail("the model was asked"))
    code, _, err = run(f"folder:{tmp_path / 'photos'}")
    assert (code, "holds nobody with a labelled joint" in err) == (2, True)


def test_a_missing_truth_is_refused(run, tmp_path):
    assert "nothing.json" in refused(run(f"mpii:{tmp_path / 'nothing.json'}"))


def test_a_truncated_truth_is_refused(run, mpii, tmp_path):
    mpii.write_text(mpii.read_text()[:500])
    assert "perhaps cut off" in refused(run(f"mpii:{mpii}", "--predictions", tmp_path / "p.npy"))


def test_a_truth_of_wrong_shape_is_refused(run, mpii, tmp_path):
    records = json.loads(mpii.read_text())
    records[3]["joints"] = records[3]["joints"][:15]
    mpii.write_text(json.dumps(records))
    assert "person 3" in refused(run(f"mpii:{mpii}", "--predictions", tmp_path / "p.npy"))


def test_an_empty_truth_is_refused(run, tmp_path):
    (tmp_path / "empty.json").write_text("[]")
    text = refused(run(f"mpii:{tmp_path / 'empty.json'}"))
    assert "holds nobody" in text


@pytest.mark.parametrize("name", ["gone.npy", "gone.json"])
def test_a_missing_file_of_predictions_is_refused(run, mpii, tmp_path, name):
    text = refused(run(mpii, "--predictions", tmp_path / name))
    assert "no such file of predictions" in text


def test_a_missing_second_file_is_refused(run, mpii, tmp_path):
    args = ("--predictions", tmp_path / "p.npy", "--compare", tmp_path / "q.npy")
    assert "q.npy: no such file" in refused(run(mpii, *args))


@pytest.mark.parametrize("kept", [0, 4, 40, 300])
def test_a_truncated_array_is_refused(run, mpii, tmp_path, kept):
    (tmp_path / "p.npy").write_bytes((tmp_path / "p.npy").read_bytes()[:kept])
    assert "perhaps cut off" in refused(run(mpii, "--predictions", tmp_path / "p.npy"))


def test_truncated_json_predictions_are_refused(run, mpii, tmp_path):
    (tmp_path / "p.json").write_text("[[[1, 2], [3")
    assert "perhaps cut off" in refused(run(mpii, "--predictions", tmp_path / "p.json"))


@pytest.mark.parametrize("shape", [(4, 16, 2), (5, 14, 2), (5, 16), (5, 16, 4), (5, 32)])
def test_an_array_of_wrong_shape_is_refused(run, mpii, tmp_path, shape):
    np.save(tmp_path / "p.npy", np.zeros(shape, dtype=np.float32))
    text = refused(run(mpii, "--predictions", tmp_path / "p.npy"))
    assert f"has shape {shape}, wanted (5, 16, 2): one mpii16 person" in text


@pytest.mark.parametrize("value", [[[[1, 2], [3]]], [["a"]], 5, [], {"a": 1}])
def test_json_that_holds_no_predictions_is_refused(run, mpii, tmp_path, value):
    (tmp_path / "p.json").write_text(json.dumps(value))
    assert "p.json" in refused(run(mpii, "--predictions", tmp_path / "p.json"))


def test_an_array_of_text_is_refused(run, mpii, tmp_path):
    np.save(tmp_path / "p.npy", np.array(["a", "b"]))
    assert "p.npy" in refused(run(mpii, "--predictions", tmp_path / "p.npy"))


def test_another_kind_of_file_is_refused(run, mpii, tmp_path):
    (tmp_path / "p.txt").write_text("1 2 3")
    text = refused(run(mpii, "--predictions", tmp_path / "p.txt"))
    assert "a .json or a .npy file" in text


def test_coco_results_for_another_kind_of_truth_are_refused(run, mpii, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps([{"image_id": 1, "keypoints": []}]))
    text = refused(run(mpii, "--predictions", tmp_path / "p.json"))
    assert "scored against a whole COCO annotation file" in text


@pytest.mark.parametrize("entry", [{"image_id": 1}, 5, {"image_id": 1, "keypoints": [1, 2]}])
def test_a_broken_coco_result_is_refused(run, truth, people, tmp_path, entry):
    path = results(tmp_path / "p.json", people)
    found = json.loads(path.read_text())
    path.write_text(json.dumps([*found[:1], entry, *found[2:]]))
    assert "p.json" in refused(run(truth, "--predictions", path, "--metric", "error"))


def test_head_boxes_of_other_people_are_refused(run, mpii, tmp_path):
    savemat(tmp_path / "heads.mat", {"headboxes_src": np.zeros((2, 2, 4))})
    args = ("--predictions", tmp_path / "p.npy", "--heads", tmp_path / "heads.mat")
    assert "shape (2, 2, 4), wanted (2, 2, 5)" in refused(run(mpii, *args))


def test_a_mat_without_head_boxes_is_refused(run, mpii, tmp_path):
    savemat(tmp_path / "heads.mat", {"other": 1})
    args = ("--predictions", tmp_path / "p.npy", "--heads", tmp_path / "heads.mat")
    assert "no variable headboxes_src" in refused(run(mpii, *args))


def test_an_unknown_metric_is_refused_with_the_known_ones(run, mpii, tmp_path):
    text = refused(run(mpii, "--predictions", tmp_path / "p.npy", "--metric", "pcp"))
    assert "there are error, pck, pckh, ap, calibration, all" in text


def test_a_model_and_a_file_together_are_refused(run, mpii, tmp_path):
    args = ("--predictions", tmp_path / "p.npy", "--model", "small")
    assert "not both" in refused(run(mpii, *args))


def test_a_comparison_without_a_first_file_is_refused(run, mpii, tmp_path):
    text = refused(run(mpii, "--compare", tmp_path / "p.npy"))
    assert "give the first one with --predictions" in text


def test_predictions_of_lsp_are_read_in_its_order(run, tmp_path):
    made = figures.samples(tmp_path / "images", 3, skeleton=LSP14)
    path = coco.write(tmp_path / "lsp.json", made)
    npy(tmp_path / "p.npy", data.read(f"coco:{path}"))
    _, out, _ = run(f"coco:{path}", "--predictions", tmp_path / "p.npy", "--metric", "error")
    assert row(out, "EPE").split()[1] == "0.00"


# spoilt photos


def test_a_models_accuracy_on_spoilt_photos_is_a_table(run, truth, tmp_path):
    out = tmp_path / "robust.json"
    code, told, _ = run(truth, "--model", "small", "--corrupt", "dark", "--out", out)
    assert code == 0
    assert "| severity | 0.2 | 0.4 | 0.6 | 0.8 | 1 | mean |" in told
    assert "| dark |" in told
    assert [line["kind"] for line in json.loads(out.read_text())] == ["none"] + ["dark"] * 5
    assert out.with_suffix(".png").exists()


def test_resamples_count_on_spoilt_photos_too(run, truth, monkeypatch):
    real, told = robust.evaluate, set()

    def spy(*args, **options):
        told.add(options["resamples"])
        return real(*args, **options)

    monkeypatch.setattr(robust, "evaluate", spy)
    run(truth, "--model", "small", "--corrupt", "dark", "--resamples", 100)
    assert told == {100}


def test_an_unknown_corruption_is_misuse(run, truth):
    code, _, err = run(truth, "--corrupt", "fog")
    assert code == 2
    assert "no corruption 'fog'; there are all, dark" in err


def test_spoilt_photos_need_a_model(run, truth, people, tmp_path):
    code, _, err = run(truth, "--predictions", npy(tmp_path / "a.npy", people), "--corrupt", "all")
    assert code == 2
    assert "--corrupt spoils photos for a model" in err


def test_cores_and_engine_can_be_chosen(run, truth, tmp_path, monkeypatch):
    told = []

    def load(model, **options):
        told.append(options)
        return TopDown(*load_network(tiny.constant(tmp_path / "m.onnx", skeleton=COCO17)))

    monkeypatch.setattr(sys.modules["posegram.cli.evaluate"], "load", load)
    more = ("--threads", "1", "--engine", "auto", "--resamples", "100", "--metric", "error")
    assert run(truth, *more)[0] == run(truth, "--corrupt", "grey", *more)[0] == 0
    assert told == [{"detector": "none", "threads": 1, "engine": "auto"}] * 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([{"image_id": [1], "keypoints": []}], "result 0 lacks image_id or keypoints"),
        ([[[10**400, 0]] * 17] * 6, "its lists hold no (6, 17, 2) numbers"),
        ([{"image_id": 1, "keypoints": [10**400] * 51}], "a result must have 3 x 17 keypoint"),
    ],
)
def test_predictions_that_make_no_sense_are_one_sentence(run, tmp_path, truth, value, said):
    (tmp_path / "p.json").write_text(json.dumps(value))
    code, _, err = run(truth, "--predictions", tmp_path / "p.json")
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_a_report_never_replaces_what_is_read(run, truth):
    before = truth.read_bytes()
    code, _, said = run(f"coco:{truth}#1-3", "--out", truth)
    assert (code, truth.read_bytes()) == (2, before)
    assert said.startswith(f"posegram: cannot write {truth}: it is read, and")


def test_missing_pictures_are_told_before_a_model_looks(run, truth, people, monkeypatch):
    monkeypatch.setattr(TopDown, "__call__", lambda *_: pytest.fail("the model was asked"))
    people[1].image.unlink()
    code, _, err = run(truth)
    said = "(1 of 6 pictures missing; --images says where)"
    assert (code, said in err) == (2, True)


@pytest.mark.parametrize("means", [("--threads", "2"), ("--engine", "openvino")])
def test_means_of_a_model_beside_predictions_are_refused(run, truth, people, tmp_path, means):
    code, _, err = run(truth, "--predictions", npy(tmp_path / "p.npy", people), *means)
    assert code == 2
    assert "--threads and --engine are for a model" in err


def test_spoilt_photos_are_never_drawn_over_one_of_the_set(run, truth, people):
    before = people[0].image.read_bytes()
    out = people[0].image.with_suffix(".json")
    code, _, err = run(truth, "--model", "small", "--corrupt", "dark", "--out", out)
    assert code == 2
    assert "it is read, and what is read is never changed" in err
    assert people[0].image.read_bytes() == before


def test_ap_says_how_many_areas_are_guesses(run, truth, people, tmp_path):
    whole = json.loads(truth.read_text())
    whole["annotations"][0]["area_is_estimated"] = True
    truth.write_text(json.dumps(whole))
    _, out, _ = run(truth, "--predictions", results(tmp_path / "r.json", people), "--metric", "ap")
    assert "AP: the area of 1 people is a guess, 0.53 x their box" in out


def test_results_meet_the_labels_by_the_names_of_their_photos(run, truth, people, tmp_path):
    content = json.loads(truth.read_text())
    path = results(tmp_path / "p.json", people)
    turned = {image["id"]: n for n, image in enumerate(reversed(content["images"]), 1)}
    rows = [r | {"image_id": turned[r["image_id"]]} for r in json.loads(path.read_text())]
    path.write_text(json.dumps(rows))
    listed = [image | {"id": turned[image["id"]]} for image in content["images"]]
    (tmp_path / "images.json").write_text(json.dumps(listed))
    _, out, _ = run(truth, "--predictions", path, "--metric", "ap", "--resamples", 100)
    assert row(out, "AP").split()[1] == "1.0000"


def test_photos_without_labels_are_told_of(run, truth, people, tmp_path):
    path = results(tmp_path / "p.json", people)
    more = {"id": 99, "file_name": "more.png"}
    listed = [*json.loads(truth.read_text())["images"], more]
    (tmp_path / "images.json").write_text(json.dumps(listed))
    _, _, err = run(truth, "--predictions", path, "--metric", "ap", "--resamples", 100)
    assert "1 photo of" in err
    assert "without labels left out" in err


def test_a_model_that_finds_the_people_is_measured_on_whole_photos(run, truth, people, monkeypatch):
    def estimate(image):
        some = [s for s in people if pictures.read(s.image).tobytes() == image.tobytes()]
        xy = np.stack([s.xy for s in some])
        score = np.ones(xy.shape[:2], np.float32)
        return People(xy, score, np.stack([s.box for s in some]), COCO17)

    asked = []
    monkeypatch.setattr(
        sys.modules["posegram.cli.evaluate"],
        "load",
        lambda name, detector, **options: (asked.append(detector), estimate)[1],
    )
    _, out, _ = run(truth, "--detector", "detector:512", "--resamples", 100)
    assert (asked, row(out, "AP").split()[1]) == (["detector:512"], "1.0000")


@pytest.mark.parametrize(
    "more", [("--predictions", "p.json"), ("--corrupt", "dark"), ("--metric", "pck")]
)
def test_whole_photos_are_measured_by_ap_alone(run, truth, people, tmp_path, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    results(tmp_path / "p.json", people)
    assert "--detector measures" in refused(run(truth, "--detector", "detector", *more))


def test_whole_photos_need_a_coco_file(run, mpii, tmp_path):
    assert "no COCO file" in refused(run(mpii, "--detector", "detector"))
