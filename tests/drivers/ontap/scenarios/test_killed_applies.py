"""`sharectl apply` killed, or stopped by Ctrl-C, in the middle of each kind of call that changes the array: the next one goes on from there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import pytest

from tests.cli.console import Console
from tests.drivers.ontap.applies import INTERRUPTED, KILLED, Applies, Document, repository, text_of
from tests.drivers.ontap.arrays import config_of
from tests.emulators.ontap.access_records import CifsShare, ExportPolicy
from tests.emulators.ontap.policy_records import QosPolicy
from tests.emulators.ontap.volume_records import Snapshot, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.ontap.server import Emulator

CHANGES: Final = {
    "POST /storage/qos/policies fixed name svm",
    "POST /protocols/nfs/export-policies name svm",
    "POST /protocols/nfs/export-policies name rules svm",
    "POST /storage/volumes clone comment name nas svm",
    "POST /storage/volumes/{volume.uuid}/snapshots comment name",
    "POST /protocols/cifs/shares acls name path svm",
    "PATCH /storage/volumes/{uuid} size",
    "PATCH /storage/volumes/{uuid} comment nas",
    "DELETE /protocols/nfs/export-policies/{id}",
    "DELETE /protocols/cifs/shares/{svm.uuid}/{name}",
    "DELETE /storage/volumes/{volume.uuid}/snapshots/{uuid}",
    "DELETE /storage/qos/policies/{uuid}",
    "DELETE /storage/volumes/{uuid}",
}
"""Some of the kinds of changes that the story is made of: an operation, and what stands in its body."""


def shape(emulator: Emulator) -> list[object]:
    """Return what clients of the SVM `vs1` have and what belongs to it, without what each run names anew."""
    world = emulator.world
    policies = {policy.id: [(rule.clients, rule.rw_rule) for rule in policy.rules] for policy in world[ExportPolicy]}
    volumes = [each for each in world[Volume] if each.deleted_at is None]
    return [
        sorted(
            (re.sub("^trash_.*", "trash", each.name), each.path or "", each.size, str(policies.get(each.policy)))
            for each in volumes
        ),
        sorted((each.name, each.path, str(sorted(map(str, each.entries)))) for each in world[CifsShare]),
        sorted(each.name for each in world[Snapshot]),
        sorted(map(str, policies.values())),
        sorted(str(each.fixed) for each in world[QosPolicy] if each.svm is not None),
    ]


def shares(emulator: Emulator, **specs: str) -> tuple[Document, ...]:
    """Return the backend, a type with limits that follow the size, and shares."""
    config = json.dumps(config_of(emulator, smb={"fromAnywhere": True}, recoveryQueue="skip"))
    specs_of_type = (
        '{driver_handles_share_servers: "false", thin_provisioning: "true", qos: "true", "netapp:maxiopspergib": "100"}'
    )
    return (
        ("Backend", "filer", f"{{driver: ontap, lanes: 1, config: {config}}}"),
        ("ShareType", "gold", f"{{extraSpecs: {specs_of_type}}}"),
        *(("Share", name, f"{{type: gold, {spec}}}") for name, spec in specs.items()),
    )


def ip(*clients: str) -> str:
    """Return NFS rules."""
    return f"access: [{', '.join(f'{{type: ip, to: {client}, level: rw}}' for client in clients)}]"


def users(**levels: str) -> str:
    """Return rules for accounts of the domain."""
    rules = (f"{{type: user, to: 'EXAMPLE\\{name}', level: {level}}}" for name, level in levels.items())
    return f"access: [{', '.join(rules)}]"


MONDAY: Final = ("Snapshot", "monday", "{share: projects, deletionPolicy: delete}")
GONE: Final = "deletionPolicy: delete"


def story(emulator: Emulator) -> tuple[tuple[Document, ...], ...]:
    """Return what is wanted, one after the other, so that all kinds of changes are made."""
    old = f"size: 1GiB, protocol: NFS, deletionPolicy: trash, {ip('10.0.9.0/24')}"
    first = {
        "projects": f"size: 1GiB, protocol: NFS, {GONE}, {ip('10.0.0.0/24', '10.0.1.0/24')}",
        "office": f"size: 1GiB, protocol: CIFS, {GONE}, {users(bob='rw', alice='ro')}",
        "old": old,
    }
    then = {
        "projects": f"size: 2GiB, protocol: NFS, {GONE}, {ip('10.0.0.0/24', '10.0.2.0/24')}",
        "office": f"size: 1GiB, protocol: CIFS, {GONE}, {users(bob='ro', carol='rw')}",
        "copy": f"size: 2GiB, protocol: NFS, {GONE}, sourceSnapshot: monday, {ip('10.0.3.0/24')}",
    }
    return (
        (*shares(emulator, **first), MONDAY),
        (*shares(emulator, **then), MONDAY),
        (*shares(emulator, projects=then["projects"]), MONDAY),
        shares(emulator),
    )


@pytest.mark.parametrize("endings", [KILLED, INTERRUPTED], ids=["killed", "Ctrl-C"])
def test_whatever_call_an_apply_is_ended_in_the_next_goes_on(
    emulator: Emulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    endings: tuple[str, ...],
) -> None:
    """After each part of the story the array holds what it holds where nothing was ended, the plan is empty, and in the end all is gone."""
    monkeypatch.setenv("PASSWORD", emulator.login.password)
    quiet = Console(repository(tmp_path / "quiet"), capsys)
    shapes = []
    for documents in story(emulator):
        quiet.write("manifests.yaml", text_of(*documents))
        applied = quiet("apply", "--yes", "--allow-deletions", "9", "--allow-empty")
        assert applied.code == 0, applied.err
        shapes.append(shape(emulator))
    emulator.reset()
    applies = Applies(
        emulator, repository(tmp_path / "ended"), endings, "" if endings == KILLED else "/storage/volumes"
    )
    emulator.calls.meets = applies
    console = Console(applies.folder, capsys)
    for documents, expected in zip(story(emulator), shapes, strict=True):
        applies.reach(*documents)
        assert shape(emulator) == expected
        planned = console("plan", "--detailed-exitcode")
        assert planned.code == 0, planned.out
    assert console("trash", "purge", "--all", "--yes").code == 0
    kinds = (Volume, ExportPolicy, QosPolicy, CifsShare)
    ours = [each.name for kind in kinds for each in emulator.world[kind]]
    prefixes = ("sharectl", "projects", "office", "copy", "old", "trash")
    assert [each for each in ours if each.startswith(prefixes)] == ["sharectl_none"]
    assert set(applies.met.values()) == set(endings)
    assert endings == INTERRUPTED or applies.met.keys() >= CHANGES
