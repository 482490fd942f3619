"""Access that is to end does end, whatever else of the same change cannot be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.site import Site, backend, share

if TYPE_CHECKING:
    from pathlib import Path

STAYS, GOES, COMES = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def access(*addresses: str) -> str:
    """Return the entry of a share that lets these in."""
    return f"access: [{', '.join(f'{{type: ip, to: {address}, level: rw}}' for address in addresses)}]"


def in_force(site: Site) -> str:
    """Return what the backend has."""
    ((text,),) = site.query("a", "SELECT access FROM shares")
    return str(text)


@pytest.mark.parametrize(("effect", "times"), [("error", 1), ("transient", 7)])
def test_a_change_that_fails_as_a_whole_still_takes_away_what_is_to_go(tmp_path: Path, effect: str, times: int) -> None:
    """The driver is asked for the revocations alone; what it would not add is recorded as refused, or tried again later.

    Of a transient error each try makes two calls, of which the second succeeds here.
    """
    site = Site(tmp_path / "r").write(backend("a"), share("x", spec=access(STAYS, GOES)))
    assert site.apply().result.succeeded
    numbers = range(1, 1 + times, 2)  # each first of two calls of a try
    faults = ", ".join(f"{{call: update_access, effect: {effect}, nth: {number}}}" for number in numbers)
    broken = backend("a", config=f"faults: [{faults}],", spec="attempts: 4,")
    run = site.write(broken, share("x", spec=access(STAYS, COMES))).apply()
    assert not run.result.succeeded
    assert GOES not in in_force(site)
    assert STAYS in in_force(site)
    assert COMES not in in_force(site)
    site.write(backend("a"), share("x", spec=access(STAYS, COMES)))
    assert site.apply().result.succeeded
    assert COMES in in_force(site)
    assert site.plan().is_empty
