"""Shares of both protocols, with a client of each."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.model.access import BOTH, AccessRule
from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.operations_lab import ALICE, BOB, ref
from tests.drivers.linux.smb_client import smb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.observed import ObservedShare
    from sharectl.model.requests import RuleStatus
    from tests.drivers.linux.lab import Host
    from tests.drivers.linux.nfs_client import Answer as NfsAnswer
    from tests.drivers.linux.operations_lab import OperationsLab
    from tests.drivers.linux.smb_client import Answer as SmbAnswer

WRITER = AccessRule("ip", "10.77.1.21", "rw")
READER = AccessRule("ip", "10.77.1.22", "ro")
RULES = (WRITER, READER, ALICE, BOB)
"""`client` writes and `other_client` reads over NFS; over SMB alice writes and bob reads, from `client` alone."""

LIBNFS = {"versions": ["4.0", "4.1", "4.2"]}


class Office:
    """A share of both protocols."""

    def __init__(self, lab: OperationsLab, name: str, *rules: AccessRule, protocol: str = BOTH) -> None:
        """Make it with these rules, or those of RULES."""
        self.lab = lab
        self.share: ObservedShare = lab.share(name, *(rules or RULES), protocol=protocol)

    @property
    def name(self) -> str:
        """The name under which clients find it."""
        return str(self.lab.listed(self.share).export_name)

    @property
    def folder(self) -> Path:
        """Where its data is on the host."""
        return self.lab.volume(self.share)

    @property
    def access(self) -> set[AccessRule]:
        """The rules that are listed."""
        return self.lab.access_of(self.share)

    def allow(self, *rules: AccessRule, protocol: str = BOTH) -> Mapping[AccessRule, RuleStatus]:
        """Make the rules the whole access."""
        return self.lab.driver.update_access(replace(ref(self.share), protocol=protocol), rules, rules, ())

    def nfs(self, *words: str, host: Host | None = None, user: int = 0) -> NfsAnswer:
        """Do something as a client of NFS."""
        who = host or self.lab.network.client
        return nfs(who, self.lab.host.ipv4, f"/shares/{self.name}", *words, user=(0, user))

    def smb(self, commands: str, user: str = "alice", host: Host | None = None) -> SmbAnswer:
        """Run commands of smbclient."""
        who = host or self.lab.network.client
        return smb(who, self.lab.host.ipv4, self.name, user, PASSWORDS[user.upper()], commands)

    def put(self, name: str, text: str, user: str = "alice") -> SmbAnswer:
        """Write a file over SMB."""
        with tempfile.NamedTemporaryFile("w", prefix="smb-put-") as file:
            file.write(text)
            file.flush()
            return self.smb(f'put {file.name} "{name}"', user)

    def get(self, name: str, user: str = "alice") -> str:
        """Return a file as it is read over SMB, or what was said instead."""
        with tempfile.TemporaryDirectory(prefix="smb-get-") as folder:
            path = Path(folder, "got")
            said = self.smb(f'get "{name}" {path}', user)
            return path.read_text(encoding="utf-8") if path.exists() and said.is_ok else said.text
