"""`posegram evaluate`: how good a model or a file of predictions is on labelled people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import typer

from posegram import data
from posegram import image as pictures
from posegram.cli.bars import watched
from posegram.cli.words import counted
from posegram.data import door
from posegram.data.corrupt import KINDS
from posegram.data.skeleton_file import with_sigmas
from posegram.infer import evaluate as measure
from posegram.infer import robust, whole
from posegram.infer.evaluate import Predicted, Report
from posegram.infer.load import load
from posegram.infer.paired import labelled, met, paired, said, those
from posegram.infer.topdown import TopDown
from posegram.metrics import METRICS
from posegram.metrics.pck import Mask, head_size
from posegram.pose import Floats, Sample

__all__ = ["evaluate"]

_watched = partial(watched, what="images")
_PREDICTIONS = (
    "Predictions instead of a model: COCO results (.json) in any order, or one person per labelled "
    "person in their order, as JSON lists of x, y pairs or a .npy of (N, K, 2); pixels from 0."
)
_DETECTOR = "Whole photos, AP alone: finds the people (detector, detector:640, a file, none)."
_SIGMAS = (
    "A skeleton file (.toml) or a built-in name: its sigmas, by joint name, for AP; names for "
    "joints that a YOLO set only counts."
)
_WHOSE = {1: "a result", 2: "a result of both files"}  # by the number of files
_HEADS = "headboxes_src"  # the variable's name in the files of MPII's published predictions


@dataclass(frozen=True, eq=False)
class _File:
    """A file of predictions: one per sample, or COCO results, or both views of the same."""

    path: Path
    rows: Predicted
    results: list[dict[str, Any]] | None  # None where the file holds no COCO results
    met: Mask | None = None  # (N,) whom COCO results met by place; None where rows are in order


@dataclass(frozen=True, eq=False)
class _Truth:
    samples: list[Sample]
    path: Path
    coco: dict[str, Any] | None  # the content of a COCO annotation file


def evaluate(
    truth: str = typer.Argument(
        ..., help="Labels: reader:path, or a path whose reader is guessed.", metavar="TRUTH"
    ),
    images: Path | None = typer.Option(
        None, help="Folder of the pictures; by default beside the labels."
    ),
    model: str = typer.Option("", help="A bundled model or an .onnx or .ckpt file."),
    detector: str = typer.Option("", help=_DETECTOR),
    predictions: Path | None = typer.Option(None, help=_PREDICTIONS),
    compare: Path | None = typer.Option(
        None, help="A second file of predictions, tested against the first in pairs."
    ),
    skeleton: str = typer.Option("", help=_SIGMAS),
    heads: Path | None = typer.Option(
        None, help=f"MPII head boxes for PCKh: a .mat with {_HEADS} (2, 2, N), in people's order."
    ),
    metric: str = typer.Option("all", help=f"One of {', '.join(METRICS)}, all."),
    resamples: int = typer.Option(2000, min=100, help="Bootstrap resamples of whole images."),
    corrupt: str = typer.Option(
        "", help=f"Spoil the photos at five severities: all, or of {', '.join(KINDS)}."
    ),
    out: Path | None = typer.Option(None, "--out", "-o", help="Write the report as JSON."),
    threads: int = typer.Option(0, min=0, help="Cores to use; 0 means all."),
    engine: str = typer.Option("onnxruntime", help="onnxruntime, openvino or auto."),
) -> None:
    """Measure a model, or a file of predictions, on labelled people.

    A model gets the labelled people's boxes; with --detector, whole photos. Every number has its
    protocol and a 95% interval; with --compare, so has each difference of two files. With --corrupt
    the first number of --metric (default pck) is measured on spoilt photos; --out adds pictures.
    """
    names = tuple(METRICS) if metric == "all" else (metric,)
    _refuse(metric, model, (predictions, compare), corrupt, (threads, engine))
    if detector and (predictions or corrupt or metric not in ("all", "ap")):
        raise ValueError("--detector measures a model's AP of whole photos, and nothing else")
    given = [path for path in (predictions, compare) if path is not None]
    for path in given:
        door.require(path, "file of predictions")
    if out is not None:
        door.require_apart(out, [data.reader_of(truth)[1], *given, heads])
    spoilt = robust.kinds(corrupt) if corrupt else []
    known = _truth(truth, images, heads, (skeleton, ("ap",) if detector else names))
    if detector and known.coco is None:
        raise ValueError(f"--detector needs whole photos' labels, and {truth} is no COCO file")
    if given:
        reports = _reports([_file(path, known) for path in given], known, names, resamples)
    else:
        door.require_pictures(sample.image for sample in known.samples)
        estimate = load(model, detector=detector or "none", threads=threads, engine=engine)
        if spoilt:
            _spoil(estimate, known.samples, spoilt, metric, resamples, out)
            return
        reports = [_measured(estimate, known, () if detector else names, images, resamples)]
    _show(reports)
    if out is not None:
        door.save_json(out, [r.to_dict() for r in reports] if compare else reports[0].to_dict())


def _refuse(
    metric: str,
    model: str,
    files: tuple[Path | None, Path | None],
    corrupt: str,
    means: tuple[int, str],
) -> None:
    """See that the options go together."""
    predictions, compare = files
    if metric not in {*METRICS, "all"}:
        raise ValueError(f"no metric {metric!r}; there are {', '.join([*METRICS, 'all'])}")
    if model and predictions:
        raise ValueError("give --model or --predictions, not both")
    if compare and not predictions:
        raise ValueError("--compare tests two files: give the first one with --predictions")
    if predictions and means != (0, "onnxruntime"):
        raise ValueError("--threads and --engine are for a model, and --predictions needs none")
    if corrupt and predictions:
        raise ValueError("--corrupt spoils photos for a model; give --model, not --predictions")


def _measured(
    estimate: TopDown, truth: _Truth, names: Sequence[str], images: Path | None, resamples: int
) -> Report:
    """The report of a model on the labelled boxes; without metrics on whole photos."""
    if names:
        found = measure.predict(estimate, truth.samples, watch=_watched)
        return measure.evaluate(found, truth.samples, metrics=names, resamples=resamples)
    coco, skeleton = truth.coco or {}, truth.samples[0].skeleton
    folder = images or door.images_beside(truth.path, [s["file_name"] for s in coco["images"]])
    results = whole.found(estimate, coco, folder, skeleton, watch=_watched)
    return measure.evaluate_results(coco, results, skeleton=skeleton, resamples=resamples)


def _spoil(
    estimate: TopDown,
    samples: Sequence[Sample],
    kinds: Sequence[str],
    metric: str,
    resamples: int,
    out: Path | None,
) -> None:
    """The report of --corrupt."""
    metric = "pck" if metric == "all" else metric
    if out is not None:
        if out.suffix.lower() != ".json":
            raise ValueError(f"--out is a .json file, beside which a .png is drawn: not {out}")
        door.require_apart(out.with_suffix(".png"), {sample.image for sample in samples})
    lines = robust.robustness(
        estimate, samples, kinds, metric=metric, resamples=resamples, watch=_watched
    )
    typer.echo(robust.table(lines))
    if out is not None:
        door.save_json(out, [asdict(line) for line in lines])
        pictures.write(out.with_suffix(".png"), robust.sheet(estimate, samples, kinds))


def _show(reports: Sequence[Report]) -> None:
    for report in reports:
        # of three reports, only the comparison keeps its table of joints
        long = len(reports) == 1 or report is reports[-1]
        typer.echo(str(report if long else replace(report, by_joint=())))
        typer.echo("")


def _truth(
    spec: str, images: Path | None, heads: Path | None, skeleton: tuple[str, Sequence[str]]
) -> _Truth:
    """The labels; `skeleton` is the option and the metrics that may need its sigmas."""
    samples = data.read(spec, images)
    if not any(sample.visible.any() for sample in samples):  # before a model looks at them
        raise ValueError(f"{spec}: holds nobody with a labelled joint")
    path = data.reader_of(spec)[1]
    if heads is not None:
        samples = _with_heads(samples, heads)
    if skeleton[0]:
        samples = with_sigmas(samples, *skeleton)
    coco = None
    if path.suffix.lower() == ".json" and path.is_file():
        content = door.load_json(path)
        if isinstance(content, dict) and {"images", "annotations"} <= set(content):
            coco = content
    return _Truth(samples, path, coco)


def _with_heads(samples: Sequence[Sample], path: Path) -> list[Sample]:
    """The samples with head sizes (pixels) from MPII head boxes in the samples' order."""
    variables = door.load_mat(path)
    if _HEADS not in variables:
        raise ValueError(f"{path}: has no variable {_HEADS}")
    corners = np.asarray(variables[_HEADS])
    if corners.shape == (2, 2):  # one person; the reader drops axes of length 1
        corners = corners[..., None]
    if corners.shape != (2, 2, len(samples)):
        wanted = (2, 2, len(samples))
        raise ValueError(f"{path}: {_HEADS} has shape {corners.shape}, wanted {wanted}")
    # axes: corner, x or y, person; a size does not care whether pixels count from 0 or 1
    sizes = head_size(corners.transpose(2, 0, 1).reshape(-1, 4).astype(np.float64))
    return [replace(s, head=float(size)) for s, size in zip(samples, sizes, strict=True)]


def _file(path: Path, truth: _Truth) -> _File:
    if path.suffix.lower() == ".npy":
        return _File(path, _rows(path, door.load_npy(path), truth), None)
    if path.suffix.lower() != ".json":
        raise ValueError(f"{path}: predictions are a .json or a .npy file")
    value = door.load_json(path)
    if not isinstance(value, list) or not value:
        raise ValueError(f"{path}: holds no list of predictions")
    if not isinstance(value[0], dict):
        return _File(path, _rows(path, value, truth), None)
    if truth.coco is None or len(truth.samples) != len(labelled(truth.coco)):
        raise ValueError(
            f"{path}: COCO results are scored against a whole COCO annotation file, and "
            f"{truth.path} is none or only a part of it was asked for"
        )
    results, left = whole.renumbered(path, value, truth.coco)
    if left:
        typer.echo(
            f"posegram: {counted(left, 'photo')} of {path} without labels left out", err=True
        )
    rows = paired(path, results, truth.coco, truth.samples)
    if rows is not None:
        return _File(path, rows, results)
    rows, some = met(path, results, truth.coco, truth.samples)
    return _File(path, rows, results, some)


def _rows(path: Path, value: Any, truth: _Truth) -> Predicted:
    """Predictions (N, K, 2), or (N, K, 3) with scores, in the samples' order."""
    skeleton = truth.samples[0].skeleton
    wanted = f"({len(truth.samples)}, {len(skeleton)}, 2)"
    order = f"one {skeleton.name} person per labelled person, in the order of {truth.path}"
    try:
        array: Floats = np.asarray(value, dtype=np.float32)  # null becomes NaN: not predicted
    except (ValueError, TypeError, OverflowError) as fault:
        text = f"{path}: its lists hold no {wanted} numbers, {order} ({fault})"
        raise ValueError(text) from fault
    if array.shape[:2] != (len(truth.samples), len(skeleton)) or array.shape[2:] not in (
        (2,),
        (3,),
    ):
        raise ValueError(f"{path}: has shape {array.shape}, wanted {wanted}: {order}")
    return Predicted(array[..., :2], array[..., 2] if array.shape[2] == 3 else None)


def _reports(
    files: Sequence[_File], truth: _Truth, names: Sequence[str], resamples: int
) -> list[Report]:
    """A report for each file and, behind them, the comparison of two."""
    if all(one.results is not None for one in files):
        parts = _results_reports(files, truth, names, resamples)
    else:
        parts = _rows_reports(files, truth, names, resamples)
    titled = [replace(p, title=f"{f.path.name}: {p.title}") for p, f in
              zip(parts[: len(files)], files, strict=True)]  # fmt: skip
    return titled + parts[len(files) :]


def _rows_reports(
    files: Sequence[_File], truth: _Truth, names: Sequence[str], resamples: int
) -> list[Report]:
    """As `_reports`, of everybody; where results met people by place, of those whom they met."""
    reports = []
    for some in [[one] for one in files] + [files] * (len(files) == 2):
        rows, samples = those([(one.rows, one.met) for one in some], truth.samples)
        if not samples:
            raise ValueError(
                f"{' and '.join(str(one.path) for one in some)}: no labelled person of "
                f"{truth.path} is met by {_WHOSE[len(some)]}, so ask for --metric ap alone"
            )
        if len(rows) == 1:
            page = measure.evaluate(rows[0], samples, metrics=names, resamples=resamples)
        else:
            page = measure.compare(rows[0], rows[1], samples, metrics=names, resamples=resamples)
        short = any(one.met is not None for one in some)
        notes = [said(len(samples), len(truth.samples))] * short
        reports.append(replace(page, notes=(*notes, *page.notes)))
    return reports


def _results_reports(
    files: Sequence[_File], truth: _Truth, names: Sequence[str], resamples: int
) -> list[Report]:
    """AP of COCO results on the whole annotation file, behind the metrics of labelled people."""
    others = tuple(name for name in names if name != "ap")
    if "ap" not in names:
        return _rows_reports(files, truth, names, resamples)
    try:
        found = _ap_reports([one.results or [] for one in files], truth, resamples)
    except (ValueError, ImportError) as fault:
        if not others:
            raise
        pages = _rows_reports(files, truth, others, resamples)
        return [replace(page, notes=(*page.notes, f"no ap: {fault}")) for page in pages]
    if not others:
        return found
    if not those([(one.rows, one.met) for one in files], truth.samples)[1]:
        note = f"only ap: no labelled person is met by {_WHOSE[len(files)]}"
        return [replace(one, notes=(*one.notes, note)) for one in found]
    pages = _rows_reports(files, truth, others, resamples)
    return [_joined(page, ap) for page, ap in zip(pages, found, strict=True)]


def _ap_reports(
    results: Sequence[list[dict[str, Any]]], truth: _Truth, resamples: int
) -> list[Report]:
    coco, skeleton = truth.coco or {}, truth.samples[0].skeleton
    found = [
        measure.evaluate_results(coco, one, skeleton=skeleton, resamples=resamples)
        for one in results
    ]
    if len(results) == 2:
        found.append(
            measure.compare_results(coco, *results, skeleton=skeleton, resamples=resamples)
        )
    return found


def _joined(page: Report, ap: Report) -> Report:
    """AP of the whole file behind the numbers of its labelled people."""
    note = f"AP is over all {ap.images:,} images of the annotation file, crowds ignored"
    notes = [one for one in ap.notes if one not in page.notes]  # how rough the intervals are
    return replace(page, numbers=page.numbers + ap.numbers, notes=(*page.notes, note, *notes))
