"""Which objects a body means: by name, by UUID, or by both, which must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tests.emulators.ontap.svm_lookup import asked_svm, check_made

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.emulators.ontap.errors import Refused
    from tests.emulators.ontap.operations import Call
    from tests.emulators.ontap.svm_records import Svm
    from tests.emulators.ontap.world import World

R = TypeVar("R")


def svm_of(world: World, call: Call) -> Svm:
    """Return the SVM in which a call makes something."""
    svm = asked_svm(world, call)
    check_made(world, svm)
    return svm


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
