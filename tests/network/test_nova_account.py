"""The Nova network plugin with a real Keystone: the catalogue says where Nova is, and Nova trusts Keystone's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from sharectl.network.base import NetworkError
from sharectl.network.testing import new_request

from .keystone_server import KeystoneServer
from .nova_server import NovaServer
from .opening import open_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkPlugin

_AUTHTOKEN = """\
auth_type = password
auth_url = {url}/v3
username = admin
user_domain_id = default
password = {password}
project_name = admin
project_domain_id = default
interface = public
"""


class Cloud(NamedTuple):
    """A Keystone, with an account that is Nova's administrator and one that is not, and a network of the Nova that trusts it."""

    keystone: KeystoneServer
    passwords: dict[str, str]
    subnet: ShareNetworkSubnet


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Start both, once; the catalogue has Nova's address as old clouds have it, with the project."""
    keystone = KeystoneServer(tmp_path_factory.mktemp("keystone"))
    keystone.start()
    try:
        authtoken = _AUTHTOKEN.format(url=keystone.url, password=keystone.password)
        nova = NovaServer(tmp_path_factory.mktemp("nova"), auth_strategy="keystone", authtoken=authtoken)
        nova.start()
        try:
            keystone.new_service("compute", f"{nova.url}/v2.1/%(project_id)s")
            passwords = {
                "storage": keystone.new_account("storage", "admin"),
                "tenant": keystone.new_account("tenant", "member"),
            }
            yield Cloud(keystone, passwords, nova.new_network())
        finally:
            nova.kill()
    finally:
        keystone.kill()


def open_as(cloud: Cloud, user: str, password: str, folder: Path) -> NetworkPlugin:
    """Open a plugin that asks as this user, with the password in a file."""
    (folder / "password").write_text(password)
    auth = {
        "type": "password",
        "url": cloud.keystone.url,
        "username": user,
        "projectName": user,
        "password": {"file": "password"},
    }
    return open_plugin("nova", {"auth": auth}, folder)


def test_an_administrator_finds_nova_in_the_catalogue(cloud: Cloud, tmp_path: Path) -> None:
    """And reserves, lists and gives back there."""
    plugin = open_as(cloud, "storage", cloud.passwords["storage"], tmp_path)
    allocation = plugin.allocate(new_request(cloud.subnet))
    assert list(plugin.list_allocations()) == [allocation]
    plugin.deallocate(allocation.allocation_id, allocation.share_server_id)
    assert list(plugin.list_allocations()) == []
    plugin.close()


def test_a_member_is_told_which_role_is_missing(cloud: Cloud, tmp_path: Path) -> None:
    """For Nova does not show it the VLAN."""
    plugin = open_as(cloud, "tenant", cloud.passwords["tenant"], tmp_path)
    with pytest.raises(NetworkError, match="give the account a role that is Nova's admin"):
        plugin.allocate(new_request(cloud.subnet))
    plugin.close()


def test_a_wrong_password(cloud: Cloud, tmp_path: Path) -> None:
    """Is Keystone's refusal, and is not repeated in the error."""
    plugin = open_as(cloud, "storage", "not-the-password", tmp_path)
    with pytest.raises(NetworkError, match=r"HTTP 401.*correct the account") as refused:
        plugin.allocate(new_request(cloud.subnet))
    assert "not-the-password" not in str(refused.value)
    plugin.close()
