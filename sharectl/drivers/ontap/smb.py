"""CIFS shares on the array: one for each share that somebody may reach over SMB, made with its access list and never without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, DriverError, RuleStatus
from sharectl.drivers.ontap.acls import changes_between, entries_of, entry_of, refused
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.share_checks import kept_out
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.drivers.ontap.acls import Change, Entry
    from sharectl.drivers.ontap.client import Array
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject

SHARES: Final = "protocols/cifs/shares"
SHARE_FIELDS: Final = ("name", "path", "acls", "volume.uuid", "svm.name", "svm.uuid")
UNKNOWN_ACCOUNT: Final = 655446
NO_SERVER: Final = 655399


@dataclass(frozen=True, slots=True)
class SmbShare:
    """A share as it is to be seen over SMB: under `name`, the volume that is mounted at `path`."""

    svm: str
    name: str
    path: str
    volume_uuid: str


def update_access(
    array: Array, share: SmbShare, rules: Collection[AccessRule], exports: Sequence[JsonObject] | None = None
) -> dict[AccessRule, RuleStatus]:
    """Make `rules` the whole access over SMB, and return the status of each; without any that can hold, the share is not exported.

    An account that the array does not know is an error of its rule. One that it knows under another spelling is too: what the
    array lists has to be what the manifest says. `exports` are the SMB shares of its volume, where they have just been read.
    """
    statuses: dict[AccessRule, RuleStatus] = dict.fromkeys(rules, RuleStatus("active")) | refused(rules)
    found = (
        find(array, share) if exports is None else next((each for each in exports if each["name"] == share.name), None)
    )
    while True:
        statuses |= kept_out(statuses)
        active = {entry_of(rule): rule for rule, status in statuses.items() if status.status == "active"}
        failed = _establish(array, share, found, tuple(active))
        if not failed:
            return statuses
        statuses |= {active[entry]: RuleStatus("error", reason) for entry, reason in failed.items()}
        found = find(array, share)


def _establish(array: Array, share: SmbShare, found: JsonObject | None, entries: Sequence[Entry]) -> dict[Entry, str]:
    """Make the list of the share these entries, and return those that the array does not take, with the reason; it may be half changed then."""
    if not entries:
        if found is not None:
            _remove(array, share, found)
        return {}
    if found is None:
        found, refusals = _make(array, share, entries)
        if refusals:
            return refusals
    found = found or find(array, share)
    if found is None:
        message = f"the SMB share {share.name!r} was made and is not listed; nobody knows who may reach it"
        raise DriverError(message)
    if found.get("path") != share.path:
        array.patch((SHARES, found["svm"]["uuid"], found["name"]), {"path": share.path}, svm=share.svm)
    changes = tuple(changes_between(entries_of(found), entries))
    for change in changes:
        refusal = _carry_out(array, share, found, change)
        if refusal is not None:
            return {change.entry: refusal}
    return _misspelt(entries_of((find(array, share) or {}) if changes else found), entries)


def _make(array: Array, share: SmbShare, entries: Sequence[Entry]) -> tuple[JsonObject | None, dict[Entry, str]]:
    """Make the share with all entries; where the array does not know one of the accounts, with the first that is to be there alone.

    Return its record, None where it has to be read, and the entry that the array did not take even so.
    """
    ordered = [change.entry for change in changes_between((), entries)]
    for some in (ordered, ordered[:1]):
        try:
            made = array.post(SHARES, _body(share, some), svm=share.svm)
        except OutcomeUnknownError:
            if find(array, share) is None:
                raise
            return None, {}
        except ArrayError as problem:
            if problem.code == UNKNOWN_ACCOUNT:
                continue
            if problem.kind != "dup":
                raise _explained(problem, share) from problem
            if find(array, share) is None:
                if len(some) > 1:
                    continue  # two names of one account may be what is there twice
                message = f"the SVM {share.svm} has an SMB share whose name differs from {share.name!r} in its case alone; nothing was changed there"
                raise ConflictError(message) from problem
            return None, {}
        is_whole = {"acls", "name", "svm"} <= made.keys() and "uuid" in made["svm"]
        return (made if is_whole else None), {}
    return None, {ordered[0]: _unknown(ordered[0])}


def _body(share: SmbShare, entries: Sequence[Entry]) -> JsonObject:
    acls = [entry.body() for entry in entries]
    return {"svm": {"name": share.svm}, "name": share.name, "path": share.path, "acls": acls}


def find(array: Array, share: SmbShare) -> JsonObject | None:
    """Return the record of the share. Raises ConflictError where another volume is exported under its name."""
    found = array.records(SHARES, svm=share.svm, query={"svm.name": share.svm, "name": share.name}, fields=SHARE_FIELDS)
    if not found:
        return None
    (record,) = found
    volume = (record.get("volume") or {}).get("uuid")
    if volume not in {None, share.volume_uuid} or (volume is None and record.get("path") != share.path):
        message = f"the SVM {share.svm} has another SMB share called {record['name']!r} (its path is {record.get('path')!r}); nothing was changed there"
        raise ConflictError(message)
    return record


def _remove(array: Array, share: SmbShare, found: JsonObject) -> None:
    try:
        array.delete((SHARES, found["svm"]["uuid"], found["name"]), svm=share.svm)
    except ArrayError as problem:
        if problem.kind != "gone":
            raise


def _carry_out(array: Array, share: SmbShare, found: JsonObject, change: Change) -> str | None:
    """Make one change, and return why the array does not take its account, None where it does."""
    path = (SHARES, found["svm"]["uuid"], found["name"], "acls")
    entry = change.entry
    try:
        if change.verb == "add":
            array.post(path, entry.body(), svm=share.svm)
        elif change.verb == "change":
            array.patch((*path, entry.account, entry.kind), {"permission": entry.permission}, svm=share.svm)
        else:
            array.delete((*path, entry.account, entry.kind), svm=share.svm)
    except ArrayError as problem:
        if problem.code == UNKNOWN_ACCOUNT:
            return _unknown(entry)
        if change.verb == "add" and problem.kind == "dup":
            return f"the array has an entry for the account {_quoted(entry.account)} under another name; write one of the two, as the array does"
        if change.verb != "delete" or problem.kind != "gone":
            raise
    return None


def _misspelt(current: Collection[Entry], wanted: Collection[Entry]) -> dict[Entry, str]:
    found = {entry.key: entry for entry in current}
    others = sorted(entry.account for entry in current if entry.key not in {each.key for each in wanted})
    failed: dict[Entry, str] = {}
    for entry in wanted:
        there = found.get(entry.key)
        if there is None:
            known = f" as {' or '.join(map(_quoted, others))}" if others else ""
            failed[entry] = (
                f"the array lists no entry for {_quoted(entry.account)}; it may know the account{known}: write it so"
            )
        elif there.account != entry.account:
            failed[entry] = f"the array knows the account as {_quoted(there.account)}: write it so"
    return failed


def _quoted(account: str) -> str:
    """Return an account as a manifest has it, with one backslash."""
    return f"'{account}'"


def _unknown(entry: Entry) -> str:
    return f"the array's domain knows no account {_quoted(entry.account)}"


def _explained(problem: ArrayError, share: SmbShare) -> DriverError:
    if problem.code == NO_SERVER:
        return DriverError(f"the SVM {share.svm} has no CIFS server, without which nothing can be exported over SMB")
    return problem
