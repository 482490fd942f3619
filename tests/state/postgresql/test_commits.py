"""How a commit goes to the server: in few messages, with values that are nothing but values."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.records import AddHistory, BeginOperation, EndOperation, HistoryEntry, PutResource, PutRules, PutRun
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import VersionConflictError
from sharectl.state.postgresql.store import open_store, open_url
from sharectl.state.testing.samples import ALICE, RUN, make_operation, make_record, make_rule, whole_view
from tests.postgresql import traced

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgresql import Server

HOSTILE = (
    "'; DROP TABLE resource; --",
    "\\'; COMMIT; --",
    "$$ $1 %s %b %% {} {0} :name ?",
    'a "quoted", {array}, NULL, (row)',
    "\\x41 \\\\ \\n\n\t\u2028 \N{SNOWMAN} \U0001f4be",
    "",
)
DIGEST = b"'\\\x00;%s\"{},NUL\xff\n$"


def payload_of(text: str) -> bytes:
    """Return what an intent holds for later."""
    spec = {"name": "x", "protocol": "NFS", "size_bytes": 1 << 30}
    return canonical_json({"spec": spec, "extra_specs": {text: text}})


def test_a_commit_is_three_round_trips(postgresql: Server, tmp_path: Path) -> None:
    """Whatever changes there are: the beginning with the look at the lease, all changes, and the end."""
    with traced(tmp_path) as sent, closing(open_url(postgresql.url(), create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        names = [f"share-{number}" for number in range(20)]
        begun = [BeginOperation(make_operation(f"operation-{name}", name)) for name in names]
        sent()
        store.commit(lease, [PutRun(RUN), *begun])
        assert sent() == ["Query"] * 3
        ends = [EndOperation(operation.operation.operation_id) for operation in begun]
        entries = [AddHistory(HistoryEntry("run-1", "now", f"share/{name}", "v", "done", b"{}")) for name in names]
        rules = [PutRules(f"share/{name}", (make_rule("10.0.0.1"),)) for name in names]
        store.commit(lease, [*(PutResource(make_record(name), None) for name in names), *rules, *ends, *entries])
        assert sent() == ["Query"] * 3
        assert len(whole_view(store).records) == len(names)


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_values_are_values_whatever_they_look_like(postgresql: Server, conforming: str) -> None:
    """They are in the text of the statements: quotes, backslashes and placeholders, also where the server reads strings in its old way."""
    place = parse_postgresql_url(postgresql.url())
    place = replace(place, parameters={**place.parameters, "options": f"-c standard_conforming_strings={conforming}"})
    records = [
        make_record(f"share-{number}", pool=text, attributes=canonical_json({"name": text}), spec_digest=DIGEST)
        for number, text in enumerate(HOSTILE)
    ]
    operations = [
        replace(make_operation(f"operation-{number}", f"share-{number}"), pool=text, payload=payload_of(text))
        for number, text in enumerate(HOSTILE)
    ]
    entries = [HistoryEntry("run-1", text, "share/x", text, "done", canonical_json({text: text})) for text in HOSTILE]
    rules = tuple(make_rule(f"10.0.0.{number}", reason=text) for number, text in enumerate(HOSTILE))
    with closing(open_store(place, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        changes = [*map(BeginOperation, operations), *map(AddHistory, entries), PutRules("share/share-0", rules)]
        store.commit(lease, [PutRun(RUN), *(PutResource(record, None) for record in records), *changes])
        store.commit(lease, [PutResource(record, 1) for record in records])
        with store.read() as reader:
            view = reader.view()
            assert list(view.records.values()) == [record._replace(version=2) for record in records]
            assert list(view.operations) == operations
            assert reader.rules()["share/share-0"] == rules
        assert [line.entry for line in store.history()] == entries[::-1]


def test_of_changes_that_do_not_fit_none_is_made(postgresql: Server) -> None:
    """Though all have reached the server before it is looked whether each has found its row."""
    with closing(open_url(postgresql.url(), create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record("old"), None)])
        with pytest.raises(VersionConflictError) as caught:
            store.commit(lease, [PutResource(make_record("new"), None), PutResource(make_record("old"), 7)])
        assert (caught.value.address, caught.value.found) == ("share/old", 1)
        assert list(whole_view(store).records) == ["share/old"]
