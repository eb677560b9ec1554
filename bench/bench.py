"""Accuracy and speed of posegram's models and of others' networks, side by side on this machine.

    make bench
    make bench ARGS="--teachers DIR --backgrounds DIR --data lsp:PATH#801-1000 --data coco:FILE"

Every network sees the same people and photos in the same run, in turns, each on one thread; times
are CPU milliseconds (time.process_time), medians. The folder build/bench gets report.md,
report.json and report.png. `bench/README.md` says how to read them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import detection
import drawing
import found
import given
import graph
import onnxruntime
import peers
from given import CROWDS, Rival

import posegram
from posegram import data
from posegram import image as pictures
from posegram.coords import whole
from posegram.infer.foreign import ADAPTERS, fits
from posegram.infer.load import BUNDLED, DEFAULT, DETECTOR, bundled, load

PHOTO = Path(__file__).parent.parent / "docs" / "astronaut.jpg"
VENV = Path(__file__).parent.parent / "build" / "mediapipe"


@dataclass(eq=False)
class Field:
    """Everybody who takes part."""

    group: list[Rival] = field(default_factory=list)  # on given boxes; posegram's default first
    boxes: dict[str, Any] = field(default_factory=dict)  # who finds boxes, by name
    single: peers.MediaPipe | None = None
    notes: list[str] = field(default_factory=list)


def everybody(args: argparse.Namespace) -> Field:
    """The bundled models, the default one first, then --model, --teachers and MediaPipe."""
    all_in = Field()
    for name in sorted(BUNDLED, key=lambda name: name != DEFAULT):
        try:
            all_in.group.append(_rival(name, bundled(name), "", own=True))
        except (ValueError, OSError) as fault:
            all_in.notes.append(f"left out: {fault}")
    for path in args.model:
        all_in.group.append(replace(_rival(path.stem, path, "", own=True), asked=True))
    if not all_in.group:
        raise ValueError("; ".join([*all_in.notes, "there is no network: give --model FILE"]))
    if args.teachers is not None:
        _teachers(all_in, args.teachers)
    if args.mediapipe:
        _mediapipe(all_in)
    return all_in


def _rival(name: str, path: Path, adapter: str, *, own: bool) -> Rival:
    estimate = load(path, threads=1, adapter=adapter)
    return Rival(name, estimate, path, path.stat().st_size / 1e6, own)


def _teachers(all_in: Field, folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    for path in sorted(folder.glob("*.onnx")):
        kind = peers.kind_of(path)
        if kind != "joints":
            made = peers.NanoDet if kind == "boxes" else peers.MultiPose
            all_in.boxes[path.stem] = made(path)
            continue
        try:
            all_in.group.append(_rival(path.stem, path, _adapter(path), own=False))
        except ValueError as fault:
            all_in.notes.append(f"left out: {fault} (no adapter fits, no {path.stem}.toml)")


def _mediapipe(all_in: Field) -> None:
    try:
        all_in.single = single = peers.mediapipe(VENV)
    except ValueError as fault:
        all_in.notes.append(f"left out: {fault}")
        return
    rival = Rival("mediapipe", single.topdown(), None, single.megabytes)
    all_in.group.append(replace(rival, elsewhere=lambda: single.spent))


def _adapter(path: Path) -> str:
    """The description beside a network, the built-in one that fits, or none for our own files."""
    if path.with_suffix(".toml").exists():
        return str(path.with_suffix(".toml"))
    return next((name for name, adapter in ADAPTERS.items() if fits(path, adapter)), "")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Everything measured, as plain values."""
    all_in = everybody(args)
    group = all_in.group
    try:
        before = {kind: graph.peak(kind) for kind in graph.KINDS}
        sets = [given.data_set(group, spec, args.people) for spec in args.data]
        photos = [_found(all_in, spec, args) for spec in args.data if _has_photos(spec)]
        models = _models(group, args.repeats)
        # the best of two moments: others' work on the machine can only lower it
        peaks = {kind: max(before[kind], graph.peak(kind)) for kind in graph.KINDS}
    finally:
        if all_in.single is not None:
            all_in.single.close()
    for model in models:
        rate = model["gflop_per_s"]
        model["share_of_peak"] = None if rate is None else rate / peaks[model["kind"]]
    return {"machine": _machine(), "peaks": peaks, "sets": sets, "photos": photos, "models": models,
            "notes": all_in.notes, "repeats": args.repeats}  # fmt: skip


def _has_photos(spec: str) -> bool:
    """Whether a data set lists whole photos: a COCO file, no range of its people."""
    return data.reader_of(spec)[0] == "coco" and "#" not in spec


def _found(all_in: Field, spec: str, args: argparse.Namespace) -> dict[str, Any]:
    own = all_in.group[0]
    limits = {
        "photos": args.photos,
        "backgrounds": detection.backgrounds(args.backgrounds, args.photos),
        "repeats": max(args.repeats // 5, 1),
    }
    group = found.seekers(all_in.group, all_in.boxes, all_in.single)
    look_for = detection.finders(own, all_in.boxes, all_in.single)
    return found.data_set(group, look_for, own, spec, limits)


def _models(group: list[Rival], repeats: int) -> list[dict[str, Any]]:
    """Stages, crowds and operations of everybody, on one photo."""
    photo = pictures.read(PHOTO)
    box = whole(photo)
    stages = given.stages(group, photo, box, repeats)
    crowds = given.crowds(group, photo, box, max(repeats // 5, 1))
    models = []
    for rival, spent_in, by_count in zip(group, stages, crowds, strict=True):
        work = rival.path and graph.flops(rival.path, rival.estimate.card.size)
        models.append(
            {
                "name": rival.name,
                "megabytes": rival.megabytes,
                "input": list(rival.estimate.card.size),
                "kind": rival.path and graph.kind_of(rival.path),
                "gflop": None if work is None else work / 1e9,
                "stages": spent_in,
                "crowds": dict(zip(map(str, CROWDS), by_count.tolist(), strict=True)),
                "gflop_per_s": None if work is None else work / spent_in["network"] / 1e6,
            }
        )
    return [*models, _detector(group[0], repeats)]


def _detector(own: Rival, repeats: int) -> dict[str, Any]:
    """The same of posegram's detector: one photo, no crowds."""
    path = bundled(DEFAULT).with_name(f"{DETECTOR}.onnx")
    finder = own.estimate.detect
    size = detection.input_size(pictures.read(PHOTO).shape[:2], finder.card.size)
    stages = detection.stages(finder, pictures.read(PHOTO), repeats)
    work = graph.flops(path, size)
    return {
        "name": "detector, a photo",
        "megabytes": path.stat().st_size / 1e6,
        "input": list(size),
        "kind": graph.kind_of(path),
        "gflop": work / 1e9,
        "stages": stages,
        "crowds": {},
        "gflop_per_s": work / stages["network"] / 1e6,
    }


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


def main() -> None:
    """Measure, print the tables, and write them with the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    say = parser.add_argument
    say("--data", action="append", default=[], metavar="SPEC", help="labels, as reader:path#1-99")
    say("--teachers", type=Path, metavar="DIR", help="folder of others' .onnx files")
    say("--backgrounds", type=Path, metavar="DIR", help="folder of photos without people")
    say("--model", type=Path, action="append", default=[], help="one more posegram .onnx file")
    say("--mediapipe", action=argparse.BooleanOptionalAction, default=True,
        help="install MediaPipe in build/mediapipe and take it in")  # fmt: skip
    say("--people", type=int, default=200, help="at most so many people of each data set")
    say("--photos", type=int, default=200, help="at most so many photos to find people in")
    say("--repeats", type=int, default=30, help="how often stages are timed; crowds a fifth of it")
    say("--out", type=Path, default=Path("build/bench"), help="folder for the report")
    args = parser.parse_args()
    if min(args.people, args.photos, args.repeats) < 1:
        parser.error("--people, --photos and --repeats must be 1 or more")
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
