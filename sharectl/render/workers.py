"""Who serves which backend, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.quantities import approximate_age
from sharectl.render.formats import document, named_fields
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.executors.workers.offers import WorkerSeen
    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look

_COLUMNS: Final = (
    Column("BACKEND", whole=True),
    Column("HOST", whole=True),
    Column("STATUS"),
    Column("RUNNING", right=True),
    Column("WIDTH", right=True),
    Column("SINCE", right=True, optional=True),
    Column("VERSION", optional=True),
    Column("WORKER", optional=True),
)


def workers_lines(workers: Sequence[WorkerSeen], remote: frozenset[str], look: Look = PLAIN) -> Iterator[str]:
    """Yield a line for each worker, and one for each remote backend that no worker was ever seen of."""
    unserved = sorted(remote - {worker.backend for worker in workers})
    if not workers and not unserved:
        yield "No backend is remote, and no worker was ever seen."
        return
    rows = [
        [
            Cell(visible(worker.backend)),
            Cell(visible(worker.host)),
            Cell(_status(worker), "" if worker.is_alive else "warning"),
            Cell(str(worker.running)),
            Cell(str(worker.width)),
            Cell("" if worker.oldest_seconds is None else approximate_age(worker.oldest_seconds)),
            Cell(visible(worker.version)),
            Cell(visible(worker.worker_id)),
        ]
        for worker in workers
    ]
    empty = [Cell("")] * (len(_COLUMNS) - 3)
    rows += [[Cell(visible(name)), Cell(""), Cell("no worker was ever seen", "warning"), *empty] for name in unserved]
    yield from table_lines(_COLUMNS, rows, look)


def _status(worker: WorkerSeen) -> str:
    age = approximate_age(worker.silent_seconds)
    if worker.has_left:
        return f"has left, {age} ago"
    return f"serves, last seen {age} ago" if worker.is_alive else f"gone, last seen {age} ago"


def workers_object(workers: Sequence[WorkerSeen], remote: frozenset[str]) -> JsonObject:
    """Return the workers as a JSON object, `sharectl-workers` version 1."""
    names = ("worker_id", "backend", "host", "process_id", "version", "protocol", "width", "digest")
    states = ("is_alive", "has_left", "silent_seconds", "running", "oldest_seconds")
    unserved = sorted(remote - {worker.backend for worker in workers if worker.is_alive})
    return document("workers", workers=[named_fields(worker, *names, *states) for worker in workers], unserved=unserved)
