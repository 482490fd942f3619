"""Qtree shares on share servers: their volumes are in the SVM of the network, and go with it once they are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from sharectl.drivers.base import BackendUnavailableError, DriverEnvironment, ShareInUseError, TransientError
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.testing import new_id, ref
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest, ShareServerRef
from tests.drivers.ontap.share_servers.arrays import ACCOUNT, SECRETS, backend_of, new_request, quickly, ref_of
from tests.emulators.ontap.access_records import Qtree
from tests.emulators.ontap.client import Client
from tests.emulators.ontap.quota_records import QuotaRule
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.ontap.share_servers.driver import ShareServerDriver
    from tests.emulators.ontap.server import Emulator

CLIENT = AccessRule("ip", "10.9.0.0/24", "rw")


@pytest.fixture
def driver(emulator: Emulator) -> Iterator[ShareServerDriver]:
    """Give a prepared driver with share servers and a pool of qtrees."""
    secrets = {**SECRETS, "admin": emulator.login_of(ACCOUNT).password}
    environment = DriverEnvironment("/", lambda reference: secrets[reference["env"]])
    backend = backend_of(emulator, qtrees={"small": {"aggregate": "aggr1"}})
    opened = cast("ShareServerDriver", FACTORY.open(backend, environment))
    opened._servers._patience.sleep = quickly
    opened.prepare()
    yield opened
    opened.close()


def share_on(server: str | None) -> ShareRequest:
    """Return a request for a small share."""
    return ShareRequest(new_id(), "projects", GIB, "NFS", "small", share_server_id=server)


def test_qtrees_of_two_networks_are_in_two_svms_and_go_with_them(driver: ShareServerDriver, emulator: Emulator) -> None:
    """Nothing is left: no volume, no qtree, no limit, and none of the servers' own."""
    before = emulator.dump()
    requests = [new_request(number=number, tag=1010 + number) for number in (0, 1)]
    servers = [driver.create_share_server(each) for each in requests]
    shares = [driver.create_share(share_on(server.resource_id)) for server in servers]
    for share in shares:
        driver.update_access(ref(share), [CLIENT], [CLIENT], [])
    assert [share.export_locations[0].partition(":")[0] for share in shares] == ["10.9.0.10", "10.9.0.20"]
    listed = {share.resource_id: share for share in driver.list_shares()}
    assert {share.resource_id: listed[share.resource_id].share_server_id for share in shares} == {
        share.resource_id: server.resource_id for share, server in zip(shares, servers, strict=True)
    }
    with pytest.raises(ShareInUseError, match="qtrees"):
        driver.delete_share_server(ref_of(requests[0], servers[0]))
    emulator.world.clock.slow_down()
    for request, server, share in zip(requests, servers, shares, strict=True):
        driver.delete_share(ref(share))
        with pytest.raises(TransientError, match="still removing"):
            driver.delete_share_server(ref_of(request, server))
        emulator.world.pass_time(600)
        driver.delete_share_server(ref_of(request, server))
    assert (list(emulator.world[Qtree]), list(emulator.world[QuotaRule])) == ([], [])
    assert driver.list_shares() == []
    assert [each.name for each in driver.list_share_servers()] == ["vs1"]
    kinds = ("Volume", "Svm", "ExportPolicy", "Lif", "Port", "Ipspace", "BroadcastDomain")
    after = emulator.dump()
    assert {kind: after.get(kind) for kind in kinds} == {kind: before.get(kind) for kind in kinds}


def test_a_qtree_of_others_keeps_the_server(driver: ShareServerDriver, emulator: Emulator) -> None:
    """And so does a volume of others, before any volume for qtrees is removed."""
    request = new_request()
    server = driver.create_share_server(request)
    share = driver.create_share(share_on(server.resource_id))
    driver.delete_share(ref(share))
    emulator.world.pass_time(600)
    svm = share.backend_id.partition("/")[0]
    admin = Client(emulator)
    body = {"svm": {"name": svm}, "volume": {"name": "qtrees_small_1"}, "name": "theirs"}
    assert admin.post("/storage/qtrees?return_timeout=15", body).status == 201
    known: ShareServerRef = ref_of(request, server)
    before = emulator.dump()["Volume"]
    with pytest.raises(ShareInUseError, match="theirs"):
        driver.delete_share_server(known)
    assert emulator.dump()["Volume"] == before
    (qtree,) = [each for each in emulator.world[Qtree] if each.name == "theirs"]
    admin.send("DELETE", f"/storage/qtrees/{qtree.uuid}/{qtree.id}")
    emulator.world.pass_time(600)
    volume = {"svm": {"name": svm}, "name": "foreign", "aggregates": [{"name": "aggr1"}], "size": GIB}
    assert admin.post("/storage/volumes?return_timeout=15", volume).status == 201
    with pytest.raises(ShareInUseError, match="foreign"):
        driver.delete_share_server(known)
    assert any("qtrees_small_1" in line for line in emulator.dump()["Volume"])


def test_a_volume_that_is_offline_keeps_the_server_since_nobody_knows_what_is_in_it(
    driver: ShareServerDriver, emulator: Emulator
) -> None:
    """The array shows none of the qtrees in it, and would remove them with it."""
    request = new_request()
    server = driver.create_share_server(request)
    share = driver.create_share(share_on(server.resource_id))
    (volume,) = [each for each in emulator.world[Volume] if each.name == "qtrees_small_1"]
    emulator.world[Volume].change(volume.uuid, state="offline")
    before = emulator.dump()["Volume"]
    with pytest.raises(ShareInUseError, match=r"qtrees_small_1 of the SVM .* is offline"):
        driver.delete_share_server(ref_of(request, server))
    assert emulator.dump()["Volume"] == before
    with pytest.raises(BackendUnavailableError, match="qtrees_small_1 is offline"):
        driver.list_shares()
    emulator.world[Volume].change(volume.uuid, state="online")
    assert [each.resource_id for each in driver.list_shares()] == [share.resource_id]


def test_blocks_of_others_keep_the_server(driver: ShareServerDriver, emulator: Emulator) -> None:
    """A LUN that somebody has put beside the qtrees would go with their volume."""
    request = new_request()
    server = driver.create_share_server(request)
    share = driver.create_share(share_on(server.resource_id))
    driver.delete_share(ref(share))
    emulator.world.pass_time(600)
    (volume,) = [each for each in emulator.world[Volume] if each.name == "qtrees_small_1"]
    with emulator.world.lock:
        emulator.world[Volume].change(volume.uuid, luns=1)
    before = emulator.dump()["Volume"]
    with pytest.raises(ShareInUseError, match="LUNs are in the volume qtrees_small_1"):
        driver.delete_share_server(ref_of(request, server))
    assert emulator.dump()["Volume"] == before
    with emulator.world.lock:
        emulator.world[Volume].change(volume.uuid, luns=0)
    driver.delete_share_server(ref_of(request, server))
