"""Say how to write the clients that people know from exports(5), hosts.allow and net masks, as sharectl takes them."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from sharectl.manifests.proposals import NO_VARIABLES, mentions_variable

_FORMS: Final = "write one such as 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32"
_BY_ADDRESS: Final = (
    "clients are known by address alone: an NFS server would trust whatever a name service says at that moment"
)
_HOST_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_*?\[\]-]+(?:\.[A-Za-z0-9_*?\[\]-]+)*\.?")
_DOTTED: Final = re.compile(r"(?:[0-9]{1,3}\.){1,3}(?:[0-9]{1,3}|\*|x)?")
_SHORT_NETWORK: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3}){0,2})\.?/([0-9]{1,2})")
_MOST_NETWORKS: Final = 4


def instead_of_client(text: str) -> str:
    """Return what to write instead of `text`, which is neither an address nor a network of hosts."""
    client = re.sub(r"\([^)]*\)$", "", text.strip()).strip("[]").strip()
    if mentions_variable(text):
        return NO_VARIABLES
    if client.startswith(("@", "&", "+")):
        return f"netgroups and groups are not looked up; {_BY_ADDRESS}; write the addresses or networks of its hosts"
    networks = _networks(client)
    if networks is not None:
        return f"write {networks}"
    if "\\" in client or "@" in client:
        return "for a user, set `type: user` (CIFS)"
    if client and _HOST_NAME.fullmatch(client):
        what = "names with wildcards" if set(client) & set("*?[]") else "host names"
        example = "its network, such as 10.20.0.0/24" if what != "host names" else "its address, such as 10.20.0.5"
        return f"{what} are not resolved; {_BY_ADDRESS}; write {example}, in a rule for each"
    return _FORMS


def _networks(client: str) -> str | None:
    """Return the networks that a client in another notation stands for."""
    for reading in (_with_mask, _shortened, _range):
        try:
            found = reading(client)
        except ValueError:
            continue
        if found:
            return found
    return None


def _with_mask(client: str) -> str:
    """Read `192.168.10.1/255.255.255.0`, and an address that had brackets or options about it."""
    address, slash, _ = client.partition("/")
    network = ipaddress.ip_network(client, strict=False)
    ip = ipaddress.ip_address(address)
    if not slash or network.prefixlen == network.max_prefixlen:
        return str(ip)
    return str(network) if ip == network.network_address else f"{network} for the network, or {ip} for the one host"


def _shortened(client: str) -> str:
    """Read `10.20.`, `10.20.*`, `10.20.x` and `10.20/16`."""
    short = _SHORT_NETWORK.fullmatch(client)
    if short is not None:
        given = short[1].split(".")
        return str(ipaddress.ip_network(f"{'.'.join(given + ['0'] * (4 - len(given)))}/{short[2]}", strict=False))
    if not _DOTTED.fullmatch(client.replace(".*.*", ".*")):
        return ""
    given = [part for part in client.split(".") if part.isdigit()]
    if len(given) == 4:  # noqa: PLR2004 - a whole address, which is none: some part is over 255, or begins with a zero
        return ""
    return str(ipaddress.ip_network(f"{'.'.join(given + ['0'] * (4 - len(given)))}/{8 * len(given)}"))


def _range(client: str) -> str:
    """Read `10.0.0.1-10.0.0.9` and `10.0.0.1-9`."""
    first, dash, last = (part.strip() for part in client.partition("-"))
    if not dash:
        return ""
    if last.isdigit():
        last = f"{first.rpartition('.')[0]}.{last}"
    networks = list(ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)))
    if len(networks) > _MOST_NETWORKS:
        return f"the {len(networks)} networks of this range, from {networks[0]} to {networks[-1]}, each in a rule of its own"
    shown = (str(n.network_address) if n.prefixlen == n.max_prefixlen else str(n) for n in networks)
    return f"{' and '.join(shown)}{', each in a rule of its own' if len(networks) > 1 else ''}"
