"""Who does shards: processes of this machine, or Ray's actors on many."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from posegram.infer import parts
from posegram.infer.onnx import physical_cores
from posegram.infer.shards import Look, Row, Shards, Worker
from posegram.pose import Skeleton

__all__ = ["EXECUTORS", "Executor"]

# what finds people, the joints to write, shards, workers -> each part as it is done
Executor = Callable[[Look, Skeleton, Shards, int], Generator[Path]]

_TRIES = 3  # of a shard, where Ray loses the actor or the machine that does it


_worker: Worker | None = None  # of a process of a pool


def _begin(look: Look, skeleton: Skeleton, parent: Connection) -> None:
    global _worker
    os.environ["OMP_NUM_THREADS"] = "1"  # torch, which .ckpt files bring, takes all cores otherwise
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who hands out the work
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _worker = Worker(look, skeleton)


def _end_with(parent: Connection) -> None:
    """End this process once the pipe's other end is closed: nobody waits for its work."""
    with suppress(EOFError, OSError):
        parent.recv()
    os._exit(1)


def _shard(part: Path, rows: Sequence[Row]) -> Path:
    assert _worker is not None
    return _worker.shard(part, rows)


def _lines(row: Row) -> list[parts.Line]:
    assert _worker is not None
    return _worker.lines(row)


def _ready() -> None:
    """Nothing, but by a process that has its model."""


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start inside hear of no Ctrl-C, not even while they still import."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pool(look: Look, skeleton: Skeleton, workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that finish what they do in the end, but not after a kill or a second Ctrl-C."""
    context = multiprocessing.get_context("spawn")  # ONNX Runtime's threads do not survive a fork
    theirs, ours = context.Pipe(duplex=False)  # closed with this process, however it ends
    with theirs, ours:
        pool = ProcessPoolExecutor(workers, context, _begin, (look, skeleton, theirs))
        try:
            with _deaf(), suppress(BrokenProcessPool):  # which whoever uses it meets again
                for _ in range(workers):
                    pool.submit(_ready)  # starts a process
            yield pool
        except KeyboardInterrupt:
            ours.close()
            raise
        finally:
            pool.shutdown()


def _local(look: Look, skeleton: Skeleton, shards: Shards, workers: int) -> Generator[Path]:
    """The shards, by processes of this machine; one worker is this process itself.

    A process that dies costs nothing but the time of the shards that were under way: they wait
    once more, and are done file by file where a process dies over them again.
    """
    if not shards:
        return
    workers = min(workers or physical_cores(), len(shards))
    if workers == 1:
        worker = Worker(look, skeleton)
        yield from (worker.shard(part, rows) for part, rows in shards.items())
        return
    waiting = dict(shards)
    suspected: set[Path] = set()
    while waiting:
        under_way: Shards = {}
        try:
            with _pool(look, skeleton, workers) as pool:
                yield from _handed_out(pool, waiting, under_way, workers + 1)
        except BrokenProcessPool:
            again: Shards = {}
            for part, rows in under_way.items():
                if part.exists():
                    yield part
                elif part in suspected:
                    yield _rescued(look, skeleton, part, rows)
                else:
                    again[part] = rows
            suspected |= set(again)
            waiting = again | waiting  # first, so that what dies in any case ends soon


def _handed_out(
    pool: ProcessPoolExecutor, waiting: Shards, under_way: Shards, most: int
) -> Generator[Path]:
    """Shards, taken out of those that wait; so many at most are in the pool's hands."""
    going: dict[Future[Path], Path] = {}
    try:
        while waiting or going:
            while waiting and len(going) < most:
                part = next(iter(waiting))
                under_way[part] = waiting.pop(part)
                going[pool.submit(_shard, part, under_way[part])] = part
            for future in wait(going, return_when=FIRST_COMPLETED).done:
                part = future.result()
                del going[future], under_way[part]
                yield part
    finally:
        for future in going:
            future.cancel()


def _rescued(look: Look, skeleton: Skeleton, part: Path, rows: Sequence[Row]) -> Path:
    """A shard that was under way when processes died: file by file, without those that kill.

    Raises:
        ChildProcessError: the process dies even without any file.
    """
    made: list[parts.Line] = []
    left = list(rows)
    while left:
        with _pool(look, skeleton, 1) as pool:
            try:
                pool.submit(_ready).result()
            except BrokenProcessPool as fault:
                why = "is there enough memory, and the call below `if __name__ == '__main__':`?"
                raise ChildProcessError(f"a worker dies as it starts: {why}") from fault
            try:
                while left:
                    made += pool.submit(_lines, left[0]).result()
                    del left[0]
            except BrokenProcessPool:
                path = Path(left.pop(0).path)
                made.append(parts.failure(path, f"{path}: a process died over it"))
    return parts.save(part, made)


def _ray(look: Look, skeleton: Skeleton, shards: Shards, workers: int) -> Generator[Path]:
    """The shards, by actors; one that dies is started again, and its shard as well."""
    if not shards:
        return
    try:
        import ray
        from ray.util import ActorPool
    except ImportError as fault:
        raise ImportError("executor 'ray' needs Ray: pip install 'posegram[ray]'") from fault
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ours = not ray.is_initialized()
    if ours:  # RAY_ADDRESS names a cluster; without it, one is started here
        ray.init(include_dashboard=False, log_to_driver=False)
    try:
        cores = int(ray.cluster_resources().get("CPU", 1))
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=_TRIES)(Worker)
        # an actor for which there is no core would never do the shard that it is given
        count = min(workers or cores, cores, len(shards))
        pool = ActorPool([actor.remote(look, skeleton) for _ in range(count)])
        yield from pool.map_unordered(
            lambda one, task: one.shard.remote(*task),
            list(shards.items()),
        )
    finally:
        if ours:
            ray.shutdown()


EXECUTORS: dict[str, Executor] = {"local": _local, "ray": _ray}
