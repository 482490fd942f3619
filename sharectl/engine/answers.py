"""What comes back from drivers and network services that may be anybody's: checked before it is believed, and told of in a driver's errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.model.access import AccessRule
from sharectl.model.observed import BackendReport, ObservedShare, ObservedShareServer, ObservedSnapshot, PoolReport
from sharectl.network.base import (
    NetworkError,
    NetworkTransientError,
    NetworkUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


T = TypeVar("T")
_TEXT: Final = (str,)
_MAYBE_TEXT: Final = (str, type(None))
_SHARE: Final = (
    _MAYBE_TEXT,  # resource_id
    _TEXT,  # backend_id
    _TEXT,  # name
    _TEXT,  # pool
    (int, type(None)),  # size_bytes
    _MAYBE_TEXT,  # protocol
    (tuple,),  # access
    (tuple,),  # export_locations
    _MAYBE_TEXT,  # trashed_at
    _MAYBE_TEXT,  # share_server_id
)
_SNAPSHOT: Final = (_MAYBE_TEXT, _TEXT, _TEXT, _TEXT, (int, type(None)))
_SERVER: Final = (_MAYBE_TEXT, _TEXT, _TEXT, (tuple,), (bool,), _TEXT)
_FIELDS: Final[dict[type, tuple[tuple[type, ...], ...]]] = {
    ObservedShare: _SHARE,
    ObservedSnapshot: _SNAPSHOT,
    ObservedShareServer: _SERVER,
}


class NonsenseError(TypeError):
    """A driver has answered what its contract does not know."""

    def __init__(self, call: str, answer: object) -> None:
        """Say to which call, and with what."""
        super().__init__(f"its answer to {call} is not what the contract says: {answer!r:.80}")


def expected(call: str, kind: type[T], answer: Any) -> T:  # noqa: ANN401 - it may be anything
    """Return the answer to a call where it is one of this kind, with fields of the right types. Raises NonsenseError."""
    if not isinstance(answer, kind) or answer == "":
        raise NonsenseError(call, answer)
    fields = _FIELDS.get(kind)
    if fields is not None:
        _expect_fields(call, answer, fields)
    return answer


def all_expected(call: str, kind: type[T], answers: Iterable[Any]) -> list[T]:
    """Return a listing where all in it are of this kind, with fields of the right types. Raises NonsenseError."""
    if isinstance(answers, dict):
        raise NonsenseError(call, answers)
    found = list(answers)
    fields = _FIELDS.get(kind)
    for answer in found:
        if not isinstance(answer, kind):
            raise NonsenseError(call, answer)
        if fields is not None:
            _expect_fields(call, answer, fields)
    return found


def unmeasured(share: ObservedShare) -> ObservedShare:
    """Return a share without what is used of it, as an answer has it that nobody asked for that."""
    return share if share.used_bytes is None else share._replace(used_bytes=None)


def report_of(driver: Any) -> BackendReport:  # noqa: ANN401 - anybody's driver
    """Ask a driver for its report. Raises what it raises, and NonsenseError."""
    return expected("report", BackendReport, driver.report())


def pools_of(driver: Any) -> list[PoolReport]:  # noqa: ANN401 - as above
    """Ask a driver for its pools. Raises as `report_of`."""
    return all_expected("pools", PoolReport, driver.pools())


def _expect_fields(call: str, answer: Any, fields: tuple[tuple[type, ...], ...]) -> None:  # noqa: ANN401 - as above
    if not all(map(isinstance, answer, fields)):
        raise NonsenseError(call, answer)
    if isinstance(answer, ObservedShare) and answer.access:
        for rule in answer.access:
            if not isinstance(rule, AccessRule):
                raise NonsenseError(call, answer)


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
