"""How the state file comes to be, and which files are refused without being touched."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import PutResource
from sharectl.state.contract import (
    StateCorruptError,
    StateError,
    StateNewerError,
    StateNotOursError,
    StateRefusedError,
    StateUnavailableError,
)
from sharectl.state.sqlite import files
from sharectl.state.sqlite.migrations import APPLICATION_ID, MIGRATIONS
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, document_of, make_record, whole_view

from .processes import start

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.state.sqlite.store import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a sound state with one record is."""
    path = tmp_path / "state.db"
    store = open_store(path, create=True)
    lease = store.acquire(ALICE, duration_seconds=60)
    store.commit(lease, [PutResource(make_record(), None)])
    store.release(lease)
    store.close()
    return path


def traces(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and modification time of every file in `directory`."""
    return {
        entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in directory.iterdir() if entry.is_file()
    }


def refused(path: Path) -> StateError:
    """Return the error of opening `path`, which must leave every file in its directory as it was, whatever `create` is."""
    before = traces(path.parent)
    for create in (True, False):
        with pytest.raises(StateError) as caught:
            open_store(path, create=create)
    assert traces(path.parent) == before
    assert caught.value.remedy
    assert str(path) in str(caught.value)
    return caught.value


def read_all(store: SqliteStore) -> None:
    """Read what there is to be read."""
    with store.read() as reader:
        reader.view()
        reader.rules()
    store.lock_status()


def mode_of(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o377])
def test_the_file_its_companions_and_its_directories_are_private_under_every_umask(tmp_path: Path, umask: int) -> None:
    """0600 and 0700; a directory that was there before keeps its mode."""
    tmp_path.chmod(0o755)
    before = os.umask(umask & 0o077)
    try:
        store = open_store(tmp_path / "a" / "b" / "state.db", create=True)
        store.acquire(ALICE, duration_seconds=60)
    finally:
        os.umask(before)
    with closing(store):
        files = sorted((tmp_path / "a" / "b").iterdir())
        assert [file.name for file in files] == ["state.db", "state.db-shm", "state.db-wal"]
        assert {mode_of(file) for file in files} == {0o600}
        assert mode_of(tmp_path / "a") == mode_of(tmp_path / "a" / "b") == 0o700
        assert mode_of(tmp_path) == 0o755


def test_a_missing_file_reads_as_an_empty_state_and_nothing_is_written(tmp_path: Path) -> None:
    """A plan in a new repository leaves no trace; writing is refused with a way out."""
    with closing(open_store(tmp_path / "deep" / "state.db", create=False)) as store:
        view = whole_view(store)
        assert (view.lineage, view.serial, view.records, view.operations) == ("", 0, {}, ())
        with store.read() as reader:
            assert reader.rules() == {}
        assert list(store.history()) == []
        assert store.lock_status() is None
        assert store.break_lock(1) is False
        assert b'"resources": []' in document_of(store)
        with pytest.raises(StateUnavailableError, match="no state file") as caught:
            store.acquire(ALICE, duration_seconds=60)
        assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    """A store on a missing file reads what another process makes there."""
    with closing(open_store(tmp_path / "state.db", create=False)) as early:
        assert whole_view(early).lineage == ""
        with closing(open_store(tmp_path / "state.db", create=True)) as late:
            assert whole_view(early).lineage == whole_view(late).lineage != ""


def test_reading_and_writing_leave_one_file_behind(path: Path) -> None:
    """SQLite's own files are merged and gone after the last store is closed; the state is not touched by readers."""
    before = traces(path.parent)
    with closing(open_store(path, create=False)) as store:
        assert set(whole_view(store).records) == {"share/projects"}
    assert traces(path.parent) == before
    with closing(open_store(path, create=True)) as store:
        store.acquire(ALICE, duration_seconds=60)
    assert [entry.name for entry in path.parent.iterdir()] == ["state.db"]


def test_many_who_create_at_once_share_one_state(tmp_path: Path) -> None:
    """One file wins, whole; no draft is left over."""
    start_together = threading.Barrier(6)
    lineages: list[str] = []

    def create() -> None:
        start_together.wait(300)
        with closing(open_store(tmp_path / "new" / "state.db", create=True)) as store:
            lineages.append(whole_view(store).lineage)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(lineages) == 6
    assert len(set(lineages)) == 1
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["state.db"]


def test_a_link_to_a_state_is_followed(path: Path, tmp_path: Path) -> None:
    """SQLite's files stand beside the target, so that every way to it shares them."""
    link = tmp_path / "link" / "state.db"
    link.parent.mkdir()
    link.symlink_to(path)
    with closing(open_store(link, create=True)) as store:
        store.acquire(ALICE, duration_seconds=60)
        assert store.location == str(path)
        assert [entry.name for entry in link.parent.iterdir()] == ["state.db"]


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    """It may lead to a file system that is not mounted: nothing is made at its end."""
    (tmp_path / "state.db").symlink_to(tmp_path / "elsewhere" / "state.db")
    assert "symbolic link" in refused(tmp_path / "state.db").reason
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_and_a_fifo_are_refused(tmp_path: Path) -> None:
    """Without waiting for somebody at the other end."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("directory", "fifo"):
        assert isinstance(refused(tmp_path / name), StateNotOursError)


def test_a_path_through_a_file_is_refused(path: Path) -> None:
    """What should be a directory is none."""
    with pytest.raises(StateUnavailableError):
        open_store(path / "state.db", create=True)
    with closing(open_store(path / "state.db", create=False)) as store:
        assert not whole_view(store).records


@pytest.mark.parametrize("content", [b"kind: Share\n", b"\x00" * 4096, b"SQLite format 2\x00" * 512])
def test_a_file_that_is_something_else_is_not_ours(tmp_path: Path, content: bytes) -> None:
    """Text, zeros, or nearly SQLite."""
    (tmp_path / "state.db").write_bytes(content)
    assert isinstance(refused(tmp_path / "state.db"), StateNotOursError)


def test_the_database_of_another_program_is_not_ours(tmp_path: Path) -> None:
    """Even with its own changes waiting in its log."""
    other = sqlite3.connect(tmp_path / "state.db")
    with closing(other):
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (x)")
        for name in ("state.db", "state.db-wal"):
            (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
    assert isinstance(refused(tmp_path / "copy-state.db"), StateNotOursError)


def test_an_empty_file_is_corrupt_not_new(tmp_path: Path) -> None:
    """A state that was cut off must not look like one in which nothing has been made yet."""
    (tmp_path / "state.db").touch()
    assert isinstance(refused(tmp_path / "state.db"), StateCorruptError)


@pytest.mark.parametrize("kept", [4096, 8192, 20000])
def test_a_truncated_file_is_corrupt(path: Path, kept: int) -> None:
    """Wherever it was cut."""
    path.write_bytes(path.read_bytes()[:kept])
    assert isinstance(refused(path), StateCorruptError)


def test_a_header_that_contradicts_itself_is_corrupt(path: Path) -> None:
    """The format of its schema is one that does not exist."""
    content = bytearray(path.read_bytes())
    content[44:48] = (99).to_bytes(4, "big")
    path.write_bytes(content)
    assert isinstance(refused(path), StateCorruptError)


def test_a_log_without_its_file_is_refused(path: Path) -> None:
    """A new file in its place would be given the old log's changes by SQLite."""
    path.with_name("state.db-wal").write_bytes(b"changes")
    path.unlink()
    assert isinstance(refused(path), StateCorruptError)


def set_version(path: Path, version: int) -> None:
    """Claim that the file's format has this version."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    path.with_name("state.db-wal").unlink(missing_ok=True)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    """It says which version it has, and which is known."""
    set_version(path, 99)
    error = refused(path)
    assert isinstance(error, StateNewerError)
    assert "99" in error.reason


def test_a_version_that_never_was_is_corrupt(path: Path) -> None:
    """Version 0 is an empty database, which this one is not."""
    set_version(path, 0)
    assert isinstance(refused(path), StateCorruptError)


def test_a_newer_version_that_is_still_in_the_log_is_refused_and_not_merged(path: Path) -> None:
    """A newer sharectl died right after its migration: an older one must neither read nor merge what it left."""
    code = """
import sqlite3
connection = sqlite3.connect(path, isolation_level=None)
connection.execute("PRAGMA user_version = 1000")
print("done", flush=True)
sys.stdin.read()
"""
    with start(code, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.kill()
    content = path.read_bytes(), path.with_name("state.db-wal").read_bytes()
    for create in (True, False):
        with closing(open_store(path, create=create)) as store:
            with pytest.raises(StateNewerError), store.read():
                pytest.fail("a newer state was read")
            with pytest.raises(StateNewerError):
                store.acquire(ALICE, duration_seconds=60)
    assert (path.read_bytes(), path.with_name("state.db-wal").read_bytes()) == content


def test_a_garbage_page_is_found_before_a_lease_is_given(path: Path) -> None:
    """Reading the rest may still work; writing begins only on a file that is sound as a whole, and changes nothing."""
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'resource'").fetchone()[0]
    content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    before = traces(path.parent)
    with closing(open_store(path, create=True)) as store:
        with pytest.raises(StateCorruptError), store.read() as reader:
            reader.view()
        with pytest.raises(StateCorruptError) as caught:
            store.acquire(ALICE, duration_seconds=60)
        assert "sharectl state restore" in caught.value.remedy
        with pytest.raises(StateCorruptError):
            document_of(store)
    assert traces(path.parent)["state.db"] == before["state.db"]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM meta",
        "DROP TABLE access_rule",
        "INSERT INTO lease VALUES (1, 'u', 'h', 1, 'c', NULL, 'n', '', '', 'x', 'x', 0, 1, '{}', NULL, NULL)",
        "INSERT INTO lease VALUES (1, 'u', 'h', 1, 'c', NULL, 'n', '', '', 'x', '2026-05-04T12:00:00Z', 0, 1, '[]', NULL, NULL)",
    ],
)
def test_rows_that_sharectl_never_writes_are_damage(path: Path, damage: str) -> None:
    """Whoever edits the file by hand is told so."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(damage)
    with closing(open_store(path, create=True)) as store, pytest.raises(StateCorruptError):
        read_all(store)


def test_history_without_its_run_and_text_that_is_no_json_are_damage(path: Path) -> None:
    """The store writes neither."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO history VALUES (1, 'nobody', 't', 'share/a', 'v', 'done', x'7b7d')")
        connection.execute("UPDATE resource SET spec = x'7b'")
    with closing(open_store(path, create=True)) as store:
        with pytest.raises(StateCorruptError, match="run"):
            list(store.history())
        with pytest.raises(StateCorruptError, match="not a JSON object"):
            document_of(store)


def test_a_row_that_breaks_a_check_is_found_before_a_lease_is_given(path: Path) -> None:
    """The quick check reads the rows too."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE resource SET version = 'x'")
    with closing(open_store(path, create=True)) as store, pytest.raises(StateCorruptError):
        store.acquire(ALICE, duration_seconds=60)


@pytest.mark.parametrize(
    "changes", [{"backend": "\udcff"}, {"size_bytes": 1 << 63}, {"size_bytes": -1}, {"spec": {"name": "x"}}]
)
def test_a_value_that_cannot_be_stored_is_refused(path: Path, changes: dict[str, object]) -> None:
    """Text that is no Unicode, numbers beyond 64 bits, negative sizes: an error of the contract, and nothing changed."""
    with closing(open_store(path, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        with pytest.raises(StateRefusedError):
            store.commit(lease, [PutResource(make_record("other", **changes), None)])
        assert whole_view(store).serial == 1


def test_a_change_of_an_unknown_kind_is_a_mistake_of_the_program(path: Path) -> None:
    """It is not passed over in silence, and takes the rest of its commit along."""
    with closing(open_store(path, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        with pytest.raises(KeyError):
            store.commit(lease, [PutResource(make_record("other"), None), "unknown"])  # type: ignore[list-item]
        assert set(whole_view(store).records) == {"share/projects"}


def test_a_commit_without_changes_checks_the_lease_and_leaves_the_serial(path: Path) -> None:
    """There is nothing to count."""
    with closing(open_store(path, create=True)) as store:
        store.commit(store.acquire(ALICE, duration_seconds=60), [])
        assert whole_view(store).serial == 1


def test_a_new_state_takes_any_document(path: Path, tmp_path: Path) -> None:
    """It has nothing to lose: so a state is restored from its document."""
    with closing(open_store(path, create=False)) as store:
        document = document_of(store)
    with closing(open_store(tmp_path / "restored.db", create=True)) as store:
        store.import_document(store.acquire(ALICE, duration_seconds=60), document)
        assert document_of(store) == document


def test_creating_leaves_a_file_that_came_first(path: Path) -> None:
    """Whoever loses the race uses the winner's state."""
    before = path.read_bytes()
    files.create(path, MIGRATIONS)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["state.db"]


def test_a_name_that_the_file_system_refuses_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems have no hard links: the reason says so."""

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(target), None, str(self))

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    with pytest.raises(StateUnavailableError) as caught:
        open_store(tmp_path / "state.db", create=True)
    assert "hard links" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_text_that_is_no_text_is_damage(path: Path) -> None:
    """Bytes that are no UTF-8, where the schema has text."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE resource SET backend = CAST(x'ff' AS TEXT)")
    with (
        closing(open_store(path, create=False)) as store,
        store.read() as reader,
        pytest.raises(StateCorruptError),
    ):
        reader.view()


def test_a_file_system_without_shared_memory_is_refused(path: Path) -> None:
    """Shown on a database in memory, which can have no log either."""
    with closing(files.connect_memory()) as connection, pytest.raises(StateUnavailableError, match="shared memory"):
        files.prepare_writing(connection, path)


def test_a_closed_store_is_not_used_again(path: Path) -> None:
    """Every use says so, and closing twice is harmless."""
    store = open_store(path, create=True)
    lease = store.acquire(ALICE, duration_seconds=60)
    reading = store.read()
    with reading as reader:
        store.close()
        assert set(reader.view().records) == {"share/projects"}
    store.close()
    with pytest.raises(StateUnavailableError, match="closed"), store.read():
        pytest.fail("a closed store was read")
    with pytest.raises(StateUnavailableError, match="closed"):
        store.commit(lease, [])


def test_the_file_command_can_recognise_a_state(path: Path) -> None:
    """The application id and the version stand in SQLite's header."""
    content = path.read_bytes()
    assert content[68:72] == APPLICATION_ID.to_bytes(4, "big") == b"shct"
    assert int.from_bytes(content[60:64], "big") == len(MIGRATIONS)
