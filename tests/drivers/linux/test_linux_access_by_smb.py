"""What the agent's operations promise of access by SMB: users with passwords, in any notation, read back and repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import TransientError
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind, Section
from sharectl.drivers.linux.agent.smb.server import SambaServer
from sharectl.model.access import AccessRule
from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, BOB, STRANGE, ref
from tests.drivers.linux.smb_client import Session, smb, write
from tests.drivers.linux.test_linux_access import kill, server_file

if TYPE_CHECKING:
    from tests.drivers.linux.operations_lab import OperationsLab


def users_of(backend: OperationsLab) -> frozenset[str]:
    """Return the users that the SMB server has."""
    return backend.driver._agent.backend._room.servers("main").smb.users()  # type: ignore[attr-defined,no-any-return]


def test_without_users_nobody_gets_in_by_smb(backend: OperationsLab) -> None:
    """An address says from where, not who."""
    share = backend.share("nobody", ANYBODY, protocol="CIFS")
    assert backend.access_of(share) == {ANYBODY}
    answer = smb(backend.network.client, backend.host.ipv4, "nobody", "alice", "one-Secret", "ls")
    assert "NT_STATUS_" in answer.text
    backend.allow(share)
    assert backend.access_of(share) == set()


def test_a_server_that_takes_no_new_user_loses_who_is_to_go(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was in and may stay does stay; the call says what became of the access."""
    share = own_backend.share("office", ALICE, BOB, protocol="CIFS")

    def full(*_: object) -> None:
        raise Problem(ProblemKind.TRANSIENT, "no space for another user")

    with monkeypatch.context() as patched:
        patched.setattr(SambaServer, "ensure_user", full)
        own_backend.passwords["BOB"] = "new-Secret"
        with pytest.raises(TransientError, match="another user; meanwhile the share is closed to all but those who"):
            own_backend.allow(share, BOB)
    own_backend.passwords["BOB"] = PASSWORDS["BOB"]
    assert own_backend.access_of(share) == {BOB}


def test_a_user_lives_as_long_as_a_share_names_it(backend: OperationsLab) -> None:
    """Whether the last rule or the last share goes."""
    one, two = (backend.share(name, ALICE, BOB, protocol="CIFS") for name in ("one", "two"))
    assert users_of(backend) == {"alice", "bob"}
    backend.allow(one, BOB)
    assert users_of(backend) == {"alice", "bob"}
    backend.allow(two, BOB)
    assert users_of(backend) == {"bob"}
    backend.driver.delete_share(ref(one))
    backend.driver.trash_share(ref(two))
    assert users_of(backend) == frozenset()


def test_a_password_that_was_changed_in_the_manifest_is_drift_and_repaired(own_backend: OperationsLab) -> None:
    """Until then the user counts as a stranger, who has no rule and comes in all the same."""
    share = own_backend.share("office", ALICE, BOB, protocol="CIFS")
    own_backend.passwords["ALICE"] = "new-Secret"
    assert own_backend.access_of(share) == {BOB, STRANGE}
    own_backend.allow(share, ALICE, BOB)
    assert own_backend.access_of(share) == {ALICE, BOB}
    client, address = own_backend.network.client, own_backend.host.ipv4
    assert "NT_STATUS_LOGON_FAILURE" in smb(client, address, "office", "alice", "one-Secret", "ls").text
    assert write(client, address, "office", "alice", "new-Secret").is_ok


def test_a_user_whose_password_cannot_be_had_gets_no_access_and_the_others_do(own_backend: OperationsLab) -> None:
    """The rule says why; one that was in force before goes, and nothing of the reference is lost."""
    share = own_backend.share("office", ALICE, protocol="CIFS")
    del own_backend.passwords["ALICE"]
    assert own_backend.access_of(share) == {ALICE}, "what is in force is seen without the password"
    statuses = own_backend.allow(share, ALICE, BOB)
    assert statuses[BOB].status == "active"
    assert statuses[ALICE].status == "error"
    assert statuses[ALICE].reason == "the password of alice cannot be had: the environment variable ALICE is not set"
    assert own_backend.access_of(share) == {BOB}


def test_users_in_the_notation_of_windows(own_backend: OperationsLab) -> None:
    r"""`MAIN\carol` is a user of the server; those of a domain are refused each by itself."""
    users = {name: {"password": {"env": "ALICE"}} for name in ("carol", "dave")}
    driver = own_backend.open(smb={"users": users})
    driver.prepare()
    share = driver.create_share(own_backend.request("windows", "CIFS"))
    carol, again, dave, root = (
        AccessRule("user", name, "ro") for name in ("MAIN\\Carol", "carol", "CORP\\dave", "root")
    )
    statuses = driver.update_access(ref(share), [carol, again, dave, root], [], [])
    assert statuses[carol].status == "active"
    assert statuses[again].reason == "another rule names the same user; Samba ignores case"
    assert "belongs to a domain" in statuses[dave].reason
    assert "needs the account root itself" in statuses[root].reason
    (listed,) = driver.list_shares()
    assert listed.access == (carol,)
    other = driver.create_share(own_backend.request("other", "CIFS"))
    driver.update_access(ref(other), [again], [], [])
    driver.update_access(ref(other), [], [], [again])
    answer = smb(own_backend.network.client, own_backend.host.ipv4, "windows", "carol", "one-Secret", "ls")
    assert answer.is_ok, "the user lives as long as a share names it, in any notation"


def test_a_user_that_the_settings_do_not_name(backend: OperationsLab) -> None:
    """Has no password, and gets no account."""
    share = backend.share("strangers", protocol="CIFS")
    mallory = AccessRule("user", 'mallory"\n[evil]', "rw")
    statuses = backend.allow(share, mallory)
    assert "cannot exist on an SMB server" in statuses[mallory].reason
    stranger = AccessRule("user", "carol", "rw")
    assert "the backend knows no user 'carol'" in backend.allow(share, stranger)[stranger].reason
    assert backend.access_of(share) == set()
    assert not users_of(backend)


def test_a_password_that_samba_cannot_keep_is_told_with_its_rule(own_backend: OperationsLab) -> None:
    """The other users get in."""
    own_backend.passwords["BOB"] = "x" * 200
    share = own_backend.share("office", protocol="CIFS")
    statuses = own_backend.allow(share, ALICE, BOB)
    assert (statuses[ALICE].status, statuses[BOB].status) == ("active", "error")
    assert "x" * 200 not in statuses[BOB].reason
    assert own_backend.access_of(share) == {ALICE}


def test_a_share_that_was_never_reachable_is_deleted_without_a_server(own_backend: OperationsLab) -> None:
    """Nothing is started for it."""
    share = own_backend.share("unseen", protocol="CIFS")
    own_backend.driver.delete_share(ref(share))
    assert not server_file(own_backend, "smb").exists()


def test_a_user_that_somebody_wrote_into_a_section_stands_in_no_way(own_backend: OperationsLab) -> None:
    """One that cannot exist on the server keeps no account alive, and the section is repaired by the next change."""
    share, other = (own_backend.share(name, BOB, protocol="CIFS") for name in ("office", "other"))
    conf = server_file(own_backend, "smb/shares.conf")
    text = conf.read_text(encoding="utf-8")
    conf.write_text(text.replace('"bob"', '"CORP\\\\bob"'), encoding="utf-8")
    own_backend.driver.delete_share(ref(other))
    own_backend.allow(share, BOB)
    assert own_backend.access_of(share) == {BOB}


def test_a_section_that_somebody_changed_is_drift_and_repaired(own_backend: OperationsLab) -> None:
    """Another user, or another folder."""
    share = own_backend.share("office", BOB, protocol="CIFS")
    conf = server_file(own_backend, "smb/shares.conf")
    for change in (("read only = yes", "read only = no"), (str(own_backend.volume(share)), "/etc")):
        text = conf.read_text(encoding="utf-8")
        assert change[0] in text
        conf.write_text(text.replace(*change), encoding="utf-8")
        assert own_backend.access_of(share) != {BOB}
        own_backend.allow(share, BOB)
        assert own_backend.access_of(share) == {BOB}


def test_a_removal_that_was_cut_short_does_not_leave_its_sessions_unseen(own_backend: OperationsLab) -> None:
    """The file has lost the section, and the server has not read it: what is still open is listed, and the next call ends it."""
    share = own_backend.share("office", ALICE, protocol="CIFS")
    conf = server_file(own_backend, "smb/shares.conf")
    client, address = own_backend.network.client, own_backend.host.ipv4
    with Session(client, address, "office", "alice", "one-Secret") as session:
        assert session.write("before").is_ok
        text = conf.read_text(encoding="utf-8")
        conf.write_text(text[: text.index("[office]")], encoding="utf-8")
        assert own_backend.access_of(share) == {STRANGE}
        own_backend.allow(share)
        assert own_backend.access_of(share) == set()
        assert not session.write("after").is_ok


def test_a_share_whose_volume_was_replaced_by_a_link_is_not_reachable(own_backend: OperationsLab) -> None:
    """What the section leads to is no longer one of our folders."""
    share = own_backend.share("office", BOB, protocol="CIFS")
    volume = own_backend.volume(share)
    volume.rename(volume.with_name("aside"))
    volume.symlink_to("/etc")
    assert list(own_backend.driver.list_shares([str(share.resource_id)])) == []
    assert [listed.resource_id for listed in own_backend.driver.list_shares()] == [None]
    own_backend.driver.delete_share(ref(share))
    assert "[office]" not in server_file(own_backend, "smb/shares.conf").read_text(encoding="utf-8")
    assert volume.is_symlink(), "the link is not the share, and is left alone"
    assert volume.with_name("aside").is_dir()


def test_an_smb_server_that_was_killed_comes_back(own_backend: OperationsLab) -> None:
    """With its sections and users."""
    share = own_backend.share("office", ALICE, protocol="CIFS")
    kill(server_file(own_backend, "smb/run/smbd.pid"))
    assert own_backend.access_of(share) == set()
    own_backend.allow(share, ALICE)
    assert own_backend.access_of(share) == {ALICE}
    assert write(own_backend.network.client, own_backend.host.ipv4, "office", "alice", "one-Secret").is_ok


def test_access_by_smb_that_nobody_asks_for_any_more_does_not_come_back(own_backend: OperationsLab) -> None:
    """As of NFS; a share that this run has seen in force does."""
    first, second = (own_backend.share(name, ALICE, protocol="CIFS") for name in ("first", "second"))
    kill(server_file(own_backend, "smb/run/smbd.pid"))
    own_backend.allow(first, ALICE)
    assert own_backend.access_of(second) == {ALICE}, "it was put in force by this run"
    kill(server_file(own_backend, "smb/run/smbd.pid"))
    assert [share.access for share in own_backend.driver.list_shares()] == [(), ()]
    own_backend.allow(first, ALICE)
    assert (own_backend.access_of(first), own_backend.access_of(second)) == ({ALICE}, set())


def test_an_image_that_is_not_mounted_is_drift_and_never_served_as_an_empty_folder(own_backend: OperationsLab) -> None:
    """It is mounted before the server starts; a share whose image is gone stays out."""
    need("mkfs.ext4", file_system="ext4")
    folder = own_backend.folder / "images"
    folder.mkdir()
    driver = own_backend.open(pools={"fast": {"type": "image", "path": str(folder), "fileSystem": "ext4"}})
    driver.prepare()
    shares = [driver.create_share(own_backend.request(name, "CIFS")) for name in ("first", "second")]
    for share in shares:
        driver.update_access(ref(share), [ALICE], [], [])
    for name in ("first", "second"):
        run("umount", str(folder / name))
    assert [share.access for share in driver.list_shares()] == [(STRANGE,), (STRANGE,)]
    driver.update_access(ref(shares[0]), [ALICE], [], [])
    assert {share.name: share.access for share in driver.list_shares()} == {"first": (ALICE,), "second": (STRANGE,)}
    kill(server_file(own_backend, "smb/run/smbd.pid"))
    run("umount", str(folder / "first"))
    (folder / ".sharectl/images/second.img").rename(own_backend.folder / "second.img")
    backend = driver._agent.backend  # type: ignore[attr-defined]
    servers = backend._room.servers("main")
    servers.smb.ensure_running(backend._access.smb.is_ready(servers))
    assert servers.smb.live().keys() == {"first"}
    assert (folder / "first").is_mount()


def test_a_section_that_no_share_has_is_not_ready(own_backend: OperationsLab) -> None:
    """What is left of records that were lost, or of a share in the trash."""
    own_backend.share("office", ALICE, protocol="CIFS")
    backend = own_backend.driver._agent.backend  # type: ignore[attr-defined]
    servers = backend._room.servers("main")
    assert not backend._access.smb.is_ready(servers)(Section("stranger", "/srv"))


def test_a_user_who_cannot_be_made_just_now_fails_the_call(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be repeated; that is no mistake of the rule's."""
    share = backend.share("later", protocol="CIFS")

    def busy(*_: object) -> None:
        raise Problem(ProblemKind.TRANSIENT, "pdbedit does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(SambaServer, "ensure_user", busy)
        with pytest.raises(TransientError, match="pdbedit does not answer"):
            backend.allow(share, ALICE)
    assert backend.access_of(share) == set()
    assert backend.allow(share, ALICE)[ALICE].status == "active"


def test_users_that_a_killed_call_left_go_with_the_share(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were made before the section that names them."""
    share = own_backend.share("office", protocol="CIFS")

    def killed(_self: SambaServer, _section: Section) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SambaServer, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            own_backend.allow(share, ALICE)
    assert users_of(own_backend) == {"alice"}
    own_backend.driver.delete_share(ref(share))
    assert users_of(own_backend) == frozenset()


def test_a_folder_above_the_pool_that_is_closed_to_smbd_is_named(own_backend: OperationsLab) -> None:
    """Nobody gets in, so no rule counts as in force, and the backend reports the folder with what mends it; then all is well."""
    share = own_backend.share("behind", ANYBODY, ALICE, protocol="CIFS")
    client, server = own_backend.network.client, own_backend.host.ipv4
    assert own_backend.driver.report().hindrances == ()
    own_backend.folder.chmod(0o700)
    assert "NT_STATUS_" in smb(client, server, "behind", "alice", PASSWORDS["ALICE"], "ls").text
    (found,) = own_backend.driver.report().hindrances
    assert f"the folder {own_backend.folder} (mode 0700) is closed" in found.summary
    assert f"chmod o+x {own_backend.folder}" in found.remedy
    statuses = own_backend.allow(share, ANYBODY, ALICE)
    assert {status.status for status in statuses.values()} == {"error"}
    assert all("no SMB client gets to the pool 'fast'" in status.reason for status in statuses.values())
    own_backend.folder.chmod(0o711)
    assert own_backend.driver.report().hindrances == ()
    assert {status.status for status in own_backend.allow(share, ANYBODY, ALICE).values()} == {"active"}
    assert smb(client, server, "behind", "alice", PASSWORDS["ALICE"], "ls").is_ok


def test_a_backend_that_only_exports_over_nfs_is_hindered_by_no_folder(own_backend: OperationsLab) -> None:
    """Ganesha works as root."""
    own_backend.share("by-nfs", ANYBODY)
    own_backend.folder.chmod(0o700)
    assert own_backend.driver.report().hindrances == ()
    own_backend.folder.chmod(0o755)
