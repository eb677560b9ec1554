"""Photos with true joints out of public repositories, as COCO files for `posegram train`.

    python bench/labelled_photos.py mpii OUT PHOTOS LISTS TABLE   # 1,527 photos, 2,423 people
    python bench/labelled_photos.py fit OUT PHOTOS                # 676 photos, 695 people
    python bench/labelled_photos.py coco OUT KEYPOINTS PHOTOS...  # 198 photos, 515 people

PHOTOS, LISTS and KEYPOINTS are git directories, DIR or DIR@COMMIT, without a working tree; TABLE is
the second list's mpii_dataset.csv.
`mpii`: photos of MPII Human Pose in DomChey/ORIU_Project@aaee82f, joints of the lists in
YuliangXiu/MobilePose and Arifkhan21/MPII-Dataset-in-CSV (pixels from 1), those that body19 has.
`fit`: exercises with
twelve joints in eylulazarr/yolo-pose-studio@4af4caa. `coco`: whole photos with COCO's names in
qsj-github/demo, zzowenzz/COCO_Tiny and yuanyl00/miniCOCO, COCO's joints in
Jar-17/yolov7_for_baseball; none of val2017, none that COCO_HELD lists. Photos are made smaller
where people are taller than 450 pixels.

    posegram label coco:OUT/mpii/labels.json --images OUT/mpii/images --model thunder.onnx \\
      --adapter movenet --flip --mend 0.97 --out MENDED/mpii/labels.json
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np
from usage import arguments

from posegram.data import door
from posegram.pose import COCO17, MPII16

TALLEST, LONGEST = 450, 1400  # pixels of the smallest person, and of a photo
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
KEPT = [n for n, joint in enumerate(MPII16.joints) if joint not in ("pelvis", "thorax")]
FIT = [f"{side}_{limb}" for limb in LIMBS for side in ("left", "right")]
HELD = os.environ.get("COCO_HELD", "")  # a COCO file whose photos are kept apart


class Person(NamedTuple):
    xy: np.ndarray  # (K, 2) pixels
    flag: np.ndarray  # (K,) 0 not labelled, 1 hidden, 2 seen
    box: np.ndarray | None  # (4,) corners; nothing: around the joints


Rows = Iterator[tuple[str, np.ndarray, list[Person]]]


def git(place: str, *words: str) -> bytes:
    folder = place.partition("@")[0]
    return subprocess.run(["git", "-C", folder, *words], capture_output=True, check=True).stdout


def blobs(place: str, folder: str) -> dict[str, str]:
    """What lies below a folder, or anywhere: path -> blob."""
    commit = place.partition("@")[2] or "HEAD"
    listed = git(place, "ls-tree", "-r", "-z", commit, *filter(None, [folder])).decode(
        "utf-8", "replace"
    )
    lines = (line.partition("\t") for line in filter(None, listed.split("\0")))
    return {path: about.split()[2] for about, _, path in lines}


def photo(place: str, blob: str) -> np.ndarray | None:
    """A picture, (H, W, 3) BGR; nothing where the copy of the repository lacks it."""
    try:
        data = np.frombuffer(git(place, "cat-file", "blob", blob), np.uint8)
    except subprocess.CalledProcessError:
        return None
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def shares(line: list[str], shape: tuple[int, ...], joints: int) -> Person:
    """A person of a YOLO line: class, box, and x y v a joint, in shares of the photo."""
    size = np.array([shape[1], shape[0]], dtype=float)
    numbers = np.array(line, dtype=float)
    rows = numbers[5:].reshape(joints, 3)
    middle, half = numbers[1:3] * size, numbers[3:5] * size / 2
    return Person(rows[:, :2] * size, rows[:, 2], np.concatenate([middle - half, middle + half]))


def lists_of_mpii(place: str, table: Path) -> dict[str, list[np.ndarray]]:
    """Joints (16, 2) of the people of each photo, those of both lists; negative: not labelled."""
    found: dict[str, list[np.ndarray]] = {}
    for part in ("train", "test"):
        text = git(place, "show", f"HEAD:pose_dataset/mpii/{part}_joints.csv").decode()
        for name, *numbers in csv.reader(io.StringIO(text)):
            found.setdefault(name, []).append(np.array(numbers, dtype=float).reshape(16, 2))
    for _, name, *numbers in list(csv.reader(table.open(encoding="utf-8")))[1:]:
        one = np.array(numbers[:32], dtype=float).reshape(16, 2)
        known, others = one[:, 0] >= 0, found.setdefault(name, [])
        if all(np.abs(other[known] - one[known]).max() >= 2 for other in others):
            others.append(one)
    return found


def mpii(photos: str, lists: str, table: str) -> Rows:
    people = lists_of_mpii(lists, Path(table))
    for path, blob in blobs(photos, "images/").items():
        name = PurePosixPath(path).name
        picture = photo(photos, blob) if name in people else None
        if picture is not None:
            labelled = ((xy[KEPT], (xy[KEPT] >= 0).all(axis=1) * 2) for xy in people[name])
            yield name, picture, [Person(xy - 1, flag, None) for xy, flag in labelled]


def fit(photos: str) -> Rows:
    texts, seen = blobs(photos, "test_media/labels/"), set()
    for path, blob in sorted(blobs(photos, "test_media/images/").items()):
        place = PurePosixPath(path.replace("/images/", "/labels/")).with_suffix(".txt")
        if str(place) not in texts or blob in seen:
            continue
        seen.add(blob)
        picture = photo(photos, blob)
        if picture is not None:
            lines = git(photos, "cat-file", "blob", texts[str(place)]).decode().splitlines()
            rows = [line.split() for line in lines if len(line.split()) == 41]
            name = f"{place.parent.name}-{len(seen):04d}.jpg"
            yield name, picture, [shares(row, picture.shape, 12) for row in rows]


def coco(keypoints: str, *sources: str) -> Rows:
    texts = {Path(p).stem: b for p, b in blobs(keypoints, "labels/train2017/").items()}
    done = {Path(p).stem for p in blobs(keypoints, "labels/val2017/")}
    if HELD:
        held = json.loads(Path(HELD).read_text(encoding="utf-8"))["images"]
        done |= {f"{image['id']:012d}" for image in held}
    for source in sources:
        for path, blob in blobs(source, "").items():
            name = PurePosixPath(path).stem
            if name not in texts or name in done or not path.endswith(".jpg"):
                continue
            done.add(name)
            picture = photo(source, blob)
            if picture is not None:
                lines = git(keypoints, "cat-file", "blob", texts[name]).decode().splitlines()
                rows = [line.split() for line in lines if line.strip()]
                yield f"{name}.jpg", picture, [shares(row, picture.shape, 17) for row in rows]


def save(out: Path, joints: Iterable[str], rows: Rows) -> None:
    """Write photos and labels.json."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    people: list[dict] = []
    for name, picture, some in rows:
        some = [one for one in some if (one.flag > 0).sum() > 1]
        if not some:
            continue
        height = min(np.ptp(one.xy[one.flag > 0], axis=0).max() for one in some)
        zoom = min(1.0, TALLEST / max(height, 1), LONGEST / max(picture.shape[:2]))
        if zoom < 1:
            picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(out / "images" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 93])
        size = picture.shape[1], picture.shape[0]
        number = len(images) + 1
        images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        people += [record(len(people) + n, number, one, zoom, size) for n, one in enumerate(some)]
    category = {"id": 1, "name": "person", "keypoints": list(joints), "skeleton": []}
    whole = {"images": images, "annotations": people, "categories": [category]}
    (out / "labels.json").write_text(json.dumps(whole), encoding="utf-8")
    print(f"{out}: {len(images)} photos, {len(people)} people")


def record(row: int, image: int, one: Person, zoom: float, size: tuple[int, int]) -> dict:
    """A person as COCO writes one, in the smaller photo."""
    xy = (one.xy + 0.5) * zoom - 0.5
    inside = ((xy > -0.5) & (xy < np.array(size) - 0.5)).all(axis=1)
    flag = np.where(inside, one.flag, 0).astype(int)
    around = door.person_box(xy.astype(np.float32), flag > 0)
    x0, y0, x1, y1 = (around if one.box is None else one.box * zoom).tolist()
    joints = np.where(flag[:, None] > 0, np.column_stack([xy, flag]), 0).round(2)
    return {
        **{"id": row + 1, "image_id": image, "category_id": 1, "iscrowd": 0},
        **{"bbox": [x0, y0, x1 - x0, y1 - y0], "area": 0.53 * (x1 - x0) * (y1 - y0)},
        **{"keypoints": joints.ravel().tolist(), "num_keypoints": int((flag > 0).sum())},
    }


def main() -> None:
    given = arguments(__doc__, 3)
    kind, out, *sources = given
    # what MPII calls the upper neck is LSP's neck
    names = [MPII16.joints[n].replace("upper_neck", "neck") for n in KEPT]
    joints, rows = {"mpii": (names, mpii), "fit": (FIT, fit), "coco": (COCO17.joints, coco)}[kind]
    save(Path(out) / kind, joints, rows(*sources))


if __name__ == "__main__":
    main()
