"""What the factory's check says before anything is called, held against the calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import (
    BackendUnavailableError,
    ConflictError,
    Driver,
    DriverError,
    NotFoundError,
    PoolError,
    TransientError,
)
from sharectl.drivers.testing.references import ref
from sharectl.drivers.testing.shares import HOSTILE_NAMES
from sharectl.drivers.testing.suite import Suite
from sharectl.model.access import AccessRule
from sharectl.model.checks import WantedShare
from sharectl.model.quantities import GIB

if TYPE_CHECKING:
    from sharectl.model.requests import ShareRequest


ODD_RULES = (
    AccessRule("ip", "10.0.0.0/8", "rw"),
    AccessRule("ip", "10.0.0.0/8", "ro"),
    AccessRule("ip", "192.0.2.7/24", "rw"),
    AccessRule("ip", "2001:db8::/128", "ro"),
    AccessRule("ip", "fe80::1%eth0", "rw"),
    AccessRule("ip", "host.example.org", "rw"),
    AccessRule("ip", "0.0.0.0", "rw"),  # noqa: S104 - a client that is nobody, not an address to bind
    AccessRule("ip", "0.0.0.0/0", "rw"),
    AccessRule("ip", "10.0.0.9", "owner"),
    AccessRule("user", "alice", "rw"),
    AccessRule("user", "ALICE", "ro"),
    AccessRule("user", "nobody-knows-me", "rw"),
    AccessRule("user", "CORP\\bob", "rw"),
    AccessRule("user", "bob@corp.example", "ro"),
    AccessRule("user", "@staff", "rw"),
    AccessRule("user", 'quote"', "rw"),
    AccessRule("cert", "client.example.org", "rw"),
    AccessRule("ip", "10.0.0.13", "none"),
    AccessRule("ip", "10.0.0.5", "rw", (("anonymousUid", "7"), ("squash", "all"))),
    AccessRule("ip", "10.0.0.6", "rw", (("insecure", "true"), ("security", "sys"))),
    AccessRule("ip", "10.0.0.7", "rw", (("squash", "most"),)),
    AccessRule("ip", "10.0.0.8", "rw", (("fsid", "0"),)),
    AccessRule("user", "alice", "rw", (("squash", "none"),)),
    AccessRule("user", "*", "ro"),
    AccessRule("group", "staff", "rw"),
    AccessRule("group", "CORP\\Domain Users", "ro"),
    AccessRule("group", "@staff", "rw"),
    AccessRule("guest", "*", "ro"),
    AccessRule("guest", "me", "ro"),
)
ODD_SIZES = (1, 1 << 20, (1 << 20) + 1, GIB - 512, GIB + 1)
_NOT_NOW = (BackendUnavailableError, ConflictError, NotFoundError, PoolError, TransientError)


class CheckTests(Suite):
    """The check refuses what the driver refuses, and nothing else."""

    def test_the_check_finds_nothing_wrong_with_what_the_suite_makes(self, driver: Driver) -> None:
        """Neither with the share nor with the rules."""
        assert list(self.share_problems(driver, WantedShare("projects", GIB, self.protocol, self.rules))) == []

    @pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
    def test_a_name_is_refused_if_the_check_says_so(self, driver: Driver, name: str) -> None:
        """And by no other names."""
        wanted = WantedShare(name, GIB, self.protocol)
        self.agrees(driver, wanted, replace(self.request(driver, "x"), name=name))

    @pytest.mark.parametrize("protocol", ["NFS", "CIFS", "AFP"])
    def test_a_protocol_is_refused_if_the_check_says_so(self, driver: Driver, protocol: str) -> None:
        """And no other."""
        request = replace(self.request(driver, "projects"), protocol=protocol)
        self.agrees(driver, WantedShare("projects", GIB, protocol), request)

    @pytest.mark.parametrize("size_bytes", ODD_SIZES)
    def test_a_size_is_refused_if_the_check_says_so(self, driver: Driver, size_bytes: int) -> None:
        """Too small, or not the multiple that the backend needs."""
        request = replace(self.request(driver, "projects"), size_bytes=size_bytes)
        self.agrees(driver, WantedShare("projects", size_bytes, self.protocol), request)

    def test_each_rule_is_refused_if_the_check_says_so(self, driver: Driver) -> None:
        """Alone on a share, every rule that the check leaves gets in force, and every one that it names does not."""
        share = self.create(driver, "projects")
        for rule in ODD_RULES:
            wanted = WantedShare("projects", GIB, self.protocol, (rule,))
            named = any(problem.path[:1] == ("access",) for problem in self.share_problems(driver, wanted))
            statuses = driver.update_access(ref(share), [rule], [], [])
            assert (statuses[rule].status != "active") is named, (rule, statuses[rule])

    def test_rules_that_are_refused_for_others_are_named_by_the_check(self, driver: Driver) -> None:
        """Two levels for one address, users that differ in case alone: named for the whole set, and the others are in force."""
        share = self.create(driver, "projects")
        problems = self.share_problems(driver, WantedShare("projects", GIB, self.protocol, ODD_RULES))
        named = {problem.path[1] for problem in problems if problem.path[:1] == ("access",)}
        statuses = driver.update_access(ref(share), ODD_RULES, [], [])
        assert {rule.key for rule, status in statuses.items() if status.status != "active"} == named

    def agrees(self, driver: Driver, wanted: WantedShare, request: ShareRequest) -> None:
        """Compare what the check says of a share with what the call does."""
        problems = list(self.share_problems(driver, wanted))
        said = ""
        try:
            driver.create_share(request)
        except _NOT_NOW:
            return
        except DriverError as error:
            said = str(error)
        assert bool(problems) is bool(said), (problems, said)
