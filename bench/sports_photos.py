"""Sports photos out of public repositories, with a box around each of their largest people.

    python bench/sports_photos.py OUT GIT_DIR[@COMMIT]:FOLDER ...

Takes every photo below FOLDER of a repository as git keeps it (no working tree is needed), the name
of its own folder being the sport; none is longer than 640 pixels afterwards, and none is there
twice. The bundled detector finds people; the two largest of a photo stay if they are sure (0.4) and
at least 72 pixels tall. Writes OUT/turn and OUT/plain, each with images and boxes.json: acrobats,
whose labels are worth `posegram label --flip --rotations`, and the others. Chess and motor sports
are left out.

    posegram label OUT/turn/images --boxes OUT/turn/boxes.json --model thunder.onnx \\
      --adapter movenet --flip --rotations --out OUT/turn/labels.json
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from usage import arguments

from posegram.data import door
from posegram.infer.load import load

ACROBATS = {"gymnastics", "swimming", "wrestling", "wwe"}
LEFT_OUT = {"chess", "formula1", "motogp", "shooting", "ice_hockey"}
LONGEST = 640
SHORTEST = 120
LEAST = (72, 24)  # height and width of a person
SHARE = 0.2  # of the largest person's area that the second needs


def photos(source: str) -> Iterator[tuple[str, str, bytes]]:
    """Sport, hash and bytes of every photo of a repository's folder."""
    place, _, folder = source.rpartition(":")
    place, _, commit = place.partition("@")
    git = ["git", "-C", place]
    listed = subprocess.run(
        [*git, "ls-tree", "-r", "-z", commit or "HEAD", folder], capture_output=True, check=True
    )
    for line in filter(None, listed.stdout.decode("utf-8", "replace").split("\0")):
        about, _, name = line.partition("\t")
        path, blob = PurePosixPath(name), about.split()[2]
        sport = path.parent.name.replace(" ", "_")
        if path.suffix.lower() in (".jpg", ".jpeg", ".png") and sport not in LEFT_OUT:
            shown = subprocess.run([*git, "cat-file", "blob", blob], capture_output=True)
            yield sport, blob, shown.stdout


def shrunk(data: bytes) -> np.ndarray | None:
    """The photo at a usual size, (H, W, 3) BGR; nothing if it cannot be read or is tiny."""
    photo = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if photo is None or min(photo.shape[:2]) < SHORTEST:
        return None
    zoom = min(1.0, LONGEST / max(photo.shape[:2]))
    return cv2.resize(photo, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)


def largest(box: np.ndarray) -> np.ndarray:
    """The boxes of the photo's largest one or two people, (N, 4)."""
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    area = width * height * ((height >= LEAST[0]) & (width >= LEAST[1]))
    order = np.argsort(-area)[:2]
    return box[order[area[order] > SHARE * max(area.max(initial=0), 1)]]


def main() -> None:
    given = arguments(__doc__, 2)
    out = Path(given[0])
    found = load().detect
    detect = replace(found, threshold=0.4, overlap=0.6)
    sets = {
        name: {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
        for name in ("turn", "plain")
    }
    seen: set[str] = set()
    for source in given[1:]:
        for sport, blob, data in photos(source):
            photo = None if blob in seen else shrunk(data)
            seen.add(blob)
            if photo is None:
                continue
            boxes = largest(detect(np.ascontiguousarray(photo[..., ::-1])))
            kind = "turn" if sport in ACROBATS else "plain"
            if len(boxes):
                add(sets[kind], out / kind / "images", f"{sport}-{blob[:10]}.jpg", photo, boxes)
    for kind, labels in sets.items():
        (out / kind).mkdir(parents=True, exist_ok=True)
        door.save_json(out / kind / "boxes.json", labels)
        print(f"{kind}: {len(labels['images'])} photos, {len(labels['annotations'])} people")


def add(labels: dict, folder: Path, name: str, photo: np.ndarray, boxes: np.ndarray) -> None:
    """Write a photo and note its people."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), photo, [cv2.IMWRITE_JPEG_QUALITY, 92])
    number = len(labels["images"]) + 1
    height, width = photo.shape[:2]
    entry = {"id": number, "file_name": name, "width": width, "height": height}
    labels["images"].append(entry)
    for x0, y0, x1, y1 in boxes.astype(float).round(2).tolist():
        one = {"id": len(labels["annotations"]) + 1, "image_id": number, "category_id": 1}
        one |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
        labels["annotations"].append(one)


if __name__ == "__main__":
    main()
