"""What a simulated backend refuses of a share, by its settings: asked by the calls, and before anything is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.share_checks import kept_out
from sharectl.model import export_names
from sharectl.model.access import ANYBODY, protocols_in
from sharectl.model.checks import ShareProblem
from sharectl.model.client_addresses import nobody_at
from sharectl.model.frozen import dataclass
from sharectl.model.quantities import format_size
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from sharectl.drivers.simulated.settings import Limits, SimulatedSettings
    from sharectl.model.access import AccessRule
    from sharectl.model.checks import WantedShare

    Settings: TypeAlias = "SimulatedSettings | ShareChecker"

_MAX_NAME_LENGTH: Final = 255
_ACTIVE: Final = RuleStatus("active")


@dataclass(frozen=True, slots=True)
class ShareChecker:
    """Checks shares for every backend that has these protocols and limits."""

    protocols: tuple[str, ...]
    limits: Limits

    def __call__(self, share: WantedShare) -> Sequence[ShareProblem]:
        """Return all problems of the share."""
        return tuple(_problems(self, share))


def _problems(settings: Settings, share: WantedShare) -> Iterator[ShareProblem]:
    if (problem := name_problem(share.name)) is not None:
        yield ShareProblem(("name",), problem, "give the share another name")
    if (problem := protocol_problem(settings, share.protocol)) is not None:
        yield ShareProblem(("protocol",), problem, f"choose {' or '.join(settings.protocols)}, or another backend")
    if (problem := export_name_problem(share.export_name, share.protocol)) is not None:
        yield ShareProblem(("export_name",), problem, "write another exportName, or none")
    if (problem := size_problem(settings, share.size_bytes)) is not None:
        yield ShareProblem(("size",), problem, "write another size")
    for rule, reason in refused_rules(settings, share.rules).items():
        yield ShareProblem(("access", rule.key), reason, "remove the rule, or see to `limits` of the backend")


def name_problem(name: str) -> str | None:
    """Return why no share can have this name, None where one can."""
    if name in {"", ".", ".."} or "/" in name or not name.isprintable() or len(name) > _MAX_NAME_LENGTH:
        return f"{name!r} cannot be the name of a share"
    return None


def protocol_problem(settings: Settings, protocol: str) -> str | None:
    """Return why shares cannot be exported over this protocol, None where they can."""
    missing = [wanted for wanted in protocols_in(protocol) if wanted not in settings.protocols]
    return f"the backend does not export over {missing[0]!r}" if missing else None


def export_name_problem(name: str | None, protocol: str) -> str | None:
    """Return why no share can be exported under the name, None where one can, or where it has none of its own."""
    wrong = None if name is None else export_names.problem(name, protocols_in(protocol))
    return None if wrong is None else f"no share can be exported as {name!r}: {wrong}"


def size_problem(settings: Settings, size_bytes: int) -> str | None:
    """Return why no share can be so large, None where one can."""
    limits = settings.limits
    if size_bytes < limits.min_size_bytes:
        return f"a share here has {format_size(limits.min_size_bytes)} at least, not {format_size(size_bytes)}"
    if size_bytes % limits.size_multiple_bytes:
        return f"the size of a share here is a multiple of {format_size(limits.size_multiple_bytes)}, not {format_size(size_bytes)}"
    return None


def refused_rules(settings: Settings, rules: Collection[AccessRule]) -> Mapping[AccessRule, str]:
    """Return the rules that the backend cannot put in force, with the reason of each."""
    limits = settings.limits
    refused: dict[AccessRule, str] = {}
    for number, rule in enumerate(sorted(rules)):
        nobody = nobody_at(rule.access_to) if rule.access_type == "ip" else None
        if nobody is not None:
            refused[rule] = f"{rule.access_to} {nobody.why}; {nobody.remedy}"
        elif limits.users is not None and rule.access_type == "user" and rule.access_to not in {*limits.users, ANYBODY}:
            refused[rule] = f"the backend knows no user {rule.access_to!r}"
        elif limits.max_rules is not None and number >= limits.max_rules:
            refused[rule] = f"a share here has {limits.max_rules} access rules at most"
    if not refused:
        return refused
    statuses = {rule: RuleStatus("error", refused[rule]) if rule in refused else _ACTIVE for rule in rules}
    return {**refused, **{rule: status.reason for rule, status in kept_out(statuses).items()}}
