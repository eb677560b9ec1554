"""Accuracy and speed of posegram's models and of others' networks, side by side on this machine.

    make bench
    make bench ARGS="--teachers DIR --data lsp:PATH#801-1000 --data coco:LABELS.json"

Every network sees the same people in the same run, in turns, each on one thread; times are CPU
milliseconds (time.process_time), medians. The folder build/bench gets report.md, report.json and
report.png. `bench/README.md` says how to read them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import drawing
import graph
import numpy as np
import onnxruntime

import posegram
from posegram import coords, data
from posegram import image as pictures
from posegram.infer.evaluate import Predicted, evaluate
from posegram.infer.foreign import ADAPTERS, fits
from posegram.infer.load import BUNDLED, DEFAULT, bundled, load
from posegram.infer.topdown import TopDown, whole
from posegram.metrics.report import Number
from posegram.pose import LSP14, Floats, Image, Sample, Skeleton, convert

PHOTO = Path(__file__).parent.parent / "docs" / "astronaut.jpg"
CROWDS = (1, 2, 4, 8, 16)  # people in a photo
LIMBS = Skeleton("limbs12", LSP14.joints[:12], mirror=LSP14.mirror)  # joints that all sets know


@dataclass(frozen=True, eq=False)
class Rival:
    """One network that takes part."""

    name: str
    path: Path
    estimate: TopDown


def rivals(args: argparse.Namespace, notes: list[str]) -> list[Rival]:
    """The bundled models, the default one first, then --model, then --teachers; one thread each."""
    found = []
    for name in sorted(BUNDLED, key=lambda name: name != DEFAULT):
        try:
            found.append(Rival(name, bundled(name), load(name, threads=1)))
        except (ValueError, OSError) as fault:
            notes.append(f"left out: {fault}")
    for path in args.model:
        found.append(Rival(path.stem, path, load(path, threads=1)))
    if args.teachers is not None and not args.teachers.is_dir():
        raise FileNotFoundError(f"there is no folder {args.teachers}")
    for path in sorted(args.teachers.glob("*.onnx")) if args.teachers else []:
        adapter = _adapter(path)
        try:
            found.append(Rival(path.stem, path, load(path, threads=1, adapter=adapter)))
        except ValueError as fault:
            notes.append(f"left out: {fault} (no adapter fits, no {path.stem}.toml)")
    if not found:
        raise ValueError("; ".join([*notes, "there is no network: give --model FILE"]))
    return found


def _adapter(path: Path) -> str:
    """The description beside a network, the built-in one that fits, or none for our own files."""
    if path.with_suffix(".toml").exists():
        return str(path.with_suffix(".toml"))
    return next((name for name, adapter in ADAPTERS.items() if fits(path, adapter)), "")


def clock(work: Callable[..., Any], *given_to: Any) -> tuple[float, Any]:
    """CPU milliseconds of one call, over all threads, and what it gave."""
    start = time.process_time()
    given = work(*given_to)
    return 1000 * (time.process_time() - start), given


def in_turns(count: int, round_number: int) -> list[int]:
    """Everybody's turn in one round; another one begins each time."""
    return [(n + round_number) % count for n in range(count)]


# accuracy, and the time for one person


def people_of(spec: str, most: int) -> list[Sample]:
    """At most that many labelled people of a data set, evenly spread."""
    samples = data.read(spec)
    rows = np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)
    return [samples[row] for row in rows]


def look(group: Sequence[Rival], samples: Sequence[Sample]) -> tuple[list[Predicted], np.ndarray]:
    """Each rival's predictions, and CPU milliseconds (R, N) for one person in a given box."""
    shape = (len(group), len(samples), len(samples[0].skeleton))
    xy, score = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
    spent = np.zeros(shape[:2])
    last: tuple[Path, Image] | None = None
    for row, sample in enumerate(samples):
        if last is None or last[0] != sample.image:
            last = sample.image, pictures.read(sample.image)
        photo, box = last[1], sample.box[None]
        for n in in_turns(len(group), row):
            if row == 0:
                group[n].estimate(photo, box)  # the first call of all prepares memory
            spent[n, row], people = clock(group[n].estimate, photo, box)
            people = convert(people, sample.skeleton)
            xy[n, row], score[n, row] = people.xy[0], people.score[0]
        _progress("people", row + 1, len(samples))
    return [Predicted(a, b) for a, b in zip(xy, score, strict=True)], spent


def accuracy(found: Predicted, samples: Sequence[Sample]) -> dict[str, Number | None]:
    """PCK@0.2 over the limbs and over all the joints it gives, and AP with given boxes."""
    rows = [samples[0].skeleton.index(joint) for joint in LIMBS.joints]
    limbs = [
        replace(s, xy=s.xy[rows], visible=s.visible[rows], skeleton=LIMBS, weight=None)
        for s in samples
    ]
    twelve = Predicted(found.xy[:, rows])
    return {
        "limbs": _number(twelve, limbs, "pck", "PCK@0.2"),
        "all": _number(Predicted(found.xy), samples, "pck", "PCK@0.2"),
        "ap": _number(found, samples, "ap", "AP"),
    }


def _number(found: Predicted, samples: Sequence[Sample], metric: str, name: str) -> Number | None:
    try:
        number = evaluate(found, samples, metrics=(metric,), resamples=1000)[name]
    except ValueError:  # these labels lack what the metric needs, such as areas
        return None
    if metric != "ap":
        return number
    return replace(number, value=100 * number.value, low=100 * number.low, high=100 * number.high)


# where the time goes


def stages(group: Sequence[Rival], photo: Image, box: Floats, repeats: int) -> list[dict[str, Any]]:
    """CPU milliseconds of each rival's stages for one person, medians."""
    spent: list[dict[str, list[float]]] = [{} for _ in group]
    for turn in range(repeats + 1):
        for n in in_turns(len(group), turn):
            for stage, ms in _one_look(group[n].estimate, photo, box).items():
                spent[n].setdefault(stage, []).append(ms)
    return [{s: float(np.median(ms[1:])) for s, ms in one.items()} for one in spent]


def _one_look(estimate: TopDown, photo: Image, box: Floats) -> dict[str, float]:
    """CPU milliseconds of each stage, the main path taken apart."""
    card = estimate.card
    found = {}
    if estimate.detect is not None:
        found["detect"], _ = clock(estimate.detect, photo)
    margin = card.margin
    found["crop"], (crops, back) = clock(lambda: coords.crop(photo, box, card.size, margin=margin))
    found["network"], raw = clock(estimate.network, crops)

    def decode() -> Floats:
        xy, logit = coords.decode(raw, card.kind, card.size)
        coords.probability(logit, card.calibration)
        return coords.move(xy, back)

    found["decode"], _ = clock(decode)
    return found


def crowds(group: Sequence[Rival], photo: Image, box: Floats, repeats: int) -> np.ndarray:
    """CPU milliseconds (R, len(CROWDS)) for one photo with so many given boxes, medians."""
    spent = np.zeros((len(group), len(CROWDS), repeats + 1))
    for column, count in enumerate(CROWDS):
        shift = np.random.default_rng(0).uniform(-9, 9, (count, 1, 2)).repeat(2, axis=1)
        boxes = (box[:1] + shift.reshape(count, 4)).astype(np.float32)
        for turn in range(repeats + 1):
            for n in in_turns(len(group), turn):
                spent[n, column, turn], _ = clock(group[n].estimate, photo, boxes)
        _progress("crowds", column + 1, len(CROWDS))
    return np.median(spent[..., 1:], axis=-1)


# the report


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Everything measured, as plain values."""
    notes: list[str] = []
    group = rivals(args, notes)
    sets = []
    for spec in args.data:
        samples = people_of(spec, args.people)
        found, spent = look(group, samples)
        sets.append(_set(spec, group, samples, found, spent))
    photo = pictures.read(PHOTO)
    box = whole(photo)
    before = graph.peak()
    parts = stages(group, photo, box, args.repeats)
    crowd = crowds(group, photo, box, args.repeats)
    # the best of two moments: others' work on the machine can only lower it
    peak = max(before, graph.peak())
    models = []
    for rival, spent_in, by_count in zip(group, parts, crowd, strict=True):
        work = graph.flops(rival.path, rival.estimate.card.size)
        rate = None if work is None else work / spent_in["network"] / 1e6
        models.append(
            {
                "name": rival.name,
                "megabytes": rival.path.stat().st_size / 1e6,
                "input": list(rival.estimate.card.size),
                "gflop": None if work is None else work / 1e9,
                "stages": spent_in,
                "crowds": dict(zip(map(str, CROWDS), by_count.tolist(), strict=True)),
                "gflop_per_s": rate,
                "share_of_peak": None if rate is None else rate / peak,
            }
        )
    return {"machine": _machine(), "peak": peak, "sets": sets, "models": models, "notes": notes,
            "repeats": args.repeats}  # fmt: skip


def _set(
    spec: str,
    group: Sequence[Rival],
    samples: Sequence[Sample],
    found: Sequence[Predicted],
    spent: np.ndarray,
) -> dict[str, Any]:
    rows = []
    for n, rival in enumerate(group):
        low, middle, high = np.percentile(spent[n], [25, 50, 75]).tolist()
        scores = {name: _plain(number) for name, number in accuracy(found[n], samples).items()}
        ratio = float(np.median(spent[n] / spent[0]))  # of the same person, so noise cancels
        times = {"ms": middle, "ms_quartiles": [low, high], "ratio": ratio}
        rows.append({"name": rival.name, **times, **scores})
    images = len({sample.image for sample in samples})
    return {"spec": spec, "people": len(samples), "images": images, "rows": rows}


def _plain(number: Number | None) -> dict[str, Any] | None:
    if number is None or math.isnan(number.value):
        return None
    ends = [None if math.isnan(v) else v for v in (number.low, number.high)]
    return {"value": number.value, "low": ends[0], "high": ends[1], "joints": len(number.joints)}


def _machine() -> dict[str, Any]:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    load_now = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(load_now, 1),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "posegram": posegram.__version__,
    }


def _progress(what: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what} {done}/{of} ", end="\n" if done == of else "", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print the tables, and write them with the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    say = parser.add_argument
    say("--data", action="append", default=[], metavar="SPEC", help="labels, as reader:path#1-99")
    say("--teachers", type=Path, metavar="DIR", help="folder of others' .onnx files")
    say("--model", type=Path, action="append", default=[], help="one more posegram .onnx file")
    say("--people", type=int, default=200, help="at most so many people of each data set")
    say("--repeats", type=int, default=30, help="how often stages and crowds are timed")
    say("--out", type=Path, default=Path("build/bench"), help="folder for the report")
    args = parser.parse_args()
    if args.people < 1 or args.repeats < 1:
        parser.error("--people and --repeats must be 1 or more")
    cv2.setNumThreads(1)
    try:
        report = measure(args)
    except (ValueError, OSError, ImportError) as fault:
        parser.exit(2, f"bench: {fault}\n")
    args.out.mkdir(parents=True, exist_ok=True)
    text = drawing.tables(report)
    (args.out / "report.md").write_text(text, encoding="utf-8")
    (args.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    drawing.picture(report, args.out / "report.png")
    print(text)
    print(f"-> {args.out / 'report.md'}, report.json and report.png")


if __name__ == "__main__":
    main()
