"""Marks of shares that stay closed: each is for one protocol, and letting one hold lets no other hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.closed_marks import _mark, marked, unmark
from sharectl.drivers.linux.agent.contract import Instance
from sharectl.model.access import BOTH
from tests.drivers.linux.test_linux_records import SHARE

if TYPE_CHECKING:
    from pathlib import Path

ONE = SHARE.resource_id


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """Return the instance of a folder."""
    return Instance("main", str(tmp_path))


def test_a_share_of_both_protocols_stays_closed_over_one(instance: Instance) -> None:
    """Until that one is put in force; the other never was closed."""
    both = replace(SHARE, protocol=BOTH)
    _mark(instance, "NFS", [both])
    assert (marked(instance, "NFS"), marked(instance, "CIFS")) == ({ONE}, set())
    unmark(instance, both, "CIFS")
    assert marked(instance, "NFS") == {ONE}
    unmark(instance, both, "NFS")
    assert marked(instance, "NFS") == set()


def test_the_mark_of_a_share_with_one_protocol_holds_for_all(instance: Instance) -> None:
    """What an earlier sharectl left means the same, also once the share has both."""
    _mark(instance, "NFS", [SHARE])
    assert (marked(instance, "NFS"), marked(instance, "CIFS")) == ({ONE}, {ONE})
    unmark(instance, replace(SHARE, protocol=BOTH), "CIFS")
    assert (marked(instance, "NFS"), marked(instance, "CIFS")) == ({ONE}, set())
    unmark(instance, replace(SHARE, protocol=BOTH), "NFS")
    assert (marked(instance, "NFS"), marked(instance, "CIFS")) == (set(), set())


def test_a_mark_of_a_protocol_that_a_share_has_no_more_is_no_mark_of_the_other(instance: Instance) -> None:
    """And goes when what the share has is put in force."""
    _mark(instance, "CIFS", [replace(SHARE, protocol=BOTH)])
    assert marked(instance, "NFS") == set()
    unmark(instance, SHARE, "NFS")
    assert (marked(instance, "NFS"), marked(instance, "CIFS")) == (set(), set())


def test_a_mark_of_a_share_with_both_goes_once_it_has_one(instance: Instance) -> None:
    """Else a restart would withhold it for ever, whatever is put in force."""
    _mark(instance, "NFS", [replace(SHARE, protocol=BOTH)])
    unmark(instance, SHARE, "NFS")
    assert marked(instance, "NFS") == set()
