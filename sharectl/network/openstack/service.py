"""A session with one OpenStack service by openstacksdk: one request at a time, with answers and errors as plain values."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl.model.frozen import dataclass
from sharectl.network.base import NetworkError, NetworkNotFoundError, NetworkTransientError, NetworkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from keystoneauth1.adapter import Adapter

    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import SecretResolver
    from sharectl.network.openstack.account import Account


_MAX_MESSAGE_CHARACTERS: Final = 300
_FIRST_ERROR: Final = 400
_UNAVAILABLE: Final = frozenset({502, 503, 504})
_PASSING: Final = frozenset({408, 409, 429, 500})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: `kind` and `message` are those of a refusal, as the service words them; `body` is empty where there was none."""

    status: int
    body: JsonObject
    kind: str = ""
    message: str = ""
    retry_after_seconds: float | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether the service did not do what it was asked."""
        return self.status >= _FIRST_ERROR


def read_answer(status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    """Return the answer in a response; one that is not JSON has an empty body.

    Neutron words a refusal as `{"NeutronError": {"type", "message", "detail"}}`, Nova as `{"itemNotFound": {"code", "message"}}`,
    Keystone as `{"error": {"code", "message", "title"}}`.
    """
    try:
        parsed = json.loads(content) if content else {}
    except ValueError:
        parsed = None
    body = parsed if isinstance(parsed, dict) else {}
    if status < _FIRST_ERROR:
        # A proxy's welcome page is not an answer of the service, whatever its status.
        return Answer(502, body, message="it is not JSON") if parsed is None else Answer(status, body)
    kind, message = _refusal(body)
    wait = headers.get("Retry-After", "")
    return Answer(status, body, kind, message, float(wait) if wait.isascii() and wait.isdigit() else None)


def error_of(answer: Answer, service: str, what: str) -> NetworkError:
    """Return the error for a refusal of the service called `service` to do `what` (`list ports`)."""
    reason = f": {answer.message}" if answer.message else ""
    summary = f"{service} refused to {what} (HTTP {answer.status}){reason}"
    if answer.status in _UNAVAILABLE:
        message = f"{service} could not {what} (HTTP {answer.status}){reason}; see whether it is running, and its log"
        return NetworkUnavailableError(message, answer.retry_after_seconds)
    if answer.status in _PASSING:
        return NetworkTransientError(summary, answer.retry_after_seconds)
    match answer.status:
        case 401:
            return NetworkError(f"{summary}; correct the account in the backend's network config")
        case 403:
            return NetworkError(f"{summary}; give the account a role that may, such as admin in its project")
        case 404:
            return NetworkNotFoundError(summary)
        case _:
            return NetworkError(summary)


def _refusal(body: JsonObject) -> tuple[str, str]:
    for name, value in body.items():
        if isinstance(value, dict) and "message" in value:
            return str(value.get("type", name)), one_line(value["message"])
    return "", one_line(next(iter(body.values()), ""))


def one_line(text: Any) -> str:  # noqa: ANN401 - whatever a service sent
    """Return text of a service as one printable line of bounded length."""
    line = "".join(character if character.isprintable() else " " for character in str(text))
    return " ".join(line.split())[:_MAX_MESSAGE_CHARACTERS]


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
        session = region.get_session()
        session.timeout = account.timeout_seconds
        return Adapter(
            session,
            service_type=service_type,
            interface=region.get_interface(service_type),
            region_name=region.get_region_name(service_type),
            endpoint_override=account.endpoint or region.config.get(f"{service_type}_endpoint_override"),
            default_microversion=microversion,
            client_name="sharectl",
        )
    except ConfigException as cause:
        message = (
            f"the account for OpenStack cannot be used: {cause}; correct the backend's network config or clouds.yaml"
        )
        raise NetworkError(message) from cause


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


Result = TypeVar("Result")


class OpenStackService:
    """Requests to one service; may be used by several threads at once. The connection is made with the first request."""

    def __init__(  # noqa: PLR0913, PLR0917 - the facts of one service, the last with a default
        self,
        account: Account,
        resolve_secret: SecretResolver,
        service: str,
        service_type: str,
        root: str,
        microversion: str | None = None,
    ) -> None:
        """Speak to `service` (its name for people), which the catalogue has as `service_type`; paths are under `root` (`/v2.0`).

        Every request asks for the API in the `microversion`, where there is one.
        """
        self._account = account
        self._resolve_secret = resolve_secret
        self.name = service
        self._service_type = service_type
        self._root = root
        self._microversion = microversion
        self._lock = threading.Lock()
        self._adapter: Adapter | None = None
        self._base = ""

    def call(  # noqa: PLR0913 - the parts of a request, the last three with defaults
        self,
        method: str,
        path: str,
        what: str,
        *,
        parameters: Mapping[str, str | Sequence[str]] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """Send one request, once, and return the answer; refusals with a status that is not in `accept` are raised as errors.

        `what` says in an error what was wanted (`read the network x`).
        """
        adapter = self._connected()

        def send() -> Answer:
            response = adapter.request(
                f"{self._base}{path}", method, params=parameters or {}, json=body, raise_exc=False, redirect=False
            )
            return read_answer(response.status_code, response.headers, response.content)

        answer = self._guarded(what, send)
        if answer.is_refusal and answer.status not in accept:
            raise error_of(answer, self.name, what)
        return answer

    def project_id(self) -> str | None:
        """Return the id of the project that the account works in, None where there is no Keystone to say."""
        adapter = self._connected()
        return self._guarded("ask who we are", adapter.get_project_id)

    def close(self) -> None:
        """Close the connections that are open."""
        with self._lock:
            adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.session.session.close()

    def _connected(self) -> Adapter:
        with self._lock:
            if self._adapter is None:
                adapter = open_adapter(self._account, self._resolve_secret, self._service_type, self._microversion)
                endpoint = self._guarded("find its address", adapter.get_endpoint)
                if endpoint is None:
                    raise NetworkError(self._nowhere())
                root = endpoint.rstrip("/")
                # Nova's may end with a project.
                self._base = root if f"{self._root}/" in f"{root}/" else f"{root}{self._root}"
                self._adapter = adapter
            return self._adapter

    def _guarded(self, what: str, act: Callable[[], Result]) -> Result:
        from keystoneauth1 import exceptions  # noqa: PLC0415 - heavy, and needed only by backends in a cloud

        try:
            return act()
        except exceptions.ConnectTimeout as cause:
            message = (
                f"{self.name} did not answer within {self._account.timeout_seconds:g} s when asked to {what} ({_address(cause)}); "
                "see whether it is overloaded, or raise timeoutSeconds"
            )
            raise NetworkUnavailableError(message) from cause
        except exceptions.SSLError as cause:
            message = f"{_address(cause)} cannot be trusted: {_reason(cause)}; name its authority in caCertificate"
            raise NetworkError(message) from cause
        except (exceptions.ConnectionError, exceptions.DiscoveryFailure) as cause:
            message = (
                f"{self.name} cannot be asked to {what}, for {_address(cause)} cannot be reached: {_reason(cause)}; "
                "see whether it is running there"
            )
            raise NetworkUnavailableError(message) from cause
        except exceptions.HttpError as cause:  # Keystone's: those of the service come as answers
            raise error_of(Answer(cause.http_status, {}, message=one_line(cause.message)), "Keystone", what) from cause
        except exceptions.CatalogException as cause:
            raise NetworkError(self._nowhere()) from cause
        except Exception as cause:  # keystoneauth raises bare Exceptions for what an account lacks
            message = f"{self.name} cannot be asked to {what}: {one_line(cause)}; correct the backend's network config"
            raise NetworkError(message) from cause

    def _nowhere(self) -> str:
        region = f" in the region {self._account.region!r}" if self._account.region else ""
        return (
            f"the cloud's catalogue has no {self._account.interface} endpoint of {self.name} ({self._service_type}){region}; "
            "correct region or interface, or write endpoint"
        )


def _address(failure: Exception) -> str:
    """Return the server's address in the text of a failure, without path and parameters."""
    found = re.search(r"https?://[^/\s?]+", str(failure))
    return found[0].rpartition("@")[2] if found else "its address"


def _reason(failure: BaseException) -> str:
    """Return what the operating system said, where that is known: the texts of the layers above it repeat the whole request."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if isinstance(cause, ConnectionError):  # http.client's own, for a connection that ends in the middle
            return one_line(cause)
        inner = next(
            (part for part in (getattr(cause, "reason", None), *cause.args) if isinstance(part, Exception)), None
        )
        cause = inner or cause.__cause__ or cause.__context__
    return one_line(failure)
