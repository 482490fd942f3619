"""The access of shares, as it was before a run: which rules go, come back or grant what they did, in whichever document they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.manifests.edits import ADD, Edit
from sharectl.model.field_changes import RULE_FIELD
from sharectl.model.frozen import dataclass
from sharectl.workspace.manifest_edits import level_edits, rule_in, written_rule
from sharectl.workspace.set_edits import plan_own
from sharectl.workspace.undo_words import NO_RULE, changed_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.manifests.desired import Desired, WrittenRule
    from sharectl.manifests.edits import Path as EditPath
    from sharectl.model.kinds import Address
    from sharectl.workspace.planned_edits import PlannedEdits

"""How the name of a change begins that is about an access rule; its key follows."""


def grants_of(desired: Desired, address: Address) -> dict[str, str]:
    """Return what the rules of a share grant, by their keys."""
    return {rule.key: rule.grant for rule in desired.access(address)}


@dataclass(frozen=True, slots=True)
class AccessUndoing:
    """Plans the edits. `made` are the resources that the run made, `run_changes` what it changed of each: before and after."""

    desired: Desired
    edits: PlannedEdits
    made: Collection[Address]
    run_changes: Mapping[Address, Mapping[str, tuple[Any, Any]]]

    def turn_back(self, address: Address, changes: Mapping[str, tuple[Any, Any]]) -> None:
        """Give the rules of a share back what they granted before these changes."""
        now = grants_of(self.desired, address)
        levels, gone, added = [], [], []
        for name, (before, after) in changes.items():
            key = name.removeprefix(RULE_FIELD)
            if key == name or now.get(key) == before:  # no rule, or as it was
                continue
            if now.get(key) != after:
                self.edits.leave(address, changed_text(f"access {key}", after, now.get(key)))
            elif after is None:
                rule = rule_in(key, before) if isinstance(before, str) else None
                if rule is None or rule.is_remark:
                    self.edits.leave(address, NO_RULE.format(key))
                else:
                    added.append(Edit(("spec", "access", ADD), written_rule(rule)))
            else:
                written = self.desired.written_rule(address, key)
                if written is None or written.client_list is not None:
                    where = (
                        "a ClientList" if written is None else f"{written.client_list} ({written.path}:{written.line})"
                    )
                    self.edits.leave(address, f"its rule {key} comes from {where}: change it there")
                elif written.number is None:
                    self._turn_document_back(address, key, written, before, after)
                elif before is None:
                    gone.append(Edit(("spec", "access", written.number), None))
                else:
                    levels += self._levels(address, key, ("spec", "access", written.number), (before, after))
        plan_own(self.edits, self.desired, address, [*levels, *gone, *added])

    def _turn_document_back(self, address: Address, key: str, written: WrittenRule, before: Any, after: Any) -> None:  # noqa: ANN401 - JSON
        if before is None:
            self.take_from(written, address)
            return
        others = [
            share
            for share in written.shares
            if self.run_changes.get(share, {}).get(f"{RULE_FIELD}{key}") != (before, after)
        ]
        if others:
            self.edits.leave(
                address,
                f"its rule {key} stands in a document ({written.path}:{written.line}) that {others[0]} has, too: change it by hand",
            )
            return
        edits = self._levels(address, key, ("spec",), (before, after))
        for edit in edits:
            self.edits.plan((written.path, written.line), set(written.shares), edit)

    def _levels(self, address: Address, key: str, path: EditPath, grants: tuple[Any, Any]) -> list[Edit]:
        """Return the edits that give a rule what it granted before, which are some: they differ."""
        edits = level_edits(path, *grants) if all(isinstance(grant, str) for grant in grants) else []
        if not edits:
            self.edits.leave(address, NO_RULE.format(key))
        return edits

    def take_from(self, written: WrittenRule, address: Address) -> None:
        """Take a share out of the document of a rule, and the document away with the last of its shares."""
        place = written.path, written.line
        staying = [share for share in written.shares if share != address and not self._is_taken(share, written)]
        if not staying:
            self.edits.plan_removal(place, set(written.shares))
        elif written.is_listed:
            self.edits.plan(place, {address}, Edit(("spec", "shares", written.shares.index(address)), None))

    def _is_taken(self, share: Address, written: WrittenRule) -> bool:
        change = self.run_changes.get(share, {}).get(f"{RULE_FIELD}{written.key}")
        return share in self.made or (change is not None and change[0] is None)
