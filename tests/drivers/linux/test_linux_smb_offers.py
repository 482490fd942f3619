"""All that an SMB share can offer, at once: each does what it does alone."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.operations_lab import ALICE, MIB, new_id, ref
from tests.drivers.linux.samba_lab import need_samba_modules
from tests.drivers.linux.smb_client import listed, smb

if TYPE_CHECKING:
    from pathlib import Path

    from tests.drivers.linux.operations_lab import OperationsLab


def test_everything_works_with_everything(own_backend: OperationsLab, tmp_path: Path) -> None:
    """Previous versions, the bin, what Macs keep beside a file, the size of the share, and the list of shares."""
    need_samba_modules()
    users = {"alice": {"password": {"env": "ALICE"}}}
    offered = {"recycleBin": {}, "previousVersions": True, "macos": True, "browsing": True}
    driver = own_backend.open(smb={"users": users, **offered})
    driver.prepare()
    share = driver.create_share(own_backend.request("office", "CIFS"))
    driver.update_access(ref(share), [ALICE], [], [])
    (seen,) = driver.list_shares()
    assert seen.access == (ALICE,)

    def do(commands: str) -> str:
        return smb(
            own_backend.network.client, own_backend.host.ipv4, "office", "alice", PASSWORDS["ALICE"], commands
        ).text

    fork = tmp_path / "fork"
    fork.write_bytes(os.urandom(50_000))
    said = do(f'put client.conf f; put {fork} "f:AFP_Resource"; ls')
    assert f"{16 * MIB // 1024} blocks of size 1024." in said
    driver.create_snapshot(ref(share), new_id(), "monday")
    do("del f")
    assert (own_backend.volume(share) / ".recycle/f").is_file()
    tokens = re.findall(r"^@GMT-[0-9.-]+$", do("mkdir d; allinfo .recycle"), re.MULTILINE) or re.findall(
        r"^@GMT-[0-9.-]+$", do("put client.conf f; allinfo f"), re.MULTILINE
    )
    assert len(tokens) == 1
    said = do(f'get "{tokens[0]}\\f" {tmp_path}/old')
    assert (tmp_path / "old").stat().st_size > 0, said
    said = do(f'get ".recycle/f:AFP_Resource" {tmp_path}/kept')
    assert (tmp_path / "kept").read_bytes() == fork.read_bytes(), said
    client, address = own_backend.network.client, own_backend.host.ipv4
    assert listed(client, address, "alice", PASSWORDS["ALICE"]) == {"office"}
