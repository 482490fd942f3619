"""What a commit changes, and that it is whole."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.access import AccessLevel, AccessRule, AccessType
from sharectl.model.kinds import Kind, address_of, rule_address
from sharectl.model.records import (
    AddHistory,
    BeginOperation,
    EndOperation,
    Lease,
    PutResource,
    PutRules,
    PutRun,
    Record,
    RemoveResource,
    RenameBackend,
    RenameResource,
    RuleRecord,
)
from sharectl.state.contract import StateRefusedError, VersionConflictError
from sharectl.state.testing.samples import (
    PATIENCE_SECONDS,
    RUN,
    Conformance,
    document_of,
    make_entry,
    make_operation,
    make_record,
    make_rule,
    whole_view,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.records import Change
    from sharectl.state.contract import StateStore


class CommitsConformance(Conformance):
    """What a commit changes, and that it is whole."""

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

    def test_a_row_takes_the_address_of_one_that_the_same_commit_removes(self, store: StateStore, lease: Lease) -> None:
        """Changes are made as if one after the other."""
        store.commit(lease, [PutResource(make_record(), None), PutResource(make_record("old"), None)])
        store.commit(lease, [RemoveResource("share/old", 1), RenameResource("share/projects", "share/old", 1)])
        assert set(whole_view(store).records) == {"share/old"}
        backend = make_record("nas", address="backend/nas", kind="backend", resource_id="identity")
        store.commit(lease, [PutResource(backend, None)])
        store.commit(lease, [RemoveResource("backend/nas", 1), RenameBackend("filer", "nas", None)])
        assert [record.backend for record in whole_view(store).records.values()] == ["nas"]

    def test_what_breaks_a_rule_hides_no_row_that_is_not_at_the_expected_version(
        self, store: StateStore, lease: Lease
    ) -> None:
        """Whoever had looked before another changed both is told of the row, which is to be looked at again."""
        store.commit(lease, [PutResource(make_record(), None), BeginOperation(make_operation("of-another"))])
        before = whole_view(store)
        with pytest.raises(VersionConflictError):
            store.commit(lease, [PutResource(make_record(), 2), BeginOperation(make_operation("late"))])
        assert whole_view(store) == before

    def test_a_commit_that_breaks_a_rule_changes_nothing(self, store: StateStore, lease: Lease) -> None:
        """History of a run that was never recorded is refused, with all that came along."""
        with pytest.raises(StateRefusedError):
            store.commit(lease, [PutResource(make_record(), None), AddHistory(make_entry("share/projects"))])
        assert whole_view(store).serial == 0
        assert not whole_view(store).records

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
            assert reader.count_rules() == sum(map(len, reader.rules().values()))
            assert isinstance(reader.rules()["share/a"][0].rule, AccessRule)
        store.commit(lease, [PutRules("share/a", (make_rule("10.0.0.9", "ro"),)), PutRules("share/b", ())])
        with store.read() as reader:
            assert reader.rules() == {"share/a": (make_rule("10.0.0.9", "ro"),)}

    def test_a_rule_of_enumeration_members_is_a_rule(self, store: StateStore, lease: Lease) -> None:
        """As drivers may list it; it reads back as text."""
        rule = AccessRule(AccessType.USER, "alice", AccessLevel.READ_ONLY)
        store.commit(lease, [PutResource(make_record("a"), None), PutRules("share/a", (RuleRecord(rule, "active"),))])
        with store.read() as reader:
            (found,) = reader.rules()["share/a"]
        assert found.rule == rule
        assert {type(part) for part in found.rule[:3]} == {str}

    def test_a_rule_keeps_its_options(self, store: StateStore, lease: Lease) -> None:
        """In the store and in its document."""
        rule = AccessRule("ip", "10.0.0.5", "rw", (("anonymousUid", "7"), ("squash", "all")))
        rules = (make_rule("10.0.0.1"), RuleRecord(rule, "active"))
        store.commit(lease, [PutResource(make_record(), None), PutRules("share/projects", rules)])
        with store.read() as reader:
            assert reader.rules() == {"share/projects": rules}
        document = document_of(store)
        store.import_document(lease, document, force=True)
        assert document_of(store) == document
        with store.read() as reader:
            assert reader.rules() == {"share/projects": rules}

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
        """Every view shows the open ones, in the order of their begin; ending one that is gone is not an error."""
        first, second = make_operation("z"), make_operation("a", "other")
        store.commit(lease, [BeginOperation(first)])
        store.commit(lease, [BeginOperation(second)])
        with store.read() as reader:
            assert reader.view(["share/nobody"]).operations == (first, second)
        store.commit(lease, [EndOperation("z"), EndOperation("z")])
        assert whole_view(store).operations == (second,)
        with pytest.raises(StateRefusedError):
            store.commit(lease, [BeginOperation(second)])

    def test_a_resource_has_one_open_intent_of_a_verb_on_its_backend(self, store: StateStore, lease: Lease) -> None:
        """A second is refused with its whole commit until the first has ended; another verb, and one without an id, may be open beside it."""
        first = make_operation("o1")
        access = replace(first, operation_id="o2", verb="update-access", payload=b'{"spec":null}')
        unknown = [replace(first, operation_id=name, resource_id="") for name in ("o3", "o4")]
        store.commit(lease, [BeginOperation(each) for each in (first, access, *unknown)])
        again = replace(first, operation_id="o5")
        with pytest.raises(StateRefusedError):
            store.commit(lease, [PutResource(make_record("other"), None), BeginOperation(again)])
        assert not whole_view(store).records
        store.commit(lease, [EndOperation("o1"), BeginOperation(again)])
        assert whole_view(store).operations == (access, *unknown, again)

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
