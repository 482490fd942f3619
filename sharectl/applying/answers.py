"""What comes back from drivers that may be anybody's: checked before it is believed, and told of where it breaks the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import ObservedShare, ObservedSnapshot
from sharectl.drivers.share_servers import ObservedShareServer
from sharectl.model import AccessRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.drivers.base import Driver

Observed = ObservedShare | ObservedSnapshot | ObservedShareServer


def misbehaviour(error: BaseException) -> str:
    """Say of a driver that it has raised what its contract does not know."""
    return f"the driver failed in a way that it should not: {type(error).__name__}: {error}".removesuffix(": ")


class NonsenseError(TypeError):
    """A driver has answered what its contract does not know."""

    def __init__(self, call: str, answer: object) -> None:
        """Say to which call, and with what."""
        super().__init__(f"its answer to {call} is no such thing: {answer!r:.80}")


def expect_identity_text(call: str, answer: object) -> str:
    """Return the identity that `prepare` has answered. Raises NonsenseError."""
    if not isinstance(answer, str) or not answer:
        raise NonsenseError(call, answer)
    return answer


def expect_share(call: str, answer: ObservedShare) -> ObservedShare:
    """Return a share as it was answered, where its fields are what they should be. Raises NonsenseError."""
    if not is_share(answer):
        raise NonsenseError(call, answer)
    return answer


def expect_snapshot(call: str, answer: ObservedSnapshot) -> ObservedSnapshot:
    """Return a snapshot as it was answered, where its fields are what they should be. Raises NonsenseError."""
    if not is_snapshot(answer):
        raise NonsenseError(call, answer)
    return answer


def is_share(answer: object) -> bool:
    """Tell whether this is a share as a listing or a call should give it."""
    return (
        isinstance(answer, ObservedShare)
        and isinstance(answer.resource_id, str | None)
        and isinstance(answer.backend_id, str)
        and isinstance(answer.name, str)
        and isinstance(answer.pool, str)
        and isinstance(answer.size_bytes, int | None)
        and isinstance(answer.protocol, str | None)
        and isinstance(answer.access, tuple)
        and isinstance(answer.export_locations, tuple)
        and isinstance(answer.trashed_at, str | None)
        and isinstance(answer.share_server_id, str | None)
        and all(isinstance(rule, AccessRule) for rule in answer.access)
        and all(isinstance(location, str) for location in answer.export_locations)
    )


def is_snapshot(answer: object) -> bool:
    """Tell whether this is a snapshot as a listing or a call should give it."""
    return (
        isinstance(answer, ObservedSnapshot)
        and isinstance(answer.resource_id, str | None)
        and isinstance(answer.backend_id, str)
        and isinstance(answer.name, str)
        and isinstance(answer.share_backend_id, str)
        and isinstance(answer.size_bytes, int | None)
    )


def listed_shares(driver: Driver, resource_ids: Iterable[str] | None) -> list[ObservedShare]:
    """Return the shares that the driver lists. Raises what it raises, and NonsenseError."""
    ids = None if resource_ids is None else frozenset(resource_ids)
    shares = list(driver.list_shares(ids))
    for share in shares:
        if not is_share(share):
            call = "list_shares"
            raise NonsenseError(call, share)
    return shares
