"""How an NFS export treats a client, and what one treatment grants that another does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.rule_options import SECURITY_FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.legacy.exports import ExportOption
    from sharectl.model.access import ExportSettings

NOBODY: Final = 65534
_ID_RANGE: Final = 1 << 32
_LEVELS: Final = ("none", "ro", "rw")
_SQUASHES: Final = ("all", "root", "none")
_SWITCHES: Final[Mapping[str, tuple[str, str | bool]]] = {
    "rw": ("level", "rw"),
    "ro": ("level", "ro"),
    "root_squash": ("squash_root", True),
    "no_root_squash": ("squash_root", False),
    "all_squash": ("squash_all", True),
    "no_all_squash": ("squash_all", False),
    "insecure": ("insecure", True),
    "secure": ("insecure", False),
}
TREATMENT_OPTIONS: Final = frozenset({*_SWITCHES, "sec", "anonuid", "anongid"})
"""The options of exports(5) that a treatment is made of."""


class Treatment(NamedTuple):
    """`security` are the flavours that the client may use, `anonymous` user and group of those whom `squash` turns to nobody.

    The level `none` lets nobody in.
    """

    level: str = "ro"
    squash: str = "root"
    anonymous: tuple[int, int] = (NOBODY, NOBODY)
    security: frozenset[str] = frozenset({"sys"})
    insecure: bool = False

    def beyond(self, other: Treatment) -> tuple[str, ...]:
        """Return the fields in which this one grants what the other does not; none where it is as narrow or narrower."""
        found = ["level"] if _LEVELS.index(self.level) > _LEVELS.index(other.level) else []
        if _SQUASHES.index(self.squash) > _SQUASHES.index(other.squash):
            found.append("squash")
        if self.squash != "none" and self.anonymous not in {other.anonymous, (NOBODY, NOBODY)}:
            found.append("anonymous")
        if self.security - other.security:
            found.append("security")
        if self.insecure and not other.insecure:
            found.append("insecure")
        return tuple(found)

    @property
    def is_sayable(self) -> bool:
        """Tell whether an access rule knows its flavours."""
        return bool(self.security) and self.security.issubset(SECURITY_FLAVOURS)

    def options_beside(self, other: Treatment) -> ExportSettings:
        """Return the options of an access rule that has this treatment where it would have the other one."""
        found = {
            "squash": self.squash if self.squash != other.squash else None,
            "security": ",".join(sorted(self.security, key=SECURITY_FLAVOURS.index))
            if self.security != other.security
            else None,
            "insecure": str(self.insecure).lower() if self.insecure != other.insecure else None,
        }
        for name, mine, others in zip(("anonymousUid", "anonymousGid"), self.anonymous, other.anonymous, strict=True):
            found[name] = str(mine) if mine != others else None
        return tuple(sorted((name, value) for name, value in found.items() if value is not None))


def treatment_of_settings(settings: ExportSettings, level: str) -> Treatment:
    """Return how a share with these settings treats a client with this level; what they do not name is as exports(5) has it."""
    named = dict(settings)
    uid, _, gid = named.get("anonymous", f"{NOBODY}:{NOBODY}").partition(":")
    return Treatment(
        level,
        named.get("squash", "root"),
        (int(named.get("anonymousUid", uid)), int(named.get("anonymousGid", gid))),
        frozenset(named.get("security", "sys").split(",")),
        named.get("insecure") == "true",
    )


def treatment_of_options(options: Iterable[ExportOption]) -> Treatment | None:
    """Return what the options come to for a client that uses `sys`, or for one of its flavours where it may not; None for a number that is none.

    Options after `sec=` are for its flavours. What is said for others alone narrows `sys` too, for exportfs may apply it to both.
    """
    common: dict[str, str | bool] = {"level": "ro", "squash_root": True, "squash_all": False, "insecure": False}
    groups: list[tuple[frozenset[str], dict[str, str | bool]]] = []
    anonymous = {"anonuid": NOBODY, "anongid": NOBODY}
    for option in options:
        if option.name == "sec":
            groups.append((frozenset(option.value.split(":")), {}))
        elif option.name in _SWITCHES:
            name, value = _SWITCHES[option.name]
            where = common if not groups or name == "insecure" else groups[-1][1]
            where[name] = value
        elif option.name in anonymous:
            number = _number(option.value)
            if number is None:
                return None
            anonymous[option.name] = number
    flags = _flags(common, groups)
    squash = "all" if flags["squash_all"] else "root" if flags["squash_root"] else "none"
    flavours = frozenset().union(*(names for names, _ in groups)) if groups else frozenset({"sys"})
    return Treatment(
        str(flags["level"]), squash, (anonymous["anonuid"], anonymous["anongid"]), flavours, bool(flags["insecure"])
    )


def _flags(
    common: dict[str, str | bool], groups: list[tuple[frozenset[str], dict[str, str | bool]]]
) -> dict[str, str | bool]:
    """Return what holds for `sys`: its own group's word, else the narrowest of all."""
    own: dict[str, str | bool] = {}
    for names, flags in groups:
        if "sys" in names or len(groups) == 1:
            own.update(flags)
    found = {**common, **own}
    others = [flags for _, flags in groups]
    if "level" not in own and any(flags.get("level") == "ro" for flags in others):
        found["level"] = "ro"
    for name in ("squash_root", "squash_all"):
        if name not in own and any(flags.get(name) is True for flags in others):
            found[name] = True
    return found


def _number(text: str) -> int | None:
    """Return an id as the kernel takes it: -2 is 4294967294."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or int(digits) >= _ID_RANGE:
        return None
    return int(text) % _ID_RANGE
