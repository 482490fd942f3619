"""What happens to an array behind its clients' backs: a node fails, room is taken, an administrator is at work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap import foreign, schedules
from tests.emulators.ontap.cluster import Node, node_named
from tests.emulators.ontap.internal import perform
from tests.emulators.ontap.licenses import License
from tests.emulators.ontap.logins import Account, role_of
from tests.emulators.ontap.security import deny
from tests.emulators.ontap.surroundings import directory_of, set_directory
from tests.emulators.ontap.tunnel import svm_uuid
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World


def take_space(world: World, aggregate: str, size: int) -> None:
    """Let somebody else take room in an aggregate; a negative size gives it back."""
    world.taken_bytes[aggregate] = world.taken_bytes.get(aggregate, 0) + size


def node_down(world: World, node: str) -> None:
    """Let a node fail: its partner takes over what it serves."""
    _set_node(world, node, up=False)


def node_up(world: World, node: str) -> None:
    """Let a node come back."""
    _set_node(world, node, up=True)


def _set_node(world: World, name: str, *, up: bool) -> None:
    found = node_named(world, name)
    assert found is not None, f"no node {name}"
    world[Node].change(found.uuid, up=up)


def svm_state(world: World, svm: str, state: str) -> None:
    """Start or stop an SVM (`running`, `stopped`)."""
    perform(world, "PATCH /svm/svms/{uuid}", {"state": state}, keys={"uuid": str(svm_uuid(world, svm))})


def deny_path(world: World, account: str, path: str, access: str = "none") -> None:
    """Take a path from the role of an account, or leave it less access there."""
    found = next(each for each in world[Account] if each.name == account)
    role = role_of(world, found.owner, found.role)
    assert role is not None
    deny(world, role.owner, role.name, path, access)


def remove_license(world: World, package: str) -> None:
    """Take a licence away (`snaprestore`, `cifs`, `volume_encryption`)."""
    world[License].remove(package)


def forget_account(world: World, account: str) -> None:
    """Let the directory know an account no more (`bob`, as it stands in its domain)."""
    directory = directory_of(world)
    for domain in directory.domains:
        known = tuple(each for each in domain.accounts if each.name.lower() != account.lower())
        directory = directory.with_domain(dataclasses.replace(domain, accounts=known))
    set_directory(world, directory)


def domain_answers(world: World, fqdn: str, *, answers: bool) -> None:
    """Let the controllers of a domain be silent, or answer again."""
    domain = directory_of(world).domain(fqdn)
    assert domain is not None, f"no domain {fqdn}"
    set_directory(world, directory_of(world).with_domain(dataclasses.replace(domain, is_answering=answers)))


def write(world: World, volume: str, data: int | None = None, snapshots: int | None = None) -> None:
    """Let clients write: what a volume's files use from then on, and what its snapshots hold beside them, in bytes."""
    found = world[Volume].where(name=volume, deleted_at=None)[0]
    figures = {"data": data, "snapshot_data": snapshots}
    world[Volume].change(found.uuid, **{name: value for name, value in figures.items() if value is not None})


def add_foreign_volumes(world: World) -> None:
    """Let others make volumes in vs1, each odd in its own way (foreign.py)."""
    foreign.add(world)


def skew_clock(world: World, seconds: float) -> None:
    """Let the array's dates be wrong."""
    world.clock.skew_seconds = seconds


def restart(world: World, seconds: float = 60.0) -> None:
    """Let the management gateway restart: for so long it has no answer that is JSON."""
    world.fault("unavailable", status=503, json=False, for_seconds=seconds)


def remove_schedule(world: World, schedule: str) -> None:
    """Remove a schedule of the cluster that no policy names."""
    found = schedules.named(world, schedule)
    if found is not None:
        perform(world, "DELETE /cluster/schedules/{uuid}", {}, keys={"uuid": found.uuid})


Change = Callable[..., None]
CHANGES: Final[dict[str, Change]] = {
    each.__name__: each
    for each in (
        *(take_space, node_down, node_up, svm_state, deny_path, remove_license),
        *(forget_account, domain_answers, write, add_foreign_volumes, skew_clock, restart, remove_schedule),
    )
}


def change(world: World, name: str, **values: Any) -> None:  # noqa: ANN401 - of any change
    """Let one of them happen."""
    with world.lock:
        CHANGES[name](world, **values)
