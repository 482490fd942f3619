"""The agent's records: values that come back as they were, export ids that are not given again, and files that cannot be used."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent import records
from sharectl.drivers.linux.agent.contract import ProblemKind
from sharectl.drivers.linux.agent.records import (
    Records,
    holder_of_export,
    holder_of_volume,
    insert_share,
    next_export_id,
)
from sharectl.drivers.linux.agent.rows import ShareRow, ShareServerRow, SnapshotRow
from tests.drivers.linux.pools import fails_with

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARE = ShareRow(
    resource_id="5a5a",
    pool="fast",
    volume="projects",
    instance="main",
    export_name="Projects",
    export_key="projects",
    export_id=7,
    protocol="NFS",
    size_bytes=1 << 40,
    options={"squash": "root", "security": ["sys", "krb5"]},
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return the path of the file."""
    return str(tmp_path / "records.sqlite")


@pytest.fixture
def opened(path: str) -> Iterator[Records]:
    """Give records without content."""
    opened = Records(path)
    opened.create()
    yield opened
    opened.close()


def add(opened: Records, *rows: ShareRow) -> None:
    """Add shares."""
    with opened.transaction() as connection:
        for row in rows:
            insert_share(connection, row)


def test_a_share_comes_back_as_it_was(opened: Records, path: str) -> None:
    """In another process too, and after each change."""
    add(opened, SHARE)
    opened.update_share(
        "5a5a", is_made=True, protocol="CIFS", trashed_at="2026-01-02T03:04:05+00:00", suspended={"rules": []}
    )
    other = Records(path)
    assert other.share("5a5a") == replace(
        SHARE, is_made=True, protocol="CIFS", trashed_at="2026-01-02T03:04:05+00:00", suspended={"rules": []}
    )
    assert SHARE.backend_id == "fast/projects"
    other.close()
    opened.remove_share("5a5a")
    assert opened.share("5a5a") is None
    assert opened.shares() == []


def test_shares_are_found_by_id_volume_export_and_instance(opened: Records) -> None:
    """Each way gives those alone."""
    other = replace(SHARE, resource_id="5b5b", volume="home", instance="tenant", export_key="home", size_bytes=1)
    add(opened, SHARE, other)
    assert opened.shares(["5b5b", "none"]) == [other]
    assert opened.shares([]) == []
    assert opened.shares_of_instance("tenant") == [other]
    with opened.transaction() as connection:
        assert holder_of_volume(connection, "fast", "home") == "5b5b"
        assert holder_of_volume(connection, "slow", "home") is None
        assert holder_of_export(connection, "main", "projects") == "5a5a"
        assert holder_of_export(connection, "tenant", "projects") is None
    assert opened.allocated_bytes() == {"fast": (1 << 40) + 1}


def test_a_share_is_forgotten_only_as_it_was_seen(opened: Records) -> None:
    """What another call changed since stays; what it removed is forgotten already."""
    add(opened, SHARE)
    opened.update_share("5a5a", is_made=True)
    assert not opened.remove_unchanged_share(SHARE)
    made = opened.share_of_volume("fast", "projects")
    assert made == replace(SHARE, is_made=True)
    assert [opened.remove_unchanged_share(made) for _ in range(2)] == [True, True]
    assert opened.share_of_volume("fast", "projects") is None


def test_a_share_that_is_opened_again_has_another_export_id(opened: Records) -> None:
    """So that nobody who saw it before takes it for unchanged; one that is not as it was seen stays."""
    made = replace(SHARE, is_made=True)
    add(opened, made)
    again = opened.reopen_share(made)
    assert again == opened.share("5a5a") == replace(made, is_made=False, export_id=1)
    assert opened.reopen_share(made) is None
    assert opened.share("5a5a") == again


def test_a_share_server_is_closed_unless_it_has_shares(opened: Records) -> None:
    """Closed, it counts as not whole."""
    server = ShareServerRow("7b7b", "tenant", "net", (), is_made=True)
    opened.put_share_server(server)
    share = replace(SHARE, instance="7b7b")
    add(opened, share)
    assert opened.close_share_server("7b7b") == [share]
    assert opened.share_server("7b7b") == server
    opened.remove_share("5a5a")
    assert opened.close_share_server("7b7b") == []
    assert opened.share_server("7b7b") == replace(server, is_made=False)


def test_a_snapshot_comes_back_as_it_was(opened: Records) -> None:
    """The second record under an id is none."""
    row = SnapshotRow("5c5c", "fast", "monday", "fast/projects", None)
    for _ in range(2):
        opened.put_snapshot(row)
    opened.put_snapshot(replace(row, name="tuesday"))
    assert opened.snapshots() == opened.snapshots(["5c5c"]) == [opened.snapshot("5c5c")] == [row]
    opened.remove_snapshot("5c5c")
    assert opened.snapshot("5c5c") is None


def test_a_value_is_set_once(opened: Records) -> None:
    """Later ones are told which holds."""
    assert opened.value("identity") is None
    assert opened.set_once("identity", "first") == "first"
    assert opened.set_once("identity", "second") == opened.value("identity") == "first"


def test_a_pool_is_pinned_once(opened: Records) -> None:
    """To the file system that it had first."""
    opened.pin_pool("fast", "one")
    opened.pin_pool("fast", "two")
    assert opened.pool_identities() == {"fast": "one"}


def test_an_export_id_is_not_given_again_before_all_others_were(
    opened: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may hold a handle of the removed export; each server counts for itself."""
    monkeypatch.setattr(records, "MAX_EXPORT_ID", 4)
    given = []
    for number in range(6):
        with opened.transaction() as connection:
            export_id = next_export_id(connection, "main")
            insert_share(
                connection,
                replace(
                    SHARE, resource_id=str(number), volume=str(number), export_key=str(number), export_id=export_id
                ),
            )
        given.append(export_id)
        opened.remove_share(str(number))
    assert given == [1, 2, 3, 4, 1, 2]
    with opened.transaction() as connection:
        assert next_export_id(connection, "tenant") == 1


def test_an_export_id_that_is_taken_is_passed_over_and_when_all_are_it_is_said(
    opened: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS-Ganesha knows 65,535, of which each share leaves one for its snapshots."""
    assert records.MAX_EXPORT_ID == 32_767
    monkeypatch.setattr(records, "MAX_EXPORT_ID", 3)
    row = replace(SHARE, export_id=2)
    add(opened, row)
    with opened.transaction() as connection:
        assert [next_export_id(connection, "main") for _ in range(3)] == [1, 3, 1]
    for export_id in (1, 3):
        name = str(export_id)
        add(opened, replace(row, resource_id=name, volume=name, export_key=name, export_id=export_id))
    refused = fails_with(ProblemKind.REFUSED, "the server exports 3 shares", "no more export ids")
    with refused, opened.transaction() as connection:
        next_export_id(connection, "main")


def test_what_fails_within_a_transaction_leaves_nothing(opened: Records) -> None:
    """And the next one is as if it had not been."""
    with pytest.raises(sqlite3.IntegrityError):
        add(opened, SHARE, SHARE)
    assert opened.shares() == []
    add(opened, SHARE)
    assert opened.shares() == [SHARE]


def test_a_file_of_a_newer_sharectl_is_left_alone(opened: Records, path: str) -> None:
    """Neither read nor written."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with fails_with(ProblemKind.REFUSED, "newer sharectl (format 99, this one knows 3); upgrade sharectl"):
        opened.shares()
    with fails_with(ProblemKind.REFUSED, "upgrade sharectl"):
        add(opened, SHARE)
    assert opened.exists()


def test_a_file_that_is_damaged_is_told_and_left_alone(path: str) -> None:
    """It is not taken for a backend that was never prepared."""
    Path(path).write_bytes(b"not a database, but what was left of one" * 100)
    damaged = Records(path)
    damaged.create()
    for call in (damaged.shares, damaged.snapshots, lambda: damaged.set_once("identity", "new")):
        with fails_with(ProblemKind.UNAVAILABLE, path, "cannot be read or written", "file is not a database"):
            call()
    damaged.close()
    assert Path(path).read_bytes().startswith(b"not a database")


def test_a_disk_that_is_full_is_told_and_what_was_there_stays(opened: Records) -> None:
    """When there is room again, all goes on."""
    add(opened, SHARE)
    connection = opened._open()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = replace(SHARE, resource_id="5b5b", volume="b", export_key="b", export_id=8, options={"x": "x" * 100_000})
    with fails_with(ProblemKind.UNAVAILABLE, "database or disk is full"):
        add(opened, large)
    assert opened.shares() == [SHARE]
    connection.execute("PRAGMA max_page_count = 100000")
    add(opened, large)
    assert len(opened.shares()) == 2


def test_many_can_make_the_file_at_once(path: str) -> None:
    """Each as a process of its own would."""
    several = [Records(path) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda each: each.create(), several)) == [None] * 8
    assert [each.shares() for each in several] == [[]] * 8
    for each in several:
        each.close()


def test_a_file_that_is_gone_is_not_made_anew(opened: Records, path: str) -> None:
    """By anything but `create`: it would be empty."""
    opened.close()
    for file in Path(path).parent.glob("records.sqlite*"):
        file.unlink()
    with fails_with(ProblemKind.UNAVAILABLE, "unable to open database file"):
        opened.shares()
    assert not Path(path).exists()


def test_what_is_not_there_does_not_exist(path: str) -> None:
    """Until it is made; asking makes nothing."""
    asked = Records(path)
    assert not asked.exists()
    assert not Path(path).exists()
    asked.create()
    assert asked.exists()
    assert Path(path).stat().st_mode & 0o777 == 0o600
    asked.close()
    asked.close()
