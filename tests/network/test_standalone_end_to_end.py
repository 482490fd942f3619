"""Addresses of the standalone plugin when several applies want some at once: of one state, and of two states that know nothing of each other."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from sharectl.state.rows import allocations_of
from tests.cli.console import COMMAND, PATIENCE_SECONDS, environment
from tests.engine.site import Site
from tests.network.cloud import document

if TYPE_CHECKING:
    from pathlib import Path

WIRE = {"cidr": "10.0.0.0/24", "gateway": "10.0.0.1", "networkType": "vlan", "segmentationId": 7}
NAMES = ("a", "b")


def site(root: Path, **subnet: object) -> Site:
    """Write a repository with two share networks on the same wire, each with a share."""
    network = {"plugin": "standalone"}
    backend = {"driver": "simulated", "shareServers": True, "network": network, "config": {"stateFile": "sim.db"}}
    share = {"size": "1GiB", "protocol": "NFS", "deletionPolicy": "delete"}
    return Site(root).write(
        document("Backend", "sim", backend),
        *(document("ShareNetwork", f"of-{name}", {"subnets": [WIRE | subnet]}) for name in NAMES),
        *(document("Share", name, {**share, "shareNetwork": f"of-{name}"}) for name in NAMES),
    )


def apply_at_once(*commands: tuple[Site, str]) -> None:
    """Apply the target of each command, all at once, each waiting for the lock of its state if it has to."""
    started = [
        subprocess.Popen(
            [*COMMAND, "-C", str(place.root), "apply", "--yes", "--lock-timeout", "60s", "--target", target],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        for place, target in commands
    ]
    for process in started:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, output


def addresses(place: Site) -> list[str]:
    """Return the addresses of all share servers, sorted."""
    rows = [row for row in place.records().values() if row.kind == "share_server"]
    return sorted(allocation.ip_address for row in rows for allocation in allocations_of(row))


def test_two_applies_of_one_state_never_give_the_same_address(tmp_path: Path) -> None:
    """One waits for the other; both networks are on the same wire."""
    place = site(tmp_path / "r")
    apply_at_once(*((place, f"share/{name}") for name in NAMES))
    assert addresses(place) == ["10.0.0.2", "10.0.0.3"]
    assert place.plan().is_empty


def test_two_states_need_ranges_of_their_own(tmp_path: Path) -> None:
    """Each has accounts of its own; what one gives the other cannot see, as the documentation says."""
    twins = [site(tmp_path / f"twin-{number}") for number in (1, 2)]
    apply_at_once(*((place, "share/a") for place in twins))
    assert [addresses(place) for place in twins] == [["10.0.0.2"], ["10.0.0.2"]]
    apart = [
        site(tmp_path / f"apart-{number}", allocationRanges=[f"10.0.0.{number}0-10.0.0.{number}9"]) for number in (1, 2)
    ]
    apply_at_once(*((place, "share/a") for place in apart))
    assert [addresses(place) for place in apart] == [["10.0.0.10"], ["10.0.0.20"]]
