"""A driver that leaves the rules of others alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from sharectl.drivers.base import capabilities_of
from sharectl.drivers.directory import exports
from sharectl.drivers.directory.samba import CHANGED_BY_HAND
from sharectl.drivers.ignoring import leaving_alone
from sharectl.drivers.linux.agent.protocols import STRANGE
from sharectl.drivers.testing import ref, snapshot_ref
from sharectl.model.access import AccessRule
from sharectl.model.ignoring import AccessPattern, IgnoreList

from .opening import FullDriver, new_request, open_driver

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = IgnoreList(access=(AccessPattern("ip", "10.9.0.0/16"), AccessPattern("user", "corp\\Backup*")))
OURS, THEIRS = AccessRule("ip", "10.0.0.1", "rw"), AccessRule("ip", "10.9.0.7", "ro")


@pytest.fixture(params=["directory", "simulated"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> FullDriver:
    """Return a prepared driver."""
    configs = {"directory": {"root": "shares", "exportHost": "nas"}, "simulated": {"stateFile": "b.db"}}
    driver = open_driver(request.param, configs[request.param], tmp_path)
    driver.prepare()
    return driver


@pytest.fixture
def driver(bare: FullDriver) -> FullDriver:
    """Return it as one that leaves the rules of others alone."""
    return cast("FullDriver", leaving_alone(bare, OTHERS))


def test_it_is_the_driver_with_all_its_capabilities(bare: FullDriver, driver: FullDriver) -> None:
    """Nothing is lost on the way, and without patterns it is the driver itself."""
    assert capabilities_of(driver) == capabilities_of(bare)
    assert driver.clones_within == bare.clones_within
    assert driver.report() == bare.report()
    assert leaving_alone(bare, IgnoreList(shares=("x",))) is bare


def test_a_revert_keeps_the_rules_of_others(bare: FullDriver, driver: FullDriver) -> None:
    """They are in the set that is in force, and never in what is listed."""
    share = driver.create_share(new_request("a", bare.pools()[0].name))
    bare.update_access(ref(share), [OURS, THEIRS], [OURS, THEIRS], [])
    (listed,) = driver.list_shares()
    assert (listed.access, listed.ignored_access) == ((OURS,), (THEIRS,))
    snapshot = driver.create_snapshot(ref(share), "5f0c1a1e-0000-4000-8000-000000000001", "monday")
    driver.revert_share(ref(share), snapshot_ref(snapshot, share))
    assert set(bare.list_shares()[0].access) == {OURS, THEIRS}
    for rules, change in (([], ([], [OURS])), ([OURS], ([], [])), ([OURS], ([OURS], []))):
        statuses = driver.update_access(ref(share), rules, *change)
        assert set(statuses) == set(rules)
        assert set(bare.list_shares()[0].access) == {*rules, THEIRS}
    driver.trash_share(ref(share))
    assert driver.restore_share(str(share.resource_id)).access == ()


@pytest.mark.parametrize("said", [STRANGE[:3], CHANGED_BY_HAND[:3], exports.unreadable("x")[:3]])
def test_no_pattern_covers_what_a_driver_says_of_access_that_nobody_asked_for(said: tuple[str, str, str]) -> None:
    """A list of all users would keep a share open that a server has open in another way than it was told."""
    everything = IgnoreList(access=tuple(AccessPattern(kind, "*") for kind in ("user", "group", "guest")))
    assert everything.covers_rule(AccessRule("user", "bob", "rw"))
    assert not everything.covers_rule(AccessRule(*said))


@pytest.mark.parametrize(
    ("rule", "is_covered"),
    [
        (AccessRule("ip", "10.9.1.2", "rw"), True),
        (AccessRule("ip", "10.9.1.0/24", "rw"), True),
        (AccessRule("ip", "10.0.0.0/8", "rw"), False),
        (AccessRule("ip", "fd00::1", "rw"), False),
        (AccessRule("ip", "unreadable: x", "rw"), False),
        (AccessRule("user", "CORP\\backup-1", "rw"), True),
        (AccessRule("user", "backup-1", "rw"), False),
    ],
)
def test_what_a_pattern_covers(rule: AccessRule, is_covered: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """Networks cover what lies in them, users are alike whatever their case."""
    assert OTHERS.covers_rule(rule) == is_covered
