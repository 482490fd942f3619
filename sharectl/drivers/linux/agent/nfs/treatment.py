"""How an export treats those who are let in: as the records of shares keep it, as an export has it, and as the driver is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import NOBODY, Squash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.contract import Export

# What held for every export before the records had these.
_BEFORE: Final[Mapping[str, Any]] = {"insecure": True, "anonymous": (NOBODY, NOBODY)}


def of_settings(nfs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a share has unless it was asked for with others, as records keep them."""
    return {
        "squash": nfs["squash"],
        "security": list(nfs["security"]),
        "insecure": nfs["insecure"],
        "anonymous": list(nfs["anonymous"]),
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
    }


def untold(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that settings stand for; what they do not name is left out. The inverse of `told`."""
    options: dict[str, Any] = {"squash": settings["squash"]} if "squash" in settings else {}
    if "security" in settings:
        options["security"] = settings["security"].split(",")
    if "insecure" in settings:
        options["insecure"] = settings["insecure"] == "true"
    if "anonymous" in settings:
        options["anonymous"] = [int(number) for number in settings["anonymous"].split(":")]
    return options
