"""What an ontap backend cannot do, told before the array is reached, by the same functions that the calls ask."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.exports import Treatment, render
from sharectl.drivers.ontap.sizes import size_problem
from sharectl.model.access import NFS
from sharectl.model.checks import ShareProblem
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.checks import WantedShare

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,179}")
_RULE_REMEDY: Final = (
    "name an address or a network, with a level and options that an export rule has, or remove the rule"
)


def name_problem(name: str) -> str | None:
    """Return why no share can be called so, None where one can."""
    if _NAME.fullmatch(name):
        return None
    return f"{name[:80]!r} cannot be a path of an SVM: it has letters, digits and `_ . -`, begins with a letter, a digit or `_`, and is not longer than 180"


def protocol_problem(protocol: str) -> str | None:
    """Return why nothing is exported over the protocol, None where something is."""
    return None if protocol == NFS else f"the ontap driver exports over NFS alone as yet, not over {protocol!r}"


def share_problem(name: str, protocol: str, size_bytes: int) -> str | None:
    """Return why no share can be made so, None where one can."""
    return name_problem(name) or protocol_problem(protocol) or size_problem(size_bytes)


@dataclass(frozen=True, slots=True)
class ShareChecker:
    """Checks shares for backends whose clients are treated so."""

    usual: Treatment

    def __call__(self, share: WantedShare) -> Sequence[ShareProblem]:
        """Return all problems of the share."""
        return tuple(self._problems(share))

    def _problems(self, share: WantedShare) -> Iterator[ShareProblem]:
        if (problem := name_problem(share.name)) is not None:
            yield ShareProblem(("name",), problem, "give the share another name")
        if (problem := size_problem(share.size_bytes)) is not None:
            yield ShareProblem(("size",), problem, "write a larger size, or one in MiB or GiB")
        if (problem := protocol_problem(share.protocol)) is not None:
            yield ShareProblem(("protocol",), problem, "write NFS, or choose another backend")
            return
        for rule, status in render(share.rules, self.usual).statuses.items():
            if status.status != "active":
                yield ShareProblem(("access", rule.key), status.reason, _RULE_REMEDY)
