"""Extra specs of a share type against capabilities, with Manila's operators, each compiled once."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import protocols_in
from sharectl.model.frozen import NamedTuple
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.values import boolean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Matcher = Callable[[Any], bool]

BOOLEAN_SPECS: Final = (
    "driver_handles_share_servers",
    "snapshot_support",
    "create_share_from_snapshot_support",
    "revert_to_snapshot_support",
    "mount_snapshot_support",
    "mount_point_name_support",
    "snapshot_inherit_share_access_support",
)
_RULE: Final = "CapabilitiesFilter"
_IGNORED: Final = ("availability_zones", "capabilities:availability_zones", "default_qos_type")
_NUMERIC: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTUAL: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}


class Requirement(NamedTuple):
    """One extra spec that pools are held against: the path into their capabilities, and how a value there is judged."""

    key: str
    wanted: str
    path: tuple[str, ...]
    matches: Matcher

    def met_by(self, capabilities: Mapping[str, Any]) -> bool:
        """Tell whether the capability is there and it, or an element of it where it is a list, matches."""
        value = self.find(capabilities)
        if value is None:
            return False
        try:
            if isinstance(value, list):
                return any(self.matches(_lower(element)) for element in value)
            return self.matches(_lower(value))
        except TypeError:
            why = f"which the extra spec {self.key} ({self.wanted}) cannot be compared with"
            raise UnfitValueError(_RULE, ":".join(self.path), value, why) from None

    def find(self, capabilities: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a capability is any JSON value
        """Return the capability, None where it is missing."""
        value: Any = capabilities
        for name in self.path:
            value = value.get(name) if hasattr(value, "get") else None
            if value is None:
                return None
        return value


def effective_specs(extra_specs: Mapping[str, str], share_proto: str | None, *, pinned: bool) -> dict[str, str]:
    """Return the specs as Manila's scheduler completes them.

    The boolean specs get `<is>`, the share's protocol becomes a spec (of two, which Manila's shares never have, each one) unless the type names one, and `share_backend_name` is
    dropped where the request is tied to another host (`pinned`: a replica, or a share from a snapshot).
    """
    specs = dict(extra_specs)
    for key in BOOLEAN_SPECS:
        if key in specs and not specs[key].startswith("<is>"):
            specs[key] = f"<is> {specs[key]}"
    if "storage_protocol" not in specs and share_proto is not None:
        first, *others = protocols_in(share_proto)
        specs["storage_protocol"] = f"<in> {first}"
        if others:
            specs["capabilities:storage_protocol"] = f"<in> {others[0]}"  # the same key, scoped
    if pinned:
        specs.pop("share_backend_name", None)
    return specs


def requirements_of(specs: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return the specs that are compared with capabilities: unscoped ones, and those scoped `capabilities:`."""
    requirements = []
    for key, wanted in specs.items():
        if key in _IGNORED:
            continue
        scope = key.split(":")
        if len(scope) > 1 and scope[0] != "capabilities":
            continue
        path = tuple(scope[1:] if scope[0] == "capabilities" else scope)
        requirements.append(Requirement(key, wanted, path, matcher(wanted)))
    return tuple(requirements)


def matcher(wanted: str) -> Matcher:  # noqa: PLR0911 - one return for each kind of operator
    """Return a function that judges one capability value (a string in lower case) by the requirement `wanted`.

    It raises TypeError for a value of a type that the operator cannot compare.
    """
    text = wanted.lower()
    words = text.split()
    name = words[0] if words else ""
    operand = words[1] if len(words) > 1 else None
    if name == "<or>":
        return _one_of(words)
    if name not in _NUMERIC and name not in _TEXTUAL and name not in ("<in>", "<is>"):
        truth = boolean(text)
        return lambda value: value is truth if isinstance(value, bool) else value == text
    if operand is None:
        return lambda _value: False
    if name == "<in>":
        return lambda value: value is not None and operand in value
    if name == "<is>":
        wanted_truth = bool(boolean(operand))
        return lambda value: value is not None and bool(boolean(value)) is wanted_truth
    if name in _NUMERIC:
        return _numeric(_NUMERIC[name], operand)
    compare = _TEXTUAL[name]
    return lambda value: value is not None and compare(value, operand)


def uses_thin_logic(specs: Mapping[str, str]) -> bool:
    """Tell whether capacity is judged by over-subscription on thin pools: unless the type asks for thick shares."""
    wanted = specs.get("thin_provisioning")
    if wanted is None:
        wanted = specs.get("capabilities:thin_provisioning")
    if wanted is None:
        return True
    truth = boolean(wanted)
    if truth is not None:
        return truth
    try:
        return matcher(wanted)(True)  # noqa: FBT003 - the value that a thin pool would report
    except TypeError:
        return True  # nothing that can be asked of a truth; CapabilitiesFilter says so of each pool


def _lower(value: Any) -> Any:  # noqa: ANN401 - a capability is any JSON value
    return value.lower() if isinstance(value, str) else value


def _one_of(words: list[str]) -> Matcher:
    accepted = frozenset(words[1::2])

    def judge(value: Any) -> bool:  # noqa: ANN401 - a capability is any JSON value
        if not accepted:
            message = "<or> without a word after it"
            raise TypeError(message)
        return isinstance(value, str) and value in accepted

    return judge


def _numeric(compare: Callable[[float, float], bool], operand: str) -> Matcher:
    limit: float | None
    try:
        limit = float(operand)
    except ValueError:
        limit = None

    def judge(value: Any) -> bool:  # noqa: ANN401 - a capability is any JSON value
        if value is None:
            return False
        try:
            figure = float(value)
        except (ValueError, OverflowError):
            return False
        return limit is not None and compare(figure, limit)

    return judge
