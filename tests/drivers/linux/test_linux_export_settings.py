"""Settings of exports that change after shares were made, through the command line, with a real server and a real client."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.drivers.linux.lab import kill_processes_of, mounts_under, need, run
from tests.drivers.linux.nfs_client import V3, nfs
from tests.drivers.linux.repository import PASSWORDS
from tests.drivers.linux.samba_lab import need_samba_modules
from tests.drivers.linux.smb_client import smb
from tests.drivers.linux.test_linux_scenario import backend_config, repository  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from tests.drivers.linux.lab import Network
    from tests.drivers.linux.repository import Repository


def _changes(repository: Repository) -> list[tuple[str, str, str]]:  # noqa: F811 - the fixture
    done = repository.run("plan", "--output", "json")
    assert done.returncode == 0, done.stderr
    found = [change for step in json.loads(done.stdout)["steps"] for change in step["changes"]]
    return [(change["field"], change["before"], change["after"]) for change in found]


def test_a_changed_squash_reaches_shares_that_exist(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """By the share type, by the backend, and back from a change by hand; each is shown with its values and carried out."""
    rules = [{"type": "ip", "to": network.client.ipv4, "level": "rw"}]
    spec = {"size": "8 MiB", "protocol": "NFS", "access": rules}
    unsquashed = backend_config(lab_directory, network, nfs={"versions": ["4.0", "4.1", "4.2"], "squash": "none"})
    repository.write("Backend", "nas", {"driver": "linux", "config": unsquashed})
    repository.write("ShareType", "gold", {"extraSpecs": {"snapshot_support": "True"}})
    repository.write("Share", "typed", {**spec, "type": "gold"})
    repository.write("Share", "plain", spec)
    repository.apply()
    assert _changes(repository) == []

    def owner_of_new(share: str, name: str) -> int:
        assert nfs(network.client, network.server.ipv4, f"/shares/{share}", "mkdir", name).is_done
        return Path(lab_directory, "pool", share, name).stat().st_uid

    assert (owner_of_new("typed", "a"), owner_of_new("plain", "a")) == (0, 0)
    repository.write("ShareType", "gold", {"extraSpecs": {"snapshot_support": "True", "linux:nfs_squash": "all"}})
    assert _changes(repository) == [("export/squash", "none", "all")]
    repository.apply()
    assert (owner_of_new("typed", "b"), owner_of_new("plain", "b")) == (65534, 0)
    config = backend_config(lab_directory, network, nfs={"versions": ["4.0", "4.1", "4.2"], "squash": "root"})
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    assert _changes(repository) == [("export/squash", "none", "root")]
    repository.apply()
    assert (owner_of_new("typed", "c"), owner_of_new("plain", "c")) == (65534, 65534)
    assert _changes(repository) == []


def test_changed_versions_of_the_server_are_told_as_such(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """With their values, and not as access that somebody changed: until the server is restarted, it exports nothing as it should."""
    rules = [{"type": "ip", "to": network.client.ipv4, "level": "rw"}]
    repository.write("Share", "plain", {"size": "8 MiB", "protocol": "NFS", "access": rules})
    repository.apply()
    config = backend_config(lab_directory, network, nfs={"versions": ["4.2"]})
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    for refresh in ("full", "changed", "none"):
        done = repository.run("plan", "--output", "json", "--refresh", refresh)
        (step,) = json.loads(done.stdout)["steps"]
        assert step["reason"].startswith("its export's settings differ"), refresh
        assert "versions 4.0,4.1,4.2 → 4.2" in step["reason"]
        assert {"field": "export/versions", "before": "4.0,4.1,4.2", "after": "4.2"} in step["changes"]
    repository.apply()
    assert _changes(repository) == []


def test_changed_people_of_the_backend_are_told_without_a_look(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """For shares with a rule that means them, with who they are, and not as access that somebody changed; a change of others is none."""
    smb_config = backend_config(lab_directory, network)["smb"]

    def write_groups(*staff: str) -> None:
        groups = {"Staff": [*staff], "others": ["alice"]}
        config = backend_config(lab_directory, network, smb={**smb_config, "groups": groups})
        repository.write("Backend", "nas", {"driver": "linux", "config": config})

    write_groups("alice", "bob")
    rules = {"mixed": ["user:alice", "group:staff"], "whole": ["group:staff"], "other": ["group:others", "user:bob"]}
    for name, keys in rules.items():
        access = [dict(zip(("type", "to"), key.split(":"), strict=True), level="rw") for key in keys]
        repository.write("Share", name, {"size": "8 MiB", "protocol": "CIFS", "access": access})
    repository.apply()
    assert _changes(repository) == []
    write_groups("alice")
    for refresh in ("none", "full", "changed"):
        done = repository.run("plan", "--output", "json", "--refresh", refresh)
        steps = json.loads(done.stdout)["steps"]
        assert {step["address"] for step in steps} == {"share/mixed", "share/whole"}
        for step in steps:
            assert step["reason"].startswith("its export's settings differ"), (refresh, step["address"])
            assert {"field": "export/group:staff", "before": "alice, bob", "after": "alice"} in step["changes"]
    bob = "bob", PASSWORDS["BOB_PASSWORD"]
    assert smb(network.client, network.server.ipv4, "whole", *bob, "ls").is_ok
    assert repository.run("apply", "--yes", "--refresh", "none").returncode == 0
    assert not smb(network.client, network.server.ipv4, "whole", *bob, "ls").is_ok
    for refresh in ("none", "full", "changed"):
        done = repository.run("plan", "--output", "json", "--refresh", refresh)
        assert json.loads(done.stdout)["steps"] == []


def test_a_recycle_bin_comes_to_shares_that_exist_and_goes_from_them(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """By the backend and by the share type; one that was taken out by hand is put back."""
    need_samba_modules()
    rules = [{"type": "user", "to": "alice", "level": "rw"}]
    spec = {"size": "64 MiB", "protocol": "CIFS", "access": rules}
    repository.write("ShareType", "gold", {"extraSpecs": {"snapshot_support": "True"}})
    repository.write("Share", "typed", {**spec, "type": "gold"})
    repository.write("Share", "plain", spec)
    repository.apply()

    def kept(share: str) -> bool:
        name, secret = "alice", PASSWORDS["ALICE_PASSWORD"]
        said = smb(network.client, network.server.ipv4, share, name, secret, "put client.conf f; del f").text
        assert "putting file" in said
        found = [path for path in Path(lab_directory, "pool", share).rglob("f") if path.is_file()]
        for path in found:
            path.unlink()
        return bool(found)

    assert (kept("typed"), kept("plain")) == (False, False)
    repository.write("ShareType", "gold", {"extraSpecs": {"snapshot_support": "True", "linux:smb_recycle_bin": True}})
    assert _changes(repository) == [("export/recycleBin", None, ".recycle keepTree versions visible")]
    repository.apply()
    assert (kept("typed"), kept("plain")) == (True, False)
    smb_config = backend_config(lab_directory, network)["smb"]
    config = backend_config(lab_directory, network, smb={**smb_config, "recycleBin": {"folder": "Trash"}})
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    found = [(field, after) for field, _, after in _changes(repository)]
    assert found == [("export/recycleBin", "Trash keepTree versions visible")] * 2
    repository.apply()
    assert (kept("typed"), kept("plain")) == (True, True)
    sections = Path(lab_directory, "root/servers/main/smb/shares.conf")
    sections.write_text(sections.read_text().replace("    vfs objects = recycle\n", ""))
    repository.apply()
    assert (kept("typed"), kept("plain")) == (True, True)
    repository.write("ShareType", "gold", {"extraSpecs": {"snapshot_support": "True", "linux:smb_recycle_bin": False}})
    repository.apply()
    assert (kept("typed"), kept("plain")) == (False, True)
    assert _changes(repository) == []


def test_a_share_type_makes_its_shares_places_for_backups_of_macs(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """On a backend that speaks with Macs; what does not fit is refused before anything is done."""
    need_samba_modules()
    rules = [{"type": "user", "to": "alice", "level": "rw"}]
    specs = {"linux:smb_time_machine": True, "linux:smb_time_machine_max_size": "64 MiB"}
    repository.write("ShareType", "backups", {"extraSpecs": specs})
    share = {"size": "64 MiB", "protocol": "CIFS", "access": rules, "type": "backups"}
    repository.write("Share", "mac", share)
    refused = repository.run("plan")
    assert refused.returncode == 1
    assert "smb.macos: true" in refused.stdout + refused.stderr
    smb_config = backend_config(lab_directory, network)["smb"]
    config = backend_config(lab_directory, network, smb={**smb_config, "macos": True})
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    repository.write("Share", "mac", {**share, "size": "63 MiB"})
    refused = repository.run("plan")
    assert refused.returncode == 1
    assert "write a larger size" in refused.stdout + refused.stderr
    repository.write("Share", "mac", share)
    repository.apply()
    secret = PASSWORDS["ALICE_PASSWORD"]
    said = smb(network.client, network.server.ipv4, "mac", "alice", secret, "ls").text
    assert "65536 blocks of size 1024. 65536 blocks available" in said
    repository.write("ShareType", "backups", {"extraSpecs": {"linux:smb_time_machine": True}})
    assert _changes(repository) == [("export/timeMachine", f"{64 << 20} B", "true")]
    repository.apply()
    assert _changes(repository) == []


def test_snapshots_are_shown_to_nfs_clients_of_shares_that_exist(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """By the share type, and by the backend; each is shown with its values and carried out, and nothing is left to be done."""
    rules = [{"type": "ip", "to": network.client.ipv4, "level": "rw"}]
    repository.write("ShareType", "gold", {"extraSpecs": {"snapshot_support": "True"}})
    repository.write("Share", "typed", {"size": "8 MiB", "protocol": "NFS", "access": rules, "type": "gold"})
    repository.write("Share", "plain", {"size": "8 MiB", "protocol": "NFS", "access": rules})
    repository.write("Snapshot", "monday", {"share": "typed"})
    repository.apply()

    def listed(share: str) -> str:
        return nfs(network.client, network.server.ipv4, f"/shares/{share}", "ls").text

    assert (listed("typed"), listed("plain")) == ("", "")
    repository.write("ShareType", "gold", {"extraSpecs": {"snapshot_support": "True", "linux:nfs_snapshots": True}})
    ((field, _, after),) = _changes(repository)
    assert (field, after) == ("export/snapshots", "true")
    repository.apply()
    assert _changes(repository) == []
    assert (listed("typed"), listed("plain")) == (".snapshots", "")
    assert nfs(network.client, network.server.ipv4, "/shares/typed/.snapshots", "ls").text.startswith("20")
    settings = {"versions": ["4.0", "4.1", "4.2"], "snapshots": True}
    config = backend_config(lab_directory, network, nfs=settings)
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    repository.apply()
    assert _changes(repository) == []
    assert (listed("typed"), listed("plain")) == (".snapshots", ".snapshots")


def test_nfsv3_is_turned_on_for_shares_that_exist(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """And off again, with what it needs: a client of it is let in and out, those of NFSv4 stay."""
    need("rpcbind")
    rules = [{"type": "ip", "to": network.client.ipv4, "level": "rw"}]
    repository.write("Share", "plain", {"size": "8 MiB", "protocol": "NFS", "access": rules})
    repository.apply()

    def reaches(port: int) -> bool:
        return nfs(network.client, network.server.ipv4, "/shares/plain", "ls", port=port).is_done

    assert (reaches(V3), reaches(2049)) == (False, True)
    new = {"versions": ["3", "4.0", "4.1", "4.2"], "mountPort": 20049}
    repository.write("Backend", "nas", {"driver": "linux", "config": backend_config(lab_directory, network, nfs=new)})
    changes = {field: (before, after) for field, before, after in _changes(repository)}
    assert changes["export/versions"] == ("4.0,4.1,4.2", "3,4.0,4.1,4.2")
    assert changes["export/mountPort"][1] == "20049"
    repository.apply()
    assert _changes(repository) == []
    assert (reaches(V3), reaches(2049)) == (True, True)
    old = {"versions": ["4.0", "4.1", "4.2"]}
    repository.write("Backend", "nas", {"driver": "linux", "config": backend_config(lab_directory, network, nfs=old)})
    assert _changes(repository) != []
    repository.apply()
    assert _changes(repository) == []
    assert (reaches(V3), reaches(2049)) == (False, True)


def test_an_imported_share_has_the_settings_of_its_type(
    repository: Repository,  # noqa: F811 - the fixture
    lab_directory: str,
    network: Network,
) -> None:
    """From its first export on, also where everything is taken over anew after the records of the storage host were lost."""
    rules = [{"type": "ip", "to": network.client.ipv4, "level": "rw"}]
    open_to_all = {"versions": ["4.0", "4.1", "4.2"], "squash": "none", "insecure": True}
    config = backend_config(lab_directory, network, nfs=open_to_all)
    repository.write("Backend", "nas", {"driver": "linux", "config": config})
    strict = {"snapshot_support": "True", "linux:nfs_squash": "all", "linux:nfs_insecure": False}
    repository.write("ShareType", "strict", {"extraSpecs": strict})
    repository.write("Share", "first", {"size": "8 MiB", "protocol": "NFS", "access": rules})
    repository.apply()
    pool = Path(lab_directory, "pool")
    run("btrfs", "subvolume", "create", str(pool / "legacy"))
    (pool / "legacy").chmod(0o777)
    repository.write("Share", "legacy", {"size": "8 MiB", "protocol": "NFS", "type": "strict", "access": rules})

    def check(name: str) -> None:
        assert nfs(network.client, network.server.ipv4, "/shares/legacy", "mkdir", name).is_done
        assert (pool / "legacy" / name).stat().st_uid == 65534
        refused = nfs(network.client, network.server.ipv4, "/shares/legacy", "mkdir", f"not-{name}", user=(4711, 0))
        assert not refused.is_done
        assert _changes(repository) == []

    imported = repository.run("import", "share/legacy", "fast/legacy", "--yes")
    assert imported.returncode == 0, imported.stdout + imported.stderr
    repository.apply()
    check("imported")

    # The records are lost: what docs/linux.md says to do.
    servers = Path(lab_directory, "root/servers")
    kill_processes_of(str(servers))
    for point in mounts_under(str(servers)):
        run("umount", point)
    run("chattr", "-i", *map(str, servers.glob("*/exports/*")))
    shutil.rmtree(Path(lab_directory, "root"))
    for address in ("backend/nas", "share/first", "share/legacy"):
        removed = repository.run("state", "rm", address)
        assert removed.returncode == 0, removed.stdout + removed.stderr
    for name in ("first", "legacy"):
        imported = repository.run("import", f"share/{name}", f"fast/{name}", "--yes")
        assert imported.returncode == 0, imported.stdout + imported.stderr
    repository.apply()
    check("recovered")
