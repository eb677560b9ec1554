"""A network in an ONNX file, run by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as refusals

from posegram.pose import Card, Network, Raw

__all__ = ["card_in", "load_onnx", "open_session", "physical_cores", "threads_for"]

_OUTPUTS = {"heatmap": 1, "regression": 2, "detector": 2}
_REFUSALS = (
    *(refusals.Fail, refusals.InvalidArgument, refusals.InvalidProtobuf, refusals.InvalidGraph),
    *(refusals.NotImplemented, refusals.RuntimeException),
)


def load_onnx(path: str | Path, *, threads: int = 0) -> tuple[Card, Network]:
    """The card and the network of a posegram .onnx file.

    The network takes crops (B, H, W, 3) uint8 RGB of the card's size and gives `Raw`.

    Args:
        path: the file; it holds its card as JSON under the metadata key `Card.KEY`.
        threads: how many cores one call may use; 0 means all physical ones.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX file, has no card, or its inputs and outputs do not fit the card.
    """
    path = Path(path)
    session = open_session(path, threads)
    card = card_in(session, path)
    _check(session, card, path)
    return card, _Network(session, path.absolute(), threads)


class _Network:
    """A `posegram.pose.Network`; pickled, it is its file's path, so that it reaches processes."""

    def __init__(self, session: ort.InferenceSession, path: Path, threads: int) -> None:
        self._session, self._origin = session, (path, threads)
        self._name = session.get_inputs()[0].name

    def __call__(self, crops: npt.NDArray[np.uint8]) -> Raw:
        outputs = self._session.run(None, {self._name: np.ascontiguousarray(crops)})
        return tuple(np.asarray(output, dtype=np.float32) for output in outputs)

    def __reduce__(self) -> tuple[Callable[[Path, int], _Network], tuple[Path, int]]:
        return _opened, self._origin


def _opened(path: Path, threads: int) -> _Network:
    return _Network(open_session(path, threads), path, threads)


def card_in(session: ort.InferenceSession, path: Path) -> Card:
    """The card that a file of ours holds.

    Raises:
        ValueError: it holds none, or a broken one.
    """
    text = session.get_modelmeta().custom_metadata_map.get(Card.KEY)
    if text is None:
        raise ValueError(f"{path} is an ONNX file without a posegram card, so not one of ours")
    try:
        return Card.from_json(text)
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from fault


def physical_cores() -> int:
    """Physical cores that this process may use, at least 1; twins of hyper-threading count once."""
    if not hasattr(os, "sched_getaffinity"):  # macOS, Windows
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    twins = set()
    for cpu in allowed:
        listed = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        twins.add(listed.read_text().strip() if listed.exists() else str(cpu))
    return max(len(twins), 1)


def threads_for(asked: int) -> int:
    """Threads of a call: as many as asked for, but no more than there are cores; 0: physical ones.

    Runtimes start what they are told to: ten thousand threads hold a machine for minutes.

    Raises:
        ValueError: fewer than 0 are asked for.
    """
    if asked < 0:
        raise ValueError(f"threads must be 0 or more, not {asked}")
    return min(asked, os.cpu_count() or 1) or physical_cores()


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """ONNX Runtime on a file, with so many threads a call, see `threads_for`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX file, or the threads are fewer than 0.
    """
    count = threads_for(threads)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = count
    # spinning threads would hold the cores between two photos, for other work's loss
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; they come back as exceptions, too
    try:
        # as bytes, since a path with umlauts does not reach the runtime on every system
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except _REFUSALS as fault:
        raise ValueError(f"{path} is not a readable ONNX file") from fault


def _check(session: ort.InferenceSession, card: Card, path: Path) -> None:
    """Refuse a graph that could not do what its card says."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or len(inputs[0].shape) != 4:
        raise ValueError(f"{path} does not take pictures: its input must be (B, H, W, 3) uint8")
    if len(outputs) != _OUTPUTS.get(card.kind):
        raise ValueError(f"{path} gives {len(outputs)} arrays, which is no {card.kind} network")
    fixed = [(a, b) for a, b in zip(inputs[0].shape[1:], (*card.size, 3), strict=True) if a != b]
    if any(isinstance(a, int) for a, _ in fixed):
        raise ValueError(f"{path} takes {inputs[0].shape}, but its card says {card.size}")
