"""`sharectl apply` killed in the middle of each kind of call that makes or removes a share server: the next one goes on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.cli.console import Console
from tests.drivers.ontap.applies import KILLED, Applies, Document, repository
from tests.drivers.ontap.share_servers.arrays import ACCOUNT
from tests.emulators.ontap.svm_records import Svm

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.emulators.ontap.server import Emulator

OF_SERVERS: Final = "/network/|/svm/|/name-services/|/protocols/[a-z]+/services|POST /protocols/nfs/export-policies"
OPERATIONS: Final = {
    "POST /network/ipspaces",
    "POST /network/ethernet/broadcast-domains",
    "POST /network/ethernet/ports",
    "POST /svm/svms",
    "POST /protocols/nfs/export-policies",
    "POST /network/ip/interfaces",
    "POST /network/ip/routes",
    "POST /protocols/nfs/services",
    "POST /name-services/dns",
    "POST /protocols/cifs/services",
    "DELETE /protocols/cifs/services/{svm.uuid}",
    "DELETE /svm/svms/{uuid}",
    "DELETE /network/ethernet/ports/{uuid}",
    "DELETE /network/ethernet/broadcast-domains/{uuid}",
    "DELETE /network/ipspaces/{uuid}",
}


def manifests(emulator: Emulator) -> tuple[Document, ...]:
    """Return a backend with share servers, and a network in a domain."""
    homes = "shareServers: {homes: [{node: n1, port: e0d}, {node: n2, port: e0d}]}"
    config = (
        f"{{address: 127.0.0.1, port: {emulator.port}, caFile: {emulator.ca_file}, user: {ACCOUNT}, "
        f"password: {{env: PASSWORD}}, smb: {{}}, recoveryQueue: skip, {homes}}}"
    )
    subnet = "{cidr: 10.20.0.0/24, gateway: 10.20.0.1, networkType: vlan, segmentationId: 1010, allocationRanges: [10.20.0.10-10.20.0.19]}"
    domain = "{type: active_directory, domain: example.com, dnsIp: 10.0.0.2, user: joiner, password: {env: JOINER}}"
    return (
        (
            "Backend",
            "arrays",
            f"{{driver: ontap, lanes: 1, shareServers: true, network: {{plugin: standalone}}, config: {config}}}",
        ),
        ("SecurityService", "ad", domain),
        ("ShareNetwork", "red", f"{{subnets: [{subnet}], securityServices: [ad]}}"),
    )


def test_whatever_call_an_apply_is_killed_in_the_next_goes_on(
    emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one server for the network, with its addresses, and in the end the array is as it was."""
    monkeypatch.setenv("PASSWORD", emulator.login_of(ACCOUNT).password)
    monkeypatch.setenv("JOINER", "Secret-2")
    before = emulator.dump()
    applies = Applies(emulator, repository(tmp_path / "ended"), KILLED, OF_SERVERS, ACCOUNT)
    emulator.calls.meets = applies
    console = Console(applies.folder, capsys)
    access = "access: [{type: user, to: 'EXAMPLE\\bob', level: rw}]"
    share = ("Share", "a", f"{{size: 1GiB, protocol: CIFS, shareNetwork: red, deletionPolicy: delete, {access}}}")
    applies.reach(*manifests(emulator), share)
    assert len(emulator.world[Svm]) == len(before["Svm"]) + 1
    planned = console("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out
    applies.reach(*manifests(emulator))
    assert emulator.dump() == before
    assert {" ".join(kind.split(" ")[:2]) for kind in applies.met} >= OPERATIONS
