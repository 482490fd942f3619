"""Who serves which backend, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.executors.workers.executor import last_seen, remedy_of_unserved
from sharectl.model.events import worker_name
from sharectl.model.quantities import approximate_age
from sharectl.render.formats import document, named_fields
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.executors.workers.dismissal import HoldingSession
    from sharectl.executors.workers.offers import WorkerSeen
    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look

_SHOWN_SECONDS: Final = 3600.0
"""For how long a worker is shown that has left, or was lost."""
_COLUMNS: Final = (
    Column("BACKEND"),
    Column("HOST"),
    Column("STATUS"),
    Column("CALLS", right=True, whole=True),
    Column("SINCE", right=True, optional=True),
    Column("STEP", optional=True),
    Column("VERSION", optional=True),
    Column("WORKER", optional=True, whole=True),
)


def workers_lines(
    workers: Sequence[WorkerSeen],
    remote: frozenset[str],
    holding: Sequence[HoldingSession] = (),
    look: Look = PLAIN,
) -> Iterator[str]:
    """Yield a line for each worker, one for each remote backend that nobody serves now, and who is in the way of others."""
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
    unserved = _unserved(workers, remote)
    if not workers and not unserved:
        yield "No backend is remote, and no worker was ever seen."
        return
    if workers:
        yield from table_lines(_COLUMNS, [_row(worker) for worker in _told_of(workers)], look)
    for name in unserved:
        known = [worker for worker in workers if worker.backend == name]
        words = f"{name}: no worker ({last_seen(known)}); {remedy_of_unserved(name, known)}"
        yield paint(visible(words), "warning", look.color)


def _told_of(workers: Sequence[WorkerSeen]) -> list[WorkerSeen]:
    """Return those that matter to people: what ended long ago does not, but for the last of a backend that has no other."""
    current = {each for each in workers if each.is_alive or each.running or each.silent_seconds <= _SHOWN_SECONDS}
    backends = {worker.backend for worker in workers} - {worker.backend for worker in current}
    for backend in backends:
        ended = (worker for worker in workers if worker.backend == backend)
        current.add(min(ended, key=lambda worker: worker.silent_seconds))
    return [worker for worker in workers if worker in current]


def _row(worker: WorkerSeen) -> list[Cell]:
    """Return the cells; of what runs, the oldest is named."""
    since = "" if worker.oldest_seconds is None else approximate_age(worker.oldest_seconds)
    step = ("a question" if worker.oldest_address is None else visible(worker.oldest_address)) if since else ""
    return [
        Cell(visible(worker.backend)),
        Cell(visible(worker.host)),
        Cell(_status(worker), "" if worker.is_alive else "warning"),
        Cell(f"{worker.running}/{worker.width}"),
        Cell(since),
        Cell(step),
        Cell(visible(worker.version)),
        Cell(visible(worker_name(worker.worker_id))),
    ]


def _status(worker: WorkerSeen) -> str:
    age = approximate_age(worker.silent_seconds)
    if worker.has_left:
        return f"has left, {age} ago"
    if not worker.is_admitted:
        return f"dismissed, last seen {age} ago"
    return f"serves, last seen {age} ago" if worker.is_alive else f"gone, last seen {age} ago"


def _unserved(workers: Sequence[WorkerSeen], remote: frozenset[str]) -> list[str]:
    return sorted(remote - {worker.backend for worker in workers if worker.is_alive})


def workers_object(
    workers: Sequence[WorkerSeen], remote: frozenset[str], holding: Sequence[HoldingSession] = ()
) -> JsonObject:
    """Return the workers as a JSON object, `sharectl-workers` version 1."""
    names = ("worker_id", "backend", "host", "process_id", "version", "protocol", "width", "digest")
    states = ("is_alive", "has_left", "is_admitted", "silent_seconds", "running", "oldest_seconds", "oldest_address")
    of_session = ("process_id", "role", "client", "is_advisory", "transaction_seconds")
    return document(
        "workers",
        workers=[named_fields(worker, *names, *states) for worker in workers],
        unserved=_unserved(workers, remote),
        holding=[named_fields(session, *of_session) for session in holding],
    )
