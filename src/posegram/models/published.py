"""Keypoint R-CNN's published weights: a file at hand, or fetched from torchvision's address.

The file lands where torchvision itself would keep it, so whoever has it there fetches nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posegram import models
from posegram.pose import COCO17, Card

__all__ = [
    *("CARD", "OFFLINE", "VARIABLE"),
    *("arrays", "cache", "fetch", "find", "keypoints", "located", "meter"),
]

CARD = Card(
    name="keypoint-rcnn",
    kind="rcnn",
    skeleton=COCO17,
    size=(800, 1333),
    mean=(123.675, 116.28, 103.53),  # 255 times ImageNet's means, as torchvision's transform
    std=(58.395, 57.12, 57.375),
    margin=1.0,
    # not measured: a height of 2, from which tutorials draw a joint, is called even odds, and one
    # of 10 is 96 %. Fine-tuning on labelled photos measures both numbers
    calibration=(0.4, -0.8),
    licence="as published by torchvision (BSD-3-Clause; trained on COCO train2017)",
    data=("COCO train2017 keypoints",),
    settings={"network": "keypoint_rcnn", "width": 512},
)

VARIABLE = "POSEGRAM_KEYPOINT_RCNN"  # names a file, for machines without network
OFFLINE = "POSEGRAM_OFFLINE"  # set to anything but 0: nothing is ever fetched
PAGE = (
    "https://docs.pytorch.org/vision/stable/models/generated/"
    "torchvision.models.detection.keypointrcnn_resnet50_fpn.html"
)
_PIECE = 1 << 20  # bytes read at once
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.")  # torch hub: a name ends in the start of its SHA-256

Progress = Callable[[int, int | None], None]  # bytes that are there, bytes in all where known


def cache() -> Path:
    """The folder where torch keeps what it downloads."""
    home = os.environ.get("TORCH_HOME")
    base = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return base.expanduser() / "hub" / "checkpoints"


def find(weights: str | Path, address: str, *, variable: str = VARIABLE) -> Path:
    """The file of the weights: the one given, the variable's, the cached or a downloaded one.

    Args:
        weights: a file; "" for the published weights.
        address: of the published weights.
        variable: the environment variable that may name a file; "" for none.

    Raises:
        FileNotFoundError: there is no such file, or it can neither be found nor fetched, or may
            not be; the message says which file to get, from where, and where to put it.
        ValueError: what was fetched is not what the address promises.
    """
    said = str(weights) or (os.environ.get(variable, "") if variable else "")
    if said:
        path = Path(said).expanduser()
        if not path.is_file():
            named = "" if str(weights) else f", named by {variable}"
            raise FileNotFoundError(f"there is no file {path} with weights{named}")
        return path
    path = cache() / address.rpartition("/")[2]
    if path.is_file():
        return path
    try:
        return fetch(address, path, progress=meter(path.name))
    except OSError as fault:
        if isinstance(fault, ConnectionError | TimeoutError):
            sys.stderr.write("\n")  # the meter's line ends here
        other = f", or give it as --weights FILE, --model FILE or {variable}=FILE"
        raise FileNotFoundError(
            f"torchvision's weights could not be fetched ({_reason(fault)}): get {address} "
            f"(named in {PAGE}) and put it at {path}" + (other if variable else "")
        ) from fault


def _reason(fault: OSError) -> str:
    return str(getattr(fault, "reason", None) or fault)


def fetch(address: str, path: Path, *, progress: Progress | None = None) -> Path:
    """Download a file whose name holds the start of its SHA-256; returns `path`.

    A download that broke off goes on where it stopped; a file that differs from its name's
    checksum never appears.

    Args:
        address: http(s) address.
        path: where the file goes; until it is whole, it is called `path` + ".part".
        progress: called with the bytes that are there and those in all.

    Raises:
        OSError: the address cannot be reached, or may not be, or the connection broke.
        ValueError: the checksum differs; what was fetched is thrown away.
    """
    offline = os.environ.get(OFFLINE, "")
    if offline not in ("", "0"):
        raise PermissionError(f"{OFFLINE}={offline} is set")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "posegram"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            _store(answer, part, have if answer.status == 206 else 0, progress)
    except urllib.error.HTTPError as fault:
        if fault.code != 416:  # 416: nothing is left to send, the part is whole
            raise
    wanted = _DIGEST.search(path.name)
    digest = _sha256(part)
    if wanted and not digest.startswith(wanted[1]):
        part.unlink()
        raise ValueError(
            f"{address} is damaged or another file: its SHA-256 begins with {digest[:8]}, not with "
            f"{wanted[1]}; nothing was kept"
        )
    part.replace(path)
    return path


def _store(answer: object, part: Path, have: int, progress: Progress | None) -> None:
    """Append what an answer brings to the part, of which `have` bytes count.

    Raises:
        OSError: less came than was announced.
    """
    length = answer.headers.get("Content-Length")  # type: ignore[attr-defined]
    whole = have + int(length) if length else None
    with part.open("ab" if have else "wb") as file:
        while piece := answer.read(_PIECE):  # type: ignore[attr-defined]
            file.write(piece)
            have += len(piece)
            if progress:
                progress(have, whole)
    if whole is not None and have < whole:
        raise ConnectionError(f"the connection broke after {have} of {whole} bytes; try again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def meter(name: str) -> Progress:
    """A line on standard error that tells how a download goes, renewed every percent."""
    last = -1

    def tell(have: int, whole: int | None) -> None:
        nonlocal last
        share = 100 * have // whole if whole else have // _PIECE
        if share == last:
            return
        last = share
        of = f" of {whole / 1e6:.0f}" if whole else ""
        end = "\n" if have == whole else ""
        sys.stderr.write(f"\rfetching {name}: {have / 1e6:.0f}{of} MB{end}")
        sys.stderr.flush()

    return tell


def located(weights: str | Path = "") -> Path:
    """The file of torchvision's published weights, fetched if need be; as `find`.

    Raises:
        FileNotFoundError: as `find`.
        ImportError: torchvision is missing or does not fit torch.
        ValueError: as `find`.
    """
    from posegram.models.vision_ops import torchvision_ready

    torchvision_ready()
    from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights as Published

    return find(weights, Published.COCO_V1.url)


def keypoints(weights: str | Path = "") -> tuple[Card, Any]:
    """The card and the network of torchvision's published weights, in evaluation mode.

    Args:
        weights: a .pth file of torchvision's `keypointrcnn_resnet50_fpn`; else as `find`.

    Raises:
        FileNotFoundError: as `find`.
        ImportError: torchvision is missing or does not fit torch.
        ValueError: the file holds other weights.
    """
    path = located(weights)
    network = models.build(CARD)
    try:
        network.load_state_dict(arrays(path))
    except (RuntimeError, TypeError, AttributeError) as fault:
        raise ValueError(
            f"{path} holds no weights of torchvision's keypointrcnn_resnet50_fpn"
        ) from fault
    return CARD, network.eval()


def arrays(path: Path) -> dict[str, Any]:
    """The arrays by name of a file of weights; only arrays and plain values are read, never code.

    Raises:
        ValueError: it is no such file.
    """
    refusal = f"{path} is no file of weights that torch can read"
    found = models.stored(path, refusal)
    if not isinstance(found, dict):
        raise ValueError(refusal)
    return found
