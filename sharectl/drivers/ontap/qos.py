"""QoS limits of a share: the policy that its type asks for, computed for the size that it has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.extra_specs import MAXIMUMS, MINIMUMS, Asked
from sharectl.drivers.ontap.names import OWNER, plain_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.ontap.client import Array
    from sharectl.model.canonical import JsonObject

GIB: Final = 1 << 30
_MIB: Final = 1 << 20

POLICIES: Final = "storage/qos/policies"
_MOST_CHARACTERS: Final = 127
_PER_GIB: Final = "pergib"
_LIMITS: Final[Mapping[str, str]] = {
    key: f"{'max' if key in MAXIMUMS else 'min'}_throughput_{'iops' if 'iops' in key else 'mbps'}"
    for key in (*MAXIMUMS, *MINIMUMS)
}


def limits_of(extra_specs: Mapping[str, str]) -> dict[str, float]:
    """Return the limits that the type asks for, by their specs without the scope; none where it does not ask for QoS."""
    asked = Asked(extra_specs)
    if not asked.value("qos"):
        return {}
    return {key.removeprefix("netapp:"): value for key in _LIMITS if (value := asked.value(key)) is not None}


def follows_size(limits: Mapping[str, float]) -> bool:
    """Tell whether one of the limits is for each GiB, so that the policy changes with the size."""
    return any(key.endswith(_PER_GIB) for key in limits)


def fixed_limits(limits: Mapping[str, float], size_bytes: int) -> JsonObject:
    """Return the fields of a fixed policy for a share of this size.

    Operations are whole numbers; bytes a second become MiB a second, rounded up, as Manila does.
    """
    fields: JsonObject = {}
    for key, number in limits.items():
        total = number * size_bytes / GIB if key.endswith(_PER_GIB) else number
        field = _LIMITS[f"netapp:{key}"]
        fields[field] = max(1, math.ceil(total / _MIB) if field.endswith("mbps") else math.floor(total))
    return fields


def policy_body(svm: str, name: str, limits: Mapping[str, float], size_bytes: int) -> JsonObject:
    """Return the body that makes the policy, which counts for its one volume alone."""
    return {
        "svm": {"name": svm},
        "name": name,
        "fixed": {**fixed_limits(limits, size_bytes), "capacity_shared": False},
    }


def policy_name(resource_id: str) -> str:
    """Return the name of the policy that belongs to a share: policies have no comment, so that it holds the id."""
    return f"{OWNER}_qos_{plain_id(resource_id)}"[:_MOST_CHARACTERS]


def noted_limits(notes: Mapping[str, str]) -> dict[str, float]:
    """Return the limits that the comment of a volume remembers: those of a policy that follows the size."""
    return {
        key.removeprefix("netapp:"): float(notes[key.removeprefix("netapp:")])
        for key in _LIMITS
        if key.removeprefix("netapp:") in notes
    }


def give_policy(array: Array, svm: str, resource_id: str, limits: Mapping[str, float], size_bytes: int) -> str:
    """Make the policy of a share, or give the one that is there these limits; return its name."""
    name = policy_name(resource_id)
    body = policy_body(svm, name, limits, size_bytes)
    try:
        array.post(POLICIES, body, svm=svm)
    except OutcomeUnknownError:
        if _find(array, svm, name) is None:
            raise
    except ArrayError as problem:
        if problem.kind != "dup":
            raise
        change_policy(array, svm, resource_id, limits, size_bytes)
    return name


def change_policy(array: Array, svm: str, resource_id: str, limits: Mapping[str, float], size_bytes: int) -> None:
    """Give the policy of a share the limits for this size."""
    found = _find(array, svm, policy_name(resource_id))
    wanted = fixed_limits(limits, size_bytes)
    if found is None:
        give_policy(array, svm, resource_id, limits, size_bytes)
    elif not found.get("fixed"):
        message = f"{array.name}: the QoS policy {found['name']} is to hold the limits of a share, and somebody has made it an adaptive one; remove it"
        raise ConflictError(message)
    elif any((found.get("fixed") or {}).get(field) != value for field, value in wanted.items()):
        array.patch((POLICIES, found["uuid"]), {"fixed": wanted}, svm=svm)


def remove_policy(array: Array, svm: str, resource_id: str) -> bool:
    """Remove the policy of a share, where it has one that nothing uses; tell whether it is gone."""
    found = _find(array, svm, policy_name(resource_id))
    if found is None:
        return True
    try:
        array.delete((POLICIES, found["uuid"]), svm=svm)
    except ArrayError as problem:
        if problem.kind not in {"gone", "inuse"}:
            raise
        return problem.kind == "gone"
    return True


def _find(array: Array, svm: str, name: str) -> JsonObject | None:
    found = array.records(POLICIES, svm=svm, query={"svm.name": svm, "name": name}, fields=("uuid", "name", "fixed"))
    return found[0] if found else None
