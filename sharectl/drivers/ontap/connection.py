"""The connections to one array: TLS whose certificate is checked before anything is said, and the login."""

from __future__ import annotations

import base64
import os
import ssl
from typing import TYPE_CHECKING

import urllib3

from sharectl.drivers.base import DriverError

if TYPE_CHECKING:
    from sharectl.drivers.base import SecretResolver
    from sharectl.drivers.ontap.settings import ArraySettings

CONNECT_SECONDS = 10.0


def open_pool(settings: ArraySettings, resolve_secret: SecretResolver) -> urllib3.HTTPSConnectionPool:
    """Return the connections, none of which is made yet: as many as requests may be under way. Raises DriverError.

    Nothing of the environment is asked, neither for certificates nor for a proxy.
    """
    return urllib3.HTTPSConnectionPool(
        settings.address,
        settings.port,
        maxsize=settings.requests_at_once,
        block=True,
        retries=False,
        ssl_context=_context(settings, resolve_secret),
        server_hostname=settings.server_name,  # None: the address
    )


def login_headers(settings: ArraySettings, resolve_secret: SecretResolver) -> dict[str, str]:
    """Return the headers of each request; a certificate needs none."""
    headers = {"Accept": "application/json", "User-Agent": "sharectl"}
    if settings.user is not None and settings.password is not None:
        pair = f"{settings.user}:{resolve_secret(settings.password)}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
    return headers


def _context(settings: ArraySettings, resolve_secret: SecretResolver) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as problem:
        message = f"the certificates in {settings.ca_file} cannot be read: {_reason(problem)}"
        raise DriverError(message) from None
    if settings.certificate is not None and settings.key is not None:
        _load_own(context, settings.certificate, resolve_secret(settings.key))
    return context


def _load_own(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load our certificate; no copy of its key comes to a disk."""

    def no_passphrase() -> str:
        return ""  # else OpenSSL would ask at the terminal

    descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, key.encode())
        context.load_cert_chain(certificate, f"/proc/self/fd/{descriptor}", password=no_passphrase)
    except OSError as problem:
        message = f"the certificate {certificate} and its key cannot be used: {_reason(problem)}"
        raise DriverError(message) from None
    finally:
        os.close(descriptor)


def _reason(problem: OSError) -> str:
    if isinstance(problem, ssl.SSLError):
        return problem.reason or "they are not in PEM"
    return problem.strerror or type(problem).__name__
