"""All resources of the array, in the order in which a new array comes to have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.emulators.ontap import (  # noqa: F401 - what is imported registers its operations
    cluster,
    dns,
    fixture_network,
    jobs,
    kerberos,
    layer2,
    ldap,
    lifs,
    local_users,
    name_tables,
    nfs_service,
    ports,
    routes,
    security,
    service_policies,
    subnets,
    svm,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulators.ontap.world import World

SEEDS: Final[tuple[Callable[[World], None], ...]] = (
    cluster.seed,
    security.seed,
    fixture_network.seed_network,
    fixture_network.seed_svm,
)
"""What makes the array of the fixture, each building on those before it."""


def seed(world: World) -> None:
    """Make the array that tests begin with."""
    for each in SEEDS:
        each(world)
