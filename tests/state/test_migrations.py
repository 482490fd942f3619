"""How a file of an older version comes to the newest, and what is kept of it."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import EVERYTHING, AddHistory, HistoryEntry, HistoryFilter, PutResource, PutRules, PutRun
from sharectl.state.columns import RESOURCE
from sharectl.state.contract import LockedError, StateCorruptError, StateNewerError, StateUnavailableError
from sharectl.state.document import compose, parse
from sharectl.state.sqlite.migrations import MIGRATIONS
from sharectl.state.sqlite.reader import history_lines
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, BOB, RUN, document_of, make_record, make_rule, whole_view

if TYPE_CHECKING:
    from pathlib import Path

CURRENT = len(MIGRATIONS)
NEXT = (*MIGRATIONS, ("ALTER TABLE run ADD COLUMN note TEXT", "UPDATE resource SET pool = 'migrated'"))
BROKEN = (*MIGRATIONS, ("UPDATE resource SET pool = 'half'", "SELECT nothing FROM nowhere"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a state of the newest version with one record is."""
    with closing(open_store(tmp_path / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record(), None)])
        store.release(lease)
    return tmp_path / "state.db"


def version_of(path: Path) -> int:
    """Return the version in the header of a file that nobody has open."""
    return int.from_bytes(path.read_bytes()[60:64], "big")


def test_an_older_file_is_migrated_with_the_first_lease_and_a_copy_is_kept(path: Path) -> None:
    """The copy is as private as the file, whole, and readable by the older sharectl."""
    with closing(open_store(path, create=True, migrations=NEXT)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        assert whole_view(store).records == {"share/projects": make_record(pool="migrated")}
        store.commit(lease, [PutResource(make_record(), 1)])
        store.release(lease)
    backup = path.with_name(f"state.db.v{CURRENT}.backup")
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["state.db", backup.name]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert (version_of(path), version_of(backup)) == (CURRENT + 1, CURRENT)
    with closing(open_store(backup, create=True)) as store:
        store.acquire(BOB, duration_seconds=60)
        assert whole_view(store).records == {"share/projects": make_record()}


def test_an_older_file_is_read_as_after_the_migration_without_being_touched(path: Path) -> None:
    """A plan does not write."""
    before = path.read_bytes(), path.stat().st_mtime_ns
    with closing(open_store(path, create=False, migrations=NEXT)) as store:
        assert whole_view(store).records == {"share/projects": make_record(pool="migrated")}
        assert store.lock_status() is None
        assert b"migrated" in document_of(store)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in path.parent.iterdir()] == ["state.db"]


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    """All of its statements count, or none; the copy made before is kept."""
    with closing(open_store(path, create=True, migrations=BROKEN)) as store, pytest.raises(StateCorruptError):
        store.acquire(ALICE, duration_seconds=60)
    assert version_of(path) == CURRENT
    with closing(open_store(path, create=True)) as store:
        assert whole_view(store).records == {"share/projects": make_record()}
        store.acquire(ALICE, duration_seconds=60)


def test_a_reading_whose_migration_fails_is_refused(path: Path) -> None:
    """And leaves the file as it was."""
    before = path.read_bytes()
    with (
        closing(open_store(path, create=False, migrations=BROKEN)) as store,
        pytest.raises(StateCorruptError),
        store.read(),
    ):
        pytest.fail("half a migration was read")
    assert path.read_bytes() == before


def test_a_copy_that_cannot_be_made_stops_the_migration(path: Path) -> None:
    """Nothing is migrated without one, and no part of a copy is left."""
    path.with_name(f"state.db.v{CURRENT}.backup").mkdir()
    with (
        closing(open_store(path, create=True, migrations=NEXT)) as store,
        pytest.raises(StateUnavailableError),
    ):
        store.acquire(ALICE, duration_seconds=60)
    assert version_of(path) == CURRENT
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["state.db", f"state.db.v{CURRENT}.backup"]


def test_a_file_is_not_migrated_under_somebody_who_works_on_it(path: Path) -> None:
    """The newer sharectl waits for the older one's lock as for any other."""
    with (
        closing(open_store(path, create=True)) as older,
        closing(open_store(path, create=True, migrations=NEXT)) as newer,
    ):
        lease = older.acquire(ALICE, duration_seconds=60)
        with pytest.raises(LockedError):
            newer.acquire(BOB, duration_seconds=60)
        older.commit(lease, [PutResource(make_record("more"), None)])
        older.release(lease)
        newer.acquire(BOB, duration_seconds=60, wait_seconds=10)
        with pytest.raises(StateNewerError):
            older.acquire(ALICE, duration_seconds=60)
        with pytest.raises(StateNewerError):
            whole_view(older)


def test_the_lock_of_an_older_file_can_be_taken_away(path: Path) -> None:
    """Its holder may be dead without anybody here being able to tell; the file is migrated, and a holder that lives is refused."""
    with (
        closing(open_store(path, create=True)) as older,
        closing(open_store(path, create=False, migrations=NEXT)) as newer,
    ):
        lease = older.acquire(ALICE, duration_seconds=60)
        with pytest.raises(LockedError):
            newer.break_lock(lease.token + 1)
        assert newer.break_lock(lease.token)
        assert newer.lock_status() is None
        with pytest.raises(StateNewerError):
            older.commit(lease, [PutResource(make_record("more"), None)])


def test_a_state_without_a_log_gets_one_back(path: Path) -> None:
    """Tools that copy databases switch the log off; the next writer switches it on."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with closing(open_store(path, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record("more"), None)])
        assert path.with_name("state.db-wal").exists()
        assert set(whole_view(store).records) == {"share/projects", "share/more"}


VERSION_1 = """
INSERT INTO resource VALUES ('share/projects', 'share', 'id-1', 'filer', 'p', 3, x'00112233445566778899aabbccddeeff0f0e0d0c0b0a09080706050403020100', 5, 1, '{}', '{}');
INSERT INTO resource VALUES ('share/refused', 'share', 'id-2', 'filer', 'p', 1, CAST('rules refused' AS BLOB), 5, 0, '{}', '{}');
UPDATE resource SET spec = CAST(spec AS BLOB), attributes = CAST(attributes AS BLOB);
UPDATE resource SET digest = x'72756c6573207265667573656400000000000000000000000000000000000000' WHERE resource_id = 'id-2';
INSERT INTO access_rule VALUES ('share/projects', 'ip', '10.0.0.1', 'rw', 'active', '');
UPDATE meta SET lineage = 'lineage-1', serial = 7;
PRAGMA user_version = 1;
"""


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Return where a state of version 1 is, as sharectl wrote it then."""
    path = tmp_path / "first.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.executescript(VERSION_1.replace("'{}', '{}'", "CAST('{}' AS BLOB), CAST('{}' AS BLOB)"))
    return path


@pytest.mark.parametrize("locked", [False, True])
def test_version_1_had_both_digests_in_one(first: Path, locked: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """They are two now, and a share of which a rule was refused has none of its spec; its rules stay."""
    with closing(open_store(first, create=True)) as store:
        if locked:
            store.acquire(ALICE, duration_seconds=60)
        view = whole_view(store)
        digests = {address: (record.spec_digest, record.access_digest) for address, record in view.records.items()}
        with store.read() as reader:
            assert reader.rules().keys() == {"share/projects"}
        assert (view.lineage, view.serial, view.records["share/projects"].version) == ("lineage-1", 7, 3)
    assert digests == {
        "share/projects": (
            bytes.fromhex("00112233445566778899aabbccddeeff"),
            bytes.fromhex("0f0e0d0c0b0a09080706050403020100"),
        ),
        "share/refused": (None, bytes(16)),
    }
    assert version_of(first) == (CURRENT if locked else 1)


def test_version_1_did_not_say_what_a_row_belongs_to(first: Path) -> None:
    """Snapshots belong to shares, and shares to share servers; the address of a server names it, too, and is none of its shares."""
    rows = (
        ("snapshot/s", "snapshot", "id-3", '{"share_resource_id": "id-1"}'),
        ("share_server/net@filer", "share_server", "server-1", "{}"),
        ("share/tenant", "share", "id-4", '{"share_server_id": "server-1"}'),
        ("network_allocation/net/10.0.0.1", "network_allocation", "a-1", '{"share_server_id": "server-1"}'),
    )
    with closing(sqlite3.connect(first)) as connection:
        connection.executemany(
            "INSERT INTO resource VALUES (?, ?, ?, 'filer', NULL, 1, zeroblob(32), NULL, 0, CAST('{}' AS BLOB), CAST(? AS BLOB))",
            rows,
        )
        connection.commit()
    with closing(open_store(first, create=True)) as store, store.read() as reader:
        records = reader.view().records
        assert list(reader.children(records["share/projects"])) == ["snapshot/s"]
        assert list(reader.children(records["share_server/net@filer"])) == ["share/tenant"]


def test_a_row_of_version_1_that_was_damaged_is_told_as_damage(first: Path) -> None:
    """With the way back, by who reads and who writes; nothing was asked to be changed."""
    with closing(sqlite3.connect(first)) as connection:
        connection.execute("UPDATE resource SET digest = x'00' WHERE address = 'share/projects'")
        connection.commit()
    with closing(open_store(first, create=True)) as store:
        with pytest.raises(StateCorruptError, match="damaged: a row does not fit"):
            whole_view(store)
        with pytest.raises(StateCorruptError, match="damaged: a row does not fit"):
            store.acquire(ALICE, duration_seconds=60)
    assert version_of(first) == 1


def test_a_lock_that_was_left_behind_is_a_lease_on_everything_now(first: Path) -> None:
    """Tokens go on from where they were."""
    with closing(sqlite3.connect(first)) as connection:
        connection.execute(
            "UPDATE lock SET token = 9000000000, user = 'u', host = 'h', process_id = 1, command = 'c', node = 'n', boot_id = '',"
            " process_namespace = '', acquired_at = '2026-05-04T12:00:00Z', heartbeat_at = '2026-05-04T12:00:00Z',"
            " heartbeat_boottime_seconds = 0.0, duration_seconds = 1.0"
        )
        connection.commit()
    with closing(open_store(first, create=True)) as store:
        status = store.lock_status()
        assert status is not None
        assert (status.token, status.holder.user, status.expired, status.scope) == (9000000000, "u", True, EVERYTHING)
        assert store.acquire(ALICE, duration_seconds=60).token == 9000000001


def test_a_refused_rule_survives_a_document(tmp_path: Path) -> None:
    """Documents have both digests in one text, as before."""
    with closing(open_store(tmp_path / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record(spec_digest=None), None)])
        document = document_of(store)
        store.import_document(lease, document, force=True)
        assert whole_view(store).records["share/projects"].spec_digest is None
        assert document_of(store) == document


def test_of_an_intent_that_version_3_had_twice_the_later_one_stays(first: Path) -> None:
    """Of one verb on one resource; without an id they are not known to be about the same."""
    with closing(sqlite3.connect(first)) as connection:
        connection.executemany(
            "INSERT INTO operation VALUES (NULL, ?, 'r', 'share/a', 'delete-share', ?, 'filer', NULL, 't', CAST('{\"spec\":null}' AS BLOB))",
            [("o1", "id-1"), ("o2", "id-2"), ("o3", "id-1"), ("o4", ""), ("o5", "")],
        )
        connection.commit()
    with closing(open_store(first, create=True)) as store:
        assert [operation.operation_id for operation in whole_view(store).operations] == ["o2", "o3", "o4", "o5"]


def test_an_older_file_is_migrated_for_reading_once_until_it_changes(path: Path) -> None:
    """However often it is read; what others write is seen."""
    counted = (*MIGRATIONS, ("UPDATE meta SET lineage = hex(randomblob(16))",))
    with (
        closing(open_store(path, create=False, migrations=counted)) as newer,
        closing(open_store(path, create=True)) as older,
    ):
        before = whole_view(newer)
        assert whole_view(newer) == before
        lease = older.acquire(ALICE, duration_seconds=60)
        older.commit(lease, [PutResource(make_record("more"), None)])
        after = whole_view(newer)
        assert after.records.keys() == {"share/projects", "share/more"}
        assert after.lineage != before.lineage


def test_rules_of_a_state_without_options_have_none(tmp_path: Path) -> None:
    """Version 5 brought them; the digests of such rules are as they were."""
    with closing(open_store(tmp_path / "state.db", create=True, migrations=MIGRATIONS[:4])):
        pass
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as connection:
        columns, marks = ", ".join(RESOURCE.columns), ", ".join("?" * len(RESOURCE.columns))
        connection.execute(f"INSERT INTO resource ({columns}) VALUES ({marks})", make_record())  # noqa: S608 - constants
        row = ("share/projects", "ip", "10.0.0.1", "rw", "active", "")
        connection.execute("INSERT INTO access_rule VALUES (?, ?, ?, ?, ?, ?)", row)
    with closing(open_store(tmp_path / "state.db", create=False)) as store:
        with store.read() as reader:
            assert reader.rules() == {"share/projects": (make_rule("10.0.0.1"),)}
        lease = store.acquire(BOB, duration_seconds=60)
        store.commit(lease, [PutRules("share/projects", (make_rule("10.0.0.2"),))])
        with store.read() as reader:
            assert reader.rules() == {"share/projects": (make_rule("10.0.0.2"),)}


def test_who_started_a_run_is_not_known_of_an_older_state(tmp_path: Path) -> None:
    """Its runs and its lock name nobody; what is recorded from then on does, and a document without the names is taken."""
    with closing(open_store(tmp_path / "state.db", create=True, migrations=MIGRATIONS[:5])):
        pass
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("INSERT INTO run VALUES (1, 'run-0', 'apply', 'bob', 'two', 't', NULL, NULL)")
        connection.commit()
    with closing(open_store(tmp_path / "state.db", create=True)) as newer:
        lease = newer.acquire(ALICE, duration_seconds=60)
        newer.commit(lease, [PutRun(RUN)])
        document = document_of(newer)
    runs = {run["run_id"]: run for run in json.loads(document)["runs"]}
    assert not {"actor", "author"} & runs["run-0"].keys()
    assert runs["run-0"]["ci_job_url"] is None
    assert (runs["run-1"]["actor"], runs["run-1"]["author"]) == (RUN.actor, RUN.author)
    assert b"".join(compose(parse(document))) == document


def test_what_was_recovered_is_found_by_an_index_from_version_10_on(tmp_path: Path) -> None:
    """Before, the whole history since then was read for it; both find the same."""
    path = tmp_path / "state.db"
    wanted = HistoryFilter(since="2026-01-01T00:00:00.000005Z", recovered=True)
    with closing(open_store(path, create=True, migrations=MIGRATIONS[:9])) as older:
        lease = older.acquire(ALICE, duration_seconds=60)
        outcomes = {3: "recovered", 7: "recovered", 40: "failed", 60: "recovered"}
        times = (f"2026-01-01T00:00:00.{number:06}Z" for number in range(90))
        entries = [
            HistoryEntry(RUN.run_id, at, f"share/{number}", "create-share", outcomes.get(number, "done"))
            for number, at in enumerate(times)
        ]
        older.commit(lease, [PutRun(RUN), *map(AddHistory, entries)])
        older.release(lease)
        before = list(older.history(among=wanted))
    with closing(open_store(path, create=True)) as store:
        store.release(store.acquire(ALICE, duration_seconds=60))
        after = list(store.history(among=wanted))
    assert [line.entry.address for line in before] == ["share/60", "share/7"]
    assert after == before
    with closing(sqlite3.connect(path)) as connection:
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        assert len(list(history_lines(connection, None, None, wanted))) == 2
        connection.set_trace_callback(None)
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall())
    assert "history_of_recoveries" in plan
    assert "history_by_time" not in plan
