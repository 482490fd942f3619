"""Serve the API of Nova 17 with Nova network from a folder that holds its configuration; run by the Python of Nova's own environment.

`serve_nova.py FOLDER PORT`: writes the port to FOLDER/port once the API answers there. PORT 0 chooses a free one. Without Keystone,
requests come from an administrator, those under /member from somebody else. What Nova's other services would do is asked for under /administrator.
"""

import collections
import collections.abc
import inspect
import json
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

# Nova 17 was written for Python 3.5, whose standard library had these names.
for name in collections.abc.__all__:
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]

import nova.conf  # noqa: E402 - what is above has to come first
import waitress  # noqa: E402 - what is above has to come first
from nova import config, context, objects  # noqa: E402 - what is above has to come first
from nova.db.sqlalchemy import api as database  # noqa: E402 - what is above has to come first
from nova.db.sqlalchemy import api_models, models  # noqa: E402 - what is above has to come first
from nova.network import manager  # noqa: E402 - what is above has to come first
from oslo_service import wsgi  # noqa: E402 - what is above has to come first

CONF = nova.conf.CONF
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Administrator:
    """What the services nova-network and nova-compute do, by their own code where that does not touch this machine's network."""

    def __init__(self) -> None:
        """Act as an administrator."""
        self.context = context.get_admin_context()

    def create_network(
        self,
        *,
        cidr: str | None = None,
        vlan: int | None = None,
        fixed_ips: Iterable[str] = (),
        **more: Any,  # noqa: ANN401 - parts of documents have many types
    ) -> str:
        """Make one network of the cidr, on a VLAN or flat, with further fixed IPs; return its id."""
        kind = "VlanManager" if vlan else "FlatDHCPManager"
        CONF.set_override("network_manager", f"nova.network.manager.{kind}")
        # The constructor of a manager would look for iptables; making networks needs none of what it sets up.
        made = object.__new__(getattr(manager, kind))
        network_id = str(uuid.uuid4())
        made._do_create_networks(
            self.context,
            label="tenant",
            cidr=cidr,
            multi_host=more.pop("multi_host", False),
            num_networks=1,
            network_size=0,
            cidr_v6=more.pop("cidr_v6", None),
            gateway=more.pop("gateway", None),
            gateway_v6=None,
            bridge="br100",
            bridge_interface="eth0",
            enable_dhcp=True,
            share_address=False,
            uuid=network_id,
            vlan=vlan,
            vpn_start=1000,
            ipam=True,
            **more,
        )
        if fixed_ips:
            number = objects.Network.get_by_uuid(self.context, network_id).id
            rows = [{"network_id": number, "address": address, "reserved": False} for address in fixed_ips]
            objects.FixedIPList.bulk_create(self.context, rows)
        return network_id

    def delete_network(self, network_id: str) -> None:
        """Delete a network and its fixed IPs."""
        objects.Network.get_by_uuid(self.context, network_id).destroy()

    def boot_server(self, network_id: str, address: str | None = None) -> str:
        """Give a new server an address of a network, as nova-network does; return the address."""
        network = objects.Network.get_by_uuid(self.context, network_id)
        server = objects.Instance(self.context, project_id="abc123", user_id="admin", host="compute1", hostname="web")
        server.create()
        if address is not None:
            found = objects.FixedIP.associate(self.context, address, server.uuid, network.id)
        else:
            found = objects.FixedIP.associate_pool(self.context, network.id, instance_uuid=server.uuid)
        return str(found.address)

    def start_network_host(self, network_id: str, host: str) -> str:
        """Give a host of a multi-host network an address of its own, as nova-network does; return the address."""
        number = objects.Network.get_by_uuid(self.context, network_id).id
        return str(objects.FixedIP.associate_pool(self.context, number, host=host).address)


def with_administrator(application: Application) -> Application:
    """Return Nova's application with what is said above of tokens and /administrator."""
    administrator = Administrator()

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 - parts of documents have many types
        path = environ["PATH_INFO"]
        if path.startswith("/administrator/"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            result = getattr(administrator, path.rpartition("/")[2])(**json.loads(body))
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(result).encode()]
        user = "admin"
        if path.startswith("/member/"):
            user, environ["PATH_INFO"] = "member", path.removeprefix("/member")
        if CONF.api.auth_strategy == "noauth2":
            environ["HTTP_X_AUTH_TOKEN"] = f"{user}:abc123"
        return application(environ, start_response)

    return serve


def make_tables(folder: Path) -> None:
    """Make the tables from the models: Nova's migrations need more of SQLAlchemy than SQLite has."""
    models.BASE.metadata.create_all(database.get_engine())
    api_models.API_BASE.metadata.create_all(database.get_api_engine())
    for file in ("nova.sqlite", "nova_api.sqlite"):
        with closing(sqlite3.connect(folder / file)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def main() -> None:
    """Make the tables where there are none, and serve until killed."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    config.parse_args(["nova-api", "--config-file", str(folder / "nova.conf")])
    objects.register_all()
    if not (folder / "nova.sqlite").exists():
        make_tables(folder)
    application = with_administrator(wsgi.Loader(CONF).load_app("osapi_compute"))
    # One thread: two transactions of Nova that read before they write are a deadlock for SQLite.
    listener = waitress.create_server(application, host="127.0.0.1", port=port, threads=1)
    temporary = folder / "port.new"
    temporary.write_text(str(listener.effective_port))
    temporary.rename(folder / "port")
    listener.run()


if __name__ == "__main__":
    main()
