"""Very many photos and clips, cut into shards that are done by several processes or by Ray.

A shard is done once its part lies in the folder for the results: what was broken off goes on where
it was when the same call is made again, and another model, another setting or a changed photo
makes parts of other names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from posegram import __version__
from posegram import image as pictures
from posegram.data import folder, joints
from posegram.data.stream import sweep
from posegram.infer import parts
from posegram.infer.executors import EXECUTORS
from posegram.infer.load import detector_file, file_of, sized
from posegram.infer.parts import Count
from posegram.infer.rcnn_load import parted
from posegram.infer.shards import Look, Row, Shards, estimate_of
from posegram.pose import Skeleton

__all__ = [
    "SHARD",
    "Look",
    "Plan",
    "Report",
    "cut",
    "forget_failed",
    "predict_many",
    "report",
    "run",
]

SHARD = 200  # photos: a few seconds of work, so that a killed worker costs no more
_PIECE = 1200.0  # seconds of a clip whose people are not followed, so that several workers share it
_NAMED = 16  # hexadecimal digits of a part's name


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what is done already."""

    look: Look
    out: Path
    shards: Shards
    skeleton: Skeleton

    @property
    def left(self) -> Shards:
        """The shards that have no part yet."""
        return {part: rows for part, rows in self.shards.items() if not part.exists()}


@dataclass(frozen=True)
class Report:
    """What became of all files."""

    count: Count  # in all parts, those of earlier calls as well; a clip in pieces fails once
    parts: tuple[Path, ...]
    before: int  # parts that were there before
    files: int  # photos and clips

    @property
    def failed_share(self) -> float:
        """Share of the files that could not be looked at, or not to their end; 0 to 1."""
        return self.count.failed / self.files


def predict_many(
    model: str | Path,
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    executor: str = "local",
    workers: int = 1,
    look: Look | None = None,
) -> Report:
    """Find the people of very many photos and clips; the results go into parts in a folder.

    Call it from below `if __name__ == "__main__":` when there are several workers, as for every
    pool of processes.

    Args:
        model: a bundled name, or a path as `load` takes it; "" for the default model.
        source: photos, clips, folders with whatever is below them, or .txt files with a path a
            line.
        out: the folder, made if need be. What was done there before is not done again.
        executor: "local", processes on this machine; or "ray", a cluster (or this machine).
        workers: how many, each with a model of its own and one core; 0 for as many as cores.
        look: what else decides on the results; its own `model` does not count.

    Returns:
        The counts, and the parts in order; `infer.parts` tells what is in them, reads and merges
        them. Files that could not be looked at are counted and have a line with an `error`.

    Raises:
        ChildProcessError: workers die as they start.
        FileNotFoundError: a folder, a list or the model is not there.
        ImportError: Ray or PyAV is not installed.
        ValueError: there is nothing to look at, a list is not in UTF-8, the model is refused, or
            the workers are fewer than 0.
    """
    plan = cut(source, out, replace(look or Look(), model=str(model)))
    before = len(plan.shards) - len(plan.left)
    for _ in run(plan, executor, workers):
        pass
    return report(plan, before)


def report(plan: Plan, before: int = 0) -> Report:
    """What became of a plan's files, by the headings of its parts; errors as `parts.count_of`.

    Args:
        plan: all of whose parts are there.
        before: how many of them were there already.
    """
    counts = {part: parts.count_of(part) for part in plan.shards}
    broken = [part for part, count in counts.items() if count.failed]
    clips = {row.path for part in broken for row in plan.shards[part] if row.is_clip}
    photos = [counts[part].failed for part in broken if not plan.shards[part][0].is_clip]
    count = Count(
        sum(count.images for count in counts.values()),
        sum(count.people for count in counts.values()),
        sum(photos) + len(clips),
    )
    files = {row.path for rows in plan.shards.values() for row in rows}
    return Report(count, tuple(plan.shards), before, len(files))


def cut(
    source: str | Path | Sequence[str | Path], out: str | Path, look: Look, *, shard: int = SHARD
) -> Plan:
    """List the files, cut them into shards and write the index; arguments as `predict_many`.

    What a killed run left half-written in the folder is removed.

    Args:
        source: see there.
        out: see there.
        look: see there.
        shard: photos of a shard; a clip is one of its own, or several where nobody is followed.

    Raises:
        ValueError: `out` is a file, or there is nothing to look at.
    """
    out = Path(out).absolute()
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file, wanted a folder for the parts")
    given = [source] if isinstance(source, (str, Path)) else list(source)
    listed = (path for one in given for path in _listed(Path(one)))
    rows = [row for path in dict.fromkeys(listed) for row in _rows(path, look)]  # each once
    if not rows:
        raise ValueError("there is no photo and no clip to look at")
    estimate = estimate_of(look)  # what is wrong with it shows before any worker starts
    skeleton = joints.chosen(look.skeleton, estimate.card.skeleton)
    facts = _facts(look)
    sweep(out)
    made = {out / f"part-{_name(facts, some)}.jsonl.gz": some for some in _shards(rows, shard)}
    parts.index(
        out,
        list(made),
        skeleton,
        facts | {"model": estimate.card.name, "model_sha256": facts["model"]},
    )
    return Plan(look, out, made, skeleton)


def forget_failed(plan: Plan) -> None:
    """Remove the parts in which a file failed, so that they are done again."""
    for part in plan.shards:
        if part.exists() and parts.count_of(part).failed:
            part.unlink()


def run(plan: Plan, executor: str = "local", workers: int = 1) -> Generator[Path]:
    """Do what is left of a plan; each part as it is done.

    The work ends in good order when the iterator is closed: shards that are under way are
    finished. Arguments and errors as `predict_many`.
    """
    if executor not in EXECUTORS:
        raise ValueError(f"no executor {executor!r}; there are {', '.join(EXECUTORS)}")
    if workers < 0:
        raise ValueError(f"workers must be 0 or more, not {workers}")
    return EXECUTORS[executor](plan.look, plan.skeleton, plan.left, workers)


def _listed(path: Path) -> Iterator[Path]:
    """The files that a source names.

    Raises:
        FileNotFoundError: a folder or a list is not there.
        ValueError: a list is not in UTF-8.
    """
    if path.is_dir():
        yield from folder.images_in(
            path, suffixes=(*pictures.SUFFIXES, *folder.CLIPS), recursive=True
        )
    elif path.suffix.lower() == ".txt":
        if not path.exists():
            raise FileNotFoundError(f"there is no list {path}")
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as fault:
            raise ValueError(f"{path} is not in UTF-8: {fault}") from fault
        yield from (Path(line.strip()) for line in lines if line.strip())
    elif not path.suffix and not path.exists():
        raise FileNotFoundError(f"there is no folder {path}")
    else:
        yield path


def _rows(path: Path, look: Look) -> list[Row]:
    """A file; or a clip's pieces, where what is in one does not depend on those before."""
    try:
        facts = path.stat()
    except OSError:
        return [Row(str(path))]  # its line will say so
    whole = Row(str(path), facts.st_size, facts.st_mtime_ns)
    return _pieces(whole) if whole.is_clip and not look.follow else [whole]


def _pieces(whole: Row) -> list[Row]:
    """A clip cut every 20 minutes; the last piece has 10 to 30."""
    from posegram.video import probe  # brings PyAV, which photos do not need

    try:
        seconds = probe(whole.path).seconds or 0.0
    except (OSError, ValueError):
        return [whole]  # its line will say so
    starts = [_PIECE * number for number in range(max(1, round(seconds / _PIECE)))]
    ends = [*starts[1:], None]
    return [whole._replace(start=a, end=b) for a, b in zip(starts, ends, strict=True)]


def _shards(rows: Sequence[Row], size: int) -> Iterator[tuple[Row, ...]]:
    """Photos, so many at a time, in order; and each clip or piece of one alone."""
    photos: list[Row] = []
    for row in rows:
        if row.is_clip:
            yield (row,)
            continue
        photos.append(row)
        if len(photos) == size:
            yield tuple(photos)
            photos = []
    if photos:
        yield tuple(photos)


def _facts(look: Look) -> dict[str, Any]:
    """What decides on the results; of files, what is in them, not what they are called."""
    detector, side = look.detector, sized(look.detector)[1]
    known = detector if detector == "none" else f"{_content(detector_file(detector))}:{side}"
    contents = {"model": _content(file_of(look.model)), "detector": known}
    contents["preset"] = parted(look.model)[1]
    return {"posegram": __version__} | asdict(look) | contents


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(facts: dict[str, Any], rows: Sequence[Row]) -> str:
    """What a part is called: the same as ever for whole files, so that older folders go on."""
    plain = {key: value for key, value in facts.items() if (key, value) != ("follow", True)}
    whole = [row if row.end is not None or row.start else row[:3] for row in rows]
    return hashlib.sha256(json.dumps([plain, whole], sort_keys=True).encode()).hexdigest()[:_NAMED]
