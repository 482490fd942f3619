"""Which objects a body means: by name, by UUID, or by both, which must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.errors import Refused

R = TypeVar("R")


def chosen(candidates: Iterable[R], named: Mapping[str, Any], *, missing: Refused, differ: Refused | None = None) -> R:
    """Return the one of some records that a body names by `name`, `uuid` or `id`, or refuse."""
    asked = {key: named[key] for key in ("name", "uuid", "id") if named.get(key) not in {None, ""}}
    pool = list(candidates)
    found = [[each for each in pool if str(getattr(each, key)) == str(value)] for key, value in asked.items()]
    if not found or not all(found):
        raise missing
    both = [each for each in found[0] if all(each in others for others in found)]
    if not both:
        raise differ or missing
    return both[0]
