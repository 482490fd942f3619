r"""Export locations taken apart: `HOST:/path` of NFS, `\\HOST\NAME` of SMB."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from sharectl.model.frozen import dataclass
from sharectl.model.specs import Protocol

# A name begins with a letter or a digit, so that no command takes a location for one of its options.
_HOST: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?"
_NFS: Final = re.compile(rf"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>{_HOST})):(?P<path>/.*)")
_SMB: Final = re.compile(rf"\\\\(?:\[?(?P<six>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]?|(?P<host>{_HOST}))\\(?P<path>[^\\/].*)")
IPV6: Final = 6
_LITERAL_SUFFIX: Final = ".ipv6-literal.net"


@dataclass(frozen=True, slots=True)
class Location:
    r"""Where a client finds a share.

    `host` is a name or an address, an IPv6 address without brackets. `path` is what is exported there: of NFS a path from its
    slash on, of SMB the share's name, with forward slashes where a folder under it is meant. `ip_version` is 4 or 6 where the
    host is an address, else None: a name may have both.
    """

    protocol: Protocol
    host: str
    path: str
    ip_version: int | None

    @property
    def source(self) -> str:
        """What mount(8) takes: `HOST:/path` with an IPv6 address in brackets (nfs(5)), `//HOST/NAME` with a bare one (mount.cifs)."""
        if self.protocol is Protocol.CIFS:
            return f"//{self.host}/{self.path}"
        return f"{self.url_host}:{self.path}"

    @property
    def url_host(self) -> str:
        """The host as URLs have it: an IPv6 address in brackets."""
        return f"[{self.host}]" if self.ip_version == IPV6 else self.host

    @property
    def windows_path(self) -> str:
        r"""What Windows takes: `\\HOST\NAME`; an IPv6 address as the name that Windows has for it, since a path there holds no colon."""
        host = self.host.replace(":", "-") + _LITERAL_SUFFIX if self.ip_version == IPV6 else self.host
        return f"\\\\{host}\\{self.path.replace('/', chr(92))}"


def parse_location(protocol: str, text: str) -> Location | None:
    r"""Return the location that a driver reported for a share of `protocol`, or None where nothing can be mounted from it.

    That is a location of another form (a driver may have its own), a host that is neither a name nor an address, and a path with
    characters that do not print, which the tables of clients could not hold.
    """
    if protocol == Protocol.NFS_CIFS:
        protocol = Protocol.CIFS if text.startswith("\\\\") else Protocol.NFS
    pattern = {Protocol.NFS: _NFS, Protocol.CIFS: _SMB}.get(protocol)  # type: ignore[call-overload]
    match = pattern.fullmatch(text) if pattern is not None and text.isprintable() else None
    if match is None:
        return None
    host, ip_version = _host(match["six"] or match["host"])
    if match["six"] and ip_version != IPV6:
        return None
    path = match["path"] if protocol == Protocol.NFS else match["path"].replace("\\", "/")
    return Location(Protocol(protocol), host, path, ip_version)


@lru_cache(maxsize=4096)
def _host(text: str) -> tuple[str, int | None]:
    """Return the host, an address as `ipaddress` prints it, and the version of the address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text, None
    return str(address), address.version
