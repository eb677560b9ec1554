"""What each part of the default model's training brings, at equal steps.

    python bench/ablation.py DATA.toml OUT [key=value ...]

DATA.toml lists data sets: `true` (labels as published), `mended` (the same people, mended by a
teacher), `teacher` (other photos, labelled by the teacher alone), `unlabelled`, `valid`, and a
table `judges` of names and data sets, which may be those of `valid`. Every run takes the same steps
at 96x72; what is finished in OUT is not trained again. Writes table.md: PCK@0.2 of the torso with
95 % intervals over photos, and each row's difference to the row that it builds on.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
from usage import arguments

from posegram import data
from posegram.metrics.bootstrap import Mean, compare, interval, means
from posegram.models import load_weights
from posegram.pose import Sample
from posegram.train import Config, fit
from posegram.train.batches import relabel
from posegram.train.compare import judge, predict

BASE = Path(__file__).resolve().parents[1] / "configs" / "small.toml"
SETTINGS = {
    "size": [96, 72],
    "epochs": 10,
    "epoch_people": 6400,
    "warmup": 100,
    "ema": 0.99,
    "threads": 1,
}
RANDOM = {"start": "", "freeze": False}
ARMS = {  # name: what it is trained on, other settings, the row it is compared with
    "true labels only": (("true",), {}, None),
    "mended labels": (("mended",), {}, "true labels only"),
    "+ the teacher's labels of other photos": (("mended", "teacher"), {}, "mended labels"),
    "the teacher's labels, random start": (
        ("mended", "teacher"),
        RANDOM,
        "+ the teacher's labels of other photos",
    ),
    "+ photos without labels": (
        ("mended", "teacher"),
        {"semi": "teacher", "semi_warmup": 800, "semi_weight": 0.5},
        "+ the teacher's labels of other photos",
    ),
}


def right(run: Path, name: str, people: list[Sample]) -> np.ndarray:
    """Which joints the run's best weights have right, (N, K), 1, 0 or NaN."""
    kept = run / f"right-{name}.npy"
    if not kept.exists():
        card, network = load_weights(run / "best.ckpt")
        labels = [relabel(s, card.skeleton) for s in people]
        truth = np.stack([xy for xy, _, _ in labels])
        weight = np.stack([labelled for _, labelled, _ in labels]).astype(np.float32)
        xy = predict(network.state_dict(), card, people, card.skeleton)
        found = judge({"xy": xy, "truth": truth, "weight": weight}, people, card.skeleton)
        np.save(kept, np.where(found.counted, found.right, np.nan).astype(np.float32))
    return np.load(kept)


def statistic(found: np.ndarray, photos: np.ndarray):
    """Percent of right joints as a statistic over photos."""
    return means([Mean(np.nan_to_num(found) * 100, np.isfinite(found))], photos)


def table(scores: dict[str, dict[str, np.ndarray]], photos: dict[str, np.ndarray]) -> str:
    """Rows of the arms so far, as Markdown."""
    names = list(photos)
    cells = [f"{n}, PCK@0.2, % | difference" for n in names]
    lines = [f"| trained on | {' | '.join(cells)} |", "|---" * (2 * len(names) + 1) + "|"]
    for arm, by_name in scores.items():
        before = ARMS[arm][2]
        row = [arm]
        for name in names:
            mine, count = statistic(by_name[name], photos[name]), int(photos[name].max()) + 1
            one = interval(mine, count)
            row.append(f"{one.value[0]:.1f} [{one.low[0]:.1f}, {one.high[0]:.1f}]")
            if before not in scores:
                row.append("")
                continue
            gain = compare(statistic(scores[before][name], photos[name]), mine, count)
            row.append(f"{gain.value[0]:+.1f} [{gain.low[0]:+.1f}, {gain.high[0]:+.1f}]")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    given = arguments(__doc__, 2)
    sets = tomllib.loads(Path(given[0]).read_text(encoding="utf-8"))
    out = Path(given[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    base = Config.read(BASE).override(SETTINGS, {"folder": str(out)}, *given[2:])
    judges = {name: data.read(spec) for name, spec in sets["judges"].items()}
    photos = {
        name: np.unique([str(s.image) for s in people], return_inverse=True)[1]
        for name, people in judges.items()
    }
    scores: dict[str, dict[str, np.ndarray]] = {}
    for number, (arm, (parts, changes, _)) in enumerate(ARMS.items()):
        train = [spec for part in parts for spec in sets[part]]
        config = base.override({"name": f"arm{number}", "train": train, "valid": sets["valid"]})
        unlabelled = {"unlabelled": sets["unlabelled"]} if "semi" in changes else {}
        config = config.override(changes | unlabelled)
        if not (config.run / f"{config.name}.onnx").exists():
            fit(config, progress=False)
        scores[arm] = {name: right(config.run, name, people) for name, people in judges.items()}
        (out / "table.md").write_text(table(scores, photos), encoding="utf-8")


if __name__ == "__main__":
    main()
