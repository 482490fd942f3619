"""Commits of a state in PostgreSQL: each is one transaction under a lease, made once, however often the answer to COMMIT is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from sharectl.state.postgresql import leases
from sharectl.state.postgresql.changes import MixedError, raise_sequence
from sharectl.state.postgresql.schema import check_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.records import Lease
    from sharectl.state.lock import Clock
    from sharectl.state.postgresql.connections import Connection, Connections

Work = Callable[["Connection", UUID, bool], object]
"""What a commit does: it is given the id of the commit, and whether changes may be made together, and is called again after a MixedError."""

_PART_OF_LEASE: Final = 0.8
"""The part of a lease for which a commit waits for a server that has gone away."""
_KEPT: Final = "1 hour"
"""For so long the id of a commit is known; a try that is repeated later than that is refused, for its lease has run out."""


class Commits:
    """The commits of the state in one schema, and their log."""

    def __init__(self, connections: Connections, schema: str, location: str, clock: Clock, version: int) -> None:
        """Commit to tables of this version; `schema` is quoted."""
        self._connections = connections
        self._schema = schema
        self._location = location
        self._clock = clock
        self._version = version
        self._log = f"{schema}.commit_log"

    def once(self, lease: Lease, work: Work, granted_seconds: int | None) -> None:
        """Do `work` in one transaction under the lease, each of its statements within that time, or the usual one."""
        commit_id = uuid4()
        together = True

        def attempt(connection: Connection, begun: Sequence[tuple[Any, ...]]) -> None:
            ((serial, token, version),) = begun
            if serial is None:  # an earlier try has been committed
                return
            check_version(version, self._location, self._version)
            if token is None:
                raise leases.lost(connection, self._schema, lease, self._clock, self._location)
            work(connection, commit_id, together)

        begin = self._beginning(lease, commit_id)
        patience_seconds = _PART_OF_LEASE * lease.duration_seconds
        try:
            self._connections.repeated_after(begin, attempt, patience_seconds, granted_seconds)
        except MixedError:
            together = False
            self._connections.repeated_after(begin, attempt, patience_seconds, granted_seconds)

    def _beginning(self, lease: Lease, commit_id: UUID) -> str:
        """Return what writes the id of a commit and locks the row of its lease.

        The id goes first: its index makes this try wait for one that the server may still be at work on.
        """
        return (
            f"WITH entry AS (INSERT INTO {self._log} (commit_id) VALUES ('{commit_id}')"  # noqa: S608 - a checked name, and an id of our own
            " ON CONFLICT (commit_id) DO NOTHING RETURNING serial),"
            f" held AS (SELECT token FROM {self._schema}.lease WHERE token = {lease.token:d} FOR KEY SHARE)"
            f" SELECT (SELECT serial FROM entry), (SELECT token FROM held), version FROM {self._schema}.meta"
        )

    def set_serial(self, connection: Connection, commit_id: UUID, serial: int) -> None:
        """Give this commit a serial of its own, in place of all before it; the next are above it, and above all that ever were."""
        connection.execute(f"DELETE FROM {self._log} WHERE commit_id <> %s", (commit_id,))  # noqa: S608 - a checked name
        connection.execute(f"UPDATE {self._log} SET serial = %s WHERE commit_id = %s", (serial, commit_id))  # noqa: S608 - as above
        raise_sequence(connection, self._log, "serial", serial)

    def forget_old(self, connection: Connection) -> None:
        """Forget the ids of commits that nobody repeats any more; the last one stays."""
        forget = (
            f"DELETE FROM {self._log} WHERE at < clock_timestamp() - %s::interval"  # noqa: S608 - a checked name
            f" AND serial < (SELECT max(serial) FROM {self._log})"
        )
        connection.execute(forget, (_KEPT,))
