"""Somebody else's single-person pose network in an ONNX file, run by a written description."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from posegram.data import door
from posegram.infer.onnx import open_session
from posegram.infer.topdown import Detect
from posegram.infer.views import Views
from posegram.pose import COCO17, Card, Network, Raw, Skeleton, skeleton_named

__all__ = ["ADAPTERS", "Adapter", "adapter_named", "fits", "load_foreign"]

_DTYPES = {"int32": "tensor(int32)", "uint8": "tensor(uint8)", "float32": "tensor(float)"}
_CHOICES = {
    "output": ("yxs", "xys"),
    "layout": ("nhwc", "nchw"),
    "dtype": tuple(_DTYPES),
    "order": ("rgb", "bgr"),
}


@dataclass(frozen=True)
class Adapter:
    """How to feed a network one person's crop and how to read its answer.

    A crop pixel of the answer is `size * share + zero`, a share being 0 to 1.

    Raises:
        ValueError: a value is none of those possible; the key is named.
    """

    name: str
    output: str = "yxs"  # order of the last axis of (..., K, 3): shares y, x (or x, y) and score
    size: tuple[int, int] | None = None  # height, width in pixels; None: as the file says
    layout: str = "nhwc"  # or "nchw"
    dtype: str = "int32"  # of the input: "int32", "uint8", "float32"
    order: str = "rgb"  # of the colours, or "bgr"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # on 0..255, taken off a float32 input
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)  # divides what is left
    skeleton: Skeleton = COCO17
    margin: float = 1.25  # crop side / longer side of the person's box
    zero: float = 0.0  # crop pixel of share 0; -0.5 where 0 and 1 are the crop's outer edges
    centre: float = 0.0  # crop pixels from the crop's middle to the box's, right and down
    calibration: tuple[float, float] = (6.4, -2.1)  # score -> logit of being right: slope, offset
    enough: float = 0.55  # mean score of the upright look above which no other turn is tried
    licence: str = "not stated"

    def __post_init__(self) -> None:
        for key, known in _CHOICES.items():
            if getattr(self, key) not in known:
                said = f"{key} = {getattr(self, key)!r}"
                raise ValueError(f"adapter {self.name!r}: {said} is none of {', '.join(known)}")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"adapter {self.name!r}: size is height, width, not {self.size}")
        if not self.margin > 0:
            raise ValueError(f"adapter {self.name!r}: margin must be above 0, not {self.margin}")
        if len(self.mean) != 3 or len(self.std) != 3 or len(self.calibration) != 2:
            raise ValueError(f"adapter {self.name!r}: mean and std are three numbers each, "
                             "calibration two")  # fmt: skip
        if not all(np.isfinite(self.std)) or 0 in self.std:
            raise ValueError(f"adapter {self.name!r}: std divides, so it cannot be {self.std}")
        shifted = self.mean != (0.0, 0.0, 0.0) or self.std != (1.0, 1.0, 1.0)
        if shifted and self.dtype != "float32":
            raise ValueError(f"adapter {self.name!r}: mean and std need dtype = 'float32'")


ADAPTERS = {
    # MoveNet SinglePose. The box's centre lands on crop pixel size/2, half a pixel beyond the
    # middle. Calibration: Thunder, flips averaged, right = within 0.2 torso lengths, 12 limb
    # joints; expected error 0.011 on LSP training people 1 to 800 (docs/guides/label.md).
    "movenet": Adapter("movenet", centre=0.5, licence="Apache-2.0 (as published; not proven)"),
}


def adapter_named(adapter: str | Path) -> Adapter:
    """A built-in description by its name, or the one in a TOML file; its keys are `Adapter`'s.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no built-in has that name, or the file says something impossible.
    """
    if str(adapter) in ADAPTERS:
        return ADAPTERS[str(adapter)]
    path = Path(adapter)
    if path.suffix.lower() != ".toml":
        names = ", ".join(sorted(ADAPTERS))
        raise ValueError(f"no adapter {str(adapter)!r}; there are {names}, or name a .toml file")
    raw = door.load_toml(path, "adapter file")
    known = {f.name for f in fields(Adapter)}
    for key in raw:
        if key not in known:
            raise ValueError(f"{path}: no setting {key!r}; there are {', '.join(sorted(known))}")
    try:
        return Adapter(**{"name": path.stem} | {k: _value(k, v) for k, v in raw.items()})
    except (ValueError, TypeError, OverflowError) as fault:
        raise ValueError(f"{path}: {fault}") from fault


def _value(key: str, value: Any) -> Any:
    """A TOML value as `Adapter` holds it: like the default, lists as tuples, numbers as such."""
    if key == "skeleton":
        return skeleton_named(value)
    if key in ("size", "mean", "std", "calibration"):
        kind: type = int if key == "size" else float
        if not isinstance(value, list) or not all(isinstance(v, (int, float)) for v in value):
            raise ValueError(f"{key} is a list of numbers, not {value!r}")
        return tuple(kind(v) for v in value)
    if key in ("margin", "zero", "centre", "enough"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{key} is a number, not {value!r}")
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f"{key} is a text in quotes, not {value!r}")
    return value


def load_foreign(
    path: Path, adapter: str | Path | Adapter = "movenet", *, threads: int = 0,
    detect: Detect | None = None,
) -> Views:  # fmt: skip
    """Somebody else's network as an `Estimate`, like those that `posegram.load` gives.

    Scores are the probabilities that the adapter's calibration makes of the network's own.

    Args:
        path: an .onnx file that takes one person's crop and gives (..., K, 3).
        adapter: a built-in name, a .toml file or a description.
        threads: how many cores one call may use; 0 means all physical ones.
        detect: finds people's boxes; without it, boxes are given or the whole image is one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX file, or does not take and give what the adapter says.
    """
    how = adapter if isinstance(adapter, Adapter) else adapter_named(adapter)
    session = open_session(path, threads)
    how = _fitted(session, how, path)
    card = Card(
        name=path.stem,
        kind="regression",
        skeleton=how.skeleton,
        size=how.size or (0, 0),
        mean=how.mean,
        std=how.std,
        margin=how.margin,
        calibration=how.calibration,
        licence=how.licence,
    )
    network = _network(session, how)
    return Views(card, network, detect, enough=how.enough, centre=how.centre, plain=True)


def fits(path: Path, adapter: Adapter) -> bool:
    """Whether a network takes and gives what a description says, as far as its file tells."""
    try:
        _fitted(open_session(path, 1), adapter, path)
    except ValueError:
        return False
    return True


def _fitted(session: ort.InferenceSession, how: Adapter, path: Path) -> Adapter:
    """The adapter with its size known, or a refusal when the graph is not what it says."""
    taken, given = session.get_inputs(), session.get_outputs()
    wanted = f"{path} does not fit the adapter {how.name!r}"
    if len(taken) != 1 or len(given) != 1:
        raise ValueError(f"{wanted}: it has {len(taken)} inputs and {len(given)} outputs, not one")
    shape, kind = taken[0].shape, taken[0].type
    if kind != _DTYPES[how.dtype] or len(shape) != 4:
        raise ValueError(f"{wanted}: it takes {kind} {shape}, not a picture of {how.dtype}")
    high, wide, deep = shape[1:] if how.layout == "nhwc" else (*shape[2:], shape[1])
    if isinstance(deep, int) and deep != 3:
        raise ValueError(f"{wanted}: it takes {shape}, which is not {how.layout} with 3 colours")
    if how.size is None:
        if not (isinstance(high, int) and isinstance(wide, int)):
            raise ValueError(f"{wanted}: the file leaves the picture's size open, so give `size`")
        how = replace(how, size=(high, wide))
    if any(
        isinstance(a, int) and a != b for a, b in zip((high, wide), how.size or (), strict=True)
    ):
        raise ValueError(f"{wanted}: it takes {shape}, not {how.size}")
    tail = [n for n in given[0].shape[-2:] if isinstance(n, int)]
    if len(given[0].shape) < 3 or (len(tail) == 2 and tail != [len(how.skeleton), 3]):
        joints = f"(..., {len(how.skeleton)}, 3)"
        raise ValueError(f"{wanted}: it gives {given[0].shape}, not {joints}")
    return how


def _network(session: ort.InferenceSession, how: Adapter) -> Network:
    """The session as a network of kind "regression", its confidences the network's own scores."""
    height, width = how.size or (0, 0)
    name, single = session.get_inputs()[0].name, session.get_inputs()[0].shape[0] == 1
    # a regression's shares count from the crop's outer edge, which is pixel -0.5
    shift = np.array([(how.zero + 0.5) / width, (how.zero + 0.5) / height], dtype=np.float32)
    first = [1, 0] if how.output == "yxs" else [0, 1]

    def network(crops: npt.NDArray[np.uint8]) -> Raw:
        x = _input(crops, how)
        parts = np.split(x, len(x)) if single else [x]
        found = [session.run(None, {name: part})[0] for part in parts]
        rows = np.concatenate([f.reshape(-1, len(how.skeleton), 3) for f in found])
        share = rows[..., first] + shift
        return share.astype(np.float32), rows[..., 2].astype(np.float32)

    return network


def _input(crops: npt.NDArray[np.uint8], how: Adapter) -> npt.NDArray[Any]:
    """Crops (B, H, W, 3) RGB as the network takes them."""
    x: npt.NDArray[Any] = crops[..., ::-1] if how.order == "bgr" else crops
    x = x.astype(how.dtype)
    if how.dtype == "float32":
        x = (x - np.array(how.mean, dtype=np.float32)) / np.array(how.std, dtype=np.float32)
    return np.ascontiguousarray(x if how.layout == "nhwc" else x.transpose(0, 3, 1, 2))
