"""The grammar of exports(5): exports as the kernel's NFS server is given them, and as its table shows them."""

from __future__ import annotations

import os
import re
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import NOBODY, Client, Export, Squash
from sharectl.drivers.linux.agent.nfs.clients import Line, in_force, ordered, plain_lines, prefix_of
from sharectl.drivers.linux.agent.nfs.exports import DEFINITION, canonical_security, defined, definition
from sharectl.drivers.linux.agent.nfs.treatment import Treatment, as_shown, of_client, of_export
from sharectl.model.precedence import network_of, without

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_HEADER: Final = "# Written by sharectl; a change made here by hand is overwritten.\n"
MOST_PARTS: Final = 4096
_WITHHELD: Final = "# withheld, for its folder is not ready\n"
_FSID_NAMESPACE: Final = uuid.UUID("0b0f2c9e-9d3c-5c0d-8a55-5b1c6d1c7f11")

# exports(5) reads `\ooo` as a byte anywhere; everything that could mean something else is written so.
_OTHER_BYTE: Final = re.compile(rb"[^A-Za-z0-9/._+:@,=~%-]")
_ESCAPED_BYTE: Final = re.compile(rb"\\([0-7]{3})")
_TABLE_LINE: Final = re.compile(r"(?P<path>[^\t]+)\t(?P<client>[^()\s]+)\((?P<options>[^()\s]*)\)")
_SQUASH_MEANINGS: Final = (("all_squash", Squash.ALL), ("no_root_squash", Squash.NONE))
_SQUASH_WORDS: Final = {Squash.NONE: "no_root_squash", Squash.ROOT: "root_squash", Squash.ALL: "all_squash"}


class Stored(NamedTuple):
    """An export in the file, and whether it is withheld from the server."""

    export: Export
    is_withheld: bool


def file_text(stored: Iterable[Stored]) -> str:
    r"""Return the file: a comment with the export, and unless it is withheld or lets nobody in, its line.

    A path without clients would be exported to the whole world. `mountpoint` keeps the server from exporting the folder
    while nothing is mounted on it, as after a reboot. The order of the clients matters: a host goes before a network whatever the order, but of two networks
    the first takes precedence (exports(5), "Machine Name Formats").
    """
    lines = [_HEADER]
    for export, is_withheld in sorted(stored, key=lambda entry: entry.export.export_id):
        lines.append(f"{DEFINITION}{definition(export)}\n")
        if is_withheld:
            lines.append(_WITHHELD)
        elif parts := parts_of(export.clients):
            clients = " ".join(
                f"{client.network}({client.level},{_options(export, client)})" for client in ordered(parts)
            )
            lines.append(f"{escaped_path(export.path)} {clients}\n")
    return "".join(lines)


def stored_exports(text: str) -> dict[int, Stored]:
    """Return what a file of `file_text` holds, by export id; raises ValueError where one of its comments was changed."""
    found: dict[int, Stored] = {}
    lines = text.splitlines(keepends=True)
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(DEFINITION):
            export = defined(line)
            found[export.export_id] = Stored(export, after == _WITHHELD)
    return found


def table_lines(text: str) -> dict[str, list[Line]]:
    """Return the lines of etab by path, in the order in which the server tries them; the file is written by exportfs."""
    hosts: Mapping[str, list[Line]] = defaultdict(list)
    others: Mapping[str, list[Line]] = defaultdict(list)
    for row in text.split("\n"):
        match = _TABLE_LINE.fullmatch(row)
        if match is not None:
            line = _line(match["client"], match["options"].split(","))
            is_host = "/" not in line.network and prefix_of(line.network) is not None
            (hosts if is_host else others)[_plain_path(match["path"])].append(line)
    return {path: [*hosts.get(path, ()), *others.get(path, ())] for path in {*hosts, *others}}


def live_export(stored: Stored, lines: Sequence[Line]) -> Export | None:
    """Return the export as the table shows it; None where it is not in force.

    One without clients has no lines, and is in force unless it is withheld. What no Export can say becomes the level of a client.
    """
    export = stored.export
    if not lines:
        return None if stored.is_withheld or parts_of(export.clients) else export
    shown = as_shown(export)
    if in_force(plain_lines(lines, of_export(export))) == parts_of(shown.clients):
        return export
    own = lines[0].treatment
    clients = in_force(plain_lines(lines, own))
    if own is None:
        return Export(export.export_id, export.path, export.pseudo, clients, insecure=True)
    return Export(export.export_id, export.path, export.pseudo, clients, own.squash or Squash.NONE, *own[1:])


def parts_of(clients: Collection[Client]) -> frozenset[Client]:
    """Return the clients that say the same without one that is kept out, for which exports(5) has no words: networks are cut into what is left."""
    if all(client.level != "none" for client in clients):
        return frozenset(clients)
    networks = {network: client for client in clients if (network := network_of(client.network)) is not None}
    holes = [network for network, client in networks.items() if client.level == "none"]
    found: set[Client] = set()
    for network, client in networks.items():
        if client.level == "none":
            continue
        is_cut = any(hole.is_within(network) for hole in holes)
        others = [other for other in networks if other != network] if is_cut else []
        found.update(client._replace(network=str(part)) for part in without(network, others))
    return frozenset(found)


def problem_of_parts(clients: Collection[Client]) -> str | None:
    """Return why the server cannot be given so many clients as these come to, None where it can: it looks through all of them."""
    count = len(parts_of(clients)) if any(client.level == "none" for client in clients) else 0
    if count <= MOST_PARTS:
        return None
    return f"without those that are kept out, the networks come to {count} parts, and the kernel's NFS server is given {MOST_PARTS} at most"


def escaped_path(path: str) -> str:
    """Return the path as one word of exports(5)."""
    return _OTHER_BYTE.sub(lambda match: b"\\%03o" % match[0][0], os.fsencode(path)).decode("ascii")


def _plain_path(word: str) -> str:
    return os.fsdecode(_ESCAPED_BYTE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), os.fsencode(word)))


def _options(export: Export, client: Client) -> str:
    treatment = of_client(export, client)
    squash, security = _SQUASH_WORDS[treatment.squash or Squash.ALL], ":".join(treatment.security)
    fsid = uuid.uuid5(
        _FSID_NAMESPACE, export.path
    )  # a bind mount has no device by which the kernel could tell it from others
    ports, (uid, gid) = "insecure" if treatment.insecure else "secure", treatment.anonymous
    return f"sync,no_subtree_check,{ports},{squash},anonuid={uid},anongid={gid},sec={security},mountpoint,fsid={fsid}"


def _line(client: str, options: Sequence[str]) -> Line:
    squash = next((meaning for word, meaning in _SQUASH_MEANINGS if word in options), Squash.ROOT)
    flavours = [flavour for option in options if option.startswith("sec=") for flavour in option[4:].split(":")]
    level = next((option for option in options if option in ("rw", "ro")), "ro")
    uid, gid = (_number(options, name) for name in ("anonuid", "anongid"))
    return Line(
        client, level, Treatment(squash, canonical_security(tuple(flavours)), "insecure" in options, (uid, gid))
    )


def _number(options: Sequence[str], name: str) -> int:
    """Return the value of an option, nobody's number where it is not there."""
    found = [option.partition("=")[2] for option in options if option.startswith(f"{name}=")]
    return int(found[-1]) if found and found[-1].isdecimal() else NOBODY
