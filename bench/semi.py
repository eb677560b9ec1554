"""Learning from people without labels: 500 labelled ones alone, and with all the others beside.

    python bench/semi.py LSPET LSP OUT [seeds=3] [arms=student] [key=value ...]

500 people of LSP-extended (others for every seed) with their labels; the other 9,500 as photos with
a box. All arms start from ImageNet weights and take the same steps: `labels` on the labels alone;
`student` on them (five times) and on what `posegram label --flip` says of the others with the
network of `labels`, weighted by its scores; `pseudo`, `teacher` and `consistency` with that setting
of `semi`. LSP 1 to 1000, which nobody was trained on, judge, and LSP 801 to 1000 choose the best
epoch. Writes table.md into OUT; what is finished there is not trained again.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from usage import arguments

from posegram import coords, data, image
from posegram.data import coco
from posegram.metrics.bootstrap import Mean, compare, interval, means, verdict
from posegram.models import load_weights
from posegram.pose import Sample
from posegram.train import Config, fit
from posegram.train.compare import judge, predict

SIZE = (128, 96)  # of a crop
PHOTO = (163, 122)  # of a small photo of one person, with room for turns
LABELLED = 500
COPIES = {"im00178", "im00385", "im01386"}  # LSP-extended photos that repeat LSP photos
SETTINGS = {
    "network": "lite",
    "channels": 64,
    "size": list(SIZE),
    "mean": [127.0] * 3,
    "std": [128.0] * 3,
    "skeleton": "lsp14",
    "start": "imagenet",
    "freeze": True,
    "blur": 0.1,
    "colour": 0.15,
    "cutout": 0.3,
    "optimizer": "adamw",
    "rate": 2e-3,
    "start_rate": 0.5,
    "decay": 0.02,
    "batch": 32,
    "epochs": 46,
    "epoch_people": 1600,
    "warmup": 40,
    "patience": 0,
    "ema": 0.99,
    "precision": "bf16",
    "threads": 1,
}
TIMES = 5  # how often a student sees the labels, beside the others once


def cuts(spec: str, out: Path) -> list[Sample]:
    """Everybody as a small photo of his own, so that ten thousand fit into memory."""
    path = out / "labels.json"
    if path.exists():
        return coco.read(path)
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for sample in data.read(spec):
        if sample.image.stem in COPIES and "lspet" in out.name:
            continue
        matrix = coords.to_crop(sample.box, PHOTO, margin=1.25 * 1.7)
        file = out / f"{sample.image.stem}.jpg"
        cut = coords.warp(image.read(sample.image), matrix, PHOTO)
        cv2.imwrite(str(file), cut[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        box = coords.move(sample.box.reshape(2, 2), matrix).reshape(4)
        xy = coords.move(sample.xy, matrix)
        made.append(replace(sample, image=file, xy=xy, box=box))
    coco.write(path, made, out)
    return made


def prepared(everybody: list[Sample], out: Path, seed: int) -> tuple[str, str]:
    """Files of the labelled people and of the others."""
    order = np.random.default_rng(seed).permutation(len(everybody)).tolist()
    parts = {"labelled": order[:LABELLED], "others": order[LABELLED:]}
    names = []
    for name, rows in parts.items():
        path = out / f"{name}-{seed}.json"
        if not path.exists():
            coco.write(path, [everybody[n] for n in rows], out)
        names.append(f"coco:{path}")
    return names[0], names[1]


def score(run: Path, judges: list[Sample]) -> np.ndarray:
    """Which joints the run's network has right, (N, K), 1, 0 or NaN."""
    kept = run / "right.npy"
    if not kept.exists():
        card, network = load_weights(run / "best.ckpt")
        xy = predict(network.state_dict(), card, judges, card.skeleton)
        truth = np.stack([s.xy for s in judges])
        weight = np.stack([s.visible > 0 for s in judges]).astype(np.float32)
        found = judge({"xy": xy, "truth": truth, "weight": weight}, judges, card.skeleton)
        np.save(kept, np.where(found.counted, found.right, np.nan).astype(np.float32))
    return np.load(kept)


def statistic(rights: list[np.ndarray]):
    """Mean over all joints of several runs (they judge the same photos)."""
    rows = np.arange(len(rights[0]))
    stacked = np.concatenate(rights, axis=1)
    amount = np.nan_to_num(stacked) * 100
    return means([Mean(amount, np.isfinite(stacked))], rows)


def told(model: Path, others: str, out: Path) -> str:
    """The others with a model's labels, a data set; the file lies beside their photos."""
    if not out.exists():
        command = [sys.executable, "-m", "posegram", "label", others, "--model", str(model)]
        command += ["--flip", "--threads", "1", "--out", str(out)]
        subprocess.run(command, check=True)
    return f"coco:{out}"


def table(out: Path, found: dict[str, dict[int, np.ndarray]]) -> None:
    lines = [
        "| arm | " + " | ".join(f"seed {s}" for s in found["labels"]) + " | all |",
        "|---" * (len(found["labels"]) + 2) + "|",
    ]
    for arm, by_seed in found.items():
        cells = []
        for rights in [*([r] for r in by_seed.values()), list(by_seed.values())]:
            one = interval(statistic(rights), len(rights[0]))
            cells.append(f"{one.value[0]:.1f} [{one.low[0]:.1f}, {one.high[0]:.1f}]")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    for arm, by_seed in found.items():
        if arm == "labels":
            continue
        first, second = (statistic([found[a][s] for s in by_seed]) for a in ("labels", arm))
        gain = compare(first, second, len(next(iter(by_seed.values()))))
        spread = [np.nanmean(by_seed[s]) - np.nanmean(found["labels"][s]) for s in by_seed]
        each = ", ".join(f"{100 * d:+.1f}" for d in spread)
        lines.append(
            f"\n{arm} - labels over seeds {[*by_seed]}: {gain.value[0]:+.2f} points "
            f"[{gain.low[0]:+.2f}, {gain.high[0]:+.2f}] ({verdict(gain.low[0], gain.high[0])}); "
            f"seed by seed {each}"
        )
    (out / "table.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def arm_settings(arm: str, labelled: str, others: str, labels: Config, out: Path) -> dict:
    """What an arm does in another way than `labels`."""
    if arm != "student":
        return {"semi": arm, "unlabelled": [others]}
    pseudo = told(labels.run / "best.ckpt", others, out / "lspet" / f"told-{labels.seed}.json")
    return {"train": [*[labelled] * TIMES, pseudo]}


def main() -> None:
    args = arguments(__doc__, 3)
    lspet, lsp, out = (Path(a).resolve() for a in args[:3])
    given = dict(a.split("=", 1) for a in args[3:] if a.startswith(("seeds=", "arms=")))
    changes = [a for a in args[3:] if not a.startswith(("seeds=", "arms="))]
    everybody = cuts(f"lsp:{lspet}", out / "lspet")
    judges = cuts(f"lsp:{lsp}", out / "lsp")
    base = Config().override(SETTINGS, {"folder": str(out)})
    base = base.override({"valid": [f"coco:{out / 'lsp' / 'labels.json'}#801-1000"]}, *changes)
    found: dict[str, dict[int, np.ndarray]] = {"labels": {}}
    for seed in range(int(given.get("seeds", "3"))):
        labelled, others = prepared(everybody, out, seed)
        labels = base.override({"name": f"labels-{seed}", "seed": seed, "train": [labelled]})
        for arm in ["labels", *given.get("arms", "student").split(",")]:
            config = labels
            if arm != "labels":
                own = arm_settings(arm, labelled, others, labels, out)
                config = labels.override({"name": f"{arm}-{seed}", **own})
            if not (config.run / "right.npy").exists():
                fit(config, progress=False)
            found.setdefault(arm, {})[seed] = score(config.run, judges)
            table(out, found)


if __name__ == "__main__":
    main()
