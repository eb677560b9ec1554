"""A network in an ONNX file, run by OpenVINO: quicker than ONNX Runtime on many x86 processors."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posegram.infer.onnx import load_onnx, physical_cores
from posegram.pose import Card, Network, Raw

__all__ = ["has_openvino", "load_openvino"]


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
    if not has_openvino():
        raise ImportError("this engine needs OpenVINO: pip install 'posegram[openvino]'")
    card, _ = load_onnx(path, threads=1)  # refuses what does not fit its card
    import openvino

    core = openvino.Core()
    half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    how = {
        "INFERENCE_NUM_THREADS": threads or physical_cores(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
    }
    request = core.compile_model(core.read_model(str(path)), "CPU", how).create_infer_request()

    def network(crops: npt.NDArray[np.uint8]) -> Raw:
        outputs = request.infer({0: np.ascontiguousarray(crops)})
        # the request reuses its memory, so what is handed out is a copy
        return tuple(np.array(output, dtype=np.float32) for output in outputs.values())

    return card, network
