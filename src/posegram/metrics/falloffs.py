"""How far annotators scatter, joint by joint: the OKS falloffs (sigmas) that AP needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from posegram.pose import Skeleton

__all__ = ["Falloffs", "falloffs", "with_areas"]


@dataclass(frozen=True)
class Falloffs:
    """Sigmas of a skeleton's joints, and whose evaluation they are from."""

    sigmas: tuple[float, ...]  # (K,)
    source: str = ""  # the data set whose own evaluation has them; empty: the skeleton states them
    outline: float = 0.0  # of its box that a person without an area has there; 0: needs an area

    def notes(self, guessed: int) -> tuple[str, ...]:
        """What the reader of an AP must know, where so many people's areas are taken from boxes."""
        if not self.source:
            return ()
        lacking = f"; {guessed:,} people have no area in the labels, so {self.outline} x their box"
        return (f"AP: sigmas of {self.source}'s own evaluation{lacking if guessed else ''}",)


def _sided(*parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


# joints as the set's files list them: LSP has AIC's names in another order, and other annotators
_PUBLISHED = {
    (*_sided("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), "head", "neck"): Falloffs(
        # github.com/Jeff-sjtu/CrowdPose, crowdposetools/cocoeval.py: computeOks
        (
            *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107),
            *(0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
        ),
        "CrowdPose",
        0.53,
    ),
    (
        *("right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle", "head_top", "neck"),
    ): Falloffs(
        # github.com/AIChallenger/AI_Challenger_2017, keypoint_eval.py: delta = 2 x these
        (
            *(0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642),
            *(0.03686941, 0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173),
        ),
        "AI Challenger",
        1.0,
    ),
}


def falloffs(skeleton: Skeleton) -> Falloffs:
    """The falloffs that a skeleton states, else those of the data set that has its joints.

    Raises:
        ValueError: it states none, and no set with these joints is known here.
    """
    if skeleton.sigmas:
        return Falloffs(skeleton.sigmas)
    if skeleton.joints not in _PUBLISHED:
        raise ValueError(
            f"AP needs OKS sigmas and none are known here for {skeleton.name}: state them in a "
            "skeleton file, --skeleton FILE.toml with `sigmas` (docs/guides/finetune.md)"
        )
    return _PUBLISHED[skeleton.joints]


def with_areas(truth: dict[str, Any], known: Falloffs) -> tuple[dict[str, Any], int]:
    """The content of an annotation file whose people have areas; how many labelled got them here.

    Where the evaluation of `known` takes a share of the box, so does this; else nothing changes.
    """
    if not known.outline:
        return truth, 0
    made = [_with_area(label, known.outline) for label in truth["annotations"]]
    pairs = zip(made, truth["annotations"], strict=True)
    count = sum(a is not b and any((a.get("keypoints") or ())[2::3]) for a, b in pairs)
    return truth | {"annotations": made}, count


def _with_area(label: dict[str, Any], outline: float) -> dict[str, Any]:
    box: Any = label.get("bbox")
    four = isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box)
    if label.get("area") or not four:  # what is wrong is refused by who scores it
        return label
    return label | {"area": outline * box[2] * box[3]}
