"""Who may write."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import (
    EVERYTHING,
    BeginOperation,
    EndOperation,
    Holder,
    Lease,
    PutResource,
    PutRules,
    PutRun,
    RemoveResource,
    RenameBackend,
    RenameResource,
    Scope,
)
from sharectl.state.contract import LeaseLostError, LockedError, StateRefusedError
from sharectl.state.testing.samples import (
    ALICE,
    BOB,
    LEASE_SECONDS,
    PATIENCE_SECONDS,
    RUN,
    Conformance,
    document_of,
    make_operation,
    make_record,
    whole_view,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.records import Change
    from sharectl.state.contract import StateStore


class LeasesConformance(Conformance):
    """Who may write."""

    def test_the_lock_belongs_to_one_and_the_error_names_its_holder(
        self, store: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """Whoever comes second learns who was first, since when, and that the lease still runs."""
        with pytest.raises(LockedError) as caught:
            open_again().acquire(BOB, duration_seconds=LEASE_SECONDS)
        status = caught.value.status
        assert (status.holder, status.token, status.expired) == (ALICE, lease.token, False)
        assert status.acquired_at <= status.heartbeat_at
        assert status.reason
        current = store.lock_status()
        assert current is not None
        assert current.holder == ALICE

    def test_a_released_lock_is_free_and_its_token_is_never_used_again(
        self, store: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """Tokens only grow; what was released cannot commit or renew, and may be released again."""
        store.release(lease)
        store.release(lease)
        assert store.lock_status() is None
        for use in (store.renew, lambda stale: store.commit(stale, [PutResource(make_record(), None)])):
            with pytest.raises(LeaseLostError):
                use(lease)
        assert open_again().acquire(BOB, duration_seconds=LEASE_SECONDS).token > lease.token

    def test_waiting_for_the_lock_ends_when_it_is_released(
        self, store: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """`wait_seconds` is the longest wait, not the shortest."""
        other = open_again()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(other.acquire, BOB, duration_seconds=LEASE_SECONDS, wait_seconds=PATIENCE_SECONDS)
            store.release(lease)
            assert waiting.result(PATIENCE_SECONDS).token > lease.token

    def test_a_lease_that_ran_out_is_taken_over_and_its_holder_fenced(
        self, store: StateStore, open_again: Callable[[], StateStore]
    ) -> None:
        """The late holder's commit, renewal and import are refused and change nothing; its release does no harm."""
        late = store.acquire(ALICE, duration_seconds=0.1)
        other = open_again()
        newest = other.acquire(BOB, duration_seconds=LEASE_SECONDS, wait_seconds=PATIENCE_SECONDS)
        assert newest.token > late.token
        for use in (
            store.renew,
            lambda lease: store.commit(lease, [PutResource(make_record(), None)]),
            lambda lease: store.import_document(lease, document_of(store), force=True),
        ):
            with pytest.raises(LeaseLostError):
                use(late)
        store.release(late)
        status = store.lock_status()
        assert status is not None
        assert (status.holder, status.token) == (BOB, newest.token)
        assert whole_view(store).serial == 0

    def test_a_renewed_lease_keeps_the_lock(self, store: StateStore, lease: Lease) -> None:
        """The heartbeat is as new as the renewal."""
        before = store.lock_status()
        store.renew(lease)
        after = store.lock_status()
        assert before is not None
        assert after is not None
        assert before.heartbeat_at < after.heartbeat_at
        assert before.acquired_at == after.acquired_at

    def test_the_lock_of_a_process_that_died_is_taken_over_at_once(
        self, store: StateStore, open_again: Callable[[], StateStore]
    ) -> None:
        """However long its lease still runs, on the machine where that can be known."""
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            holder = Holder("alice", "one.example", process.pid, "sharectl apply")
            lost = store.acquire(holder, duration_seconds=3600)
            with pytest.raises(LockedError):
                open_again().acquire(BOB, duration_seconds=LEASE_SECONDS)
            process.kill()
        status = store.lock_status()
        assert status is not None
        assert status.expired
        assert open_again().acquire(BOB, duration_seconds=LEASE_SECONDS).token > lost.token

    def test_a_broken_lock_is_free_and_its_holder_fenced(self, store: StateStore, lease: Lease) -> None:
        """Only the lock that was looked at is broken: another token leaves it."""
        assert not store.break_lock(lease.token + 1)
        assert store.break_lock(lease.token)
        assert not store.break_lock(lease.token)
        with pytest.raises(LeaseLostError):
            store.commit(lease, [])
        assert store.acquire(BOB, duration_seconds=LEASE_SECONDS).token > lease.token

    def test_of_many_who_ask_at_once_one_gets_the_lock(self, open_again: Callable[[], StateStore]) -> None:
        """All others are told who has it."""
        stores = [open_again() for _ in range(8)]
        start = threading.Barrier(len(stores))

        def contend(store: StateStore) -> Lease | None:
            start.wait(PATIENCE_SECONDS)
            try:
                return store.acquire(ALICE, duration_seconds=LEASE_SECONDS)
            except LockedError:
                return None

        with ThreadPoolExecutor(len(stores)) as pool:
            leases = [lease for lease in pool.map(contend, stores) if lease is not None]
        assert len(leases) == 1

    @pytest.mark.parametrize(
        ("scope", "touches"),
        [
            (EVERYTHING, True),
            (Scope(frozenset({"filer"})), True),
            (Scope(frozenset({"filer", "other"})), True),
            (Scope(frozenset({"other"})), False),
            (Scope(frozenset({"filer"}), frozenset({"share/a"})), True),
            (Scope(frozenset({"other"}), frozenset({"share/z"})), False),
        ],
    )
    def test_leases_are_in_each_others_way_only_where_they_touch(
        self, store: StateStore, open_again: Callable[[], StateStore], scope: Scope, *, touches: bool
    ) -> None:
        """Who comes second is told of the lease in the way, and of no other; what does not touch it is held beside it."""
        first = store.acquire(ALICE, duration_seconds=LEASE_SECONDS, scope=Scope(frozenset({"filer"})))
        status = store.lock_status(scope)
        assert (status is not None) == touches
        if touches:
            with pytest.raises(LockedError) as caught:
                open_again().acquire(BOB, duration_seconds=LEASE_SECONDS, scope=scope)
            assert (caught.value.status.holder, caught.value.status.scope) == (ALICE, first.scope)
            return
        second = open_again().acquire(BOB, duration_seconds=LEASE_SECONDS, scope=scope)
        assert [held.token for held in store.leases()] == [first.token, second.token]
        assert not first.beside
        assert second.beside == {first.token}
        for lease in (first, second):
            store.renew(lease)
            store.commit(lease, [PutRun(RUN)])

    def test_two_leases_on_addresses_of_one_backend_do_not_touch(
        self, store: StateStore, open_again: Callable[[], StateStore]
    ) -> None:
        """Unless they have one in common."""
        backend = frozenset({"filer"})
        store.acquire(ALICE, duration_seconds=LEASE_SECONDS, scope=Scope(backend, frozenset({"share/a", "share/b"})))
        open_again().acquire(BOB, duration_seconds=LEASE_SECONDS, scope=Scope(backend, frozenset({"share/c"})))
        with pytest.raises(LockedError):
            open_again().acquire(BOB, duration_seconds=LEASE_SECONDS, scope=Scope(backend, frozenset({"share/b"})))

    def test_everything_is_free_once_all_leases_are_given_back(
        self, store: StateStore, open_again: Callable[[], StateStore]
    ) -> None:
        """And a lease that ran out is taken over by one that touches it, and by no other."""
        late = store.acquire(ALICE, duration_seconds=0.0, scope=Scope(frozenset({"filer"})))
        other = open_again().acquire(BOB, duration_seconds=LEASE_SECONDS, scope=Scope(frozenset({"other"})))
        store.commit(late, [PutRun(RUN)])
        store.release(other)
        newest = open_again().acquire(BOB, duration_seconds=LEASE_SECONDS, wait_seconds=PATIENCE_SECONDS)
        assert newest.token > other.token > late.token
        assert not newest.beside
        with pytest.raises(LeaseLostError):
            store.commit(late, [PutRun(RUN)])

    @pytest.mark.parametrize(
        "change",
        [
            PutResource(make_record("new", backend="other"), None),
            PutResource(make_record("a", backend="other"), 1),
            PutResource(make_record("z", backend="filer"), 1),
            PutResource(make_record("b"), 1),
            RemoveResource("share/z", 1),
            RenameResource("share/a", "share/b2", 1),
            PutRules("share/z", ()),
            BeginOperation(make_operation("o9", "b")),
            EndOperation("o3"),
            RenameBackend("filer", "nas", None),
        ],
    )
    def test_what_is_beyond_the_scope_of_a_lease_is_refused(
        self, store: StateStore, lease: Lease, change: Change
    ) -> None:
        """With its whole commit: rows of other backends and addresses, before the change and after it."""
        rows = [make_record("a"), make_record("b"), make_record("z", backend="other")]
        operation = replace(make_operation("o3", "z"), backend="other")
        store.commit(lease, [PutRun(RUN), *(PutResource(row, None) for row in rows), BeginOperation(operation)])
        store.release(lease)
        scope = Scope(frozenset({"filer"}), frozenset({"share/a", "share/a2", "share/new"}))
        narrow = store.acquire(ALICE, duration_seconds=LEASE_SECONDS, scope=scope)
        before = document_of(store)
        with pytest.raises(StateRefusedError):
            store.commit(narrow, [PutResource(make_record("a", pool="pool-2"), 1), change])
        assert document_of(store) == before
        store.commit(
            narrow, [PutResource(make_record("a", pool="pool-2"), 1), RenameResource("share/a", "share/a2", 2)]
        )
        with pytest.raises(StateRefusedError):
            store.import_document(narrow, before, force=True)
