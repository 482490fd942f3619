"""All resources of the array, in the order in which a new array comes to have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import (  # noqa: F401 - what is imported registers its operations
    cifs_service,
    cluster,
    command_line,
    counters,
    dns,
    empty,
    first_svm,
    fixture_network,
    jobs,
    kerberos,
    layer2,
    ldap,
    licenses,
    lifs,
    local_users,
    logins,
    luns,
    name_tables,
    nfs_service,
    ports,
    routes,
    schedules,
    security,
    service_policies,
    storage,
    subnets,
    svm,
    svm_life,
)
from tests.emulators.ontap.tunnel import svm_uuid

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulators.ontap.world import World


def _svm_logins(world: World) -> None:
    """Give the SVM of the fixture its accounts."""
    found = svm_uuid(world, "vs1")
    if found is not None:
        logins.seed_svm(world, found)


SEEDS: Final[tuple[Callable[[World], None], ...]] = (
    cluster.seed,
    logins.seed,
    licenses.seed,
    storage.seed,
    fixture_network.seed_network,
    fixture_network.seed_svm,
    _svm_logins,
    first_svm.seed,
    cifs_service.seed,
)
"""What makes the array of the fixture, each building on those before it."""


def seed(world: World) -> None:
    """Make the array that tests begin with."""
    for each in SEEDS:
        each(world)
