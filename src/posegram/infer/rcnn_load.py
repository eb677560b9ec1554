"""Which models are Keypoint R-CNNs, and such a model by name or by file; no torch until asked."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from posegram.infer.rcnn_people import KeypointRcnn, Options, open_rcnn, options_named

__all__ = ["NAME", "is_rcnn", "load_rcnn", "parted", "weights_of"]

NAME = "keypoint-rcnn"  # torchvision's published one
_SUFFIXES = (".onnx", ".ckpt", ".pth")
_SIGN = b'"kind": "rcnn"'  # in the card, as `Card.to_json` writes it
# what zipfile is known to raise on damaged bytes
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError)
_TAIL = 1 << 16  # bytes at an ONNX file's end, where its metadata lies


def is_rcnn(model: str | Path) -> bool:
    """Whether a name or a file, as `load_rcnn` takes them, is that of a Keypoint R-CNN.

    A file is only glanced at.
    """
    name, _ = parted(model)
    path = Path(name)
    if name == NAME or path.suffix.lower() == ".pth":
        return True
    if not path.is_file():
        return False
    if path.suffix.lower() == ".onnx":
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return _SIGN in file.read()
    return path.suffix.lower() == ".ckpt" and _in_checkpoint(path)


def parted(model: str | Path) -> tuple[str, str]:
    """A model's name or file, and the preset or options behind its colon."""
    name, _, behind = str(model).rpartition(":")
    if name == NAME or Path(name).suffix.lower() in _SUFFIXES:
        return name, behind
    return str(model), ""


def _in_checkpoint(path: Path) -> bool:
    """Whether a checkpoint's card says so: all but its arrays lies in one small member.

    A damaged file does not; who loads it refuses it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            plain = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            return any(_SIGN in archive.read(name) for name in plain)
    except _DAMAGE:
        return False


def weights_of(model: str | Path) -> Path:
    """The file behind such a model; behind "keypoint-rcnn", the one that it was loaded from."""
    name, _ = parted(model)
    if name != NAME:
        return Path(name)
    from posegram.models import published  # brings torch

    return published.located()


def load_rcnn(
    model: str | Path = NAME,
    *,
    weights: str | Path = "",
    preset: str | Options = "",
    threads: int = 0,
    engine: str = "onnxruntime",
) -> KeypointRcnn:
    """A Keypoint R-CNN: call it with an image (H, W, 3) uint8 RGB and get `People`.

    Args:
        model: "keypoint-rcnn", torchvision's published one, or an .onnx or .ckpt file of `posegram
            train`, or a .pth file of torchvision's weights; with `:preset` behind it if you like.
        weights: a .pth file instead of the download.
        preset: "default", "fast", options such as "size=480,people=5", or both with a comma.
        threads: how many cores one call may use; 0 means all physical ones.
        engine: what runs .onnx files, see `infer.load.load`.

    Raises:
        FileNotFoundError: there is no such file, or no weights: the message says where to get them.
        ImportError: torch or torchvision is needed and missing.
        ValueError: the file is another one, or the preset or an option is.
    """
    name, behind = parted(model)
    how = options_named(preset or behind) if isinstance(preset, str) else preset
    path = Path(weights) if name == NAME else Path(name)
    if path.suffix.lower() == ".onnx":
        if engine == "auto":
            from posegram.infer.openvino import has_openvino  # brings the runtime

            engine = "openvino" if has_openvino() else "onnxruntime"
        return open_rcnn(path, threads=threads, options=how, engine=engine)
    try:
        from posegram.infer import rcnn
    except ModuleNotFoundError as fault:
        raise ImportError("Keypoint R-CNN needs torch: pip install 'posegram[rcnn]'") from fault
    if path.suffix.lower() == ".ckpt":
        return rcnn.load_checkpoint(path, threads=threads, options=how)
    return rcnn.load_published(weights if name == NAME else path, threads=threads, options=how)
