"""A session with one OpenStack service by openstacksdk: one request at a time, answers and errors as values of our own."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from sharectl.network.base import NetworkError, NetworkUnavailableError
from sharectl.network.openstack.answers import Answer, error_of, one_line, read_answer
from sharectl.network.openstack.session import open_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from keystoneauth1.adapter import Adapter

    from sharectl.network.base import SecretResolver
    from sharectl.network.openstack.account import Account

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

    def get(self, path: str, what: str, parameters: Mapping[str, str | Sequence[str]] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return the content of `path`; `what` says in an error what was wanted (`read the network x`)."""
        return self.call("GET", path, what, parameters=parameters).body

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
        """Send one request, once, and return the answer; refusals with a status that is not in `accept` are raised as errors."""
        answer = self._send(method, path, what, parameters, body)
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

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        parameters: Mapping[str, str | Sequence[str]] | None,
        body: Mapping[str, Any] | None,
    ) -> Answer:
        adapter = self._connected()

        def send() -> Answer:
            response = adapter.request(
                f"{self._base}{path}", method, params=parameters or {}, json=body, raise_exc=False, redirect=False
            )
            return read_answer(response.status_code, response.headers, response.content)

        return self._guarded(what, send)

    def _connected(self) -> Adapter:
        with self._lock:
            if self._adapter is None:
                adapter = open_adapter(self._account, self._resolve_secret, self._service_type, self._microversion)
                endpoint = self._guarded("find its address", adapter.get_endpoint)
                if endpoint is None:
                    raise NetworkError(self._nowhere())
                root = endpoint.rstrip("/")
                self._base = (
                    root if f"{self._root}/" in f"{root}/" else f"{root}{self._root}"
                )  # Nova's may end with a project
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
