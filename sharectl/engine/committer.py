"""Group commit: threads that finish at the same moment share one transaction, and each returns only when its own is durable."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.state.contract import LeaseLostError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.records import Change, Lease
    from sharectl.state.contract import StateStore


class CommitterClosedError(Exception):
    """The run has been stopped at once; nothing more is written, and open intents tell the next run."""


class _Ticket:
    """One thread's changes, and the gate at which it waits for them."""

    __slots__ = ("changes", "done", "error", "gate")

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.gate = threading.Lock()
        self.gate.acquire()
        self.done = False
        self.error: BaseException | None = None


class Committer:
    """Commits changes of many threads through one store, under one lease.

    The first thread to come leads: it commits everything that is waiting, and hands the lead to a thread that came meanwhile.
    """

    def __init__(self, store: StateStore, lease: Lease) -> None:
        """Commit to `store` under `lease`."""
        self._store = store
        self._lease = lease
        self._mutex = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._led = False
        self._closed = False

    def commit(self, changes: Sequence[Change]) -> None:
        """Make `changes` durable, all or none; raises what `StateStore.commit` raises, and CommitterClosedError after `close`."""
        ticket = _Ticket(changes)
        with self._mutex:
            self._waiting.append(ticket)
            leads = not self._led
            self._led = True
        if not leads:
            ticket.gate.acquire()
        if not ticket.done:
            self._lead()
        if ticket.error is not None:
            raise ticket.error

    def close(self) -> None:
        """Refuse everything that is not being written at this moment; when this returns, that is written and nothing follows."""
        with self._mutex:
            self._closed = True
        with suppress(CommitterClosedError):
            self.commit(())  # takes its turn, which comes when the write under way is over

    def _lead(self) -> None:
        with self._mutex:
            batch, self._waiting = self._waiting, []
            closed = self._closed
        if closed:
            for ticket in batch:
                ticket.error = CommitterClosedError()
        else:
            self._write(batch)
        for ticket in batch:
            ticket.done = True
            ticket.gate.release()
        with self._mutex:
            if self._waiting:
                self._waiting[0].gate.release()  # it finds itself not done, and leads
            else:
                self._led = False

    def _write(self, batch: list[_Ticket]) -> None:
        """Commit the batch as one; where something in it is refused, each on its own, so that the refusal reaches its cause."""
        if len(batch) > 1:
            try:
                self._store.commit(self._lease, [change for ticket in batch for change in ticket.changes])
            except (StateUnavailableError, LeaseLostError) as error:
                for ticket in batch:
                    ticket.error = error  # meant for all of them
                return
            except BaseException:  # noqa: BLE001, S110 - the commits below meet it again, each thread its own
                pass
            else:
                return
        for ticket in batch:
            try:
                self._store.commit(self._lease, ticket.changes)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that is waiting
                ticket.error = error
