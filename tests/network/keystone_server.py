"""A real Keystone for tests, with an account for the cloud's administrator and whatever accounts a test makes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from .processes import Service, openstack_python

if TYPE_CHECKING:
    from pathlib import Path

_CONF = """\
[DEFAULT]
log_file = {folder}/keystone.log
use_stderr = False
[database]
connection = sqlite:///{folder}/keystone.sqlite?timeout=30
[identity]
password_hash_rounds = 4
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
"""


class KeystoneServer(Service):
    """Keystone, and what its administrator does."""

    def __init__(self, folder: Path) -> None:
        """Write the configuration, with a new password."""
        self.password = secrets.token_hex(8)
        super().__init__(openstack_python("neutron"), "serve_keystone.py", folder, self.password)
        (folder / "keystone.conf").write_text(_CONF.format(folder=folder))
        self.token = ""

    def start(self) -> None:
        """Start it and log in."""
        super().start()
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        self.ask("POST", "/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
        self.token = self.last_headers["X-Subject-Token"]

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Send a request as the administrator."""
        return self.ask(method, f"/v3{path}", body, X_Auth_Token=self.token)

    def new_service(self, service_type: str, url: str) -> None:
        """Put a service into the catalogue, in the region RegionOne."""
        service = self.api("POST", "/services", {"service": {"type": service_type, "name": service_type}})["service"]
        endpoint = {"service_id": service["id"], "interface": "public", "url": url, "region_id": "RegionOne"}
        self.api("POST", "/endpoints", {"endpoint": endpoint})

    def new_account(self, name: str, role: str) -> str:
        """Make a user and a project of that name, with that role there; return the password."""
        password = secrets.token_hex(8)
        project = self.api("POST", "/projects", {"project": {"name": name}})["project"]["id"]
        user = self.api("POST", "/users", {"user": {"name": name, "password": password}})["user"]["id"]
        (found,) = self.api("GET", f"/roles?name={role}")["roles"]
        self.api("PUT", f"/projects/{project}/users/{user}/roles/{found['id']}")
        return password

    def new_application_credential(self, user: str, password: str) -> tuple[str, str]:
        """Make an application credential of a user of the project of the same name; return its id and secret."""
        domain = {"id": "default"}
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": domain, "password": password}},
        }
        scope = {"project": {"name": user, "domain": domain}}
        token = self.ask("POST", "/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})["token"]
        path = f"/v3/users/{token['user']['id']}/application_credentials"
        headers = {"X_Auth_Token": self.last_headers["X-Subject-Token"]}
        made = self.ask("POST", path, {"application_credential": {"name": "sharectl"}}, **headers)
        return made["application_credential"]["id"], made["application_credential"]["secret"]
