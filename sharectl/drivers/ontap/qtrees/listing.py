"""Qtrees as the backend lists them: with their limits, the access that their export policies give, and the addresses that they are mounted from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.exports import read, same_rules
from sharectl.drivers.ontap.locations import Places, export_locations, preferred_first
from sharectl.drivers.ontap.qtrees.access import QtreeAccess, is_passage, marks_among, passage_problem
from sharectl.drivers.ontap.qtrees.containers import PASSAGE_RULES
from sharectl.drivers.ontap.qtrees.names import pool_of_container, read_policy_name, time_in
from sharectl.drivers.ontap.qtrees.quotas import holds, limit_in, used_in, why_not_in_force
from sharectl.drivers.ontap.qtrees.records import Qtree, copies_among, parent_of, with_owners
from sharectl.drivers.ontap.qtrees.smb import above, access_over_smb, exports_of
from sharectl.drivers.ontap.smb_access import SmbListed
from sharectl.drivers.ontap.volumes import why_not_adoptable, why_not_served
from sharectl.model.access import BOTH, CIFS, NFS, AccessRule, protocols_in
from sharectl.model.observed import ObservedShare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.luns import BlockVolumes
    from sharectl.drivers.ontap.qtrees.quotas import Quotas
    from sharectl.drivers.ontap.qtrees.records import Qtrees
    from sharectl.drivers.ontap.settings import OntapSettings
    from sharectl.drivers.ontap.volumes import Volume
    from sharectl.model.canonical import JsonObject

Key = tuple[str, int]
_NONE_IN_FORCE: Final = "off"


@dataclass(frozen=True, slots=True)
class Around:
    """What qtrees are shown with: their volumes by UUID, policies by id, SMB shares, names of policies of shares that nothing has, where they are, their rules and reports, and how quotas are in volumes without."""

    volumes: Mapping[str, Volume]
    policies: Mapping[int, JsonObject] = field(default_factory=dict)
    smb: SmbListed = field(default_factory=SmbListed)
    unused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    rules: Mapping[Key, JsonObject] = field(default_factory=dict)
    reports: Mapping[Key, JsonObject] | None = None
    """None where it is known that limits hold."""
    states: Mapping[str, str] = field(default_factory=dict)


class QtreeListing:
    """Shows qtrees as shares."""

    def __init__(self, qtrees: Qtrees, quotas: Quotas, access: QtreeAccess, settings: OntapSettings) -> None:
        """List nothing yet."""
        self._qtrees, self._quotas, self._access, self._settings = qtrees, quotas, access, settings

    def may_be_there(self, volumes: Iterable[Volume], policies: Iterable[JsonObject]) -> bool:
        """Tell whether there may be qtrees that are shares, or may become some: else they are not looked at."""
        return (
            bool(self._settings.qtrees)
            or any(pool_of_container(each.record.get("comment")) is not None for each in volumes)
            or any(read_policy_name(str(policy["name"])) is not None for policy in policies)
        )

    def found(self, volumes: Sequence[Volume], policies: Sequence[JsonObject]) -> list[Qtree]:
        """Return the qtrees that are shares, or may become some: those that the array is removing are left out."""
        by_uuid = {volume.uuid: volume for volume in volumes}
        there = self._qtrees.still_there(with_owners(self._qtrees.all(), policies))
        there = [each for each in there if each.volume_uuid in by_uuid]
        return [each for each in there if each.owner is not None or by_uuid[each.volume_uuid].note is None]

    def limits(self, qtrees: Sequence[Qtree], around: Around) -> Around:
        """Return what is around them with their limits, and with whether these hold."""
        few = len(qtrees) <= len({each.volume_uuid for each in qtrees})
        if few:
            rules = {each.key: rule for each in qtrees if (rule := self._quotas.rule_of(each)) is not None}
        else:
            rules = self._quotas.rules()
        reports = self._reports(qtrees, few=few)
        states: dict[str, str] = {}
        silent = [each for each in qtrees if not holds(limit_in(rules.get(each.key)), reports.get(each.key))]
        if silent:
            states = self._quotas.states(sorted({each.volume_uuid for each in silent}))
            silent = [each for each in silent if states.get(each.volume_uuid) == "on"]
            if silent:  # a scan may have ended between the two
                reports = {**reports, **self._reports(silent, few=few)}
        return replace(around, rules=rules, reports=reports, states=states)

    def _reports(self, qtrees: Sequence[Qtree], *, few: bool) -> dict[Key, JsonObject]:
        if not few:
            return self._quotas.reports()
        return {each.key: report for each in qtrees if (report := self._quotas.report_of(each)) is not None}

    def shares(self, qtrees: Sequence[Qtree], around: Around, luns: BlockVolumes) -> list[ObservedShare]:
        """Return the shares that qtrees are, and those that they may become."""
        owners: dict[str, Qtree] = {}
        copies = copies_among(qtrees, {uuid: parent_of(volume.record) for uuid, volume in around.volumes.items()})
        for qtree in sorted(qtrees, key=lambda each: (not is_passage(around.volumes[each.volume_uuid]), each.key)):
            if qtree.owner is not None and qtree.key not in copies:
                owners.setdefault(qtree.owner, qtree)
        found = []
        for qtree in qtrees:
            if qtree.owner is not None:
                if qtree.key in copies:
                    why_not = self._copy(qtree, around.volumes[qtree.volume_uuid])
                else:
                    why_not = "" if owners[qtree.owner].key == qtree.key else self._twin(qtree)
                found.append(self.observed(qtree, around, why_not))
            elif self.pool_of(qtree, around) and (qtree.key in around.rules or _is_container(qtree, around)):
                found.append(self.observed(qtree, around, self._why_not(qtree, around, luns)))
        return found

    def _twin(self, qtree: Qtree) -> str:
        return f"its name or its export policy says that it is the share {qtree.owner}, which another qtree is; rename it, and give it another policy"

    @staticmethod
    def _copy(qtree: Qtree, volume: Volume) -> str:
        return f"it is a copy of the share {qtree.owner}: its volume {volume.name} is a clone of {parent_of(volume.record)}"

    def pool_of(self, qtree: Qtree, around: Around) -> str:
        """Return the pool that a qtree is in: that of its volume, else the one whose volumes are on the same aggregate; empty where there is none."""
        volume = around.volumes[qtree.volume_uuid]
        made_for = pool_of_container(volume.record.get("comment"))
        if made_for is not None:
            return made_for
        pools = {pool.aggregate: pool.name for pool in self._settings.qtrees}
        names = [pools[each] for each in volume.aggregates if each in pools]
        return names[0] if names else ""

    def _why_not(self, qtree: Qtree, around: Around, luns: BlockVolumes) -> str:
        """Return why a qtree that sharectl did not make cannot be taken over as it is; empty where it can."""
        volume = around.volumes[qtree.volume_uuid]
        if problem := why_not_adoptable(volume) or luns.why_not_adoptable(volume):
            return f"of the volume {volume.name}: {problem}"
        limit, report = limit_in(around.rules.get(qtree.key)), (around.reports or {}).get(qtree.key)
        if limit is None:
            return "it has no quota, and nobody knows how large it may become; make a rule of the type tree for it"
        if problem := why_not_in_force(limit, report, around.states.get(qtree.volume_uuid, _NONE_IN_FORCE)):
            return problem
        exports = exports_of(qtree, around.smb.by_volume.get(qtree.volume_uuid, ()))
        if any(record["name"] != qtree.name or record.get("path") != qtree.path for record in exports):
            return "it is exported over SMB under another name than its own, or a folder of it is"
        if pool_of_container(volume.record.get("comment")) is not None:
            return ""
        rules = read((around.policies.get(qtree.policy_id or 0) or {}).get("rules", ()), self._settings.treatment)
        return passage_problem(volume, around.policies, rules, self._settings.treatment)

    def observed(self, qtree: Qtree, around: Around, why_not: str = "") -> ObservedShare:
        """Return the share that a qtree is; `why_not` says why one that is nobody's cannot be taken over."""
        volume = around.volumes[qtree.volume_uuid]
        is_owned = qtree.owner is not None and not why_not
        unused = around.unused.get(qtree.owner or "", ())
        marks = marks_among(qtree, unused)
        access, settings = self._access.listed(qtree, around.policies, unused)
        exports = exports_of(qtree, around.smb.by_volume.get(qtree.volume_uuid, ()))
        protocol = marks.protocol
        if not is_owned:
            protocol = (BOTH if access else CIFS) if exports else NFS
        over_smb = access_over_smb(qtree, exports, above(qtree, around.smb) if is_owned else ())
        if is_owned and not marks.trashed:
            over_smb = (*over_smb, *self._remarks(qtree, volume, protocol, around))
        lifs = preferred_first(around.places.lifs, qtree.svm, self._home_of(volume, around.places))
        limit = limit_in(around.rules.get(qtree.key))
        return ObservedShare(
            resource_id=qtree.owner if is_owned else None,
            backend_id=self.backend_id(qtree),
            name=qtree.share_name,
            pool=self.pool_of(qtree, around),
            size_bytes=(limit or 0) if is_owned else limit,
            protocol=protocol,
            access=tuple(sorted((*access, *over_smb))),
            export_locations=() if marks.trashed else export_locations(lifs, qtree.path, protocol, qtree.share_name),
            trashed_at=time_in(marks.trashed) if is_owned and marks.trashed else None,
            share_server_id=around.places.servers.get(qtree.svm),
            not_adoptable=why_not,
            export_settings=settings if NFS in protocols_in(protocol) else None,
            used_bytes=_used_bytes(qtree, around),
        )

    def _remarks(self, qtree: Qtree, volume: Volume, protocol: str, around: Around) -> list[AccessRule]:
        """Return what keeps clients from a share whatever its rules, and what keeps its size from holding."""
        kind = "ip" if NFS in protocols_in(protocol) else "user"
        found = []
        if why := why_not_served(volume):
            found.append(AccessRule(kind, f"unserved: {why}", "none"))
        elif pool_of_container(volume.record.get("comment")) is not None and not self._lets_pass(volume, around):
            words = f"unserved: the volume {volume.name} does not let clients pass by its export policy {volume.policy}"
            found.append(AccessRule(kind, words, "none"))
        limit = limit_in(around.rules.get(qtree.key))
        if around.reports is not None and limit is not None:
            state = around.states.get(qtree.volume_uuid, _NONE_IN_FORCE)
            if why := why_not_in_force(limit, around.reports.get(qtree.key), state):
                found.append(AccessRule(kind, f"unlimited: {why}", "none"))
        return found

    @staticmethod
    def _lets_pass(volume: Volume, around: Around) -> bool:
        policy = around.policies.get(volume.policy_id or 0)
        return is_passage(volume) and (
            policy is None or same_rules(policy.get("rules", ()), [dict(rule) for rule in PASSAGE_RULES])
        )

    @staticmethod
    def _home_of(volume: Volume, places: Places) -> str | None:
        homes = {places.nodes.get(aggregate, "") for aggregate in volume.aggregates}
        return homes.pop() if len(homes) == 1 else None

    def backend_id(self, qtree: Qtree) -> str:
        """Return the array's own name for a share."""
        name = f"{qtree.volume}/{qtree.name}"
        return name if self._settings.svm is not None else f"{qtree.svm}/{name}"


def _used_bytes(qtree: Qtree, around: Around) -> int | None:
    """Return what the quotas of its volume have counted; None where they are off, or were not asked."""
    report = (around.reports or {}).get(qtree.key)
    return None if report is None else used_in(report)


def _is_container(qtree: Qtree, around: Around) -> bool:
    return pool_of_container(around.volumes[qtree.volume_uuid].record.get("comment")) is not None
