"""`posegram data convert`: labels from one format into another, and what does not fit there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import typer

from posegram import data
from posegram.cli.words import counted
from posegram.data import door, nameless, skeleton_file
from posegram.data.joints import in_skeleton, plain
from posegram.data.losses import FIXED, Loss, dropped, losses, renamed, unread
from posegram.data.split import split
from posegram.pose import Sample, Skeleton, skeleton_named

__all__ = ["convert"]

_FILES = {"coco", "mpii"}  # formats that are one .json file; the others are folders


def convert(
    source: str = typer.Argument(
        ...,
        help="Labels: a path or READER:PATH; #FIRST-LAST behind it keeps a range, #train, #val "
        "or #test a part of a YOLO set.",
    ),
    out: Path = typer.Argument(..., help="The .json file (coco, mpii) or folder (yolo, lsp)."),
    to: str = typer.Option(..., "--to", help=f"One of {', '.join(sorted(data.WRITERS))}."),
    reader: str = typer.Option(
        "", "--from", help=f"One of {', '.join(sorted(data.READERS))}; guessed without it."
    ),
    val: str = typer.Option(
        "", "--val", help="Labels to validate on, as SOURCE: YOLO's val beside its train."
    ),
    share: float | None = typer.Option(
        None, "--split", help="Share of the people for YOLO's val; copies of a photo stay together."
    ),
    images: Path | None = typer.Option(
        None, "--images", help="The pictures' folder, --val's too; default: beside the labels."
    ),
    skeleton: str = typer.Option(
        "",
        help="Joints to write: coco17, body19, lsp14, mpii16 or a skeleton file (.toml), which "
        "also names those of a YOLO set that only counts them; default: the source's.",
    ),
    no_pictures: bool = typer.Option(
        False, "--no-pictures", help="Do not copy the pictures into a YOLO or LSP folder."
    ),
) -> None:
    """Convert labels between COCO, YOLO-pose, MPII lists and LSP; read labelme and DeepLabCut, too.

    Prints how many people were written, and counts by kind what the new
    format cannot hold. The source stays as it is.
    """
    _refuse(out, to, no_pictures=no_pictures)
    _refuse_parts(to, val, share)
    chosen = _chosen(skeleton)
    specs = [_found(_spec(one, reader)) for one in (source, val) if one]
    sets = [_called(_people(spec, out, images), chosen) for spec in specs]
    told = _left(specs, images)
    lost = dropped([s for some in sets for s in some], chosen) if chosen else []
    sets = _in_one(sets, chosen, val)
    lost += losses([s for some in sets for s in some], to)
    if share is not None:
        sets = list(split(sets[0], share=share))
    names, changed = _names(specs, to, sets[0][0].skeleton, respelt=chosen is not None)
    _write(out, to, sets, names, copy=not no_pictures)
    lost += changed
    _tell(out, to, sets, [*told, *((f"does not fit {to}", loss) for loss in lost)])


def _chosen(skeleton: str) -> Skeleton | None:
    if not skeleton:
        return None
    file = skeleton.endswith(".toml")
    return skeleton_file.read(Path(skeleton)) if file else skeleton_named(skeleton)


def _called(samples: list[Sample], chosen: Skeleton | None) -> list[Sample]:
    """The people, joints without names called as in the chosen skeleton."""
    found = nameless.called(samples, chosen)
    if chosen and any(nameless.bare(sample.skeleton) for sample in found):
        count = len(found[0].skeleton)
        raise ValueError(
            f"the source has {count} joints without names, so --skeleton finds none of the "
            f"{len(chosen)} of {chosen.name}: {nameless.ADVICE}"
        )
    return found


class _Names(NamedTuple):
    """What the new file calls people and joints."""

    category: str
    joints: tuple[str, ...]  # K, in the skeleton's order


def _refuse(out: Path, to: str, *, no_pictures: bool) -> None:
    if to not in data.WRITERS:
        raise ValueError(f"no format {to!r} to write; there are {', '.join(sorted(data.WRITERS))}")
    if to in _FILES and out.suffix.lower() != ".json":
        raise ValueError(f"{to} is one .json file, so {out} cannot be its name")
    if to not in _FILES and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists already; {to} is written into a new or empty folder")
    if no_pictures and to in _FILES:
        raise ValueError(f"{to} is one file without pictures, so leave --no-pictures out")


def _refuse_parts(to: str, val: str, share: float | None) -> None:
    if val and share is not None:
        raise ValueError("--val names the people to validate on and --split draws them: give one")
    if (val or share is not None) and to != "yolo":
        option = "--val" if val else "--split"
        advice = "write each part into a place of its own"
        raise ValueError(f"{option} is for --to yolo, and {to} has no parts: {advice}")


def _spec(text: str, reader: str) -> str:
    named = data.pieces(text).reader
    if not reader or named == reader:
        return text
    if named:
        raise ValueError(f"--from {reader} and {text} name two readers: leave --from out")
    return f"{reader}:{text}"


def _found(spec: str) -> str:
    """The same spec with reader and file named, so that they are guessed only once."""
    told, (reader, path) = data.pieces(spec), data.reader_of(spec)
    return "#".join(filter(None, (f"{reader}:{path}", told.part, told.range)))


def _people(spec: str, out: Path, images: Path | None) -> list[Sample]:
    path = data.reader_of(spec)[1]
    if out.exists() and path.exists() and out.samefile(path):
        raise ValueError(f"{out} is the source itself, which is never changed")
    samples = data.read(spec, images)
    if not samples:
        raise ValueError(f"{path}: holds nobody with a labelled joint")
    return samples


def _left(specs: Sequence[str], images: Path | None) -> list[tuple[str, Loss]]:
    """What reading left out of each set, once for a set of which two parts were read."""
    parts: dict[tuple[str, Path], list[str]] = {}
    for spec in specs:
        parts.setdefault(data.reader_of(spec), []).append(data.pieces(spec).part)
    return [
        (f"left out by reading {name}", loss)
        for (name, path), some in parts.items()
        for loss in unread(name, path, images, list(dict.fromkeys(some)))
    ]


def _in_one(sets: list[list[Sample]], chosen: Skeleton | None, val: str) -> list[list[Sample]]:
    """Everybody in the chosen skeleton; without one, those of --val in the source's."""
    if chosen:
        return [[in_skeleton(sample, chosen) for sample in some] for some in sets]
    source, *others = sets
    own = source[0].skeleton
    if any(set(s.skeleton.joints) != set(own.joints) for some in others for s in some):
        advice = "--skeleton NAME writes both with the same ones"
        raise ValueError(f"{val}: has other joints than the source; {advice}")
    return [source, *([in_skeleton(sample, own) for sample in some] for some in others)]


def _names(
    specs: Sequence[str], to: str, skeleton: Skeleton, *, respelt: bool
) -> tuple[_Names, list[Loss]]:
    """The source's own names where the format has room and they are of one kind; what changes."""
    found = [data.categories(spec) for spec in specs]
    everyone = [own for some in found for own in some]
    if to in FIXED:
        return _Names("", ()), [loss for own in everyone for loss in renamed(own, "", ())]
    own = found[0][0] if len(found[0]) == 1 else {}
    joints = tuple(own.get("keypoints", ()))
    if respelt or tuple(plain(joint) for joint in joints) != skeleton.joints:
        joints = skeleton.joints
    names = _Names(own.get("name", "person"), joints)
    return names, [loss for own in everyone for loss in renamed(own, *names)]


def _write(out: Path, to: str, sets: Sequence[list[Sample]], names: _Names, *, copy: bool) -> None:
    options: dict[str, Any] = {} if to in _FILES else {"copy": copy}
    if to not in FIXED:
        options["category"] = names.category
        sets = [_spelt(some, names.joints) for some in sets]
    if len(sets) > 1:
        options["valid"] = sets[1]
    data.WRITERS[to](out, sets[0], **options)


def _spelt(samples: list[Sample], joints: tuple[str, ...]) -> list[Sample]:
    """The same people, with other names for their joints."""
    own = samples[0].skeleton
    if joints == own.joints or any(sample.skeleton != own for sample in samples):
        return samples
    called = dict(zip(own.joints, joints, strict=True))
    bones, mirror = (
        tuple((called[a], called[b]) for a, b in pairs) for pairs in (own.bones, own.mirror)
    )
    skeleton = replace(own, joints=joints, bones=bones, mirror=mirror)
    return [replace(sample, skeleton=skeleton) for sample in samples]


def _tell(
    out: Path, to: str, sets: Sequence[list[Sample]], told: Sequence[tuple[str, Loss]]
) -> None:
    photos = [{sample.image.resolve() for sample in some} for some in sets]
    counts = [
        f"{counted(len(some), 'person', 'people')} in {counted(len(shown), 'picture')}"
        for some, shown in zip(sets, photos, strict=True)
    ]
    if len(sets) > 1:
        counts = [f"{name}: {count}" for name, count in zip(("train", "val"), counts, strict=True)]
    apart = _apart(out, sets[0]) if to == "mpii" else ""
    typer.echo(f"{', '.join(counts)} -> {out} ({to}){apart}")
    if to == "yolo" and len(sets) == 1:
        advice = "--val SPEC or --split SHARE parts them"
        typer.echo(f"  val is train: data.yaml names the same pictures as both; {advice}")
    both = set.intersection(*photos) if len(sets) > 1 else set()
    if both:
        typer.echo(f"  in train and in val: {counted(len(both), 'picture')}")
    for title, loss in told:
        typer.echo(f"  {title}: {loss}")


def _apart(out: Path, people: Sequence[Sample]) -> str:
    """That a list's pictures lie elsewhere than where its reader will look; nothing if not so."""
    files = [sample.image for sample in people]
    folder = door.common_folder(files)
    names = [door.within(file, folder) for file in files]
    place = door.images_beside(out, names)
    if not files[0].exists() or all((place / name).exists() for name in dict.fromkeys(names)):
        return ""
    return f"; pictures stay in {folder}: give images={folder} to train"
