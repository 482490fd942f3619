"""Whatever befalls the storage host in the middle of a request: nobody is in who is not to be, and repeated it ends as it was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.backends import agent_settings
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.test_linux_crashes import (
    BOTH_RULES,
    NEW_BOTH_RULES,
    NFS_RULES,
    PASSWORDS,
    PEOPLE,
    SHARE,
    SMB_RULES,
    SNAPSHOT,
    access,
    create,
    delete,
    delete_snapshot,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.drivers.linux.lab import Network
    from tests.drivers.linux.test_linux_crashes import Request

NEW_NFS_RULES = [["ip", "10.77.1.21", "ro"], ["ip", "10.77.1.22", "rw"]]
NEW_SMB_RULES = [["ip", "10.77.1.21", "rw"], ["user", "alice", "ro"]]


@pytest.fixture
def harm_everywhere(lab_directory: str, network: Network) -> Callable[..., list[Any]]:
    """Give what does harm before each effect of a request in turn. The records are on a small disk of their own."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", file_system="btrfs")
    root = Path(lab_directory, "root")
    root.mkdir(mode=0o711)
    run("mount", "-t", "tmpfs", "-o", "size=64m,mode=0711", "tmpfs", str(root))
    settings = agent_settings(lab_directory, str(root), network)

    def run_job(harm: str, before: Sequence[Request], request: Request, after: Sequence[Request]) -> list[Any]:
        job = {
            "settings": settings,
            "lists": [
                ["list_shares", {"resource_ids": None, "passwords": PASSWORDS, "people": PEOPLE}],
                ["list_snapshots", {"resource_ids": None}],
            ],
            "harm": harm,
            "before": [["prepare", {}], *before],
            "request": request,
            "after": list(after),
        }
        result = subprocess.run(
            [sys.executable, "-m", "tests.drivers.linux.harming_operations"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
            cwd=Path(__file__).parents[3],
        )
        assert result.returncode == 0, result.stderr
        answers: list[Any] = json.loads(result.stdout)
        assert len(answers) > 1, "the request has effects"
        assert harm != "fill disk" or any(answer["refusal"] for answer in answers), "the disk was full"
        for answer in answers:
            assert "untold" not in (answer["refusal"] or ""), answer
            assert answer["again"] is None, answer
        return answers

    return run_job


def rules_of(listed: Sequence[Any]) -> list[list[str]]:
    """Return the access of the one share that was listed."""
    _, shares, _ = listed
    assert len(shares) == 1, shares
    rules: list[list[str]] = [rule[:3] for rule in shares[0]["access"]]  # none has options
    # One that nobody has: it says that something is open in another way than was asked for.
    return sorted(rule for rule in rules if not rule[1].startswith("somebody: "))


@pytest.mark.parametrize(
    ("harm", "protocol", "old", "new"),
    [
        ("kill servers", "NFS", NFS_RULES, NEW_NFS_RULES),
        ("kill servers", "CIFS", SMB_RULES, NEW_SMB_RULES),
        ("fill disk", "NFS", NFS_RULES, NEW_NFS_RULES),
        ("fill disk", "CIFS", SMB_RULES, NEW_SMB_RULES),
        ("fill disk", "NFS_CIFS", BOTH_RULES, NEW_BOTH_RULES),
    ],
)
def test_access_ends_closed_or_as_it_was_asked(
    harm_everywhere: Callable[..., list[Any]], harm: str, protocol: str, old: list[Any], new: list[Any]
) -> None:
    """No rule is in force that is to go; where the request said that all went well, the listing shows it, or that nobody is in."""
    before = [create(protocol=protocol), access(old, protocol)]
    for answer in harm_everywhere(harm, before, access(new, protocol), [delete()]):
        for listed in (answer["meanwhile"], answer["undone"]):
            assert [rule for rule in rules_of(listed) if rule not in new and rule not in narrowed(old, new)] == []
        if answer["refusal"] is None:
            assert rules_of(answer["meanwhile"]) in (new, [])
        assert rules_of(answer["after"]) == new


def narrowed(old: list[Any], new: list[Any]) -> list[Any]:
    """Return the rules that were in force and may stay, by kind and level."""
    return [rule for rule in old if rule in new]


def test_a_deletion_on_a_disk_that_fills_up_ends_all_or_nothing(harm_everywhere: Callable[..., list[Any]]) -> None:
    """The share is listed with its id, or gone; never as somebody else's volume."""
    for number, answer in enumerate(harm_everywhere("fill disk", [create(), access(NFS_RULES)], delete(), [])):
        for listed in (answer["meanwhile"], answer["undone"]):
            assert [share["resource_id"] for share in listed[1]] in ([], [SHARE.replace("{n}", f"{number:04d}")])
        assert answer["after"][1] == []


def test_a_creation_on_a_disk_that_fills_up_leaves_nothing_that_is_nobodys(
    harm_everywhere: Callable[..., list[Any]],
) -> None:
    """It is made, or not there; never listed as somebody else's volume, which would be in the way."""
    for number, answer in enumerate(harm_everywhere("fill disk", [], create(), [delete()])):
        own = SHARE.replace("{n}", f"{number:04d}")
        for listed in (answer["meanwhile"], answer["undone"]):
            assert [share["resource_id"] for share in listed[1]] in ([], [own])
        assert [(share["resource_id"], share["name"]) for share in answer["after"][1]] == [(own, f"share-{number:04d}")]


def test_snapshot_revert_and_trash_on_a_disk_that_fills_up_can_be_repeated(
    harm_everywhere: Callable[..., list[Any]],
) -> None:
    """The share stays the one that it is all the while."""
    revert = ["revert_share", {"resource_id": SHARE, "snapshot_id": SNAPSHOT}]
    trash = ["trash_share", {"resource_id": SHARE}]
    cases = (
        ([create()], snapshot(), [delete_snapshot(), delete()]),
        ([create(), snapshot()], delete_snapshot(), [delete()]),
        ([create(), access(NFS_RULES), snapshot()], revert, [delete_snapshot(), delete()]),
        ([create(), access(NFS_RULES)], trash, [delete()]),
    )
    for before, request, after in cases:
        for number, answer in enumerate(harm_everywhere("fill disk", before, request, after)):
            for listed in (answer["meanwhile"], answer["undone"], answer["after"]):
                assert [share["resource_id"] for share in listed[1]] == [SHARE.replace("{n}", f"{number:04d}")]
