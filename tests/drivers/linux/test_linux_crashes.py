"""Whatever instant the agent is killed at, the same request repeated by another agent ends as if nothing had happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.agent.protocols import STRANGE
from tests.drivers.linux.backends import agent_settings
from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.drivers.linux.lab import Network

SHARE = "5a5a0000-0000-4000-8000-00000000{n}"
OTHER = "5b5b0000-0000-4000-8000-00000000{n}"
SNAPSHOT = "5c5c0000-0000-4000-8000-00000000{n}"
PASSWORDS = {"alice": "one-Secret"}
PEOPLE = {"users": ["alice"], "groups": {}, "guests": False}
NFS_RULES = [["ip", "10.77.1.0/24", "ro"], ["ip", "10.77.1.21", "rw"]]
SMB_RULES = [["ip", "10.77.1.0/24", "rw"], ["user", "alice", "rw"]]
BOTH_RULES = [["ip", "10.77.1.0/24", "ro"], ["ip", "10.77.1.21", "rw"], ["user", "alice", "rw"]]
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
    return ["update_access", {**params, "people": PEOPLE}]


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
    settings = agent_settings(lab_directory, f"{lab_directory}/root", network)

    def run(
        before: Sequence[Request],
        request: Request,
        after: Sequence[Request],
        theirs: str | None = None,
        **more: Any,  # noqa: ANN401 - parts of documents have many types
    ) -> list[Any]:
        job: dict[str, Any] = {
            "settings": settings,
            "lists": [
                ["list_shares", {"resource_ids": None, "passwords": PASSWORDS, "people": PEOPLE}],
                ["list_snapshots", {"resource_ids": None}],
            ],
            "before": [["prepare", {}], *before],
            "request": request,
            "after": list(after),
        }
        if theirs is not None:
            job["theirs"] = f"{lab_directory}/pool/{theirs}"
        return answers_of({**job, **more})

    return run


def answers_of(job: dict[str, Any]) -> list[Any]:
    """Return what `crashing_operations` listed after each kill and repetition."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.drivers.linux.crashing_operations"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=500,
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
    rules: list[list[str]] = [rule[:3] for rule in shares[0]["access"]]  # none has options
    return rules


def test_a_share_is_made_once(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Under its own name, with its size, and nothing of the first attempt besides."""
    for number, shares, _ in crash_everywhere([], create(), [delete()]):
        assert [(share["backend_id"], share["name"], share["size_bytes"]) for share in shares] == [
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
        assert [found["resource_id"] for found in snapshots] == [SNAPSHOT.replace("{n}", f"{number:04d}")]


def test_a_clone_is_made_once(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Beside its origin, with its own size."""
    after = [delete(OTHER), delete_snapshot(), delete()]
    for number, shares, _ in crash_everywhere([create(), snapshot()], create(OTHER, snapshot_id=SNAPSHOT), after):
        assert {share["resource_id"]: share["size_bytes"] for share in shares} == {
            SHARE.replace("{n}", f"{number:04d}"): 8 * MIB,
            OTHER.replace("{n}", f"{number:04d}"): 8 * MIB,
        }


def test_a_share_is_turned_back_and_keeps_its_access(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Also where it was withdrawn already when the agent was killed."""
    revert = ["revert_share", {"resource_id": SHARE, "snapshot_id": SNAPSHOT}]
    before = [create(), access(NFS_RULES), snapshot()]
    for answer in crash_everywhere(before, revert, [delete_snapshot(), delete()]):
        assert sorted(rules_of(answer)) == NFS_RULES


NEW_BOTH_RULES = [["ip", "10.77.1.21", "ro"], ["ip", "10.77.1.22", "rw"], ["user", "alice", "ro"]]
IN_FORCE = {
    "nfs": [["10.77.1.21", "ro"], ["10.77.1.22", "rw"]],
    "smb": [
        {
            "writers": [],
            "readers": ["alice"],
            "networks": ["10.77.1.22"],
            "shut_out": [],
            "denied": [],
            "guest": "none",
            "asked": [["ip", "10.77.1.21", "none", []], ["ip", "10.77.1.22", "rw", []], ["user", "alice", "ro", []]],
        }
    ],
}
"""What the servers give by these."""


def test_no_plan_takes_half_of_a_change_over_two_protocols_for_whole(
    crash_everywhere: Callable[..., list[Any]],
) -> None:
    """What is listed after a kill are the new rules only where both servers have them; repeated, both do."""
    before = [create(protocol="NFS_CIFS"), access(BOTH_RULES, "NFS_CIFS")]
    answers = crash_everywhere(before, access(NEW_BOTH_RULES, "NFS_CIFS"), [delete()], looks=True)
    for answer in answers:
        assert sorted(rules_of(answer["between"])) != NEW_BOTH_RULES or answer["live"] == IN_FORCE
        assert sorted(rules_of(answer["after"])) == NEW_BOTH_RULES
    assert any(sorted(rules_of(answer["between"])) not in (BOTH_RULES, NEW_BOTH_RULES) for answer in answers)


def test_nobody_who_is_in_is_forgotten(crash_everywhere: Callable[..., list[Any]]) -> None:
    """A share that is listed without access is closed over both protocols."""
    before = [create(protocol="NFS_CIFS"), access(BOTH_RULES, "NFS_CIFS")]
    for answer in crash_everywhere(before, access([], "NFS_CIFS"), [delete()], looks=True):
        _, shares, _ = answer["between"]
        if not any(share["access"] for share in shares):
            assert answer["live"] == {"nfs": [], "smb": []}
        assert not any(share["access"] for share in answer["after"][1])


@pytest.mark.parametrize(("old", "new", "rules"), [("NFS", "NFS_CIFS", NFS_RULES), ("NFS_CIFS", "NFS", BOTH_RULES)])
def test_protocols_come_and_go(
    crash_everywhere: Callable[..., list[Any]], old: str, new: str, rules: list[Any]
) -> None:
    """What stays keeps its rules, what goes is closed before the record says so, and what comes is closed."""
    change = ["change_protocols", {"resource_id": SHARE, "protocol": new}]
    before = [create(protocol=old), access(rules, old)]
    for answer in crash_everywhere(before, change, [delete()], looks=True):
        _, (between,), _ = answer["between"]
        assert answer["live"]["smb"] == [] or between["protocol"] == old == "NFS_CIFS"
        _, (after,), _ = answer["after"]
        assert after["protocol"] == new
        assert sorted(rules_of(answer["after"])) == NFS_RULES


@pytest.mark.parametrize(("protocol", "rules"), [("NFS", NFS_RULES), ("CIFS", SMB_RULES)])
def test_a_renamed_export_keeps_its_rules(
    crash_everywhere: Callable[..., list[Any]], protocol: str, rules: list[list[str]]
) -> None:
    """Also where it was withdrawn under the old name, or recorded under the new one, when the agent was killed."""
    rename = ["rename_export", {"resource_id": SHARE, "export_name": "Team {n}"}]
    before = [create(protocol=protocol), access(rules, protocol)]
    for answer in crash_everywhere(before, rename, [delete()]):
        assert sorted(rules_of(answer)) == rules
        assert answer[1][0]["export_name"] == f"Team {answer[0]:04d}"


def test_a_share_goes_to_the_trash_and_comes_back(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Without access, and once."""
    trash = ["trash_share", {"resource_id": SHARE}]
    for _, shares, _ in crash_everywhere([create(), access(NFS_RULES)], trash, [delete()]):
        assert [(share["access"], share["trashed_at"] is not None) for share in shares] == [([], True)]
    restore = ["restore_share", {"resource_id": SHARE}]
    for _, shares, _ in crash_everywhere([create(), trash], restore, [delete()]):
        assert [(share["access"], share["trashed_at"]) for share in shares] == [([], None)]


def told(answer: Sequence[Any]) -> list[tuple[str | None, str]]:
    """Return the ids and names of the shares that an answer lists."""
    _, shares, _ = answer
    return [(share["resource_id"], share["name"]) for share in shares]


@pytest.mark.parametrize("protocol", ["NFS", "CIFS"])
def test_a_deletion_killed_anywhere_claims_no_volume_of_somebody_else(
    crash_everywhere: Callable[..., list[Any]], protocol: str
) -> None:
    """A volume that somebody makes under the name meanwhile is theirs, at once and after the deletion was repeated."""
    before = [create(protocol=protocol), access(NFS_RULES if protocol == "NFS" else SMB_RULES, protocol)]
    answers = crash_everywhere(before, delete(), [remove_theirs()], "share-{n}")
    assert {answer["is_free"] for answer in answers} == {True, False}, "killed before and after the volume went"
    for number, answer in enumerate(answers):
        name = f"share-{number:04d}"
        assert told(answer["between"]) == [(None if answer["is_free"] else SHARE.replace("{n}", f"{number:04d}"), name)]
        assert answer["refusal"] is None
        assert told(answer["after"]) == ([(None, name)] if answer["is_free"] else [])
        assert answer["is_kept"] is answer["is_free"]


def test_a_creation_killed_anywhere_claims_no_volume_of_somebody_else(
    crash_everywhere: Callable[..., list[Any]],
) -> None:
    """Repeated, it is refused with what to do; theirs is never listed as the share, given a size, or removed."""
    answers = crash_everywhere([], create(), [delete(), remove_theirs()], "share-{n}")
    assert {answer["is_free"] for answer in answers} == {True, False}
    for number, answer in enumerate(answers):
        name = f"share-{number:04d}"
        if answer["is_free"]:
            assert told(answer["between"]) == told(answer["after"]) == [(None, name)]
            assert "already is in the pool 'fast', and sharectl did not make it; import it" in answer["refusal"]
            assert answer["is_kept"]
        else:
            assert told(answer["after"]) == [(SHARE.replace("{n}", f"{number:04d}"), name)]


def test_a_revert_killed_anywhere_keeps_the_share_that_it_is(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Whichever of the two volumes has the name when the agent is killed, it is the share's."""
    revert = ["revert_share", {"resource_id": SHARE, "snapshot_id": SNAPSHOT}]
    after = [delete_snapshot(), delete()]
    for number, answer in enumerate(crash_everywhere([create(), snapshot()], revert, after, "share-{n}")):
        expected = [(SHARE.replace("{n}", f"{number:04d}"), f"share-{number:04d}")]
        assert told(answer["between"]) == told(answer["after"]) == expected


def test_what_a_killed_deletion_leaves_is_swept_by_the_next_agent(crash_everywhere: Callable[..., list[Any]]) -> None:
    """Nobody repeats it: the share is gone from the listing. Its record goes all the same; one that still has its volume stays."""
    other = create(OTHER)
    other[1]["name"] = "other-{n}"
    answers = crash_everywhere([create(), access(NFS_RULES)], delete(), [delete(OTHER), delete()], ".none", again=other)
    shares = [len(told(answer["after"])) for answer in answers]
    assert set(shares) == {1, 2}, "the other share, and the share itself where it is still there"
    assert [answer["recorded_bytes"] for answer in answers] == [count * 8 * MIB for count in shares]


def test_a_creation_that_is_given_up_leaves_nothing(
    crash_everywhere: Callable[..., list[Any]], lab_directory: str
) -> None:
    """Killed anywhere, and then deleted by its id: no volume, no record, nothing in the private folders."""
    answers = crash_everywhere([], create(), [], ".none", again=delete())
    assert [told(answer["after"]) for answer in answers] == [[]] * len(answers)
    assert {answer["recorded_bytes"] for answer in answers} == {0}
    pool = Path(lab_directory, "pool")
    assert {entry.name for entry in pool.iterdir()} == {".sharectl", ".none"}
    assert list((pool / ".sharectl/staging").iterdir()) == []


def test_a_snapshot_that_is_given_up_leaves_nothing(
    crash_everywhere: Callable[..., list[Any]], lab_directory: str
) -> None:
    """Also where it was taken, and the agent killed before it could say so."""
    answers = crash_everywhere([create()], snapshot(), [delete()], ".none", again=delete_snapshot())
    assert [answer["refusal"] for answer in answers] == [None] * len(answers)
    assert list(Path(lab_directory, "pool/.sharectl/snapshots").iterdir()) == []


def test_the_deletion_of_a_snapshot_claims_no_snapshot_of_somebody_else(
    crash_everywhere: Callable[..., list[Any]],
) -> None:
    """One that was put in the place of ours meanwhile is not listed as ours, and stays."""
    answers = crash_everywhere(
        [create(), snapshot()], delete_snapshot(), [remove_theirs(), delete()], f".sharectl/snapshots/{SNAPSHOT}"
    )
    assert {answer["is_free"] for answer in answers} == {True, False}
    for answer in answers:
        assert len(answer["between"][2]) == (0 if answer["is_free"] else 1)
        assert answer["after"][2] == []
        assert answer["is_kept"] is answer["is_free"]


def remove_theirs() -> Request:
    """Return what removes the volume that somebody made."""
    return ["remove theirs", {}]


def keep(hour: int) -> Request:
    """Return what has the storage host take what is due, at an hour of a day to come."""
    return ["keep snapshots", {"now": f"2100-01-01T{hour:02}:00:00+00:00"}]


def test_a_scheduled_snapshot_is_never_doubled_and_never_orphaned(
    crash_everywhere: Callable[..., list[Any]], lab_directory: str
) -> None:
    """Killed at any instant while it takes one and lets another go, the storage host goes on with as many as the policy keeps."""
    policy = ["schedule_snapshots", {"resource_id": SHARE, "policy": {"hourly": {"keep": 1}}}]
    end = ["schedule_snapshots", {"resource_id": SHARE, "policy": None}]
    answers = crash_everywhere([create(), policy, keep(1)], keep(2), [end])
    for number, shares, snapshots in answers:
        share = next(each for each in shares if each["name"] == f"share-{number:04d}")
        found = share["scheduled_snapshots"]
        assert (found["number"], found["newest"]) == (1, "2100-01-01T02:00:00+00:00")
        assert snapshots == []
    assert len(list(Path(lab_directory, "pool/.sharectl/snapshots").iterdir())) == len(answers)


def test_a_deletion_killed_anywhere_leaves_no_scheduled_snapshot(
    crash_everywhere: Callable[..., list[Any]], lab_directory: str
) -> None:
    """Repeated, it removes them with the share."""
    policy = ["schedule_snapshots", {"resource_id": SHARE, "policy": {"hourly": {"keep": 2}}}]
    answers = crash_everywhere([create(), policy, keep(1), keep(2)], delete(), [])
    assert [shares for _, shares, _ in answers] == [[]] * len(answers)
    assert list(Path(lab_directory, "pool/.sharectl/snapshots").iterdir()) == []


@pytest.mark.parametrize("request_made", [access([["ip", "10.77.1.21", "rw"]]), snapshot()])
def test_nobody_reads_snapshots_who_may_not_whatever_was_cut_short(
    lab_directory: str, network: Network, request_made: Request
) -> None:
    """The same request repeated shows them to those who may read the share, all of them. One effect of seven is tried."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", file_system="btrfs")
    method, params = access([["ip", "10.77.1.0/24", "rw"]])
    is_narrowed = request_made[0] == method
    job = {
        "settings": agent_settings(lab_directory, f"{lab_directory}/root", network),
        "stride": 7,
        "lists": [["snapshots for nfs", {"share_id": SHARE}]],
        "before": [
            ["prepare", {}],
            create(),
            [method, {**params, "options": {"snapshots": True}}],
            *([snapshot()] if is_narrowed else []),
        ],
        "request": request_made,
        "after": [delete_snapshot(), delete()],
    }
    clients = [["10.77.1.21" if is_narrowed else "10.77.1.0/24", "ro"]]
    assert {str(found) for _, found in answers_of(job)} == {str([clients, 1])}


def test_snapshots_that_stay_open_after_a_kill_are_listed(
    crash_everywhere: Callable[..., list[Any]], lab_directory: str
) -> None:
    """Where they are not to be shown any more and still are, a plan ends that: the share is listed as open in another way."""
    method, params = access([["ip", "10.77.1.21", "rw"]])
    on, off = ([method, {**params, "options": {"snapshots": wanted}}] for wanted in (True, False))
    lists = [
        ["list_shares", {"resource_ids": None, "passwords": PASSWORDS, "people": PEOPLE}],
        ["snapshots for nfs", {"share_id": SHARE}],
    ]
    answers = crash_everywhere([create(), snapshot(), on], off, [delete_snapshot(), delete()], looks=True, lists=lists)
    seen = []
    for answer in answers:
        _, (share,), (clients, _) = answer["between"]
        is_strange = list(STRANGE[:3]) in [rule[:3] for rule in share["access"]]
        seen.append(((share["export_settings"] or {}).get("snapshots") == "true", bool(clients), is_strange))
        assert answer["after"][2] == [[], 0]
    assert (False, True, False) not in seen
    assert (False, True, True) in seen
    assert list(Path(lab_directory, "root/servers/main/exports").iterdir()) == []
