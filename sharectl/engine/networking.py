"""The errors of a network service, told as a driver's are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.network.base import (
    NetworkError,
    NetworkTransientError,
    NetworkUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def network_errors_translated() -> Iterator[None]:
    """Raise what a network service says as the DriverError of the same meaning, so that it is retried and reported like one."""
    try:
        yield
    except NetworkUnavailableError as error:
        message = f"the network service: {error}"
        raise BackendUnavailableError(message, error.retry_after_seconds) from error
    except NetworkTransientError as error:
        message = f"the network service: {error}"
        raise TransientError(message, error.retry_after_seconds) from error
    except NetworkError as error:
        message = f"the network service: {error}"
        raise DriverError(message) from error
