"""Share servers of an array that a worker serves: what a server joined travels with each call, and no password does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.team import Team
from tests.drivers.ontap.share_servers.arrays import ACCOUNT
from tests.drivers.ontap.share_servers.test_manifests import DOMAIN, KIND, network, share
from tests.emulators.ontap.surroundings import directory_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.ontap.server import Emulator
    from tests.postgresql import Server

SPEC = (
    "spec: {{driver: ontap, shareServers: true, network: {{plugin: standalone}}, config: {{address: 127.0.0.1, port: {port}, "
    "caFile: {ca_file}, user: {user}, password: {{file: admin}}, recoveryQueue: skip, "
    "shareServers: {{homes: [{{node: n1, port: e0d}}, {{node: n2, port: e0d}}]}}}}}}"
)
AD = KIND.format("SecurityService", "ad", DOMAIN)


def write(team: Team, emulator: Emulator, *manifests: str) -> None:
    """Write these beside the array, whose passwords the worker alone has."""
    team.write(AD, *manifests)
    spec = SPEC.format(port=emulator.port, ca_file=emulator.ca_file, user=ACCOUNT)
    for folder in (team.coordinator, team.filer):
        lines = (folder / "m.yaml").read_text().splitlines()
        kept = [spec if line.startswith("spec: {driver: simulated") else line for line in lines]
        (folder / "m.yaml").write_text("\n".join(kept) + "\n")
    (team.filer / "admin").write_text(emulator.login_of(ACCOUNT).password)
    (team.filer / "joiner").write_text("Secret-2")


def machines(emulator: Emulator) -> set[str]:
    """Return the machine accounts in the domain, but those of the fixture."""
    (found,) = directory_of(emulator.world).domains
    return set(found.machines) - {"TAKEN", "VS1"}


def test_a_tenant_comes_leaves_its_domain_and_goes(tmp_path: Path, postgresql: Server, emulator: Emulator) -> None:
    """The worker learns from the run what the server had joined, and leaves it by its own passwords."""
    before = emulator.dump()
    team = Team(tmp_path, postgresql)
    write(team, emulator, network("red", 1010, "ad"), share("red-a", "red"))
    with team.worker():
        ended = team.run("apply", "--yes")
        assert ended.code == 0, ended.err
        assert len(machines(emulator)) == 1
        assert "10.20.0.10:/red-a" in team.run("show", "share/red-a").out
        write(team, emulator, network("red", 1010), share("red-a", "red"))
        ended = team.run("apply", "--yes")
        assert ended.code == 0, ended.err
        assert not machines(emulator)
        assert team.run("plan", "--detailed-exitcode").code == 0
        write(team, emulator)
        ended = team.run("apply", "--yes", "--allow-empty")
        assert ended.code == 0, ended.err
    assert emulator.dump() == before
    assert not (team.coordinator / "admin").exists()
