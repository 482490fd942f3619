"""Who serves which backend, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.quantities import approximate_age
from sharectl.render.formats import document, named_fields
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.executors.workers.dismissal import HoldingSession
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


def workers_lines(
    workers: Sequence[WorkerSeen],
    remote: frozenset[str],
    holding: Sequence[HoldingSession] = (),
    look: Look = PLAIN,
) -> Iterator[str]:
    """Yield a line for each worker, one for each remote backend that no worker was ever seen of, and who is in the way of others."""
    yield from _table(workers, remote, look)
    for session in holding:
        yield ""
        yield from _holding_lines(session)


def _holding_lines(session: HoldingSession) -> Iterator[str]:
    since = session.transaction_seconds
    what = "advisory locks" if session.is_advisory else "a transaction open, with what it has locked"
    age = "" if since is None else f", for {approximate_age(since)}"
    client = f" at {visible(session.client)}" if session.client else ""
    yield f"Session {session.process_id} of the role {visible(session.role)}{client} holds {what}{age}: others wait for it."
    yield f"`SELECT pg_terminate_backend({session.process_id})` ends it; `sharectl workers dismiss --now` ends all of the role."


def _table(workers: Sequence[WorkerSeen], remote: frozenset[str], look: Look) -> Iterator[str]:
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
    if not worker.is_admitted:
        return f"dismissed, last seen {age} ago"
    return f"serves, last seen {age} ago" if worker.is_alive else f"gone, last seen {age} ago"


def workers_object(
    workers: Sequence[WorkerSeen], remote: frozenset[str], holding: Sequence[HoldingSession] = ()
) -> JsonObject:
    """Return the workers as a JSON object, `sharectl-workers` version 1."""
    names = ("worker_id", "backend", "host", "process_id", "version", "protocol", "width", "digest")
    states = ("is_alive", "has_left", "is_admitted", "silent_seconds", "running", "oldest_seconds")
    of_session = ("process_id", "role", "client", "is_advisory", "transaction_seconds")
    unserved = sorted(remote - {worker.backend for worker in workers if worker.is_alive})
    return document(
        "workers",
        workers=[named_fields(worker, *names, *states) for worker in workers],
        unserved=unserved,
        holding=[named_fields(session, *of_session) for session in holding],
    )
