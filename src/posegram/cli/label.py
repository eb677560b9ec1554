"""`posegram label`: joints placed by a model, or labels mended by it, as a marked COCO file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import typer

from posegram import __version__, data
from posegram import image as pictures
from posegram.cli.crew import crew_for
from posegram.cli.resume import begin, records_of
from posegram.cli.words import counted, tell_whole
from posegram.data import door, folder
from posegram.data.losses import dropped
from posegram.infer import active
from posegram.infer import boxes as given_boxes
from posegram.infer import label as labels
from posegram.infer.agree import agree
from posegram.infer.label import Label, Task
from posegram.infer.load import file_of, load
from posegram.infer.topdown import TopDown
from posegram.infer.views import views
from posegram.pose import BODY19, Skeleton

__all__ = ["label"]

_MEND = (
    "Combine the source's labels with the model's; TRUST is the probability that a label is right, "
    "such as 0.85."
)
_WORTH = "Only the N photos most worth labelling, to be corrected."
_SKIP = "COCO file whose photos are left out: labelled before. May be given again."
_DETECTOR = "Finds people where no boxes are: detector:640 (its input's side), a file, or none."
_ADAPTER = "For somebody else's .onnx file: movenet, or a .toml file that describes it."
_BOXES = "COCO annotation file with people's boxes, matched by file name."
_LEAST = "Smallest probability of a joint that is labelled."
_TURNS = "Choose among four turns of the crop, for acrobatic photos."
_SECOND = (
    "Another model's opinion: joints on which both agree become their mean, the others count less."
)


def label(
    source: str = typer.Argument(
        ..., help="A folder of photos, or labels (reader:path) whose boxes are used."
    ),
    out: Path = typer.Option(..., "--out", "-o", help="The COCO JSON file to write."),
    model: str = typer.Option("", help="A bundled model or an .onnx or .ckpt file."),
    adapter: str = typer.Option("", help=_ADAPTER),
    second: str = typer.Option("", metavar="MODEL", help=_SECOND),
    second_adapter: str = typer.Option("", help="As --adapter, for the second model."),
    boxes: Path | None = typer.Option(None, help=_BOXES),
    images: Path | None = typer.Option(None, help="Folder of the pictures of labels."),
    detector: str = typer.Option("", help=_DETECTOR),
    flip: bool = typer.Option(False, "--flip", help="Average with the mirrored crop."),
    rotations: bool = typer.Option(False, "--rotations", help=_TURNS),
    min_score: float = typer.Option(0.3, min=0.0, max=1.0, help=_LEAST),
    mend: float | None = typer.Option(None, min=0.0, max=1.0, metavar="TRUST", help=_MEND),
    most_uncertain: int = typer.Option(0, min=0, metavar="N", help=_WORTH),
    skip: list[Path] = typer.Option([], help=_SKIP),
    threads: int = typer.Option(0, min=0, help="Cores to use; 0 means all."),
) -> None:
    """Label people with a model and write COCO JSON with scores.

    The file says that a model made the labels, and which. People are
    taken in the source's boxes, those of --boxes, or where the detector
    finds them; with --detector none, each photo is one person.

    With --most-uncertain, photos, ranking and a sheet are laid beside it.

    An interrupted run goes on when the same command is given again.

    Exit code 1: photos that could not be read are listed. 2: misuse.
    """
    door.require_apart(out, [data.reader_of(source)[1], boxes, *skip])
    work = active.without(_tasks(source, boxes, images), skip)
    _check(work, source, detector, mend, out if most_uncertain else None)
    _check_models(model, adapter, second, second_adapter, most_uncertain)
    look = {"flip": flip, "rotations": rotations}
    crew, threads = crew_for(len(work), (model, detector, second), "onnxruntime", threads)
    estimate = views(load(model, threads=threads, adapter=adapter, detector=detector), **look)
    tell_whole(estimate, "given" if boxes else detector)
    other = _second_opinion(second, second_adapter, threads, look)
    opinion = _settings(other, second, second_adapter) if other else None
    more = {"doubts": bool(most_uncertain), "second": opinion}
    settings = _settings(estimate, model, adapter) | look | more
    parts = out.with_name(f"{out.name}.parts")
    begin(parts, settings | {"photos": _fingerprint(work)})
    one = partial(_one, estimate=estimate, second=other, judge=bool(most_uncertain))
    records = records_of(work, one, parts, crew)
    _list([record["failed"] for record in records if "failed" in record])
    info = {"min_score": min_score, "mend": mend} | settings
    if most_uncertain:
        _round(out, work, records, estimate, most_uncertain, info)
    else:
        made = _labels(work, records, estimate, min_score, mend)
        _finish(out, made, work, records, info, estimate.card.skeleton)
    shutil.rmtree(parts)
    if any("failed" in record for record in records):
        raise typer.Exit(1)


def _check(
    work: Sequence[Task], source: str, detector: str, mend: float | None, chosen_to: Path | None
) -> None:
    """Refuse what does not go together; the file is that of a round, if one is wanted."""
    if detector not in ("", "none") and all(task.box is not None for task in work):
        raise ValueError("--detector is for photos without boxes, and here all have some")
    if chosen_to is not None:
        active.room(chosen_to)  # before hours of work
    if mend is None:
        return
    if chosen_to is not None:
        raise ValueError("--mend and --most-uncertain do not go together: give one of them")
    labelled = [s for task in work for s in task.samples if (s.visible > 0).any()]
    if not labelled:
        raise ValueError(f"--mend combines labels with the model's, and {source} has no labels")
    for loss in dropped(labelled, BODY19):
        typer.echo(f"posegram: --mend writes {BODY19.name}: {loss}", err=True)


def _tasks(source: str, boxes: Path | None, images: Path | None) -> list[Task]:
    """What is to be labelled; says how many photos a file of boxes does not list."""
    found = labels.tasks(source, boxes, images)
    photos = Path(source.removeprefix("folder:"))
    left = 0 if boxes is None else len(folder.images_in(photos)) - len(found)
    if left:
        said = f"{counted(left, 'photo')} not in the file of boxes, so left out"
        typer.echo(f"posegram: {said}", err=True)
    return found


def _check_models(
    model: str, adapter: str, second: str, second_adapter: str, most_uncertain: int
) -> None:
    """Refuse what does not go together with one model or two."""
    if adapter and not model:
        raise ValueError("--adapter describes somebody else's .onnx file: give it as --model")
    if second_adapter and not second:
        raise ValueError("--second-adapter describes the second model: give --second as well")
    if second and most_uncertain:
        raise ValueError("--second and --most-uncertain do not go together: give one of them")


def _second_opinion(
    second: str, adapter: str, threads: int, look: dict[str, bool]
) -> TopDown | None:
    """The second model, if one is named, which looks as the first one does."""
    if not second:
        return None
    return views(load(second, threads=threads, adapter=adapter, detector="none"), **look)


def _settings(estimate: TopDown, model: str, adapter: str) -> dict[str, Any]:
    """Which model labels, as plain values; goes into the file, and tells one run from another."""
    finder = getattr(getattr(estimate, "detect", None), "card", None)
    return {
        "software": f"posegram {__version__}",
        "detector": "none" if finder is None else finder.name,
        "model": estimate.card.name,
        "model_sha256": _sha([file_of(model).read_bytes()]),
        "model_licence": estimate.card.licence,
        "adapter": _described(adapter),
    }


def _finish(
    out: Path,
    made: Sequence[Label],
    work: Sequence[Task],
    records: Sequence[dict[str, Any]],
    info: dict[str, Any],
    skeleton: Skeleton,
) -> None:
    """Write the file and say what was done; exit when no photo could be read."""
    done = [(t.photo, r["size"]) for t, r in zip(work, records, strict=True) if "size" in r]
    photos = {photo: (size[0], size[1]) for photo, size in done}
    if not photos:
        raise typer.Exit(1)
    purpose = "Joints placed by a model" if info["mend"] is None else "Labels mended by a model"
    skeleton = skeleton if info["mend"] is None else BODY19
    labels.write(out, made, photos, {"description": purpose} | info, skeleton)
    people = counted(len(made), "person", "people")
    typer.echo(f"{counted(len(photos), 'photo')}, {people} -> {out}")


def _described(adapter: str) -> dict[str, Any] | None:
    """The adapter's settings as plain values."""
    if not adapter:
        return None
    from posegram.infer.foreign import adapter_named  # brings the runtime

    found = adapter_named(adapter)
    plain = asdict(found) | {"skeleton": found.skeleton.name}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in plain.items()}


def _sha(parts: Sequence[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def _fingerprint(work: Sequence[Task]) -> str:
    """Changes when the list of photos or a box does; for what is in a photo see `_stamp`."""
    return _sha([f"{t.photo}:{[] if t.box is None else t.box.tolist()}".encode() for t in work])


def _one(task: Task, *, estimate: TopDown, second: TopDown | None, judge: bool) -> dict[str, Any]:
    """Who is in one photo, perhaps how doubtful they are; or why it could not be looked at."""
    try:
        image = pictures.read(task.photo)
        given_boxes.require_size(task.photo, image.shape[:2], task.size)
    except (OSError, ValueError) as fault:
        return {"failed": str(fault)}
    try:
        people = estimate(image, task.box)
        if second is not None:
            people = agree(people, second(image, people.box))
    except ValueError as fault:
        return {"failed": f"{task.photo}: {fault}"}
    record = labels.to_record(people, image.shape[:2])
    if judge:
        whole = _is_whole(task, estimate)
        record["doubts"] = active.doubts(estimate, image, people, whole=whole).tolist()
    return record


def _is_whole(task: Task, estimate: TopDown) -> bool:
    """Whether a photo is taken as one person."""
    # a Keypoint R-CNN finds people without a detector of ours
    return task.box is None and getattr(estimate, "detect", True) is None


def _round(
    out: Path,
    work: Sequence[Task],
    records: Sequence[dict[str, Any]],
    estimate: TopDown,
    count: int,
    info: dict[str, Any],
) -> None:
    """Write the photos most worth labelling, and say what was done; exit when none was read."""
    found = [
        active.Doubtful(
            task.photo,
            labels.from_record(record, estimate.card.skeleton),
            np.array(record["doubts"], dtype=np.float32).reshape(-1, 2),
            _is_whole(task, estimate),
        )
        for task, record in zip(work, records, strict=True)
        if "failed" not in record
    ]
    if not found:
        raise typer.Exit(1)
    ranked, chosen = active.choose(found, count)
    flags = f"v = 2 where the score is at least {info['min_score']}, 1 below it"
    info = {"description": f"Joints placed by a model, to be corrected by a person; {flags}"} | info
    people = active.write_round(out, ranked, chosen, info, least=info["min_score"])
    photos, told = counted(len(found), "photo"), counted(people, "person", "people")
    typer.echo(f"{len(chosen)} of {photos}, {told} -> {out}")


def _list(failed: Sequence[str]) -> None:
    if failed:
        typer.echo(f"posegram: {counted(len(failed), 'photo')} failed:", err=True)
        for sentence in failed:
            typer.echo(f"  {sentence}", err=True)


def _labels(
    work: Sequence[Task],
    records: Sequence[dict[str, Any]],
    estimate: TopDown,
    least: float,
    trust: float | None,
) -> list[Label]:
    """The labels of all photos that could be read."""
    skeleton: Skeleton = estimate.card.skeleton
    made: list[Label] = []
    for task, record in zip(work, records, strict=True):
        if "failed" in record:
            continue
        people = labels.from_record(record, skeleton)
        if trust is None:
            made += labels.as_labels(task, people, least=least, whole=_is_whole(task, estimate))
        else:
            made += labels.mended(task, people, trust=trust, least=least)
    return made
