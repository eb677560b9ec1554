"""Faults planted on a copy of a good data set, each noted: what a dataset doctor must find."""

import copy
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from posegram.data.doctor.annotations import gather

EACH = 8  # people or pictures per kind


@dataclass
class Planted:
    """Two annotation files with faults, training and validation, and where they are."""

    train: Path
    valid: Path
    images: Path  # folder that file names are relative to
    people: dict[str, list[int]] = field(default_factory=dict)  # kind -> annotation ids
    pictures: dict[str, list[str]] = field(default_factory=dict)  # kind -> file names


class Person:
    """One annotation that is about to be spoilt."""

    def __init__(self, record, entry, skeleton, size, rng):
        self.record, self.entry, self.size, self.rng = record, entry, size, rng
        self.skeleton = skeleton
        self.rows = np.array(record["keypoints"], dtype=float).reshape(-1, 3)
        x, y, w, h = record["bbox"]
        self.box = np.array([x, y, x + w, y + h])
        self.extent = float(np.ptp(self.rows[:, :2], axis=0).max())

    def at(self, *joints):
        return self.rows[[self.skeleton.index(joint) for joint in joints], :2]

    def apart(self, a, b):
        return float(np.linalg.norm(np.subtract(*self.at(a, b))))

    def swap(self, a, b):
        i, j = self.skeleton.index(a), self.skeleton.index(b)
        self.rows[[i, j]] = self.rows[[j, i]]

    def save(self):
        self.record["keypoints"] = self.rows.ravel().tolist()
        return True


def _one(person):
    return int(person.rng.integers(len(person.rows)))


def unknown_flag(p):
    p.rows[_one(p), 2] = 3
    return p.save()


def not_a_number(p):
    p.rows[_one(p), p.rng.integers(2)] = np.nan
    return p.save()


def at_origin(p):
    p.rows[_one(p), :2] = 0
    return p.save()


def unlabelled_place(p):
    p.rows[_one(p), 2] = 0
    p.record["num_keypoints"] -= 1
    return p.save()


def wrong_count(p):
    p.record["num_keypoints"] -= 1
    return True


def broken_record(p):
    p.record["keypoints"] = p.record["keypoints"][:-1]
    return True


def outside_picture(p):
    """Between 3 pixels and half a picture beyond one of its four sides."""
    height, width = p.size
    far = p.rng.uniform(3, 0.5 * max(p.size))
    row = p.rows[_one(p)]
    side = p.rng.integers(4)
    row[side % 2] = (-far, -far, width + far, height + far)[side]
    return p.save()


def collapsed(p):
    """Three joints or more on one point."""
    rows = p.rng.choice(len(p.rows), p.rng.integers(3, len(p.rows) + 1), replace=False)
    p.rows[rows, :2] = p.rows[rows[0], :2]
    return p.save()


def long_limb(p):
    """A hand, foot or head at a random place, the body's extent or more from its joint."""
    ends = [("wrist", "elbow"), ("ankle", "knee")]
    pairs = [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in ends]
    end, root = pairs[p.rng.integers(len(pairs))]
    for _ in range(200):
        place = p.rng.uniform(0, 1, 2) * (p.size[1] - 1, p.size[0] - 1)
        if np.linalg.norm(place - p.at(root)[0]) > p.extent:
            p.rows[p.skeleton.index(end), :2] = place
            return p.save()
    return False


def knee_for_ankle(p):
    """Knee and ankle of a leg exchanged; it is nearly straight and seen in its full length.

    That is 45 % of the extent of the body and 1.7 times the other thigh.
    """
    side, other = [("left", "right"), ("right", "left")][p.rng.integers(2)]
    hip, knee, ankle = (f"{side}_{part}" for part in ("hip", "knee", "ankle"))
    leg, whole = p.apart(hip, knee) + p.apart(knee, ankle), p.apart(hip, ankle)
    thigh = p.apart(f"{other}_hip", f"{other}_knee")
    if whole < 0.9 * leg or whole < 0.45 * p.extent or p.apart(knee, ankle) < 0.35 * leg:
        return False
    if whole < 1.7 * thigh:
        return False
    p.swap(knee, ankle)
    return p.save()


def wrists_swapped(p):
    """Wrists exchanged, where both forearms then become half of the body's extent or more."""
    ends = ("left_elbow", "left_wrist", "right_elbow", "right_wrist")
    le, lw, re, rw = p.at(*ends)
    if min(np.linalg.norm(le - rw), np.linalg.norm(re - lw)) < 0.5 * p.extent:
        return False
    p.swap("left_wrist", "right_wrist")
    return p.save()


def empty_box(p):
    x, y, w, h = p.record["bbox"]
    p.record["bbox"] = [[x, y, 0, h], [x, y, w, -h], [x, y, 0, 0], [x, np.nan, w, h]][
        p.rng.integers(4)
    ]
    return True


def box_corners(p):
    x, y, w, h = p.record["bbox"]
    if min(x, y) < 0.15 * max(w, h):
        return False  # then the two notations say nearly the same
    p.record["bbox"] = [x, y, x + w, y + h]
    return True


def box_outside(p):
    p.record["bbox"][p.rng.integers(2)] += 3 * max(p.size)
    return True


def box_elsewhere(p):
    """A smaller box in the picture that holds less than 40 % of the joints."""
    _, _, w, h = p.record["bbox"]
    for times in p.rng.uniform(0.5, 0.9, 500):
        x, y = p.rng.uniform(0, 1, 2) * np.maximum(
            (p.size[1] - times * w, p.size[0] - times * h), 0
        )
        end = (x + times * w, y + times * h)
        held = ((p.rows[:, :2] >= (x, y)) & (p.rows[:, :2] <= end)).all(axis=1)
        if held.mean() < 0.4:
            p.record["bbox"] = [x, y, times * w, times * h]
            return True
    return False


def box_size(p):
    """A box twice or half as wide and high, about the same middle."""
    x, y, w, h = p.record["bbox"]
    times = (0.5, 2.0)[p.rng.integers(2)]
    p.record["bbox"] = [x + w * (1 - times) / 2, y + h * (1 - times) / 2, w * times, h * times]
    return True


def normalised(p):
    p.rows[:, :2] /= (p.size[1], p.size[0])
    return p.save()


def swapped_xy(p):
    """x and y exchanged, where the bounds then overlap the old ones by less than half."""
    turned = p.rows[:, 1::-1]
    low, high = p.rows[:, :2].min(axis=0), p.rows[:, :2].max(axis=0)
    cut = np.minimum(high, turned.max(axis=0)) - np.maximum(low, turned.min(axis=0))
    inner = np.maximum(cut, 0).prod()
    if inner / (2 * (high - low).prod() - inner) > 0.5:
        return False
    p.rows[:, :2] = turned
    return p.save()


def other_scale(p):
    p.rows[:, :2] *= (0.3, 3.0)[p.rng.integers(2)]
    return p.save()


def shifted(p):
    angle = p.rng.uniform(0, 2 * np.pi)
    p.rows[:, :2] += 1.5 * p.extent * np.array([np.cos(angle), np.sin(angle)])
    return p.save()


def mirrored(p):
    p.rows[:] = p.rows[p.skeleton.flipped]
    return p.save()


def legs_swapped(p):
    for part in ("hip", "knee", "ankle"):
        p.swap(f"left_{part}", f"right_{part}")
    return p.save()


def any_wrists_swapped(p):
    p.swap("left_wrist", "right_wrist")
    return p.save()


def any_knee_for_ankle(p):
    side = ("left", "right")[p.rng.integers(2)]
    p.swap(f"{side}_knee", f"{side}_ankle")
    return p.save()


def misplaced(p):
    """A joint moved by 30 % of the body's extent in any direction."""
    angle = p.rng.uniform(0, 2 * np.pi)
    p.rows[_one(p), :2] += 0.3 * p.extent * np.array([np.cos(angle), np.sin(angle)])
    return p.save()


# name -> what spoils a person, and the kinds of finding that count as having found it
PEOPLE = {
    "unknown flag": (unknown_flag, {"unknown-flag"}),
    "no number": (not_a_number, {"not-a-number"}),
    "labelled at (0, 0)": (at_origin, {"at-origin"}),
    "v = 0 with a place": (unlabelled_place, {"unlabelled-place"}),
    "wrong num_keypoints": (wrong_count, {"wrong-count"}),
    "joint outside the picture": (outside_picture, {"outside-picture"}),
    "joints on one point": (collapsed, {"collapsed"}),
    "hand or foot thrown away": (long_limb, {"long-limb", "swapped-joints"}),
    "knee for ankle": (knee_for_ankle, {"swapped-joints", "long-limb"}),
    "wrists exchanged": (wrists_swapped, {"swapped-joints", "long-limb"}),
    "empty box": (empty_box, {"empty-box"}),
    "box as corners": (box_corners, {"box-corners"}),
    "box outside the picture": (box_outside, {"box-outside"}),
    "box elsewhere": (box_elsewhere, {"box-misfit", "shifted", "other-scale"}),
    "box half or twice as large": (box_size, {"box-misfit", "box-outside"}),
    "shares for pixels": (normalised, {"normalised"}),
    "x and y exchanged": (swapped_xy, {"swapped-xy"}),
    "another scale": (other_scale, {"other-scale"}),
    "joints shifted": (shifted, {"shifted", "box-misfit"}),
}
# faults of anybody, however little they show: no doctor finds them all, the less without a model
HARD = {
    "whole person mirrored": (mirrored, {"mirrored"}),
    "legs exchanged": (legs_swapped, {"swapped-joints", "mirrored"}),
    "wrists exchanged, any": (any_wrists_swapped, {"swapped-joints", "long-limb", "misplaced"}),
    "knee for ankle, any": (any_knee_for_ankle, {"swapped-joints", "long-limb", "misplaced"}),
    "joint moved by 30 %": (
        misplaced,
        {"misplaced", "long-limb", "swapped-joints", "outside-picture"},
    ),
}


def plant(samples, folder, *, seed=0, each=EACH, kinds=PEOPLE, pictures=True):
    """A copy of a set with faults of every kind, each on other people.

    Args:
        samples: good people of one skeleton, one in a picture, pictures at hand.
        folder: where the files go.
        seed: another seed, other people and other faults.
        each: people or pictures per kind.
        kinds: faults of people, such as `PEOPLE` or `HARD`.
        pictures: plant faults of pictures and of the set's parts, too.
    """
    rng = np.random.default_rng(seed)
    (people,) = gather(samples)
    whole, size = copy.deepcopy(people.whole), people.size
    images = folder / "images"
    images.mkdir(parents=True)
    for entry, image, (height, width) in zip(whole["images"], people.images, size, strict=True):
        entry |= {"file_name": image.name, "height": int(height), "width": int(width)}
        (images / image.name).symlink_to(image.resolve())
    planted = Planted(folder / "train.json", folder / "valid.json", images)
    free = rng.permutation(len(samples)).tolist()
    for name, (spoil, _) in kinds.items():
        planted.people[name] = _spoil(spoil, free, each, whole, people, rng)
    valid = {**whole, "images": [], "annotations": []}
    if pictures:
        _copy_people(whole, free, each, planted)
        _spoil_pictures(whole, valid, free, each, planted)
    planted.train.write_text(json.dumps(whole))
    planted.valid.write_text(json.dumps(valid))
    return planted


def _spoil(spoil, free, each, whole, people, rng):
    """Spoil the first of the free people that will do; their annotation ids."""
    done = []
    for row in list(free):
        record, entry = whole["annotations"][row], whole["images"][row]
        if spoil(Person(record, entry, people.skeleton, people.size[row], rng)):
            free.remove(row)
            done.append(record["id"])
        if len(done) == each:
            break
    return done


def _copy_people(whole, free, each, planted):
    """People twice in a picture, exactly or nearly; labels on another's picture; broken ones."""
    annotations = whole["annotations"]
    number = len(annotations)
    for name, step in (("person twice", 0.0), ("person twice, redrawn", 0.6)):
        planted.people[name] = []
        for row in [free.pop() for _ in range(each)]:
            number += 1
            again = copy.deepcopy(annotations[row]) | {"id": number}
            again["keypoints"] = [
                v if n % 3 == 2 else v + step for n, v in enumerate(again["keypoints"])
            ]
            annotations.append(again)
            planted.people[name].append(number)
    planted.people["another's labels"] = []  # both sides of the copy are named, and rightly
    for one, two in [(free.pop(), free.pop()) for _ in range(each)]:
        keep = {key: annotations[two][key] for key in ("id", "image_id")}
        annotations[two].update(copy.deepcopy(annotations[one]) | keep)
        planted.people["another's labels"] += [keep["id"], annotations[one]["id"]]
    planted.people["broken record"] = []
    for row in [free.pop() for _ in range(each)]:
        annotations[row]["keypoints"] = annotations[row]["keypoints"][:-1]
        planted.people["broken record"].append(annotations[row]["id"])


def _spoil_pictures(whole, valid, free, each, planted):
    entries, images = whole["images"], planted.images
    for name in ("missing picture", "damaged picture", "wrong size"):
        planted.pictures[name] = []
        for row in [free.pop() for _ in range(each)]:
            path = images / entries[row]["file_name"]
            planted.pictures[name].append(path.name)
            if name == "wrong size":
                entries[row]["width"] = entries[row]["width"] + 16
                continue
            data = path.read_bytes()
            path.unlink()
            if name == "damaged picture":
                path.write_bytes(data[: len(data) // 2])
    for name in ("picture in both parts", "near copy in both parts"):
        planted.pictures[name] = []
        for row in [free.pop() for _ in range(each)]:
            source = images / entries[row]["file_name"]
            number = 10**6 + len(valid["images"])
            path = images / f"copy{number}.jpg"
            if name == "picture in both parts":
                shutil.copy(source.resolve(), path)
            else:
                picture = cv2.imread(str(source))
                small = cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
                cv2.imwrite(str(path), small, [cv2.IMWRITE_JPEG_QUALITY, 60])
            height, width = cv2.imread(str(path)).shape[:2]
            entry = {"id": number, "file_name": path.name, "height": height, "width": width}
            valid["images"].append(entry)
            record = copy.deepcopy(whole["annotations"][row])
            times = width / entries[row]["width"]
            record["keypoints"] = [
                v if n % 3 == 2 else v * times for n, v in enumerate(record["keypoints"])
            ]
            record["bbox"] = [v * times for v in record["bbox"]]
            valid["annotations"].append(record | {"id": number, "image_id": number})
            planted.pictures[name].append(path.name)


KIND_OF_PICTURE = {
    "missing picture": {"missing-image"},
    "damaged picture": {"unreadable-image"},
    "wrong size": {"wrong-size"},
    "picture in both parts": {"same-photo"},
    "near copy in both parts": {"near-photo"},
}
KIND_OF_COPY = {
    "person twice": {"person-twice"},
    "person twice, redrawn": {"person-twice"},
    "another's labels": {"copied-labels"},
    "broken record": {"broken-record"},
}


def found(planted, report, *, kinds=PEOPLE):
    """How many were found as faults of a fitting kind: name -> (found, planted)."""
    wanted = {name: fits for name, (_, fits) in kinds.items()} | KIND_OF_COPY | KIND_OF_PICTURE
    ids, names = set(), set()
    for one in report.faults:
        people = report.sources[one.source]
        if one.kind == "broken-record":
            ids |= {(one.kind, people.whole["annotations"][row]["id"]) for row in people.broken}
        elif one.person is not None:
            record = people.whole["annotations"][people.record[one.person]]
            ids.add((one.kind, record["id"]))
        elif one.image is not None:
            names.add((one.kind, people.images[one.image].name))
    result = {}
    for name, some in (planted.people | planted.pictures).items():
        known = ids if name in planted.people else names
        hits = [any((kind, one) in known for kind in wanted[name]) for one in some]
        result[name] = (sum(hits), len(some))
    return result


def false_alarms(planted, report):
    """Ids of people with a fault of their own in whom nothing was planted."""
    spoilt = {one for some in planted.people.values() for one in some}
    touched = {name for some in planted.pictures.values() for name in some}
    ids = set()
    for source, row in report.flagged():
        people = report.sources[source]
        record = people.whole["annotations"][people.record[row]]
        if record["id"] not in spoilt and people.images[people.image[row]].name not in touched:
            ids.add(record["id"])
    return ids
