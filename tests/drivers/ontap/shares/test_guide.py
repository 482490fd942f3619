"""A whole life of shares with the role that the guide makes, and no more; at the end the array is as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from sharectl.drivers.base import DriverEnvironment
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest
from tests.emulators.ontap.client import Client
from tests.emulators.ontap.facts import version_of
from tests.emulators.ontap.volume_records import Volume

from .array_fixtures import backend_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.ontap.driver import OntapDriver
    from tests.emulators.ontap.server import Emulator

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "ontap.md"
PASSWORD = "From-the-guide-1"  # noqa: S105 - of an emulated array
ALICE = AccessRule("user", "EXAMPLE\\alice", "rw")
HOSTS = AccessRule("ip", "10.0.0.0/24", "rw")


def driver_of_the_guide(emulator: Emulator) -> OntapDriver:
    """Give an account of `vs1` the role that the guide's commands make, and open a driver that logs in as it."""
    text = GUIDE.read_text(encoding="utf-8")
    granted = re.findall(r"rest-role create -vserver vs1 -role sharectl -api (\S+) -access (\S+)", text)
    assert len(granted) > 10
    client = Client(emulator)
    owner = client.get("/svm/svms?name=vs1").records[0]["uuid"]
    role = {
        "name": "of-the-guide",
        "owner": {"uuid": owner},
        "privileges": [{"path": path, "access": access} for path, access in granted],
    }
    assert client.post("/security/roles", role).status == 201
    account = {
        "name": "guided",
        "owner": {"uuid": owner},
        "password": PASSWORD,
        "role": {"name": "of-the-guide"},
        "applications": [{"application": "http", "authentication_methods": ["password"]}],
    }
    assert client.post("/security/accounts", account).status == 201
    backend = backend_on(emulator, user="guided", smb={"fromAnywhere": True}, recoveryQueue="skip")
    opened = FACTORY.open(backend, DriverEnvironment("/", lambda _reference: PASSWORD))
    opened.prepare()
    return cast("OntapDriver", opened)


@pytest.fixture(params=["9.12.1", "9.14.1", "9.19.1"])
def release(server: Emulator, request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Give an array of a release, with nothing on it."""
    usual = server.world.version
    server.world.version = version_of(request.param)
    server.reset()
    yield server
    server.world.version = usual


def test_the_role_of_the_guide_is_enough_and_nothing_is_left(release: Emulator) -> None:
    """Shares over both protocols with limits, snapshots, a clone, a revert, the trash; each removed in the end.

    With the oldest release, a later one and the newest, of which none is sent a field that it does not know.
    """
    emulator = release
    driver = driver_of_the_guide(emulator)
    (pool, *_) = driver.pools()
    before = emulator.dump()
    specs = {"thin_provisioning": "<is> True", "qos": "<is> True", "netapp:maxiopspergib": "10"}
    share = driver.create_share(ShareRequest(new_id(), "team", GIB, "NFS_CIFS", pool.name, specs))
    driver.update_access(ref(share), [HOSTS, ALICE], [HOSTS, ALICE], [])
    driver.extend_share(ref(share), 2 * GIB)
    share = driver.list_shares([str(share.resource_id)])[0]
    assert set(share.access) == {HOSTS, ALICE}
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    request = ShareRequest(new_id(), "copy", 2 * GIB, "NFS", pool.name, specs, snapshot=snapshot_ref(snapshot, share))
    clone = driver.create_share(request)
    driver.update_access(ref(clone), [HOSTS], [HOSTS], [])
    assert {each.resource_id for each in driver.list_snapshots()} == {snapshot.resource_id}
    driver.delete_share(ref(clone))
    driver.revert_share(ref(share), snapshot_ref(snapshot, share))
    driver.delete_snapshot(snapshot_ref(snapshot, share))
    driver.trash_share(ref(share))
    back = driver.restore_share(str(share.resource_id))
    driver.update_access(ref(back), [ALICE], [ALICE], [])
    driver.delete_share(ref(back))
    driver.delete_share(ref(clone))
    assert driver.list_shares() == []
    after = emulator.dump()
    differing = {kind for kind in before.keys() | after.keys() if before.get(kind) != after.get(kind)}
    assert differing <= {"Job"}, {kind: (before.get(kind), after.get(kind)) for kind in differing}
    assert not [each for each in emulator.world[Volume] if each.deleted_at is not None]
    assert emulator.calls.codes()["262197"] == emulator.calls.codes()["262179"] == 0
    driver.close()
