"""Export policies on the array: the closed one of each SVM, and those that sharectl makes for one share each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, TransientError
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.exports import policy_name, policy_prefix, same_rules
from sharectl.drivers.ontap.names import CLOSED_POLICY
from sharectl.drivers.ontap.requests import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.model.canonical import JsonObject

POLICIES: Final = "protocols/nfs/export-policies"
_FIELDS: Final = ("id", "name", "svm.name", "rules")
_TRUNCATES_SINCE: Final = (9, 18, 1)
_ATTEMPTS: Final = 20
_WAITS_FOR_USE: Final = 5
_WAIT_SECONDS: Final = 1.0


class Policies:
    """The export policies of a backend, on its one SVM or on all."""

    def __init__(self, array: Array, svm: str | None, sleep: Callable[[float], None]) -> None:
        """Look at this SVM; at all where None. `sleep` waits between attempts to remove what was in use a moment ago."""
        self._array, self._svm, self._sleep = array, svm, sleep
        self._closed: dict[str, bool] = {}

    def all(self) -> list[JsonObject]:
        """Return all policies with all their rules."""
        return self._read(None, None)

    def named(self, svm: str, name: str) -> JsonObject | None:
        """Return a policy with its rules, None where there is none of this name."""
        found = self._read(svm, name)
        return found[0] if found else None

    def of_share(self, svm: str, resource_id: str) -> list[JsonObject]:
        """Return all policies that were made for a share."""
        return self._read(svm, Pattern(f"{policy_prefix(resource_id)}*"))

    def named_like(self, pattern: str) -> list[JsonObject]:
        """Return the policies of all SVMs of the backend whose names are like this."""
        return self._read(None, Pattern(pattern))

    def closed(self, svm: str) -> JsonObject | None:
        """Return the policy without rules of an SVM, None where it is missing; by its name alone it may have some."""
        found = self.named(svm, CLOSED_POLICY)
        if found is None:
            self._closed.pop(svm, None)
        else:
            self._closed[svm] = not found.get("rules")
        return found

    def is_closed(self, svm: str) -> bool:
        """Tell whether the policy without rules has none, as it was when this process last looked; one that somebody has removed is made anew."""
        if svm not in self._closed and self.closed(svm) is None:
            self.ensure_closed(svm)
        return self._closed[svm]

    def ensure_closed(self, svm: str) -> None:
        """Make the policy without rules of an SVM, unless it is there; raises ConflictError where it has rules: then it is not ours to use."""
        try:
            self._array.post(POLICIES, {"svm": {"name": svm}, "name": CLOSED_POLICY}, svm=svm)
        except ArrayError as problem:
            if problem.kind != "dup":
                raise
        found = self.closed(svm)
        if found is None:
            message = (
                f"{self._array.name}: the export policy {CLOSED_POLICY} of the SVM {svm} was made, and is not shown yet"
            )
            raise TransientError(message, _WAIT_SECONDS)
        self.check_closed(svm)

    def check_closed(self, svm: str) -> None:
        """Raise ConflictError where the policy without rules has some."""
        if not self.is_closed(svm):
            message = (
                f"{self._array.name}: the export policy {CLOSED_POLICY} of the SVM {svm} is for shares that nobody may reach, and has rules; "
                "remove them, or the policy"
            )
            raise ConflictError(message)

    def make(
        self,
        svm: str,
        resource_id: str,
        rules: Sequence[JsonObject],
        name_of: Callable[[int], str] | None = None,
    ) -> tuple[str, int | None]:
        """Make a policy with these rules, all at once, or find the one that has them; return its name and id.

        `name_of` gives the name of each attempt where it is not the usual one.
        """
        for attempt in range(_ATTEMPTS):
            name = policy_name(resource_id, rules, attempt) if name_of is None else name_of(attempt)
            try:
                made = self._array.post(POLICIES, {"svm": {"name": svm}, "name": name, "rules": list(rules)}, svm=svm)
                if "id" in made:
                    return name, made["id"]
            except OutcomeUnknownError:
                if self.named(svm, name) is None:
                    raise
            except ArrayError as problem:
                if problem.kind != "dup":
                    raise
            found = self.named(svm, name)
            if found is not None and same_rules(found.get("rules", ()), rules):
                return name, found["id"]
        message = (
            f"{self._array.name}: none of {_ATTEMPTS} export policies of the share {resource_id} is as it was made"
        )
        raise ConflictError(message)

    def remove(self, policies: Iterable[int], *, waits: bool = True) -> bool:
        """Remove policies by their ids, each that nothing uses; return whether all are gone.

        One is in use for some seconds after its last volume got another: so much is waited for. What is left then shows in the next listing.
        """
        are_gone = True
        for policy in policies:
            for attempt in range(_WAITS_FOR_USE if waits else 1):
                if attempt:
                    self._sleep(_WAIT_SECONDS)
                if self._removed(policy):
                    break
            else:
                are_gone = False
        return are_gone

    def _removed(self, policy: int) -> bool:
        try:
            self._array.delete((POLICIES, policy), svm=self._svm)
        except OutcomeUnknownError:
            return False  # asked for again it is gone, or not
        except ArrayError as problem:
            if problem.kind == "gone":
                return True
            if problem.kind == "inuse":
                return False
            raise
        return True

    def _read(self, svm: str | None, name: str | None) -> list[JsonObject]:
        fields: tuple[str, ...] = _FIELDS
        if self._array.version >= _TRUNCATES_SINCE:
            fields = (*fields, "are_rules_truncated")
        query = {} if name is None else {"name": name}
        if svm is not None:
            query["svm.name"] = svm
        found = self._array.records(POLICIES, svm=self._svm, query=query, fields=fields)
        return [self._whole(policy) for policy in found]

    def _whole(self, policy: JsonObject) -> JsonObject:
        if policy.get("are_rules_truncated") is not True:
            return policy
        rules = self._array.records((POLICIES, policy["id"], "rules"), svm=self._svm, fields=("*",))
        return {**policy, "rules": rules}
