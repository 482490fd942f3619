"""What each protocol of a share gets of its rules, and what is in force over both: pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sharectl.drivers.linux.agent.contract import Client, Export, Rule
from sharectl.drivers.linux.agent.nfs import treatment
from sharectl.drivers.linux.agent.nfs.kernel.table import Stored, file_text
from sharectl.drivers.linux.agent.protocols import export_options, joined, offered, parts_of
from sharectl.drivers.linux.agent.rights import ACTIVE, NOTHING, User
from sharectl.drivers.linux.agent.smb.modules import lines_of
from sharectl.model.access import BOTH
from tests.drivers.linux.test_linux_records import SHARE

ROW = replace(
    SHARE, protocol=BOTH, options={"squash": "none", "security": ["sys"], "anonymous": [9, 9], "recycle_bin": {}}
)
KNOWN = {"alice": User("alice")}
ALICE = Rule("user", "alice", "rw")
WIDE, READER = Rule("ip", "10.0.0.0/8", "rw"), Rule("ip", "10.1.0.0/16", "ro")


def test_each_protocol_gets_its_part() -> None:
    """Who may read alone over NFS is kept out over SMB."""
    parts = parts_of(BOTH, [WIDE, READER, ALICE], KNOWN)
    assert parts.clients == {Client("10.0.0.0/8", "rw"), Client("10.1.0.0/16", "ro")}
    assert parts.granted.writers == {"alice"}
    assert "10.0.0.0/16" in parts.granted.networks
    assert not {"10.0.0.0/8", "10.1.0.0/16"} & parts.granted.networks
    assert set(parts.statuses.values()) == {ACTIVE}


@pytest.mark.parametrize(
    "odd",
    [
        Rule("ip", "10.1.0.0/16", "rw", (("squash", "none"),)),
        Rule("ip", "10.1.0.0/16", "rw", (("anonymousGid", "100"),)),
        Rule("ip", "10.1.0.1/16", "none"),
    ],
)
def test_an_address_whose_rule_is_refused_lets_nobody_in_over_either(odd: Rule) -> None:
    """By no wider rule."""
    parts = parts_of(BOTH, [WIDE, odd, ALICE], KNOWN)
    assert parts.clients == frozenset()
    assert parts.granted == NOTHING
    assert {status for status, _ in parts.statuses.values()} == {"error"}


def test_options_that_leave_the_owner_are_taken() -> None:
    """Ports, and what the share has anyway."""
    rule = WIDE._replace(options=(("anonymousUid", "65534"), ("insecure", "true"), ("squash", "all")))
    assert parts_of(BOTH, [rule], {}).statuses == {rule: ACTIVE}


def test_what_both_have_in_force_is_one_set_of_rules() -> None:
    """And where the section is of other address rules, a set that nobody can have asked for."""
    own = ROW.resource_id
    section = (WIDE, READER._replace(access_level="none"), ALICE)
    assert set(joined(ROW, {"NFS": {own: (WIDE, READER)}, "CIFS": {own: section}})) == {WIDE, READER, ALICE}
    assert set(joined(ROW, {"NFS": {own: (WIDE, READER)}, "CIFS": {}})) == {WIDE, READER}
    assert set(joined(ROW, {"NFS": {}, "CIFS": {own: (ALICE,)}})) == {ALICE}
    for exported in ((), (WIDE,), (READER,)):
        found = set(joined(ROW, {"NFS": {own: exported}, "CIFS": {own: section}}))
        assert found > {*exported, ALICE}


def test_its_files_have_one_owner_whatever_its_record_says() -> None:
    """In the words of the kernel's server too; and it has no recycle bin, and no leases."""
    export = Export(7, "/e/5a5a", "/shares/x", frozenset({Client("10.0.0.0/8", "rw")}), **of_row())
    assert "all_squash,anonuid=65534,anongid=65534" in file_text([Stored(export, is_withheld=False)])
    assert offered(ROW).recycle_bin is None
    lines = lines_of(offered(ROW), "/pool/x")
    assert {"oplocks = no", "level2 oplocks = no", "strict locking = yes"} <= set(lines)
    assert lines_of(offered(replace(ROW, protocol="CIFS", options={})), "/pool/x") == []


def of_row() -> dict[str, object]:
    """Return the fields of the share's export that its options stand for."""
    return treatment.of_options(export_options(ROW))
