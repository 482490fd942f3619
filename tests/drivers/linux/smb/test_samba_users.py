"""The users of the SMB server and their passwords, tried by real clients."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind, Section
from sharectl.drivers.linux.agent.host import commands
from tests.drivers.linux.samba_lab import PASSWORDS, Lab
from tests.drivers.linux.smb_client import Session

if TYPE_CHECKING:
    from pathlib import Path


def test_a_password_that_changes_ends_the_sessions_of_its_user(lab: Lab) -> None:
    """The old one is no longer good; other users' sessions go on."""
    lab.server.ensure_user("carol", "first")
    lab.put("changing", writers="carol bob")
    address = lab.network.server.ipv4
    with (
        Session(lab.network.client, address, "changing", "carol", "first") as carol,
        lab.session("changing", "bob") as bob,
    ):
        assert carol.write("a").is_ok
        lab.server.ensure_user("carol", "first")
        assert carol.write("b").is_ok
        lab.server.ensure_user("carol", "second")
        assert not carol.write("c").is_ok
        assert bob.write("d").is_ok
    assert "NT_STATUS_LOGON_FAILURE" in lab.write("changing", "carol", "first").text
    assert lab.write("changing", "carol", "second").is_ok


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'smbstatus: no messaging' >&2; exit 1", r"\(exit code 1\): smbstatus: no messaging; apply again"),
        ("exit 0", r"\(exit code 0\): it said nothing"),
        ("echo; echo ----------------------------; echo '12x 1000000001'", r"\(exit code 0\): 12x 1000000001"),
        ("echo; echo ----------------------------; echo '1 2'; exit 255", r"\(exit code 255\)"),
    ],
)
def test_sessions_that_cannot_be_listed_are_not_taken_for_none(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    """Who lost a right would go on with it: the call fails, and made again it finishes."""
    lab.put("unlisted", writers="alice bob")
    program = tmp_path / "smbstatus"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    real = commands.find
    with lab.session("unlisted", "bob") as bob:
        assert bob.write("a").is_ok
        with monkeypatch.context() as broken:
            broken.setattr(commands, "find", lambda name: str(program) if name == "smbstatus" else real(name))
            with pytest.raises(Problem, match=f"cannot tell who is connected .*{said}") as caught:
                lab.put("unlisted", writers="alice")
        assert caught.value.kind is ProblemKind.TRANSIENT
        lab.put("unlisted", writers="alice")
        assert not bob.write("b").is_ok


def test_users_are_those_whose_password_is_the_stored_one(lab: Lab) -> None:
    """Without passwords, all; a name is also given as it was asked for."""
    assert {"alice", "bob"} <= lab.server.users()
    assert "NAS\\Alice" in lab.server.users({"NAS\\Alice": PASSWORDS["alice"]})
    asked = lab.server.users({"alice": "wrong", "CORP\\x": "y"})
    assert "alice" not in asked
    assert "bob" in asked


def test_a_user_who_is_removed_is_gone(lab: Lab) -> None:
    """Sessions end too; removing the user again is not an error, and neither is making it again."""
    lab.put("leaving", writers="dave")
    lab.server.ensure_user("dave", "pw")
    with Session(lab.network.client, lab.network.server.ipv4, "leaving", "dave", "pw") as session:
        assert session.write("a").is_ok
        lab.server.remove_user("dave")
        assert not session.write("b").is_ok
    assert "dave" not in lab.server.users()
    assert not lab.write("leaving", "dave", "pw").is_ok
    lab.server.remove_user("dave")
    lab.server.ensure_user("dave", "pw")
    assert lab.write("leaving", "dave", "pw").is_ok


def test_many_users_made_within_a_second_can_all_log_in(lab: Lab) -> None:
    """nss_wrapper looks at whole seconds; each user is known at once all the same."""
    names = ["jürgen", "a.b-c_d", "with space", "o'neil", "日本", "x&y", "!", "x" * 64]
    for name in names:
        lab.server.ensure_user(name, f"pw of {name}")
        lab.server.put(Section("many", lab.volume("many"), frozenset({name})))
        assert lab.write("many", name, f"pw of {name}").is_ok, name
    assert set(names) <= lab.server.users()


@pytest.mark.parametrize("missing", ["host", "samba"])
def test_a_user_that_was_half_made_is_finished(lab: Lab, missing: str) -> None:
    """Known to the host and not to Samba, or the other way round: not one of the users, until it is made again."""
    name = f"half{missing}"
    lab.server.ensure_user(name, "pw")
    lab.put(name, writers=name)
    if missing == "host":
        users = lab.server._users
        users._write_accounts({user: uid for user, uid in users._user_ids().items() if user != name})
    else:
        lab.server._users._pdbedit("--delete", f"--user={name}")
    assert name not in lab.server.users()
    lab.server.ensure_user(name, "pw")
    assert name in lab.server.users()
    assert lab.write(name, name, "pw").is_ok


def test_a_user_that_was_disabled_by_hand_is_no_user(lab: Lab) -> None:
    """Making it again enables it."""
    lab.server.ensure_user("erin", "pw")
    lab.server._users._pdbedit("--modify", "--user=erin", "--account-control=[D]")
    assert "erin" not in lab.server.users()
    lab.server.ensure_user("erin", "pw")
    assert "erin" in lab.server.users()


@pytest.mark.parametrize("password", ["", "a\nb", "a\0b", "x" * 128, "\ud800"])
def test_a_password_that_cannot_be_typed_or_kept_is_refused(lab: Lab, password: str) -> None:
    """The message does not show it."""
    with pytest.raises(Problem, match="it must have 1 to 127 characters and no line breaks") as caught:
        lab.server.ensure_user("frank", password)
    assert caught.value.kind is ProblemKind.REFUSED
    assert "frank" not in lab.server.users()


def test_no_password_is_kept_or_logged(lab: Lab) -> None:
    """In no file of the server does it stand."""
    lab.server.ensure_user("grace", "PlainlyVisible")
    lab.put("logged", writers="grace")
    assert lab.write("logged", "grace", "PlainlyVisible").is_ok
    files = [path for path in lab.path("").rglob("*") if path.is_file()]
    for form in (b"PlainlyVisible", "PlainlyVisible".encode("utf-16-le")):
        assert not [path for path in files if form in path.read_bytes()]


def test_the_folders_are_for_root_alone(lab: Lab) -> None:
    """The hashes of the passwords among them."""
    assert {stat.S_IMODE(lab.path(name).stat().st_mode) for name in ("", "private", "nss", "log")} == {0o700}
