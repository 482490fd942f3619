"""Access to qtrees over NFS: each has an export policy of its own, and is given another in one step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.access import as_asked, asked_in
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.exports import leftover, owner_of_policy, read, render, treatment_of
from sharectl.drivers.ontap.names import CLOSED_POLICY
from sharectl.drivers.ontap.qtrees.names import (
    MOST_ASKED,
    PASSAGE_POLICY,
    Marks,
    policy_name,
    pool_of_container,
    read_name,
    read_policy_name,
)
from sharectl.model.access import BOTH, CIFS, NFS, AccessRule
from sharectl.model.precedence import network_of
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.exports import Treatment
    from sharectl.drivers.ontap.policies import Policies
    from sharectl.drivers.ontap.qtrees.records import Qtree, Qtrees
    from sharectl.drivers.ontap.volumes import Volume
    from sharectl.model.access import ExportSettings
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import ShareRef

STYLES: Final[Mapping[str, str]] = {NFS: "unix", CIFS: "ntfs", BOTH: "mixed"}
"""The security style of a new qtree by its protocols; it says them as long as its policy does not."""
_PROTOCOLS: Final = {style: protocol for protocol, style in STYLES.items()}
_NO_POLICIES: Final = frozenset({918271, 1703954, 5242952})


def options_problem(active: Collection[AccessRule], rules: Sequence[JsonObject], treatment: Treatment) -> str | None:
    """Return why a set of rules cannot be remembered as it was asked for, None where it can."""
    if len(asked_in(active, rules, treatment).rstrip("0")) <= MOST_ASKED:
        return None
    return (
        f"more than {MOST_ASKED} rules of a qtree share say how their clients are treated although all are treated so, which a qtree has "
        "no place to remember"
    )


def marks_of(qtree: Qtree) -> Marks:
    """Return what is remembered of a share: by its policy, else by its style. One without the id in its name is known by its place."""
    place = "" if read_name(qtree.name)[0] == qtree.owner else qtree.place
    marked = read_policy_name(qtree.policy)
    if marked is not None and marked[0] == qtree.owner:
        return replace(marked[1], place=place)
    return Marks(_PROTOCOLS.get(qtree.style, NFS), place=place)


def marks_among(qtree: Qtree, names: Iterable[str]) -> Marks:
    """Return what is remembered of a share, and by which of the policies with these names that it is in the trash: somebody may have given it another."""
    found = marks_of(qtree)
    if qtree.policy == CLOSED_POLICY or owner_of_policy(qtree.policy) == qtree.owner:
        return found
    for owner, marks in filter(None, map(read_policy_name, names)):
        if owner == qtree.owner and marks.trashed:
            return replace(found, protocol=marks.protocol, trashed=marks.trashed)
    return found


class QtreeAccess:
    """Puts rules in force on qtrees, and reads them back."""

    def __init__(self, qtrees: Qtrees, policies: Policies, usual: Treatment) -> None:
        """Treat clients so where neither a share nor a rule says otherwise."""
        self._qtrees, self._policies, self._usual = qtrees, policies, usual

    def update(  # noqa: PLR0913 - what decides on the rules of a share
        self,
        share: ShareRef,
        qtree: Qtree,
        marks: Marks,
        rules: Collection[AccessRule],
        passage: JsonObject | None,
        *,
        cleans: bool,
    ) -> Mapping[AccessRule, RuleStatus]:
        """Make these the NFS clients of a qtree. `passage` is the policy of its volume where not all may pass; where it `cleans`, policies left over go."""
        treatment = self._treatment(share, marks)
        kept_out = {} if passage is None else _stopped(rules, passage, self._usual)
        rendered = render([rule for rule in rules if rule not in kept_out], treatment)
        active = [rule for rule, status in rendered.statuses.items() if status.status == "active"]
        if (problem := options_problem(active, rendered.rules, treatment)) is not None:
            raise DriverError(problem)
        asked = asked_in(active, rendered.rules, treatment)
        told = replace(marks, treatment=treatment, asked=asked) if rendered.rules else _closed(marks)
        self.give(qtree, rendered.rules, told, cleans=cleans)
        return {**rendered.statuses, **kept_out}

    def close(self, qtree: Qtree, marks: Marks | None = None, more: JsonObject | None = None) -> Qtree:
        """Let nobody in over NFS any more, and change other fields in the same step."""
        return self.give(qtree, [], _closed(marks_of(qtree) if marks is None else marks), more, cleans=True)

    def give(
        self,
        qtree: Qtree,
        rules: Sequence[JsonObject],
        marks: Marks,
        more: JsonObject | None = None,
        *,
        cleans: bool = False,
    ) -> Qtree:
        """Give a qtree a policy with these rules, whose name says these marks, in one step; what it had of its own goes."""
        owner = qtree.owner
        if owner is None:
            raise AssertionError
        name, policy_id = self._policy(qtree, owner, rules, marks)
        if name != qtree.policy or more:
            fields = {**(more or {}), "export_policy": {"name": name}}
            try:
                self._qtrees.change(qtree, fields)
            except ArrayError as problem:
                if problem.code not in _NO_POLICIES or name != CLOSED_POLICY:
                    raise
                self._policies.ensure_closed(qtree.svm)
                self._qtrees.change(qtree, fields)
        old = {qtree.policy_id} if owner_of_policy(qtree.policy) == owner and qtree.policy != name else set()
        if cleans:
            old |= {each["id"] for each in self._policies.of_share(qtree.svm, owner) if each["name"] != name}
        self._policies.remove(sorted(each for each in old if each is not None))
        return self._qtrees.remember(replace(qtree, policy=name, policy_id=policy_id))

    def _policy(self, qtree: Qtree, owner: str, rules: Sequence[JsonObject], marks: Marks) -> tuple[str, int | None]:
        says_style = marks == Marks(_PROTOCOLS.get(qtree.style, NFS))
        if not rules and says_style and self._policies.is_closed(qtree.svm):
            return CLOSED_POLICY, None
        return self._policies.make(qtree.svm, owner, rules, lambda attempt: policy_name(owner, rules, marks, attempt))

    def _treatment(self, share: ShareRef, marks: Marks) -> Treatment:
        if share.export_settings is not None:
            return treatment_of(share.export_settings)
        return marks.treatment or self._usual

    def remove_policies(self, svm: str, resource_id: str) -> None:
        """Remove all policies that were made for a share."""
        self._policies.remove(sorted(each["id"] for each in self._policies.of_share(svm, resource_id)))

    def listed(
        self, qtree: Qtree, policies: Mapping[int, JsonObject], unused: Iterable[str]
    ) -> tuple[tuple[AccessRule, ...], ExportSettings | None]:
        """Return the rules in force on a qtree, and how its clients are treated, None where it has no rules."""
        remarks = [leftover(name) for name in sorted(unused)]
        policy = policies.get(qtree.policy_id or 0)
        if qtree.policy == CLOSED_POLICY and not (policy or {}).get("rules"):
            return tuple(remarks), None
        if policy is None:
            gone = AccessRule("ip", f"unreadable: the export policy {qtree.policy!r} is not listed", "rw")
            return (gone, *remarks), None
        is_own = qtree.owner is not None and owner_of_policy(qtree.policy) == qtree.owner
        marks = marks_of(qtree)
        treatment = marks.treatment or self._usual
        found = read(policy.get("rules", ()), treatment)
        if not is_own:
            if qtree.owner is not None and qtree.policy != CLOSED_POLICY:
                words = f"changed: the qtree has the export policy {qtree.policy}, which sharectl did not give it"
                remarks.append(AccessRule("ip", words, "none"))
            return (*found, *remarks), treatment.settings()
        real = sum(not rule.is_remark for rule in found)
        rules = as_asked(found, marks.asked.ljust(real, "0"), treatment) if marks.asked else found
        return (*rules, *remarks), treatment.settings() if policy.get("rules") else None


def _closed(marks: Marks) -> Marks:
    return replace(marks, treatment=None, asked="")


def _stopped(rules: Collection[AccessRule], passage: JsonObject, usual: Treatment) -> dict[AccessRule, RuleStatus]:
    """Return the rules for clients that the policy of the volume does not let pass."""
    name = passage.get("name")
    passing = [
        network_of(rule.access_to) for rule in read(passage.get("rules", ()), usual) if rule.access_level != "none"
    ]
    open_to = [network for network in passing if network is not None]
    barred = [
        network_of(rule.access_to) for rule in read(passage.get("rules", ()), usual) if rule.access_level == "none"
    ]
    found = {}
    for rule in rules:
        network = network_of(rule.access_to) if rule.access_type == "ip" and not rule.is_remark else None
        if network is None or rule.access_level == "none":
            continue
        is_open = any(network.is_within(each) for each in open_to)
        if not is_open or any(each is not None and each.is_within(network) for each in barred):
            reason = (
                f"the export policy {name} of the volume that the qtree is in does not let all of {rule.access_to} pass"
            )
            found[rule] = RuleStatus("error", reason)
    return found


def passage_problem(
    volume: Volume, policies: Mapping[int, JsonObject], rules: Collection[AccessRule], usual: Treatment
) -> str:
    """Return which clients of a qtree the policy of its volume keeps out, empty where it lets all pass."""
    policy = policies.get(volume.policy_id or 0)
    if policy is None:
        return f"the export policy {volume.policy!r} of its volume is not listed"
    stopped = _stopped(rules, policy, usual)
    return next((status.reason for status in stopped.values()), "")


def is_passage(volume: Volume) -> bool:
    """Tell whether a volume is one of sharectl's for qtrees, and has the policy by which all may pass."""
    return pool_of_container(volume.record.get("comment")) is not None and volume.policy == PASSAGE_POLICY
