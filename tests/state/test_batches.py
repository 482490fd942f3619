"""Commits of many steps: intents, ends and history are written together, and mean what they mean one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import AddHistory, BeginOperation, EndOperation, PutRun
from sharectl.state.contract import StateRefusedError
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, RUN, document_of, make_entry, make_operation, whole_view

if TYPE_CHECKING:
    from pathlib import Path

ODD = 'share/"quoted" \\ back, 100 % ünïcode'


def test_many_changes_in_one_commit_are_kept_to_the_letter_and_in_their_order(tmp_path: Path) -> None:
    """Quotes, backslashes and what is no ASCII among them; an intent may end in the commit in which others begin."""
    store = open_store(tmp_path / "state.db", create=True)
    lease = store.acquire(ALICE, duration_seconds=60)
    operations = [
        replace(
            make_operation(f"o{n}", f"s{n}"), verb="extend-share", address=ODD, payload=f'{{"a":"ü\\"{n}"}}'.encode()
        )
        for n in range(3)
    ]
    store.commit(lease, [PutRun(RUN), *(BeginOperation(operation) for operation in operations)])
    assert list(whole_view(store).operations) == operations
    entries = [replace(make_entry(ODD), detail=f'{{"n":{n},"q":"\\\\"}}'.encode()) for n in range(3)]
    later = make_operation("o9", "s9")
    store.commit(
        lease,
        [EndOperation("o0"), EndOperation("o2"), BeginOperation(later), *(AddHistory(entry) for entry in entries)],
    )
    assert list(whole_view(store).operations) == [operations[1], later]
    assert [line.entry for line in store.history()] == entries[::-1]
    store.close()


@pytest.mark.parametrize(
    "bad",
    [
        AddHistory(replace(make_entry("share/x"), address="share/\ud800")),
        AddHistory(replace(make_entry("share/x"), run_id="nobody's")),
        AddHistory(replace(make_entry("share/x"), outcome="perhaps")),
        BeginOperation(make_operation("twice")),
    ],
)
def test_one_change_that_cannot_be_kept_refuses_the_whole_commit(
    tmp_path: Path, bad: AddHistory | BeginOperation
) -> None:
    """As it does alone."""
    store = open_store(tmp_path / "state.db", create=True)
    lease = store.acquire(ALICE, duration_seconds=60)
    store.commit(lease, [PutRun(RUN), BeginOperation(make_operation("twice"))])
    before = document_of(store)
    good = [AddHistory(make_entry("share/a")), AddHistory(make_entry("share/b")), BeginOperation(make_operation("new"))]
    with pytest.raises(StateRefusedError):
        store.commit(lease, [*good, bad])
    assert document_of(store) == before
    store.close()


@pytest.mark.parametrize(
    "payload", [b"\xff\x00", b"[]", b"null", b"{", b'{"spec": {}}', b'{"spec": {"size_bytes": -1}}']
)
def test_an_intent_that_nobody_could_finish_is_refused(tmp_path: Path, payload: bytes) -> None:
    """Read later it would be damage; nothing of its commit is kept."""
    store = open_store(tmp_path / "state.db", create=True)
    lease = store.acquire(ALICE, duration_seconds=60)
    operations = [make_operation("a"), replace(make_operation("b"), payload=payload)]
    with pytest.raises(StateRefusedError, match="payload"):
        store.commit(lease, [PutRun(RUN), *(BeginOperation(operation) for operation in operations)])
    assert whole_view(store).operations == ()
    store.close()
