"""The SVM of a share server: found by its comment, made, started, and its root volume closed to all but passers-by."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import ConflictError, TransientError
from sharectl.drivers.ontap.errors import ArrayBusyError, ArrayError
from sharectl.drivers.ontap.names import CLOSED_POLICY, MAX_SVM_COMMENT, Note, comment_of, read_note
from sharectl.drivers.ontap.share_servers.names import ROOT_POLICY, svm_name
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.share_servers.settings import ShareServerSettings
    from sharectl.drivers.ontap.share_servers.wanted import WantedServer
    from sharectl.model.canonical import JsonObject

SVMS: Final = "svm/svms"
POLICIES: Final = "protocols/nfs/export-policies"
SVM_FIELDS: Final = ("name", "state", "comment", "ipspace.name", "nfs.enabled", "cifs.enabled", "cifs.name")
RUNNING: Final = "running"
NAME_NOTE: Final = "name"
JOINED_NOTE: Final = "joined"
"""What an SVM's comment says besides the id: the share server's name, and the types of the services that it joined."""
LIFS_NOTE: Final = "lifs"
"""How many LIFs it is to have."""

_STARTING: Final = frozenset({"starting", "initializing"})
_AT_ONCE: Final = 5
"""So many SVMs an array makes and removes at the same time."""
_TOO_MANY: Final = 13434894
_PAUSE_SECONDS: Final = 0.5
_LANGUAGE: Final = "c.utf_8"


@dataclass(frozen=True, slots=True)
class Svm:
    """An SVM as the array shows it. `note` is None for one that sharectl did not make."""

    uuid: str
    name: str
    state: str
    ipspace: str
    note: Note | None
    serves_nfs: bool
    serves_cifs: bool
    netbios_name: str


def svm_of(record: JsonObject) -> Svm:
    """Return what a record with SVM_FIELDS says."""
    cifs = record.get("cifs") or {}
    return Svm(
        record["uuid"],
        record["name"],
        str(record.get("state", "")),
        str((record.get("ipspace") or {}).get("name", "")),
        read_note(record.get("comment")),
        bool((record.get("nfs") or {}).get("enabled", False)),
        bool(cifs.get("enabled", False)),
        str(cifs.get("name", "")),
    )


def find(svms: Iterable[Svm], resource_id: str) -> Svm | None:
    """Return the SVM of a share server; None where there is none. Raises ConflictError where there are two."""
    found = [svm for svm in svms if svm.note is not None and svm.note.resource_id == resource_id]
    if len(found) > 1:
        names = " and ".join(svm.name for svm in found)
        message = f"the SVMs {names} both say in their comments that they are the share server {resource_id}; correct one of them"
        raise ConflictError(message)
    return found[0] if found else None


class Patience:
    """How long this driver waits for what an array does in some seconds, and how often it looks."""

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Wait for `seconds` at most."""
        self._seconds, self._clock, self.sleep = seconds, clock, sleep

    def until(self, is_so: Callable[[], bool]) -> bool:
        """Tell whether it came to be so."""
        end = self._clock() + self._seconds
        while not is_so():
            if self._clock() >= end:
                return False
            self.sleep(_PAUSE_SECONDS)
        return True


class Svms:
    """The SVMs of one array, as far as share servers need them."""

    def __init__(self, array: Array, settings: ShareServerSettings, patience: Patience) -> None:
        """Ask for nothing yet."""
        self._array, self._settings, self._patience = array, settings, patience
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    def all(self) -> list[Svm]:
        """Return all SVMs that serve data."""
        return [svm_of(record) for record in self._array.records(SVMS, fields=SVM_FIELDS)]

    def create(self, wanted: WantedServer, ipspace: str) -> Svm:
        """Make the SVM and wait until it runs."""
        name = svm_name(wanted.resource_id)
        body: JsonObject = {
            "name": name,
            "ipspace": {"name": ipspace},
            "comment": comment_for(wanted),
            "language": _LANGUAGE,
            "nsswitch": {"namemap": ["files"]},
        }
        if self._settings.root_aggregate is not None:
            body["aggregates"] = [{"name": self._settings.root_aggregate}]
        made: dict[str, Any] = {}
        try:
            with self._room:
                self._with_room(lambda: made.update(self._array.post(SVMS, body)))
        except ArrayError as problem:
            if problem.kind != "dup":
                raise
            message = f"the name {name} is taken on the array, and not by the SVM of this share server; {problem}"
            raise ConflictError(message) from problem
        if "uuid" not in made:
            shown = self._array.records(SVMS, query={"name": name}, fields=SVM_FIELDS)
            if not shown:
                message = f"the SVM {name} was made, and is not shown yet"
                raise TransientError(message)
            made = shown[0]
        svm = svm_of({"name": name, "comment": body["comment"], "ipspace": body["ipspace"], **made})
        if svm.state != RUNNING:
            self._start(svm)
        return svm

    def remove(self, svm: Svm) -> None:
        """Remove the SVM with its root volume, its LIFs, and what waits in its recovery queue."""
        try:
            with self._room:
                self._with_room(lambda: self._array.delete((SVMS, svm.uuid)))
        except ArrayError as problem:
            if problem.kind != "gone":
                raise

    def mend(self, svm: Svm, wanted: WantedServer) -> None:
        """Start an SVM that is stopped, and let its comment say what it is now."""
        if svm.state != RUNNING:
            self._start(svm)
        note = svm.note or Note(wanted.resource_id)
        comment = comment_for(wanted, note)
        if comment != comment_of(note, MAX_SVM_COMMENT):
            self._array.patch((SVMS, svm.uuid), {"comment": comment})

    def _start(self, svm: Svm) -> None:
        state = svm.state

        def is_settled() -> bool:
            nonlocal state
            state = str(self._array.get((SVMS, svm.uuid), fields=("state",)).get("state", ""))
            return state not in _STARTING

        if (not state or state in _STARTING) and not self._patience.until(is_settled):
            message = f"the SVM {svm.name} is still {state}"
            raise TransientError(message)
        if state == "stopped":
            self._array.patch((SVMS, svm.uuid), {"state": RUNNING})
        elif state != RUNNING:
            message = f"the SVM {svm.name} is {state}"
            raise TransientError(message)

    def _with_room(self, change: Callable[[], object]) -> None:
        """Make a change as soon as the array has fewer than five others of its kind under way, whoever's they are."""
        refused: ArrayBusyError | None = None

        def is_done() -> bool:
            nonlocal refused
            try:
                change()
            except ArrayBusyError as problem:
                if problem.code != _TOO_MANY:
                    raise
                refused = problem
                return False
            return True

        if not self._patience.until(is_done) and refused is not None:
            raise refused

    # Export policies

    def make_closed_policy(self, svm: str) -> None:
        """Make the policy of shares that nobody may reach, in a new SVM."""
        self._array.post(POLICIES, {"svm": {"name": svm}, "name": CLOSED_POLICY})

    def close_root(self, svm: str, *, is_new: bool) -> None:
        """Give the root volume a policy of its own, so that the policy `default`, under which other volumes may be, lets nobody in."""
        body = {"svm": {"name": svm}, "name": ROOT_POLICY, "rules": [_ROOT_RULE]}
        closed = {"nas": {"export_policy": {"name": ROOT_POLICY}}}
        try:
            self._array.post(POLICIES, body)
        except ArrayError as problem:
            if problem.kind != "dup":
                raise
            self._mend_root_policy(svm)
        if is_new:
            self._array.patch("storage/volumes", closed, svm=svm, query={"svm.name": svm, "is_svm_root": True})
            return
        for volume in root_volumes(self._array, svm):
            if policy_of(volume) != ROOT_POLICY:
                self._array.patch(("storage/volumes", volume["uuid"]), closed)

    def _mend_root_policy(self, svm: str) -> None:
        """Put the rule into the policy that is there already, unless it is its only one."""
        query = {"svm.name": svm, "name": ROOT_POLICY}
        for policy in self._array.records(POLICIES, query=query, fields=("rules",)):
            if not is_root_rule_alone(policy):
                self._array.patch((POLICIES, policy["id"]), {"rules": [_ROOT_RULE]})


_ROOT_RULE: Final[Mapping[str, Any]] = {
    "clients": [{"match": "0.0.0.0/0"}, {"match": "::/0"}],
    "ro_rule": ["any"],
    "rw_rule": ["never"],
    "superuser": ["none"],
    "anonymous_user": "65534",
    "protocols": ["nfs"],
}


def root_volumes(array: Array, svm: str | None = None) -> list[JsonObject]:
    """Return the root volumes of all SVMs, or that of one, each with its export policy."""
    query: Mapping[str, str | bool] = {"is_svm_root": True, **({} if svm is None else {"svm.name": svm})}
    return array.records("storage/volumes", query=query, fields=("name", "svm.name", "state", "nas.export_policy.name"))


def policy_of(volume: JsonObject) -> str:
    """Return the name of a volume's export policy; empty where the array shows none, as of an offline one."""
    return str(((volume.get("nas") or {}).get("export_policy") or {}).get("name", ""))


def is_root_rule_alone(policy: JsonObject) -> bool:
    """Tell whether the policy lets everybody pass through the root volume, and does nothing else."""
    rules = policy.get("rules") or []
    if len(rules) != 1:
        return False
    rule = rules[0]
    matches = {client["match"] for client in rule.get("clients", ())}
    levels = [list(rule.get(name, ())) for name in ("ro_rule", "rw_rule", "superuser")]
    return matches == {"0.0.0.0/0", "::/0"} and levels == [["any"], ["never"], ["none"]]


def comment_for(wanted: WantedServer, note: Note | None = None) -> str:
    """Return the comment of the SVM of a share server; what others wrote into it stays."""
    told = {NAME_NOTE: wanted.name, LIFS_NOTE: str(len(wanted.lifs))}
    if wanted.directory.types:
        told[JOINED_NOTE] = ",".join(wanted.directory.types)
    words = "" if note is None else note.words
    return comment_of(Note(wanted.resource_id, told, words), MAX_SVM_COMMENT)
