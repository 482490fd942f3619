"""Limits of qtrees: a quota rule each, which holds once quotas are on in the volume and it was scanned after the rule came."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import PoolError, ShareInUseError, TransientError
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.volumes import VOLUMES
from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.qtrees.records import Qtree
    from sharectl.drivers.ontap.requests import QueryValue
    from sharectl.model.canonical import JsonObject

RULES: Final = "storage/quota/rules"
REPORTS: Final = "storage/quota/reports"
RULE_FIELDS: Final = ("uuid", "type", "qtree", "volume.uuid", "svm.name", "space.hard_limit")
REPORT_FIELDS: Final = ("index", "type", "qtree", "volume.uuid", "space.hard_limit", "space.used.total")
BLOCK_BYTES: Final = 4096

_TREE: Final = "tree"
_NOT_IN_FORCE: Final = frozenset(range(5308567, 5308573))
"""Codes of changes that were made, and that the scan under way did not see."""
_SCANNING: Final = frozenset({"initializing", "resizing"})
_OFF: Final = "off"
_AGAIN_SECONDS: Final = 5.0
_LOOKS: Final = 10
_PAUSE_SECONDS: Final = 0.5


def size_problem(size_bytes: int) -> str | None:
    """Return why no qtree can be limited to this size, None where one can."""
    if size_bytes % BLOCK_BYTES:
        return f"a quota counts blocks of {BLOCK_BYTES} bytes, of which {size_bytes} bytes are no whole number"
    return None


def limit_in(record: JsonObject | None) -> int | None:
    """Return the limit in a rule or a report, None where it has none."""
    limit = None if record is None else (record.get("space") or {}).get("hard_limit")
    return None if limit is None else int(limit)


def holds(limit: int | None, report: JsonObject | None) -> bool:
    """Tell whether a report says that this limit is in force; arrays round it to blocks."""
    told = limit_in(report)
    return limit == told if limit is None or told is None else abs(limit - told) < BLOCK_BYTES


def used_in(report: JsonObject) -> int:
    """Return what is used by a report."""
    return int(((report.get("space") or {}).get("used") or {}).get("total", 0))


def key_in(record: JsonObject) -> tuple[str, int]:
    """Return the key of the qtree that a rule or a report is of; number 0 is of rules for all."""
    return str(record["volume"]["uuid"]), int((record.get("qtree") or {}).get("id") or 0)


class Scans:
    """The scans of a volume, of which those that begin after a rule came see it."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._begun = self._done = 0
        self.alone = threading.Lock()
        """Held by who looks whether one is needed, and begins it."""

    @property
    def begun(self) -> int:
        """How many have begun."""
        return self._begun

    def is_done_since(self, begun: int) -> bool:
        """Tell whether one that began after so many had could be started; one that failed has seen nothing."""
        return self._done > begun

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one that begins now, `alone`, and that the array has been told of at the end."""
        self._begun += 1
        yield
        self._done = self._begun


class Quotas:
    """The limits of the qtrees of a backend."""

    def __init__(self, array: Array, svm: str | None, sleep: Callable[[float], None]) -> None:
        """Look at this SVM; at all where None. `sleep` waits for a scan that is nearly over."""
        self._array, self._svm, self._sleep = array, svm, sleep
        self._lock = threading.Lock()
        self._scans: dict[str, Scans] = {}
        self._on: set[str] = set()

    def rules(self, volumes: Sequence[str] | None = None) -> dict[tuple[str, int], JsonObject]:
        """Return the rules of single qtrees by their keys, of all volumes or of these."""
        return self._by_key(RULES, RULE_FIELDS, volumes)

    def reports(self, volumes: Sequence[str] | None = None) -> dict[tuple[str, int], JsonObject]:
        """Return the reports of what is used, of limits in force alone."""
        return self._by_key(REPORTS, REPORT_FIELDS, volumes)

    def report_of(self, qtree: Qtree) -> JsonObject | None:
        """Return the report of one qtree, None where no limit is in force."""
        query: Mapping[str, QueryValue] = {
            "type": _TREE,
            "volume.uuid": qtree.volume_uuid,
            "qtree.name": qtree.name,
        }
        found = self._array.records(REPORTS, svm=self._svm, query=query, fields=REPORT_FIELDS)
        return found[0] if found else None

    def rule_of(self, qtree: Qtree) -> JsonObject | None:
        """Return the rule of one qtree."""
        query: Mapping[str, QueryValue] = {
            "type": _TREE,
            "volume.uuid": qtree.volume_uuid,
            "qtree.name": qtree.name,
        }
        found = self._array.records(RULES, svm=self._svm, query=query, fields=RULE_FIELDS)
        return found[0] if found else None

    def states(self, volumes: Sequence[str]) -> dict[str, str]:
        """Return how quotas are in these volumes: `on`, `off`, or on the way."""
        query = {"uuid": tuple(volumes)}
        records = self._array.records(VOLUMES, svm=self._svm, query=query, fields=("uuid", "quota.state"))
        return {each["uuid"]: str((each.get("quota") or {}).get("state", _OFF)) for each in records}

    def limit(self, qtree: Qtree, size_bytes: int, *, is_new: bool = False) -> None:
        """Limit a qtree to a size, and let that hold. `is_new` spares the look for a rule that cannot be there yet."""
        rule = None if is_new else self.rule_of(qtree)
        try:
            is_seen = self._change(qtree, rule, size_bytes)
        except OutcomeUnknownError:
            if limit_in(self.rule_of(qtree)) != size_bytes:
                raise
            is_seen = False
        if is_seen and qtree.volume_uuid in self._on:
            return
        self.enforce(qtree, size_bytes, is_seen=is_seen)

    def _change(self, qtree: Qtree, rule: JsonObject | None, size_bytes: int) -> bool:
        """Make the rule say so; return whether it is sure that it holds where quotas are on."""
        space = {"space": {"hard_limit": size_bytes}}
        try:
            if rule is None:
                volume, name = {"uuid": qtree.volume_uuid}, {"name": qtree.name}
                body = {"svm": {"name": qtree.svm}, "volume": volume, "type": _TREE, "qtree": name, **space}
                self._array.post(RULES, body, svm=self._svm)
            elif limit_in(rule) == size_bytes:
                return False
            else:
                self._array.patch((RULES, rule["uuid"]), space, svm=self._svm)
        except ArrayError as problem:
            if problem.code in _NOT_IN_FORCE:
                return False
            if problem.kind == "space":
                raise PoolError(str(problem)) from problem
            if problem.kind != "dup" or rule is not None or (found := self.rule_of(qtree)) is None:
                raise
            return self._change(qtree, found, size_bytes)
        return True

    def enforce(self, qtree: Qtree, size_bytes: int, *, is_seen: bool) -> None:
        """Let a limit hold: quotas are on, and the volume was scanned since the rule came; the scan itself is not waited for.

        Where it is not sure that a scan saw the rule (`is_seen`), quotas go off and on, once for all rules that came until then.
        """
        volume = qtree.volume_uuid
        with self._lock:
            scans = self._scans.setdefault(volume, Scans())
        begun = scans.begun
        with scans.alone:
            if scans.is_done_since(begun):
                return
            state = self.states([volume]).get(volume, _OFF)
            is_good = is_seen or (state == "on" and holds(size_bytes, self.report_of(qtree)))
            if state in {"on", *_SCANNING} and is_good:
                self._on.add(volume)
                return
            self._on.discard(volume)
            with scans.one_more():
                if state != _OFF:
                    self._switch(volume, is_on=False)
                self._switch(volume, is_on=True)
            self._on.add(volume)

    def _switch(self, volume: str, *, is_on: bool) -> None:
        self._array.patch((VOLUMES, volume), {"quota": {"enabled": is_on}}, svm=self._svm)

    def check_room(self, qtree: Qtree, size_bytes: int) -> None:
        """Raise ShareInUseError where a qtree uses more than this: the array would take the limit, and let nobody write any more."""
        used = self.used_bytes(qtree)
        if used > size_bytes:
            message = (
                f"{self._array.name}: the qtree {qtree.volume}/{qtree.name} cannot be limited to {format_size(size_bytes)}: "
                f"{used} bytes of it are used"
            )
            raise ShareInUseError(message)

    def used_bytes(self, qtree: Qtree) -> int:
        """Return what the files in a qtree take. Raises TransientError while nobody knows: quotas are off, or the volume is being scanned."""
        state = ""
        for attempt in range(_LOOKS):
            report = self.report_of(qtree)
            if report is not None:
                return used_in(report)
            before, state = state, self.states([qtree.volume_uuid]).get(qtree.volume_uuid, _OFF)
            if state not in _SCANNING and state == before:  # else a scan may have ended between the two
                break
            if state in _SCANNING and attempt < _LOOKS - 1:
                self._sleep(_PAUSE_SECONDS)
        message = (
            f"{self._array.name}: nobody knows how much of the qtree {qtree.volume}/{qtree.name} is used: the quotas of its volume are "
            f"{state}, and report nothing of it"
        )
        raise TransientError(message, _AGAIN_SECONDS)

    def _by_key(
        self, path: str, fields: Sequence[str], volumes: Sequence[str] | None
    ) -> dict[tuple[str, int], JsonObject]:
        query: dict[str, QueryValue] = {"type": _TREE}
        if volumes is not None:
            query["volume.uuid"] = tuple(volumes)
        found = self._array.records(path, svm=self._svm, query=query, fields=fields)
        return {key: record for record in found if (key := key_in(record))[1]}


def why_not_in_force(limit: int, report: JsonObject | None, state: str) -> str:
    """Return why a limit does not hold, empty where it does, or will once a scan is over."""
    if holds(limit, report) or state in _SCANNING:
        return ""
    return f"quotas of its volume are {state}, and do not hold it to its size"
