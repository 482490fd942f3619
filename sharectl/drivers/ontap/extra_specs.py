"""The extra specs that the driver reads: Manila's for NetApp, and a few of its own for what Manila's has none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.ontap.languages import LANGUAGES, language_of
from sharectl.drivers.ontap.share_servers.settings import LEAST_TRANSFER_BYTES, MOST_TRANSFER_BYTES
from sharectl.drivers.share_checks import unknown_extra_spec
from sharectl.model.checks import ShareProblem
from sharectl.model.diagnostics import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharectl.drivers.ontap.share_servers.settings import ShareServerSettings

SCOPES: Final = ("netapp", "ontap")

MAXIMUMS: Final = ("netapp:maxiops", "netapp:maxiopspergib", "netapp:maxbps", "netapp:maxbpspergib")
MINIMUMS: Final = ("netapp:miniops", "netapp:miniopspergib", "netapp:minbps", "netapp:minbpspergib")

TRANSFER_SIZE: Final = "netapp:tcp_max_xfer_size"
AUTOSIZE: Final = "ontap:autosize"
AUTOSIZE_PERCENT: Final = "ontap:autosize_maximum_percent"
_LEAST_AUTOSIZE_PERCENT: Final = 101
_MOST_AUTOSIZE_PERCENT: Final = 10_000

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_NAME: Final = re.compile(r"[!-~]{1,256}")
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,5})\s*(minutes?|hours?|days?|months?|years?)", re.IGNORECASE)
_ISO_PERIOD: Final = re.compile(r"P(?:[0-9]{1,6}[YMD]|T[0-9]{1,6}[HM])")
_MOST_FILES_MULTIPLIER: Final = 8
_MOST_RESERVE_PERCENT: Final = 90  # code 917835


class _Spec(NamedTuple):
    """How a value is read (None where it means nothing), and in words what it can be."""

    read: Callable[[str], Any]
    words: str
    choices: tuple[str, ...] = ()


def flag_of(value: str) -> bool | None:
    """Return what a truth says, bare or as `<is> True`; None where it is none."""
    word = value.strip().removeprefix("<is>").strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def period_of(value: str) -> str | None:
    """Return a period as the array takes it: `30days` is `P30D`."""
    plain = value.strip()
    if plain.lower() == "infinite":
        return "infinite"
    if _ISO_PERIOD.fullmatch(plain):
        return plain
    found = _PERIOD.fullmatch(plain)
    if found is None:
        return None
    number, unit = found[1], found[2][0].upper()
    is_time = found[2].lower().startswith(("minute", "hour"))
    return f"P{'T' if is_time else ''}{number}{unit}"


def _number(value: str, *, above: float, most: float | None = None) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if above < number < float("inf") and (most is None or number <= most) else None


def _whole(value: str, *, least: int = 0, most: int = 2**53) -> int | None:
    return int(value) if re.fullmatch(r"[0-9]{1,16}", value) and least <= int(value) <= most else None


def _name_of(value: str) -> str | None:
    return value if _NAME.fullmatch(value) else None


def _permissions_of(value: str) -> int | None:
    return int(value) if re.fullmatch(r"[0-7]{3,4}", value) else None


def _choice(*choices: str) -> _Spec:
    return _Spec(lambda value: value if value in choices else None, f"one of {', '.join(choices)}", choices)


_FLAG: Final = _Spec(flag_of, "true or false", ("true", "false"))
_LIMIT: Final = _Spec(lambda value: _number(value, above=0), "a number above 0")
_POLICY: Final = _Spec(_name_of, "the name of one on the array, without spaces")
_RETENTION: Final = _Spec(period_of, "a number and a unit, such as 30days or 6months, or infinite")
_SNAPLOCK: Final = _choice("compliance", "enterprise")

STANDARD: Final[Mapping[str, str]] = {
    "thin_provisioning": "netapp:thin_provisioned",
    "dedupe": "netapp:dedup",
    "compression": "netapp:compression",
}
"""Capabilities that choose by themselves, unless the spec with the scope is there too."""

EXTRA_SPECS: Final[Mapping[str, _Spec]] = {
    "netapp:thin_provisioned": _FLAG,
    "netapp:dedup": _FLAG,
    "netapp:compression": _FLAG,
    "netapp:split_clone_on_create": _FLAG,
    "netapp:hide_snapdir": _FLAG,
    "netapp:snapshot_policy": _POLICY,
    "netapp:language": _Spec(language_of, "a language of ONTAP, such as c.utf_8", LANGUAGES),
    "netapp:max_files": _Spec(_whole, "a whole number; 0 is the array's own"),
    "netapp:max_files_multiplier": _Spec(
        lambda value: _number(value, above=0, most=_MOST_FILES_MULTIPLIER),
        f"a number above 0, {_MOST_FILES_MULTIPLIER} at most",
    ),
    "netapp:efficiency_policy": _POLICY,
    "netapp:adaptive_qos_policy_group": _POLICY,
    **dict.fromkeys((*MAXIMUMS, *MINIMUMS), _LIMIT),
    "netapp:snaplock_autocommit_period": _Spec(
        lambda value: "none" if value.strip().lower() == "none" else period_of(value),
        "a number and a unit, such as 2days, or none",
    ),
    "netapp:snaplock_min_retention_period": _RETENTION,
    "netapp:snaplock_max_retention_period": _RETENTION,
    "netapp:snaplock_default_retention_period": _RETENTION,
    TRANSFER_SIZE: _Spec(
        lambda value: _whole(value, least=LEAST_TRANSFER_BYTES, most=MOST_TRANSFER_BYTES),
        f"a whole number from {LEAST_TRANSFER_BYTES} to {MOST_TRANSFER_BYTES}",
    ),
    "netapp:force_delete_time_minutes": _Spec(lambda value: _whole(value, most=10**7), "a whole number of minutes"),
    AUTOSIZE: _choice("off", "grow", "grow_shrink"),
    AUTOSIZE_PERCENT: _Spec(
        lambda value: _whole(value, least=_LEAST_AUTOSIZE_PERCENT, most=_MOST_AUTOSIZE_PERCENT),
        f"a whole number from {_LEAST_AUTOSIZE_PERCENT} to {_MOST_AUTOSIZE_PERCENT}",
    ),
    "ontap:security_style": _choice("unix", "ntfs", "mixed"),
    "ontap:tiering_policy": _choice("none", "auto", "snapshot_only", "all"),
    "ontap:snapshot_reserve_percent": _Spec(
        lambda value: _whole(value, most=_MOST_RESERVE_PERCENT), f"a whole number, {_MOST_RESERVE_PERCENT} at most"
    ),
    "ontap:unix_permissions": _Spec(_permissions_of, "three or four octal digits, such as 0750"),
}
"""Those with a scope, each with what its value can be."""

_UNSCOPED: Final[Mapping[str, _Spec]] = {
    **dict.fromkeys(STANDARD, _FLAG),
    "qos": _FLAG,
    "netapp_flexvol_encryption": _FLAG,
    "netapp_aggregate_encryption": _FLAG,
    "netapp_flexgroup": _FLAG,
    "ontap_qtree": _FLAG,
    "netapp_snaplock_type": _SNAPLOCK,
}

_REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(
        (
            "netapp:fpolicy_extensions_to_include",
            "netapp:fpolicy_extensions_to_exclude",
            "netapp:fpolicy_file_operations",
        ),
        ("this driver makes no FPolicy policies", "make the policy on the array, for the SVM, and remove the spec"),
    ),
    "netapp:udp_max_xfer_size": ("ONTAP's REST API has no such field", "remove the spec"),
}


_QOS_TYPES: Final = (
    "default_qos_type",
    "policy_type",
    "capacity_shared",
    "expected_iops",
    "peak_iops",
    "expected_iops_allocation",
    "peak_iops_allocation",
    "absolute_min_iops",
    "block_size",
)
"""What Manila asks of a QoS type, which is a resource of its own there; in a share type no pool has it."""


def is_scoped(key: str) -> bool:
    """Tell whether a spec is the driver's by its scope: what is wrong with it is told of the type, and not of each share again."""
    return ":" in key and key.partition(":")[0] in SCOPES


class Asked:
    """What a share type asks for; a wrong value, which is refused elsewhere, counts as none."""

    def __init__(self, extra_specs: Mapping[str, str]) -> None:
        """Read those that the driver knows."""
        self._values = {
            key: spec.read(extra_specs[key])
            for key, spec in (*EXTRA_SPECS.items(), *_UNSCOPED.items())
            if key in extra_specs
        }

    def value(self, key: str) -> Any:  # noqa: ANN401 - a truth, a number or a text, as the table says
        """Return the value, None where there is none."""
        return self._values.get(key)

    def flag(self, key: str) -> bool:
        """Return whether it is asked for, by its spec or by the capability that stands for it."""
        value = self._values.get(key)
        if value is None:
            value = next((self._values.get(plain) for plain, scoped in STANDARD.items() if scoped == key), None)
        return bool(value)


def extra_spec_problems(extra_specs: Mapping[str, str]) -> Iterator[ShareProblem]:
    """Yield what the driver cannot make sense of, each spec by itself."""
    for key, value in extra_specs.items():
        spec = EXTRA_SPECS.get(key) or _UNSCOPED.get(key)
        if key in _QOS_TYPES:
            yield ShareProblem(
                ("extra_specs", key),
                f"the ontap driver does not honour {key}: it is of Manila's QoS types, and sharectl has none",
                "write `qos: <is> True` with limits such as netapp:maxiopspergib, or netapp:adaptive_qos_policy_group, and remove the spec",
            )
        elif key in _REFUSED:
            reason, remedy = _REFUSED[key]
            yield ShareProblem(("extra_specs", key), f"the ontap driver does not honour {key}: {reason}", remedy)
        elif spec is None:
            if is_scoped(key):
                yield unknown_extra_spec(key, "ontap", tuple(EXTRA_SPECS))
        elif spec.read(value) is None:
            near = did_you_mean(value, spec.choices) if spec.choices else ""
            yield ShareProblem(
                ("extra_specs", key),
                f"the extra spec {key} of the share type is {value!r}; it can be {spec.words}",
                near or f"write {spec.words}",
            )


def combination_problems(extra_specs: Mapping[str, str]) -> Iterator[ShareProblem]:
    """Yield what does not go together, for a type of shares that this driver is to make."""
    asked = Asked(extra_specs)
    if asked.flag("netapp:compression") and not asked.flag("netapp:dedup"):
        key = next(key for key in ("netapp:compression", "compression") if key in extra_specs)
        yield _problem(key, "which needs deduplication", "write `dedupe: <is> True` too, or leave it out")
    for one, other in (
        ("netapp:max_files", "netapp:max_files_multiplier"),
        ("netapp_flexvol_encryption", "netapp_aggregate_encryption"),
    ):
        if asked.value(one) and asked.value(other):
            yield _problem(other, f"and for {one}; only one of the two can hold", f"remove {one} or {other}")
    if asked.value(AUTOSIZE_PERCENT) is not None and asked.value(AUTOSIZE) in {None, "off"}:
        yield _problem(AUTOSIZE_PERCENT, f"which holds with {AUTOSIZE} alone", f"write `{AUTOSIZE}: grow` too")
    yield from _qos_problems(asked)
    yield from _retention_problems(asked)
    if asked.value("netapp_snaplock_type") is None:
        for key in extra_specs:
            if key.startswith("netapp:snaplock_") and asked.value(key) is not None:
                yield _problem(
                    key,
                    "and names no netapp_snaplock_type, without which nothing is retained",
                    "write `netapp_snaplock_type: enterprise` or `compliance` too",
                )


def _retention_problems(asked: Asked) -> Iterator[ShareProblem]:
    """Yield what of the periods that files are retained for cannot be: a minimum above the maximum, a default outside of both."""
    least, most, usual = (asked.value(f"netapp:snaplock_{name}_retention_period") for name in ("min", "max", "default"))
    if exceeds(least, most):
        yield _problem(
            "netapp:snaplock_min_retention_period",
            f"{least}, and for a shorter maximum, {most}",
            "write a shorter minimum, or a longer maximum",
        )
    elif exceeds(least, usual) or exceeds(usual, most):
        yield _problem(
            "netapp:snaplock_default_retention_period",
            f"{usual}, which is not between the minimum and the maximum",
            "write a period between netapp:snaplock_min_retention_period and netapp:snaplock_max_retention_period",
        )


def exceeds(one: str | None, other: str | None) -> bool:
    """Tell whether a period is certainly longer than another; months and years have no certain number of days."""
    if one is None or other is None or "infinite" in {one, other}:
        return one == "infinite" and other not in {None, "infinite"}
    one_months, other_months = _months(one), _months(other)
    if one_months is not None and other_months is not None:
        return one_months > other_months
    return _days(one, least=True) > _days(other, least=False)


def _months(period: str) -> int | None:
    number = int(re.sub(r"\D", "", period))
    return None if "T" in period or period[-1] not in "YM" else number * (12 if period[-1] == "Y" else 1)


def _days(period: str, *, least: bool) -> float:
    number = int(re.sub(r"\D", "", period))
    if "T" in period:
        return number / (24 if period[-1] == "H" else 24 * 60)
    return number * {"D": 1, "M": 28 if least else 31, "Y": 365 if least else 366}[period[-1]]


def transfer_problem(extra_specs: Mapping[str, str], servers: ShareServerSettings | None) -> ShareProblem | None:
    """Return why shares cannot have the transfer size of their type, which whole servers have; `servers` are those of the backend, None where it makes none."""
    wanted = Asked(extra_specs).value(TRANSFER_SIZE)
    if wanted is None or (servers is not None and servers.transfer_bytes == wanted):
        return None
    if servers is None:
        return _problem(
            TRANSFER_SIZE,
            "which the NFS service of a whole SVM has, and this backend's SVM is its administrator's",
            "set `transport.tcp_max_transfer_size` of its NFS service on the array, and remove the spec",
        )
    return _problem(
        TRANSFER_SIZE,
        f"{wanted}, and share servers of this backend have {servers.transfer_bytes}",
        f"write `shareServers: {{tcpMaxTransferSize: {wanted}}}` in the backend's config, or choose another backend",
    )


def _qos_problems(asked: Asked) -> Iterator[ShareProblem]:
    limits = [key for key in (*MAXIMUMS, *MINIMUMS) if asked.value(key) is not None]
    if asked.value("qos") and asked.value("netapp:adaptive_qos_policy_group") is not None:
        yield _problem(
            "netapp:adaptive_qos_policy_group",
            "and for `qos`; a volume has one QoS policy",
            "remove `qos` with its limits, or the adaptive policy group",
        )
    elif asked.value("qos") and not limits:
        yield _problem("qos", "and gives no limit", f"write one of {', '.join((*MAXIMUMS, *MINIMUMS))} too")
    elif limits and not asked.value("qos"):
        yield _problem(limits[0], "which holds with `qos` alone", "write `qos: <is> True` too")
    for several in (MAXIMUMS, MINIMUMS):
        given = [key for key in limits if key in several]
        if len(given) > 1:
            yield _problem(
                given[1],
                f"and for {given[0]}; a policy has one such limit",
                f"remove one of {' and '.join(given)}",
            )
    for most, least in zip(MAXIMUMS, MINIMUMS, strict=True):
        if asked.value(most) is not None and (asked.value(least) or 0) > asked.value(most):
            yield _problem(least, f"and for a lower {most}", "write a lower minimum, or a higher maximum")


def _problem(key: str, words: str, remedy: str) -> ShareProblem:
    return ShareProblem(("extra_specs", key), f"the share type asks for {key}, {words}", remedy)
