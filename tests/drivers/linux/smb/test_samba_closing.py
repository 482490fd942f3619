"""What is left of a share's section where it could not be made what was asked: nobody comes from where they may not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.closing import close_section
from sharectl.drivers.linux.agent.rights import SmbRights
from tests.drivers.linux.test_linux_records import SHARE

if TYPE_CHECKING:
    from tests.drivers.linux.samba_lab import Lab

ALICE = frozenset({"alice"})


def networks(*texts: str) -> frozenset[str]:
    """Return networks as a section has them."""
    return frozenset(texts)


@pytest.mark.parametrize(
    ("stored", "denied", "wanted", "left"),
    [
        ("", "", "10.77.1.0/24", "10.77.1.0/24"),
        ("10.77.1.0/24", "", "", "10.77.1.0/24"),
        ("10.77.1.0/24 fd77::/64", "", "fd77::/64", "fd77::/64"),
        ("10.77.1.0/24", "", "fd77::/64", None),  # from nowhere; without networks it would be from everywhere
        ("", "10.77.1.21", "10.77.1.0/24", None),  # from where alone and from where not, which no section says
    ],
)
def test_a_section_is_left_open_from_where_it_was_and_is_to_be_alone(
    lab: Lab, stored: str, denied: str, wanted: str, left: str | None
) -> None:
    """Where no section says that, it is closed to everybody."""
    before = replace(lab.section("office", "alice bob", "", stored), denied=networks(*denied.split()))
    lab.server.put(before)
    granted = SmbRights(ALICE, frozenset(), networks(*wanted.split()))
    outcome = close_section(lab.server, replace(SHARE, export_name="office"), granted)
    found = lab.server.stored().get("office")
    if left is None:
        assert found is None
        assert "closed to everybody" in outcome
    else:
        assert found == replace(before, writers=ALICE, networks=networks(*left.split()))
        assert "closed to all but those" in outcome
