"""`posegram data`: look at a set of annotated people before training on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Column, Table

from posegram import image as pictures
from posegram.cli.bars import watched
from posegram.cli.convert import convert as convert_labels
from posegram.cli.words import counted
from posegram.data import READERS, coco_folder, door, nameless, read, reader_of, skeleton_file
from posegram.data.check import Report
from posegram.data.check import check as examine
from posegram.data.doctor import page
from posegram.data.doctor.annotations import Annotations, load
from posegram.data.doctor.cure import cure, require_cures
from posegram.data.doctor.findings import KINDS, Finding
from posegram.data.doctor.limbs import unjudged
from posegram.data.doctor.opinion import Opinion
from posegram.pose import Skeleton, convert

__all__ = ["check", "data", "look", "preview"]

data = typer.Typer(
    help="Check annotated people, or look at them as training sees them.", no_args_is_help=True
)

_FORM = (
    f"A file or folder, or READER:PATH ({', '.join(sorted(READERS))}); #FIRST-LAST keeps a range."
)
_SPEC = typer.Argument(..., help=_FORM)
_SPECS = typer.Argument(..., metavar="SOURCE...", help=f"{_FORM} Several are parts of one set.")
_IMAGES = typer.Option(None, "--images", help="The pictures' folder; default: beside the file.")
_SKELETON = typer.Option(
    None, "--skeleton", help="Skeleton file (.toml): names of joints that a YOLO set only counts."
)
_WORST = 50  # findings that the page shows, unless told otherwise
_EXAMPLES = 3  # that a line on the screen names


data.command("convert")(convert_labels)


@data.command()
def check(
    sources: list[str] = _SPECS,
    images: Path = _IMAGES,
    skeleton: Path | None = _SKELETON,
    model: str = typer.Option(
        "", "--model", help="A bundled model or an .onnx or .ckpt file to compare the labels with."
    ),
    split: str = typer.Option(
        "",
        "--split",
        help="What parts (training, validation) an image belongs to, beside its source: 'folder' "
        "for its folder's name, or a key of the image's entry in a COCO file.",
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Folder for a page with pictures of the worst, and report.json."
    ),
    fix: Path | None = typer.Option(
        None, "--fix", help="COCO file to write: the first source, mended in what is certain."
    ),
    also: list[str] = typer.Option(
        [], "--also", help="A kind that --fix mends where it is only likely, too: mirrored."
    ),
    worst: int | None = typer.Option(
        None, "--worst", min=0, help=f"How many the page shows; default: {_WORST}."
    ),
    copies: bool = typer.Option(True, help="Look for copied and damaged photos too (slower)."),
    threads: int = typer.Option(0, min=0, help="Cores that the model may use; 0 means all."),
) -> None:
    """Count what a set holds and find what is wrong with it.

    Exit code 0: no fault; 1: there are faults, or some were mended; 2: a
    source cannot be read. What is only worth a look is no fault.
    """
    _refuse(fix, also, sources)
    if threads and not model:
        raise ValueError("--threads is the model's: give --model, or leave it out")
    _require_report(out, worst)
    sets = [one for spec in sources for one in load(spec, images, split=split)]
    if chosen := _naming(skeleton, (one.skeleton for one in sets)):
        sets = _called(sets, chosen)
    if not any(one.broken or _has_joints(one) for one in sets):
        why = f"holds nobody with joints, so nothing to check{_meant(sources)}"
        raise ValueError(f"{', '.join(sources)}: {why}")
    opinions = [look(one, model, threads) for one in sets] if model else []
    report = examine(sets, copies=copies, opinions=opinions)
    _print(report, Console())
    if out is not None:
        shown = page.write(out, report, worst=_WORST if worst is None else worst, opinions=opinions)
        typer.echo(f"report: {shown}")
    if fix is not None:
        mended = cure(report.sources, report.findings, also=also)
        door.save_json(fix, mended.whole)
        counts = ", ".join(f"{kind} {n:,}" for kind, n in mended.done.items())
        typer.echo(f"mended: {fix} ({counts or 'nothing to mend'})")
    if report.faults:
        raise typer.Exit(1)


def _require_report(out: Path | None, worst: int | None) -> None:
    """See that the report's folder can be one, where there is to be a report."""
    if out is None:
        if worst is not None:
            raise ValueError("--worst is of the page that --out writes: give --out and a folder")
        return
    if out.exists() and not out.is_dir():
        raise ValueError(f"cannot write {out}: it is a file, wanted a folder for the report")
    page.require_own(out)


def _meant(sources: Sequence[str]) -> str:
    """Which file may be meant where a folder was read as one of pictures alone."""
    told = (reader_of(spec) for spec in sources)
    found = [file for name, path in told if name == "folder" for file in coco_folder.files(path)]
    return f"; {found[0]} looks like COCO annotations: give that file" if found else ""


def _naming(file: Path | None, found: Iterable[Skeleton]) -> Skeleton | None:
    """The skeleton of a file that names the joints of one without names; None without a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no skeleton, or all joints have names, or none are as many.
    """
    if file is None:
        return None
    chosen = skeleton_file.read(file)
    if not any(nameless.fits(own, chosen) for own in found):
        raise ValueError(f"{file}: names {len(chosen)} joints, and no source has as many unnamed")
    return chosen


def _called(sets: list[Annotations], chosen: Skeleton) -> list[Annotations]:
    """The sets, joints without names called as in a skeleton of as many; so --fix writes them."""
    bare = [nameless.fits(one.skeleton, chosen) for one in sets]
    names = {"keypoints": [*chosen.joints], "skeleton": (chosen.edges + 1).tolist()}
    for entry in (entry for one in sets for entry in one.whole.get("categories") or ()):
        if entry.get("keypoints") == [*nameless.names(len(chosen))]:
            entry |= names
    return [replace(one, skeleton=chosen) if b else one for one, b in zip(sets, bare, strict=True)]


def _has_joints(people: Annotations) -> bool:
    """Whether anybody has a flag or a place, be they right or wrong: photos alone have neither."""
    return bool(people.flag.any() or people.xy.any())


def _refuse(fix: Path | None, also: Sequence[str], sources: Sequence[str]) -> None:
    """See that the mended file is not the source, and that what it is mended of can be."""
    require_cures(also)
    if fix is None:
        if also:
            raise ValueError("--also says what --fix mends, too: give --fix and a file to write")
        return
    if fix.suffix.lower() != ".json":  # such as labels.json#1-100, a source's name with its range
        raise ValueError(f"--fix writes one .json file, so {fix} cannot be its name")
    for source in sources:
        path = reader_of(source)[1]
        if fix.exists() and path.exists() and fix.samefile(path):
            raise ValueError(f"--fix {fix} is the source itself, which is never changed")


def look(people: Annotations, model: str, threads: int) -> Opinion:
    """What a model sees in everybody's box; NaN where the picture cannot be read."""
    from posegram.infer.load import load as load_model  # brings the runtime

    estimate = load_model(model, threads=threads, detector="none")
    n, k = people.flag.shape
    xy, score = np.full((n, k, 2), np.nan), np.zeros((n, k))
    samples = people.samples()
    rows: dict[Path, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        if (sample.visible > 0).any() or sample.box.any():
            rows[sample.image].append(row)
    for photo, some in watched(list(rows.items()), "model"):
        try:
            image = pictures.read(photo)
        except (OSError, ValueError):
            continue  # a finding of its own
        found = estimate(image, np.stack([samples[row].box for row in some]))
        found = convert(found, people.skeleton)
        xy[some], score[some] = found.xy, found.score
    return Opinion(xy, score)


@data.command()
def preview(
    spec: str = _SPEC,
    images: Path = _IMAGES,
    skeleton: Path | None = _SKELETON,
    out: Path = typer.Option(Path("preview.png"), "--out", help="The picture to write."),
    count: int = typer.Option(24, "--count", min=1, help="How many people."),
    seed: int = typer.Option(0, "--seed", help="Another seed shows other people."),
) -> None:
    """Write one picture of augmented people with their joints drawn."""
    from posegram.train.preview import preview as draw_preview

    people = read(spec, images)
    people = nameless.called(people, _naming(skeleton, (one.skeleton for one in people)))
    door.require_pictures(sample.image for sample in people)
    door.require_apart(out, [reader_of(spec)[1], *{sample.image for sample in people}])
    typer.echo(draw_preview(people, out, count=count, seed=seed))


def _number(title: str) -> Column:
    return Column(title, justify="right")


def _print(report: Report, console: Console) -> None:
    console.print(
        f"{report.people:,} people in {report.images:,} images, {report.present:,} of them at hand"
    )
    joints = Table("joint", *(_number(n) for n in ("labelled", "share", "hidden", "outside")))
    for row in report.joints:
        share = f"{row.labelled / max(report.people, 1):.1%}"
        outside = f"{row.outside:,}" if report.present else "?"
        joints.add_row(row.joint, f"{row.labelled:,}", share, f"{row.hidden:,}", outside)
    console.print(joints)
    pairs = Table("left joint", _number("labelled with its twin"), _number("right of its twin"))
    for pair in report.pairs:
        pairs.add_row(pair.pair[0], f"{pair.both:,}", f"{pair.facing:.1%}")
    console.print(pairs)
    for line in _lines(report):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    flagged = len(report.flagged())
    console.print(
        f"{counted(flagged, 'person', 'people')} with faults"
        f" ({flagged / max(report.people, 1):.1%})"
        if report.faults
        else "no faults found"
    )
    blind = dict.fromkeys(unjudged(source) for source in report.sources if len(source))
    if not report.faults and any(blind):  # what found nothing may not have looked
        console.print(
            f"limbs not judged: {'; '.join(filter(None, blind))}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def _lines(report: Report) -> list[str]:
    """One line for each kind and level: how many, what it means, and the first few."""
    grouped: dict[tuple[bool, str], list[Finding]] = defaultdict(list)
    for one in report.findings:
        grouped[one.fault, one.kind].append(one)
    lines = []
    for fault, kind in sorted(grouped):
        some, title = grouped[fault, kind], "fault" if fault else "note"
        whole = [one.sentence for one in some if one.image is None]
        lines += [f"{title}: {kind}: {sentence}" for sentence in whole]
        names = [
            report.sources[one.source].images[one.image].name
            for one in some
            if one.image is not None
        ]
        if names:
            more = ", ..." if len(names) > _EXAMPLES else ""
            first = ", ".join(names[:_EXAMPLES])
            lines.append(
                f"{title}: {kind}: {counted(len(names), 'time')} {KINDS[kind]} ({first}{more})"
            )
    return lines
