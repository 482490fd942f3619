"""Rows that SQLite takes for sound and sharectl would never have written: told as damage, with the way back, and nothing is done."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.records import BeginOperation, OperationRecord, PutResource, PutRun
from sharectl.planner.options import Import
from sharectl.planner.strays import import_record
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, RUN
from tests.cli.conftest import SIMULATED
from tests.cli.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.console import Ended

PATIENCE_SECONDS = 300
SAMPLE = int(os.environ.get("SHARECTL_TEST_DAMAGES", "6"))
"""How many damages of each table are tried; all of them where the environment asks for more than there are."""

DIRECTORY = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec: {driver: directory, config: {root: storage}}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: one, labels: {team: a}}
spec: {size: 1GiB, protocol: NFS, deletionPolicy: trash}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: two, labels: {team: b}}
spec: {size: 2GiB, protocol: NFS, deletionPolicy: trash, access: [{type: ip, to: 10.0.0.1, level: rw}]}
"""
READING = (
    ("plan",),
    ("show", "share/one"),
    ("show", "share/two"),
    ("state", "list"),
    ("state", "show", "share/two"),
    ("history",),
    ("refresh",),
    ("trash", "list"),
    ("mounts",),
    ("state", "operations"),
    ("state", "pull"),
    ("lock", "status"),
)
CHANGING = (
    ("import", "share/new", "gold1/nothing", "--backend", "sim", "--yes"),
    ("apply", "--yes"),
    ("state", "mv", "share/two", "share/other"),
    ("trash", "purge", "--older-than", "0", "--yes"),
)
VALUES: tuple[Any, ...] = (
    None,
    "",
    "x",
    "unknown",
    "a\x01b",
    -1,
    0,
    1.5,
    1 << 62,
    b"",
    b"\xff\xfe",
    b"{}",
    b"[]",
    b"{",
)
JSON_VALUES: tuple[Any, ...] = (None, True, -1, 1.5, "", "unknown", "a\x01b", [], [7], {}, {"x": 1})


@dataclass(frozen=True, slots=True)
class Damage:
    """A value that is put into a column of one row."""

    table: str
    column: str
    row: int
    value: Any
    shown: str


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Let the block take no longer."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def state_of(root: Path) -> Path:
    """Return where the state is."""
    return root / ".sharectl" / "state.db"


def fill(console: Console) -> None:
    """Add to an applied repository what only an interrupted run leaves: an intent and an unfinished import."""
    with closing(open_store(state_of(console.root), create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        with store.read() as reader:
            [record] = reader.view(("share/one",)).records.values()
        payload = {"spec": orjson.loads(record.spec), "extra_specs": {}, "share_server_id": None}
        operation = OperationRecord(
            "op-1",
            RUN.run_id,
            "share/half",
            "create-share",
            "0" * 32,
            "sim",
            "gold1",
            "2026-05-04T12:00:01Z",
            canonical_json(payload),
        )
        row = import_record("share/taken", Import("sim", "gold1/taken"))
        store.commit(lease, [PutRun(RUN), BeginOperation(operation), PutResource(row, None)])
        store.release(lease)
        store.acquire(ALICE, duration_seconds=0)  # which has run out


def damages_of(path: Path, table: str) -> list[Damage]:
    """Return every damage of a table: each column of each of its first rows becomes each value, and so does each part of its JSON."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = connection.execute(f"SELECT * FROM {table} LIMIT 6").fetchall()  # noqa: S608 - a table of ours
    for number, row in enumerate(rows):
        for column, old in zip(columns, row, strict=True):
            found += [Damage(table, column, number, value, repr(value)) for value in VALUES]
            if isinstance(old, bytes) and old[:1] == b"{":
                found += [
                    Damage(table, column, number, orjson.dumps(plain), what)
                    for plain, what in _other_objects(orjson.loads(old))
                ]
    return found


def _other_objects(plain: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    yield {**plain, "more": 1}, "one field more"
    for key, part in plain.items():
        yield {name: value for name, value in plain.items() if name != key}, f"without {key}"
        for value in JSON_VALUES:
            yield {**plain, key: value}, f"{key}={value!r}"
        if isinstance(part, dict):
            for inner, what in _other_objects(part):
                yield {**plain, key: inner}, f"{key}: {what}"


def inflict(path: Path, damage: Damage) -> bool:
    """Put the value into the row, whatever the schema says; tell whether SQLite itself holds it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        key = "share_address, access_type, access_to" if damage.table == "access_rule" else "rowid"
        found = connection.execute(f"SELECT {key} FROM {damage.table} LIMIT 1 OFFSET ?", (damage.row,)).fetchone()  # noqa: S608 - a table of ours
        where = " AND ".join(f"{name} IS ?" for name in key.split(", "))
        try:
            connection.execute(
                f"UPDATE {damage.table} SET {damage.column} = ? WHERE {where}",  # noqa: S608 - as above
                (damage.value, *found),
            )
        except sqlite3.IntegrityError:
            return False
        connection.commit()
    return True


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    """Return all that a run may have changed by what it did, its own run and the lock left out."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        selects = ("SELECT * FROM resource", "SELECT * FROM access_rule", "SELECT * FROM operation")
        return [connection.execute(select).fetchall() for select in selects]


def storage_of(root: Path) -> list[object]:
    """Return what is on the backend."""
    if (root / "sim.db").exists():
        with closing(sqlite3.connect(root / "sim.db")) as connection:
            return connection.execute("SELECT * FROM shares").fetchall()
    return sorted(str(path) for path in (root / "storage").rglob("*"))


@pytest.fixture(scope="module", params=["simulated", "directory"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an applied repository with something in every table, and a change that is not applied."""
    root = tmp_path_factory.mktemp(request.param)
    manifests = SIMULATED if request.param == "simulated" else DIRECTORY
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(root / "home"))
        patch.delenv("XDG_STATE_HOME", raising=False)
        console = Console(root, _Mute())  # type: ignore[arg-type]
        console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {state: {copies: {keep: 0}}}\n")
        console.write("all.yaml", manifests)
        assert console("apply", "--yes").code == 0
        fill(console)
        console.write("all.yaml", manifests.replace("size: 1GiB", "size: 3GiB"))
        yield root


class _Mute:
    """Stands where a test's own capture is, which a module's fixture has none of."""

    def readouterr(self) -> Ended:
        """Return nothing that was written."""
        from tests.cli.console import Ended  # noqa: PLC0415 - a name for types above

        return Ended(0, "", "")


@pytest.mark.parametrize("table", ["resource", "access_rule", "operation", "history", "run", "meta", "lease"])
def test_whatever_a_column_holds_a_command_ends_with_a_result_or_a_diagnostic(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    """In bounded time, and where the damage is told, neither the state nor the backend has changed."""
    everything = damages_of(state_of(whole), table)
    chosen = random.Random(table).sample(everything, min(SAMPLE, len(everything)))  # noqa: S311 - a sample of tests
    wrong: list[str] = []
    for number, damage in enumerate(chosen):
        root = tmp_path / str(number)
        shutil.copytree(whole, root, symlinks=True)
        if inflict(state_of(root), damage):
            wrong += _surprises(Console(root, capsys), damage)
        shutil.rmtree(root)
    assert wrong == []


def _surprises(console: Console, damage: Damage) -> Iterator[str]:
    """Yield what commands do that they must not."""
    path = state_of(console.root)
    for command in (*READING, *CHANGING):
        before = contents(path), storage_of(console.root)
        try:
            with at_most(PATIENCE_SECONDS):
                ended = console(*command)
        except TimeoutError:
            yield f"{damage} {' '.join(command)}: no end"
            continue
        said = f"{damage} {' '.join(command)}: {ended.err}"
        if "error[internal]" in ended.err or "Traceback" in ended.err + ended.out:
            yield said
        if "error[state.corrupt]" in ended.err:
            if ended.code != 1:
                yield f"exit code {ended.code}: {said}"
            if (contents(path), storage_of(console.root)) != before:
                yield f"something was changed: {said}"


@pytest.mark.parametrize(
    ("damage", "row"),
    [
        ("UPDATE resource SET version = 'x' WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET version = 0 WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET kind = 'unknown' WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET kind = 'snapshot' WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET resource_id = '' WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET resource_id = 'a' || char(7) WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET backend = NULL WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET access_digest = x'00' WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET size_bytes = -1 WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET spec = 'text' WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET spec = CAST('{' AS BLOB) WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET spec = CAST('{}' AS BLOB) WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET spec = CAST('[]' AS BLOB) WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET attributes = CAST('{}' AS BLOB) WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET attributes = CAST('null' AS BLOB) WHERE address = 'share/one'", "share/one"),
        ("UPDATE resource SET attributes = -1 WHERE address = 'share/one'", "share/one"),
        ("UPDATE access_rule SET status = 'perhaps' WHERE share_address = 'share/two'", "share/two"),
        ("UPDATE access_rule SET access_level = '' WHERE share_address = 'share/two'", "share/two"),
        ("UPDATE operation SET verb = 'levitate'", "op-1"),
        ("UPDATE operation SET payload = CAST('{' AS BLOB)", "op-1"),
        ("UPDATE operation SET payload = CAST('{\"spec\": null}' AS BLOB)", "op-1"),
        ("UPDATE operation SET address = 'half'", "op-1"),
    ],
)
def test_a_damaged_row_is_named_with_the_way_back_before_anything_is_done(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, row: str
) -> None:
    """By the one diagnostic for a damaged state, and exit code 1; nothing has changed."""
    root = tmp_path / "damaged"
    shutil.copytree(whole, root, symlinks=True)
    with closing(sqlite3.connect(state_of(root))) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(damage)
        connection.commit()
    before = contents(state_of(root)), storage_of(root)
    ended = Console(root, capsys)("apply", "--yes")
    assert ended.code == 1
    assert "error[state.corrupt]" in ended.err
    assert row in ended.err
    assert "state restore" in ended.err
    assert (contents(state_of(root)), storage_of(root)) == before


@pytest.mark.parametrize("column", ["attributes = -1", "spec = 'text'", "size_bytes = 'x'"])
def test_columns_of_a_wrong_type_are_told_by_a_plan(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str
) -> None:
    """Also where the row equals its manifest, so that nothing in it is decoded."""
    root = tmp_path / "damaged"
    shutil.copytree(whole, root, symlinks=True)
    with closing(sqlite3.connect(state_of(root))) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE resource SET {column} WHERE address = 'share/two'")  # noqa: S608 - those above
        connection.commit()
    ended = Console(root, capsys)("plan")
    assert ended.code == 1
    assert "error[state.corrupt]" in ended.err
    assert "share/two" in ended.err
