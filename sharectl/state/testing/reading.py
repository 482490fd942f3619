"""What is read from a store: records and intents by what they are looked up by, and the state in one piece."""

from __future__ import annotations

import stat
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.kinds import Kind, address_of, kind_of
from sharectl.model.records import (
    AddHistory,
    BeginOperation,
    Lease,
    PutResource,
    PutRules,
    PutRun,
    RemoveResource,
    RenameResource,
)
from sharectl.state.contract import CanMove, KeepsCopies, StateMovedError, StateRefusedError, WritesCopies
from sharectl.state.testing.samples import (
    BOB,
    RUN,
    Conformance,
    document_of,
    make_entry,
    make_operation,
    make_record,
    make_rule,
    make_snapshot,
    of_kind,
    whole_view,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.model.canonical import JsonObject
    from sharectl.state.contract import StateStore


class LookupsConformance(Conformance):
    """What readers look up: by address, kind, backend, id, parent and page."""

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
        assert of_kind(store, Kind.SHARE_SERVER) == {}
        addresses = ("share/a", "share_server/a-default@b", "share_network/a", "snapshot/a", "share_server/z@b")
        store.commit(
            lease,
            [
                PutResource(make_record()._replace(address=address, kind=str(kind_of(address))), None)
                for address in addresses
            ],
        )
        assert sorted(of_kind(store, Kind.SHARE_SERVER)) == ["share_server/a-default@b", "share_server/z@b"]
        assert list(of_kind(store, Kind.SHARE)) == ["share/a"]
        assert of_kind(store, Kind.SHARE)["share/a"] == whole_view(store).records["share/a"]

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

    def test_records_are_found_by_their_resource_ids(self, peopled: StateStore, lease: Lease) -> None:
        """Whatever their addresses are now, and however many are asked for; who has none is left out."""
        peopled.commit(lease, [RenameResource("share/a", "share/renamed", 1)])
        with peopled.read() as reader:
            records = reader.view().records
            many = [f"nobody-{number}" for number in range(3_000)]
            found = reader.with_ids({"id-b", *many, "id-a", "\udcff"})
            assert found == {address: records[address] for address in ("share/b", "share/renamed")}
            assert reader.with_ids(["id-z"]) == {"share/z": records["share/z"]}
            assert reader.with_ids(many) == reader.with_ids(()) == {}

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
            assert list(reader.addresses("share/\ud7ff")) == []
            assert list(reader.addresses("share/\U0010ffff")) == []

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


class DocumentsConformance(Conformance):
    """The state in one piece: documents and copies."""

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
        from sharectl.model.state_urls import url_of_file  # noqa: PLC0415 - only for copies
        from sharectl.state.stores import open_store  # noqa: PLC0415 - as above

        if not isinstance(filled, WritesCopies):
            pytest.skip("this store writes no copies")
        before = document_of(filled)
        filled.write_copy(tmp_path / "copy.db")
        filled.commit(lease, [PutResource(make_record("later"), None)])
        assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
        with closing(open_store(url_of_file(tmp_path / "copy.db"), create=False)) as copy:
            assert document_of(copy) == before

    def test_the_mark_of_the_content_changes_with_what_is_held(self, filled: StateStore, lease: Lease) -> None:
        """For stores of which copies are kept: not with a run that did nothing."""
        if not isinstance(filled, KeepsCopies):
            pytest.skip("of this store no copies are kept")
        before, serial = filled.content_mark()
        filled.commit(lease, [PutRun(replace(RUN, run_id="run-2"))])
        assert filled.content_mark() == (before, serial + 1)
        filled.commit(lease, [PutResource(make_record("later"), None), AddHistory(make_entry("share/later"))])
        assert filled.content_mark()[0] != before

    def test_a_run_is_known_once_it_is_recorded(self, filled: StateStore, lease: Lease) -> None:
        """For stores of which copies are kept: also after everything was replaced by a document that holds it."""
        if not isinstance(filled, KeepsCopies):
            pytest.skip("of this store no copies are kept")
        assert not filled.has_run("run-2")
        filled.commit(lease, [PutRun(replace(RUN, run_id="run-2"))])
        filled.import_document(lease, document_of(filled))
        assert filled.has_run("run-2")

    def test_a_state_that_has_moved_is_read_and_not_written(
        self, filled: StateStore, lease: Lease, open_again: Callable[[], StateStore]
    ) -> None:
        """For stores that know: whoever wants the lock is told where it went."""
        if not isinstance(filled, CanMove):
            pytest.skip("this store does not know where it has gone")
        before = whole_view(filled).records
        assert filled.moved_to() is None
        filled.mark_moved(lease, "elsewhere")
        filled.release(lease)
        other = open_again()
        assert isinstance(other, CanMove)
        assert other.moved_to() == "elsewhere"
        with pytest.raises(StateMovedError, match="elsewhere"):
            other.acquire(BOB, duration_seconds=60)
        assert whole_view(other).records == before

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

    @pytest.mark.parametrize(
        "where",
        [
            ("resources", 0, "backend"),
            ("resources", 0, "resource_id"),
            ("rules", "share/projects", 0, "access_to"),
            ("rules", "share/projects", 0, "access_level"),
            ("rules", "share/projects", 0, "options"),
        ],
    )
    @pytest.mark.parametrize("value", ["", "a\nb"])
    def test_a_document_with_rows_that_no_reader_takes_is_refused_forced_or_not(
        self, filled: StateStore, lease: Lease, where: tuple[str | int, ...], value: str
    ) -> None:
        """The state would count as damaged from then on."""
        before = document_of(filled)
        document = orjson.loads(before)
        part = document
        for step in where[:-1]:
            part = part[step]
        part[where[-1]] = value
        for force in (False, True):
            with pytest.raises(StateRefusedError, match=r"bare|projects"):
                filled.import_document(lease, orjson.dumps(document), force=force)
        assert document_of(filled) == before
