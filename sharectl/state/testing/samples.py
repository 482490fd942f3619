"""What all parts of the suite begin with: records, intents and entries to fill a store with, and the fixtures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.model.access import AccessRule
from sharectl.model.canonical import canonical_json
from sharectl.model.kinds import Kind, address_of
from sharectl.model.records import HistoryEntry, Holder, OperationRecord, Record, RuleRecord, RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.records import Lease, StateView
    from sharectl.state.contract import StateStore

LEASE_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
ALICE = Holder("alice", "one.example", os.getpid(), "sharectl apply", "alice-at-forge", "https://ci.example/7")
BOB = Holder(user="bob", host="two.example", process_id=os.getpid(), command="sharectl destroy")
RUN = RunRecord(
    run_id="run-1",
    command="sharectl apply",
    user="alice",
    host="one.example",
    started_at="2026-05-04T12:00:00Z",
    git_commit="0123abc",
    ci_job_url="https://ci.example/7",
    actor="alice-at-forge",
    author="Bob <bob@two.example>",
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


def of_kind(store: StateStore, kind: Kind) -> Mapping[Address, Record]:
    """Return the records of one kind that the store holds now."""
    with store.read() as reader:
        return reader.find(kind=kind)


class Conformance:
    """What all parts of the suite begin with: a way to open a store, an empty one, and a lease on it."""

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
