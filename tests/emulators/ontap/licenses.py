"""Licences and key managers: what the array is allowed, and able, to do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.operations import Call, Done, Outcome, Row, operation, rows
from tests.emulators.ontap.world import Record, World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject

LICENSE_MISSING: Final = 1115127
PACKAGES: Final = ("base", "nfs", "cifs", "snaprestore", "flexclone", "snapmirror", "volume_encryption")


@dataclass(frozen=True, slots=True, kw_only=True)
class License(Record):
    """A package that is licensed."""

    name: str

    @property
    def key(self) -> str:
        """Packages are known by name."""
        return self.name


def seed(world: World) -> None:
    """License everything."""
    for name in PACKAGES:
        world[License].put(License(uuid="", name=name))


def demand_license(world: World, package: str) -> None:
    """Refuse what needs a package that is not licensed."""
    if package not in world[License]:
        raise Refused(LICENSE_MISSING, f'The license for "{package}" is missing.')


@rows("license_package")
def packages(world: World) -> Iterable[Row]:
    """Show the packages."""
    for name in PACKAGES:
        yield Row({"name": name}, partial(_shown, world, name))


def _shown(world: World, name: str) -> JsonObject:
    state = "compliant" if name in world[License] else "unlicensed"
    return {"name": name, "scope": "site" if name == "base" else "node", "state": state}


@operation("DELETE /cluster/licensing/licenses/{name}")
def delete_license(world: World, call: Call) -> Outcome:
    """Take a licence away."""
    world[License].remove(call.keys["name"])
    return Done()


@rows("/security/key-managers")
def key_managers(world: World) -> Iterable[Row]:
    """Show the onboard key manager, where volumes can be encrypted."""
    if "volume_encryption" in world[License]:
        yield Row({"uuid": "8c6d1f5e-0f6a-4c39-9d1b-4f4f4f4f4f4f"}, _key_manager_shown)


def _key_manager_shown() -> JsonObject:
    return {
        "uuid": "8c6d1f5e-0f6a-4c39-9d1b-4f4f4f4f4f4f",
        "scope": "cluster",
        "onboard": {"enabled": True},
        "volume_encryption": {"supported": True, "message": "", "code": "0"},
    }
