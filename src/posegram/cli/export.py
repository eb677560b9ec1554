"""`posegram export`: a trained checkpoint or a Keras model as one self-describing ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from posegram import data
from posegram.data import door
from posegram.data.folder import images_in
from posegram.infer.rcnn_load import is_rcnn
from posegram.pose import Card, Sample, skeleton_named

__all__ = ["export"]

_KERAS_MARGIN = 1.25
_IMAGES = "Folder of the people's pictures; by default beside their labels."
_MARGIN = "Crop side / side of the person's box; else as in training, of a .keras file 1.25."
_SIDE = "Of a detector: side of its input, pixels; else as in training."
_OPTIONS = {  # work -> what it is called, and the options that it heeds
    "pose": ("a pose network", ("--people", "--images", "--half", "--int8", "--margin")),
    "detector": ("a detector", ("--photos", "--half", "--int8", "--side")),
    "rcnn": ("a Keypoint R-CNN, which stays as it is", ("--people", "--images")),
    "keras_in": ("a .keras file", ("--people", "--images", "--skeleton", "--outputs", "--margin")),
    "keras_out": ("a .keras file to write", ()),
}


def export(
    checkpoint: Path = typer.Argument(
        ...,
        metavar="MODEL",
        help="A .ckpt file of posegram train, a .pth file of torchvision's Keypoint R-CNN, or a "
        ".keras file of Keras 3.",
    ),
    out: Path = typer.Option(
        ..., "--out", "-o", help="The .onnx file to write; of a `cnn` checkpoint, also a .keras."
    ),
    people: str = typer.Option(
        "", help="Annotated people to compare on, reader:path; else valid.json beside it."
    ),
    images: Path | None = typer.Option(None, help=_IMAGES),
    photos: list[Path] = typer.Option(
        [], help="Of a detector: photos, or folders of them, to compare on. May be given again."
    ),
    half: bool = typer.Option(False, "--half", help="Store weights as float16: half the size."),
    eight: bool = typer.Option(
        False, "--int8", help="Compute in 8 bits: half the time, a quarter of the size."
    ),
    skeleton: str = typer.Option(
        "", help="Of a .keras file: a built-in set of joints or a .toml file that names them."
    ),
    outputs: str = typer.Option(
        "", help="Of a .keras file: its coordinates are shares (of the crop, as usual) or pixels."
    ),
    margin: float | None = typer.Option(None, min=1.0, help=_MARGIN),
    side: int | None = typer.Option(None, min=96, max=2048, help=_SIDE),
) -> None:
    """Export a network and compare both on real crops; joints that move stop it.

    A Keras model takes (H, W, 3) in 0..1 and puts out 2K coordinates,
    x0, y0, x1, y1, ...; one that asks for code of its own is refused.
    """
    _refuse(checkpoint, out, both=half and eight)
    given: dict[str, object] = {"--people": people, "--images": images, "--photos": photos}
    given |= {"--half": half, "--int8": eight, "--skeleton": skeleton, "--outputs": outputs}
    given |= {"--margin": margin, "--side": side}
    if ".keras" in (checkpoint.suffix.lower(), out.suffix.lower()):
        _apt(given, "keras_out" if out.suffix.lower() == ".keras" else "keras_in")
        shown = _people(people, images) if people else []
        _between_keras(checkpoint, out, shown, skeleton, (outputs or "shares", margin))
        return
    card = None if is_rcnn(checkpoint) else _card(checkpoint)
    if card is not None and card.kind == "detector":
        _apt(given, "detector")
        card = replace(card, size=(side, side)) if side else card
        _detector(checkpoint, out, photos, card, half=half, eight=eight)
        return
    _apt(given, "pose" if card else "rcnn")
    samples = _people(people or str(_beside(checkpoint)), images)
    if card is None:
        _rcnn(checkpoint, out, samples)
        return
    card = replace(card, margin=margin) if margin else None
    _checkpoint(checkpoint, out, samples, half=half, eight=eight, card=card)


def _refuse(checkpoint: Path, out: Path, *, both: bool) -> None:
    """See that there is something to read, a place to write to, and one way to store weights."""
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no model file {checkpoint}")
    if out.suffix.lower() not in (".onnx", ".keras"):
        raise ValueError(f"cannot write {out}: its name must end in .onnx or .keras")
    if out.is_dir():
        raise IsADirectoryError(f"cannot write {out}: it is a folder")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"cannot write {out}: there is no folder {out.parent}")
    if both:
        raise ValueError("--half and --int8 are two ways to store weights: give one of them")


def _apt(given: Mapping[str, object], work: str) -> None:
    """Refuse what was asked for and has no meaning in that work, one of `_OPTIONS`."""
    what, own = _OPTIONS[work]
    for name, value in given.items():
        if value and name not in own:
            raise ValueError(f"{name} has no meaning for {what}; leave it out")


def _beside(checkpoint: Path) -> Path:
    """The people that a run was validated on, beside its checkpoint."""
    path = checkpoint.parent / "valid.json"
    if not path.exists():
        raise ValueError(f"{path} is not there; give annotated people with --people reader:path")
    return path


def _people(spec: str, images: Path | None) -> list[Sample]:
    """The people to compare on, all of whose pictures are there."""
    samples = data.read(spec, images)
    door.require_pictures(sample.image for sample in samples)
    return samples


def _card(checkpoint: Path) -> Card:
    """The card of a checkpoint; a file that is none is refused, whatever else is missing."""
    from posegram.models import load_weights

    return load_weights(checkpoint)[0]


def _checkpoint(
    checkpoint: Path,
    out: Path,
    samples: Sequence[Sample],
    *,
    half: bool,
    eight: bool,
    card: Card | None,
) -> None:
    """Export what training left, under its own card or another one."""
    if eight:
        from posegram.train.quantize import quantize_checkpoint

        share = quantize_checkpoint(checkpoint, out, samples, card=card)
        typer.echo(f"{_written(out)}, {share:.1%} of the joints elsewhere than in {checkpoint}")
        return
    from posegram.train.export import from_checkpoint

    from_checkpoint(checkpoint, out, samples, half=half, card=card)
    typer.echo(f"{_written(out)}, joints as in {checkpoint}")


def _detector(
    checkpoint: Path, out: Path, photos: Sequence[Path], card: Card, *, half: bool, eight: bool
) -> None:
    """Export a detector under a card, its own or another one."""
    if not photos:
        raise ValueError(f"{checkpoint} is a detector: give photos to compare on, --photos FOLDER")
    files = [p for one in photos for p in (images_in(one) if one.is_dir() else [one])]
    if eight:
        from posegram.train.quantize import quantize_detector

        share = quantize_detector(checkpoint, out, files, card=card)
        typer.echo(f"{_written(out)}, {share:.1%} of the sure boxes elsewhere than in {checkpoint}")
        return
    from posegram.train.export import detector_from_checkpoint, scenes_of

    scenes = scenes_of(files, card)
    detector_from_checkpoint(checkpoint, out, scenes[:16], half=half, card=card)
    typer.echo(f"{_written(out)}, boxes as in {checkpoint}")


def _rcnn(checkpoint: Path, out: Path, samples: Sequence[Sample]) -> None:
    """Export a Keypoint R-CNN."""
    from posegram.train.rcnn_export import from_file

    from_file(checkpoint, out, [sample.image for sample in samples])
    typer.echo(f"{_written(out)}, people as of {checkpoint}")


def _between_keras(
    source: Path,
    out: Path,
    people: Sequence[Sample],
    skeleton: str,
    how: tuple[str, float | None],
) -> None:
    """Export to a .keras file, or from one, see `_from_keras`."""
    if out.suffix.lower() == ".keras":
        card = _keras().to_keras(source, out)
    else:
        card = _from_keras(source, out, people, skeleton, how)
    typer.echo(f"{_written(out)}, outputs as of {source}, joints {_joints(card)}")


def _from_keras(
    path: Path,
    out: Path,
    people: Sequence[Sample],
    skeleton: str,
    how: tuple[str, float | None],
) -> Card:
    """Export a Keras model, whose outputs are so called and whose crops have that margin."""
    card: Card = _keras().from_keras(
        path,
        out,
        people,
        skeleton=_skeleton(skeleton) if skeleton else None,
        outputs=how[0],
        margin=how[1] or _KERAS_MARGIN,
    )
    return card


def _keras() -> Any:
    """What converts from and to Keras.

    Raises:
        ImportError: Keras is not installed.
    """
    try:
        from posegram.train import keras_export
    except ModuleNotFoundError as fault:
        raise ImportError("a .keras file needs Keras: pip install 'posegram[keras]'") from fault
    return keras_export


def _skeleton(name: str) -> Any:
    if not name.endswith(".toml"):
        return skeleton_named(name)
    from posegram.data.skeleton_file import read

    return read(Path(name))


def _written(out: Path) -> str:
    return f"{out}: {out.stat().st_size / 1e6:.1f} MB"


def _joints(card: Card) -> str:
    return f"{card.skeleton.name} ({', '.join(card.skeleton.joints[:3])}, ...)"
