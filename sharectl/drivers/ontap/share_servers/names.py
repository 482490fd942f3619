"""Names of what makes up a share server; each tells whose it is, since nothing here but the SVM has a comment."""

from __future__ import annotations

import re
import uuid
from typing import Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.names import OWNER

ROOT_POLICY: Final = f"{OWNER}_root"
"""The export policy of the SVM's root volume: everybody may pass through it, and nobody may write there."""

_SEGMENT: Final = re.compile(rf"{OWNER}_([0-9]{{1,4}})_([0-9a-f]{{32}})")
_LIF: Final = re.compile(rf"{OWNER}_([0-9]{{1,4}})")
_NETBIOS_DIGITS: Final = 12


def digits_of(resource_id: str) -> str:
    """Return the digits of an id. An IPspace's name is in one namespace with those of SVMs, of which the longest has 47 characters."""
    try:
        return uuid.UUID(resource_id).hex
    except ValueError:
        message = f"{resource_id[:80]!r} is not the id of a share server"
        raise DriverError(message) from None


def svm_name(resource_id: str) -> str:
    """Return the name that a new SVM gets; it may be renamed, and is found by its comment."""
    return f"{OWNER}_{digits_of(resource_id)}"


def segment_name(tag: int, resource_id: str) -> str:
    """Return the name of the IPspace of a VLAN, and of its broadcast domain: made with the first share server there, whose id it has."""
    return f"{OWNER}_{tag}_{digits_of(resource_id)}"


def segment_in(name: str) -> tuple[int, str] | None:
    """Return the VLAN and the id of the share server in the name of an IPspace; None where sharectl did not make it."""
    found = _SEGMENT.fullmatch(name)
    return None if found is None else (int(found[1]), str(uuid.UUID(found[2])))


def lif_name(number: int) -> str:
    """Return the name of the LIF for an address of a share server; they are unique within an SVM."""
    return f"{OWNER}_{number}"


def lif_number(name: str) -> int | None:
    """Return the place of the address that a LIF is for; None where sharectl did not make it."""
    found = _LIF.fullmatch(name)
    return None if found is None else int(found[1])


def netbios_name(resource_id: str) -> str:
    """Return the name under which a share server joins an Active Directory, which has room for 15 characters."""
    return f"SC-{digits_of(resource_id)[:_NETBIOS_DIGITS].upper()}"
