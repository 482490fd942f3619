"""What a worker asks of the database: which calls wait for it, the claim on one, its renewal and its end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg import errors, sql

from sharectl.executors.workers.tables import TURN
from sharectl.model.frozen import dataclass
from sharectl.state.contract import StateBusyError, StateError, StateNewerError, StateUnavailableError
from sharectl.state.postgresql.connections import Connections
from sharectl.state.postgresql.errors import GRANT_REMEDY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from uuid import UUID

    from psycopg.sql import Composable

    from sharectl.model.state_urls import PostgresqlPlace
    from sharectl.state.postgresql.absence import Absence
    from sharectl.state.postgresql.connections import Connection

PROTOCOL: Final = 2
"""The version of what coordinators and workers say to each other through the database; a worker takes calls of older ones too."""
ALONE: Final = 1
"""The version in which runs are never beside each other: what questions need, and runs that found nobody else at work."""


class ClaimAnswer(StrEnum):
    """What the database says to a claim."""

    GO = "go"
    MINE = "mine"
    """This worker has it already: it was offered twice, or the answer to the claim was lost."""
    BUSY = "busy"
    """Another worker has it, or had it."""
    DONE = "done"
    CANCELLED = "cancelled"
    """Nobody waits for it any more."""
    FENCED = "fenced"
    """The run that offered it has no right to begin anything."""
    CONFLICT = "conflict"
    """Another call at the same address is under way."""
    FULL = "full"
    """The workers of the backend make as many calls as it is wide."""
    VERSION = "version"
    MANIFEST = "manifest"
    """It is for a backend with another manifest than the worker's."""
    FOREIGN = "foreign"
    """It is for another backend."""
    UNKNOWN = "unknown"
    LEFT = "left"
    """This worker has said that it leaves."""


class FinishAnswer(StrEnum):
    """What the database says to an outcome."""

    RECORDED = "recorded"
    ALREADY = "already"
    FENCED = "fenced"
    """It was given up, or never this worker's: the outcome is dropped."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim; for GO and MINE with the call in its JSON form, the fence of the run (None: a question) and the state's lineage.

    `beside` are the fences before it that may still work: those of runs that hold a lease.
    """

    answer: ClaimAnswer
    body: bytes = b""
    token: int | None = None
    lineage: str = ""
    beside: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class WorkerName:
    """A worker as it presents itself. `digest` is that of its manifest of the backend; nobody else has the `worker_id`, ever."""

    worker_id: str
    backend: str
    host: str
    process_id: int
    version: str
    width: int
    digest: str
    lease_seconds: float
    protocol: int = PROTOCOL


class ClaimsUnavailableError(Exception):
    """The database does not answer; nobody knows whether it did what it was asked. Each request may be repeated."""


class ClaimsHeldError(ClaimsUnavailableError):
    """Others keep locked what it is about; nothing was done."""


class NotAdmittedError(Exception):
    """The database does not let this role do that."""


class Claims(Protocol):
    """The requests of one worker. Methods may be called from any thread, and raise ClaimsUnavailableError and NotAdmittedError."""

    def serve(self) -> None:
        """Present the worker, before anything else."""
        ...

    def waiting(self, at_most: int) -> Collection[UUID]:
        """Return calls that wait to be claimed, the oldest first."""
        ...

    def claim_all(self, call_ids: Sequence[UUID]) -> Sequence[Claim]:
        """Ask for the right to make these calls, and to finish them; the answers are in the same order."""
        ...

    def renew(self, running: Collection[UUID]) -> Collection[UUID]:
        """Give the worker's heartbeat, and return those of its calls that are still its own."""
        ...

    def finish_all(self, outcomes: Mapping[UUID, bytes]) -> Sequence[FinishAnswer]:
        """Record how these calls ended, all or none, and end the claims; the answers are in the same order."""
        ...

    def leave(self) -> None:
        """Say that the worker claims nothing more."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Requests:
    """Single requests to the database of a state, each a transaction of its own. Used from any thread."""

    def __init__(self, place: PostgresqlPlace) -> None:
        """Ask the database at `place`."""
        self._connections = Connections(place)
        self._location = place.location
        self.schema_name = place.schema
        self.schema = sql.Identifier(place.schema)

    def wait_with(self, absence: Absence) -> None:
        """Know from others, and let them know, how long the database has been away."""
        self._connections.absence = absence

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield a connection in a transaction, which is durable after the block and waits for nobody's locks without end.

        Raises ClaimsUnavailableError and NotAdmittedError.
        """
        with _translated(), self._connections.writing() as connection:
            yield connection

    def at_once(self, statements: Sequence[Composable]) -> list[list[tuple[Any, ...]]]:
        """Return the rows of each of these statements, made as in `connection`, but in one round trip. Raises as that does."""
        with _translated():
            return self._connections.at_once(statements)

    @contextmanager
    def owned(self) -> Iterator[Connection]:
        """Yield a connection to somebody whom the tables should belong to. Raises ClaimsUnavailableError, and StateUnavailableError where they do not."""
        try:
            with self.connection() as connection:
                yield connection
        except NotAdmittedError as error:
            raise StateUnavailableError(self._location, str(error), GRANT_REMEDY) from error

    def close(self) -> None:
        """Let go of connections."""
        self._connections.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StateNewerError:
        raise
    except StateError as error:
        cause = error.__cause__
        if isinstance(cause, errors.InsufficientPrivilege):
            raise NotAdmittedError(cause.diag.message_primary or str(cause)) from cause
        kind = ClaimsHeldError if isinstance(error, StateBusyError) else ClaimsUnavailableError
        raise kind(str(error)) from error


def _before(token: int | None, held: frozenset[int]) -> frozenset[int]:
    return frozenset() if token is None else frozenset(each for each in held if each < token)


class PostgresClaims:
    """Claims by the functions of `tables`."""

    def __init__(self, requests: Requests, worker: WorkerName) -> None:
        """Ask in the name of `worker`."""
        self._requests = requests
        self._worker = worker

    def _call(self, function: str, *values: object) -> Composable:
        given = sql.SQL(", ").join(map(sql.Literal, values))
        return sql.SQL("SELECT * FROM {}.{}({})").format(self._requests.schema, sql.Identifier(function), given)

    def _ask(self, function: str, *values: object) -> list[tuple[Any, ...]]:
        (rows,) = self._requests.at_once([self._call(function, *values)])
        return rows

    def serve(self) -> None:
        """See Claims. Where an older coordinator has made the functions, this worker is as old as they are."""
        leases = f"{self._requests.schema.as_string(None)}.leases(text)"
        query = sql.SQL("SELECT to_regprocedure({}) IS NOT NULL").format(sql.Literal(leases))
        (((knows_leases,),),) = self._requests.at_once([query])
        if not knows_leases:
            self._worker = replace(self._worker, protocol=ALONE)
        worker = self._worker
        self._ask(
            "serve",
            worker.worker_id,
            worker.backend,
            worker.host,
            worker.process_id,
            worker.version,
            worker.protocol,
            worker.width,
            worker.digest,
            worker.lease_seconds,
        )

    def waiting(self, at_most: int) -> Collection[UUID]:
        """See Claims."""
        return [call_id for (call_id,) in self._ask("waiting", self._worker.worker_id, at_most)]

    def claim_all(self, call_ids: Sequence[UUID]) -> Sequence[Claim]:
        """See Claims. Claims on one backend take turns: who has several in one transaction waits before the first, and not between two."""
        turn = sql.SQL(TURN).format(schema=self._requests.schema, backend=sql.Literal(self._worker.backend))
        claims = [self._call("claim", self._worker.worker_id, call_id) for call_id in call_ids]
        # Afterwards, so that none is missing that was beside it: a lease that is gone by now never comes back.
        leases = [self._call("leases", self._worker.worker_id)] if self._worker.protocol > ALONE else []
        _, *answers = self._requests.at_once([sql.SQL("SELECT {}").format(turn), *claims, *leases])
        held = frozenset(token for (token,) in answers.pop()) if leases else frozenset()
        return [
            Claim(ClaimAnswer(answer), bytes(body or b""), token, lineage or "", _before(token, held))
            for ((answer, body, token, lineage),) in answers
        ]

    def renew(self, running: Collection[UUID]) -> Collection[UUID]:
        """See Claims."""
        return {call_id for (call_id,) in self._ask("renew", self._worker.worker_id, list(running))}

    def finish_all(self, outcomes: Mapping[UUID, bytes]) -> Sequence[FinishAnswer]:
        """See Claims. Calls are locked in the same order as by a renewal."""
        ordered = sorted(outcomes)
        ends = [self._call("finish", self._worker.worker_id, call_id, outcomes[call_id]) for call_id in ordered]
        answers = [FinishAnswer(answer) for ((answer,),) in self._requests.at_once(ends)]
        found = dict(zip(ordered, answers, strict=True))
        return [found[call_id] for call_id in outcomes]

    def leave(self) -> None:
        """See Claims."""
        self._ask("leave", self._worker.worker_id)

    def close(self) -> None:
        """See Claims."""
        self._requests.close()
