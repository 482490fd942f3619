"""How an export treats those who are let in: as the records of shares keep it, as an export has it, and as the driver is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import NOBODY, Squash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.contract import Client, Export, Options

# What held for every export before the records had these.
_BEFORE: Final[Mapping[str, Any]] = {"insecure": True, "anonymous": (NOBODY, NOBODY)}


_NO_ID: Final = 4294967295
_FLAVOURS: Final = ("sys", "krb5", "krb5i", "krb5p")


class Treatment(NamedTuple):
    """What a line of an export says besides its level, as an Export has it; no squash for one that Squash has no word for."""

    squash: Squash | None
    security: tuple[str, ...]
    insecure: bool
    anonymous: tuple[int, int]


def of_export(export: Export) -> Treatment:
    """Return how the export treats clients without options of their own."""
    return Treatment(export.squash, export.security, export.insecure, export.anonymous)


def of_client(export: Export, client: Client) -> Treatment:
    """Return how the export treats one of its clients. Precondition: `problem_of_options` finds none."""
    own, options = of_export(export), dict(client.options)
    if not options:
        return own
    uid, gid = own.anonymous
    security = own.security
    if "security" in options:
        asked = options["security"].split(",")
        security = tuple(flavour for flavour in _FLAVOURS if flavour in asked)
    return Treatment(
        Squash(options["squash"]) if "squash" in options else own.squash,
        security,
        options["insecure"] == "true" if "insecure" in options else own.insecure,
        (int(options.get("anonymousUid", uid)), int(options.get("anonymousGid", gid))),
    )


def differences(own: Treatment, other: Treatment) -> Options:
    """Return the options, by name, by which a client is treated otherwise than the export says."""
    found = []
    for number, name in enumerate(("anonymousUid", "anonymousGid")):
        if own.anonymous[number] != other.anonymous[number]:
            found.append((name, str(other.anonymous[number])))
    if own.insecure != other.insecure:
        found.append(("insecure", "true" if other.insecure else "false"))
    if own.security != other.security:
        found.append(("security", ",".join(other.security)))
    if own.squash != other.squash:
        found.append(("squash", str(other.squash)))
    return tuple(sorted(found))


def as_shown(export: Export) -> Export:
    """Return the export as its server shows it: without options that say what the export says, or that a client has who is kept out."""
    if not any(client.options for client in export.clients):
        return export
    own = of_export(export)
    clients = (
        client._replace(options=() if client.level == "none" else differences(own, of_client(export, client)))
        for client in export.clients
    )
    return replace(export, clients=frozenset(clients))


def problem_of_options(options: Options) -> str | None:
    """Return what is wrong with the options of a client, None where nothing is."""
    known = {"squash": tuple(Squash), "insecure": ("true", "false")}
    for name, value in options:
        if name in {"anonymousUid", "anonymousGid"}:
            fits = value.isascii() and value.isdecimal() and len(value) <= len(str(_NO_ID)) and int(value) < _NO_ID
        elif name == "security":
            fits = set(_FLAVOURS).issuperset(value.split(","))
        else:
            fits = value in known.get(name, ())
        if not fits:
            return f"an NFS export has no option {name[:20]} {value[:40]!r}"
    return None


def of_settings(nfs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a share has unless it was asked for with others, as records keep them."""
    return {
        "squash": nfs["squash"],
        "security": list(nfs["security"]),
        "insecure": nfs["insecure"],
        "anonymous": list(nfs["anonymous"]),
        "snapshots": bool(nfs.get("snapshots")),
    }


def of_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an Export that a share's options stand for."""
    whole = {**_BEFORE, **options}
    return {
        "squash": Squash(whole["squash"]),
        "security": tuple(whole["security"]),
        "insecure": bool(whole["insecure"]),
        "anonymous": (whole["anonymous"][0], whole["anonymous"][1]),
    }


def is_treated_so(export: Export, options: Mapping[str, Any]) -> bool:
    """Tell whether a live export treats its clients as the options say."""
    return all(getattr(export, name) == value for name, value in of_options(options).items())


def told(options: Mapping[str, Any]) -> dict[str, str]:
    """Return options as the driver tells them: a text for each setting of an export."""
    fields = of_options(options)
    uid, gid = fields["anonymous"]
    return {
        "anonymous": f"{uid}:{gid}",
        "insecure": "true" if fields["insecure"] else "false",
        "security": ",".join(fields["security"]),
        "squash": str(fields["squash"]),
        **({"snapshots": "true"} if options.get("snapshots") else {}),
    }


def untold(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that settings stand for; what they do not name is left out. The inverse of `told`."""
    options: dict[str, Any] = {"squash": settings["squash"]} if "squash" in settings else {}
    if "snapshots" in settings:
        options["snapshots"] = settings["snapshots"] == "true"
    if "security" in settings:
        options["security"] = settings["security"].split(",")
    if "insecure" in settings:
        options["insecure"] = settings["insecure"] == "true"
    if "anonymous" in settings:
        options["anonymous"] = [int(number) for number in settings["anonymous"].split(":")]
    return options
