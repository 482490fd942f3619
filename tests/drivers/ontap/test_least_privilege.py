"""The role that the docs tell an administrator to make is enough for all that one SVM's shares need, and so are the accounts of the emulator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from sharectl.drivers.testing import new_id, ref
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest, SnapshotRef
from tests.emulators.ontap.client import Client
from tests.emulators.ontap.logins import password_of

from .arrays import open_driver

if TYPE_CHECKING:
    from sharectl.drivers.ontap.driver import OntapDriver
    from tests.emulators.ontap.server import Emulator

PAGE: Final = Path(__file__).parents[3] / "docs" / "ontap.md"
PRIVILEGE: Final = re.compile(r"rest-role create -vserver vs1 -role sharectl -api (\S+) -access (\S+)")
DOCUMENTED: Final = "documented"
DISPENSABLE: Final = {"GET /storage/aggregates", "GET /storage/disks", "GET /security/key-managers"}
"""What pools are told of in more words where it may be read, by the docs."""
NFS: Final = (AccessRule("ip", "10.0.0.0/24", "rw"), AccessRule("ip", "10.0.1.9", "ro"))
SMB: Final = (AccessRule("user", "EXAMPLE\\bob", "rw"),)


def make_documented(emulator: Emulator) -> None:
    """Make the role of the docs in `vs1`, and an account that has it."""
    admin = Client(emulator)
    privileges = [
        {"path": path, "access": access} for path, access in PRIVILEGE.findall(PAGE.read_text(encoding="utf-8"))
    ]
    owner = {"name": "vs1"}
    assert admin.post("/security/roles", {"name": DOCUMENTED, "owner": owner, "privileges": privileges}).status == 201
    account = {
        "name": DOCUMENTED,
        "owner": owner,
        "password": password_of(DOCUMENTED),
        "role": DOCUMENTED,
        "applications": [{"application": "http", "authentication_methods": ["password"]}],
    }
    assert admin.post("/security/accounts", account).status == 201


def live(driver: OntapDriver) -> None:
    """Let shares have all that may happen to them."""
    driver.prepare()
    driver.report()
    (pool, *_) = driver.pools()
    share = ref(driver.create_share(ShareRequest(new_id(), "projects", GIB, "NFS", pool.name)))
    driver.update_access(share, NFS, NFS, [])
    driver.extend_share(share, 2 * GIB)
    taken = driver.create_snapshot(share, new_id(), "monday")
    snapshot = SnapshotRef(str(taken.resource_id), taken.backend_id, taken.name, share.resource_id, share.backend_id)
    clone = ref(driver.create_share(ShareRequest(new_id(), "copy", 2 * GIB, "NFS", pool.name, snapshot=snapshot)))
    driver.delete_share(clone)
    driver.revert_share(share, snapshot)
    driver.shrink_share(share, GIB)
    driver.used_bytes(share)
    driver.trash_share(share)
    driver.restore_share(share.resource_id)
    office = ref(driver.create_share(ShareRequest(new_id(), "office", GIB, "CIFS", pool.name)))
    driver.update_access(office, SMB, SMB, [])
    theirs = driver.adopt_share("theirs", new_id(), None)
    assert theirs.resource_id in {share.resource_id for share in driver.list_shares()}
    driver.list_snapshots()
    driver.delete_share(office)


@pytest.mark.parametrize("login", [DOCUMENTED, "sharectl-svm", "sharectl"])
def test_a_role_of_least_privilege_is_enough(emulator: Emulator, login: str) -> None:
    """No call of a share's whole life is forbidden to it, but those that only pools have more words from."""
    if login == DOCUMENTED:
        make_documented(emulator)
    volume = {"svm": {"name": "vs1"}, "name": "theirs", "aggregates": [{"name": "aggr1"}], "nas": {"path": "/theirs"}}
    Client(emulator).post("/storage/volumes?return_timeout=15", {**volume, "size": GIB})
    emulator.calls.clear()
    driver = open_driver(emulator, login, smb={"fromAnywhere": True})
    try:
        live(driver)
    finally:
        driver.close()
    forbidden = {f"{each.method} {each.path}" for each in emulator.calls.all() if each.status in {401, 403}}
    assert forbidden <= DISPENSABLE


def test_the_documented_role_is_read_from_the_page() -> None:
    """Else nothing would be tried."""
    assert len(PRIVILEGE.findall(PAGE.read_text(encoding="utf-8"))) > 8
