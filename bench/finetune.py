"""Fine-tuning against training from scratch, on few people with joints of other names.

    python bench/finetune.py LSP OUT [key=value ...]

LSP people 1 to 700 under a made-up skeleton of eight joints are learnt from `small` (its joints by
place, or its body alone), from ImageNet and from random weights, in equally many steps; people 801
to 1000 judge. Writes labels.md and labels.png into OUT; what is finished there is not done again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from usage import arguments

from posegram import data
from posegram.data import coco
from posegram.pose import Sample, Skeleton
from posegram.train import Config, labels

RENAMED = {  # made-up name: joint of LSP
    "crown": "head_top",
    "collar": "neck",
    "paw.L": "left_wrist",
    "paw.R": "right_wrist",
    "seat.L": "left_hip",
    "seat.R": "right_hip",
    "hoof.L": "left_ankle",
    "hoof.R": "right_ankle",
}
SKELETON = """name = "creature8"
joints = ["crown", "collar", "paw.L", "paw.R", "seat.L", "seat.R", "hoof.L", "hoof.R"]
bones = [["crown", "collar"], ["collar", "paw.L"], ["collar", "paw.R"], ["collar", "seat.L"],
         ["collar", "seat.R"], ["seat.L", "hoof.L"], ["seat.R", "hoof.R"]]
"""
COUNTS = (50, 100, 400)
STARTS = {  # label: settings; what starts fresh learns faster at twice the rate
    "small": ("start=small",),
    "scratch": (
        *("start=", "release=0", "freeze=false", "start_rate=1.0", "depth_rate=1.0"),
        "rate=2e-3",
    ),
    "small, fresh head": ("start=small", "match=name", "rate=2e-3"),
    "ImageNet": ("start=imagenet", "front=lite0", "rate=2e-3"),
}


def renamed(sample: Sample) -> Sample:
    skeleton = Skeleton("creature8", tuple(name.lower() for name in RENAMED))
    rows = [sample.skeleton.index(joint) for joint in RENAMED.values()]
    return replace(sample, xy=sample.xy[rows], visible=sample.visible[rows], skeleton=skeleton)


def written(lsp: Path, out: Path, name: str, rows: slice) -> str:
    path = out / f"{name}.json"
    if not path.exists():
        people = [renamed(s) for s in data.read(f"lsp:{lsp}")[rows]]
        if name == "train":  # every start sees the same people, the first N of one order
            order = np.random.default_rng(0).permutation(len(people))
            people = [people[n] for n in order]
        coco.write(path, people, out)  # so with whole paths
    return f"coco:{path}"


def main() -> None:
    given = arguments(__doc__, 2)
    lsp, out = Path(given[0]).resolve(), Path(given[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "creature8.toml").write_text(SKELETON, encoding="utf-8")
    base = Config.read("configs/finetune.toml").override(
        {
            "train": [written(lsp, out, "train", slice(0, 700))],
            "valid": [written(lsp, out, "valid", slice(800, 1000))],
            "skeleton": str(out / "creature8.toml"),
            "folder": str(out),
        },
        *given[2:],
    )
    points = []
    for label, changes in STARTS.items():
        config = base.override(f"name={label.lower()}", *changes)
        points += [replace(p, label=label) for p in labels.curve(config, COUNTS, progress=False)]
        labels.write(out, points, title="LSP 801-1000, eight renamed joints")


if __name__ == "__main__":
    main()
