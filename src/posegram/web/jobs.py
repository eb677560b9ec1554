"""The queue of clips: SQLite rows that a worker leases, and loses when it does not beat.

`queued -> running -> done | failed | cancelled`. A lease that runs out lets another worker claim
the row and counts `tries` up; `tries` is the fence: whoever holds an older number can neither beat
nor end the job. Delivery is at least once; the fence makes it look like once.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posegram.web.settings import Settings

__all__ = ["ACTIVE", "Job", "Lease", "Queue"]

ACTIVE = ("queued", "running")

_TABLE = """
create table if not exists job (
    id text primary key, kind text not null, args text not null,
    state text not null default 'queued',
    done int not null default 0, total int not null default 0, error text,
    tries int not null default 0, lease real not null default 0,
    created real not null, ended real
);
create index if not exists job_by_state on job (state, created);
"""
_PUT = """
insert into job (id, kind, args, total, created) select :id, :kind, :args, :total, :now
where (select count(*) from job where state in ('queued', 'running')) < :cap
"""
_CLAIM = """
update job set state = 'running', lease = :now + :ttl, tries = tries + 1, done = 0
where id = (
    select id from job
    where (state = 'queued' or (state = 'running' and lease < :now)) and tries < :most
    order by created limit 1
) returning id, kind, args, tries, total
"""
_BEAT = """
update job set lease = :now + :ttl, done = :done, total = :total
where id = :id and tries = :tries and state = 'running'
"""
_END = """
update job set state = :state, done = :done, total = :total, error = :error, ended = :now
where id = :id and tries = :tries and state = 'running'
"""
_RELEASE = """
update job set state = 'queued', lease = 0, tries = tries - 1, done = 0
where id = :id and tries = :tries and state = 'running'
"""
_LAPSE = "update job set lease = 0 where state = 'running'"
_GIVE_UP = """
update job set state = 'failed', error = 'stopped ' || tries || ' times', ended = :now
where state = 'running' and lease < :now and tries >= :most
"""
_CANCEL = """
update job set state = 'cancelled', ended = :now where id = :id and state in ('queued', 'running')
"""


@dataclass(frozen=True)
class Job:
    """One row, as a visitor sees it."""

    id: str
    state: str  # queued, running, done, failed or cancelled
    done: int  # frames
    total: int  # frames; 0 while unknown
    tries: int
    error: str | None
    created: float  # seconds since 1970
    ended: float | None


@dataclass(frozen=True)
class Lease:
    """A worker's right to one job, good while its `tries` is the row's."""

    id: str
    kind: str
    args: dict[str, Any]
    tries: int
    total: int  # frames; 0 while unknown


@dataclass(frozen=True)
class Queue:
    """The jobs in one SQLite file; safe from any thread and process, a connection per call."""

    path: Path
    cap: int = 20  # jobs queued or running
    lease_seconds: float = 30.0
    tries: int = 5
    patience: float = 2.0  # seconds to wait for a locked file

    @classmethod
    def of(cls, settings: Settings, *, patience: float = 2.0) -> Queue:
        """A server's queue; makes the file where it is missing."""
        queue = cls(
            settings.database, settings.queue, settings.lease_seconds, settings.tries, patience
        )
        with queue._open() as database:
            database.execute("pragma journal_mode = wal")
            database.executescript(_TABLE)
        return queue

    def put(self, key: str, kind: str, args: dict[str, Any], *, total: int = 0) -> bool:
        """Add a job of so many frames (0: unknown); False where the queue is full."""
        row = {"id": key, "kind": kind, "args": json.dumps(args), "total": total}
        return self._change(_PUT, row | {"cap": self.cap}) == 1

    def full(self) -> bool:
        """Whether `put` would refuse just now."""
        counts = self.counts()
        return sum(counts.get(state, 0) for state in ACTIVE) >= self.cap

    def claim(self) -> Lease | None:
        """The oldest job that waits or whose worker is gone; None where there is none."""
        values = {"now": time.time(), "ttl": self.lease_seconds, "most": self.tries}
        with self._open() as database:
            rows = database.execute(_CLAIM, values).fetchall()
        if not rows:
            return None
        key, kind, args, tries, total = rows[0]
        return Lease(key, kind, json.loads(args), tries, total)

    def beat(self, lease: Lease, done: int, total: int) -> bool:
        """Hold a lease on; False where the job was cancelled or is another worker's: stop."""
        row = {"id": lease.id, "tries": lease.tries, "done": done, "total": total}
        return self._change(_BEAT, row) == 1

    def end(
        self, lease: Lease, state: str, *, done: int = 0, total: int = 0, error: str | None = None
    ) -> bool:
        """End a leased job as done or failed; False where it is no longer ours."""
        row = {"id": lease.id, "tries": lease.tries, "done": done, "total": total}
        return self._change(_END, row | {"state": state, "error": error}) == 1

    def release(self, lease: Lease) -> bool:
        """Give a job back untried, so that another worker may claim it at once."""
        return self._change(_RELEASE, {"id": lease.id, "tries": lease.tries}) == 1

    def lapse(self) -> None:
        """Let every lease run out at once: the worker that had them is dead."""
        self._change(_LAPSE, {})

    def cancel(self, key: str) -> bool:
        """Stop a job that waits or runs; its worker learns of it at the next beat."""
        return self._change(_CANCEL, {"id": key}) == 1

    def forget(self, key: str) -> bool:
        """Remove an ended job's row."""
        sql = "delete from job where id = :id and state not in ('queued', 'running')"
        return self._change(sql, {"id": key}) == 1

    def get(self, key: str) -> Job | None:
        """One job; None where there is none."""
        sql = "select id, state, done, total, tries, error, created, ended from job where id = ?"
        with self._open() as database:
            row = database.execute(sql, (key,)).fetchone()
        return None if row is None else Job(*row)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._open() as database:
            return dict(database.execute("select state, count(*) from job group by state"))

    def keys(self, *states: str) -> set[str]:
        """Ids of the jobs in these states; of all without one."""
        marks = ", ".join("?" * len(states))
        where = f" where state in ({marks})" if states else ""
        with self._open() as database:
            return {key for (key,) in database.execute(f"select id from job{where}", states)}

    def sweep(self, keep_seconds: float) -> None:
        """Fail what lost every worker; forget what ended so many seconds ago."""
        self._change(_GIVE_UP, {"most": self.tries})
        self._change("delete from job where ended < :now - :keep", {"keep": keep_seconds})

    def _change(self, sql: str, values: dict[str, Any]) -> int:
        """Rows that a statement changed."""
        shared = {"now": time.time(), "ttl": self.lease_seconds}
        with self._open() as database:
            return database.execute(sql, shared | values).rowcount

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # without an isolation level, Python opens no transaction of its own around a statement
        database = sqlite3.connect(self.path, timeout=self.patience, isolation_level=None)
        try:
            yield database
        finally:
            database.close()
