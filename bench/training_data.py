"""The default model's training data, from public repositories that lie here as git folders.

python bench/training_data.py coco OUT --labels GIT --photos GIT[@COMMIT] ... --held FILE ...
                                   --teacher ONNX
python bench/training_data.py boxes OUT --photos GIT[@COMMIT] ... --labels GIT --held FILE ...
                                   --sizes FILE ...
python bench/training_data.py judged OUT.json --boxes FILE ... --nanodet ONNX

`coco`: photos that carry a COCO number in their name, with COCO's own keypoints. Their labels come
in YOLO-pose form (`labels/train2017/<number>.txt`, shares of the photo); numbers under
`labels/val2017` and those of the held-out files are left out. Photos that were stretched to squares
get their shape back: COCO's joints are whole pixels, so the true width is the one that makes all of
them whole. Of several copies the one stands on which a teacher finds the labelled joints; photos on
which it finds less than 40 % are left out (turned and mirrored copies).

`boxes`: photos with YOLO boxes of people (one per name before `.rf.`). Photos without a COCO number
get the shape (4:3, 3:4 or square) in which the bundled pose network is surest. One in twenty is
marked `valid`; photos that look like one of these are marked `near_duplicate`.

`judged`: NanoDet's opinion of labelled boxes. A box that it sees too (score 0.2) stays, another
becomes a region to ignore; what it alone sees is added from 0.5 and ignored from 0.25. Boxes of
files with keypoints always stay.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from posegram import image
from posegram.areas import iou
from posegram.infer.load import load
from posegram.pose import COCO17, Floats, Image

NUMBER = re.compile(r"(?:^|_|/)(\d{12})(?:_jpg\.rf\.\w+)?\.jpg$")
ROBOFLOW = re.compile(r"(?:.*/)?(?:train|valid|test)/(images|labels)/(.+)\.rf\.(\w+)\.(?:jpg|txt)$")
USUAL = (640, 480, 427, 426, 425, 428, 500, 375, 424, 429, 360)  # sides of COCO photos, in pixels
SHAPES = (
    (4 / 3, 0.0),
    (3 / 4, -0.02),
    (1.0, -0.04),
)  # width / height, and what it takes to choose it
SIDE = 416  # longer side of a photo that was stretched
FOUND = 0.4  # share of the labelled joints that a teacher must find on a copy


class Git:
    """Files of one commit of a repository without a work tree; `GIT@COMMIT` names them."""

    def __init__(self, spec: str) -> None:
        self.path, _, commit = spec.partition("@")
        tree = ["git", "-C", self.path, "-c", "core.quotepath=off", "ls-tree", "-r"]
        lines = subprocess.run(
            [*tree, commit or "HEAD"], capture_output=True, text=True, check=True
        )
        parts = (line.split("\t", 1) for line in lines.stdout.splitlines())
        self.files = {name: meta.split()[2] for meta, name in parts}
        batch = ["git", "-C", self.path, "cat-file", "--batch"]
        self.reader = subprocess.Popen(batch, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, name: str) -> bytes:
        assert self.reader.stdin is not None
        assert self.reader.stdout is not None
        self.reader.stdin.write(f"{self.files[name]}\n".encode())
        self.reader.stdin.flush()
        size = int(self.reader.stdout.readline().split()[2])
        data = self.reader.stdout.read(size)
        self.reader.stdout.read(1)
        return data

    def picture(self, name: str) -> Image | None:
        return cv2.imdecode(np.frombuffer(self.read(name), np.uint8), cv2.IMREAD_COLOR)


class Numbers:
    """Keypoint labels by COCO number, (P, 56) shares of the photo, without those held out."""

    def __init__(self, spec: str, held: list[Path]) -> None:
        self.git = Git(spec)
        out = {Path(name).stem for name in self.git.files if name.startswith("labels/val2017/")}
        for path in held:
            photos = json.loads(path.read_text(encoding="utf-8"))["images"]
            out |= {Path(photo["file_name"]).stem for photo in photos}
        names = (name for name in self.git.files if name.startswith("labels/train2017/"))
        self.names = {Path(name).stem: name for name in names if Path(name).stem not in out}

    def __contains__(self, number: str) -> bool:
        return number in self.names

    def read(self, number: str) -> np.ndarray:
        lines = self.git.read(self.names[number]).decode().splitlines()
        return np.array([[float(v) for v in line.split()] for line in lines]).reshape(-1, 56)


def whole_side(share: np.ndarray) -> int | None:
    """The side in pixels of which all shares are whole pixels, or None."""
    share = share[(share > 0) & (share < 1)]
    for side in (*USUAL, *range(639, 99, -1)):
        away = np.abs(share * side - np.round(share * side)).max(initial=0.0)
        if len(share) >= 3 and away < 2e-4 + 6e-4 * side / 640:
            return side
    return None


def true_size(labels: np.ndarray) -> tuple[int, int] | None:
    """Width and height of the photo that the labels were made on, or None."""
    joints = labels[:, 5:].reshape(-1, 17, 3)
    seen = joints[..., 2] > 0
    width, height = (whole_side(joints[..., axis][seen]) for axis in (0, 1))
    return None if width is None or height is None else (width, height)


def in_pixels(labels: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (P, 17, 3) and boxes (P, 4) as x, y, width, height."""
    joints = labels[:, 5:].reshape(-1, 17, 3) * [width, height, 1]
    joints[joints[..., 2] == 0] = 0
    box = labels[:, 1:5] * [width, height, width, height]
    box[:, :2] -= box[:, 2:] / 2
    return joints, box


def agreement(teacher, photo: Image, joints: np.ndarray, box: np.ndarray) -> float:
    """Share of the joints of the two largest people that the teacher finds; NaN without any."""
    near = []
    for row in np.argsort(-box[:, 2] * box[:, 3])[:2]:
        seen = joints[row, :, 2] > 0
        if seen.sum() < 6 or box[row, 3] < 50:
            continue
        ends = np.concatenate([box[row, :2], box[row, :2] + box[row, 2:]]).astype(np.float32)
        away = teacher(photo[..., ::-1].copy(), ends[None]).xy[0] - joints[row, :, :2]
        reach = 0.15 * np.sqrt(box[row, 2] * box[row, 3])
        near += (np.linalg.norm(away, axis=1)[seen] < reach).tolist()
    return float(np.mean(near)) if near else float("nan")


def unstretched(photo: Image, width: float, height: float, side: int) -> Image:
    zoom = side / max(width, height)
    size = round(width * zoom), round(height * zoom)
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def best_copy(copies, labels: np.ndarray, teacher) -> tuple[Image, np.ndarray, np.ndarray] | None:
    """The copy that fits the labels best, in its true shape, with joints and boxes."""
    size = true_size(labels)
    if size is None or not 0.4 < size[0] / size[1] < 2.5:
        return None
    best, most = None, FOUND
    for git, name in copies:
        photo = git.picture(name)
        if photo is None:
            continue
        if photo.shape[:2] != size[::-1]:
            photo = unstretched(photo, *size, max(photo.shape[:2]))
        parts = in_pixels(labels, photo.shape[1], photo.shape[0])
        share = agreement(teacher, photo, *parts)
        share = 0.5 if np.isnan(share) else share  # nobody large enough to ask about
        if share > most:
            best, most = (photo, *parts), share
    return best


def coco(args: argparse.Namespace) -> None:
    numbers = Numbers(args.labels, args.held)
    copies = collections.defaultdict(list)
    for git in (Git(spec) for spec in args.photos):
        for name in git.files:
            found = NUMBER.search(name)
            if found and found[1] in numbers:
                copies[found[1]].append((git, name))
    teacher = load(args.teacher, adapter="movenet", threads=1)
    images, people = [], []
    (args.out / "images").mkdir(parents=True, exist_ok=True)
    for number, found in sorted(copies.items()):
        one = best_copy(found, numbers.read(number), teacher)
        if one is None:
            continue
        photo, joints, box = one
        cv2.imwrite(
            str(args.out / "images" / f"{number}.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        images.append(entry(int(number), f"{number}.jpg", photo, all_people_listed=False))
        for row in range(len(joints)):
            person = record(len(people) + 1, int(number), box[row])
            person["area"] *= 0.53  # the outline's share of a box
            keypoints = joints[row].round(2).reshape(-1).tolist()
            people.append(
                person
                | {"keypoints": keypoints, "num_keypoints": int((joints[row, :, 2] > 0).sum())}
            )
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    save(args.out / "train.json", images, people, category)


def entry(number: int, name: str, photo: Image, **more) -> dict:
    return {
        "id": number,
        "file_name": name,
        "width": photo.shape[1],
        "height": photo.shape[0],
    } | more


def record(number: int, photo: int, box, *, crowd: bool = False) -> dict:
    """A person's entry; the box is x, y, width, height."""
    sides = [round(float(v), 2) for v in box]
    area = float(sides[2] * sides[3])
    whose = {"id": number, "image_id": photo, "category_id": 1, "iscrowd": int(crowd)}
    return whose | {"bbox": sides, "area": area}


def save(path: Path, images: list, people: list, category: dict) -> None:
    whole = {"images": images, "annotations": people, "categories": [category]}
    path.write_text(json.dumps(whole), encoding="utf-8")
    print(f"{len(images)} photos, {len(people)} people -> {path}")


def yolo_boxes(text: str) -> np.ndarray:
    """Boxes (P, 4) centre and sides, as shares; outlines become their bounds."""
    found = []
    for line in text.splitlines():
        v = np.array([float(word) for word in line.split()[1:]])
        if len(v) > 4:
            low, high = v.reshape(-1, 2).min(axis=0), v.reshape(-1, 2).max(axis=0)
            v = np.concatenate([(low + high) / 2, high - low])
        found.append(v)
    return np.array(found).reshape(-1, 4)


def likely_shape(pose, photo: Image, share: np.ndarray) -> float:
    """Width / height in which the pose network is surest of the two largest people."""
    rows = [r for r in np.argsort(-share[:, 2] * share[:, 3])[:2] if share[r, 3] > 0.15]
    if not rows:
        return SHAPES[0][0]

    def sure(shape: float) -> float:
        shown = unstretched(photo, shape, 1, SIDE)
        sides = np.array([shown.shape[1], shown.shape[0]] * 2)
        box = share[rows] * sides
        ends = np.concatenate([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], axis=1)
        return float(pose(shown[..., ::-1].copy(), ends.astype(np.float32)).score.mean())

    return max(SHAPES, key=lambda shape: sure(shape[0]) + shape[1])[0]


def labelled_photos(git: Git) -> Iterator[tuple[str, str, str]]:
    """Name, picture file and label file of one copy of each photo."""
    kinds = collections.defaultdict(dict)
    for name in git.files:
        found = ROBOFLOW.match(name)
        if found:
            kinds[found[2]].setdefault(found[3], {})[found[1]] = name
    for name, copies in sorted(kinds.items()):
        files = copies[min(copies)]
        if len(files) == 2:
            yield name, files["images"], files["labels"]


def boxes(args: argparse.Namespace) -> None:
    numbers = Numbers(args.labels, args.held)
    known = {}
    for path in args.sizes:
        for photo in json.loads(path.read_text(encoding="utf-8"))["images"]:
            known[photo["file_name"]] = photo["width"] / photo["height"]
    pose = load("small", detector="none", threads=1)
    images, people, looks, done = [], [], [], set()
    (args.out / "images").mkdir(parents=True, exist_ok=True)
    for git in (Git(spec) for spec in args.photos):
        for name, picture, label in labelled_photos(git):
            number = re.match(r"(?:COCO_\w+?_)?(\d{12})_jpg$", name)
            if number and number[1] not in numbers:
                continue  # held out, or nobody knows
            key = number[1] if number else hashlib.sha1(name.encode()).hexdigest()[:12]
            photo = git.picture(picture)
            if key in done or photo is None:
                continue
            done.add(key)
            share = yolo_boxes(git.read(label).decode())
            shape = known.get(f"{key}.jpg") or likely_shape(pose, photo, share)
            shown = unstretched(photo, shape, 1, SIDE)
            cv2.imwrite(
                str(args.out / "images" / f"{key}.jpg"), shown, [cv2.IMWRITE_JPEG_QUALITY, 93]
            )
            valid = int(hashlib.sha1(key.encode()).hexdigest(), 16) % 20 == 0
            images.append(entry(len(images) + 1, f"{key}.jpg", shown, valid=valid))
            looks.append(look(photo))
            for box in share * ([shown.shape[1], shown.shape[0]] * 2):
                corner = [*(box[:2] - box[2:] / 2), *box[2:]]
                people.append(record(len(people) + 1, len(images), corner))
    mark_copies(images, np.array(looks))
    save(args.out / "boxes.json", images, people, {"id": 1, "name": "person"})


def look(photo: Image) -> np.ndarray:
    """64 bits that near copies of a photo share: which pixels are brighter than the next."""
    small = cv2.resize(
        cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY), (9, 8), interpolation=cv2.INTER_AREA
    )
    return (small[:, 1:] > small[:, :-1]).reshape(-1)


def mark_copies(images: list[dict], looks: np.ndarray, *, most: int = 6) -> None:
    """Mark the photos to train on that differ in at most so many bits from one to validate on."""
    valid = looks[[photo["valid"] for photo in images]]
    for photo, bits in zip(images, looks, strict=True):
        if not photo["valid"] and len(valid) and (valid != bits).sum(axis=1).min() <= most:
            photo["near_duplicate"] = True


def judged(args: argparse.Namespace) -> None:
    from nanodet import NanoDet

    nanodet = NanoDet(args.nanodet, threshold=0.15)
    images, people = [], []
    for path in args.boxes:
        whole = json.loads(path.read_text(encoding="utf-8"))
        labels = collections.defaultdict(list)
        for person in whole["annotations"]:
            labels[person["image_id"]].append(person)
        for photo in whole["images"]:
            if photo.get("near_duplicate"):
                continue
            number = len(images) + 1
            file = (path.parent / "images" / photo["file_name"]).resolve()
            images.append(photo | {"id": number, "file_name": str(file), "all_people_listed": True})
            for box, crowd in verdicts(nanodet, image.read(file), labels[photo["id"]]):
                people.append(record(len(people) + 1, number, box, crowd=crowd))
    save(args.out, images, people, {"id": 1, "name": "person"})


def verdicts(nanodet, photo: Image, labels: list[dict]) -> Iterator[tuple[Floats, bool]]:
    """Boxes x, y, width, height, and whether each is only a region to ignore."""
    found, sure = nanodet.scored(photo)
    box = np.array([label["bbox"] for label in labels], dtype=np.float32).reshape(-1, 4)
    ends = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)
    shared = iou(ends, found)
    for row, label in enumerate(labels):
        seen = sure[shared[row] > 0.5].max(initial=0.0)
        yield box[row], not (label.get("num_keypoints") or seen >= 0.2)
    for column, score in enumerate(sure):
        near = shared[:, column].max(initial=0.0)
        if near <= 0.5 and score >= 0.25:
            low, high = found[column, :2], found[column, 2:]
            yield np.concatenate([low, high - low]), not (score >= 0.5 and near < 0.4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["coco", "boxes", "judged"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels")
    parser.add_argument("--photos", nargs="+", default=[])
    for name in ("--held", "--sizes", "--boxes"):
        parser.add_argument(name, nargs="+", type=Path, default=[])
    for name in ("--teacher", "--nanodet"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    {"coco": coco, "boxes": boxes, "judged": judged}[args.what](args)


if __name__ == "__main__":
    main()
