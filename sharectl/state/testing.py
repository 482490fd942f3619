"""The conformance suite of state stores: every promise of the contract, for whoever writes a store.

Subclass it in a test module, and say how a store on one and the same state is opened:

    class TestMyStore(StateStoreConformance):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: open_my_store(tmp_path / "state")
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sharectl.model.access import AccessRule
from sharectl.model.canonical import JsonObject, canonical_json
from sharectl.model.kinds import Kind, address_of, kind_of, rule_address
from sharectl.model.records import (
    AddHistory,
    BeginOperation,
    EndOperation,
    HistoryEntry,
    Holder,
    Lease,
    OperationRecord,
    PutResource,
    PutRules,
    PutRun,
    Record,
    RemoveResource,
    RenameBackend,
    RenameResource,
    RuleRecord,
    RunRecord,
)
from sharectl.state.contract import (
    KnowsRuns,
    LeaseLostError,
    LockedError,
    StateRefusedError,
    VersionConflictError,
    WritesCopies,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, StateView
    from sharectl.state.contract import StateStore

LEASE_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
ALICE = Holder(user="alice", host="one.example", process_id=os.getpid(), command="sharectl apply")
BOB = Holder(user="bob", host="two.example", process_id=os.getpid(), command="sharectl destroy")
RUN = RunRecord(
    "run-1", "sharectl apply", "alice", "one.example", "2026-05-04T12:00:00Z", "0123abc", "https://ci.example/7"
)


def make_record(name: str = "projects", **changes: Any) -> Record:  # noqa: ANN401 - each field has a type of its own
    """Return the record of a share, with `changes` to its fields."""
    record = Record(
        address=address_of(Kind.SHARE, name),
        kind="share",
        resource_id=f"id-{name}",
        backend="filer",
        pool="pool-1",
        version=1,
        spec_digest=bytes(range(16)),
        access_digest=bytes(range(16, 32)),
        size_bytes=10 << 30,
        protect=False,
        spec=canonical_json({"name": name, "protocol": "NFS", "size_bytes": 10 << 30}),
        attributes=canonical_json({"backend_id": f"b-{name}", "name": name, "export_locations": [f"10.0.0.1:/{name}"]}),
    )
    return record._replace(**changes)


def make_snapshot(name: str, share: str) -> Record:
    """Return the record of a snapshot of the share that `make_record(share)` makes."""
    attributes = {
        "backend_id": name,
        "name": name,
        "share_backend_id": f"b-{share}",
        "share_resource_id": f"id-{share}",
    }
    return make_record(
        name,
        address=address_of(Kind.SNAPSHOT, name),
        kind="snapshot",
        spec=canonical_json({"name": name, "share": share}),
        attributes=canonical_json(attributes),
    )


def make_operation(operation_id: str = "operation-1", name: str = "projects") -> OperationRecord:
    """Return an intent to create a share."""
    return OperationRecord(
        operation_id,
        "run-1",
        address_of(Kind.SHARE, name),
        "create-share",
        f"id-{name}",
        "filer",
        None,
        "2026-05-04T12:00:01Z",
        canonical_json({"spec": {"name": name, "protocol": "NFS", "size_bytes": 10 << 30}, "extra_specs": {}}),
    )


def make_rule(access_to: str, access_level: str = "rw", status: str = "active", reason: str = "") -> RuleRecord:
    """Return the record of an ip rule."""
    return RuleRecord(AccessRule("ip", access_to, access_level), status, reason)


def make_entry(address: str, outcome: str = "done") -> HistoryEntry:
    """Return a line of history of RUN."""
    return HistoryEntry("run-1", "2026-05-04T12:00:02Z", address, "create-share", outcome, b'{"changes":[]}')


def whole_view(store: StateStore) -> StateView:
    """Return everything that the store holds now."""
    with store.read() as reader:
        return reader.view()


def document_of(store: StateStore) -> bytes:
    """Return the whole document that the store exports."""
    return b"".join(store.export_document())


def _of_kind(store: StateStore, kind: Kind) -> Mapping[Address, Record]:
    with store.read() as reader:
        return reader.find(kind=kind)


class StateStoreConformance:
    """What every StateStore must do; subclasses override the fixture `make_store`."""

    @pytest.fixture
    def make_store(self) -> Callable[[], StateStore]:
        """Return a function that opens the same state again at each call; it begins empty, and is made if need be."""
        raise NotImplementedError

    @pytest.fixture
    def open_again(self, make_store: Callable[[], StateStore]) -> Iterator[Callable[[], StateStore]]:
        """Return `make_store`, and close what it has opened at the end."""
        stores: list[StateStore] = []

        def open_store() -> StateStore:
            stores.append(make_store())
            return stores[-1]

        yield open_store
        for store in stores:
            store.close()

    @pytest.fixture
    def store(self, open_again: Callable[[], StateStore]) -> StateStore:
        """Return an empty store."""
        return open_again()

    @pytest.fixture
    def lease(self, store: StateStore) -> Lease:
        """Return alice's lease on `store`."""
        return store.acquire(ALICE, duration_seconds=LEASE_SECONDS)

    def test_a_new_state_is_empty_and_has_a_lineage(self, store: StateStore) -> None:
        """Nobody has committed: serial 0, no records, no intents, no history; it says where it is."""
        view = whole_view(store)
        assert (view.serial, dict(view.records), view.operations) == (0, {}, ())
        assert view.lineage
        assert store.location
        assert list(store.history()) == []

    def test_lineage_stays_and_serial_grows_by_one_with_each_commit(
        self, store: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """The lineage names the state for good; the serial counts its commits, also when it is opened again."""
        lineage = whole_view(store).lineage
        store.commit(lease, [PutResource(make_record("a"), None), PutResource(make_record("b"), None)])
        store.commit(lease, [PutResource(make_record("c"), None)])
        view = whole_view(open_again())
        assert (view.lineage, view.serial) == (lineage, 2)

    def test_a_record_is_read_back_as_it_was_written(
        self, store: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """Every field survives with its type, None and text beyond ASCII included, for other readers at once."""
        whole = make_record("däten-文件", protect=True)
        bare = make_record("bare", backend=None, pool=None, size_bytes=None, kind="import", address="import/bare")
        store.commit(lease, [PutResource(whole, None), PutResource(bare, None)])
        records = whole_view(open_again()).records
        assert records == {whole.address: whole, bare.address: bare}
        assert isinstance(records[whole.address], Record)
        assert records[whole.address].protect is True
        assert records[bare.address].protect is False

    def test_a_new_row_has_version_1_and_each_change_adds_one(self, store: StateStore, lease: Lease) -> None:
        """The version in the record that is written does not matter."""
        store.commit(lease, [PutResource(make_record(version=77), None)])
        assert whole_view(store).records["share/projects"].version == 1
        store.commit(lease, [PutResource(make_record(version=77, pool="pool-2"), 1)])
        assert whole_view(store).records["share/projects"] == make_record(version=2, pool="pool-2")

    @pytest.mark.parametrize(
        ("change", "expected", "found"),
        [
            (PutResource(make_record(), None), None, 1),
            (PutResource(make_record(), 2), 2, 1),
            (PutResource(make_record("other"), 1), 1, None),
            (RemoveResource("share/projects", 2), 2, 1),
            (RemoveResource("share/other", 1), 1, None),
            (RenameResource("share/projects", "share/other", 2), 2, 1),
            (RenameResource("share/other", "share/third", 1), 1, None),
            (RenameResource("share/projects", "share/taken", 1), None, 1),
        ],
    )
    def test_a_row_that_is_not_at_the_expected_version_refuses_the_whole_commit(
        self, store: StateStore, lease: Lease, change: Change, expected: int | None, found: int | None
    ) -> None:
        """The error says what was expected and what was found; changes before it in the same commit are undone."""
        store.commit(lease, [PutResource(make_record(), None), PutResource(make_record("taken"), None)])
        before = whole_view(store)
        with pytest.raises(VersionConflictError) as caught:
            store.commit(lease, [PutResource(make_record("first"), None), BeginOperation(make_operation()), change])
        assert (caught.value.expected, caught.value.found) == (expected, found)
        assert whole_view(store) == before

    def test_a_commit_that_breaks_a_rule_changes_nothing(self, store: StateStore, lease: Lease) -> None:
        """History of a run that was never recorded is refused, with all that came along."""
        with pytest.raises(StateRefusedError):
            store.commit(lease, [PutResource(make_record(), None), AddHistory(make_entry("share/projects"))])
        assert whole_view(store).serial == 0
        assert not whole_view(store).records

    def test_a_view_of_some_addresses_leaves_out_the_others_and_the_unknown(
        self, store: StateStore, lease: Lease
    ) -> None:
        """Also thousands at once, and addresses that could never be stored."""
        names = [f"s{number}" for number in range(2500)]
        store.commit(lease, [PutResource(make_record(name), None) for name in names])
        with store.read() as reader:
            assert set(reader.view(["share/s1", "share/nobody", "share/\udcff", "share/s1"]).records) == {"share/s1"}
            assert set(reader.view({address_of(Kind.SHARE, name) for name in names[1:]}).records) == {
                address_of(Kind.SHARE, name) for name in names[1:]
            }
            assert reader.view(()).records == {}

    def test_the_records_of_a_kind_are_those_and_no_others(self, store: StateStore, lease: Lease) -> None:
        """Kinds whose names begin alike are told apart."""
        assert _of_kind(store, Kind.SHARE_SERVER) == {}
        addresses = ("share/a", "share_server/a-default@b", "share_network/a", "snapshot/a", "share_server/z@b")
        store.commit(
            lease,
            [
                PutResource(make_record()._replace(address=address, kind=str(kind_of(address))), None)
                for address in addresses
            ],
        )
        assert sorted(_of_kind(store, Kind.SHARE_SERVER)) == ["share_server/a-default@b", "share_server/z@b"]
        assert list(_of_kind(store, Kind.SHARE)) == ["share/a"]
        assert _of_kind(store, Kind.SHARE)["share/a"] == whole_view(store).records["share/a"]

    @pytest.fixture
    def peopled(self, store: StateStore, lease: Lease) -> StateStore:
        """Return a store with shares on two backends, a share server, snapshots and intents."""
        server = make_record(
            "net", address="share_server/net@filer", kind="share_server", resource_id="server-1", pool=None
        )
        on_server = canonical_json(
            {"backend_id": "b", "name": "tenant", "export_locations": [], "share_server_id": "server-1"}
        )
        snapshots = [make_snapshot(name, share) for name, share in (("s1", "a"), ("s2", "a"), ("s3", "b"))]
        shares = [make_record(name) for name in ("a", "b", "c")]
        rows = [
            *shares,
            make_record("z", backend="other"),
            make_record("tenant", attributes=on_server),
            server,
            *snapshots,
        ]
        store.commit(lease, [PutRun(RUN), *(PutResource(row, None) for row in rows)])
        operations = [
            make_operation("o2", "b"),
            make_operation("o1", "a"),
            replace(make_operation("o3", "z"), backend="other"),
        ]
        store.commit(lease, [BeginOperation(operation) for operation in operations])
        return store

    def test_one_record_is_looked_up_by_its_address(self, peopled: StateStore) -> None:
        """None where there is none, and where there could never be one."""
        with peopled.read() as reader:
            found = reader.record("share/a")
            assert found == reader.view().records["share/a"]
            assert reader.record("share/nobody") is None
            assert reader.record("share/\udcff") is None

    def test_records_are_found_by_kind_and_backend_and_in_pages(self, peopled: StateStore) -> None:
        """In the order of their addresses; a page begins after the last address of the one before."""
        with peopled.read() as reader:
            assert list(reader.find()) == sorted(reader.view().records)
            assert list(reader.find(kind=Kind.SHARE, backend="other")) == ["share/z"]
            assert list(reader.find(backend="nobody")) == []
            pages, after = [], ""
            while page := list(reader.find(kind=Kind.SHARE, after=after, limit=2)):
                pages.append(page)
                after = page[-1]
        assert pages == [["share/a", "share/b"], ["share/c", "share/tenant"], ["share/z"]]

    def test_a_record_is_found_by_its_resource_id(self, peopled: StateStore) -> None:
        """Whatever its address is now."""
        with peopled.read() as reader:
            assert list(reader.with_id("id-b")) == ["share/b"]
            assert reader.with_id("nobody") == {}

    def test_children_are_the_snapshots_of_a_share_and_the_shares_on_a_server(
        self, peopled: StateStore, lease: Lease
    ) -> None:
        """Also after the share was renamed: what holds them together are the ids."""
        peopled.commit(lease, [RenameResource("share/a", "share/renamed", 1)])
        with peopled.read() as reader:
            records = reader.view().records
            assert list(reader.children(records["share/renamed"])) == ["snapshot/s1", "snapshot/s2"]
            assert list(reader.children(records["share_server/net@filer"])) == ["share/tenant"]
            assert reader.children(records["share/c"]) == {}

    def test_addresses_are_completed(self, peopled: StateStore) -> None:
        """In their order, and no more than are asked for."""
        with peopled.read() as reader:
            assert list(reader.addresses(Kind.SHARE.prefix)) == [
                "share/a",
                "share/b",
                "share/c",
                "share/tenant",
                "share/z",
            ]
            assert list(reader.addresses("s", limit=2)) == ["share/a", "share/b"]
            assert list(reader.addresses()) == sorted(reader.view().records)
            assert list(reader.addresses("share/\udcff")) == []

    @pytest.mark.parametrize(
        "slip", ["share/projcts-0777", "share/project-0777", "share/projects-077", "share/rpojects-0777"]
    )
    def test_what_was_meant_is_among_the_addresses_like_it(self, store: StateStore, lease: Lease, slip: str) -> None:
        """Among thousands, wherever the slip is; some hundred are returned at most."""
        store.commit(lease, [PutResource(make_record(f"projects-{number:04}"), None) for number in range(2000)])
        with store.read() as reader:
            found = reader.addresses_like(slip)
        assert "share/projects-0777" in found
        assert len(found) < 300

    def test_intents_are_looked_up_by_resource_address_and_backend(self, peopled: StateStore) -> None:
        """In the order of their begin."""
        with peopled.read() as reader:
            ids = [
                [operation.operation_id for operation in found]
                for found in (
                    reader.operations(),
                    reader.operations(resource_id="id-a"),
                    reader.operations(address="share/b"),
                    reader.operations(backend="other"),
                    reader.operations(backend="other", address="share/a"),
                )
            ]
        assert ids == [["o2", "o1", "o3"], ["o1"], ["o2"], ["o3"], []]

    def test_rules_are_a_set_sorted_by_key_and_replaced_as_a_whole(self, store: StateStore, lease: Lease) -> None:
        """A second PutRules leaves nothing of the first, and no rules leave no entry."""
        user = RuleRecord(AccessRule("user", "CORP\\alice", "ro"), "error", "no such user")
        store.commit(
            lease,
            [
                PutResource(make_record("a"), None),
                PutResource(make_record("b"), None),
                PutResource(make_record("c"), None),
                PutRules("share/a", (user, make_rule("10.0.0.9"), make_rule("10.0.0.10", "ro"))),
                PutRules("share/b", (make_rule("10.0.0.1"),)),
            ],
        )
        with store.read() as reader:
            assert reader.rules() == {
                "share/a": (make_rule("10.0.0.10", "ro"), make_rule("10.0.0.9"), user),
                "share/b": (make_rule("10.0.0.1"),),
            }
            assert set(reader.rules(["share/b", "share/c", "share/nobody"])) == {"share/b"}
            assert isinstance(reader.rules()["share/a"][0].rule, AccessRule)
        store.commit(lease, [PutRules("share/a", (make_rule("10.0.0.9", "ro"),)), PutRules("share/b", ())])
        with store.read() as reader:
            assert reader.rules() == {"share/a": (make_rule("10.0.0.9", "ro"),)}

    def test_removing_a_share_removes_its_rules(self, store: StateStore, lease: Lease) -> None:
        """And of its rules alone."""
        store.commit(lease, [PutResource(make_record(name), None) for name in ("a", "b")])
        store.commit(lease, [PutRules(address_of(Kind.SHARE, name), (make_rule("10.0.0.1"),)) for name in ("a", "b")])
        store.commit(lease, [RemoveResource("share/a", 1)])
        with store.read() as reader:
            assert set(reader.view().records) == set(reader.rules()) == {"share/b"}

    def test_renaming_a_share_takes_its_rules_along(self, store: StateStore, lease: Lease) -> None:
        """The row keeps all but its address, and its version grows."""
        store.commit(lease, [PutResource(make_record(), None), PutRules("share/projects", (make_rule("10.0.0.1"),))])
        store.commit(lease, [RenameResource("share/projects", "share/new", 1)])
        with store.read() as reader:
            assert reader.view().records == {"share/new": make_record(address="share/new", version=2)}
            assert reader.rules() == {"share/new": (make_rule("10.0.0.1"),)}

    def test_all_that_is_on_a_backend_follows_its_other_name(self, store: StateStore, lease: Lease) -> None:
        """Its row, shares, servers (whose addresses end with it) and intents, in one commit; others stay as they are."""
        backend = make_record("filer", address="backend/filer", kind="backend", resource_id="identity")
        server = make_record(
            "net", address="share_server/net-default@filer", kind="share_server", resource_id="id-server"
        )
        other = make_record("other", backend="filer2")
        rows = [backend, server, make_record(), other]
        changes: list[Change] = [PutResource(row, None) for row in rows]
        changes.append(BeginOperation(make_operation()))
        store.commit(lease, [PutRun(RUN), PutRules("share/projects", (make_rule("10.0.0.1"),)), *changes])
        store.commit(lease, [RenameBackend("filer", "nas", 1)])
        view = whole_view(store)
        assert {address: (row.backend, row.version) for address, row in view.records.items()} == {
            "backend/nas": ("nas", 2),
            "share_server/net-default@nas": ("nas", 2),
            "share/projects": ("nas", 2),
            "share/other": ("filer2", 1),
        }
        assert [operation.backend for operation in view.operations] == ["nas"]
        with pytest.raises(VersionConflictError):
            store.commit(lease, [RenameBackend("nas", "filer", 1)])
        store.commit(lease, [PutResource(backend, None)])
        with pytest.raises(VersionConflictError):
            store.commit(lease, [RenameBackend("nas", "filer", 2)])
        assert whole_view(store).records.keys() == {*view.records, "backend/filer"}

    def test_an_intent_is_open_from_its_begin_to_its_end(self, store: StateStore, lease: Lease) -> None:
        """Every view shows the open ones, in the order of their begin; ending one that is gone is no error."""
        first, second = make_operation("z"), make_operation("a", "other")
        store.commit(lease, [BeginOperation(first)])
        store.commit(lease, [BeginOperation(second)])
        with store.read() as reader:
            assert reader.view(["share/nobody"]).operations == (first, second)
        store.commit(lease, [EndOperation("z"), EndOperation("z")])
        assert whole_view(store).operations == (second,)
        with pytest.raises(StateRefusedError):
            store.commit(lease, [BeginOperation(second)])

    def test_history_comes_newest_first_with_its_run(self, store: StateStore, lease: Lease) -> None:
        """Numbers grow; an address brings its access rules along, and no neighbour with the same beginning."""
        rule = rule_address("share/a", "ip:10.0.0.1")
        entries = [make_entry(address) for address in ("share/a", "share/ab", rule, "share/a-b", "share/a")]
        store.commit(lease, [PutRun(RUN), PutRun(RUN), *map(AddHistory, entries)])
        lines = list(store.history())
        assert [line.entry for line in lines] == entries[::-1]
        assert {line.run for line in lines} == {RUN}
        assert [line.sequence for line in lines] == sorted((line.sequence for line in lines), reverse=True)
        assert [line.entry.address for line in store.history(address="share/a")] == ["share/a", rule, "share/a"]
        assert [line.entry.address for line in store.history(address=rule)] == [rule]
        assert [line.entry.address for line in store.history(limit=2)] == ["share/a", "share/a-b"]
        assert [line.sequence for line in store.history(address="share/a", limit=1)] == [lines[0].sequence]
        assert list(store.history(address="share/\udcff")) == []

    def test_a_reader_sees_one_moment_whatever_others_commit(
        self, store: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """Records and rules belong together; the next reader sees the new."""
        store.commit(lease, [PutResource(make_record(), None)])
        with open_again().read() as reader, store.read() as own_reader:
            store.commit(
                lease, [PutResource(make_record("b"), None), PutRules("share/projects", (make_rule("10.0.0.1"),))]
            )
            for one_reader in (reader, own_reader):
                assert set(one_reader.view().records) == {"share/projects"}
                assert one_reader.rules() == {}
        assert set(whole_view(store).records) == {"share/projects", "share/b"}

    def test_reading_needs_no_lock(self, store: StateStore, lease: Lease, open_again: Callable[[], StateStore]) -> None:
        """Not even while somebody else holds it."""
        store.commit(lease, [PutResource(make_record(), None)])
        other = open_again()
        assert set(whole_view(other).records) == {"share/projects"}
        assert document_of(other) == document_of(store)

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

    def test_threads_commit_and_read_side_by_side(self, store: StateStore, lease: Lease) -> None:
        """No commit is lost, and no reader ever sees half of one."""
        store.commit(lease, [PutResource(make_record("a"), None), PutResource(make_record("b"), None)])
        done = threading.Event()

        def read() -> int:
            views = 0
            while not done.is_set():
                records = whole_view(store).records
                assert records["share/a"].version == records["share/b"].version
                views += 1
            return views

        def write(number: int) -> None:
            store.commit(lease, [PutResource(make_record(f"new-{number}"), None)])

        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            writers = [pool.submit(write, number) for number in range(50)]
            for version in range(1, 51):
                store.commit(lease, [PutResource(make_record(name), version) for name in ("a", "b")])
            for writer in writers:
                writer.result(PATIENCE_SECONDS)
            done.set()
            assert all(reader.result(PATIENCE_SECONDS) > 0 for reader in readers)
        view = whole_view(store)
        assert (view.serial, len(view.records)) == (101, 52)

    @pytest.fixture
    def filled(self, store: StateStore, lease: Lease) -> StateStore:
        """Return a store that holds something of everything but open intents."""
        store.commit(
            lease,
            [
                PutRun(RUN),
                PutResource(make_record(), None),
                PutResource(make_record("bare", size_bytes=None, pool=None, protect=True), None),
                PutRules("share/projects", (make_rule("10.0.0.1"), make_rule("10.0.0.2", "ro", "error", "refused"))),
                AddHistory(make_entry("share/projects")),
                AddHistory(make_entry("share/bare", "failed")),
            ],
        )
        return store

    def test_export_then_import_then_export_is_identity(
        self, filled: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """Whatever was changed meanwhile, after a forced import the state is the exported one again."""
        document = document_of(filled)
        before, history = whole_view(filled), list(filled.history())
        filled.import_document(lease, document)
        assert document_of(filled) == document
        filled.commit(lease, [RemoveResource("share/projects", 1), BeginOperation(make_operation())])
        filled.import_document(lease, document, force=True)
        other = open_again()
        assert document_of(other) == document
        assert whole_view(other) == before
        assert list(other.history()) == history

    def test_a_document_says_what_it_is(self, filled: StateStore) -> None:
        """Its format, the version of that, and which state at which serial it is."""
        document: JsonObject = orjson.loads(document_of(filled))
        view = whole_view(filled)
        assert (document["format"], document["version"]) == ("sharectl-state", 1)
        assert (document["lineage"], document["serial"]) == (view.lineage, view.serial)
        assert document["resources"][0]["spec"] == orjson.loads(make_record("bare").spec)
        assert "lock" not in document

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"lineage": "another"}, "another state"),
            ({"serial": 0}, "older"),
            ({"resources": [], "rules": {}}, "same serial"),
        ],
    )
    def test_an_import_that_would_lose_something_is_refused_unless_forced(
        self, filled: StateStore, lease: Lease, changes: JsonObject, words: str
    ) -> None:
        """Another lineage, an older serial, or other content under the same serial."""
        before = document_of(filled)
        document = orjson.dumps({**orjson.loads(before), **changes})
        with pytest.raises(StateRefusedError, match=words):
            filled.import_document(lease, document)
        assert document_of(filled) == before
        filled.import_document(lease, document, force=True)
        assert orjson.loads(document_of(filled)) == orjson.loads(document)

    def test_open_intents_block_an_import_unless_forced(self, filled: StateStore, lease: Lease) -> None:
        """They are all that tells of what may be half done on a backend."""
        filled.commit(lease, [BeginOperation(make_operation())])
        document = document_of(filled)
        with pytest.raises(StateRefusedError, match="share/projects"):
            filled.import_document(lease, document)
        filled.import_document(lease, document, force=True)
        assert document_of(filled) == document

    def test_a_copy_holds_what_the_store_held_and_stays(self, filled: StateStore, lease: Lease, tmp_path: Path) -> None:
        """For stores that write copies: one opens by itself, with mode 0600, and later commits do not reach it."""
        from sharectl.state.sqlite.store import open_store  # noqa: PLC0415 - what copies are read with

        if not isinstance(filled, WritesCopies):
            pytest.skip("this store writes no copies")
        before = document_of(filled)
        filled.write_copy(tmp_path / "copy.db")
        filled.commit(lease, [PutResource(make_record("later"), None)])
        assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
        with closing(open_store(tmp_path / "copy.db", create=False)) as copy:
            assert document_of(copy) == before

    def test_the_mark_of_the_content_changes_with_what_is_held(self, filled: StateStore, lease: Lease) -> None:
        """For stores that write copies: not with a run that did nothing."""
        if not isinstance(filled, WritesCopies):
            pytest.skip("this store writes no copies")
        before, serial = filled.content_mark()
        filled.commit(lease, [PutRun(replace(RUN, run_id="run-2"))])
        assert filled.content_mark() == (before, serial + 1)
        filled.commit(lease, [PutResource(make_record("later"), None), AddHistory(make_entry("share/later"))])
        assert filled.content_mark()[0] != before

    def test_a_run_is_known_once_it_is_recorded(self, filled: StateStore, lease: Lease) -> None:
        """For stores that know runs: also after everything was replaced by a document that holds it."""
        if not isinstance(filled, KnowsRuns):
            pytest.skip("this store does not know runs")
        assert not filled.has_run("run-2")
        filled.commit(lease, [PutRun(replace(RUN, run_id="run-2"))])
        filled.import_document(lease, document_of(filled))
        assert filled.has_run("run-2")

    @pytest.mark.parametrize("document", [b"", b"{", b"[]", b"null", b'{"format": "sharectl-state"}', b"\xff\xfe"])
    def test_what_is_no_document_is_refused_forced_or_not(
        self, filled: StateStore, lease: Lease, document: bytes
    ) -> None:
        """And changes nothing."""
        before = document_of(filled)
        for force in (False, True):
            with pytest.raises(StateRefusedError):
                filled.import_document(lease, document, force=force)
        assert document_of(filled) == before
