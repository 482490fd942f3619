"""The whole life of a share, cut at each call that changes the array, with each account, and through a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.testing import ref
from tests.cli.team import Team, share
from tests.drivers.ontap.arrays import config_of, open_driver

from .ground import Ground, request, rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.drivers.ontap.driver import OntapDriver
    from sharectl.model.requests import ShareRequest
    from tests.emulators.ontap.server import Emulator
    from tests.postgresql import Server

FIRST = (rule("10.0.0.0/24"), rule("10.0.0.9", "ro"))
THEN = (rule("10.0.0.0/24"), rule("fd00::/64"))
CHANGES = 10
"""How often a volume is changed in the life of a share."""
ATTEMPTS = 4


def steps(wanted: ShareRequest) -> list[Callable[[OntapDriver], Any]]:
    """Return the steps of its life, each of which the engine may ask for again, in another process."""

    def known(driver: OntapDriver) -> Any:  # noqa: ANN401 - a reference
        return ref(driver.list_shares([wanted.resource_id])[0])

    return [
        lambda driver: driver.prepare(),
        lambda driver: driver.create_share(wanted),
        lambda driver: driver.update_access(known(driver), FIRST, FIRST, []),
        lambda driver: driver.update_access(known(driver), THEN, THEN[1:], FIRST[1:]),
        lambda driver: driver.extend_share(known(driver), 2 << 30),
        lambda driver: driver.trash_share(known(driver)),
        lambda driver: driver.restore_share(wanted.resource_id),
        lambda driver: driver.update_access(known(driver), FIRST, FIRST, []),
    ]


def again(ground: Ground, login: str, step: Callable[[OntapDriver], Any]) -> None:
    """Take a step; after each failure the next process asks for the same."""
    for attempt in range(ATTEMPTS):
        try:
            step(ground.driver)
        except DriverError:
            assert attempt < ATTEMPTS - 1
            ground.fresh(login)
        else:
            return


def live(ground: Ground, wanted: ShareRequest, login: str = "admin") -> None:
    """Go through all steps."""
    for step in steps(wanted):
        again(ground, login, step)


def end(ground: Ground, wanted: ShareRequest, login: str = "admin") -> None:
    """Remove the share."""
    found = ref(ground.driver.list_shares([wanted.resource_id])[0])
    again(ground, login, lambda driver: driver.delete_share(found))


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("skip", range(CHANGES))
def test_whichever_call_is_the_last_of_a_process(emulator: Emulator, skip: int, done: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """The next one ends where it would have ended: one volume, one policy, and in the end nothing."""
    ground, wanted = Ground(emulator, open_driver(emulator)), request()
    for method in ("POST", "PATCH", "DELETE"):
        emulator.fault(
            "cut", method, "*", where="before", done=done, times=1, skip=skip if method == "PATCH" else skip // 3
        )
    live(ground, wanted)
    if set(ground.listed().access) != set(FIRST):  # as the next plan would see
        ground.repair(ref(ground.listed()), FIRST)
    assert set(ground.listed().access) == set(FIRST)
    assert ground.listed().size_bytes == 2 << 30
    ground.is_tidy(shares=1, with_access=1)
    end(ground, wanted)
    assert ground.driver.list_shares() == []
    ground.is_tidy(shares=0, with_access=0)
    ground.driver.close()


@pytest.mark.parametrize("login", ["sharectl", "sharectl-svm", "vsadmin"])
def test_an_account_of_the_least_privilege_is_enough(ground: Ground, login: str) -> None:
    """Of the cluster, or of the SVM, which must not need the cluster."""
    driver, wanted = ground.fresh(login), request()
    assert driver.report().identity
    assert sorted(pool.name for pool in driver.pools()) == ["aggr1", "aggr2"]
    live(ground, wanted, login)
    assert set(ground.listed().access) == set(FIRST)
    end(ground, wanted, login)
    ground.fresh()
    ground.is_tidy(shares=0, with_access=0)


class ArrayTeam(Team):
    """A worker beside an array: its password and its authority are in the folder of the worker alone."""

    emulator: Emulator

    def write(self, *shares: str, user: str = "") -> None:
        """Write both folders."""
        super().write(*shares, **({"user": user} if user else {}))
        config = {**config_of(self.emulator), "password": {"file": "password"}, "caFile": "ca.pem"}
        backend = f"apiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: filer}}\nspec: {{driver: ontap, config: {config}}}\n"
        for folder, manifests in ((self.coordinator, shares), (self.filer, ())):
            (folder / "m.yaml").write_text(backend + "".join(manifests))
        (self.filer / "password").write_text(self.emulator.login.password)
        (self.filer / "ca.pem").write_bytes(self.emulator.ca_file.read_bytes())


def test_a_share_is_made_changed_and_removed_through_a_worker(
    ground: Ground, tmp_path: Path, postgresql: Server
) -> None:
    """The coordinator has neither the password nor the array's authority."""
    team = ArrayTeam(tmp_path, postgresql)
    team.emulator = ground.emulator
    team.write(share("projects", "access: [{type: ip, to: 10.0.0.0/24, level: rw}],"))
    with team.worker():
        applied = team.run("apply", "--yes")
        assert applied.code == 0, applied.err
        ground.is_tidy(shares=1, with_access=1)
        planned = team.run("plan", "--detailed-exitcode")
        assert planned.code == 0, planned.out
        team.write(share("other"))
        applied = team.run("apply", "--yes", "--allow-deletions", "5")
        assert applied.code == 0, applied.out + applied.err
    assert set(ground.volumes()) == {"other"}
    ground.is_tidy(shares=1, with_access=0)
