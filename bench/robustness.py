"""What stronger augmentation buys: two fine-tunings of `small` that differ in `strength` alone.

    python bench/robustness.py LSP OUT [people=100] [key=value ...]

Both learn on LSP people 1 to 800 in equally many steps; the first people of 801 to 1000 judge, on
photos spoilt in every way at five severities. Writes plain.md, strong.md, gain.md and sheets of
pictures into OUT; what is finished there is not done again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from usage import arguments

from posegram import data, image
from posegram.data.corrupt import SEVERITIES
from posegram.infer.load import load
from posegram.infer.robust import Spoilt, robustness, sheet, table
from posegram.train import Config, fit

ARMS = {"plain": 0.0, "strong": 0.7}


def measured(name: str, model: Path, people: list, out: Path) -> list[Spoilt]:
    kept = out / f"{name}.json"
    if not kept.exists():
        estimate = load(model, detector="none", threads=1)
        lines = robustness(estimate, people)
        kept.write_text(json.dumps([asdict(line) for line in lines]), encoding="utf-8")
        image.write(out / f"{name}.png", sheet(estimate, people))
    lines = [Spoilt(**line) for line in json.loads(kept.read_text(encoding="utf-8"))]
    (out / f"{name}.md").write_text(table(lines), encoding="utf-8")
    return lines


def gain(before: list[Spoilt], after: list[Spoilt]) -> str:
    change = {(b.kind, b.severity): a.value - b.value for b, a in zip(before, after, strict=True)}
    rows = [
        "Points gained; as they are " + f"{change['none', 0.0]:+.1f}",
        "",
        f"| severity | {' | '.join(f'{s:g}' for s in SEVERITIES)} | mean |",
        "|---" * (len(SEVERITIES) + 2) + "|",
    ]
    for kind in dict.fromkeys(line.kind for line in before[1:]):
        mine = [change[kind, s] for s in SEVERITIES]
        rows.append(f"| {kind} | {' | '.join(f'{v:+.1f}' for v in mine)} | {np.mean(mine):+.1f} |")
    whole = np.mean([value for (kind, _), value in change.items() if kind != "none"])
    rows.append(f"| **all** |{' |' * len(SEVERITIES)} **{whole:+.1f}** |")
    return "\n".join([*rows, ""])


def main() -> None:
    args = arguments(__doc__, 2)
    lsp, out = (Path(a).resolve() for a in args[:2])
    out.mkdir(parents=True, exist_ok=True)
    given = dict(a.split("=", 1) for a in args[2:] if a.startswith("people="))
    base = Config.read("configs/finetune.toml").override(
        {
            "train": [f"lsp:{lsp}#1-800"],
            "valid": [f"lsp:{lsp}#801-1000"],
            "skeleton": "lsp14",
            "folder": str(out),
            "size": [192, 144],
            "release": 0,
        },
        *[a for a in args[2:] if not a.startswith("people=")],
    )
    people = data.read(f"lsp:{lsp}#801-1000")[: int(given.get("people", "100"))]
    found = {}
    for name, strength in ARMS.items():
        config = base.override({"name": name, "strength": strength})
        model = config.run / f"{name}.onnx"
        if not model.exists():
            fit(config, progress=False)
        found[name] = measured(name, model, people, out)
    (out / "gain.md").write_text(gain(found["plain"], found["strong"]), encoding="utf-8")


if __name__ == "__main__":
    main()
