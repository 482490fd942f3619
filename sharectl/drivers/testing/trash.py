"""The trash of a backend."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

import pytest

from sharectl.drivers.base import (
    Driver,
    NotFoundError,
    TrashesShares,
)
from sharectl.drivers.testing.references import new_id, ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef


class TrashTests(Suite):
    """Withdrawn, kept and brought back."""

    def test_trash_withdraws_access_and_restore_brings_the_content_back(self, driver: Driver) -> None:
        """In the trash a share is listed with the time and without access; each call may be repeated."""
        able = self.needs(driver, TrashesShares)
        share = self.create(driver, "projects")
        self.set_access(driver, share, self.rules)
        for _ in range(2):
            able.trash_share(ref(share))
        trashed = self.listed(driver, share)
        assert trashed.trashed_at is not None
        assert trashed.access == ()
        for _ in range(2):
            restored = able.restore_share(str(share.resource_id))
        assert restored.trashed_at is None
        assert restored.access == ()
        assert self.shares(driver) == [restored]

    def test_the_content_survives_the_trash(self, driver: Driver) -> None:
        """Nothing is lost on the way."""
        able = self.needs(driver, TrashesShares)
        share = self.create(driver, "projects")
        self.write_content(driver, share, "kept")
        able.trash_share(ref(share))
        assert self.read_content(driver, able.restore_share(str(share.resource_id))) == "kept"

    def test_a_share_in_the_trash_can_be_deleted(self, driver: Driver) -> None:
        """Then it is gone for good."""
        able = self.needs(driver, TrashesShares)
        share = self.create(driver, "projects")
        able.trash_share(ref(share))
        driver.delete_share(ref(share))
        assert self.shares(driver) == []
        with pytest.raises(NotFoundError):
            able.restore_share(str(share.resource_id))

    def test_what_is_not_there_cannot_be_trashed_or_restored(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        able = self.needs(driver, TrashesShares)
        with pytest.raises(NotFoundError):
            able.restore_share(new_id())
        with pytest.raises(NotFoundError):
            able.trash_share(ShareRef(new_id(), "x", "x", driver.pools()[0].name, self.protocol, GIB))
