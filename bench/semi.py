"""Learning from people without labels: 500 labelled ones alone, and with all the others beside.

    python bench/semi.py LSPET LSP OUT [seeds=3] [arms=off,pseudo] [key=value ...]

500 people of LSP-extended (others for every seed) with their labels; the other 9,000 as photos with
a box. A seed's arms go on from one network that learnt the labels alone, and take the same steps
from there; LSP 1 to 1000, which nobody was trained on, judge, and LSP 801 to 1000 choose the best
epoch. Writes table.md into OUT; what is finished there is not trained again. The last lines make a
run collapse on purpose.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from posegram import coords, data, image
from posegram.data import coco
from posegram.metrics.bootstrap import Mean, compare, interval, means, verdict
from posegram.models import load_weights
from posegram.pose import Sample
from posegram.train import Config, fit
from posegram.train.compare import judge, predict
from posegram.train.semi import Collapsed

SIZE = (96, 72)  # of a crop
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
    "epochs": 30,
    "epoch_people": 1600,
    "warmup": 40,
    "patience": 0,
    "ema": 0.99,
    "precision": "bf16",
    "threads": 1,
}
ARM = {"epochs": 16, "rate": 1e-3, "semi_warmup": 50}  # from the labels' network on


def cuts(spec: str, out: Path) -> list[Sample]:
    """Everybody as a small photo of his own, so that ten thousand fit into memory."""
    path = out / "labels.json"
    if path.exists():
        return coco.read(path)
    out.mkdir(parents=True, exist_ok=True)
    size = tuple(int(side * 1.7) for side in SIZE)
    made = []
    for sample in data.read(spec):
        if sample.image.stem in COPIES and "lspet" in out.name:
            continue
        matrix = coords.to_crop(sample.box, size, margin=1.25 * 1.7)
        file = out / f"{sample.image.stem}.jpg"
        cut = coords.warp(image.read(sample.image), matrix, size)
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


def table(out: Path, found: dict[str, dict[int, np.ndarray]]) -> None:
    lines = [
        "| arm | " + " | ".join(f"seed {s}" for s in found["off"]) + " | mean |",
        "|---" * (len(found["off"]) + 2) + "|",
    ]
    for arm, by_seed in found.items():
        cells = []
        for rights in [*([r] for r in by_seed.values()), list(by_seed.values())]:
            one = interval(statistic(rights), len(rights[0]))
            cells.append(f"{one.value[0]:.1f} [{one.low[0]:.1f}, {one.high[0]:.1f}]")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    for arm in found:
        seeds = [s for s in found[arm] if s in found["off"]]
        if arm in ("off", "before") or not seeds:
            continue
        first, second = (statistic([found[a][s] for s in seeds]) for a in ("off", arm))
        gain = compare(first, second, len(found[arm][seeds[0]]))
        spread = [np.nanmean(found[arm][s]) - np.nanmean(found["off"][s]) for s in seeds]
        each = ", ".join(f"{100 * d:+.1f}" for d in spread)
        lines.append(
            f"\n{arm} - off over seeds {seeds}: {gain.value[0]:+.2f} points "
            f"[{gain.low[0]:+.2f}, {gain.high[0]:+.2f}] ({verdict(gain.low[0], gain.high[0])}); "
            f"seed by seed {each}"
        )
    (out / "table.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def main() -> None:
    lspet, lsp, out = (Path(a).resolve() for a in sys.argv[1:4])
    given = dict(a.split("=", 1) for a in sys.argv[4:] if a.startswith(("seeds=", "arms=")))
    changes = [a for a in sys.argv[4:] if not a.startswith(("seeds=", "arms="))]
    everybody = cuts(f"lsp:{lspet}", out / "lspet")
    judges = cuts(f"lsp:{lsp}", out / "lsp")
    base = Config().override(SETTINGS, {"folder": str(out)})
    base = base.override({"valid": [f"coco:{out / 'lsp' / 'labels.json'}#801-1000"]}, *changes)
    found: dict[str, dict[int, np.ndarray]] = {"before": {}, "off": {}}
    for seed in range(int(given.get("seeds", "3"))):
        labelled, others = prepared(everybody, out, seed)
        labels = base.override({"name": f"labels-{seed}", "seed": seed, "train": [labelled]})
        if not (labels.run / "right.npy").exists():
            fit(labels, progress=False)
        found.setdefault("before", {})[seed] = score(labels.run, judges)
        for arm in given.get("arms", "off,pseudo").split(","):
            config = labels.override({"name": f"{arm}-{seed}", **ARM})
            config = config.override({"start": str(labels.run / "best.ckpt")})
            if arm != "off":
                config = config.override({"semi": arm, "unlabelled": [others]})
            if not (config.run / "right.npy").exists():
                fit(config, progress=False)
            found.setdefault(arm, {})[seed] = score(config.run, judges)
            table(out, found)
    if not (out / "collapse.json").exists():
        collapse(base.override({"train": [labelled], "unlabelled": [others]}), out)


def collapse(config: Config, out: Path) -> None:
    """Random weights told to agree with themselves on everything: the guard must stop it."""
    config = config.override(
        {
            **{"name": "collapse", "semi": "consistency", "start": "", "freeze": False},
            **{"semi_warmup": 1, "semi_weight": 100.0, "rate": 1e-2, "epoch_people": 320},
        }
    )
    try:
        fit(config, progress=False)
        said = "it was NOT stopped"
    except Collapsed as fault:
        said = str(fault)
    (out / "collapse.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main()
