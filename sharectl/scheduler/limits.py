"""The sizes that a share type allows: what Manila's API refuses before it schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Diagnostic, error
from sharectl.scheduler.request import Operation
from sharectl.scheduler.values import format_gib

if TYPE_CHECKING:
    from sharectl.scheduler.request import Request

MIN_SIZE: Final = "provisioning:min_share_size"
MAX_SIZE: Final = "provisioning:max_share_size"
MAX_EXTEND_SIZE: Final = "provisioning:max_share_extend_size"


def size_limit_diagnostics(request: Request) -> tuple[Diagnostic, ...]:
    """Return an error for each size limit (in GiB) of the type that the request breaks, and for each that is not a number.

    An extension is held against `max_share_extend_size` where the type has it, else against `max_share_size`.
    """
    specs = request.extra_specs
    extends = request.operation is Operation.EXTEND
    size_gib = request.new_size_gib if extends and request.new_size_gib is not None else request.size_gib
    found = []
    if not extends and MIN_SIZE in specs:
        found.append(_check(request, MIN_SIZE, size_gib, least=True))
    largest = MAX_EXTEND_SIZE if extends and MAX_EXTEND_SIZE in specs else MAX_SIZE
    if largest in specs:
        found.append(_check(request, largest, size_gib, least=False))
    return tuple(diagnostic for diagnostic in found if diagnostic is not None)


def _check(request: Request, key: str, size_gib: float, *, least: bool) -> Diagnostic | None:
    text = request.extra_specs[key]
    try:
        limit_gib = float(text)
    except ValueError:
        return error(
            "scheduler.size-limit",
            f"the extra spec {key} is {text!r}, which is not a number of GiB",
            remedy="give the limit as a whole number of GiB, such as 100",
        )
    if (size_gib >= limit_gib) if least else (size_gib <= limit_gib):
        return None
    bound, other = ("at least", "larger") if least else ("at most", "smaller")
    return error(
        "scheduler.size-limit",
        f"share {request.id} is {format_gib(size_gib)}; its type allows {bound} {format_gib(limit_gib)}",
        detail=f"The extra spec {key} sets the limit.",
        remedy=f"ask for a {other} share, or change the share type",
    )
