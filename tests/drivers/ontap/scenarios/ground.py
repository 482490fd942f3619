"""What the scenarios stand on: shares, the way from the array's tables to what is left over, and an administrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharectl.drivers.testing import new_id, ref
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest
from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.client import Client, Got
from tests.emulators.ontap.oracle import Oracle
from tests.emulators.ontap.volume_records import Volume

from ..arrays import open_driver  # noqa: TID252 - the folder above is of the same tests

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.ontap.driver import OntapDriver
    from sharectl.model.observed import ObservedShare
    from sharectl.model.requests import ShareRef
    from tests.emulators.ontap.server import Emulator

CLOSED = "sharectl_none"


def rule(access_to: str, level: str = "rw", **options: str) -> AccessRule:
    """Return a rule for an address."""
    return AccessRule("ip", access_to, level, tuple(sorted(options.items())))


def request(name: str = "projects", pool: str = "aggr1", size_bytes: int = GIB) -> ShareRequest:
    """Return a request for a share."""
    return ShareRequest(new_id(), name, size_bytes, "NFS", pool)


@dataclass
class Ground:
    """An array with a driver on it."""

    emulator: Emulator
    driver: OntapDriver

    def share(self, *rules: AccessRule, name: str = "projects") -> ShareRef:
        """Make a share that these may reach."""
        share = ref(self.driver.create_share(request(name)))
        if rules:
            statuses = self.driver.update_access(share, rules, rules, [])
            assert {status.status for status in statuses.values()} == {"active"}
        return share

    def fresh(self, login: str = "admin", **config: Any) -> OntapDriver:  # noqa: ANN401 - any setting
        """Return a driver as the next process has it."""
        self.driver.close()
        self.driver = open_driver(self.emulator, login, **config)
        return self.driver

    def repair(self, share: ShareRef, rules: Collection[AccessRule]) -> None:
        """Put rules in force whatever is there."""
        self.driver.update_access(share, rules, [], [])

    def listed(self) -> ObservedShare:
        """Return the one share that there is."""
        (share,) = self.driver.list_shares()
        return share

    @property
    def admin(self) -> Client:
        """An administrator of the array."""
        return Client(self.emulator)

    def send(self, method: str, path: str, body: Any = None) -> Got:  # noqa: ANN401 - JSON
        """Do something by hand."""
        got = self.admin.send(method, f"{path}{'&' if '?' in path else '?'}return_timeout=15", body)
        assert got.status < 300, got
        return got

    @property
    def oracle(self) -> Oracle:
        """Who could reach what."""
        return Oracle(self.emulator.world)

    def calls(self) -> Mapping[str, int]:
        """Return what was asked since the last `forget_calls`, by operation."""
        return dict(self.emulator.calls.counted())

    def forget_calls(self) -> None:
        """Count from here on."""
        self.emulator.calls.clear()

    def volumes(self) -> dict[str, Volume]:
        """Return the volumes of `vs1` but its root, those in the recovery queue left out."""
        found = (each for each in self.emulator.world[Volume] if not each.root and each.deleted_at is None)
        return {volume.name: volume for volume in found}

    def queue(self) -> list[Volume]:
        """Return what is in the recovery queue."""
        return [each for each in self.emulator.world[Volume] if each.deleted_at is not None]

    def policies(self) -> dict[str, ExportPolicy]:
        """Return the export policies but those that the array is made with."""
        return {each.name: each for each in self.emulator.world[ExportPolicy] if each.name != "default"}

    def is_tidy(self, *, shares: int, with_access: int) -> None:
        """Assert that there are as many volumes as shares, one policy for each that somebody may reach, and nothing else of ours."""
        volumes = [volume for volume in self.volumes().values() if volume.comment.startswith("sharectl:")]
        ids = {volume.comment.split(" ")[0] for volume in volumes}
        assert (len(volumes), len(ids)) == (shares, shares)
        assert len(self.policies()) == with_access + 1, sorted(self.policies())
        used = {volume.policy for volume in volumes}
        assert all(policy.id in used for name, policy in self.policies().items() if name != CLOSED)
        assert not self.policies()[CLOSED].rules
        assert all(not rule.is_remark for share in self.driver.list_shares() for rule in share.access)
