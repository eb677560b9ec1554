"""A visitor's clip in; the files that the visitor may fetch out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from posegram.data.joints import usual
from posegram.infer.film import Plan, Progress, film
from posegram.infer.follow import Follower
from posegram.pose import Estimate, Skeleton, skeleton_named

__all__ = ["FILES", "Wanted", "make", "remove"]

FILES = {  # of a finished clip -> the form of results in it; the clip itself has none
    "clip.mp4": "",
    "poses.csv": "csv",
    "poses_wide.csv": "csv-wide",
    "poses.json": "json",
    "coco.json": "coco-annotations",
}


@dataclass(frozen=True)
class Wanted:
    """What a visitor asked for."""

    model: str  # its name
    skeleton: str = ""  # its name; the usual one without it
    smooth: bool = True
    most: int = 0  # people of a frame, the foremost ones; 0: all
    threshold: float = 0.3  # smallest score that is drawn, labelled or part of an angle


def make(
    estimate: Estimate, source: Path, folder: Path, wanted: Wanted, progress: Progress
) -> tuple[int, str]:
    """How many frames of a clip are in the folder's `FILES` now, and what was wrong with the clip.

    Args:
        estimate: the model.
        source: the clip; only plain containers are opened, and nothing but that file.
        folder: is there.
        wanted: model's name, joints, smoothing, number of people.
        progress: is told of every frame; what it raises goes on to the caller.

    Raises:
        OSError: a file cannot be written.
        ValueError: the clip cannot be decoded.
    """
    plan = Plan(
        results={form: folder / name for name, form in FILES.items() if form},
        skeleton=_skeleton(estimate, wanted.skeleton),
        model=wanted.model,
        called=Path("clip.mp4"),  # tables are passed on: neither the key nor the server's folders
        threshold=wanted.threshold,
        most=wanted.most,
        trusted=False,
    )
    follow = Follower(estimate, smooth=wanted.smooth)
    done = film(follow, source, folder / "clip.mp4", plan=plan, progress=progress)
    said = "The video ends too early; what came before that is here." if done.fault else ""
    return done.frames, said


def _skeleton(estimate: Estimate, named: str) -> Skeleton | None:
    """The joints to write; None: those that the model finds."""
    if named:
        return skeleton_named(named)
    card = getattr(estimate, "card", None)
    return None if card is None else usual(card.skeleton)


def remove(folder: Path) -> None:
    """Take a folder away with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
