"""Mending the state by hand: each command says what it did, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.workspace import run as runs

if TYPE_CHECKING:
    from tests.cli.console import Console


def test_list_with_rules_and_by_backend(applied: Console) -> None:
    """Access rules stand under their share when asked for."""
    assert "10.0.0.1" not in applied("state", "list").out
    assert "access ip:10.0.0.1 rw" in applied("state", "list", "--rules").out
    listed = orjson.loads(applied("state", "list", "--rules", "--backend", "sim", "-o", "json").out)
    assert {resource["address"] for resource in listed["resources"]} == {
        "backend/sim",
        "share/one",
        "share/two",
        "snapshot/two-monday",
    }


def test_show_as_json(applied: Console) -> None:
    """The row as it is; an access rule is shown with its share."""
    shown = orjson.loads(applied("state", "show", "share/two/access/ip:10.0.0.1", "-o", "json").out)
    assert shown["resource"]["address"] == "share/two"


def test_rm_says_what_follows(applied: Console) -> None:
    """For each kind: how to have it back, and what the next apply would do."""
    ended = applied("state", "rm", "share/one", "share/one", "snapshot/two-monday", "backend/sim")
    assert ended.code == 0
    assert "`sharectl import share/one gold1/one` takes it over again" in ended.err
    assert "snapshot/two-monday. It stays on backend sim" in ended.err
    assert "pins its identity" in ended.err
    assert applied("import", "share/one", "gold1/one", "--yes").code == 0


def test_rm_names_who_keeps_access(applied: Console) -> None:
    """Nothing on the backend changes, so that whoever was in stays in."""
    assert "Its access stays: ip:10.0.0.1 rw." in applied("state", "rm", "share/two").err
    assert "Its access stays" not in applied("state", "rm", "share/one").err


def test_rm_is_all_or_nothing(applied: Console) -> None:
    """One unknown address, and no row goes."""
    ended = applied("state", "rm", "share/one", "share/nobody")
    assert ended.code == 1
    assert "share/one" in applied("state", "list").out


def test_mv_refuses_what_would_lose_something(applied: Console) -> None:
    """An address that is taken, and another kind; how two names are swapped is said, and works."""
    taken = applied("state", "mv", "share/one", "share/two").err
    assert "error[state.taken]" in taken
    assert "give that one a third name first: `sharectl state mv share/two share/two-2`" in taken
    assert "nothing is to be done" in applied("state", "mv", "share/two", "share/two").err
    assert "error[state.kind]" in applied("state", "mv", "share/one", "snapshot/one").err


def test_pull_and_push(applied: Console) -> None:
    """What was pulled can be pushed; an older one, or one of another state, only with --force: refused, it changes nothing."""
    document = applied("state", "pull").out
    applied.write("state.json", document)
    assert applied("state", "push", "state.json").code == 0
    assert applied("state", "pull").out == document
    assert applied("state", "mv", "share/one", "share/uno").code == 0
    newer = applied("state", "pull").out
    refused = applied("state", "push", "state.json")
    assert refused.code == 1
    assert applied("state", "pull").out == newer
    assert "error[state.refused]" in refused.err
    assert applied("state", "push", "state.json", "--force").code == 0
    assert "share/one" in applied("state", "list").out
    assert applied("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("content", ["", "{}", "nonsense", '{"format": "sharectl-state", "version": 99}'])
def test_push_takes_nothing_else(applied: Console, content: str) -> None:
    """A file that is no exported state changes nothing, forced or not."""
    applied.write("state.json", content)
    before = applied("state", "pull").out
    for force in ((), ("--force",)):
        ended = applied("state", "push", "state.json", *force)
        assert ended.code == 1
        assert "error[state." in ended.err
    assert orjson.loads(applied("state", "pull").out)["resources"] == orjson.loads(before)["resources"]


def test_push_names_a_file_that_is_not_there(applied: Console) -> None:
    """With the system's reason."""
    ended = applied("state", "push", "nothing.json")
    assert ended.code == 64
    assert "nothing.json could not be read" in ended.err


def test_history_of_one_resource(applied: Console) -> None:
    """`history` and `state history` are the same; --limit counts entries."""
    assert "share/two" not in applied("history", "share/one").out
    assert applied("state", "history", "share/one").out == applied("history", "share/one").out
    entries = orjson.loads(applied("history", "--limit", "2", "-o", "json").out)["entries"]
    assert len(entries) == 2


def test_history_of_what_never_was(applied: Console) -> None:
    """A word that names nothing is not told as a resource without history."""
    ended = applied("history", "share/tow")
    assert ended.code == 1
    assert 'did you mean "share/two"?' in ended.err
    assert "share/two" in applied("history", "share/two").out


def test_lock_status_as_json(applied: Console) -> None:
    """Null where nobody holds it."""
    assert orjson.loads(applied("lock", "status", "-o", "json").out)["lock"] is None
    assert applied("unlock").out == "Nobody holds the lock.\n"


def test_the_lock_is_kept_while_somebody_thinks(simulated: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the plan may take longer than a lease lasts: heartbeats go on until the answer."""
    from sharectl.cli.session import Session  # noqa: PLC0415 - patched here only
    from sharectl.state.sqlite.store import open_store  # noqa: PLC0415 - as above

    monkeypatch.setattr(runs, "LEASE_SECONDS", 2.0)

    def thinks(*_: object, **__: object) -> None:
        store = open_store(simulated.root / ".sharectl" / "state.db", create=False)
        try:
            first = store.lock_status()
            assert first is not None
            now = first
            while now is not None and now.heartbeat_at == first.heartbeat_at:
                now = store.lock_status()
        finally:
            store.close()

    monkeypatch.setattr(Session, "agree", thinks)
    assert simulated("apply").code == 0


def test_unlock_that_comes_too_late(applied: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock that was shown is the one that is removed: another that was taken meanwhile stays."""
    from sharectl.model.records import Holder, LockStatus  # noqa: PLC0415 - as above
    from sharectl.state.sqlite.store import SqliteStore  # noqa: PLC0415 - patched here only

    status = LockStatus(1, Holder("ann", "host", 1, "apply"), "then", "now", expired=False, reason="")
    monkeypatch.setattr(SqliteStore, "leases", lambda _: (status,))
    monkeypatch.setattr(SqliteStore, "break_lock", lambda *_: False)
    ended = applied("unlock", "--yes")
    assert ended.code == 1
    assert "This lock is gone already" in ended.err
