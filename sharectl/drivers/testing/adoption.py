"""Shares that sharectl did not make, and names that are taken."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from dataclasses import replace

import pytest

from sharectl.drivers.base import (
    AdoptsShares,
    ConflictError,
    Driver,
    NotFoundError,
)
from sharectl.drivers.testing.references import new_id
from sharectl.drivers.testing.suite import Suite
from sharectl.model.quantities import GIB


class AdoptionTests(Suite):
    """Taken over, or in the way."""

    def test_a_share_that_sharectl_did_not_make_is_listed_and_adopted(self, driver: Driver) -> None:
        """Adoption puts it under an id; adopting again under the same id is not an error."""
        able = self.needs(driver, AdoptsShares)
        backend_id = self.make_unmanaged(driver)
        (found,) = driver.list_shares()
        assert (found.resource_id, found.backend_id, found.not_adoptable) == (None, backend_id, "")
        assert f"{found.backend_id}{found.name}".isprintable(), "names that cannot be written down are listed escaped"
        resource_id = new_id()
        for _ in range(2):
            adopted = able.adopt_share(backend_id, resource_id, 3 * GIB)
        assert (adopted.resource_id, adopted.backend_id, adopted.size_bytes) == (resource_id, backend_id, 3 * GIB)
        assert self.shares(driver) == [adopted]

    def test_adoption_under_another_id_is_a_conflict(self, driver: Driver) -> None:
        """A share has one owner."""
        able = self.needs(driver, AdoptsShares)
        backend_id = self.make_unmanaged(driver)
        adopted = able.adopt_share(backend_id, new_id(), GIB)
        with pytest.raises(ConflictError):
            able.adopt_share(backend_id, new_id(), GIB)
        assert self.shares(driver) == [adopted]

    def test_adopting_what_is_not_there_is_not_found(self, driver: Driver) -> None:
        """Nothing is made."""
        able = self.needs(driver, AdoptsShares)
        with pytest.raises(NotFoundError):
            able.adopt_share("no-such-share", new_id(), GIB)
        assert self.shares(driver) == []

    def test_an_unmanaged_share_in_the_way_is_a_conflict(self, driver: Driver) -> None:
        """It is never taken for the new one, and nothing of it is touched."""
        self.needs(driver, AdoptsShares)
        self.make_unmanaged(driver)
        (found,) = self.shares(driver)
        request = replace(self.request(driver, found.name), pool=found.pool)
        with pytest.raises(ConflictError):
            driver.create_share(request)
        assert self.shares(driver) == [found]

    def test_a_name_taken_since_the_plan_is_a_conflict(self, driver: Driver) -> None:
        """Where the request says which shares may have its name: that of another is in the way, and no other name is chosen."""
        other = self.create(driver, "projects")
        request = replace(self.request(driver, "projects"), beside=())
        with pytest.raises(ConflictError):
            driver.create_share(request)
        assert self.shares(driver) == [other]
        made = driver.create_share(replace(request, beside=(other.resource_id or "",)))
        assert driver.create_share(request) == made, "a creation that is repeated finds itself"
        assert {share.resource_id for share in driver.list_shares()} == {other.resource_id, request.resource_id}
