"""Repair: what somebody changed on the backend by hand is made right, also where the manifest changes at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.plans import UpdateAccess
from tests.engine.site import Site, backend, share

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.model.plans import Plan


def rules(*addresses: str) -> str:
    """Return the access of a share."""
    return "access: [" + ", ".join(f"{{type: ip, to: {address}, level: rw}}" for address in addresses) + "], "


def repairs(plan: Plan) -> list[bool]:
    """Return of each change of access in the plan whether it is given as a whole set."""
    return [step.work.repairs for step in plan.steps if isinstance(step.work, UpdateAccess)]


def test_one_apply_mends_access_that_drifted_and_that_the_manifest_changes(tmp_path: Path) -> None:
    """The driver is given no difference to the state, which is not what the backend holds, but the whole set."""
    site = Site(tmp_path / "r").write(backend("a"), share("x", spec=rules("10.0.0.1", "10.0.0.2")))
    assert site.apply().result.succeeded
    site.query("a", 'UPDATE shares SET access = \'[["ip","10.9.9.9","rw"]]\'')
    site.write(backend("a"), share("x", spec=rules("10.0.0.1", "10.0.0.2", "10.0.0.3")))
    plan = site.plan()
    assert repairs(plan) == [True]
    assert site.apply().result.succeeded
    assert site.plan().is_empty
    ((access,),) = site.query("a", "SELECT access FROM shares")
    assert "10.9.9.9" not in access
    assert all(address in access for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"))


def test_a_change_without_drift_is_given_as_a_change(tmp_path: Path) -> None:
    """What the state says is what the backend holds, and the driver need not look."""
    site = Site(tmp_path / "r").write(backend("a"), share("x", spec=rules("10.0.0.1")))
    assert site.apply().result.succeeded
    site.write(backend("a"), share("x", spec=rules("10.0.0.1", "10.0.0.2")))
    assert repairs(site.plan()) == [False]
