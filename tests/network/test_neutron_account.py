"""How the Neutron plugin proves who it is: a real Keystone, its catalogue, clouds.yaml, and everything that can be wrong with them."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from sharectl.network.base import NetworkError, NetworkUnavailableError
from sharectl.network.testing import new_request

from .keystone_server import KeystoneServer
from .neutron_server import NeutronServer
from .opening import open_plugin
from .proxy import FaultyProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkPlugin

    PluginMaker = Callable[..., NetworkPlugin]

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
    """A Keystone and a Neutron that trusts it, with an account that may do all, and one that may not see segments."""

    keystone: KeystoneServer
    neutron: NeutronServer
    passwords: dict[str, str]
    subnet: ShareNetworkSubnet


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Start both, once."""
    keystone = KeystoneServer(tmp_path_factory.mktemp("keystone"))
    keystone.start()
    try:
        authtoken = _AUTHTOKEN.format(url=keystone.url, password=keystone.password)
        neutron = NeutronServer(tmp_path_factory.mktemp("neutron"), auth_strategy="keystone", authtoken=authtoken)
        neutron.start()
        try:
            neutron.headers = {"X_Auth_Token": keystone.token}
            keystone.new_service("network", neutron.url)
            passwords = {
                "storage": keystone.new_account("storage", "admin"),
                "tenant": keystone.new_account("tenant", "member"),
            }
            subnet = neutron.new_subnet(neutron.new_network(shared=True))
            yield Cloud(keystone, neutron, passwords, subnet)
        finally:
            neutron.kill()
    finally:
        keystone.kill()


@pytest.fixture
def make_plugin(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginMaker]:
    """Open plugins with an account's password in a file."""
    opened = []

    def make(user: str = "storage", *, auth: dict[str, Any] | None = None, **config: Any) -> NetworkPlugin:  # noqa: ANN401 - parts of documents have many types
        (tmp_path / "password").write_text(cloud.passwords[user] + "\n")
        account = {
            "type": "password",
            "url": cloud.keystone.url,
            "username": user,
            "projectName": user,
            "password": {"file": "password"},
            **(auth or {}),
        }
        opened.append(open_plugin("neutron", {"auth": account, **config}, tmp_path))
        return opened[-1]

    # Whatever account the shell has is not the backend's.
    monkeypatch.setenv("OS_CLOUD", "elsewhere")
    monkeypatch.setenv("OS_USERNAME", "somebody")
    monkeypatch.setenv("OS_AUTH_URL", "http://elsewhere.invalid")
    yield make
    for plugin in opened:
        plugin.close()


def test_an_account_with_a_password(cloud: Cloud, make_plugin: PluginMaker) -> None:
    """Neutron is found in the catalogue; the port is the account's project's."""
    plugin = make_plugin(region="RegionOne")
    request = new_request(cloud.subnet)
    allocation = plugin.allocate(request)
    assert list(plugin.check(cloud.subnet)) == []
    assert list(plugin.list_allocations()) == [allocation]
    plugin.deallocate(request.allocation_id, request.share_server_id)
    assert cloud.neutron.ports_on(cloud.subnet) == []


def test_an_application_credential(cloud: Cloud, make_plugin: PluginMaker, tmp_path: Path) -> None:
    """Works as well."""
    identifier, secret = cloud.keystone.new_application_credential("storage", cloud.passwords["storage"])
    (tmp_path / "secret").write_text(secret)
    auth = {
        "type": "applicationCredential",
        "url": f"{cloud.keystone.url}/v3/",
        "applicationCredentialId": identifier,
        "applicationCredentialSecret": {"file": "secret"},
    }
    plugin = open_plugin("neutron", {"auth": auth}, tmp_path)
    assert list(plugin.list_allocations()) == []
    plugin.close()


def test_clouds_yaml(cloud: Cloud, tmp_path: Path) -> None:
    """The account can be described where other tools of the cloud read it."""
    plugin = _open_by_clouds_yaml(tmp_path, cloud.keystone.url, f"password: {cloud.passwords['storage']}")
    assert list(plugin.check(cloud.subnet)) == []
    plugin.close()


@pytest.mark.parametrize(
    ("cloud_name", "port", "password", "kind", "words"),
    [
        ("staging", 0, "password: x", NetworkError, "Cloud staging was not found.*clouds.yaml"),
        ("production", 0, "", NetworkError, "password is a required attribute; correct the backend's network config"),
        ("production", 1, "password: x", NetworkUnavailableError, "Connection refused"),
    ],
)
def test_a_clouds_yaml_that_cannot_be_used(  # noqa: PLR0913, PLR0917 - a case has as many parts
    cloud: Cloud, tmp_path: Path, cloud_name: str, port: int, password: str, kind: type[NetworkError], words: str
) -> None:
    """The cloud is not in it, something is missing, nobody answers at its address."""
    url = f"http://127.0.0.1:{port or cloud.keystone.port}"
    plugin = _open_by_clouds_yaml(tmp_path, url, password, cloud_name)
    with pytest.raises(kind, match=words):
        plugin.list_allocations()
    plugin.close()


def test_a_cloud_without_authentication_and_catalogue(tmp_path: Path) -> None:
    """Needs an address."""
    (tmp_path / "clouds.yaml").write_text("clouds: {production: {auth_type: none}}\n")
    plugin = open_plugin("neutron", {"cloud": "production", "cloudsFile": "clouds.yaml"}, tmp_path)
    with pytest.raises(
        NetworkError, match=r"no public endpoint of Neutron .network.; correct region or interface, or write endpoint"
    ):
        plugin.list_allocations()


def _open_by_clouds_yaml(folder: Path, url: str, password: str, cloud_name: str = "production") -> NetworkPlugin:
    (folder / "clouds.yaml").write_text(
        "clouds: {production: {region_name: RegionOne, auth: "
        f"{{auth_url: '{url}', username: storage, project_name: storage, "
        f"user_domain_name: Default, project_domain_name: Default, {password}}}}}}}\n"
    )
    return open_plugin("neutron", {"cloud": cloud_name, "cloudsFile": "clouds.yaml"}, folder)


def test_openstacksdk_is_not_installed(make_plugin: PluginMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install it."""
    monkeypatch.setitem(sys.modules, "openstack.config", None)
    with pytest.raises(NetworkError, match=r"pip install 'sharectl\[openstack\]'"):
        make_plugin().list_allocations()


def test_a_quota_shows_in_the_check(cloud: Cloud, make_plugin: PluginMaker) -> None:
    """With how many ports the project may still have."""
    plugin = make_plugin()
    project = cloud.keystone.api("GET", "/projects?name=storage")["projects"][0]["id"]
    cloud.neutron.api("PUT", f"/quotas/{project}", {"quota": {"port": 2}})
    try:
        (finding,) = plugin.check(cloud.subnet, 3)
        assert (finding.code, finding.summary) == (
            "network.quota",
            "the project may have 2 more Neutron ports of 2, 3 wanted",
        )
        assert list(plugin.check(cloud.subnet, 2)) == []
    finally:
        cloud.neutron.api("DELETE", f"/quotas/{project}")


def test_a_wrong_password(cloud: Cloud, make_plugin: PluginMaker, tmp_path: Path) -> None:
    """Is Keystone's refusal; neither the password nor a token is in the error."""
    plugin = make_plugin()
    (tmp_path / "password").write_text("wrong-password")
    with pytest.raises(NetworkError, match=r"Keystone refused .*HTTP 401.*correct the account") as refused:
        plugin.list_allocations()
    assert "wrong-password" not in "".join(traceback.format_exception(refused.value))


def test_a_secret_that_is_not_there(make_plugin: PluginMaker) -> None:
    """Is said when the plugin is used, not when it is opened."""
    plugin = make_plugin(auth={"password": {"env": "SHARECTL_TEST_NOWHERE"}})
    with pytest.raises(NetworkError, match="set the environment variable SHARECTL_TEST_NOWHERE"):
        plugin.list_allocations()


def test_an_account_that_may_not_see_segments(cloud: Cloud, make_plugin: PluginMaker) -> None:
    """A plain member of a project is not told which VLAN a network is; nothing is made."""
    plugin = make_plugin("tenant")
    with pytest.raises(NetworkError, match=r"does not show which segment .* give the account a role"):
        plugin.allocate(new_request(cloud.subnet))
    (finding,) = plugin.check(cloud.subnet)
    assert finding.code == "network.subnet"
    assert cloud.neutron.ports_on(cloud.subnet) == []


def test_a_region_without_neutron(make_plugin: PluginMaker) -> None:
    """The error names region and interface."""
    plugin = make_plugin(region="RegionTwo", interface="internal")
    with pytest.raises(
        NetworkError, match=r"no internal endpoint of Neutron .network. in the region 'RegionTwo'; correct"
    ):
        plugin.list_allocations()


def test_a_keystone_that_is_not_there(cloud: Cloud, make_plugin: PluginMaker) -> None:
    """Nobody listens, or what listens answers with an error."""
    proxy = FaultyProxy(cloud.keystone.port)
    plugin = make_plugin(auth={"url": proxy.url})
    proxy.add("POST", "/v3/auth/tokens", "status", status=503)
    with pytest.raises(NetworkUnavailableError, match=r"Keystone could not .*HTTP 503"):
        plugin.list_allocations()
    proxy.add("POST", "/v3/auth/tokens", "cut")
    with pytest.raises(NetworkUnavailableError, match=r"127\.0\.0\.1:\d+ cannot be reached"):
        plugin.list_allocations()
    assert list(plugin.list_allocations()) == []
    proxy.close()


def test_a_token_that_expired_is_renewed(cloud: Cloud, make_plugin: PluginMaker) -> None:
    """In the middle of an apply, without a word."""
    plugin = make_plugin()
    assert list(plugin.list_allocations()) == []
    token = plugin._api._service._adapter.get_token()  # type: ignore[attr-defined]
    cloud.keystone.ask("DELETE", "/v3/auth/tokens", None, X_Auth_Token=token, X_Subject_Token=token)
    assert list(plugin.list_allocations()) == []
