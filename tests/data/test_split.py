from itertools import pairwise

import cv2
import numpy as np
import pytest

from posegram.data import lsp
from posegram.data import split as parting
from posegram.data.split import groups, near_duplicates, split
from posegram.pose import LSP14, Sample


def _photo(path, seed, *, quality=95, shade=0):
    """A picture of smooth noise, as unlike another seed's as two photos are."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(20, 230, (12, 16, 3)).astype(np.uint8)
    picture = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(picture.astype(int) + shade, 0, 255).astype(np.uint8)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def _people(images):
    xy = np.zeros((14, 2), dtype=np.float32)
    flags, box = np.ones(14, dtype=np.uint8), np.ones(4, dtype=np.float32)
    return [Sample(image, xy, flags, box, None, None, LSP14) for image in images]


@pytest.fixture
def photos(tmp_path):
    return [_photo(tmp_path / f"{n}.jpg", n) for n in range(20)]


def test_unlike_photos_make_no_pair(photos):
    assert near_duplicates(photos).shape == (0, 2)


@pytest.mark.parametrize("change", [{"quality": 20}, {"shade": 12}])
def test_a_photo_saved_again_is_a_near_duplicate(photos, tmp_path, change):
    copy = _photo(tmp_path / "copy.jpg", 4, **change)
    assert near_duplicates([*photos, copy]).tolist() == [[4, 20]]


def test_near_duplicates_are_found_from_block_to_block(monkeypatch, photos, tmp_path):
    monkeypatch.setattr(parting, "_BLOCK", 6)
    copies = [_photo(tmp_path / f"copy{n}.jpg", n, quality=40) for n in (4, 13)]
    assert near_duplicates([*photos, *copies]).tolist() == [[4, 20], [13, 21]]


def test_a_photo_of_half_the_size_is_a_near_duplicate(photos, tmp_path):
    small = cv2.resize(cv2.imread(str(photos[4])), (160, 120), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "small.png"), small)
    assert near_duplicates([*photos, tmp_path / "small.png"]).tolist() == [[4, 20]]


def test_copies_of_copies_make_one_group(photos, tmp_path):
    copies = [_photo(tmp_path / f"copy{q}.jpg", 4, quality=q) for q in (30, 60)]
    found = groups([*photos, *copies])
    assert found[4] == found[20] == found[21]
    assert len(set(found.tolist())) == 20


def test_missing_and_broken_pictures_stand_alone(tmp_path):
    (tmp_path / "broken.jpg").write_text("no picture")
    images = [tmp_path / "broken.jpg", tmp_path / "gone.jpg"]
    assert sorted(groups(images).tolist()) == [0, 1]


def test_everybody_is_on_one_side(photos):
    people = _people(photos)
    train, valid = split(people, share=0.25)
    assert sorted(map(id, train + valid)) == sorted(map(id, people))


def test_validation_gets_its_share(photos):
    assert len(split(_people(photos), share=0.25)[1]) == 5


def test_validation_gets_one_photo_though_its_people_are_more_than_the_share(photos):
    assert len(split(_people(photos * 3), share=0.01)[1]) == 3


def test_people_of_one_image_stay_together(photos):
    train, valid = split(_people(photos * 3), share=0.3)
    assert {s.image for s in train} & {s.image for s in valid} == set()


@pytest.mark.parametrize("seed", range(8))
def test_near_duplicates_stay_together(photos, tmp_path, seed):
    copies = [_photo(tmp_path / f"copy{n}.jpg", n, quality=40) for n in range(20)]
    _, valid = split(_people([*photos, *copies]), share=0.3, seed=seed)
    names = {s.image.stem for s in valid}
    assert {n for n in names if not n.startswith("copy")} == {
        n.removeprefix("copy") for n in names if n.startswith("copy")
    }


def test_the_same_seed_gives_the_same_sides(photos):
    people = _people(photos)
    assert split(people, seed=3) == split(people, seed=3)


def test_other_seeds_give_other_sides(photos):
    people = _people(photos)
    sides = [[s.image for s in split(people, share=0.3, seed=n)[1]] for n in range(3)]
    assert all(a != b for a, b in pairwise(sides))


@pytest.mark.parametrize("share", [0, 1, -0.1, 10])
def test_a_share_that_is_none_is_refused(photos, share):
    with pytest.raises(ValueError, match="wanted a number between 0 and 1"):
        split(_people(photos), share=share)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_people_of_one_photo_cannot_be_parted(photos, count):
    with pytest.raises(ValueError, match="cannot be parted"):
        split(_people(photos[:1] * count))


# the pairs among the first 4,000 images that the data folder's README lists
PAIRS = [(265, 2354), (298, 2636), (298, 3556), (1195, 2494), (1663, 3562), (1803, 3959),
         (2127, 3615), (2636, 3556)]  # fmt: skip


def test_the_known_pairs_of_lsp_extended_are_found_and_no_other(shared):
    numbers = sorted({n for pair in PAIRS for n in pair} | set(range(1, 200)))
    images = [shared / "data" / "lspet" / "images" / f"im{n:05d}.jpg" for n in numbers]
    found = [(numbers[a], numbers[b]) for a, b in near_duplicates(images)]
    assert sorted(found) == PAIRS


def test_lsp_and_its_extension_can_be_parted_together(shared):
    folders = [shared / "data" / name for name in ("lsp", "lspet")]
    people = [s for folder in folders for s in lsp.read(folder, last=60)]
    assert len(split(people, share=0.2)[1]) == 24
