"""The reverse of what a run changed, as changes of the manifests, with what cannot be undone.

Nothing is written here, and nothing that a manifest says by now is overwritten: a field goes back only where it still is as the run left it.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.write import document_of, dump
from sharectl.model.access import rule_of
from sharectl.model.codec import codec_of
from sharectl.model.field_changes import RULE_FIELD, FieldChange
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of
from sharectl.model.specs import DeletionPolicy, ShareSpec
from sharectl.model.table import row_shapes
from sharectl.model.verbs import Effect, Verb, verbs_that
from sharectl.planner.defaults import fields_of_change
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.review.data import is_smaller_policy
from sharectl.workspace.manifest_edits import field_edits, field_name, is_same, plain_value
from sharectl.workspace.planned_edits import FileChange, PlannedEdits, Remark, unique
from sharectl.workspace.set_edits import plan_own, plan_removal
from sharectl.workspace.undo_access import AccessUndoing, grants_of
from sharectl.workspace.undo_words import (
    KEPT,
    LOST,
    OF_NETWORK,
    PROTECTED,
    REPLACED,
    THINNED,
    begun_text,
    changed_text,
    forgotten_text,
    rename_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.manifests.write import ManifestDocument
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.workspace.run_changes import Deed, RunChanges

_MAKING: Final = verbs_that(Effect.MAKES, managed=True)
_TAKING_OVER: Final = verbs_that(Effect.TAKES_OVER, managed=True)
_REMOVING: Final = verbs_that(Effect.REMOVES, managed=True)
_ADDRESS: Final = "address"
_EXPORT: Final = "export/"
_REFERENCES: Final = {"share": Kind.SHARE, "source_snapshot": Kind.SNAPSHOT}
"""The fields of shares and snapshots that name another of these."""


@dataclass(frozen=True, slots=True)
class Undo:
    """What undoes a run. `lost` cannot be undone; `left` is not in the patch, since a manifest has changed or cannot be changed with certainty.

    `refused` is in the patch, and a plan of it refuses that; `follows` is what an apply then does.
    """

    files: tuple[FileChange, ...] = ()
    lost: tuple[Remark, ...] = ()
    left: tuple[Remark, ...] = ()
    refused: tuple[Remark, ...] = ()
    follows: tuple[Remark, ...] = ()


def addresses_of(changes: RunChanges) -> set[Address]:
    """Return the shares and snapshots that a run has done something to."""
    return {
        deed.address
        for deed in changes.deeds
        if any(is_of(kind, deed.address) for kind in MANAGED_KINDS) and DEPOSED_MARK not in deed.address
    }


def undo_of(changes: RunChanges, desired: Desired, project: Project) -> Undo:
    """Return the reverse of the run, by the manifests as they are now."""
    work = _Undoing(desired, project, PlannedEdits(project.root))
    work.replaced.update(changes.made_again)
    by_address: dict[Address, list[Deed]] = defaultdict(list)
    for deed in changes.deeds:
        if deed.has_changed and deed.verb == Verb.UPDATE_SHARE_SERVER:
            work.edits.leave(deed.address, OF_NETWORK)
        elif DEPOSED_MARK in deed.address:
            work.replaced.add(deed.address.partition(DEPOSED_MARK)[0])
            if deed.verb == Verb.DELETE_SHARE and deed.entry.outcome != "failed":
                work.lost.append(Remark(deed.address, "what was in the share that was replaced is gone"))
        elif any(is_of(kind, deed.address) for kind in MANAGED_KINDS) and deed.has_changed:
            if deed.begun_by not in {"", changes.run.run_id}:
                work.edits.left.append(Remark(deed.address, begun_text(deed)))
            else:
                by_address[deed.address].append(deed)
    for address, deeds in list(by_address.items()):
        by_address[address] = _clear(work, address, deeds)
    work.made = {address for address, deeds in by_address.items() if _is_made(deeds) and address not in work.replaced}
    work.run_changes = {address: _folded(deeds) for address, deeds in by_address.items()}
    work.renamed = {
        changed[_ADDRESS][0]: address for address, changed in work.run_changes.items() if _ADDRESS in changed
    }
    for address, deeds in sorted(by_address.items()):
        if deeds:
            work.undo(address, deeds)
    return work.result(changes.run.run_id)


def _clear(work: _Undoing, address: Address, deeds: list[Deed]) -> list[Deed]:
    """Return what the run did to the end by itself; where it was cut short in something else, the resource is left, unless all of it goes; and so is one that was replaced."""
    if address in work.replaced and any(deed.verb in _MAKING for deed in deeds):
        work.edits.leave(address, REPLACED)
        if any(deed.verb == Verb.DELETE_SHARE for deed in deeds):
            work.lost.append(Remark(address, "what was in the share that was replaced is gone"))
        return []
    clear = [deed for deed in deeds if not deed.begun_by]
    cut = [deed for deed in deeds if deed.begun_by]
    if cut and not (_is_made(clear) and all(deed.verb not in _REMOVING for deed in cut)):
        for deed in cut:
            work.edits.leave(address, f"{deed.verb}: {deed.unknown}")
        return []
    return clear


def _is_made(deeds: Iterable[Deed]) -> bool:
    verbs = {deed.verb for deed in deeds}
    return bool(verbs & (_MAKING | _TAKING_OVER)) and not verbs & {Verb.DELETE_SHARE, Verb.TRASH_SHARE}


def _folded(deeds: Iterable[Deed]) -> dict[str, tuple[Any, Any]]:
    """Return each field before the first and after the last of the changes."""
    found: dict[str, tuple[Any, Any]] = {}
    for deed in deeds:
        for change in deed.changes:
            before = found.get(change.field, (change.before,))[0]
            found[change.field] = before, change.after
    return found


@dataclasses.dataclass(slots=True)
class _Undoing:
    """Finds out what is to be changed in each document."""

    desired: Desired
    project: Project
    edits: PlannedEdits
    lost: list[Remark] = dataclasses.field(default_factory=list)
    refused: list[Remark] = dataclasses.field(default_factory=list)
    follows: list[Remark] = dataclasses.field(default_factory=list)
    made: set[Address] = dataclasses.field(default_factory=set)
    replaced: set[Address] = dataclasses.field(default_factory=set)
    renamed: Mapping[Address, Address] = dataclasses.field(default_factory=dict)
    run_changes: Mapping[Address, Mapping[str, tuple[Any, Any]]] = dataclasses.field(default_factory=dict)
    documents: list[ManifestDocument] = dataclasses.field(default_factory=list)

    @property
    def _access(self) -> AccessUndoing:
        return AccessUndoing(self.desired, self.edits, self.made, self.run_changes)

    def undo(self, address: Address, deeds: Sequence[Deed]) -> None:
        verbs = {deed.verb for deed in deeds}
        for deed in deeds:
            if deed.unknown:
                self.edits.leave(address, deed.unknown)
            if deed.verb in LOST and deed.verb != Verb.DELETE_SHARE:
                self.lost.append(Remark(address, LOST[Verb(deed.verb)]))
            if any(map(is_smaller_policy, deed.changes)):
                self.lost.append(Remark(address, THINNED))
        removal = next((deed for deed in deeds if deed.verb in _REMOVING), None)
        if Verb.MOVE in verbs:
            self.edits.leave(address, rename_text(deeds))
        elif removal is not None and verbs & _MAKING:
            self.lost.append(
                Remark(address, "it was replaced: what was in the former share is gone; its manifest is left as it is")
            )
        elif removal is not None:
            self._bring_back(address, removal)
        elif address in self.made:
            self._take_away(address, deeds)
        elif address not in self.desired.digests:
            self.edits.leave(address, "it has no manifest any more, so that there is nothing to change")
        else:
            self._turn_back(address)

    def _bring_back(self, address: Address, removal: Deed) -> None:
        if address in self.desired.digests:
            self.edits.leave(address, "it has a manifest again, which is left as it is")
            return
        if not is_of(Kind.SHARE, address):
            if removal.verb == Verb.FORGET:
                self.edits.leave(address, "the snapshot stayed on its backend, and its manifest is not brought back")
            return
        if removal.verb == Verb.DELETE_SHARE:
            self.lost.append(Remark(address, LOST[Verb.DELETE_SHARE]))
        else:
            self.follows.append(Remark(address, KEPT[Verb(removal.verb)].format(address=address)))
        if removal.removed is None:
            return  # which is told already
        spec, shapes = removal.removed["spec"], row_shapes(Kind.SHARE)
        if shapes is not None and (fault := shapes.fault(spec)):
            self.edits.leave(address, f"the history does not say how it was: {fault}")
            return
        rules = [rule_of(rule) for rule in removal.removed.get("access", [])]
        comment = f"Brought back as it was before {removal.entry.at} ({removal.verb})."
        asked = dataclasses.replace(ShareSpec.from_plain(spec), revert_to=None)  # that has been answered
        self.documents.append(document_of(asked, rules, comment=comment, defaults=self.desired.defaults))

    def _take_away(self, address: Address, deeds: Sequence[Deed]) -> None:
        if address not in self.desired.digests:
            self.edits.leave(address, "its manifest is gone already")
            return
        plain = self.desired.plain(address)
        policy = plain.get("deletion_policy", DeletionPolicy.RETAIN)
        was_there = any(deed.verb in _TAKING_OVER for deed in deeds)
        if was_there and policy != DeletionPolicy.RETAIN:
            text = f"it was there before the run, and without its manifest deletionPolicy {policy} would remove it: set retain, apply, and take the manifest away then"
            self.edits.leave(address, text)
            return
        if plain.get("protect"):
            self.edits.leave(address, PROTECTED)
            return
        changed = (
            []
            if was_there
            else [
                name
                for name, (_, after) in self.run_changes[address].items()
                if self._differs(address, plain, name, after)
            ]
        )
        if changed:
            self.edits.leave(address, f"its manifest has changed since ({', '.join(changed)}), and is left as it is")
            return
        fates = {
            DeletionPolicy.DELETE: "without its manifest it is deleted, with all that was written to it since",
            DeletionPolicy.TRASH: "without its manifest it goes to the trash",
        }
        self.follows.append(Remark(address, fates.get(policy, forgotten_text(address, plain))))
        plan_removal(self.edits, self.desired, address, self.made)
        for written in self.desired.rule_documents_of(address) if is_of(Kind.SHARE, address) else ():
            self._access.take_from(written, address)

    def _differs(self, address: Address, plain: JsonObject, name: str, after: Any) -> bool:  # noqa: ANN401 - JSON
        """Tell whether the manifest says something else than the run left; what is no field of it says nothing."""
        if name.startswith(RULE_FIELD):
            return bool(grants_of(self.desired, address).get(name.removeprefix(RULE_FIELD)) != after)
        known = field_name(name)
        if known not in codec_of(type(self.desired.spec(address))).rules:
            return False
        return not is_same(plain.get(known), plain_value(name, after))

    def _turn_back(self, address: Address) -> None:
        changes = self.run_changes[address]
        plain, cls = self.desired.plain(address), type(self.desired.spec(address))
        target = dict(plain)
        for name, (before, after) in changes.items():
            known = field_name(name)
            elsewhere = self._elsewhere(name, before, after, plain) or self._by_default(address, name, before, plain)
            if elsewhere is not None:
                self.edits.leave(address, elsewhere)
                continue
            if name.startswith(RULE_FIELD) or known not in codec_of(cls).rules or known == "revert_to":
                continue
            wanted = plain_value(name, before)
            if is_same(plain.get(known), wanted):
                continue
            if not is_same(plain.get(known), plain_value(name, after)):
                self.edits.leave(address, changed_text(name, after, plain.get(known)))
            elif (gone := self._renamed_away(known, wanted)) is not None:
                self.edits.leave(address, gone)
            elif wanted is None:
                target.pop(known, None)
            else:
                target[known] = wanted
        shrinks = target.get("size_bytes", 0) < plain.get("size_bytes", 0)
        if shrinks and not target.get("allow_shrink"):
            self.refused.append(
                Remark(address, "a plan refuses to shrink it, unless its manifest says `allowShrink: true`")
            )
        plan_own(self.edits, self.desired, address, field_edits(cls, plain, target))
        if is_of(Kind.SHARE, address):
            self._access.turn_back(address, changes)

    def _renamed_away(self, known: str, wanted: Any) -> str | None:  # noqa: ANN401 - JSON
        """Return why a field cannot name again what it named: the run has renamed that, and a patch does not; None where it can."""
        kind = _REFERENCES.get(known)
        if kind is None or wanted is None or address_of(kind, wanted) not in self.renamed:
            return None
        former = address_of(kind, wanted)
        return (
            f"its {known} was {former}, which is {self.renamed[former]} now: change it by hand, together with that name"
        )

    @staticmethod
    def _elsewhere(name: str, before: Any, after: Any, plain: JsonObject) -> str | None:  # noqa: ANN401 - JSON
        """Return why a field is not changed in the manifest of a share: another one decides; None where its own does."""
        if name.startswith(_EXPORT):
            return f"{name} became {after} instead of {before}, by its backend or its share type: change it there"
        if name == "snapshot_policy" and after is not None and plain.get("share_type") and plain.get(name) is None:
            return "its snapshot policy comes from its share type: change it there"
        return None

    def _by_default(self, address: Address, name: str, before: Any, plain: JsonObject) -> str | None:  # noqa: ANN401 - JSON
        """Return where a field comes from that the project's defaults give another value than it had; None for any other."""
        given = self.desired.by_default(address)
        now = None if name.startswith((RULE_FIELD, _EXPORT)) else plain.get(field_name(name))
        if not given or is_same(now, plain_value(name, before)):
            return None
        fields = fields_of_change(address, FieldChange(name, before, now))
        found = next((each for each in fields if each in given), None)
        return None if found is None else f"its {found} comes from the default at {given[found]}: change it there"

    def result(self, run_id: str) -> Undo:
        """Return the changed files, and all that is to be said."""
        files = self.edits.changes()
        if self.documents:
            files.append(self._new_file(run_id))
        for address, changed in self.run_changes.items():
            if len(changed) > 1 and self.edits.is_left(address):
                self.edits.left.append(
                    Remark(
                        address,
                        f"so nothing of it is in the patch: `sharectl diff {run_id[:8]}` shows all that was changed",
                    )
                )
        refused, follows = (
            unique(remark for remark in remarks if not self.edits.is_left(remark.address))
            for remarks in (self.refused, self.follows)
        )
        return Undo(tuple(files), unique(self.lost), unique(self.edits.left), refused, follows)

    def _new_file(self, run_id: str) -> FileChange:
        top = self.edits.top
        folders = [self.project.root / name for name in self.project.manifests]
        folder = Path(os.path.realpath(next((each for each in folders if each.is_dir()), self.project.root)))
        folder = folder if folder.is_relative_to(top) else top
        short = re.sub(r"[^0-9a-z]", "", run_id.lower())[:8] or "run"
        name, number = f"undone-{short}.yaml", 2
        while os.path.lexists(folder / name):
            name, number = f"undone-{short}-{number}.yaml", number + 1
        return FileChange((folder / name).relative_to(top).as_posix(), None, dump(self.documents))
