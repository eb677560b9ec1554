"""`posegram predict`: photos and clips in; the same with the joints drawn, and JSON, out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

import typer

from posegram import image as pictures
from posegram.cli.bars import watched
from posegram.cli.clips import Cut, film_clip, require_clip, stoppable
from posegram.cli.crew import crew_for, in_order
from posegram.cli.photos import Form, Job, distinct, look, note, saved
from posegram.cli.results import is_clip, is_done, names_for, tell_renamed
from posegram.cli.words import SKELETON, counted, tell_whole
from posegram.data import folder, joints
from posegram.infer import boxes as given_boxes
from posegram.infer import records
from posegram.infer.load import load
from posegram.infer.views import views

__all__ = ["predict"]

_KINDS = 8  # of files left out that are named
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)  # a drive has but one letter
_STOPPED = 128  # and the signal's number: exit code after Ctrl-C or a kill, as shells count
_INPUTS = "Photos, clips, or folders of either."
_RECURSIVE = "Open folders within folders, too; the results keep the folders."
_SKIP = "Go on with earlier work: leave alone what has newer results in the folder for them."
_BOXES = "COCO annotation file with people's boxes, matched by file name."
_DETECTOR = "Finds people: detector:640 (its input's side, pixels), a file, or none: one a photo."
_FORMAT = "A JSON file each, or another form of results."
_THRESHOLD = "Smallest score of a joint that is drawn or becomes a label."
_MIN_SCORE = "Smallest score of a person; others are left out."
_MOST = "Only so many people of a photo or frame, the largest and surest; 0 means all."
_ENGINE = "What runs .onnx files: onnxruntime, openvino, or auto: openvino where it is installed."
_EVERY = "Clips: frames from one look of the person detector to the next."


def predict(
    inputs: list[Path] = typer.Argument(..., metavar="PATHS", help=_INPUTS),
    out: Path = typer.Option(Path("poses"), "--out", "-o", help="Folder for the results."),
    recursive: bool = typer.Option(False, "--recursive", "-r", help=_RECURSIVE),
    skip_done: bool = typer.Option(False, "--skip-done", help=_SKIP),
    model: str = typer.Option("", help="A bundled model or an .onnx or .ckpt file."),
    weights: str = typer.Option("", help="Of keypoint-rcnn: a .pth file, not the download."),
    boxes: Path | None = typer.Option(None, help=_BOXES),
    detector: str = typer.Option("", help=_DETECTOR),
    form: Form = typer.Option(Form.json, "--format", help=_FORMAT),
    skeleton: str = typer.Option("", help=SKELETON),
    threshold: float = typer.Option(0.3, min=0.0, max=1.0, help=_THRESHOLD),
    min_score: float = typer.Option(0.0, min=0.0, max=1.0, help=_MIN_SCORE),
    max_people: int = typer.Option(0, min=0, metavar="N", help=_MOST),
    flip: bool = typer.Option(False, "--flip", help="Average with the mirrored crop."),
    no_pictures: bool = typer.Option(False, "--no-pictures", help="Write no pictures or clips."),
    every: int = typer.Option(10, min=1, help=_EVERY),
    no_smooth: bool = typer.Option(False, "--no-smooth", help="Clips: joints as they are found."),
    start: float = typer.Option(0.0, min=0.0, help="Clips: seconds at which to begin."),
    end: float | None = typer.Option(None, min=0.0, help="Clips: seconds at which to stop."),
    stride: int = typer.Option(1, min=1, help="Clips: take every n-th frame."),
    threads: int = typer.Option(0, min=0, help="Cores to use; 0 means all."),
    engine: str = typer.Option("onnxruntime", help=_ENGINE),
) -> None:
    """Find people's joints in photos and clips: a copy with the joints drawn and JSON for each.

    The people are found first, unless --boxes tells where they are. With --format coco, image ids
    are the numbers in COCO-style file names, else positions in name order, and images.json lists
    them; unlikely people in photos are listed, too, for COCO's metric ranks them. A clip gives an
    .mp4 with its sound and a .csv, too. Ctrl-C or a kill ends in good order.

    Exit code 1: what failed is listed, all else is done. 2: misuse. 130, 143: stopped.
    """
    places, missing = _found(inputs, out, recursive, drawn=not no_pictures)
    names = names_for(places, out, form)
    cut = require_clip(Cut(every, not no_smooth, start, end, stride), any(map(is_clip, names)))
    given = _given(boxes, list(names), detector, min_score, max_people)
    found, clips = _sorted_out(names, out, given, form, cut if skip_done else None, not no_pictures)
    detector = "none" if boxes else detector
    crew, threads = crew_for(0 if clips else len(found), (model, detector), engine, threads)
    estimate = load(model, detector=detector, threads=threads, engine=engine, weights=weights)
    tell_whole(estimate, detector)
    job = Job(
        estimate=views(estimate, flip=flip),
        cut=cut,
        skeleton=joints.chosen(skeleton, estimate.card.skeleton),
        out=out,
        form=form,
        threshold=threshold,
        min_score=min_score,
        most=max_people,
        drawn=not no_pictures,
        given=given,
        places=places,
        names=names,
        labels=distinct({photo: places[photo] for photo in found}),
        ids=dict(zip(found, records.image_ids(found), strict=True)),
        failed=missing,
    )
    _work(job, found, clips, crew)


def _work(job: Job, found: list[Path], clips: list[Path], crew: int) -> None:
    """Do photos, so many at a time, then the clips, until all are done or Ctrl-C; say what was."""
    _prepare(job.out)
    tell_renamed(found, job.places, job.names, job.out)
    with stoppable() as stopped, saved(job, found):
        going = takewhile(lambda _: not stopped(), found)
        for seen in watched(in_order(partial(look, job), going, crew), "photos", len(found)):
            note(job, seen)
        for clip in clips:
            if not stopped():
                _film(job, clip, stopped)
        job.stopped = stopped()
    _finish(job, found, clips)


def _found(
    inputs: Sequence[Path], out: Path, recursive: bool, *, drawn: bool
) -> tuple[dict[Path, str], list[str]]:
    """Every file once, folders opened in natural order; and a sentence for each missing path.

    With each file goes its name, behind the folders that lie between it and the one given.
    """
    found: dict[str, Path] = {}
    places = {}
    missing = []
    for path in inputs:
        if not path.exists():
            missing.append(f"there is no file {path}{_elsewhere(path)}")
            continue
        if drawn and path.is_dir() and path.resolve() == out.resolve():
            raise ValueError(f"{path} holds the photos: give another --out, or --no-pictures")
        root = path if path.is_dir() else path.parent
        for file in _in_folder(path, out, recursive) if path.is_dir() else [path]:
            if found.setdefault(os.path.normpath(file.absolute()), file) is file:
                places[file] = file.relative_to(root).as_posix()
    if not found:
        raise FileNotFoundError("; ".join(missing))
    return places, missing


def _sorted_out(
    names: Mapping[Path, str],
    out: Path,
    given: Mapping[Path, given_boxes.Given] | None,
    form: Form,
    done: Cut | None,
    drawn: bool,
) -> tuple[list[Path], list[Path]]:
    """The photos and the clips that are to be done; where a cut is given, but for what is done."""
    if done and form is not Form.json:
        raise ValueError(f"--skip-done is for results of a file each; --format {form} has one")
    left = [
        p for p, name in names.items() if not (done and is_done(p, out, name, done, drawn=drawn))
    ]
    if len(left) < len(names):
        typer.echo(f"posegram: {counted(len(names) - len(left), 'file')} done before", err=True)
    photos = [p for p in left if not is_clip(p) and (given is None or p in given)]
    return photos, [p for p in left if is_clip(p)]


def _elsewhere(path: Path) -> str:
    """Advice, for what other programs take in place of a file."""
    text = str(path)
    address = _ADDRESS.match(text)
    if address is not None:  # of whose slashes `Path` drops one
        whole = f"{address[1]}://{text[address.end() :]}"
        return f"; fetch an address first, and see a live stream by: posegram webcam {whole}"
    if text.isdigit() or text.startswith("/dev/video"):
        return f"; see a camera by: posegram webcam {text}"
    return "; photos are read from files, not from standard input" if text == "-" else ""


def _in_folder(path: Path, out: Path, recursive: bool) -> list[Path]:
    """The photos and clips in a folder, but for results in a folder in it; says what else is there.

    Raises:
        ValueError: there is none.
    """
    known, results = (*pictures.SUFFIXES, *folder.CLIPS), out.resolve()
    has_results = path.resolve() in results.parents

    def foreign(files: list[Path]) -> list[Path]:
        if not has_results:
            return files
        return [p for p in files if results not in (p.resolve(), *p.resolve().parents)]

    inside = foreign(folder.images_in(path, suffixes=known, recursive=recursive))
    others = foreign(folder.passed_over(path, suffixes=known, recursive=recursive))
    if not inside:
        none = f"the folder {path} holds no photo or clip ({', '.join(known)})"
        raise ValueError("; ".join([none, *_left_out(others)]))
    for sentence in _left_out(others):
        typer.echo(f"posegram: {path}: {sentence}", err=True)
    return inside


def _left_out(others: Sequence[Path]) -> list[str]:
    """Such as `3 files left out: .dng, .psd`."""
    folders, files = ([p for p in others if p.is_dir() == kind] for kind in (True, False))
    said = []
    if files:
        kinds = sorted({p.suffix.lower() or p.name for p in files})
        more = ", ..." if len(kinds) > _KINDS else ""
        said.append(f"{counted(len(files), 'file')} left out: {', '.join(kinds[:_KINDS])}{more}")
    if folders:
        it = "it" if len(folders) == 1 else "them"
        said.append(f"{counted(len(folders), 'folder')} left out: --recursive opens {it}")
    return said


def _given(
    boxes: Path | None, inputs: list[Path], detector: str, min_score: float, most: int
) -> dict[Path, given_boxes.Given] | None:
    """The boxes of each photo that the file lists; says which ones it does not."""
    if boxes is None:
        return None
    finds = {"--detector": detector, "--min-score": min_score, "--max-people": most}
    for name, value in finds.items():
        if value not in ("", "none", 0):
            raise ValueError(f"{name} is for people who are found; --boxes says who is there")
    clip = next(filter(is_clip, inputs), None)
    if clip is not None:
        raise ValueError(f"--boxes is for photos; {clip} is a clip")
    matched = given_boxes.match(inputs, given_boxes.read_boxes(boxes))
    if not matched:
        raise ValueError(f"{boxes} lists none of the photos ({len(inputs)}) by file name")
    left_out = [photo.name for photo in inputs if photo not in matched]
    if left_out:
        said = f"{counted(len(left_out), 'photo')} not in the file of boxes, so left out"
        typer.echo(f"posegram: {said}: {', '.join(left_out[:3])}", err=True)
    return matched


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OSError(f"cannot make the folder {out} for the results: {fault.strerror}") from fault
    if not os.access(out, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to the folder {out}")


def _film(job: Job, clip: Path, stopped: Callable[[], int]) -> None:
    """Find, draw and write the people of one clip; one that cannot be read is noted instead."""
    same = sum(path.name == clip.name for path in job.names)
    try:
        (job.out / job.names[clip]).parent.mkdir(parents=True, exist_ok=True)
        made = film_clip(
            job.estimate,
            clip,
            job.out,
            job.names[clip],
            job.form,
            called=clip.name if same == 1 else str(clip),
            skeleton=job.skeleton,
            model=job.estimate.card.name,
            threshold=job.threshold,
            min_score=job.min_score,
            most=job.most,
            drawn=job.drawn,
            cut=job.cut,
            stopped=stopped,
        )
    except (OSError, ValueError) as fault:
        job.failed.append(str(fault))
        return
    if made.sentence:
        typer.echo(made.sentence)
    if made.note:
        typer.echo(f"posegram: {made.note}", err=True)
    if made.fault:
        job.failed.append(made.fault)


def _finish(job: Job, photos: list[Path], clips: list[Path]) -> None:
    """Say what was done, and fail when an input or a file of results failed."""
    people = counted(job.people, "person", "people")
    if photos:  # else there are clips, or all was done before
        typer.echo(f"{counted(job.done, 'photo')}, {people} -> {job.out}")
    if job.done and not job.people and job.min_score > 0:
        few = f"nobody scores {job.min_score:g}"
        typer.echo(f"posegram: {few}; --min-score 0 keeps unlikely people, too", err=True)
    _confess(job, "photo" if not clips else "file")


def _confess(job: Job, kind: str) -> None:
    """Say what failed, and leave with the exit code for it."""
    if job.stopped:
        typer.echo("posegram: stopped; what was done until then is complete", err=True)
    if job.failed:
        typer.echo(f"posegram: {counted(len(job.failed), kind)} failed:", err=True)
    for sentence in job.failed:
        typer.echo(f"  {sentence}", err=True)
    if job.failed or job.stopped:
        raise typer.Exit(_STOPPED + job.stopped if job.stopped else 1)
