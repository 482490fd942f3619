"""Access over NFS: changed by giving the volume another export policy, in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.exports import LEFTOVER, leftover, read, render, treatment_of
from sharectl.drivers.ontap.names import CLOSED_POLICY
from sharectl.drivers.ontap.volumes import ASKED_NOTE, POLICY_NOTE, TREATMENT_NOTE, check_served, noted
from sharectl.model.access import AccessRule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.exports import Treatment
    from sharectl.drivers.ontap.names import Note
    from sharectl.drivers.ontap.policies import Policies
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.access import ExportSettings
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import RuleStatus, ShareRef

_NO_POLICY = 918271
_RENAMED = "renamed: the export policy is called"
_SWITCHED = "changed: the volume has the export policy"


class Access:
    """Puts rules in force on shares, and reads them back."""

    def __init__(self, volumes: Volumes, policies: Policies, usual: Treatment) -> None:
        """Treat clients so where neither a share nor a rule says otherwise."""
        self._volumes, self._policies, self._usual = volumes, policies, usual

    def update(
        self, share: ShareRef, rules: Collection[AccessRule], *, repairs: bool
    ) -> Mapping[AccessRule, RuleStatus]:
        """Make these the NFS clients of a share: a new policy with all its rules, the switch, and the end of the old one.

        Where it `repairs`, nothing that was seen before counts, and policies of the share that are left over go as well.
        """
        volume = None if repairs else self._volumes.known(share.resource_id)
        is_known = volume is not None
        if volume is None:
            volume = self._volumes.needed(share.resource_id)
        if repairs:
            check_served(self._volumes.array, volume)
        treatment = self._treatment(share, volume)
        rendered = render(rules, treatment)
        active = [rule for rule, status in rendered.statuses.items() if status.status == "active"]
        old = {volume.policy_id} if volume.has_own_policy and volume.policy_id is not None else set[int]()
        if not is_known:
            old |= {policy["id"] for policy in self._policies.of_share(volume.svm, share.resource_id)}
        if repairs and not rendered.rules:
            self._policies.closed(volume.svm)
        now = self._switch(volume, rendered.rules, active, treatment)
        self._policies.remove(sorted(old - {now.policy_id}))
        if not rendered.rules:
            self._policies.check_closed(volume.svm)
        return rendered.statuses

    def is_closed(self, volume: Volume) -> bool:
        """Tell whether the volume has the policy that is for shares without NFS clients, and that lets nobody in."""
        return volume.policy == CLOSED_POLICY and self._policies.is_closed(volume.svm)

    def close(self, volume: Volume, more: JsonObject | None = None) -> Volume:
        """Let nobody in over NFS any more, and change other fields in the same step; policies of the share go."""
        if volume.note is None:
            message = f"the volume {volume.name} is not sharectl's"
            raise DriverError(message)
        closed = self._give_closed(volume, volume.note, more)
        policies = self._policies.of_share(volume.svm, volume.note.resource_id)
        own = {policy["id"] for policy in policies}
        if volume.has_own_policy and volume.policy_id is not None:
            own.add(volume.policy_id)
        self._policies.remove(sorted(own - {closed.policy_id}))
        return closed

    def remove_policies(self, svm: str, resource_id: str) -> None:
        """Remove all policies that were made for a share."""
        self._policies.remove(sorted(policy["id"] for policy in self._policies.of_share(svm, resource_id)))

    def _treatment(self, share: ShareRef, volume: Volume) -> Treatment:
        """Return how clients are to be treated: as is asked for now, or as they are."""
        if share.export_settings is not None:
            return treatment_of(share.export_settings)
        return self._noted_treatment(volume.note)

    def _noted_treatment(self, note: Note | None) -> Treatment:
        text = None if note is None else note.values.get(TREATMENT_NOTE)
        if not text:
            return self._usual
        squash, uid, flavours = [*text.split("/"), "", ""][:3]
        return treatment_of({"squash": squash, "anonymousUid": uid, "security": flavours})

    def _switch(
        self, volume: Volume, rules: Sequence[JsonObject], active: Collection[AccessRule], treatment: Treatment
    ) -> Volume:
        """Give the volume a policy with these rules, at once."""
        if volume.note is None:
            raise AssertionError
        if not rules:
            return self._give_closed(volume, volume.note)
        name, policy_id = self._policies.make(volume.svm, volume.note.resource_id, rules)
        values = {
            TREATMENT_NOTE: "/".join((treatment.squash, treatment.anonymous_uid, ",".join(treatment.security))),
            **({} if policy_id is None else {POLICY_NOTE: str(policy_id)}),
        }
        asked = asked_in(active, rules, treatment)
        note = volume.note.without(ASKED_NOTE).having(**values, **({ASKED_NOTE: asked} if asked else {}))
        return self._give(volume, name, policy_id, note)

    def _give_closed(self, volume: Volume, note: Note, more: JsonObject | None = None) -> Volume:
        """Give the volume the policy without rules; one of its own without any, where somebody has put rules into that."""
        if self._policies.is_closed(volume.svm):
            return self._give(volume, CLOSED_POLICY, None, self._without_rules(note), more)
        name, policy_id = self._policies.make(volume.svm, note.resource_id, [])
        return self._give(volume, name, policy_id, self._without_rules(note), more)

    def _give(
        self, volume: Volume, policy: str, policy_id: int | None, note: Note, more: JsonObject | None = None
    ) -> Volume:
        """Give the volume a policy by its name; what its comment remembers of it changes in the same step."""
        fields: JsonObject = {**(more or {}), **noted(volume, note)}
        fields["nas"] = {**fields.get("nas", {}), "export_policy": {"name": policy}}
        try:
            changed = self._volumes.change(volume, fields)
        except ArrayError as problem:
            if problem.code != _NO_POLICY or policy != CLOSED_POLICY:
                raise
            self._policies.ensure_closed(volume.svm)
            changed = self._volumes.change(volume, fields)
        changed = changed.with_values({"nas": {"export_policy": {"id": policy_id}}})
        return self._volumes.remember(volume_with_note(changed, note))

    def _without_rules(self, note: Note) -> Note:
        return note.without(POLICY_NOTE, TREATMENT_NOTE, ASKED_NOTE)

    def listed(
        self, volume: Volume, policies: Mapping[int, JsonObject], unused: Iterable[str]
    ) -> tuple[tuple[AccessRule, ...], ExportSettings | None]:
        """Return the rules in force on a volume, and how its clients are treated, None where it has no rules.

        `policies` are all policies by their ids, `unused` the names of those made for the share that no volume has.
        """
        remarks = [leftover(name) for name in sorted(unused)]
        policy = policies.get(volume.policy_id or 0)
        if volume.policy == CLOSED_POLICY and not (policy or {}).get("rules"):
            return tuple(remarks), None
        if policy is None:
            return (
                AccessRule("ip", f"unreadable: the export policy {volume.policy!r} is not listed", "rw"),
                *remarks,
            ), None
        treatment = self._noted_treatment(volume.note)
        rules = read(policy.get("rules", ()), treatment)
        if volume.note is not None:
            rules = as_asked(rules, volume.note.values.get(ASKED_NOTE, ""), treatment)
            remarks += _remarks_on(volume)
        return (*rules, *remarks), treatment.settings()


def _remarks_on(volume: Volume) -> list[AccessRule]:
    """Return what is to be said of a policy that is not the one that sharectl gave the volume, or is called otherwise now."""
    note = volume.note
    given = None if note is None else note.values.get(POLICY_NOTE)
    if note is None or given is None:
        return []
    if given != str(volume.policy_id):
        return [AccessRule("ip", f"{_SWITCHED} {volume.policy}, which sharectl did not give it", "none")]
    if not volume.policy.startswith(f"sharectl_{note.resource_id}_"):
        return [AccessRule("ip", f"{_RENAMED} {volume.policy} now", "none")]
    return []


def volume_with_note(volume: Volume, note: Note) -> Volume:
    """Return the volume as it is with this note in its comment."""
    return type(volume)(volume.record, note)


def asked_in(active: Collection[AccessRule], rules: Sequence[JsonObject], treatment: Treatment) -> str:
    """Return which options were asked for although they change nothing, as a digit for each rule in their order; empty where none was.

    The array has no place for them, and they are listed as they were asked for.
    """
    told = {rule.key: rule for rule in read(rules, treatment)}
    digits = [_digit(rule, told.get(rule.key)) for rule in sorted(active, key=lambda each: each.key)]
    return "".join(digits) if any(digit != "0" for digit in digits) else ""


_OPTIONS = ("squash", "anonymousUid", "security")


def _digit(asked: AccessRule, told: AccessRule | None) -> str:
    wanted, found = dict(asked.options), dict(told.options if told is not None else ())
    return str(sum(1 << place for place, name in enumerate(_OPTIONS) if name in wanted and name not in found))


def as_asked(rules: Sequence[AccessRule], asked: str, treatment: Treatment) -> tuple[AccessRule, ...]:
    """Return rules with the options that `asked_in` has told."""
    real = sorted((rule for rule in rules if not rule.is_remark), key=lambda each: each.key)
    if len(asked) != len(real):
        return tuple(rules)
    usual = dict(treatment.settings())
    found = []
    for rule, digit in zip(real, asked, strict=True):
        bits = int(digit) if digit.isdigit() else 0
        more = {name: usual[name] for place, name in enumerate(_OPTIONS) if bits >> place & 1}
        found.append(rule._replace(options=tuple(sorted({**more, **dict(rule.options)}.items()))))
    return (*sorted(found), *(rule for rule in rules if rule.is_remark))


__all__ = ["LEFTOVER", "Access", "as_asked", "asked_in"]
