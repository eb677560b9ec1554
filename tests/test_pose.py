import json
from dataclasses import replace

import numpy as np
import pytest

from posegram.pose import (
    BODY19,
    COCO17,
    LSP14,
    MPII16,
    SKELETONS,
    Card,
    People,
    Sample,
    Skeleton,
    convert,
    skeleton_named,
)

EVERY = list(SKELETONS.values())
every_skeleton = pytest.mark.parametrize("skeleton", EVERY, ids=lambda s: s.name)
CARD = Card(
    name="small",
    kind="heatmap",
    skeleton=COCO17,
    size=(256, 192),
    mean=(123.7, 116.3, 103.5),
    std=(58.4, 57.1, 57.4),
    calibration=(1.5, -0.5),
    data=("LSP", "LSPET"),
    scores={"PCK@0.2": 0.8},
    settings={"width": 1.5},
)


def people(skeleton=COCO17, n=3, seed=0):
    rng = np.random.default_rng(seed)
    k = len(skeleton)
    xy = rng.uniform(0, 200, (n, k, 2)).astype(np.float32)
    score = rng.uniform(0, 1, (n, k)).astype(np.float32)
    box = rng.uniform(0, 200, (n, 4)).astype(np.float32)
    return People(xy, score, box, skeleton, np.arange(n))


# skeletons


def test_the_built_in_skeletons_have_the_joints_their_names_count():
    assert {s.name: len(s) for s in EVERY} == {
        "coco17": 17,
        "body19": 19,
        "lsp14": 14,
        "mpii16": 16,
    }


def test_coco_orders_its_joints_as_its_annotations_do():
    assert COCO17.joints == (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder"),
        *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    )


def test_lsp_orders_its_joints_as_its_matrix_does():
    assert LSP14.joints == (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow"),
        *("left_wrist", "neck", "head_top"),
    )


def test_mpii_orders_its_joints_by_their_published_ids():
    assert MPII16.joints == (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top", "right_wrist", "right_elbow"),
        *("right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    )


def test_cocos_falloffs_are_the_published_ones():
    published = "26 25 25 35 35 79 79 72 72 62 62 107 107 87 87 89 89"
    assert COCO17.sigmas == tuple(int(s) / 1000 for s in published.split())


def test_body19_begins_with_cocos_joints():
    assert BODY19.joints[:17] == COCO17.joints


@every_skeleton
def test_mirroring_twice_is_doing_nothing(skeleton):
    assert skeleton.flipped[skeleton.flipped].tolist() == list(range(len(skeleton)))


@every_skeleton
def test_mirroring_swaps_the_sides_in_every_name(skeleton):
    swap = {"left": "right", "right": "left"}
    told = [
        "_".join([swap.get(j.split("_")[0], j.split("_")[0]), *j.split("_")[1:]])
        for j in skeleton.joints
    ]
    assert [skeleton.joints[n] for n in skeleton.flipped] == told


@every_skeleton
def test_bones_of_the_left_have_twins_on_the_right(skeleton):
    pairs = {frozenset(edge) for edge in skeleton.edges.tolist()}
    assert {frozenset(skeleton.flipped[list(pair)].tolist()) for pair in pairs} == pairs


@every_skeleton
def test_edges_name_the_bones_by_row(skeleton):
    named = [(skeleton.joints[a], skeleton.joints[b]) for a, b in skeleton.edges]
    assert named == list(skeleton.bones)


def test_a_skeleton_without_bones_has_an_empty_table_of_edges():
    assert Skeleton("dots", ("a", "b")).edges.shape == (0, 2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"joints": ("a", "a")}, "'odd' names a joint twice"),
        ({"joints": ("a", "b"), "sigmas": (0.1,)}, "'odd' has 1 sigmas for 2 joints"),
        ({"joints": ("a", "b"), "bones": (("a", "c"),)}, "'odd' has no joint 'c'"),
        ({"joints": ("a", "b"), "mirror": (("a", "c"),)}, "'odd' has no joint 'c'"),
        ({"joints": ("a", "b"), "mirror": (("a", "b"), ("b", "a"))}, "'odd' mirrors a joint twice"),
    ],
)
def test_a_wrong_skeleton_is_refused_by_name(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        Skeleton("odd", **settings)


def test_a_skeleton_is_found_by_its_name():
    assert skeleton_named("mpii16") is MPII16


def test_an_unknown_skeleton_lists_the_known_ones():
    with pytest.raises(
        ValueError, match="no skeleton 'coco'; there are body19, coco17, lsp14, mpii16"
    ):
        skeleton_named("coco")


# people


@pytest.mark.parametrize("wrong", ["xy", "score", "box", "track"])
def test_people_of_a_wrong_shape_are_refused_by_field(wrong):
    fields = vars(people()) | {wrong: np.zeros((3, 5), np.float32)}
    with pytest.raises(ValueError, match=f"{wrong} has shape"):
        People(**fields)


def test_nobody_is_valid():
    assert len(People.none(LSP14)) == 0


@pytest.mark.parametrize("keep", [np.array([True, False, True]), [0, 2], slice(0, 3, 2)])
def test_some_people_are_kept_with_everything_they_have(keep):
    kept, every = people()[keep], people()
    for name in ("xy", "score", "box", "track"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(every, name)[[0, 2]])


def test_one_row_gives_one_person():
    np.testing.assert_array_equal(people()[1].xy, people().xy[1:2])


def test_the_last_person_is_found_from_the_end():
    np.testing.assert_array_equal(people()[-1].xy, people().xy[2:])


def test_a_row_that_does_not_exist_ends_a_loop_over_people():
    assert len(list(people())) == 3


def test_a_joint_is_found_by_its_name():
    np.testing.assert_array_equal(people().joint("left_wrist"), people().xy[:, 9])


def test_an_unknown_joint_is_refused():
    with pytest.raises(ValueError, match="has no joint 'tail'"):
        people().joint("tail")


@pytest.mark.parametrize("wrong", ["xy", "visible", "box", "weight"])
def test_a_sample_of_a_wrong_shape_is_refused_with_its_file(tmp_path, wrong):
    fields = {
        "image": tmp_path / "street.jpg",
        "xy": np.zeros((14, 2), np.float32),
        "visible": np.zeros(14, np.uint8),
        "box": np.zeros(4, np.float32),
    } | {wrong: np.zeros((3, 3), np.float32)}
    with pytest.raises(ValueError, match=rf"street\.jpg: {wrong} has shape"):
        Sample(**fields, head=None, area=None, skeleton=LSP14)


# cards


def test_a_card_survives_the_journey_through_json():
    assert Card.from_json(CARD.to_json()) == CARD


def test_a_card_that_says_no_more_is_of_shares_of_255_and_crops_a_quarter_larger():
    card = Card("bare", "heatmap", COCO17, (64, 48))
    found = card.mean, card.std, card.margin, card.calibration
    assert found == ((0, 0, 0), (255, 255, 255), 1.25, (1, 0))


@pytest.mark.parametrize("key", ["name", "kind", "skeleton", "size"])
def test_a_card_that_lacks_a_field_is_refused(key):
    raw = json.loads(CARD.to_json())
    del raw[key]
    with pytest.raises(ValueError, match="not a posegram model card"):
        Card.from_json(json.dumps(raw))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '{"skeleton": 3}'])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ValueError, match="not a posegram model card"):
        Card.from_json(text)


def test_a_card_of_an_unknown_kind_is_refused_with_the_known_ones():
    raw = json.loads(CARD.to_json()) | {"kind": "simcc"}
    known = "kind 'simcc'; there are heatmap, regression, rcnn, detector"
    with pytest.raises(ValueError, match=f"not a posegram model card: {known}$"):
        Card.from_json(json.dumps(raw))


# conversions


@every_skeleton
def test_converting_to_its_own_skeleton_changes_nothing(skeleton):
    before = people(skeleton)
    np.testing.assert_array_equal(convert(before, skeleton).xy, before.xy)


@pytest.mark.parametrize("target", EVERY, ids=lambda s: s.name)
@pytest.mark.parametrize("source", EVERY, ids=lambda s: s.name)
def test_a_joint_of_the_same_name_is_carried_over_unchanged(source, target):
    before = people(source)
    after = convert(before, target)
    shared = [joint for joint in target.joints if joint in source.joints]
    for joint in shared:
        np.testing.assert_array_equal(after.joint(joint), before.joint(joint))


@pytest.mark.parametrize("target", EVERY, ids=lambda s: s.name)
@pytest.mark.parametrize("source", EVERY, ids=lambda s: s.name)
def test_a_joint_that_the_source_lacks_is_absent_and_never_invented(source, target):
    after = convert(people(source), target)
    told = {"neck": {"upper_neck"}, "upper_neck": {"neck"}}
    told |= {"pelvis": {"left_hip", "right_hip"}, "thorax": {"left_shoulder", "right_shoulder"}}
    absent = {
        j
        for j in target.joints
        if j not in source.joints and not (j in told and told[j] <= set(source.joints))
    }
    nowhere = np.isnan(after.xy).all(axis=(0, 2)) & (after.score == 0).all(axis=0)
    assert {j for j, gone in zip(target.joints, nowhere, strict=True) if gone} == absent


def test_lsp_has_no_nose_for_coco():
    assert np.isnan(convert(people(LSP14), COCO17).joint("nose")).all()


def test_mpiis_upper_neck_is_lsps_neck():
    before = people(MPII16)
    np.testing.assert_array_equal(convert(before, LSP14).joint("neck"), before.joint("upper_neck"))


@pytest.mark.parametrize(("joint", "part"), [("pelvis", "hip"), ("thorax", "shoulder")])
def test_mpiis_trunk_is_the_middle_between_the_sides(joint, part):
    before = people(COCO17)
    middle = (before.joint(f"left_{part}") + before.joint(f"right_{part}")) / 2
    np.testing.assert_allclose(convert(before, MPII16).joint(joint), middle, rtol=1e-6)


def test_a_computed_joint_is_as_sure_as_its_less_sure_end():
    before = people(COCO17)
    ends = before.score[:, [COCO17.index("left_hip"), COCO17.index("right_hip")]]
    after = convert(before, MPII16).score[:, MPII16.index("pelvis")]
    np.testing.assert_array_equal(after, ends.min(axis=1))


def test_conversion_keeps_boxes_and_tracks():
    before = people(LSP14)
    after = convert(before, COCO17)
    assert (after.box is before.box, after.track is before.track) == (True, True)


def test_people_are_told_in_one_line():
    assert repr(people(n=2)).startswith("People(2 in coco17, mean joint scores [")
    assert len(repr(people(n=2)).splitlines()) == 1


def test_rows_hold_every_joint_of_everybody():
    some = people(n=2)
    rows = some.rows()
    assert len(rows) == 2 * 17
    assert [rows[17][key] for key in ("person", "joint")] == [1, "nose"]
    assert [row["x"] for row in rows] == some.xy[..., 0].ravel().tolist()


def test_rows_of_a_still_have_no_track():
    still = replace(people(n=1), track=None)
    assert {row["track"] for row in still.rows()} == {None}


def test_people_are_converted_to_a_skeleton_by_its_name():
    assert convert(people(), "lsp14").skeleton == LSP14
