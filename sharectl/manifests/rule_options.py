"""The NFS options of an access rule: as a manifest writes them, and as the texts that a rule holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import OF_CLIENTS, AccessLevel
from sharectl.model.specs import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.manifests.findings import Checker
    from sharectl.model.access import ExportSettings
    from sharectl.model.canonical import JsonObject

OPTIONS: Final = ("squash", "anonymousUid", "anonymousGid", "security", "insecure")
"""The fields of a rule that say how an NFS export treats the client."""

SQUASHES: Final = ("none", "root", "all")
SECURITY_FLAVOURS: Final = ("sys", "krb5", "krb5i", "krb5p")
_LARGEST_ID: Final = 4294967294
_WHOLE: Final = "what an SMB server asks of its clients is said for the whole backend (smb.signing, smb.encryption of the linux driver)"


def options_in(rule: JsonObject) -> dict[str, str]:
    """Return the options that a rule of a manifest gives, as texts."""
    if rule.keys().isdisjoint(OPTIONS):
        return {}
    return {name: _WRITERS[name](rule[name]) for name in OPTIONS if name in rule}


def written_options(options: ExportSettings) -> JsonObject:
    """Return options as a manifest writes them. Raises ValueError where no manifest can hold them."""
    return {name: _reader(name)(value) for name, value in sorted(options, key=lambda option: _order(option[0]))}


def check_options(rule: JsonObject, protocol: str | None, checker: Checker, *path: str | int) -> dict[str, str]:
    """Return the options of a rule, none of one that can have none, which is reported; `protocol` is None where it is not known."""
    options = options_in(rule)
    if not options:
        return options
    first = next(iter(options))
    if rule["type"] not in OF_CLIENTS:
        summary = f"a rule of type {rule['type']} has no `{first}`, which is an option of NFS clients"
        checker.add("access-option", summary, f"remove it; {_WHOLE}", *path, first)
    elif rule["level"] == AccessLevel.NONE:
        summary = f"a rule that shuts its client out has no `{first}`"
        checker.add(
            "access-option", summary, "remove it, or let the client in (`level: ro` or `level: rw`)", *path, first
        )
    elif protocol == Protocol.CIFS:
        add_options_on_cifs(first, checker, *path)
    else:
        return options
    return {}


def add_options_on_cifs(name: str, checker: Checker, *path: str | int) -> None:
    """Record that a rule of a CIFS share has an option of NFS."""
    summary = f"an SMB server knows no `{name}` of a client: that is an option of NFS exports"
    checker.add("access-option", summary, f"remove it; {_WHOLE}", *path, name)


def _number(value: str) -> int:
    number = int(value)
    if not 0 <= number <= _LARGEST_ID or str(number) != value:
        raise ValueError(value)
    return number


def _flavours(value: str) -> list[str]:
    flavours = value.split(",")
    if any(flavour not in SECURITY_FLAVOURS for flavour in flavours):
        raise ValueError(value)
    return flavours


def _word(value: str) -> str:
    if value not in SQUASHES:
        raise ValueError(value)
    return value


def _boolean(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError(value)
    return value == "true"


def _order(name: str) -> int:
    return OPTIONS.index(name) if name in OPTIONS else len(OPTIONS)


def _reader(name: str) -> Callable[[str], Any]:
    if name not in _READERS:
        raise ValueError(name)
    return _READERS[name]


_WRITERS: Final[Mapping[str, Callable[[Any], str]]] = {
    "squash": str,
    "anonymousUid": str,
    "anonymousGid": str,
    "security": lambda flavours: ",".join(flavour for flavour in SECURITY_FLAVOURS if flavour in flavours),
    "insecure": lambda value: "true" if value else "false",
}
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "squash": _word,
    "anonymousUid": _number,
    "anonymousGid": _number,
    "security": _flavours,
    "insecure": _boolean,
}
