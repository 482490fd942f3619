"""What an NFS export has to be before it may reach a server's configuration, and how it is noted there for the way back."""

from __future__ import annotations

import json
import os
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import NOBODY, Client, Export, Problem, ProblemKind, Squash
from sharectl.drivers.linux.agent.nfs.clients import canonical_network, prefix_of
from sharectl.drivers.linux.agent.nfs.treatment import problem_of_options
from sharectl.model.client_addresses import nobody_at
from sharectl.model.export_names import problem as problem_of_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SECURITY_FLAVOURS: Final = ("sys", "krb5", "krb5i", "krb5p")
"""How a user may prove who they are, weakest first: the canonical order."""

LEVELS: Final = ("rw", "ro", "none")

MAXIMUM_EXPORT_ID: Final = 65535
"""Ganesha keeps the id in 16 bits; 0 is its own root of the pseudo file system."""

SNAPSHOTS: Final = ".snapshots"
"""Where clients find the snapshots of a share: in a folder of it, on which an export of its own begins."""

DEFINITION: Final = "# sharectl: "
"""What a comment in a server's configuration begins with that holds the export which the next lines were written for."""

_NO_ID: Final = 4294967295
_MAXIMUM_PATH_BYTES: Final = 4095
_PSEUDO_ROOT: Final = "/shares/"
# A quotation mark ends the quoted text in ganesha.conf and exports(5), and a backslash begins an escape in the latter.
_OUT_OF_QUOTES: Final = frozenset('"\\')


def checked(export: Export) -> Export:
    """Return the export in canonical form; raises REFUSED, saying everything that is wrong with it, where no server could hold it."""
    problems = list(_problems(export))
    if problems:
        message = f"this cannot be exported over NFS: {'; '.join(problems)}"
        raise Problem(ProblemKind.REFUSED, message)
    security = canonical_security(export.security)
    return export if security == export.security else replace(export, security=security)


def snapshots_id(export_id: int) -> int | None:
    """Return the id of the export with the snapshots of another; None for one of the upper half, which shares had once."""
    return MAXIMUM_EXPORT_ID + 1 - export_id if export_id <= MAXIMUM_EXPORT_ID // 2 else None


def shows_snapshots(export: Export) -> bool:
    """Tell whether it is one with the snapshots of another: a share that was made long ago may have an id of these."""
    return export.pseudo.removeprefix(_PSEUDO_ROOT).endswith(f"/{SNAPSHOTS}")


def snapshots_export(export: Export, path: str) -> Export:
    """Return the export in which the clients of another find its snapshots: the same clients, who may only read.

    Precondition: the other has a `snapshots_id`.
    """
    number = snapshots_id(export.export_id)
    if number is None:
        raise AssertionError(export.export_id)
    clients = frozenset(client._replace(level="none" if client.level == "none" else "ro") for client in export.clients)
    pseudo = f"{export.pseudo}/{SNAPSHOTS}"
    return replace(export, export_id=number, path=path, pseudo=pseudo, clients=clients)


def canonical_security(flavours: tuple[str, ...]) -> tuple[str, ...]:
    """Return the flavours in one order: a server does not keep the one that they were given in."""
    known = [flavour for flavour in SECURITY_FLAVOURS if flavour in flavours]
    return (*known, *sorted(set(flavours) - set(known)))


def problem_of_path(path: str) -> str | None:
    """Return why a folder of the host cannot stand in a server's configuration, or None."""
    if not path.startswith("/") or os.path.normpath(path) != path or path.startswith("//") or path == "/":
        return f"{path[:80]!r} is not a normalized absolute path"
    is_plain = path.isascii() and path.isprintable()
    if _OUT_OF_QUOTES.intersection(path) or (not is_plain and any(map(_breaks_text, path))):
        return f"the path {path[:80]!r} has a quotation mark, a backslash or a control character, which no export can carry"
    if len(path.encode()) > _MAXIMUM_PATH_BYTES:
        return f"the path is longer than {_MAXIMUM_PATH_BYTES} bytes"
    return None


def _breaks_text(character: str) -> bool:
    """Tell whether a character is a control, a part of no text, or ends a line for somebody."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")


def definition(export: Export) -> str:
    """Return the export as JSON on one line, to be read back by `defined`."""
    return json.dumps(
        {
            "id": export.export_id,
            "path": export.path,
            "pseudo": export.pseudo,
            "clients": [client if client.options else client[:2] for client in sorted(export.clients)],
            "squash": export.squash,
            "security": export.security,
            "insecure": export.insecure,
            "anonymous": export.anonymous,
        }
    )


def defined(line: str) -> Export:
    """Return the export that a comment holds, checked; raises ValueError where it holds none, Problem where nothing may be made of it.

    A client that an older version let in and that is nobody (`0.0.0.0`, which Ganesha takes for everybody) is left out.
    """
    if not line.startswith(DEFINITION):
        message = "the line holds no export"
        raise ValueError(message)
    try:
        fields = json.loads(line.removeprefix(DEFINITION))
        export = Export(
            fields["id"],
            fields["path"],
            fields["pseudo"],
            frozenset(_client(*client) for client in fields["clients"] if nobody_at(client[0]) is None),
            Squash(fields["squash"]),
            tuple(fields["security"]),
            bool(fields.get("insecure", True)),  # as it was before exports could say so
            tuple(fields.get("anonymous", (NOBODY, NOBODY))),
        )
    except (TypeError, KeyError) as error:
        message = "the export lacks something"
        raise ValueError(message) from error
    return checked(export)


def _client(network: str, level: str, options: Iterable[Sequence[str]] = ()) -> Client:
    return Client(network, level, tuple((name, value) for name, value in options))


def _problems(export: Export) -> Iterator[str]:
    if type(export.export_id) is not int or not 1 <= export.export_id <= MAXIMUM_EXPORT_ID:
        yield f"the id {export.export_id!r} is not one of 1 to {MAXIMUM_EXPORT_ID}"
    problem = problem_of_path(export.path)
    if problem is not None:
        yield problem
    root, name = export.pseudo[: len(_PSEUDO_ROOT)], export.pseudo[len(_PSEUDO_ROOT) :]
    wrong = problem_of_name(name, ("NFS",)) if root == _PSEUDO_ROOT else "it is not below /shares"
    if wrong is not None:
        yield f"{export.pseudo[:80]!r} cannot be what clients mount: {wrong}"
    if not isinstance(export.squash, Squash):
        yield f"the squash {str(export.squash)[:20]!r} is not one of {', '.join(Squash)}"
    if not export.security or not set(export.security).issubset(SECURITY_FLAVOURS):
        yield f"the security {export.security!r} is not made of {', '.join(SECURITY_FLAVOURS)}"
    if [type(number) for number in export.anonymous] != [int, int] or not all(
        0 <= i < _NO_ID for i in export.anonymous
    ):
        yield f"{export.anonymous!r} are not the numbers of a user and a group"
    yield from _problems_of_clients(export.clients)


def _problems_of_clients(clients: frozenset[Client]) -> Iterator[str]:
    taken: set[str] = set()
    for network, level, options in sorted(clients):
        prefix = prefix_of(network)
        if prefix is None or canonical_network(network) != network:
            yield f"the client {network[:80]!r} is not an address or network in canonical form"
        elif (nobody := nobody_at(network)) is not None:
            yield f"the client {network} {nobody.why}: {nobody.remedy}"
        if level not in LEVELS:
            yield f"the level {level[:20]!r} of {network[:80]!r} is not rw, ro or none"
        if network in taken:
            yield f"{network[:80]!r} is given two levels"
        taken.add(network)
        if (problem := problem_of_options(options)) is not None:
            yield problem
