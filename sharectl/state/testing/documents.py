"""The state in one piece: documents and copies."""

from __future__ import annotations

import stat
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.records import (
    AddHistory,
    BeginOperation,
    Lease,
    PutResource,
    PutRules,
    PutRun,
    RemoveResource,
)
from sharectl.state.contract import (
    KnowsRuns,
    StateRefusedError,
    WritesCopies,
)
from sharectl.state.testing.base import Conformance
from sharectl.state.testing.samples import (
    RUN,
    document_of,
    make_entry,
    make_operation,
    make_record,
    make_rule,
    whole_view,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.model.canonical import JsonObject
    from sharectl.state.contract import StateStore


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

    @pytest.mark.parametrize(
        "where",
        [
            ("resources", 0, "backend"),
            ("resources", 0, "resource_id"),
            ("rules", "share/projects", 0, "access_to"),
            ("rules", "share/projects", 0, "access_level"),
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
