"""The schema of the state file, from one version to the next."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from sharectl.private import draft_of
from sharectl.state.contract import StateNewerError
from sharectl.state.sqlite.errors import damaged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION_ID: Final = 0x73686374
"""The bytes `shct`, by which `file` and sharectl recognise a state file (SQLite's `application_id`)."""

Migration = tuple[str, ...]
"""The statements that lead from one version to the next; the first of all starts from an empty file."""


def _texts(*names: str) -> str:
    return ", ".join(f"{name} TEXT NOT NULL CHECK (typeof({name}) = 'text')" for name in names)


def _optional_texts(*names: str) -> str:
    return ", ".join(f"{name} TEXT CHECK (typeof({name}) IN ('text', 'null'))" for name in names)


def _objects(*names: str) -> str:
    return ", ".join(f"{name} BLOB NOT NULL CHECK (typeof({name}) = 'blob')" for name in names)


def _whole_numbers(*names: str) -> str:
    return ", ".join(f"{name} INTEGER NOT NULL CHECK (typeof({name}) = 'integer' AND {name} >= 0)" for name in names)


_RESOURCE_HEAD: Final = f"""address TEXT NOT NULL PRIMARY KEY CHECK (typeof(address) = 'text'),
        {_texts("kind", "resource_id")}, {_optional_texts("backend", "pool")},
        version INTEGER NOT NULL CHECK (typeof(version) = 'integer' AND version >= 1)"""
_RESOURCE_TAIL: Final = f"""size_bytes INTEGER CHECK (size_bytes IS NULL OR typeof(size_bytes) = 'integer' AND size_bytes >= 0),
        protect INTEGER NOT NULL CHECK (protect IN (0, 1)), {_objects("spec", "attributes")}"""

_VERSION_1: Final[Migration] = (
    """CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        lineage TEXT NOT NULL CHECK (lineage <> ''),
        serial INTEGER NOT NULL CHECK (serial >= 0)
    )""",
    f"CREATE TABLE resource ({_RESOURCE_HEAD}, {_objects('digest')}, {_RESOURCE_TAIL})",
    f"""CREATE TABLE access_rule (
        share_address TEXT NOT NULL
            REFERENCES resource (address) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
        access_type TEXT NOT NULL CHECK (access_type <> '' AND access_type NOT GLOB '*[^a-z]*'),
        {_texts("access_to", "access_level")},
        status TEXT NOT NULL CHECK (status IN ('active', 'error')),
        {_texts("reason")},
        PRIMARY KEY (share_address, access_type, access_to)
    ) WITHOUT ROWID""",
    f"""CREATE TABLE operation (
        sequence INTEGER PRIMARY KEY,
        operation_id TEXT NOT NULL UNIQUE CHECK (typeof(operation_id) = 'text'),
        {_texts("run_id", "address", "verb", "resource_id")}, {_optional_texts("backend", "pool")},
        {_texts("started_at")}, {_objects("payload")}
    )""",
    f"""CREATE TABLE run (
        sequence INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE CHECK (typeof(run_id) = 'text'),
        {_texts("command", "user", "host", "started_at")}, {_optional_texts("git_commit", "ci_job_url")}
    )""",
    f"""CREATE TABLE history (
        sequence INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES run (run_id) DEFERRABLE INITIALLY DEFERRED,
        {_texts("at", "address", "verb")},
        outcome TEXT NOT NULL CHECK (outcome IN ('done', 'failed', 'recovered')),
        {_objects("detail")}
    )""",
    "CREATE INDEX history_by_address ON history (address, sequence)",
    """CREATE TABLE lock (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token INTEGER NOT NULL CHECK (token >= 0),
        user TEXT, host TEXT, process_id INTEGER, command TEXT, process_started TEXT,
        node TEXT, boot_id TEXT, process_namespace TEXT, acquired_at TEXT,
        heartbeat_at TEXT, heartbeat_boottime_seconds REAL, duration_seconds REAL
    )""",
    "INSERT INTO meta (id, lineage, serial) VALUES (1, lower(hex(randomblob(16))), 0)",
    "INSERT INTO lock (id, token) VALUES (1, 0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
)

_VERSION_2: Final[Migration] = (
    f"""CREATE TABLE resource_2 (
        {_RESOURCE_HEAD},
        spec_digest BLOB CHECK (spec_digest IS NULL OR typeof(spec_digest) = 'blob' AND length(spec_digest) = 16),
        access_digest BLOB NOT NULL CHECK (typeof(access_digest) = 'blob' AND length(access_digest) = 16),
        {_RESOURCE_TAIL}, {_optional_texts("parent_id")}
    )""",
    # A spec whose digest was a mark instead had an access rule refused.
    """INSERT INTO resource_2 SELECT address, kind, resource_id, backend, pool, version,
        nullif(substr(digest, 1, 16), x'72756c65732072656675736564000000'), substr(digest, 17),
        size_bytes, protect, spec, attributes, CASE WHEN kind IN ('share', 'snapshot') AND json_valid(CAST(attributes AS TEXT)) THEN
            json_extract(CAST(attributes AS TEXT), CASE kind WHEN 'snapshot' THEN '$.share_resource_id' ELSE '$.share_server_id' END) END
        FROM resource ORDER BY address""",
    "DROP TABLE resource",
    "ALTER TABLE resource_2 RENAME TO resource",
    "CREATE INDEX resource_by_backend ON resource (backend, address)",
    "CREATE INDEX resource_by_parent ON resource (parent_id) WHERE parent_id IS NOT NULL",
)

_VERSION_3: Final[Migration] = (
    "ALTER TABLE meta ADD COLUMN last_token INTEGER NOT NULL DEFAULT 0 CHECK (typeof(last_token) = 'integer' AND last_token >= 0)",
    """CREATE TABLE lease (
        token INTEGER PRIMARY KEY,
        user TEXT NOT NULL,
        host TEXT NOT NULL,
        process_id INTEGER NOT NULL,
        command TEXT NOT NULL,
        process_started TEXT,
        node TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        process_namespace TEXT NOT NULL,
        acquired_at TEXT NOT NULL,
        heartbeat_at TEXT NOT NULL,
        heartbeat_boottime_seconds REAL NOT NULL,
        duration_seconds REAL NOT NULL,
        scope TEXT NOT NULL
    )""",
    "UPDATE meta SET last_token = (SELECT token FROM lock)",
    """INSERT INTO lease SELECT token, user, host, process_id, command, process_started, node, boot_id, process_namespace, acquired_at,
        heartbeat_at, heartbeat_boottime_seconds, duration_seconds, '{}' FROM lock WHERE acquired_at IS NOT NULL""",
    "DROP TABLE lock",
)

_VERSION_4: Final[Migration] = (
    # What was begun twice is asked about once: the later intent says more.
    """DELETE FROM operation WHERE resource_id <> ''
        AND sequence NOT IN (SELECT max(sequence) FROM operation GROUP BY resource_id, verb, backend)""",
    "CREATE UNIQUE INDEX operation_by_resource ON operation (resource_id, verb, backend) WHERE resource_id <> ''",
)

_VERSION_5: Final[Migration] = (
    "ALTER TABLE access_rule ADD COLUMN options BLOB NOT NULL DEFAULT x'7b7d' CHECK (typeof(options) = 'blob')",
)

_VERSION_6: Final[Migration] = tuple(
    f"ALTER TABLE {table} ADD COLUMN {_optional_texts(name)}"
    for table, name in (("run", "actor"), ("run", "author"), ("lease", "actor"), ("lease", "ci_job_url"))
)

_VERSION_7: Final[Migration] = (f"ALTER TABLE meta ADD COLUMN {_optional_texts('moved_to')}",)

_VERSION_8: Final[Migration] = (
    "CREATE INDEX access_rule_by_client ON access_rule (access_type, lower(access_to))",
    "CREATE INDEX history_by_run ON history (run_id)",
    "CREATE INDEX history_by_time ON history (at)",
    "CREATE INDEX history_of_failures ON history (sequence) WHERE outcome = 'failed'",
)

# Notes of use belong to resources by their ids, and outlive nothing: see `sharectl.state.usage`. Samples are apart, so that what was seen
# last is read without them.
_VERSION_9: Final[Migration] = (
    f"""CREATE TABLE share_use (
        resource_id TEXT NOT NULL PRIMARY KEY CHECK (typeof(resource_id) = 'text'),
        {_texts("backend")}, {_whole_numbers("used_bytes", "seen_at")},
        is_current INTEGER NOT NULL CHECK (is_current IN (0, 1)), {_whole_numbers("sampled_at")}
    ) WITHOUT ROWID""",
    f"CREATE TABLE share_samples (resource_id TEXT NOT NULL PRIMARY KEY CHECK (typeof(resource_id) = 'text'), {_objects('samples')}) WITHOUT ROWID",
    f"""CREATE TABLE pool_use (
        {_texts("backend", "pool")}, {_objects("last", "samples")}, PRIMARY KEY (backend, pool)
    ) WITHOUT ROWID""",
    f"""CREATE TABLE use_listing (
        backend TEXT NOT NULL PRIMARY KEY CHECK (typeof(backend) = 'text'), {_whole_numbers("listed_at")}
    ) WITHOUT ROWID""",
)

_VERSION_10: Final[Migration] = (
    "CREATE INDEX history_of_recoveries ON history (sequence) WHERE outcome = 'recovered'",
)

MIGRATIONS: Final[tuple[Migration, ...]] = (
    *(_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6),
    *(_VERSION_7, _VERSION_8, _VERSION_9, _VERSION_10),
)


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the version of the schema in the file, as the open transaction sees it."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def check_version(connection: sqlite3.Connection, location: Path, known: int) -> int:
    """Return the version of the schema; raises StateNewerError above `known` and StateCorruptError below 1."""
    version = schema_version(connection)
    if version > known:
        raise StateNewerError(
            str(location),
            f"its format has version {version}, and this sharectl knows up to {known}",
            "use the newer sharectl that wrote it; nothing has been changed",
        )
    if version < 1:
        raise damaged(location, f"its format claims to have version {version}")
    return version


def migrate(connection: sqlite3.Connection, location: Path, migrations: Sequence[Migration]) -> None:
    """Bring the schema to the newest version inside one transaction, which this function opens and ends.

    Another process that did the same meanwhile leaves nothing to be done. What refers to a table is left alone while the table is made anew.
    Raises StateCorruptError where a row does not meet the newer schema: no sharectl has written it.
    """
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in migrations[schema_version(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        connection.rollback()
        raise damaged(location, f"a row does not fit the format that follows its own ({error})") from error
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def back_up(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the file, as it is at `version`, to `NAME.vVERSION.backup` beside it (mode 0600, durable); return that path."""
    target = path.with_name(f"{path.name}.v{version}.backup")
    with draft_of(target) as draft, closing(sqlite3.connect(draft, isolation_level=None)) as destination:
        connection.backup(destination)
        destination.execute("PRAGMA journal_mode = DELETE")
    return target
