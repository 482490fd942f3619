"""Pools of qtrees pass the suite that every driver is held to, on an emulated array."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.testing import (
    AccessTests,
    AdoptionTests,
    BackendTests,
    CheckTests,
    ShareTests,
    SizeTests,
    TrashTests,
    ref,
)
from sharectl.model.quantities import GIB
from tests.drivers.ontap.arrays import backend_of, open_driver
from tests.emulators.ontap.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.model.checks import ShareProblem, WantedShare
    from sharectl.model.requests import ShareRequest, SnapshotRef
    from tests.emulators.ontap.server import Emulator

QTREES = {"small": {"aggregate": "aggr1", "volumeSize": "8GiB"}}


class TestQtrees(AccessTests, AdoptionTests, BackendTests, CheckTests, ShareTests, SizeTests, TrashTests):
    """One SVM without a volume of anybody, and a pool of qtrees."""

    other_export_settings: Mapping[str, str] = MappingProxyType({"squash": "none", "anonymousUid": "99"})
    threads = 16

    @pytest.fixture
    def make_driver(self, emulator: Emulator) -> Callable[[], Driver]:
        """Open a backend on the array, which is new."""
        self.emulator = emulator
        return lambda: open_driver(emulator, qtrees=QTREES)

    def test_a_name_is_free_again_after_deletion(self, driver: Driver) -> None:
        """A new share may have the name at once; its qtree has another, with its own id, since the array may take minutes to remove the first."""
        first = self.create(driver, "projects")
        driver.delete_share(ref(first))
        again = self.create(driver, "projects")
        assert (again.name, again.backend_id != first.backend_id) == (first.name, True)
        assert self.shares(driver) == [again]

    def request(self, driver: Driver, name: str, snapshot: SnapshotRef | None = None) -> ShareRequest:
        """Ask for a share in the pool of qtrees."""
        return replace(super().request(driver, name, snapshot), pool="small")

    def share_problems(self, driver: Driver, share: WantedShare) -> Sequence[ShareProblem]:
        """Ask the factory."""
        backend = backend_of(self.emulator, qtrees=QTREES)
        return FACTORY.share_check(backend)(replace(share, pool="small"))  # type: ignore[attr-defined]  # this one has it

    def make_unmanaged(self, driver: Driver) -> str:
        """Make a qtree with a quota as an administrator would, in a volume of theirs."""
        admin, svm, volume = Client(self.emulator), {"name": "vs1"}, {"name": "homes"}
        body = {
            "svm": svm,
            "name": "homes",
            "aggregates": [{"name": "aggr1"}],
            "size": 8 * GIB,
            "nas": {"path": "/homes"},
        }
        for path, fields in (
            ("/storage/volumes", body),
            ("/storage/qtrees", {"svm": svm, "volume": volume, "name": "legacy"}),
            (
                "/storage/quota/rules",
                {
                    "svm": svm,
                    "volume": volume,
                    "type": "tree",
                    "qtree": {"name": "legacy"},
                    "space": {"hard_limit": 3 * GIB},
                },
            ),
        ):
            got = admin.send("POST", f"{path}?return_timeout=15", fields)
            assert got.status == 201, got
        (found,) = admin.get("/storage/volumes?name=homes").records
        got = admin.send("PATCH", f"/storage/volumes/{found['uuid']}?return_timeout=15", {"quota": {"enabled": True}})
        assert got.status == 200, got
        return "homes/legacy"
