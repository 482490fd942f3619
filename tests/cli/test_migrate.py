"""`state migrate` moves a state, and leaves it where it was until all of it is in its new place."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.records import BeginOperation
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.postgresql.store import PostgresqlStore
from sharectl.state.sqlite.store import SqliteStore
from sharectl.state.stores import open_store
from sharectl.state.testing.samples import ALICE, document_of, make_operation
from tests.cli.test_postgresql_state import PROJECT

if TYPE_CHECKING:
    from sharectl.model.records import Lease
    from tests.cli.console import Console
    from tests.postgresql import Server


def settled(console: Console, url: str) -> bool:
    """Tell whether nothing is left to do where the state is at `url`."""
    console.write("sharectl.yaml", PROJECT.format(url=url))
    return console("plan", "--detailed-exitcode").code == 0


def test_a_state_goes_into_a_database_and_back_into_a_file(applied: Console, postgresql: Server) -> None:
    """With everything in it; what it was moved from says where it went, to whoever reads it and to whoever would write."""
    url = postgresql.url()
    place = parse_postgresql_url(url)
    history = applied("history", "-o", "json").out
    moved = applied("state", "migrate", "--to", url, "--yes")
    told = " ".join(f"{moved.out} {moved.err}".split())
    assert (moved.code, place.location in told) == (0, True)
    refused = applied("apply", "--yes")
    assert (refused.code, "state.moved" in refused.err, place.schema in refused.err) == (1, True, True)
    assert "state.moved" in applied("plan").err
    assert applied("state", "migrate", "--to", postgresql.url(), "--yes").code == 1
    assert settled(applied, url)
    assert applied("history", "-o", "json").out == history
    back = applied("state", "migrate", "--to", ".sharectl/again.db", "--yes")
    assert back.code == 0
    assert "state.moved" in applied("apply", "--yes").err
    assert settled(applied, "sqlite:.sharectl/again.db")
    assert applied("history", "-o", "json").out == history


def test_a_state_is_not_moved_over_another(applied: Console, postgresql: Server) -> None:
    """Both stay what they were."""
    url = postgresql.url()
    own = (applied.root / "sharectl.yaml").read_text()
    applied.write("sharectl.yaml", PROJECT.format(url=url))
    (applied.root / "sim.db").rename(applied.root / "sim.old")
    assert applied("apply", "--yes").code == 0
    (applied.root / "sim.old").rename(applied.root / "sim.db")
    applied.write("sharectl.yaml", own)
    with closing(open_store(url, create=False)) as there:
        before = document_of(there)
        refused = applied("state", "migrate", "--to", url, "--yes")
        assert (refused.code, "state.taken" in refused.err) == (1, True)
        assert document_of(there) == before
    assert applied("apply", "--yes").code == 0


def test_a_move_that_is_cut_short_leaves_the_state_where_it_was(
    applied: Console, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on being used there, and is moved by the next try."""
    url = postgresql.url()

    def cut(*_arguments: object) -> None:
        raise KeyboardInterrupt

    own = (applied.root / "sharectl.yaml").read_text()
    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "mark_moved", cut)
        assert applied("state", "migrate", "--to", url, "--yes").code == 130
    applied.write("sharectl.yaml", PROJECT.format(url=url))
    refused = applied("apply", "--yes")
    assert (refused.code, "state.moved" in refused.err, "state migrate" in refused.err) == (1, True, True)
    applied.write("sharectl.yaml", own)
    assert applied("state", "mv", "share/one", "share/uno").code == 0
    assert applied("state", "mv", "share/uno", "share/one").code == 0
    assert applied("state", "migrate", "--to", url, "--yes").code == 0
    assert settled(applied, url)
    assert "share/uno" in applied("history").out


def test_a_move_that_is_cut_when_the_old_place_is_marked_is_finished_by_the_next_try(
    applied: Console, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then, neither place is written."""
    url = postgresql.url()
    own = (applied.root / "sharectl.yaml").read_text()
    mark_moved = PostgresqlStore.mark_moved

    def cut_at_the_end(store: PostgresqlStore, lease: Lease, mark: str | None) -> None:
        if mark is None:
            raise KeyboardInterrupt
        mark_moved(store, lease, mark)

    with monkeypatch.context() as patched:
        patched.setattr(PostgresqlStore, "mark_moved", cut_at_the_end)
        assert applied("state", "migrate", "--to", url, "--yes").code == 130
    assert "state.moved" in applied("apply", "--yes").err
    applied.write("sharectl.yaml", PROJECT.format(url=url))
    assert "state.moved" in applied("apply", "--yes").err
    applied.write("sharectl.yaml", own)
    assert applied("state", "migrate", "--to", url, "--yes").code == 0
    assert "state.moved" in applied("apply", "--yes").err
    assert settled(applied, url)
    assert applied("apply", "--yes").code == 0


def test_a_state_is_not_moved_over_a_copy_of_itself_that_is_written_too(applied: Console, postgresql: Server) -> None:
    """What was done there would be gone without a word, whichever of the two has the higher serial."""
    url = postgresql.url()
    own = (applied.root / "sharectl.yaml").read_text()
    applied.write("pulled.json", applied("state", "pull").out)
    applied.write("sharectl.yaml", PROJECT.format(url=url))
    assert applied("state", "push", "pulled.json").code == 0
    assert applied("state", "mv", "share/one", "share/uno").code == 0
    applied.write("sharectl.yaml", own)
    for _ in range(4):
        assert applied("state", "mv", "share/one", "share/other").code == 0
        assert applied("state", "mv", "share/other", "share/one").code == 0
    with closing(open_store(url, create=False)) as there:
        before = document_of(there)
        refused = applied("state", "migrate", "--to", url, "--yes")
        assert (refused.code, "state.taken" in refused.err) == (1, True)
        assert document_of(there) == before


def test_what_has_begun_is_finished_before_a_state_is_moved(applied: Console, postgresql: Server) -> None:
    """It belongs to whoever is at work where the state is now."""
    with closing(open_store(f"sqlite:{applied.root}/.sharectl/state.db", create=False)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [BeginOperation(make_operation())])
        store.release(lease)
    refused = applied("state", "migrate", "--to", postgresql.url(), "--yes")
    assert (refused.code, "state.unsettled" in refused.err) == (1, True)


@pytest.mark.parametrize("to", ["postgresql://me:hunter2@db/x?name=a", "mysql://me:hunter2@db/x", "postgresql://me@/x"])
def test_a_place_that_is_none_is_refused(applied: Console, to: str) -> None:
    """Without a word of a password."""
    refused = applied("state", "migrate", "--to", to, "--yes")
    assert refused.code == 64
    assert "hunter2" not in refused.out + refused.err


def test_a_kept_copy_of_a_file_is_brought_back_into_a_database(applied: Console, postgresql: Server) -> None:
    """Where there is no state yet, and over one that has gone on where that is insisted on."""
    copies = orjson.loads(applied("state", "restore", "-o", "json").out)["copies"]
    url = postgresql.url()
    applied.write("sharectl.yaml", PROJECT.format(url=url))
    assert "state.lost" in applied("state", "list").err
    assert applied("state", "restore", copies[0]["name"], "--yes").code == 0
    assert settled(applied, url)
    assert applied("state", "rm", "share/one").code == 0
    assert applied("state", "restore", copies[0]["name"], "--yes").code == 1
    assert applied("state", "restore", copies[0]["name"], "--yes", "--force").code == 0
    assert settled(applied, url)


def test_a_document_brings_a_database_back_to_what_it_was(applied: Console, postgresql: Server) -> None:
    """`pull` and `push` are for both kinds, and from one to the other."""
    assert applied("state", "pull").code == 0
    document = applied("state", "pull").out
    applied.write("pulled.json", document)
    url = postgresql.url()
    applied.write("sharectl.yaml", PROJECT.format(url=url))
    assert applied("state", "push", "pulled.json").code == 0
    assert settled(applied, url)
    assert applied("state", "rm", "share/one").code == 0
    assert applied("state", "push", "pulled.json").code == 1
    assert applied("state", "push", "--force", "pulled.json").code == 0
    assert settled(applied, url)


@pytest.mark.parametrize("is_marked", [False, True])
def test_a_place_that_is_lost_while_its_state_moves_is_made_again_from_the_other(
    applied: Console, postgresql: Server, monkeypatch: pytest.MonkeyPatch, *, is_marked: bool
) -> None:
    """What is in the new place can be pulled, also before the move is finished; pushed where it was, it is moved from there."""
    url = postgresql.url()
    own = (applied.root / "sharectl.yaml").read_text()
    mark_moved = PostgresqlStore.mark_moved

    def cut(*_arguments: object) -> None:
        raise KeyboardInterrupt

    def cut_at_the_end(store: PostgresqlStore, lease: Lease, mark: str | None) -> None:
        if mark is None:
            raise KeyboardInterrupt
        mark_moved(store, lease, mark)

    with monkeypatch.context() as patched:
        patched.setattr(
            *((PostgresqlStore, "mark_moved", cut_at_the_end) if is_marked else (SqliteStore, "mark_moved", cut))
        )
        assert applied("state", "migrate", "--to", url, "--yes").code == 130
    shutil.rmtree(applied.root / ".sharectl")
    applied.write("sharectl.yaml", PROJECT.format(url=url))
    assert "state.moved" in applied("apply", "--yes").err
    pulled = applied("state", "pull")
    assert pulled.code == 0
    applied.write("pulled.json", pulled.out)
    applied.write("sharectl.yaml", own)
    pushed = applied("state", "push", "pulled.json")
    assert pushed.code == 0, pushed.err
    moved = applied("state", "migrate", "--to", url, "--yes")
    assert moved.code == 0, moved.err
    assert settled(applied, url)
