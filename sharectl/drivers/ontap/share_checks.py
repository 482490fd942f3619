"""What an ontap backend cannot do, told before the array is reached, by the same functions that the calls ask."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.acls import refused, rules_for
from sharectl.drivers.ontap.exports import Treatment, render
from sharectl.drivers.ontap.extra_specs import (
    combination_problems,
    extra_spec_problems,
    is_scoped,
    transfer_problem,
)
from sharectl.drivers.ontap.flexgroups import size_problem as member_problem
from sharectl.drivers.ontap.qtrees import checks as of_qtrees
from sharectl.drivers.ontap.qtrees.settings import pool_called
from sharectl.drivers.ontap.sizes import size_problem
from sharectl.model import export_names
from sharectl.model.access import BOTH, CIFS, NFS, protocols_in
from sharectl.model.checks import ShareProblem, WantedShare
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.drivers.ontap.pools import FlexGroupPool
    from sharectl.drivers.ontap.qtrees.settings import QtreePool
    from sharectl.drivers.ontap.settings import OntapSettings, SmbSettings
    from sharectl.drivers.ontap.share_servers.settings import ShareServerSettings
    from sharectl.model.requests import ShareRequest

OTHER_POLICY: Final = "netapp:snapshot_policy"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,179}")
_NFS_REMEDY: Final = (
    "name an address or a network, with a level and options that an export rule has, or remove the rule"
)
_SMB_REMEDY: Final = r"name an account as Windows writes it, such as {type: user, to: 'CORP\alice'}, or remove the rule"


def name_problem(name: str) -> str | None:
    """Return why no share can be called so, None where one can."""
    if _NAME.fullmatch(name):
        return None
    return f"{name[:80]!r} cannot be a path of an SVM: it has letters, digits and `_ . -`, begins with a letter, a digit or `_`, and is not longer than 180"


def protocol_problem(protocol: str, smb: SmbSettings | None) -> str | None:
    """Return why nothing is exported over the protocol, None where something is."""
    if protocol not in {NFS, CIFS, BOTH}:
        return f"ONTAP exports over NFS and CIFS, not over {protocol!r}"
    if smb is None and protocol != NFS:
        return "the backend's config has no `smb`, so that it exports over NFS alone"
    return None


def smb_name_problem(name: str, protocol: str) -> str | None:
    """Return why users of SMB cannot see a share of this name, None where they can."""
    return export_names.problem(name, (CIFS,)) if CIFS in protocols_in(protocol) else None


def request_problem(request: ShareRequest, settings: OntapSettings) -> str | None:
    """Return why no share can be made as is asked for, None where one can."""
    is_qtree = pool_called(request.pool, settings.qtrees) is not None
    named = (
        name_problem(request.name)
        or protocol_problem(request.protocol, settings.smb)
        or smb_name_problem(request.name, request.protocol)
        or (None if is_qtree else size_problem(request.size_bytes))
        or member_problem(request.pool, request.size_bytes, settings.flexgroups)
    )
    if named is not None:
        return named
    asked = [*extra_spec_problems(request.extra_specs), *combination_problems(request.extra_specs)]
    if is_qtree:
        share = WantedShare(
            request.name, request.size_bytes, request.protocol, (), request.extra_specs, request.pool, None
        )
        asked += of_qtrees.problems(share, settings.qtrees, settings.treatment, settings.smb)
    if (transfer := transfer_problem(request.extra_specs, settings.share_servers)) is not None:
        asked.append(transfer)
    return asked[0].summary if asked else None


@dataclass(frozen=True, slots=True)
class ShareChecker:
    """Checks shares for backends whose clients are treated so, and with these pools of FlexGroups."""

    usual: Treatment
    smb: SmbSettings | None = None
    flexgroups: tuple[FlexGroupPool, ...] = ()
    qtrees: tuple[QtreePool, ...] = ()
    share_servers: ShareServerSettings | None = None

    def __call__(self, share: WantedShare) -> Sequence[ShareProblem]:
        """Return all problems of the share."""
        return tuple(self._problems(share))

    def _problems(self, share: WantedShare) -> Iterator[ShareProblem]:
        if (problem := name_problem(share.name)) is not None:
            yield ShareProblem(("name",), problem, "give the share another name")
        is_qtree = of_qtrees.is_asked_for(share.extra_specs) or pool_called(share.pool, self.qtrees) is not None
        if not is_qtree and (problem := size_problem(share.size_bytes)) is not None:
            yield ShareProblem(("size",), problem, "write a larger size, or one in MiB or GiB")
        if (problem := member_problem(share.pool, share.size_bytes, self.flexgroups)) is not None:
            yield ShareProblem(("size",), problem, "write a larger size, or choose a type without netapp_flexgroup")
        yield from (each for each in extra_spec_problems(share.extra_specs) if not is_scoped(each.path[1]))
        yield from combination_problems(share.extra_specs)
        if (transfer := transfer_problem(share.extra_specs, self.share_servers)) is not None:
            yield transfer
        yield from _policy_problems(share)
        if (problem := protocol_problem(share.protocol, self.smb)) is not None:
            remedy = "write NFS, or `smb: {}` in the backend's config where its SVM has a CIFS server"
            yield ShareProblem(("protocol",), problem, remedy)
            return
        if (problem := smb_name_problem(share.name, share.protocol)) is not None:
            yield ShareProblem(("name",), problem, "give the share another name")
        yield from self._rule_problems(share)
        yield from of_qtrees.problems(share, self.qtrees, self.usual, self.smb)

    def _rule_problems(self, share: WantedShare) -> Iterator[ShareProblem]:
        hosts, people, statuses = rules_for(share.protocol, share.rules, self.smb)
        statuses = {**render(hosts, self.usual).statuses, **refused(people), **statuses}
        for rule, status in statuses.items():
            if status.status != "active":
                yield ShareProblem(("access", rule.key), status.reason, _NFS_REMEDY if rule in hosts else _SMB_REMEDY)


def _policy_problems(share: WantedShare) -> Iterator[ShareProblem]:
    """Yield why the array takes no snapshots by the policy of a share."""
    if share.snapshot_policy is None:
        return
    from sharectl.drivers.ontap.snapshot_times import policy_problem  # noqa: PLC0415 - few shares have a policy

    if (problem := policy_problem(share.snapshot_policy)) is not None:
        yield ShareProblem(("snapshot_policy",), *problem)
    if (named := share.extra_specs.get(OTHER_POLICY)) is not None:
        summary = f"the share type names the snapshot policy {named} ({OTHER_POLICY}), and a volume follows one"
        remedy = f"remove {OTHER_POLICY} from the type, or snapshotPolicy; of its share type: write `snapshotPolicy: {{}}` in the share"
        yield ShareProblem(("snapshot_policy",), summary, remedy)
