"""Whatever instant the agent is killed at, the same request repeated by another agent ends as if nothing had happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.drivers.linux.lab import Network

SHARE = "5a5a0000-0000-4000-8000-00000000{n}"
OTHER = "5b5b0000-0000-4000-8000-00000000{n}"
SNAPSHOT = "5c5c0000-0000-4000-8000-00000000{n}"
PASSWORDS = {"alice": "one-Secret"}
NFS_RULES = [["ip", "10.77.1.0/24", "ro"], ["ip", "10.77.1.21", "rw"]]
SMB_RULES = [["ip", "10.77.1.0/24", "rw"], ["user", "alice", "rw"]]
MIB = 1 << 20

Request = list[Any]


def create(resource_id: str = SHARE, protocol: str = "NFS", snapshot_id: str | None = None) -> Request:
    """Return the request for a share of 8 MiB."""
    params = {"resource_id": resource_id, "name": "share-{n}", "pool": "fast", "protocol": protocol}
    more = {"size_bytes": 8 * MIB, "options": {}, "share_server_id": None, "snapshot_id": snapshot_id}
    return ["create_share", {**params, **more}]


def access(rules: Sequence[Sequence[str]], protocol: str = "NFS") -> Request:
    """Return the request that gives the share these rules."""
    params = {"resource_id": SHARE, "protocol": protocol, "rules": rules, "passwords": PASSWORDS, "problems": {}}
    return ["update_access", params]


def delete(resource_id: str = SHARE) -> Request:
    """Return the request that removes a share."""
    return ["delete_share", {"resource_id": resource_id}]


def snapshot() -> Request:
    """Return the request for a snapshot of the share."""
    return ["create_snapshot", {"share_id": SHARE, "resource_id": SNAPSHOT, "name": "monday"}]


def kill_servers() -> Request:
    """Return what lets the next attempt find no server running."""
    return ["kill servers", {}]


def delete_snapshot() -> Request:
    """Return the request that removes the snapshot."""
    return ["delete_snapshot", {"resource_id": SNAPSHOT}]


@pytest.fixture
def crash_everywhere(lab_directory: str, network: Network) -> Callable[..., list[Any]]:
    """Give what kills a process before each effect of `request` in turn, repeats it in another, and returns what was listed then."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", file_system="btrfs")
    pool = {"type": "loop", "path": f"{lab_directory}/pool", "image": f"{lab_directory}/pool.img"}
    settings = {
        "root": f"{lab_directory}/root",
        "addresses": [network.server.ipv4],
        "export_hosts": [network.server.ipv4],
        "namespace": network.server.namespace_path,
        "pools": {"fast": {**pool, "image_size_bytes": 512 * MIB, "mode": 0o777, "uid": 0, "gid": 0}},
        "nfs": {"server": "ganesha", "port": 2049, "squash": "none", "security": ["sys"], "minor_versions": [1, 2]},
        "smb": {"enabled": True, "port": 445},
        "tenant_networks": {},
    }

    def run(before: Sequence[Request], request: Request, after: Sequence[Request]) -> list[Any]:
        job = {
            "settings": settings,
            "lists": [
                ["list_shares", {"resource_ids": None, "passwords": PASSWORDS}],
                ["list_snapshots", {"resource_ids": None}],
            ],
            "before": [["prepare", {}], *before],
            "request": request,
            "after": list(after),
        }
        return answers_of(job)

    return run


def answers_of(job: dict[str, Any]) -> list[Any]:
    """Return what `crashing_operations` listed after each kill and repetition."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.drivers.linux.crashing_operations"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert result.returncode == 0, result.stderr
    answers: list[Any] = json.loads(result.stdout)
    assert len(answers) > 1, "the request has effects to be killed at"
    return answers


def rules_of(answer: Sequence[Any]) -> list[list[str]]:
    """Return the access of the one share that an answer lists."""
    _, shares, _ = answer
    assert len(shares) == 1, shares
    rules: list[list[str]] = shares[0][6]
    return rules


def test_a_share_is_made_once(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Under its own name, with its size, and nothing of the first attempt besides."""
    for number, shares, _ in crash_everywhere([], create(), [delete()]):
        assert [(share[1], share[2], share[4]) for share in shares] == [
            (f"fast/share-{number:04d}", f"share-{number:04d}", 8 * MIB)
        ]


def test_access_by_nfs_is_put_in_force(crash_everywhere: Callable[..., list[Any]]) -> None:
    """All of it, by one server; some attempts are killed while that is started."""
    for answer in crash_everywhere([create()], access(NFS_RULES), [kill_servers(), delete()]):
        assert sorted(rules_of(answer)) == NFS_RULES


def test_access_by_smb_is_put_in_force(crash_everywhere: Callable[..., list[Any]]) -> None:
    """With the user, who can log in; some attempts are killed while the server is started."""
    for answer in crash_everywhere([create(protocol="CIFS")], access(SMB_RULES, "CIFS"), [kill_servers(), delete()]):
        assert sorted(rules_of(answer)) == SMB_RULES


def test_a_share_is_deleted_with_all_that_belongs_to_it(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Nothing is listed afterwards, not even as somebody else's volume."""
    for _, shares, _ in crash_everywhere([create(), access(NFS_RULES)], delete(), []):
        assert shares == []


def test_a_snapshot_is_taken_once(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Listed under its id."""
    after = [delete_snapshot(), delete()]
    for number, _, snapshots in crash_everywhere([create()], snapshot(), after):
        assert [row[0] for row in snapshots] == [SNAPSHOT.replace("{n}", f"{number:04d}")]


def test_a_clone_is_made_once(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Beside its origin, with its own size."""
    after = [delete(OTHER), delete_snapshot(), delete()]
    for number, shares, _ in crash_everywhere([create(), snapshot()], create(OTHER, snapshot_id=SNAPSHOT), after):
        assert {share[0]: share[4] for share in shares} == {
            SHARE.replace("{n}", f"{number:04d}"): 8 * MIB,
            OTHER.replace("{n}", f"{number:04d}"): 8 * MIB,
        }


def test_a_share_is_turned_back_and_keeps_its_access(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Also where it was withdrawn already when the agent was killed."""
    revert = ["revert_share", {"resource_id": SHARE, "snapshot_id": SNAPSHOT}]
    before = [create(), access(NFS_RULES), snapshot()]
    for answer in crash_everywhere(before, revert, [delete_snapshot(), delete()]):
        assert sorted(rules_of(answer)) == NFS_RULES


def test_a_share_goes_to_the_trash_and_comes_back(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Without access, and once."""
    trash = ["trash_share", {"resource_id": SHARE}]
    for _, shares, _ in crash_everywhere([create(), access(NFS_RULES)], trash, [delete()]):
        assert [(share[6], share[8] is not None) for share in shares] == [([], True)]
    restore = ["restore_share", {"resource_id": SHARE}]
    for _, shares, _ in crash_everywhere([create(), trash], restore, [delete()]):
        assert [(share[6], share[8]) for share in shares] == [([], None)]
