"""What a change of an SMB server costs, however many shares and users there are, and that nothing is missed for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.agent.smb import entry
from sharectl.drivers.linux.agent.smb.server import SambaServer
from tests.drivers.linux.samba_lab import PASSWORDS, Lab, write_own
from tests.drivers.linux.smb_client import Session

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="started_programs")
def _started_programs() -> Iterator[list[str]]:
    """Give the names of the programs that this process starts meanwhile."""
    started: list[str] = []
    is_over = False

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and not is_over:
            started.append(os.path.basename(arguments[0]))  # noqa: PTH119 - a name from arguments

    sys.addaudithook(note)
    yield started
    is_over = True


def test_a_change_starts_one_program_however_many_shares_there_are(own_lab: Lab, started_programs: list[str]) -> None:
    """The one that asks smbd whether it has taken its configuration; users are listed again only where one has changed."""
    own_lab.server.users()
    for number in range(3):
        started_programs.clear()
        assert own_lab.server.users(PASSWORDS) >= {"alice"}
        own_lab.put(f"share-{number}", writers="alice")
        own_lab.server.live()
        own_lab.server.remove(f"share-{number - 1}")
        assert started_programs == ["smbcontrol"] * (1 if number == 0 else 2)


def test_a_user_that_another_process_changes_is_seen_at_once(own_lab: Lab) -> None:
    """The list that was read before does not count any more."""
    assert own_lab.server.users(PASSWORDS) >= {"alice"}
    other = SambaServer(own_lab.instance)
    other.ensure_user("alice", "another")
    other.ensure_user("bob", PASSWORDS["bob"])
    assert own_lab.server.users(PASSWORDS) == {"bob"}
    other.remove_user("bob")
    assert own_lab.server.users({"alice": "another"}) == {"alice"}


def test_a_client_that_is_connected_gets_a_new_share_at_once(own_lab: Lab) -> None:
    """The process that serves it has a configuration of its own, and reads it again by itself only after a minute."""
    own_lab.put("old", writers="alice")
    address = own_lab.network.other_client.ipv4
    with Session(own_lab.network.client, address, "old", "alice", PASSWORDS["alice"]) as session:
        assert session.do("ls").is_ok
        own_lab.put("new", writers="alice")
        assert session.do("tcon new").is_ok


def test_the_log_of_smbd_stays_quiet(own_lab: Lab) -> None:
    """Shares that come and go, and clients that write, leave nothing in it."""
    log = own_lab.path("log/smbd.log")
    before = log.read_text(encoding="utf-8")
    for number in range(3):
        own_lab.put(f"quiet-{number}", writers="alice")
        assert write_own(own_lab, f"quiet-{number}").is_ok
        own_lab.server.remove(f"quiet-{number}")
    assert log.read_text(encoding="utf-8") == before


def test_a_folder_that_is_closed_meanwhile_is_noticed(lab_directory: str) -> None:
    """Although its way is not tried again while its rights stay as they are."""
    pool = Path(lab_directory, "outer", "pool")
    pool.mkdir(parents=True)
    assert entry.hindrance("fast", str(pool)) is None
    pool.parent.chmod(0o700)
    closed = entry.hindrance("fast", str(pool))
    assert closed is not None
    assert str(pool.parent) in closed.summary
    pool.parent.chmod(0o711)
    assert entry.hindrance("fast", str(pool)) is None
