"""Opening a session with an OpenStack service as openstacksdk does: clouds.yaml or an account, the catalogue, the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.network.base import NetworkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keystoneauth1.adapter import Adapter
    from openstack.config.cloud_region import CloudRegion

    from sharectl.network.base import SecretResolver
    from sharectl.network.openstack.account import Account

_VERSION = "/v3"


def open_adapter(
    account: Account, resolve_secret: SecretResolver, service_type: str, microversion: str | None = None
) -> Adapter:
    """Return an adapter for the service that asks for a microversion of its API; nothing is sent yet. Raises NetworkError where the configuration cannot work."""
    try:
        from keystoneauth1.adapter import Adapter  # noqa: PLC0415 - heavy, and needed only by backends in a cloud
        from openstack.config import OpenStackConfig  # noqa: PLC0415 - as above
        from openstack.exceptions import ConfigException  # noqa: PLC0415 - as above
    except ImportError as cause:
        message = "OpenStack's networks need openstacksdk: install it with pip install 'sharectl[openstack]'"
        raise NetworkError(message) from cause
    try:
        if account.cloud is not None:
            files = None if account.clouds_file is None else [account.clouds_file]
            config = OpenStackConfig(config_files=files, load_envvars=False)
            region = config.get_one(cloud=account.cloud, **_given(account))
        else:
            config = OpenStackConfig(load_yaml_config=False, load_envvars=False)
            region = config.get_one(**_explicit(account, resolve_secret), **_given(account))
        return _adapter(Adapter, region, account, service_type, microversion)
    except ConfigException as cause:
        message = (
            f"the account for OpenStack cannot be used: {cause}; correct the backend's network config or clouds.yaml"
        )
        raise NetworkError(message) from cause


def _adapter(
    make: type[Adapter], region: CloudRegion, account: Account, service_type: str, microversion: str | None
) -> Adapter:
    session = region.get_session()
    session.timeout = account.timeout_seconds
    return make(
        session,
        service_type=service_type,
        interface=region.get_interface(service_type),
        region_name=region.get_region_name(service_type),
        endpoint_override=account.endpoint or region.config.get(f"{service_type}_endpoint_override"),
        default_microversion=microversion,
        client_name="sharectl",
    )


def _given(account: Account) -> Mapping[str, Any]:
    given = {"region_name": account.region, "interface": account.interface, "cacert": account.ca_certificate}
    return {name: value for name, value in given.items() if value is not None}


def _explicit(account: Account, resolve_secret: SecretResolver) -> Mapping[str, Any]:
    auth = account.auth
    if auth["type"] == "none":
        return {"auth_type": "none", "auth": {"endpoint": account.endpoint}}
    url = auth["url"].rstrip("/")
    # With the version in the address there is no discovery, which would hide why Keystone cannot be reached.
    values = {"auth_url": url if url.endswith(_VERSION) else f"{url}{_VERSION}"}
    if auth["type"] == "applicationCredential":
        values["application_credential_id"] = auth["applicationCredentialId"]
        values["application_credential_secret"] = _secret(resolve_secret, auth["applicationCredentialSecret"])
        return {"auth_type": "v3applicationcredential", "auth": values}
    values |= {
        "username": auth["username"],
        "user_domain_name": auth.get("userDomainName", "Default"),
        "password": _secret(resolve_secret, auth["password"]),
        "project_name": auth["projectName"],
        "project_domain_name": auth.get("projectDomainName", "Default"),
    }
    return {"auth_type": "v3password", "auth": values}


def _secret(resolve_secret: SecretResolver, reference: Mapping[str, str]) -> str:
    try:
        return resolve_secret(reference)
    except Exception as cause:
        raise NetworkError(str(cause)) from cause
