from dataclasses import replace

import numpy as np
import pytest
import torch

import figures
from posegram import coords, image
from posegram.data.joints import in_skeleton
from posegram.pose import COCO17, LSP14, MPII16, Skeleton
from posegram.train import Config
from posegram.train.batches import Crops, Shuffle, loader, relabel

# geometry alone: the figure's colours stay as drawn
PLAIN = Config(size=(96, 96), brightness=0.0, contrast=0.0, cache="off", batch=4)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 6)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """One figure in a photo so large that its region is shrunk before it is kept."""
    path = tmp_path_factory.mktemp("large") / "large.png"
    picture, xy = figures.figure(size=(1200, 1000))
    image.write(path, picture)
    box = coords.bounds(xy[0], np.ones(14, dtype=bool))
    return replace(figures.samples(path.parent, 1)[0], image=path, xy=xy[0], box=box)


def colour_at(one, joint):
    """The crop's colour (3,) where the label of a joint lies."""
    x, y = one["xy"][LSP14.index(joint)].round().astype(int)
    return one["crop"][y, x].astype(int)


def named(colour):
    if abs(colour[0] - colour[2]) < 60:
        return "neither"
    return "red" if colour[0] > colour[2] else "blue"


def limbs_on_colour(changed, *, epochs):
    """Names of the colours under the labelled left and right knees and elbows."""
    found = {"left": [], "right": []}
    for epoch in range(epochs):
        changed.epoch = epoch
        for one in (changed[n] for n in range(len(changed))):
            for side, colours in found.items():
                for joint in (f"{side}_knee", f"{side}_elbow"):
                    if one["weight"][LSP14.index(joint)]:
                        colours.append(named(colour_at(one, joint)))
    return found["left"], found["right"]


def crops(samples, *, training=False, config=PLAIN, **changes):
    return Crops(samples, LSP14, replace(config, **changes), training=training)


def unlabelled(sample, joint, xy):
    flags, places = sample.visible.copy(), sample.xy.copy()
    flags[LSP14.index(joint)], places[LSP14.index(joint)] = 0, xy
    return replace(sample, visible=flags, xy=places)


# labels by joint name


def test_the_same_skeleton_keeps_every_label(people):
    xy, labelled, weight = relabel(people[0], LSP14)
    np.testing.assert_array_equal(xy, people[0].xy)
    assert (labelled.all(), weight.tolist()) == (True, [1.0] * 14)


def test_labels_are_found_by_name_in_another_skeleton(people):
    xy, labelled, _ = relabel(people[0], COCO17)
    place = people[0].xy[LSP14.index("left_knee")]
    assert xy[COCO17.index("left_knee")].tolist() == place.tolist()
    assert labelled[COCO17.index("left_knee")]


def test_a_joint_that_the_sample_lacks_is_not_labelled(people):
    _, labelled, weight = relabel(people[0], COCO17)
    lacking = [j for j, known in zip(COCO17.joints, labelled, strict=True) if not known]
    assert lacking == ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    assert weight[~labelled].tolist() == [0.0] * 5


def test_the_neck_of_mpii_is_that_of_lsp(people):
    theirs = in_skeleton(people[0], MPII16)
    neck = LSP14.index("neck")
    xy, labelled, _ = relabel(theirs, LSP14)
    assert labelled[neck]
    assert xy[neck].tolist() == people[0].xy[neck].tolist()


def test_trust_in_a_label_becomes_its_weight(people):
    trust = np.linspace(0, 1, 14).astype(np.float32)
    _, _, weight = relabel(replace(people[0], weight=trust), LSP14)
    np.testing.assert_array_equal(weight, trust)


def test_an_unlabelled_joint_has_no_weight_even_when_trusted(people):
    sample = unlabelled(replace(people[0], weight=np.ones(14, np.float32)), "neck", 5)
    assert relabel(sample, LSP14)[2][LSP14.index("neck")] == 0


def test_a_box_without_joints_has_no_label(people):
    nothing = {"xy": np.zeros((0, 2), np.float32), "visible": np.zeros(0, np.uint8)}
    box = replace(people[0], **nothing, skeleton=Skeleton("none", ()))
    xy, labelled, weight = relabel(box, LSP14)
    assert (xy.shape, labelled.any(), weight.any()) == ((14, 2), False, False)


# crops without chance


def test_a_crop_is_what_prediction_would_cut(people):
    one = crops(people)[2]
    wanted, _ = coords.crop(image.read(people[2].image), people[2].box[None], PLAIN.size)
    np.testing.assert_array_equal(one["crop"], wanted[0])


def test_the_region_of_a_large_photo_gives_nearly_the_same_crop(large):
    one = crops([large])[0]
    wanted, _ = coords.crop(image.read(large.image), large.box[None], PLAIN.size)
    assert np.abs(one["crop"].astype(int) - wanted[0]).mean() < 1.0


def test_a_large_photo_is_kept_small(large):
    part, _ = crops([large]).region(0)
    assert max(part.shape) < 400


@pytest.mark.parametrize("size", [(96, 96), (96, 64), (64, 96)])
def test_labels_go_back_to_the_photo(people, size):
    one = crops(people, size=size)[1]
    assert one["crop"].shape == (*size, 3)
    np.testing.assert_allclose(coords.move(one["xy"], one["back"]), people[1].xy, atol=1e-3)


def test_left_limbs_are_blue_at_their_labels(people):
    one = crops(people)[0]
    assert named(colour_at(one, "left_wrist")) == "blue"
    assert named(colour_at(one, "right_wrist")) == "red"


# crops by chance


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_labels_stay_on_the_drawn_joints_under_every_change(people, flip):
    changed = crops(people, training=True, any_turn=0.3, flip=flip)
    left, right = limbs_on_colour(changed, epochs=4)
    wanted = ({"red"}, {"blue"}) if flip else ({"blue"}, {"red"})
    assert (set(left), set(right)) == wanted
    assert min(len(left), len(right)) > 24  # of 48


def test_changed_labels_of_a_large_photo_lie_on_its_drawn_joints(large):
    left, right = limbs_on_colour(crops([large], training=True, flip=0.0), epochs=8)
    assert (set(left), set(right)) == ({"blue"}, {"red"})


def test_changed_labels_go_back_to_the_photo(people):
    one = crops(people, training=True, flip=0.0)[3]
    np.testing.assert_allclose(coords.move(one["xy"], one["back"]), people[3].xy, atol=1e-3)


def test_a_flipped_crop_swaps_left_and_right_joints(people):
    one = crops(people, training=True, flip=1.0)[3]
    swapped = people[3].xy[LSP14.flipped]
    np.testing.assert_allclose(coords.move(one["xy"], one["back"]), swapped, atol=1e-3)


def test_a_flipped_crop_swaps_the_weights_too(people):
    sample = unlabelled(people[0], "left_wrist", 0)
    one = crops([sample], training=True, flip=1.0, scale=(1.5, 1.5), shift=0.0)[0]
    assert np.flatnonzero(one["weight"] == 0).tolist() == [LSP14.index("right_wrist")]


def test_joints_beyond_the_edge_of_a_framed_photo_have_no_weight(people):
    whole = crops(people, training=True, config=replace(PLAIN, flip=0.0))
    parts = crops(people, training=True, config=replace(PLAIN, flip=0.0, framed=1.0))
    lost = [(whole[i]["weight"] > 0).sum() - (parts[i]["weight"] > 0).sum() for i in range(20)]
    assert max(lost) > 3


def test_every_labelled_joint_is_in_the_picture_or_absent(people):
    parts = crops(people, training=True, config=replace(PLAIN, flip=0.5, framed=1.0))
    for i in range(20):
        assert ((parts[i]["weight"] > 0) != (parts[i]["absent"] > 0)).all()


def test_an_unlabelled_joint_is_not_absent(people):
    one = crops([unlabelled(people[0], "left_knee", 60)])[0]
    assert one["absent"].tolist() == [0.0] * 14


def test_a_flipped_crop_swaps_the_absent_joints_too(people):
    box = people[0].box.copy()
    box[3] -= 0.6 * (box[3] - box[1])
    sample = unlabelled(replace(people[0], box=box), "left_ankle", 0)
    one = crops([sample], training=True, flip=1.0, scale=(1.0, 1.0), shift=0.0, turn_share=0.0)[0]
    feet = [LSP14.index("left_ankle"), LSP14.index("right_ankle")]
    assert one["absent"][feet].tolist() == [1.0, 0.0]


def test_a_framed_photo_is_black_beyond_its_edge(people):
    parts = crops(people, training=True, config=replace(PLAIN, contrast=0.0, framed=1.0))
    black = [(parts[i]["crop"] == 0).all(axis=-1).mean() for i in range(20)]
    assert max(black) > 0.1


def test_every_epoch_changes_a_crop_in_another_way(people):
    changed = crops(people, training=True)
    first = changed[0]["xy"]
    changed.epoch = 1
    assert not np.allclose(changed[0]["xy"], first)


def test_another_seed_changes_a_crop_in_another_way(people):
    one, two = (crops(people, training=True, seed=seed)[0] for seed in (0, 1))
    assert not np.allclose(one["xy"], two["xy"])


def test_a_change_depends_on_nothing_that_happened_before(people):
    fresh, used = (crops(people, training=True, blur=0.5, cutout=0.5) for _ in range(2))
    for n in range(6):
        used[n]
    fresh.epoch = used.epoch = 5
    np.testing.assert_array_equal(fresh[4]["crop"], used[4]["crop"])


def test_patches_and_light_leave_the_labels_alone(people):
    plain = crops(people, training=True)[0]["xy"]
    loud = crops(people, training=True, blur=1.0, cutout=1.0, colour=0.3, contrast=0.3)[0]["xy"]
    np.testing.assert_array_equal(plain, loud)


# what does not count


def test_an_unlabelled_joint_has_weight_0(people):
    one = crops([unlabelled(people[0], "left_knee", 60)])[0]
    assert np.flatnonzero(one["weight"] == 0).tolist() == [LSP14.index("left_knee")]


def test_garbage_at_an_unlabelled_joint_is_never_passed_on(people):
    one = crops([unlabelled(people[0], "left_knee", np.nan)])[0]
    assert np.isfinite(one["xy"]).all()


def test_a_joint_outside_the_crop_has_weight_0(people):
    feet = [LSP14.index("left_ankle"), LSP14.index("right_ankle")]
    box = people[0].box.copy()
    box[3] -= 0.6 * (box[3] - box[1])
    one = crops([replace(people[0], box=box)])[0]
    assert (one["xy"][feet, 1] > 96).all()
    assert one["weight"][feet].tolist() == [0.0, 0.0]


def test_a_box_beside_the_photo_gives_a_black_crop(people):
    box = np.array([5000, 5000, 5100, 5200], dtype=np.float32)
    one = crops([replace(people[0], box=box)])[0]
    assert (one["crop"].max(), one["weight"].max()) == (0, 0)


# keeping


@pytest.mark.parametrize("cache", ["ram", "disk"])
@pytest.mark.parametrize("time", ["first", "second"])
def test_kept_regions_give_the_same_crops(people, large, tmp_path, cache, time):
    samples = [*people[:2], large]
    kept = Crops(samples, LSP14, replace(PLAIN, cache=cache), training=True, disk=tmp_path / "c")
    if time == "second":
        for n in range(3):
            kept[n]
    for n in range(3):
        np.testing.assert_array_equal(kept[n]["crop"], crops(samples, training=True)[n]["crop"])


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_a_kept_photo_is_never_read_again(people, tmp_path, monkeypatch, cache):
    kept = Crops(people[:1], LSP14, replace(PLAIN, cache=cache), training=True, disk=tmp_path)
    kept[0]
    monkeypatch.setattr(image, "read", lambda path: pytest.fail(f"read {path} again"))
    kept.epoch = 1
    assert kept[0]["crop"].any()


def test_two_workers_may_keep_one_photo_at_once(people, tmp_path, monkeypatch):
    config, save = replace(PLAIN, cache="disk"), np.savez
    one, two = (Crops(people[:1], LSP14, config, training=False, disk=tmp_path) for _ in range(2))

    def interrupted(file, **arrays):
        monkeypatch.setattr(np, "savez", save)
        two[0]  # the other worker has its turn while this one writes
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", interrupted)
    np.testing.assert_array_equal(one[0]["crop"], crops(people[:1])[0]["crop"])
    assert len(list(tmp_path.iterdir())) == 1


def test_corrected_boxes_are_cut_anew(people, tmp_path):
    for corner in (10, 70):
        person = replace(people[0], box=np.float32([corner, corner, corner + 20, corner + 20]))
        kept = Crops([person], LSP14, replace(PLAIN, cache="disk"), training=False, disk=tmp_path)
        np.testing.assert_array_equal(kept[0]["crop"], crops([person])[0]["crop"])


def test_a_photo_written_anew_is_cut_anew(people, tmp_path):
    person = replace(people[0], image=tmp_path / "a.png")
    kept = Crops([person], LSP14, replace(PLAIN, cache="disk"), training=False, disk=tmp_path / "c")
    for photo in (people[0].image, people[1].image):
        image.write(person.image, image.read(photo))
        np.testing.assert_array_equal(kept[0]["crop"], crops([person])[0]["crop"])


def test_a_disk_cache_without_a_folder_is_refused(people):
    with pytest.raises(ValueError, match="cache = 'disk' needs a folder"):
        crops(people, cache="disk")[0]


# order and batches


def test_an_order_holds_every_row_once():
    assert sorted(Shuffle(10, seed=0)) == list(range(10))


def test_every_epoch_has_another_order():
    order = Shuffle(10, seed=0)
    first = list(order)
    order.epoch = 1
    assert list(order) != first


def test_the_order_of_an_epoch_is_fixed():
    one, two = Shuffle(10, seed=3), Shuffle(10, seed=3)
    list(one)
    one.epoch = two.epoch = 2
    assert list(one) == list(two)


def test_only_so_many_people_are_drawn_an_epoch():
    assert len(list(Shuffle(10, seed=0, drawn=4))) == len(Shuffle(10, seed=0, drawn=4)) == 4


def test_the_next_epoch_draws_other_people():
    order = Shuffle(1000, seed=0, drawn=10)
    first = set(order)
    order.epoch = 1
    assert set(order) != first


def test_few_people_are_drawn_again_under_higher_numbers():
    rows = list(Shuffle(4, seed=0, drawn=10))
    assert [sorted(r % 4 for r in rows[n : n + 4]) for n in (0, 4)] == [[0, 1, 2, 3]] * 2
    assert len(set(rows)) == 10


@pytest.mark.parametrize("drawn", [0, 10])
def test_everybody_is_drawn_without_a_smaller_number(drawn):
    assert sorted(Shuffle(10, seed=0, drawn=drawn)) == list(range(10))


def test_a_batch_holds_tensors_of_all_its_crops(people):
    batch = next(iter(loader(crops(people), PLAIN)))
    shapes = {key: tuple(value.shape) for key, value in batch.items()}
    wanted = {
        "crop": (4, 96, 96, 3),
        "xy": (4, 14, 2),
        "weight": (4, 14),
        "absent": (4, 14),
        "back": (4, 2, 3),
    }
    assert shapes == {**wanted, "row": (4,)}
    assert (batch["crop"].dtype, batch["xy"].dtype) == (torch.uint8, torch.float32)


def test_validation_shows_everybody_in_order(people):
    rows = torch.cat([batch["row"] for batch in loader(crops(people), PLAIN)])
    assert rows.tolist() == list(range(6))


def test_training_leaves_out_the_small_last_batch(people):
    assert [len(b["row"]) for b in loader(crops(people, training=True), PLAIN)] == [4]


def test_fewer_people_than_a_batch_are_still_trained_on(people):
    assert [len(b["row"]) for b in loader(crops(people[:3], training=True), PLAIN)] == [3]


def test_fewer_people_drawn_than_a_batch_are_still_trained_on(people):
    batches = loader(crops(people, training=True), replace(PLAIN, epoch_people=2))
    assert [len(b["row"]) for b in batches] == [2]


def test_fewer_people_than_processes_are_refused(people, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=r"shows 3 of what .* too little for 4 processes"):
        loader(crops(people[:3], training=True), PLAIN)


def test_people_of_different_skeletons_share_a_batch(people, tmp_path):
    others = figures.samples(tmp_path, 2, skeleton=COCO17)
    batch = next(iter(loader(crops([*people[:2], *others]), PLAIN)))
    neck = LSP14.index("neck")
    assert batch["weight"][:, neck].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_epochs_that_draw_some_show_everybody_before_anybody_again():
    order, seen = Shuffle(10, seed=0, drawn=4), []
    for epoch in range(5):
        order.epoch = epoch
        seen += [row % 10 for row in order]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
