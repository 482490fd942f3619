"""Share servers of the ontap driver on an emulated array, without a driver around them."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sharectl.drivers.ontap.client import Array
from sharectl.drivers.ontap.settings import ArraySettings
from sharectl.drivers.ontap.share_servers.servers import ShareServers
from sharectl.drivers.ontap.share_servers.settings import Home, ShareServerSettings
from sharectl.drivers.ontap.share_servers.svm import Patience
from sharectl.model.backends import BackendSpec
from sharectl.model.networks import NetworkAllocation
from sharectl.model.requests import ShareServerRef, ShareServerRequest
from sharectl.model.share_networks import SecurityServiceSpec

if TYPE_CHECKING:
    from sharectl.model.observed import ObservedShareServer
    from tests.emulators.ontap.server import Emulator

HOMES = (Home("n1", "e0d"), Home("n2", "e0d"))
ACCOUNT = "sharectl-servers"
"""May do what share servers need and no more."""
SETTINGS = ShareServerSettings(HOMES)
SECRETS = {"admin": "Netapp1!", "joiner": "Secret-2", "wrong": "nonsense"}


def quickly(seconds: float) -> None:
    """Wait for what the emulated array does, whose time passes twenty times as fast as ours."""
    time.sleep(seconds / 20)


def array_of(emulator: Emulator, account: str = "admin") -> Array:
    """Return a client of the emulator, logged in as the administrator of the cluster."""
    login = emulator.login_of(account)
    settings = ArraySettings(
        "127.0.0.1", emulator.port, ca_file=str(emulator.ca_file), user=login.name, password={"env": "admin"}
    )
    secrets = {**SECRETS, "admin": login.password}
    return Array(settings, lambda reference: secrets[reference["env"]], sleep=quickly)


def backend_of(emulator: Emulator, **config: Any) -> BackendSpec:  # noqa: ANN401 - any setting
    """Return a backend with share servers on the emulator."""
    own = {
        "address": "127.0.0.1",
        "port": emulator.port,
        "caFile": str(emulator.ca_file),
        "user": ACCOUNT,
        "password": {"env": "admin"},
        "shareServers": {"homes": [{"node": home.node, "port": home.port} for home in HOMES]},
    }
    return BackendSpec("arrays", "ontap", {**own, **config}, share_servers=True)


def servers_of(emulator: Emulator, **settings: Any) -> ShareServers:  # noqa: ANN401 - any setting
    """Return the share servers of a backend there, as another process would open it."""
    return ShareServers(
        array_of(emulator, ACCOUNT),
        replace(SETTINGS, **settings),
        lambda reference: SECRETS[reference["env"]],
        Patience(20.0, sleep=quickly),
    )


def new_request(
    *services: SecurityServiceSpec,
    number: int = 0,
    tag: int | None = 1010,
    count: int = 2,
    family: int = 4,
    mtu: int = 1500,
) -> ShareServerRequest:
    """Return a request for a share server on a VLAN, or on a flat network where `tag` is None."""
    server = str(uuid.uuid4())
    prefix, cidr, gateway = (
        ("10.9.0.", "10.9.0.0/24", "10.9.0.1") if family == 4 else ("fd09::", "fd09::/64", "fd09::1")
    )
    allocations = tuple(
        NetworkAllocation(
            f"{server}/{place}",
            server,
            f"{prefix}{10 + 10 * number + place}",
            family,
            cidr,
            gateway,
            "flat" if tag is None else "vlan",
            tag,
            mtu,
        )
        for place in range(count)
    )
    return ShareServerRequest(server, f"red{number}-default", f"red{number}", allocations, services)


def ref_of(request: ShareServerRequest, server: ObservedShareServer | None = None) -> ShareServerRef:
    """Return the server as the state would know it: with all, once it was made."""
    if server is None:
        return ShareServerRef(request.resource_id, "", request.name, (), request.security_services)
    return ShareServerRef(
        request.resource_id, server.backend_id, server.name, request.allocations, request.security_services
    )


def domain(name: str = "ad", **config: Any) -> SecurityServiceSpec:  # noqa: ANN401 - the config of a service
    """Return the Active Directory that the emulator knows."""
    known = {
        "domain": "example.com",
        "dns_ip": "10.0.0.2",
        "user": "joiner",
        "password": {"env": "joiner"},
    }
    return SecurityServiceSpec(name, "active_directory", {**known, **config})
