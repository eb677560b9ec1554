"""The nouns: skeletons, people, annotated samples, a model's card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

__all__ = [
    "BODY19",
    "COCO17",
    "LSP14",
    "MPII16",
    "SKELETONS",
    *("Bytes", "Floats", "Image", "Ints", "Raw"),
    "Card",
    "Estimate",
    "Kind",
    "Network",
    "People",
    "Sample",
    "Skeleton",
    *("convert", "skeleton_named", "sources"),
]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB, upright
Kind = Literal["heatmap", "regression", "rcnn", "detector"]  # of what a network emits


@dataclass(frozen=True)
class Skeleton:
    """Joint names, the bones between them and which joints are left/right twins.

    Raises:
        ValueError: a bone or a mirror pair names an unknown joint, a name stands twice, or the
            sigmas do not count one per joint.
    """

    name: str
    joints: tuple[str, ...]  # K names, in the order of every (K, ...) array
    bones: tuple[tuple[str, str], ...] = ()  # drawn as lines
    mirror: tuple[tuple[str, str], ...] = ()  # left/right pairs
    sigmas: tuple[float, ...] = ()  # K falloffs for OKS; empty where none are published

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"skeleton {self.name!r} names a joint twice")
        if self.sigmas and len(self.sigmas) != len(self.joints):
            count = f"{len(self.sigmas)} sigmas for {len(self.joints)} joints"
            raise ValueError(f"skeleton {self.name!r} has {count}")
        for pair in self.bones + self.mirror:
            for joint in pair:
                self.index(joint)
        twins = [joint for pair in self.mirror for joint in pair]
        if len(set(twins)) != len(twins):
            raise ValueError(f"skeleton {self.name!r} mirrors a joint twice")

    def __len__(self) -> int:
        """Number of joints, K."""
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Row of a joint in every (K, ...) array of this skeleton."""
        if joint not in self.joints:
            raise ValueError(f"skeleton {self.name!r} has no joint {joint!r}; it has {self.joints}")
        return self.joints.index(joint)

    @property
    def edges(self) -> Ints:
        """Bones as row numbers, (E, 2)."""
        rows = [(self.index(a), self.index(b)) for a, b in self.bones]
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    @property
    def flipped(self) -> Ints:
        """Row of each joint's mirror twin (itself where it has none), (K,)."""
        twin = dict(self.mirror) | {b: a for a, b in self.mirror}
        return np.array([self.index(twin.get(j, j)) for j in self.joints], dtype=np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class People:
    """The people found in one image; pixels: x right, y down, (0, 0) = centre of the top-left one.

    A joint that the model does not have is NaN with score 0 (see `convert`).

    Raises:
        ValueError: an array has another shape than its comment says.
    """

    xy: Floats  # (N, K, 2) image pixels
    score: Floats  # (N, K) 0 to 1: probability that the joint is right
    box: Floats  # (N, 4) x0, y0, x1, y1 image pixels
    skeleton: Skeleton
    track: Ints | None = None  # (N,) identity through a video; None in a still

    def __post_init__(self) -> None:
        n, k = len(self.xy), len(self.skeleton)
        wanted = {"xy": (n, k, 2), "score": (n, k), "box": (n, 4)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, wanted {shape}")
        if self.track is not None and self.track.shape != (n,):
            raise ValueError(f"track has shape {self.track.shape}, wanted {(n,)}")

    def __len__(self) -> int:
        """Number of people, N."""
        return len(self.xy)

    def __getitem__(self, keep: Any) -> People:
        """The people chosen by a mask (N,), a slice or a list of rows."""
        if isinstance(keep, (int, np.integer)):
            keep = [int(keep)]
        track = None if self.track is None else self.track[keep]
        return People(self.xy[keep], self.score[keep], self.box[keep], self.skeleton, track)

    def __repr__(self) -> str:
        """Who it is in one line: the arrays of a few people would fill a screen."""
        sure = ", ".join(f"{mean:.2f}" for mean in self.score.mean(axis=1).tolist())
        return f"People({len(self)} in {self.skeleton.name}, mean joint scores [{sure}])"

    def joint(self, name: str) -> Floats:
        """One joint of everybody, (N, 2) image pixels."""
        return self.xy[:, self.skeleton.index(name)]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each person's joint, as `pandas.DataFrame(people.rows())` takes them.

        Keys: person (0 to N - 1), track (None in a still), joint, x, y (pixels) and score.
        """
        names, tracks = (
            self.skeleton.joints,
            self.track if self.track is None else self.track.tolist(),
        )
        return [
            {"person": n, "track": tracks and tracks[n], "joint": joint, "x": x, "y": y, "score": s}
            for n, (xy, score) in enumerate(zip(self.xy.tolist(), self.score.tolist(), strict=True))
            for joint, (x, y), s in zip(names, xy, score, strict=True)
        ]

    @classmethod
    def none(cls, skeleton: Skeleton) -> People:
        """Nobody: N = 0."""
        k = len(skeleton)
        shapes: list[tuple[int, ...]] = [(0, k, 2), (0, k), (0, 4)]
        xy, score, box = (np.zeros(shape, dtype=np.float32) for shape in shapes)
        return cls(xy, score, box, skeleton)


@dataclass(frozen=True, eq=False)
class Sample:
    """One annotated person in one image file.

    Raises:
        ValueError: the joints or flags do not count one per joint of the skeleton.
    """

    image: Path
    xy: Floats  # (K, 2) image pixels; meaningless where visible == 0
    visible: Bytes  # (K,) 0 not labelled, 1 hidden, 2 seen
    box: Floats  # (4,) x0, y0, x1, y1 image pixels
    head: float | None  # head size for PCKh, pixels
    area: float | None  # of the person's outline, square pixels
    skeleton: Skeleton
    weight: Floats | None = None  # (K,) 0 to 1, trust in each label; None: full trust
    estimated: bool = False  # whether `area` is a guess from the box

    def __post_init__(self) -> None:
        k = len(self.skeleton)
        wanted = {"xy": (k, 2), "visible": (k,), "box": (4,), "weight": (k,)}
        for name, shape in wanted.items():
            found = getattr(self, name)
            if found is not None and found.shape != shape:
                raise ValueError(f"{self.image}: {name} has shape {found.shape}, wanted {shape}")


@dataclass(frozen=True)
class Card:
    """What a model file says of itself; travels inside .onnx and .ckpt files as JSON."""

    KEY: ClassVar[str] = "posegram"  # of the JSON among an .onnx file's metadata
    name: str
    kind: Kind
    skeleton: Skeleton
    size: tuple[int, int]  # height, width of the input in pixels
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # on 0..255 RGB
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    margin: float = 1.25  # crop side / side of the person's box
    calibration: tuple[float, float] = (1.0, 0.0)  # logit -> probability: slope, offset
    licence: str = "Apache-2.0"
    data: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)  # how models.MODELS builds the network

    def to_json(self) -> str:
        """The card as one JSON object, the whole skeleton included."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card that `to_json` wrote.

        Raises:
            ValueError: the text is no card.
        """
        try:
            raw = json.loads(text)
            if raw["kind"] not in (kinds := get_args(Kind)):
                raise TypeError(f"kind {raw['kind']!r}; there are {', '.join(kinds)}")
            raw["skeleton"] = Skeleton(**{k: _tuples(v) for k, v in raw["skeleton"].items()})
            for key in ("size", "mean", "std", "calibration", "data"):
                raw[key] = _tuples(raw[key])
            return cls(**raw)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as fault:
            raise ValueError(f"not a posegram model card: {fault}") from fault


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


Estimate = Callable[[Image], People]  # top-down, R-CNN, a test's lambda
Raw = tuple[Floats, ...]  # heatmap ((B,K,h,w),)  regression ((B,K,2), (B,K))
Network = Callable[[npt.NDArray[np.uint8]], Raw]  # (B, H, W, 3) uint8 RGB -> Raw

_CHAINS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
_LIMBS = tuple((f"{side}_{a}", f"{side}_{b}") for a, b in _CHAINS for side in ("left", "right"))
_TRUNK = (
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"),
    ("left_hip", "right_hip"),
)
_PAIRED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_FACE_BONES = tuple(
    bone for s in ("left", "right") for bone in (("nose", f"{s}_eye"), (f"{s}_eye", f"{s}_ear"))
)


def _pairs(*parts: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"left_{part}", f"right_{part}") for part in parts)


COCO17 = Skeleton(
    name="coco17",
    joints=_FACE + tuple(f"{side}_{part}" for part in _PAIRED for side in ("left", "right")),
    bones=_FACE_BONES + _TRUNK + _LIMBS,
    mirror=_pairs("eye", "ear", *_PAIRED),
    # falloffs of the COCO keypoint task: cocodataset.org/#keypoints-eval
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)

BODY19 = Skeleton(
    name="body19",
    joints=(*COCO17.joints, "neck", "head_top"),
    bones=(*COCO17.bones, ("neck", "head_top")),
    mirror=COCO17.mirror,
)

LSP14 = Skeleton(
    name="lsp14",
    joints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist", "neck", "head_top"),
    ),
    bones=(*_TRUNK, *_LIMBS, ("neck", "head_top")),
    mirror=_pairs(*_PAIRED),
)

MPII16 = Skeleton(
    name="mpii16",
    joints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "upper_neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist"),
    ),
    bones=(
        *_LIMBS,
        *(("thorax", "left_shoulder"), ("thorax", "right_shoulder"), ("thorax", "pelvis")),
        *(("pelvis", "left_hip"), ("pelvis", "right_hip")),
        *(("thorax", "upper_neck"), ("upper_neck", "head_top")),
    ),
    mirror=_pairs(*_PAIRED),
)

SKELETONS = {s.name: s for s in (COCO17, BODY19, LSP14, MPII16)}

# MPII's "upper neck" and LSP's "neck" are one place between chin and collar bones.
_SAME = {"upper_neck": "neck", "neck": "upper_neck"}
# MPII defines these two between others; a conversion computes no other joint.
_MIDPOINTS = dict(zip(("pelvis", "thorax"), _pairs("hip", "shoulder"), strict=True))


def skeleton_named(name: str) -> Skeleton:
    """The built-in skeleton of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in SKELETONS:
        raise ValueError(f"no skeleton {name!r}; there are {', '.join(sorted(SKELETONS))}")
    return SKELETONS[name]


def convert(people: People, skeleton: Skeleton | str) -> People:
    """The same people in another skeleton, or in the built-in one of that name, by joint names.

    A joint that the source lacks is absent: NaN with score 0. Only MPII's pelvis and thorax are
    computed, as the midpoints that their definition says, with the smaller of the two scores.

    >>> convert(People.none(COCO17), LSP14).xy.shape
    (0, 14, 2)
    """
    skeleton = skeleton_named(skeleton) if isinstance(skeleton, str) else skeleton
    if people.skeleton == skeleton:
        return people
    n, k = len(people), len(skeleton)
    xy = np.full((n, k, 2), np.nan, dtype=np.float32)
    score = np.zeros((n, k), dtype=np.float32)
    for row, joint in enumerate(skeleton.joints):
        parents = sources(joint, people.skeleton)
        if parents:
            xy[:, row] = people.xy[:, parents].mean(axis=1)
            score[:, row] = people.score[:, parents].min(axis=1)
    return People(xy, score, people.box, skeleton, people.track)


def sources(joint: str, skeleton: Skeleton) -> list[int]:
    """The rows of a skeleton whose mean is this joint, see `convert`; none where it is absent."""
    for name in (joint, _SAME.get(joint)):
        if name in skeleton.joints:
            return [skeleton.index(name)]
    ends = _MIDPOINTS.get(joint, ())
    return [skeleton.index(e) for e in ends] if set(ends) <= set(skeleton.joints) else []
