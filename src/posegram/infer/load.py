"""A model by name or by file, ready to look at images."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import cast

from posegram.data.joints import familiar
from posegram.infer.rcnn_load import is_rcnn, load_rcnn, weights_of
from posegram.infer.topdown import Detect, TopDown
from posegram.pose import BODY19, Card, Network, Skeleton

__all__ = [
    "BUNDLED",
    "DEFAULT",
    "DETECTOR",
    "ENGINES",
    "bundled",
    "detector_file",
    "detector_of",
    "file_of",
    "load",
    "load_detector",
    "load_network",
    "sized",
]

# name -> file in the package's weights/
BUNDLED = {"small": "small.onnx", "medium": "medium.onnx", "cnn": "cnn.onnx"}
DEFAULT = "small"
DETECTOR = "detector"  # in weights/, too: finds the people for every model
_SIDES = (96, 2048)  # pixels: the least and most that make sense for a detector's input
ENGINES = ("onnxruntime", "openvino", "auto")
_HEAD = {"nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top"}
_BODY = set(BODY19.joints) - _HEAD  # which animals have, too
_ENOUGH = 4  # joints of a body that a skeleton has when it is a person's


def load(
    model: str | Path = "",
    *,
    threads: int = 0,
    detector: str | Path = "",
    adapter: str | Path = "",
    engine: str = "onnxruntime",
    weights: str | Path = "",
) -> TopDown:
    """A model as an `Estimate`: call it with an image (H, W, 3) uint8 RGB and get `People`.

    Args:
        model: a bundled name or the path of an .onnx, .ckpt or .keras file; the default model
            without it. "keypoint-rcnn" is torchvision's, "keypoint-rcnn:fast" the same in a hurry,
            see `infer.rcnn_load`; it is no `TopDown`, but is called as one.
        threads: how many cores one call may use; 0 means all physical ones.
        detector: finds the people: "detector", the bundled one; an .onnx or .ckpt file; or "none",
            which takes the whole image as one person. Without it, the bundled one, but "none" for a
            skeleton of no people. Keypoint R-CNN finds people itself and takes none. A number of
            pixels behind it, as in "detector:512", gives it a larger or smaller input, see `sized`.
        adapter: of somebody else's .onnx file: a name or .toml file, see `infer.foreign`.
        engine: what runs .onnx files of ours: "onnxruntime"; "openvino", slower to load; or "auto",
            OpenVINO where it is installed.
        weights: of "keypoint-rcnn": a .pth file instead of the download.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: a .ckpt file needs torch, a .keras file Keras, which is not installed.
        ValueError: no model has that name, or the file is not one of ours.
    """
    if engine not in ENGINES:
        raise ValueError(f"no engine {engine!r}; there are {', '.join(ENGINES)}")
    if not adapter and is_rcnn(model):
        if str(detector) not in ("", "none"):
            raise ValueError(f"{model} finds people itself, so it takes no detector: {detector}")
        return cast(TopDown, load_rcnn(model, weights=weights, threads=threads, engine=engine))
    if str(weights):
        raise ValueError(f"weights are for keypoint-rcnn; {model or DEFAULT} has its own")
    if adapter:
        from posegram.infer.foreign import load_foreign  # brings the runtime, too

        estimate: TopDown = load_foreign(Path(model), adapter, threads=threads)
    else:
        estimate = TopDown(*load_network(model, threads=threads, engine=engine))
    if estimate.card.kind == "detector":
        raise ValueError(f"{model} is a detector: give it as --detector (in Python, detector=)")
    if str(detector) in ("", "."):
        detector = detector_of(estimate.card.skeleton)
    return replace(estimate, detect=load_detector(detector, threads=threads, engine=engine))


def detector_of(skeleton: Skeleton) -> str:
    """What finds people where nothing is named: "none" for a skeleton of no people.

    It is a person's with four joints from the neck down, be they called `left_knee`, `knee_l` or
    `LKnee`.
    """
    names = {familiar(joint) for joint in skeleton.joints}
    return DETECTOR if len(_BODY & names) >= _ENOUGH else "none"


def load_detector(
    detector: str | Path = DETECTOR, *, threads: int = 0, engine: str = "onnxruntime"
) -> Detect | None:
    """What finds people's boxes, or None for "none"; arguments and errors as `load`."""
    if str(detector) == "none":
        return None
    from posegram.infer.detect import Detector

    path, side = sized(detector)
    if path != DETECTOR and Path(path).suffix.lower() not in (".onnx", ".ckpt"):
        known = f"{DETECTOR}, {DETECTOR}:640 (pixels), none, or an .onnx or .ckpt file"
        raise ValueError(f"no detector {path!r}; there is {known}")
    card, network = load_network(detector_file(path), threads=threads, engine=engine)
    own = replace(card, size=(side, side)) if side else card
    return Detector(own, network, closer=not side)


def sized(detector: str | Path) -> tuple[str, int]:
    """A detector's name or file, and the side of its input in pixels: 0, its own, or the number
    behind a colon, as in "detector:512".

    A square of that side tells how many pixels the input has; its shape follows the photo's. Twice
    the side takes four times as long and finds people half as large. Such an input is the only one:
    who chooses none gets a second, larger look where people are small, see `infer.detect`.

    Raises:
        ValueError: the number is none that an input may have.
    """
    name, _, side = str(detector).rpartition(":")
    if not name or not side.isdecimal():
        return str(detector), 0
    if not _SIDES[0] <= int(side) <= _SIDES[1]:
        raise ValueError(f"{detector}: an input has a side of {_SIDES[0]} to {_SIDES[1]} pixels")
    return name, int(side)


def detector_file(detector: str | Path) -> Path:
    """The file behind a detector's name, "detector" or a path, with or without a size."""
    name = sized(detector)[0]
    return _inside(f"{DETECTOR}.onnx") if name in ("", DETECTOR) else Path(name)


def load_network(
    model: str | Path = "", *, threads: int = 0, engine: str = "onnxruntime"
) -> tuple[Card, Network]:
    """A model's card and bare network; arguments and errors as `load`."""
    if engine not in ENGINES:
        raise ValueError(f"no engine {engine!r}; there are {', '.join(ENGINES)}")
    path = _path(model)
    if path.suffix.lower() == ".onnx" and engine != "onnxruntime":
        from posegram.infer.openvino import has_openvino, load_openvino

        if engine == "openvino" or has_openvino():
            return load_openvino(path, threads=threads)
    if path.suffix.lower() == ".onnx":
        from posegram.infer.onnx import load_onnx  # the runtime takes a while to load

        return load_onnx(path, threads=threads)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    if path.suffix.lower() == ".keras":
        return _load_keras(path)
    try:
        from posegram.infer.checkpoint import load_checkpoint
    except ModuleNotFoundError as fault:
        raise ImportError(f"{path} needs torch: pip install 'posegram[train]'") from fault
    return load_checkpoint(path)


def _load_keras(path: Path) -> tuple[Card, Network]:
    try:
        from posegram.infer.keras_file import load_keras
    except ModuleNotFoundError as fault:
        raise ImportError(f"{path} needs Keras: pip install 'posegram[keras]'") from fault
    return load_keras(path)


def bundled(name: str) -> Path:
    """The file of a bundled model.

    Raises:
        FileNotFoundError: this installation lacks it.
        ValueError: no bundled model has that name.
    """
    if name not in BUNDLED:
        raise ValueError(f"no model {name!r}; bundled are {', '.join(sorted(BUNDLED))}")
    return _inside(BUNDLED[name])


def _inside(file: str) -> Path:
    path = Path(str(files("posegram") / "weights" / file))
    if not path.is_file():
        raise FileNotFoundError(f"this installation lacks the bundled model {path}")
    return path


def file_of(model: str | Path = "") -> Path:
    """The file behind a model as `load` takes it; of a path, whether or not it is there.

    Behind "keypoint-rcnn" it is that of the weights, which are fetched where they are not here.

    Raises:
        FileNotFoundError: this installation lacks the bundled model, or the weights cannot be had.
        ImportError: "keypoint-rcnn" needs torchvision, which is not installed.
    """
    name = _name(model)
    if is_rcnn(name):
        return weights_of(name)
    return bundled(name) if name in BUNDLED else Path(name)


def _name(model: str | Path) -> str:
    return str(model) if str(model) not in ("", ".") else DEFAULT  # Path("") reads "."


def _path(model: str | Path) -> Path:
    name = _name(model)
    if name in BUNDLED or Path(name).suffix.lower() in (".onnx", ".ckpt", ".keras"):
        return file_of(name)
    if name == DETECTOR:
        raise ValueError(f"{name} is a detector: give it as --detector (in Python, detector=)")
    known = ", ".join(sorted(BUNDLED))
    raise ValueError(
        f"no model {name!r}; bundled are {known}, keypoint-rcnn is fetched, and a file's name must "
        "end in .onnx, .ckpt or .keras"
    )
