"""A network in an ONNX file, run by OpenVINO: quicker than ONNX Runtime on many x86 processors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.infer.onnx import load_onnx, threads_for
from posegram.pose import Card, Network, Raw

__all__ = ["compiled", "has_openvino", "load_openvino"]


def has_openvino() -> bool:
    """Whether OpenVINO is installed (extra `openvino`)."""
    return find_spec("openvino") is not None


def load_openvino(path: str | Path, *, threads: int = 0) -> tuple[Card, Network]:
    """The card and the network of a posegram .onnx file; arguments and errors as `load_onnx`.

    Processors with bfloat16 arithmetic compute in it; 8-bit layers stay in 8 bits. Loading takes a
    second or so, since the network is compiled for the processor: worth it for many pictures.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    card, _ = load_onnx(path, threads=1)  # refuses what does not fit its card
    return card, _Network(Path(path).absolute(), threads)


class _Network:
    """A `posegram.pose.Network`; pickled, it is its file's path, so that it reaches processes."""

    def __init__(self, path: Path, threads: int) -> None:
        self._run, self._origin = compiled(path, threads=threads), (path, threads)

    def __call__(self, crops: npt.NDArray[np.uint8]) -> Raw:
        return tuple(out.astype(np.float32) for out in self._run({0: np.ascontiguousarray(crops)}))

    def __reduce__(self) -> tuple[type[_Network], tuple[Path, int]]:
        return _Network, self._origin


def compiled(
    path: str | Path, *, threads: int = 0, half: bool = True
) -> Callable[[Mapping[Any, npt.NDArray[Any]]], tuple[npt.NDArray[Any], ...]]:
    """An .onnx file made ready for this processor: inputs by place or name -> all outputs.

    Args:
        path: the file.
        threads: how many cores one call may use; 0 means all physical ones.
        half: compute in bfloat16 where the processor can.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    if not has_openvino():
        raise ImportError("this engine needs OpenVINO: pip install 'posegram[openvino]'")
    core = _core()
    half = half and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    how = {
        "INFERENCE_NUM_THREADS": threads_for(threads),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
    }
    request = core.compile_model(core.read_model(str(path)), "CPU", how).create_infer_request()

    def run(inputs: Mapping[Any, npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        # the request reuses its memory, so what is handed out is a copy
        return tuple(np.array(output) for output in request.infer(dict(inputs)).values())

    return run


@cache
def _core() -> Any:
    """OpenVINO, started once.

    A second one that ends after the first hands back a stack for signals that is gone (2026.4, on
    processors with AMX): the next Ctrl-C would crash.
    """
    import openvino

    return openvino.Core()
