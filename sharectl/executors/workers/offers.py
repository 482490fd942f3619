"""What a coordinator asks of the database: calls offered, taken back and given up, and what became of them; who serves which backend."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg import sql

from sharectl.executors.answers import Answer, Failure, FailureKind
from sharectl.executors.base import Remains
from sharectl.executors.calls import Call
from sharectl.executors.wire import WireError, decode
from sharectl.executors.workers.claims import ALONE
from sharectl.executors.workers.tables import TURN
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of
from sharectl.model.settings import LONGEST_LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from sharectl.executors.workers.claims import Requests


LARGEST_OUTCOME_BYTES: Final = 1 << 29
"""Many times the answer about 100,000 shares; a few bytes can say that they are far more."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A call that is offered to the workers of a backend whose manifest has `digest`; of an operation, or a question."""

    call_id: UUID
    backend: str
    digest: str
    body: bytes
    operation_id: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Who offers: `token` is that of the lease under which calls may begin (None: nothing but questions); `protocol` is what workers have to speak for it."""

    run_id: str
    lineage: str
    token: int | None
    protocol: int = ALONE


class Seen(NamedTuple):
    """What the database says of an offer: who has claimed it, its outcome, and whether it was given up before there was one."""

    call_id: UUID
    worker_id: str | None
    outcome: bytes | None
    is_given_up: bool


class WorkerSeen(NamedTuple):
    """A worker as the database knows it; seconds are counted until now. One that `is_alive` may claim calls, which one that was dismissed may not.

    The oldest of its calls that run has an address if it is one of a step.
    """

    worker_id: str
    backend: str
    host: str
    process_id: int
    version: str
    protocol: int
    width: int
    digest: str
    is_alive: bool
    has_left: bool
    silent_seconds: float
    running: int
    oldest_seconds: float | None
    is_admitted: bool = True
    oldest_address: str | None = None


_INSERT: Final = """
INSERT INTO {schema}.call
    (call_id, run_id, token, lineage, protocol, given_up_at, backend, digest, body, operation_id, address, offered_at)
SELECT call_id, %s, %s::bigint, %s, %s, CASE WHEN %s THEN clock_timestamp() END,
    backend, digest, body, operation_id, address, statement_timestamp() + place * interval '1 microsecond'
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[])
    WITH ORDINALITY AS offered (call_id, backend, digest, body, operation_id, address, place)
ORDER BY call_id
ON CONFLICT (call_id) DO
"""
"""Locked in the order of their ids; that in which they are to be made is in the times."""
_OFFER: Final = _INSERT + "NOTHING"
_TAKE_BACK: Final = (
    _INSERT
    + """
UPDATE SET given_up_at = clock_timestamp() WHERE call.given_up_at IS NULL AND call.worker_id IS NULL
RETURNING call_id
"""
)
"""One whose offer is still on its way is there already when it arrives."""
_GIVING_UP: Final = """
UPDATE {schema}.call SET given_up_at = clock_timestamp() WHERE call_id IN (
    SELECT call_id FROM {schema}.call WHERE finished_at IS NULL AND given_up_at IS NULL AND
"""
_IN_ORDER: Final = " ORDER BY call_id FOR UPDATE)"
"""Locked in the order in which workers renew and finish, or a run and a worker wait for each other."""
_TURNS: Final = (
    f"SELECT {TURN.replace('{backend}', 'backend')} FROM"  # noqa: S608 - constants
    " (SELECT DISTINCT backend FROM {schema}.call WHERE call_id = ANY (%s) ORDER BY backend) AS concerned"
)
"""A worker claims several calls in the order of their offers: whoever locks them in another order takes the turn of the claims on their backends first."""
_LOSE: Final = _GIVING_UP + "call_id = ANY (%s) AND lease_until < clock_timestamp()" + _IN_ORDER
_SEE: Final = """
SELECT call_id, worker_id, outcome, given_up_at IS NOT NULL FROM {schema}.call
WHERE call_id = ANY (%s) AND (worker_id IS NOT NULL OR given_up_at IS NOT NULL)
"""
_GIVE_UP: Final = _GIVING_UP + "call_id = ANY (%s)" + _IN_ORDER
_TIDY: Final = """
DELETE FROM {schema}.call WHERE run_id = %s AND (operation_id IS NULL OR NOT EXISTS
    (SELECT FROM {schema}.operation WHERE operation.operation_id = call.operation_id))
    AND (finished_at IS NULL AND lease_until > clock_timestamp()) IS NOT TRUE
"""
_WORKERS: Final = """
SELECT worker.worker_id, worker.backend, host, process_id, version, worker.protocol, width, worker.digest,
    left_at IS NULL AND {admitted}
        AND heartbeat_at + make_interval(secs => least(lease_seconds, {longest})) > clock_timestamp(),
    left_at IS NOT NULL,
    extract(epoch FROM clock_timestamp() - heartbeat_at)::float8,
    count(call_id)::integer,
    extract(epoch FROM clock_timestamp() - min(claimed_at))::float8,
    {admitted},
    (array_agg(address ORDER BY claimed_at))[1]
FROM {schema}.worker LEFT JOIN {schema}.call
    ON call.worker_id = worker.worker_id AND finished_at IS NULL AND given_up_at IS NULL
WHERE %s::text[] IS NULL OR worker.backend = ANY (%s)
GROUP BY worker.worker_id ORDER BY worker.backend, started_at
"""


_ADMITTED: Final = """(
    EXISTS (SELECT FROM {schema}.worker_role WHERE (worker_role.role, worker_role.backend) = (worker.role, worker.backend))
    OR EXISTS (SELECT FROM pg_roles JOIN pg_class ON pg_has_role(pg_roles.oid, relowner, 'MEMBER')
        WHERE rolname = worker.role AND pg_class.oid = '{schema}.call'::regclass)
)"""


class Offers:
    """The offers of one run. Methods raise ClaimsUnavailableError, and StateUnavailableError for want of a right; each may be repeated."""

    def __init__(self, requests: Requests, run: Run) -> None:
        """Offer in the name of `run`."""
        self._requests = requests
        self._run = run

    @property
    def protocol(self) -> int:
        """What workers have to speak for the run."""
        return self._run.protocol

    def _ask(self, query: str, *values: object, locking: Collection[UUID] = ()) -> list[tuple[Any, ...]]:
        longest = sql.Literal(LONGEST_LEASE_SECONDS)  # whatever a worker has said of itself
        composed = sql.SQL(query).format(schema=self._requests.schema, longest=longest)
        with self._requests.owned() as connection:
            if locking:
                connection.execute(sql.SQL(_TURNS).format(schema=self._requests.schema), (list(locking),))
            cursor = connection.execute(composed, values, binary=True)
            return cursor.fetchall() if cursor.description is not None else []

    def offer(self, offers: Sequence[Offer]) -> None:
        """Make these durable."""
        self._insert(_OFFER, offers, is_given_up=False)

    def _insert(self, query: str, offers: Sequence[Offer], *, is_given_up: bool) -> list[tuple[Any, ...]]:
        run = self._run
        columns = ("call_id", "backend", "digest", "body", "operation_id", "address")
        values = [[getattr(offer, name) for offer in offers] for name in columns]
        locking = [offer.call_id for offer in offers] if is_given_up else ()
        return self._ask(query, run.run_id, run.token, run.lineage, run.protocol, is_given_up, *values, locking=locking)

    def look(self, offered: Collection[UUID], *, loses: bool) -> list[Seen]:
        """Return what has been claimed or given up of these; where it `loses`, those whose lease has run out are given up first."""
        ids = list(offered)
        if loses:
            self._ask(_LOSE, ids, locking=ids)
        return [
            Seen(call_id, worker_id, None if outcome is None else bytes(outcome), is_given_up)
            for call_id, worker_id, outcome, is_given_up in self._ask(_SEE, ids)
        ]

    def take_back(self, offers: Sequence[Offer]) -> set[UUID]:
        """Let nobody claim these any more, also where the offer has not arrived yet; return those that nobody had claimed."""
        return {call_id for (call_id,) in self._insert(_TAKE_BACK, offers, is_given_up=True)}

    def give_up(self, offered: Collection[UUID]) -> None:
        """Take no outcome of these any more."""
        self._ask(_GIVE_UP, list(offered), locking=offered)

    def tidy(self) -> None:
        """Remove the calls of this run, but for those of operations that are open, and those under way."""
        self._ask(_TIDY, self._run.run_id)

    def workers(self, backends: Iterable[str] | None = None) -> list[WorkerSeen]:
        """Return the workers of these backends, or of all."""
        names = None if backends is None else sorted(backends)
        return [WorkerSeen(*row) for row in self._ask(_WORKERS.replace("{admitted}", _ADMITTED), names, names)]


_CLOSE: Final = (
    _GIVING_UP + "operation_id = ANY (%s) AND (worker_id IS NULL OR lease_until < clock_timestamp())" + _IN_ORDER
)
_TURNS_OF_OPERATIONS: Final = _TURNS.replace("WHERE call_id", "WHERE operation_id")
_REMAINS: Final = """
SELECT call_id, operation_id, address, backend, worker_id, outcome, given_up_at IS NOT NULL,
    CASE WHEN finished_at IS NULL AND lease_until > clock_timestamp()
        THEN extract(epoch FROM lease_until - clock_timestamp())::float8 END,
    extract(epoch FROM clock_timestamp() - claimed_at)::float8,
    CASE WHEN operation_id IS NULL THEN body END
FROM {schema}.call
WHERE operation_id = ANY (%s) OR (token IS NOT NULL AND finished_at IS NULL AND lease_until > clock_timestamp()
    AND NOT EXISTS (SELECT FROM {schema}.lease WHERE lease.token = call.token))
ORDER BY offered_at
"""
_MAKERS: Final = """
SELECT operation_id, worker_id FROM {schema}.call
WHERE operation_id IS NOT NULL AND finished_at IS NULL AND lease_until > clock_timestamp()
"""
_TIDY_EARLIER: Final = """
DELETE FROM {schema}.call WHERE
    ((operation_id IS NOT NULL AND operation_id NOT IN (SELECT operation_id FROM {schema}.operation)
        AND token NOT IN (SELECT token FROM {schema}.lease))
    OR (operation_id IS NULL AND offered_at < clock_timestamp() - interval '1 day'))
    AND (finished_at IS NULL AND lease_until > clock_timestamp()) IS NOT TRUE
"""


class UnderWay(NamedTuple):
    """A call of an earlier run that a worker makes: nobody may take its operation over for `left_seconds`, unless it is renewed.

    One that `is_given_up` may hang: the run before has waited for it in vain, or was stopped at once. One of a recovery that is no
    question has no operation of its own: `address` is that of its backend, and it may be about any intent there.
    """

    call_id: UUID
    address: str
    backend: str
    worker_id: str
    is_of_operation: bool
    left_seconds: float
    age_seconds: float
    is_given_up: bool


class EarlierCalls:
    """What is left of the calls of runs that are gone. Methods raise ClaimsUnavailableError and StateUnavailableError."""

    def __init__(self, requests: Requests) -> None:
        """Look into the schema of a state."""
        self._requests = requests

    def look(self, operation_ids: Collection[str]) -> tuple[list[UnderWay], dict[str, Remains]]:
        """Return which calls of runs without a lease are still under way, of whatever operation, and what remains of these; nothing else of them can begin any more."""
        asked, ids = frozenset(operation_ids), list(operation_ids)
        under_way: list[UnderWay] = []
        remains: dict[str, Remains] = {}
        with self._requests.owned() as connection:
            connection.execute(sql.SQL(_TURNS_OF_OPERATIONS).format(schema=self._requests.schema), (ids,))
            connection.execute(sql.SQL(_CLOSE).format(schema=self._requests.schema), (ids,))
            rows = connection.execute(
                sql.SQL(_REMAINS).format(schema=self._requests.schema), (ids,), binary=True
            ).fetchall()
        for (
            call_id,
            operation_id,
            address,
            backend,
            worker_id,
            outcome,
            is_given_up,
            left_seconds,
            age_seconds,
            body,
        ) in rows:
            if left_seconds is not None and (body is None or not _is_question(bytes(body))):
                shown = address or address_of(Kind.BACKEND, backend)
                about = (shown, backend, worker_id, operation_id is not None)
                under_way.append(UnderWay(call_id, *about, left_seconds, age_seconds, is_given_up))
            if operation_id not in asked:
                continue
            before = remains.get(operation_id, _NOTHING)
            answer = None if outcome is None else outcome_of(bytes(outcome))
            remains[operation_id] = Remains(
                before.has_begun or worker_id is not None,
                answer if isinstance(answer, Answer) else None,
                before.is_under_way or left_seconds is not None,
            )
        return under_way, remains

    def makers(self) -> dict[str, str]:
        """Return, by operation, the worker that makes its call now."""
        with self._requests.owned() as connection:
            return dict(connection.execute(sql.SQL(_MAKERS).format(schema=self._requests.schema)).fetchall())

    def give_up(self, calls: Iterable[UnderWay]) -> None:
        """Take no outcome of these any more."""
        ids = [call.call_id for call in calls]
        with self._requests.owned() as connection:
            connection.execute(sql.SQL(_TURNS).format(schema=self._requests.schema), (ids,))
            connection.execute(sql.SQL(_GIVE_UP).format(schema=self._requests.schema), (ids,))

    def are_kept(self) -> bool:
        """Tell whether there are tables of workers at all."""
        with self._requests.owned() as connection:
            name = f"{self._requests.schema.as_string(None)}.call"
            row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone()
            return row is not None and bool(row[0])

    def tidy(self) -> None:
        """Remove what nobody needs any more; what is still under way stays, whatever it is about."""
        with self._requests.owned() as connection:
            connection.execute(sql.SQL(_TIDY_EARLIER).format(schema=self._requests.schema))


_NOTHING: Final = Remains(has_begun=False)


def _is_question(body: bytes) -> bool:
    """Tell whether the call changes nothing; one that cannot be read may."""
    try:
        call = decode(body)
    except WireError:
        return False
    return isinstance(call, Call) and call.is_question


def outcome_of(data: bytes) -> Answer | Failure:
    """Return the outcome that a worker has recorded, or a failure that says that it cannot be read."""
    try:
        outcome = decode(_inflated(data))
    except (WireError, zlib.error) as error:
        return Failure(FailureKind.MISBEHAVED, f"the worker's answer cannot be read: {error}")
    if isinstance(outcome, Failure) and outcome.kind is FailureKind.NOT_PERMITTED:
        return replace(
            outcome, kind=FailureKind.WORKER_LOST
        )  # it is the worker that had no right any more, not the run
    if isinstance(outcome, Answer | Failure):
        return outcome
    return Failure(FailureKind.MISBEHAVED, "the worker has answered with a call")


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    found = stream.decompress(data, LARGEST_OUTCOME_BYTES)
    if not stream.eof:
        message = f"it is cut short, or larger than {LARGEST_OUTCOME_BYTES} bytes"
        raise WireError(message)
    return found
