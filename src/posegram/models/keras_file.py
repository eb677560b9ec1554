"""A Keras 3 regression CNN in a .keras file, read without running any code of the file's.

The contract: one input (B, H, W, 3), RGB in 0..1; the first output holds the joints, (B, 2K) as
x0, y0, x1, y1, ... or (B, K, 2); a second output, if there is one, confidence logits (B, K).
Format: keras.io/guides/serialization_and_saving; config.json names every class to be built.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if "keras" not in sys.modules:  # the choice is made once a process, at the first import
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")
import keras
import torch
from torch import nn

from posegram.pose import SKELETONS, Card, Skeleton

__all__ = ["CARD", "OUTPUTS", "KerasNetwork", "keras", "load_keras_file", "read_model"]

CARD = "posegram.json"  # our card among the archive's files
OUTPUTS = ("shares", "pixels")
_CONFIG = "config.json"
_LARGEST = 16_000_000  # bytes of config.json
_LAYERS = {
    *("InputLayer", "Rescaling", "Normalization", "Identity", "Dropout", "SpatialDropout2D"),
    *("GaussianNoise", "GaussianDropout", "Dense", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"),
    *("Conv2DTranspose", "BatchNormalization", "LayerNormalization", "GroupNormalization"),
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "MaxPooling2D"),
    *("AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling1D"),
    *("GlobalAveragePooling1D", "ZeroPadding2D", "Cropping2D", "UpSampling2D", "Flatten"),
    *("Reshape", "Permute", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"),
    *("Concatenate", "Dot"),
}
_MODELS = {"Sequential", "Functional"}
_ARRAYS = {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__"}
_PARTS = ("keras.initializers", "keras.regularizers", "keras.constraints", "keras.dtype_policies")
_POLICIES = {"DTypePolicy", "FloatDTypePolicy", "DTypePolicyMap"}


class KerasNetwork(nn.Module):
    """A Keras model as one of our networks: crops (B, 3, H, W) in 0..1 in, regression out."""

    def __init__(self, model: Any, card: Card) -> None:
        super().__init__()
        self.model = model
        self.joints, self.size = len(card.skeleton), card.size
        self.pixels = card.settings.get("outputs") == "pixels"

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Joints as shares of the crop (B, K, 2), 0 and 1 its outer edges, and logits (B, K)."""
        raw = self.model(x.permute(0, 2, 3, 1), training=False)
        first, *more = raw if isinstance(raw, (list, tuple)) else (raw,)
        share = first.reshape(-1, self.joints, 2)
        if self.pixels:
            share = (share + 0.5) / share.new_tensor([self.size[1], self.size[0]])
        return share, more[0] if more else torch.zeros_like(share[..., 0])


def load_keras_file(
    path: Path,
    *,
    skeleton: Skeleton | None = None,
    outputs: str = "shares",
    margin: float = 1.25,
) -> tuple[Card, KerasNetwork]:
    """The network in a .keras file, in evaluation mode, and its card.

    A file that posegram wrote holds its own card, and the other arguments are not needed. Of any
    other file the card is made here: scores are all alike where the model has no confidences.

    Args:
        path: the file.
        skeleton: names the joints; without it, the built-in one with as many joints.
        outputs: "shares" of the crop, 0 and 1 being its outer edges, (x + 0.5) / width; or
            "pixels" of the crop, 0 being the centre of the first one.
        margin: crop side / side of the person's box, as in training.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `read_model`; or its inputs and outputs are not of the contract above.
    """
    if outputs not in OUTPUTS:
        raise ValueError(f"a Keras model's outputs are {' or '.join(OUTPUTS)}, not {outputs!r}")
    model, own = read_model(path)
    size, joints, sure = _contract(model, path)
    if own is not None and len(own.skeleton) == joints and own.size == size:
        card = own
    else:
        card = Card(
            path.stem,
            "regression",
            skeleton or _usual(joints, path),
            size,
            margin=margin,
            calibration=(1.0, 0.0) if sure else (0.0, 0.0),  # slope 0: every score is one half
            licence="not stated",
            settings={"network": "keras", "outputs": outputs},
        )
    if len(card.skeleton) != joints:
        count = f"{joints} joints, but skeleton {card.skeleton.name!r} has {len(card.skeleton)}"
        raise ValueError(f"{path} puts out {count}")
    return card, KerasNetwork(model, card).eval()


def read_model(path: Path) -> tuple[Any, Card | None]:
    """The Keras model in a file, not compiled, and the card that posegram laid beside it.

    Before Keras sees the file, every class that it names must stand on a list of plain layers, so
    that neither Lambda layers nor custom classes nor layers that open other files are built.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no .keras file of Keras 3, asks for code, or names an unknown layer;
            or Keras runs on another backend than torch.
    """
    if keras.backend.backend() != "torch":
        name = keras.backend.backend()
        raise ValueError(f"Keras runs on {name} here; set KERAS_BACKEND=torch before its import")
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    config, card = _parts(path)
    for sentence in _faults(config):
        raise ValueError(f"{path} {sentence}")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as fault:  # Keras raises whatever a damaged part leads to
        version = f"Keras {keras.__version__}"
        raise ValueError(f"{path} is damaged, or not of a kind that {version} reads") from fault
    return model, card


def _parts(path: Path) -> tuple[Any, Card | None]:
    """The model's description and our card, from the archive."""
    refusal = f"{path} is no .keras file of Keras 3"
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_CONFIG).file_size > _LARGEST:
                raise ValueError(refusal)
            config = json.loads(archive.read(_CONFIG))
            text = archive.read(CARD).decode() if CARD in archive.namelist() else None
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as fault:
        raise ValueError(refusal) from fault
    if not isinstance(config, dict):
        raise ValueError(refusal)
    return config, None if text is None else Card.from_json(text)


def _faults(config: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a model's description, one sentence for each thing."""
    if config.get("class_name") not in _MODELS:
        name = config.get("class_name")
        yield f"is a {name}, and only Sequential and Functional models are read: they hold no code"
    # how it was trained does not matter here, and is not built
    for record in _records({k: v for k, v in config.items() if k != "compile_config"}):
        fault = _fault(record)
        if fault:
            yield fault


def _records(value: Any) -> Iterator[dict[str, Any]]:
    """Everything inside that Keras would build."""
    if isinstance(value, dict) and value.keys() & {"class_name", "registered_name", "module"}:
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from _records(inner)


def _fault(record: dict[str, Any]) -> str:
    """Why an object is not built, or nothing."""
    name, module = str(record.get("class_name")), record.get("module")
    registered = record.get("registered_name")
    if name in ("Lambda", "__lambda__", "TorchModuleWrapper"):
        return f"asks for code of its own ({name}), which is never run: build it of plain layers"
    if registered not in (None, name) or not _is_known_module(module):
        shown = registered if module is None else f"{module}.{name}"
        return f"asks for code of its own ({shown}), which is never run: build it of plain layers"
    if not _is_plain(name, module):
        return f"has a layer or part that is not read: {name}"
    return ""


def _is_known_module(module: Any) -> bool:
    """Whether a module is Keras's own; values such as arrays have none."""
    return module is None or str(module).split(".")[0] == "keras"


def _is_plain(name: str, module: Any) -> bool:
    """Whether a class only computes."""
    if module is None:
        return name in _ARRAYS
    if module == "keras.layers":
        return name in _LAYERS
    if module in ("keras", "keras.models", "keras.src.models.functional"):
        return name in _MODELS | _POLICIES
    return module in _PARTS or module.startswith("keras.src.ops.")


def _contract(model: Any, path: Path) -> tuple[tuple[int, int], int, bool]:
    """Size of the input, number of joints, and whether there are confidences.

    Raises:
        ValueError: inputs or outputs are others than the contract says.
    """
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ValueError(f"{path} must take one picture (B, H, W, 3)")
    _, height, width, channels = model.inputs[0].shape
    if channels != 3 or not (height and width):
        shape = (height, width, channels)
        raise ValueError(f"{path} takes {shape}, but posegram gives RGB of one size (H, W, 3)")
    shapes = [tuple(output.shape[1:]) for output in model.outputs]
    first = shapes[0]
    numbers = first[0] if len(first) == 1 else 2 * first[0] if first[1:] == (2,) else 0
    if not numbers or numbers % 2 or shapes[1:] not in ([], [(numbers // 2,)]):
        told = "2K coordinates, and perhaps K confidences"
        raise ValueError(f"{path} puts out {', '.join(map(str, shapes))}, which is not {told}")
    return (height, width), numbers // 2, len(shapes) == 2


def _usual(joints: int, path: Path) -> Skeleton:
    """The built-in skeleton of so many joints."""
    for skeleton in SKELETONS.values():
        if len(skeleton) == joints:
            return skeleton
    advice = "export it with --skeleton and a file that names them"
    raise ValueError(f"{path} puts out {joints} joints, as no built-in skeleton has: {advice}")
