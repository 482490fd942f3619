"""What comes back from drivers and network services, which anybody may have written: checked before it is believed, and reported as a driver's error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl.drivers.base import BackendUnavailableError, DriverError, NonsenseError, TransientError
from sharectl.model.access import AccessRule
from sharectl.model.observed import (
    BackendReport,
    ObservedShare,
    ObservedShareServer,
    ObservedSnapshot,
    PoolReport,
    ScheduledSnapshots,
)
from sharectl.model.specs import SnapshotPolicy
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
_MAYBE_BYTES: Final = (int, type(None))
_LARGEST: Final = (1 << 63) - 1
"""The largest number that a state or a saved plan can hold."""
_SHARE: Final = (
    _MAYBE_TEXT,  # resource_id
    _TEXT,  # backend_id
    _TEXT,  # name
    _TEXT,  # pool
    _MAYBE_BYTES,  # size_bytes
    _MAYBE_TEXT,  # protocol
    (tuple,),  # access
    (tuple,),  # export_locations
    _MAYBE_TEXT,  # trashed_at
    _MAYBE_TEXT,  # share_server_id
)
_REST_OF_SHARE: Final[tuple[tuple[type, ...], ...]] = (
    _TEXT,  # not_adoptable
    (type(None), tuple),  # export_settings
    (tuple,),  # ignored_access
    (type(None), SnapshotPolicy),  # snapshot_policy
    (type(None), ScheduledSnapshots),  # scheduled_snapshots
    _MAYBE_TEXT,  # export_name
)
_USUAL_REST: Final = tuple(ObservedShare._field_defaults.values())[-1 - len(_REST_OF_SHARE) : -1]
"""The values that most shares have there: one comparison finds them."""
_SNAPSHOT: Final = (_MAYBE_TEXT, _TEXT, _TEXT, _TEXT, _MAYBE_BYTES)
_SERVER: Final = (_MAYBE_TEXT, _TEXT, _TEXT, (tuple,), (bool,), _TEXT)
_FIELDS: Final[dict[type, tuple[tuple[type, ...], ...]]] = {
    ObservedShare: _SHARE,
    ObservedSnapshot: _SNAPSHOT,
    ObservedShareServer: _SERVER,
}


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
    """Return a share without its usage, as in an answer to a question that did not ask for it."""
    return share if share.used_bytes is None else share._replace(used_bytes=None)


def report_of(driver: Any) -> BackendReport:  # noqa: ANN401 - anybody's driver
    """Ask a driver for its report. Raises what it raises, and NonsenseError."""
    call = "report"
    report = expected(call, BackendReport, driver.report())
    if not isinstance(report.identity, str | None):
        raise NonsenseError(call, report.identity, "identity")
    if not _is_number(report.max_share_servers):
        raise NonsenseError(call, report.max_share_servers, "max_share_servers")
    return report


def pools_of(driver: Any) -> list[PoolReport]:  # noqa: ANN401 - as above
    """Ask a driver for its pools. Raises as `report_of`."""
    return all_expected("pools", PoolReport, driver.pools())


def _expect_fields(call: str, answer: Any, fields: tuple[tuple[type, ...], ...]) -> None:  # noqa: ANN401 - as above
    if not all(map(isinstance, answer, fields)):
        named = zip(answer._fields, answer, fields, strict=False)
        raise next(_wrong_field(call, answer, name) for name, held, kinds in named if not isinstance(held, kinds))
    if isinstance(answer, ObservedShare):
        _expect_share(call, answer)
    elif isinstance(answer, ObservedSnapshot) and not _is_number(answer.size_bytes):
        raise _wrong_field(call, answer, "size_bytes")


def _expect_share(call: str, share: ObservedShare) -> None:
    """Look further into a share; there may be a hundred thousand of them."""
    size_bytes, used_bytes = share[4], share[16]
    if size_bytes is not None and not (type(size_bytes) is int and 0 <= size_bytes <= _LARGEST):
        raise _wrong_field(call, share, "size_bytes")
    if used_bytes is not None and not (type(used_bytes) is int and 0 <= used_bytes <= _LARGEST):
        raise _wrong_field(call, share, "used_bytes")
    if (rest := share[len(_SHARE) : -1]) != _USUAL_REST:
        for name, held, kinds in zip(share._fields[len(_SHARE) : -1], rest, _REST_OF_SHARE, strict=True):
            if not isinstance(held, kinds):
                raise _wrong_field(call, share, name)
        if share.scheduled_snapshots is not None and not _is_number(share.scheduled_snapshots.number):
            raise _wrong_field(call, share, "scheduled_snapshots")
    for rule in share.access:
        if not isinstance(rule, AccessRule):
            raise _wrong_field(call, share, "access")


def _wrong_field(call: str, answer: Any, field: str) -> NonsenseError:  # noqa: ANN401 - as above
    return NonsenseError(call, getattr(answer, field), f"{field} of {answer.name!r:.80}")


def _is_number(value: object) -> bool:
    """Tell whether it is a count or a number of bytes that can be recorded, or None."""
    return value is None or (type(value) is int and 0 <= value <= _LARGEST)


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
