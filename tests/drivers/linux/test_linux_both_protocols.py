"""One share over NFS and SMB: the same files for clients of both, and for each client what the rules say over its protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import DriverError, TransientError
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.drivers.linux.agent.smb.server import SambaServer
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site
from sharectl.executors.calls import UpdateAccess
from sharectl.model.access import BOTH, AccessRule
from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.both_lab import LIBNFS, READER, RULES, WRITER, Office
from tests.drivers.linux.lab import kill_processes_of, need, restart_host
from tests.drivers.linux.nfs_client import held, locked
from tests.drivers.linux.operations_lab import ALICE, BOB, OperationsLab, ref, snapshot_ref
from tests.drivers.linux.smb_client import Session
from tests.drivers.linux.test_linux_previous_versions import TOKEN
from tests.drivers.linux.test_linux_restoring import backend_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.drivers.linux.lab import Network


@pytest.fixture(scope="module")
def lab(module_directory: str, network: Network) -> Iterator[OperationsLab]:
    """Give one backend to all tests of the module, which make shares of different names."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    lab = OperationsLab(module_directory, network, network.server)
    lab._prepared = lab.open(nfs=LIBNFS)
    lab.driver.prepare()
    yield lab
    lab.close()


# Files


def test_what_nfs_clients_make_is_read_changed_and_deleted_over_smb(lab: OperationsLab) -> None:
    """Whoever the NFS client says that it is, and whatever mode it gives that lets the owner in."""
    office = Office(lab, "from-nfs")
    assert office.nfs("put", "plan", "over nfs", user=1000).is_done
    assert office.nfs("chmod", "plan", "600").is_done
    assert office.nfs("mkdir", "folder", user=2000).is_done
    (office.folder / "folder").chmod(0o700)  # libnfs changes no modes of folders
    assert office.nfs("stat", "plan").text.startswith("65534 65534 100600 ")
    assert office.get("plan") == "over nfs"
    assert office.put("plan", "over smb").is_ok
    assert office.nfs("cat", "plan").text == "over smb"
    assert office.put("folder/inside", "x").is_ok
    assert office.smb("rename plan folder/moved").is_ok
    assert office.nfs("cat", "folder/moved").text == "over smb"
    assert office.smb("del folder/moved; del folder/inside; rmdir folder").is_ok
    assert office.nfs("ls").text == ""


def test_what_smb_clients_make_is_read_changed_and_deleted_over_nfs(lab: OperationsLab) -> None:
    """All of it has the owner that files of NFS clients have."""
    office = Office(lab, "from-smb")
    assert office.put("plan", "over smb").is_ok
    assert office.smb("mkdir folder").is_ok
    assert office.nfs("stat", "plan").text.startswith("65534 65534 100666 ")
    assert office.nfs("cat", "plan", user=1000).text == "over smb"
    assert office.nfs("put", "plan", "over nfs", user=1000).is_done
    assert office.get("plan") == "over nfs"
    assert office.nfs("mv", "plan", "folder/moved", user=2000).is_done
    assert office.get("folder/moved") == "over nfs"
    assert office.nfs("rm", "folder/moved").is_done
    assert "NT_STATUS" in office.get("folder/moved")


def test_a_file_that_an_nfs_client_seals_is_read_and_deleted_over_smb(lab: OperationsLab) -> None:
    """And not changed, until an NFS client lets its owner write."""
    office = Office(lab, "sealed")
    for name in ("kept", "gone"):
        assert office.nfs("put", name, "x").is_done
        assert office.nfs("chmod", name, "444").is_done
    assert (office.get("kept"), office.get("gone", "bob")) == ("x", "x")
    assert not office.put("kept", "y").is_ok
    assert office.smb("del gone").is_ok
    assert office.nfs("ls").text == "kept"
    (office.folder / "kept").chmod(0o644)  # which libnfs opens the file for
    assert office.put("kept", "y").is_ok


def test_what_an_nfs_client_has_locked_is_locked_over_smb(lab: OperationsLab) -> None:
    """And no client of SMB keeps what it reads to itself, so that each sees what the other has written."""
    office = Office(lab, "locked")
    assert office.put("plan", "first").is_ok
    address, client = lab.host.ipv4, lab.network.client
    with Session(client, address, "locked", "alice", PASSWORDS["ALICE"]) as session:
        assert session.write("plan").is_ok
        assert office.nfs("put", "plan", "second").is_done
        assert office.get("plan") == "second"
    with locked(client, address, "/shares/locked", "plan"):
        assert "LOCK_CONFLICT" in office.get("plan")
        assert "LOCK_CONFLICT" in office.put("plan", "third").text


# Rules


def test_each_rule_is_for_its_protocol_and_addresses_say_from_where_users_come(lab: OperationsLab) -> None:
    """From those with rw alone: Samba has no readers by address."""
    office, network = Office(lab, "rules"), lab.network
    assert office.access == set(RULES)
    assert office.nfs("put", "a", "x").is_done
    assert office.nfs("cat", "a", host=network.other_client).text == "x"
    assert "NFS4ERR_ROFS" in office.nfs("put", "b", "x", host=network.other_client).text
    assert not office.nfs("ls", host=network.stranger).is_done
    assert office.put("b", "y").is_ok
    assert office.get("b", "bob") == "y"
    assert not office.put("c", "z", "bob").is_ok
    for host in (network.other_client, network.stranger):
        assert "NT_STATUS_ACCESS_DENIED" in office.smb("ls", host=host).text


def test_rules_that_go_over_one_protocol_leave_the_other(lab: OperationsLab) -> None:
    """People alone are let in from everywhere over SMB; addresses alone over NFS."""
    office = Office(lab, "one-by-one")
    office.allow(WRITER, READER)
    assert office.access == {WRITER, READER}
    assert office.nfs("put", "a", "x").is_done
    assert "NT_STATUS" in office.smb("ls").text
    office.allow(ALICE)
    assert office.access == {ALICE}
    assert not office.nfs("ls").is_done
    assert office.get("a") == "x"
    assert office.smb("ls", host=lab.network.stranger).is_ok
    office.allow()
    assert office.access == set()
    assert not office.smb("ls").is_ok


def test_who_is_kept_out_is_kept_out_over_both(lab: OperationsLab) -> None:
    """By address over NFS and SMB, by name over SMB."""
    network = lab.network
    hole = AccessRule("ip", network.client.ipv4, "none")
    rules = (AccessRule("ip", "10.77.1.0/24", "rw"), hole, ALICE, AccessRule("user", "bob", "none"))
    office = Office(lab, "kept-out", *rules)
    assert office.access == set(rules)
    assert not office.nfs("ls").is_done
    assert not office.smb("ls").is_ok
    assert office.nfs("put", "a", "x", host=network.other_client).is_done
    assert office.smb("ls", host=network.other_client).is_ok
    assert not office.smb("ls", "bob", host=network.other_client).is_ok


def test_where_both_servers_fail_both_are_told(lab: OperationsLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads of one alone would take the share for closed over the other."""
    office = Office(lab, "failing-both")

    def failing(kind: ProblemKind, words: str) -> Callable[..., None]:
        def fail(*_: object) -> None:
            raise Problem(kind, words)

        return fail

    with monkeypatch.context() as patched:
        patched.setattr(GaneshaServer, "put", failing(ProblemKind.TRANSIENT, "no space for it"))
        patched.setattr(SambaServer, "put", failing(ProblemKind.REFUSED, "it is too long"))
        with pytest.raises(DriverError, match=r"over NFS: no space for it.*; over CIFS: it is too long") as caught:
            office.allow(WRITER, ALICE)
        assert type(caught.value) is DriverError
    with monkeypatch.context() as patched:
        for server in (GaneshaServer, SambaServer):
            patched.setattr(server, "remove", failing(ProblemKind.TRANSIENT, server.__name__))
        with pytest.raises(TransientError, match="over NFS: GaneshaServer; over CIFS: SambaServer"):
            office.allow()
    office.allow(*RULES)
    assert office.access == set(RULES)


def test_a_pool_that_smbd_does_not_get_to_is_no_matter_of_rules_over_nfs(lab: OperationsLab) -> None:
    """They are in force, and said to be."""
    office = Office(lab, "closed-to-smbd")
    mode = lab.folder.stat().st_mode
    lab.folder.chmod(0o700)
    try:
        statuses = office.allow(*RULES)
    finally:
        lab.folder.chmod(mode)
    assert {rule for rule, status in statuses.items() if status.status == "active"} == {WRITER, READER}
    assert "no SMB client gets to the pool" in statuses[ALICE].reason
    assert office.nfs("ls").is_done


def test_users_without_an_address_that_may_write_are_refused(lab: OperationsLab) -> None:
    """The rule is an error with its reason, and nobody comes by it; the addresses read over NFS."""
    office = Office(lab, "readers", READER)
    statuses = office.allow(READER, ALICE)
    assert (statuses[READER].status, statuses[ALICE].status) == ("active", "error")
    assert "none of the address rules is rw" in statuses[ALICE].reason
    assert office.access == {READER}
    assert not office.smb("ls", host=lab.network.other_client).is_ok
    assert office.nfs("ls", host=lab.network.other_client).is_done


@pytest.mark.parametrize("option", [("squash", "none"), ("squash", "root"), ("anonymousUid", "1000")])
def test_a_client_that_would_make_files_of_another_owner_is_refused(
    lab: OperationsLab, option: tuple[str, str]
) -> None:
    """And nobody gets in by a wider rule, nor over SMB from there."""
    wide, odd = AccessRule("ip", "10.77.1.0/24", "rw"), WRITER._replace(options=(option,))
    office = Office(lab, f"odd-{'-'.join(option)}", WRITER)
    statuses = office.allow(wide, odd, ALICE)
    assert {status.status for status in statuses.values()} == {"error"}
    assert "another owner" in statuses[odd].reason
    assert office.access == set()
    assert not office.nfs("ls").is_done
    assert not office.smb("ls").is_ok


@pytest.mark.parametrize("server", [GaneshaServer, SambaServer])
def test_a_server_that_fails_keeps_nobody_in_over_the_other(
    lab: OperationsLab, monkeypatch: pytest.MonkeyPatch, server: type
) -> None:
    """The call fails, and who is to be out is out over both."""
    office, network = Office(lab, f"failing-{server.__name__[:5].lower()}"), lab.network

    def full(*_: object) -> bool:
        raise Problem(ProblemKind.TRANSIENT, "no space for it")

    with monkeypatch.context() as patched:
        patched.setattr(server, "put", full)
        with pytest.raises(TransientError, match="no space for it"):
            office.allow(AccessRule("ip", network.other_client.ipv4, "rw"), ALICE)
    assert not office.nfs("ls").is_done
    assert not office.smb("ls").is_ok
    assert not office.smb("ls", "bob", host=network.other_client).is_ok
    office.allow(*RULES)
    assert office.access == set(RULES)


# Its life


def test_snapshot_clone_revert_and_other_names_keep_both(lab: OperationsLab) -> None:
    """Access over each is in force again after what withdraws it for a moment."""
    office = Office(lab, "lives")
    office.nfs("put", "a", "old")
    snapshot = lab.snapshot(office.share, "monday")
    assert office.put("a", "new").is_ok
    lab.driver.revert_share(ref(office.share), snapshot_ref(snapshot))
    assert office.access == set(RULES)
    assert (office.get("a"), office.nfs("cat", "a").text) == ("old", "old")
    lab.driver.rename_export(ref(office.share), "Marketing Team")
    assert (office.name, office.access) == ("Marketing Team", set(RULES))
    assert office.put("a", "renamed").is_ok
    assert office.nfs("cat", "a").text == "renamed"
    clone = Office.__new__(Office)
    clone.lab = lab
    clone.share = lab.share("cloned", *RULES, protocol="NFS_CIFS", snapshot=snapshot_ref(snapshot))
    assert (clone.get("a"), clone.nfs("cat", "a").text) == ("old", "old")
    assert clone.put("a", "cloned").is_ok
    assert office.get("a") == "renamed"


def test_a_share_in_the_trash_is_closed_over_both_and_comes_back(lab: OperationsLab) -> None:
    """Without access, until it is given some."""
    office = Office(lab, "trashed")
    lab.driver.trash_share(ref(office.share))
    assert not office.nfs("ls").is_done
    assert not office.smb("ls").is_ok
    lab.driver.restore_share(str(office.share.resource_id))
    assert office.access == set()
    assert not office.smb("ls").is_ok
    office.allow(*RULES)
    assert office.nfs("put", "a", "x").is_done
    assert office.get("a") == "x"
    lab.driver.delete_share(ref(office.share))
    assert not office.folder.exists()


# Drift, repair and restart


def test_what_is_gone_over_one_protocol_is_seen_and_put_back(lab: OperationsLab) -> None:
    """While the other goes on. A section from elsewhere than the address rules say stands among the rules as one that nobody asks for."""
    office = Office(lab, "drifting")
    servers = backend_of(lab.driver)._room.servers("main")
    assert servers.nfs is not None
    assert servers.smb is not None
    servers.smb.remove("drifting")
    assert office.access == {WRITER, READER}
    assert office.nfs("put", "a", "x").is_done
    office.allow(*RULES)
    section = servers.smb.live()["drifting"]
    servers.nfs.remove(export_id_of(lab, office))
    assert office.access > {ALICE, BOB}
    assert len(office.access) == 3
    assert office.get("a") == "x"
    office.allow(*RULES)
    servers.smb.put(replace(section, networks=frozenset({"10.77.1.0/24"}), asked=()))
    assert office.access > set(RULES)
    assert office.smb("ls", host=lab.network.stranger).is_ok
    office.allow(*RULES)
    assert office.access == set(RULES)
    assert not office.smb("ls", host=lab.network.stranger).is_ok


def export_id_of(lab: OperationsLab, office: Office) -> int:
    """Return the number of the share's export."""
    row = backend_of(lab.driver)._records.share(str(office.share.resource_id))
    assert row is not None
    return row.export_id


def test_each_server_that_is_killed_comes_back_with_its_part(own_backend: OperationsLab) -> None:
    """What a listing found closed over one protocol stays closed over that alone; an apply opens it."""
    own_backend._prepared = own_backend.open(nfs=LIBNFS)
    own_backend.driver.prepare()
    office = Office(own_backend, "office")
    kill_processes_of(f"{own_backend.folder}/root/servers/main/nfs")
    assert office.access > {ALICE, BOB}
    assert WRITER not in office.access
    restart_host(str(own_backend.folder))
    own_backend.driver._agent.call("restore", {})
    assert office.smb("ls").is_ok
    assert not office.nfs("ls").is_done
    office.allow(*RULES)
    assert office.nfs("put", "a", "x").is_done
    restart_host(str(own_backend.folder))
    own_backend.driver._agent.call("restore", {})
    assert office.access == set(RULES)
    assert (office.nfs("cat", "a").text, office.get("a")) == ("x", "x")


# Protocols that come and go


def test_smb_comes_to_a_share_of_nfs_and_goes_again(lab: OperationsLab) -> None:
    """NFS clients go on with what they have open; from then on what they make belongs to the one owner."""
    office, address = Office(lab, "in-place", WRITER, READER, protocol="NFS"), lab.host.ipv4
    assert office.nfs("put", "before", "x", user=1000).is_done
    assert office.nfs("stat", "before").text.startswith("1000 ")
    with held(lab.network.client, address, "/shares/in-place", "open") as file:
        assert file.write().is_done
        lab.driver.change_protocols(ref(office.share), "NFS_CIFS")
        assert office.access == {WRITER, READER}
        assert not office.smb("ls").is_ok
        office.allow(*RULES)
        assert file.write().is_done
        assert office.access == set(RULES)
        assert office.nfs("put", "after", "y", user=1000).is_done
        assert office.nfs("stat", "after").text.startswith("65534 65534 ")
        assert office.get("after") == "y"
        with Session(lab.network.client, address, "in-place", "alice", PASSWORDS["ALICE"]) as session:
            assert session.write("a").is_ok
            lab.driver.change_protocols(ref(office.share), "NFS")
            assert not session.write("b").is_ok
        assert file.write().is_done
    assert office.access == {WRITER, READER}
    office.allow(WRITER, READER, protocol="NFS")
    assert not office.smb("ls").is_ok
    assert office.nfs("put", "last", "x", user=1000).is_done


def test_nfs_comes_to_a_share_of_smb_and_smb_goes(lab: OperationsLab) -> None:
    """By way of both, each of which is closed until its rules are put in force."""
    office = Office(lab, "the-other-way", WRITER, ALICE, protocol="CIFS")
    assert office.put("a", "x").is_ok
    lab.driver.change_protocols(ref(office.share), "NFS_CIFS")
    assert not office.nfs("ls").is_done
    assert office.get("a") == "x"
    office.allow(WRITER, READER, ALICE)
    assert office.nfs("cat", "a").text == "x"
    lab.driver.change_protocols(ref(office.share), "NFS")
    assert not office.smb("ls").is_ok
    assert office.access == {WRITER, READER}
    with pytest.raises(DriverError, match="could not be found there any more"):
        lab.driver.change_protocols(ref(office.share), "CIFS")


def test_a_name_of_folders_goes_before_smb_comes_and_comes_back_after_it_went(lab: OperationsLab) -> None:
    """SMB knows no such name; NFS clients keep their access all the while."""
    office = Office(lab, "folders", WRITER, protocol="NFS")
    lab.driver.rename_export(ref(office.share), "lab/data")
    for protocol, name, rules in ((BOTH, "labdata", (WRITER, ALICE)), ("NFS", "lab/data", (WRITER,))):
        target = replace(ref(office.share), protocol=protocol)
        call = UpdateAccess(target, rules, repairs=True, export_name=name, protocol=protocol)
        answer = execute(Site(lab.driver, lambda: NotImplemented), call)
        assert {outcome.status for outcome in answer.rules} == {"active"}
        assert (office.name, office.access) == (name, set(rules))
        assert office.nfs("put", "a", "x").is_done


# Attacks


@pytest.mark.parametrize("target", ["../victim/secret", "{pool}/victim/secret"])
def test_a_link_that_an_nfs_client_makes_leads_smb_nowhere_else(lab: OperationsLab, target: str) -> None:
    """Neither in the share nor in its previous versions, and not where a folder is swapped for a link."""
    number = abs(hash(target)) % 10_000
    victim = Office(lab, "victim", ALICE) if not (lab.folder / "pool/victim").exists() else None
    if victim is not None:
        assert victim.put("secret", "secret").is_ok
    office = Office(lab, f"links-{number}")
    settings = {"previousVersions": "true", "squash": "all", "anonymous": "65534:65534"}
    reference = replace(ref(office.share), protocol="NFS_CIFS", export_settings=settings)
    lab.driver.update_access(reference, RULES, RULES, ())
    place = target.format(pool=lab.folder / "pool")
    folder = str(Path(place).parent)
    for name, to in (("file", place), ("folder", folder)):
        assert office.nfs("ln", to, name).is_done
    assert office.nfs("put", "plain", "x").is_done
    lab.snapshot(office.share, "monday")
    (token,) = TOKEN.findall(office.smb("allinfo plain").text)
    assert office.get(f"{token}/plain") == "x"
    for path in ("file", f"folder/{Path(place).name}"):
        for shown in (path, f"{token}/{path}"):
            assert "NT_STATUS" in office.get(shown), shown
        assert not office.put(path, "changed").is_ok
    assert victim is None or victim.get("secret") == "secret"
