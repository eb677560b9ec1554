"""Ids and tremor on real clips, before and after tracking and smoothing; memory over long clips.

python bench/tracking.py CLIP... [--teachers DIR] [--truth bench/tracking_truth.json]
python bench/tracking.py CLIP --memory 10000
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from itertools import count, cycle
from pathlib import Path

import numpy as np
from nanodet import NanoDet

from posegram.areas import iou
from posegram.infer.film import Plan, film
from posegram.infer.follow import Follower
from posegram.infer.load import load, load_network
from posegram.infer.topdown import TopDown
from posegram.pose import COCO17, Floats, People, convert
from posegram.sides import ids_of, swaps
from posegram.smooth import jitter, mend, steady
from posegram.track import bodies, switches
from posegram.video import Writer, frames, probe

_TRUE = 0.3  # overlap from which a found person is a true one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default="", help="a bundled model or a file")
    parser.add_argument("--teachers", type=Path, help="folder with nanodet.onnx, the detector then")
    parser.add_argument(
        "--truth", type=Path, help="JSON: clip -> person -> [frame, x0, y0, x1, y1]"
    )
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--memory", type=int, default=0, help="frames of a long clip to measure")
    parser.add_argument("--shrink", type=int, default=8, help="of its pictures, for speed")
    asked = parser.parse_args()
    for clip in asked.clips:
        if not clip.is_file():
            parser.error(f"there is no clip {clip}")
    if asked.memory:
        _memory(asked.clips[0], asked.memory, asked.shrink)
        return
    truth = json.loads(asked.truth.read_text()) if asked.truth else {}
    rows = []
    for clip in asked.clips:
        rows.append(_measured(clip, _model(asked), asked.every, truth.get(clip.name)))
        print(rows[-1], flush=True)
    print(_table(rows))


def _model(asked: argparse.Namespace) -> TopDown:
    if asked.teachers is None:
        return load(asked.model, threads=1)
    detect = NanoDet(asked.teachers / "nanodet.onnx")
    return TopDown(*load_network(asked.model, threads=1), detect)


def _measured(clip: Path, estimate: TopDown, every: int, truth: dict | None) -> dict:
    """Everything of one clip: each frame on its own, then followed, then smoothed."""
    times, alone, followed, spent = [], [], [], [0.0, 0.0]
    follow = Follower(_Counted(estimate), smooth=False, every=every)
    for frame in frames(clip):
        times.append(frame.time)
        start = time.process_time()
        alone.append(convert(estimate(frame.image), COCO17))
        spent[0] += time.process_time() - start
        start = time.process_time()
        followed.append(convert(follow.track(frame.image, frame.time), COCO17))
        spent[1] += time.process_time() - start
    at = np.array(times)
    linked, state, live = _nearest(alone), None, []
    for people, now in zip(followed, times, strict=True):
        state, calm = steady(state, people, now)
        live.append(calm)
    mended = mend(followed, at)
    real = _true(truth, len(at)) if truth else None
    return {
        "clip": clip.stem,
        "frames": len(at),
        "fps": round(float((len(at) - 1) / max(at[-1] - at[0], 1e-9)), 1),
        "looks": (len(at), follow.estimate.looks),
        "ms": tuple(round(1000 * s / len(at), 1) for s in spent),
        "ids": (_names(linked), _names(followed), _names(mended)),
        "switches": None if real is None else tuple(switches(real, f, least=_TRUE)
                                                    for f in (linked, followed, mended)),
        "found": None if real is None else tuple(_share(real, f)
                                                 for f in (linked, followed, mended)),
        "jitter": tuple(round(jitter(f, at), 1) for f in (linked, followed, live, mended)),
        "lag": _lag(live, mended),
        "swaps": int(sum(swaps(c, at[w]).any(axis=1).sum() for c, w in _courses(followed))),
    }  # fmt: skip


class _Counted:
    """An estimate that counts how often its detector looks."""

    def __init__(self, estimate: TopDown) -> None:
        self.estimate, self.looks = estimate, 0

    def __call__(self, image, boxes=None) -> People:
        return self.estimate(image, boxes)

    @property
    def detect(self) -> _Counted:
        return self

    def scored(self, image) -> tuple[Floats, Floats]:
        self.looks += 1
        return self.estimate.detect.scored(image)


def _nearest(frames_: list[People]) -> list[People]:
    """What goes without tracking: the id of the box that overlapped most one frame before."""
    fresh, before, made = count(1), None, []
    for people in frames_:
        names = np.full(len(people), -1)
        if before is not None and len(before) and len(people):
            like = iou(people.box, before.box)
            for row, column in zip(
                *np.unravel_index(np.argsort(-like, axis=None), like.shape), strict=True
            ):
                if (
                    like[row, column] > _TRUE
                    and names[row] < 0
                    and before.track[column] not in names
                ):
                    names[row] = before.track[column]
        names = np.array([n if n > 0 else next(fresh) for n in names], dtype=np.int64)
        before = replace(people, track=names)
        made.append(before)
    return made


def _names(found: list[People]) -> int:
    return len({int(n) for people in found for n in ids_of(people)})


def _true(truth: dict, length: int) -> list[People]:
    """The true people of every frame as boxes with ids, between the frames that were noted."""
    made = [People.none(COCO17)] * length
    made = [replace(people, track=np.zeros(0, dtype=np.int64)) for people in made]
    for name, runs in enumerate(truth.values(), 1):
        for run in runs:
            keys = np.array(run, dtype=float)
            for frame in range(int(keys[0, 0]), min(int(keys[-1, 0]) + 1, length)):
                box = [np.interp(frame, keys[:, 0], keys[:, column]) for column in range(1, 5)]
                made[frame] = _with(made[frame], np.array([box], dtype=np.float32), name)
    return made


def _with(people: People, box: Floats, name: int) -> People:
    nowhere = np.zeros((1, len(COCO17), 2), dtype=np.float32)
    return People(
        np.concatenate([people.xy, nowhere]),
        np.concatenate([people.score, nowhere[..., 0]]),
        np.concatenate([people.box, box]),
        COCO17,
        np.append(ids_of(people), name),
    )


def _share(real: list[People], found: list[People]) -> float:
    """Share of the true boxes that somebody was found in."""
    hits = [iou(bodies(a), bodies(b)).max(axis=1, initial=0) >= _TRUE
            for a, b in zip(real, found, strict=True)]  # fmt: skip
    return round(float(np.concatenate(hits).mean()), 3)


def _courses(found: list[People]) -> list[tuple[People, np.ndarray]]:
    """Each person's rows, and the frames of those."""
    made = []
    for name in sorted({int(n) for people in found for n in ids_of(people)}):
        where = [n for n, people in enumerate(found) if name in ids_of(people)]
        rows = [found[n][ids_of(found[n]) == name] for n in where]
        parts = {k: np.concatenate([getattr(r, k) for r in rows])
                 for k in ("xy", "score", "box", "track")}  # fmt: skip
        made.append((replace(rows[0], **parts), np.array(where)))
    return made


def _lag(calm: list[People], raw: list[People]) -> float:
    """Frames by which joints are late behind the same ones smoothed without lag: the best fit."""
    pairs = []
    theirs = {int(course.track[0]): (course, where) for course, where in _courses(calm)}
    for course, where in _courses(raw):
        other, there = theirs[int(course.track[0])]
        if len(there) > 20:
            pairs.append((course.xy[np.isin(where, there)], other.xy[np.isin(there, where)]))
    if not pairs:
        return float("nan")
    shifts = np.arange(-4, 5)
    errors = np.array(
        [
            np.mean([np.square(b[4:-4] - a[4 - s : len(a) - 4 - s]).mean() for a, b in pairs])
            for s in shifts
        ]
    )
    best = int(np.clip(errors.argmin(), 1, len(errors) - 2))
    left, middle, right = errors[best - 1 : best + 2]  # a parabola through the three lowest
    bend = left - 2 * middle + right
    return round(float(shifts[best] + (left - right) / (2 * bend)), 2)


def _table(rows: list[dict]) -> str:
    """All clips as Markdown."""
    head = ["clip", "frames", "looks of the detector", "CPU ms a frame", "ids", "id switches",
            "people found", "jitter: alone, followed, live, mended", "lag of live, frames",
            "frames with sides put right"]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [row["clip"], f"{row['frames']} at {row['fps']}/s"]
        for name in ("looks", "ms", "ids", "switches", "found", "jitter"):
            cells.append("-" if row[name] is None else ", ".join(map(str, row[name])))
        lines.append(f"| {' | '.join([*cells, str(row['lag']), str(row['swaps'])])} |")
    return "\n".join(lines)


def _memory(clip: Path, wanted: int, shrink: int) -> None:
    """Print the memory in use while a clip, repeated to so many frames, is filmed."""
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        _repeat(clip, long, wanted, shrink)
        results = {form: Path(folder) / f"out.{form}" for form in ("csv", "json")}
        told = lambda done, total: done % 500 or print(done, total, _megabytes()) or True  # noqa: E731
        made = film(_Walkers(), long, Path(folder) / "out.mp4", plan=Plan(results), progress=told)
        print(made.frames, "frames, MB of each file:",
              [round(path.stat().st_size / 1e6, 1) for path in made.files])  # fmt: skip


def _repeat(clip: Path, long: Path, wanted: int, shrink: int) -> None:
    known = probe(clip)
    kept = [np.ascontiguousarray(frame.image[::shrink, ::shrink]) for frame in frames(clip)]
    size = (kept[0].shape[0], kept[0].shape[1])
    with Writer(long, size, fps=known.fps) as writer:
        for number, image in zip(range(wanted), cycle(kept), strict=False):
            writer.write(image, number / known.fps)


class _Walkers(Follower):
    """Four people who tremble and walk to and fro, without any network."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.shape = rng.normal(0, 40, (4, len(COCO17), 2)) + rng.uniform(100, 300, (4, 1, 2))
        self.rng, self.number = rng, 0
        super().__init__(self._look)

    def _look(self, image) -> People:
        self.number += 1
        xy = self.shape + self.rng.normal(0, 2, self.shape.shape)
        xy[..., 0] += 80 * np.sin(self.number / 40)
        box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1).astype(np.float32)
        score = np.full(xy.shape[:2], 0.9, dtype=np.float32)
        return People(xy.astype(np.float32), score, box, COCO17)


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    main()
