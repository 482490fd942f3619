"""Who may do what on a share of the SMB server, seen by real clients in other network namespaces."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sharectl.drivers.linux.agent.smb import shares
from sharectl.drivers.linux.agent.smb.server import SambaServer
from tests.drivers.linux.samba_lab import PASSWORDS, Lab, whole, write_own
from tests.drivers.linux.smb_client import smb, write

# Who may do what


def test_writers_write_and_readers_read(lab: Lab) -> None:
    """A reader is refused the write and sees the file."""
    section = lab.put("levels", writers="alice", readers="bob")
    assert lab.write("levels", "alice").is_ok
    assert "NT_STATUS_ACCESS_DENIED" in lab.write("levels", "bob", name="other").text
    assert "written" in lab.list("levels", "bob").text
    assert [path.name for path in Path(section.path).iterdir()] == ["written"]


def test_users_who_are_not_named_are_refused(lab: Lab) -> None:
    """They learn no more than that."""
    lab.put("named", writers="alice")
    assert "tree connect failed: NT_STATUS_ACCESS_DENIED" in lab.list("named", "bob").text


def test_a_share_without_users_lets_nobody_in(lab: Lab) -> None:
    """It can be read back all the same."""
    section = lab.put("nobody", networks="0.0.0.0/0")
    assert "NT_STATUS_BAD_NETWORK_NAME" in lab.list("nobody", "alice").text
    assert lab.server.live()["nobody"] == section


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "wrong"), ("mallory", "x"), ("nobody", ""), ("root", ""), ("", "")]
)
def test_who_has_no_password_here_does_not_get_in(lab: Lab, user: str, password: str) -> None:
    """Neither a wrong password, nor an unknown user, nor an account of the server itself, nor a guest."""
    lab.put("locked", writers="alice")
    assert not lab.write("locked", user, password).is_ok


def test_users_may_be_written_in_windows_notation(lab: Lab) -> None:
    """In rules and by clients; case makes no difference."""
    section = lab.put("notation", writers="NAS\\Alice")
    assert lab.server.live()["notation"] == section
    assert lab.write("notation", "NAS\\aLiCe", PASSWORDS["alice"]).is_ok


@pytest.mark.parametrize("name", ["Everyone", "S-1-1-0", "None", "nogroup", "Users"])
def test_the_name_of_a_group_lets_nobody_in(lab: Lab, name: str) -> None:
    """A rule for a user means the account of that name and nothing else."""
    lab.put("groups", writers=name)
    assert "NT_STATUS_ACCESS_DENIED" in lab.write("groups", "alice").text


@pytest.mark.parametrize(
    ("networks", "client", "other"),
    [
        ("10.77.1.21", True, False),
        ("10.77.1.16/29", True, True),
        ("10.0.0.0/8", True, True),
        ("0.0.0.0/0", True, True),
        ("10.77.2.0/24", False, False),
        ("::/0", False, False),
    ],
)
def test_networks_say_from_where(lab: Lab, networks: str, client: bool, other: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """Addresses of version 4."""
    lab.put("from4", writers="alice", networks=networks)
    assert lab.write("from4", host=lab.network.client).is_ok is client
    assert lab.write("from4", host=lab.network.other_client).is_ok is other


@pytest.mark.parametrize(
    ("networks", "client", "other"),
    [
        ("fd77::21", True, False),
        ("fd77::20/127", True, False),
        ("fd77::20/123", True, True),
        ("fd77::21/128", True, False),
        ("fd77::20/124 fd77::22", True, True),
        ("fd77::/64", True, True),
        ("::/0", True, True),
        ("10.0.0.0/8", False, False),
    ],
)
def test_networks_of_version_6_say_from_where(lab: Lab, networks: str, client: bool, other: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """Also with prefixes of three digits."""
    lab.put("from6", writers="alice", networks=networks)
    ipv6 = lab.network.server.ipv6
    assert lab.write("from6", host=lab.network.client, address=ipv6).is_ok is client
    assert lab.write("from6", host=lab.network.other_client, address=ipv6).is_ok is other


def test_a_stranger_is_denied_with_the_right_password(lab: Lab) -> None:
    """Users and networks must both be met."""
    lab.put("both", writers="alice", networks="10.77.1.21 10.77.1.22")
    assert "NT_STATUS_ACCESS_DENIED" in lab.write("both", host=lab.network.stranger).text


def test_a_symbolic_link_leads_to_no_other_share(lab: Lab) -> None:
    """Nor to the host; one that stays within the share works."""
    section = lab.put("links", writers="alice")
    secret = Path(lab.volume("secret")) / "secret"
    secret.write_text("secret")
    folder = Path(section.path)
    (folder / "inside").write_text("inside")
    (folder / "near").symlink_to("inside")
    (folder / "far").symlink_to(secret)
    (folder / "up").symlink_to("../secret")
    (folder / "host").symlink_to("/etc")
    for target, is_ok in (("near", True), ("far", False), ("up/secret", False), ("host/hostname", False)):
        answer = smb(
            lab.network.client, lab.network.server.ipv4, "links", "alice", PASSWORDS["alice"], f'get "{target}" fetched'
        )
        assert answer.is_ok is is_ok, (target, answer)


def test_files_belong_to_one_account_and_all_users_share_them(lab: Lab) -> None:
    """What one user made another may change, and so may NFS clients of any identity."""
    section = lab.put("shared", writers="alice bob")
    assert lab.write("shared", "alice").is_ok
    assert lab.write("shared", "bob").is_ok
    status = (Path(section.path) / "written").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (65534, 65534, 0o666)


@pytest.mark.parametrize(("uid", "is_ok"), [(0, True), (4711, False)])
def test_what_others_left_has_its_unix_permissions(own_lab: Lab, uid: int, is_ok: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """Under which the account of the clients may or may not write; root may always."""
    own_lab.server.stop()
    own_lab.server = SambaServer(own_lab.instance, owner=(uid, uid))
    own_lab.server.ensure_running(whole)
    section = own_lab.put("left", writers="alice")
    left = Path(section.path) / "written"
    left.write_text("left")
    os.chown(left, 1000, 1000)
    left.chmod(0o644)
    assert write_own(own_lab, "left").is_ok is is_ok
    assert write(own_lab.network.client, "10.77.1.22", "left", "alice", PASSWORDS["alice"], "new").is_ok
    status = (Path(section.path) / "new").stat()
    assert (status.st_uid, status.st_gid) == (uid, uid)


# Live sessions


def test_a_user_who_is_revoked_is_cut_off_and_the_others_go_on(lab: Lab) -> None:
    """At once, in an open session."""
    lab.put("revoked", writers="alice bob")
    with lab.session("revoked", "alice") as alice, lab.session("revoked", "bob") as bob:
        assert alice.write("a").is_ok
        assert bob.write("b").is_ok
        lab.put("revoked", writers="bob")
        assert not alice.write("c").is_ok
        assert bob.write("d").is_ok


def test_a_writer_who_becomes_a_reader_cannot_write_on(lab: Lab) -> None:
    """At once, in an open session; a new one may read, and other writers go on."""
    lab.put("lowered", writers="alice bob")
    with lab.session("lowered") as session, lab.session("lowered", "bob") as bob:
        assert session.write("a").is_ok
        lab.put("lowered", writers="bob", readers="alice")
        assert not session.write("b").is_ok
        assert bob.write("c").is_ok
    assert lab.list("lowered", "alice").is_ok


def test_a_network_that_is_taken_away_is_cut_off(lab: Lab) -> None:
    """At once, in an open session."""
    lab.put("moved", writers="alice", networks="10.0.0.0/8")
    with lab.session("moved") as session:
        assert session.write("a").is_ok
        lab.put("moved", writers="alice", networks="10.77.1.22")
        assert not session.write("b").is_ok


def test_a_right_that_is_given_cuts_nobody(lab: Lab) -> None:
    """Sessions go on; the new one is there."""
    lab.put("given", writers="alice")
    with lab.session("given") as session:
        lab.put("given", writers="alice bob", networks="")
        assert session.write("a").is_ok
    assert lab.write("given", "bob").is_ok


def test_a_share_that_is_removed_is_gone_for_everybody(lab: Lab) -> None:
    """Also for those who use it; removing it again is not an error."""
    lab.put("removed", writers="alice")
    with lab.session("removed") as session:
        assert session.write("a").is_ok
        lab.server.remove("removed")
        assert not session.write("b").is_ok
    assert "NT_STATUS_BAD_NETWORK_NAME" in lab.list("removed", "alice").text
    lab.server.remove("removed")
    assert "removed" not in lab.server.live()


def test_a_change_that_a_killed_run_left_half_done_is_finished(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stored; then the run died before smbd heard of it. The share shows as changed, and the same call cuts the session."""
    lab.put("half", writers="alice")
    with lab.session("half") as session:
        assert session.write("a").is_ok
        lowered = lab.section("half", readers="alice")
        with monkeypatch.context() as patch:

            def die(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(shares.Shares, "_enforce", die)
            with pytest.raises(KeyboardInterrupt):
                lab.server.put(lowered)
        assert session.write("b").is_ok
        assert lab.server.live()["half"].path == ""
        assert lab.server.stored()["half"] == lowered
        SambaServer(lab.instance).put(lowered)
        assert not session.write("c").is_ok
    assert lab.server.live()["half"] == lowered
