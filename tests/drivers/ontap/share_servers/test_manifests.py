"""Share networks of manifests on an array, planned and applied with addresses of the standalone plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import has_errors
from sharectl.state.rows import allocations_of, attributes_of
from tests.drivers.ontap.share_servers.arrays import ACCOUNT, array_of
from tests.engine.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.ontap.server import Emulator

KIND = "---\napiVersion: sharectl/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: {}\n"
DOMAIN = "{type: active_directory, domain: example.com, dnsIp: 10.0.0.2, user: joiner, password: {file: joiner}}"


def network(name: str, tag: int, services: str = "", network_type: str = "vlan") -> str:
    """Return the manifest of a share network; all have the same addresses."""
    subnet = f"{{cidr: 10.20.0.0/24, gateway: 10.20.0.1, networkType: {network_type}, segmentationId: {tag}, allocationRanges: [10.20.0.10-10.20.0.19]}}"
    return KIND.format("ShareNetwork", name, f"{{subnets: [{subnet}], securityServices: [{services}]}}")


def share(name: str, on: str, protocol: str = "NFS") -> str:
    """Return the manifest of a share that is deleted with it."""
    access = (
        "[{type: ip, to: 10.20.0.0/24, level: rw}]"
        if protocol == "NFS"
        else "[{type: user, to: 'EXAMPLE\\bob', level: rw}]"
    )
    spec = f"{{size: 1GiB, protocol: {protocol}, shareNetwork: {on}, deletionPolicy: delete, access: {access}}}"
    return KIND.format("Share", name, spec)


class Arrays(Site):
    """A repository with a backend on the emulator."""

    emulator: Emulator

    def applied(self, *manifests: str) -> dict[str, str]:
        """Apply these beside the backend until nothing is left to do; return the addresses of the servers."""
        assert self.with_backend(*manifests).apply().result.succeeded
        assert self.plan().is_empty
        return {
            address: ",".join(sorted(each.ip_address for each in allocations_of(row)))
            for address, row in self.records().items()
            if row.kind == "share_server"
        }

    def with_backend(self, *manifests: str) -> Arrays:
        """Write these and the backend."""
        emulator = self.emulator
        config = (
            f"{{address: 127.0.0.1, port: {emulator.port}, caFile: {emulator.ca_file}, user: {ACCOUNT}, "
            "password: {file: admin}, smb: {}, recoveryQueue: skip, "
            "shareServers: {homes: [{node: n1, port: e0d}, {node: n2, port: e0d}]}}"
        )
        spec = f"{{driver: ontap, shareServers: true, network: {{plugin: standalone}}, config: {config}}}"
        self.write(KIND.format("Backend", "arrays", spec), KIND.format("SecurityService", "ad", DOMAIN), *manifests)
        (self.root / "admin").write_text(emulator.login_of(ACCOUNT).password)
        (self.root / "joiner").write_text("Secret-2")
        return self


@pytest.fixture
def site(tmp_path: Path, emulator: Emulator) -> Arrays:
    """Return such a repository."""
    made = Arrays(tmp_path / "r")
    made.emulator = emulator
    return made


def test_tenants_get_servers_of_their_own_and_leave_nothing(site: Arrays, emulator: Emulator) -> None:
    """Two with equal addresses on two VLANs; when their shares go, so does all else."""
    before = emulator.dump()
    tenants = [network("red", 1010), network("blue", 1011)]
    found = site.applied(*tenants, share("red-a", "red"), share("blue-a", "blue"))
    assert found == dict.fromkeys(
        ("share_server/red-default@arrays", "share_server/blue-default@arrays"), "10.20.0.10,10.20.0.11"
    )
    locations = attributes_of(site.records()["share/red-a"])["export_locations"]
    assert sorted(locations) == ["10.20.0.10:/red-a", "10.20.0.11:/red-a"]
    assert site.applied(*tenants, share("blue-a", "blue")).keys() == {"share_server/blue-default@arrays"}
    assert site.applied(*tenants) == {}
    assert emulator.dump() == before


def test_drift_of_a_server_is_shown_and_mended(site: Arrays, emulator: Emulator) -> None:
    """A LIF that somebody removed comes back with its address; its share stays."""
    manifests = [network("red", 1010), share("red-a", "red")]
    site.applied(*manifests)
    array = array_of(emulator)
    (lif,) = array.records("network/ip/interfaces", query={"name": "sharectl_0"})
    array.delete(("network/ip/interfaces", lif["uuid"]))
    assert "repair-share-server" in [step.verb.value for step in site.plan().steps]
    assert site.applied(*manifests) == {"share_server/red-default@arrays": "10.20.0.10,10.20.0.11"}


def test_a_network_joins_a_domain_and_gets_shares_over_smb(site: Arrays, emulator: Emulator) -> None:
    """In place; it stays while such a share is there, and is left with the account that joined it."""
    before = emulator.dump()
    site.applied(network("red", 1010), share("red-a", "red"))
    joined = [network("red", 1010, "ad"), share("red-a", "red")]
    site.applied(*joined, share("red-w", "red", "CIFS"))
    plan = site.with_backend(network("red", 1010), share("red-a", "red"), share("red-w", "red", "CIFS")).plan()
    assert has_errors(plan.diagnostics)
    assert "serves CIFS in an Active Directory" in str(plan.diagnostics)
    site.applied(*joined)
    site.applied(network("red", 1010), share("red-a", "red"))
    assert [each["name"] for each in array_of(emulator).records("protocols/cifs/services")] == ["VS1"]
    site.applied(network("red", 1010))
    assert emulator.dump() == before


def test_a_network_that_an_array_cannot_be_on_is_told_by_the_plan(site: Arrays, emulator: Emulator) -> None:
    """Before anything is made."""
    before = emulator.dump()
    plan = site.with_backend(network("red", 5010, network_type="vxlan"), share("red-a", "red")).plan()
    assert any("an array has ports on VLANs and flat networks" in found.summary for found in plan.diagnostics)
    assert emulator.dump() == before


def test_an_apply_that_loses_answers_ends_as_if_it_had_not(site: Arrays, emulator: Emulator) -> None:
    """Whichever of the first answers it is: the step is tried again, and nothing is there twice."""
    manifests = [network("red", 1010), share("red-a", "red")]
    for path in ("/svm/svms", "/network/*", "/protocols/nfs/services"):
        emulator.fault("cut", "POST", path, where="before", done=True, times=1)
    assert site.applied(*manifests) == {"share_server/red-default@arrays": "10.20.0.10,10.20.0.11"}
    assert emulator.faults.met["cut"] == 3
    site.applied()


def test_what_is_refused_for_good_is_swept_in_the_same_run(site: Arrays, emulator: Emulator) -> None:
    """The addresses are free again, and the account was tried once for each attempt at the step."""
    before = emulator.dump()
    site.with_backend(network("red", 1010, "ad"), share("red-a", "red"))
    (site.root / "joiner").write_text("nonsense")
    assert not site.apply().result.succeeded
    assert emulator.dump() == before
    assert not [row for row in site.records().values() if row.kind in {"share_server", "network_allocation"}]
    assert emulator.calls.counted()["POST /protocols/cifs/services"] == 1
