"""Snapshots that the array takes of shares by itself: its policies and schedules, one of each content, shared by all volumes of an SVM that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, DriverError
from sharectl.drivers.ontap.errors import ArrayError, OutcomeUnknownError
from sharectl.drivers.ontap.requests import Pattern
from sharectl.drivers.ontap.snapshot_times import (
    NO_POLICY,
    OWN_PREFIX,
    copies_of,
    interval_of,
    is_own_name,
    is_scheduled,
    policy_in,
    policy_name,
    policy_problem,
    same_cron,
    text_of,
    times_of,
)
from sharectl.drivers.ontap.snapshots_seen import SNAPSHOTS_NOTE, SnapshotsSeen, has_note, schedule_of, taken_at
from sharectl.drivers.ontap.volumes import VOLUMES, noted
from sharectl.model.time_zones import minutes_between, zone_problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.snapshot_times import Times
    from sharectl.drivers.ontap.volumes import Volume, Volumes
    from sharectl.model.canonical import JsonObject
    from sharectl.model.specs import SnapshotPolicy

POLICIES: Final = "storage/snapshot-policies"
SCHEDULES: Final = "cluster/schedules"
SNAPSHOTS: Final = "snapshots"
_ENDED: Final = "-"
_NO_SUCH_POLICY: Final = 917551
_ATTEMPTS: Final = 5


class SnapshotPolicies:
    """Gives volumes their snapshot policies, and tells which they have; looks at one SVM, or at all where `svm` is None."""

    def __init__(self, volumes: Volumes, svm: str | None) -> None:
        """Ask for nothing yet."""
        self._volumes, self._array, self._svm = volumes, volumes.array, svm

    @property
    def time_zone(self) -> str | None:
        """The time zone that the array's schedules are in, None where the login is not told."""
        zone = (self._array.cluster.get("timezone") or {}).get("name")
        return None if zone is None else str(zone)

    def capabilities(self) -> dict[str, str]:
        """Return what a report tells of it: the time zone that snapshots are taken by."""
        return {} if self.time_zone is None else {"snapshot_policy_time_zone": self.time_zone}

    # Changing

    def give(self, volume: Volume, policy: SnapshotPolicy | None) -> Volume:
        """Let a volume follow the policy from now on, and let go of what that keeps less of; by none where it is None.

        A policy of the administrator's that the volume follows stays, unless it is to have one of its own.
        """
        former = str(volume.value("snapshot_policy.name", NO_POLICY))
        note = volume.note
        if note is None:
            message = f"{self._array.name}: the volume {volume.name} is not sharectl's"
            raise DriverError(message)
        if policy is None:
            if SNAPSHOTS_NOTE not in note.values:
                return volume
            changed = self._follow(volume, (), _ENDED)
        else:
            times = self._times(policy)
            changed = self._follow(volume, times, text_of(policy))
            self._trim(volume, policy)
        if is_own_name(former) and former != changed.value("snapshot_policy.name"):
            self.drop_unused(volume.svm)
        return changed

    def resume(self, volume: Volume) -> Volume:
        """Take them again by the policy that the comment remembers."""
        policy = None if volume.note is None else policy_in(volume.note.values.get(SNAPSHOTS_NOTE, ""))
        if policy is None:
            return volume
        return self._follow(volume, self._times(policy), text_of(policy))

    def _times(self, policy: SnapshotPolicy) -> tuple[Times, ...]:
        """Return when the array is to take snapshots, by its own clock. Raises DriverError where it cannot."""
        if (problem := policy_problem(policy)) is not None:
            message = f"{self._array.name}: {problem[0]}; {problem[1]}"
            raise DriverError(message)
        zone = self.time_zone
        if zone is None:
            message = (
                f"{self._array.name}: the array does not tell the login its time zone, in which snapshots are taken"
            )
            raise DriverError(message)
        if (problem := zone_problem(policy, zone)) is not None:
            message = f"{self._array.name}: {problem[0]}; {problem[1]}"
            raise DriverError(message)
        return times_of(policy, minutes_between(policy.time_zone, zone) or 0)

    def _follow(self, volume: Volume, times: Sequence[Times], text: str) -> Volume:
        """Let a volume follow the array's policy with these times, which is made where it is missing, and note the policy's text."""
        if volume.note is None:
            raise AssertionError
        name = policy_name(times)
        fields: JsonObject = {
            "snapshot_policy": {"name": name},
            **noted(volume, volume.note.having(**{SNAPSHOTS_NOTE: text})),
        }
        for attempt in range(_ATTEMPTS):
            if times:
                self._ensure(volume.svm, name, times)
            try:
                return self._volumes.change(volume, fields)
            except ArrayError as problem:  # somebody has removed it since, since nobody followed it
                if problem.code != _NO_SUCH_POLICY or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _ensure(self, svm: str, name: str, times: Sequence[Times]) -> None:
        """Make the array's policy of this name what its name says, whatever of it is there.

        A schedule that was made for it is in nobody's policy for a moment, and another run that tidies up may remove it then.
        """
        for attempt in range(_ATTEMPTS):
            schedules = self._schedules(times)
            try:
                return self._ensure_by(schedules, svm, name, times)
            except ArrayError:
                if attempt == _ATTEMPTS - 1 or set(schedules.values()) <= self._crons().keys():
                    raise
        raise AssertionError

    def _ensure_by(self, schedules: Mapping[str, str], svm: str, name: str, times: Sequence[Times]) -> None:
        found = self._named(svm, name)
        if found is None:
            body = {"svm": {"name": svm}, "name": name, "enabled": True, "copies": copies_of(times, schedules)}
            try:
                self._array.post(POLICIES, body, svm=svm)
            except OutcomeUnknownError:
                if self._named(svm, name) is None:
                    raise
            except ArrayError as problem:
                if problem.kind != "dup":
                    raise
            else:
                return
            found = self._named(svm, name)
            if found is None:
                return  # who follows it finds out
        self._correct(svm, found, copies_of(times, schedules))

    def _correct(self, svm: str, found: JsonObject, wanted: Sequence[JsonObject]) -> None:
        """Give a policy that is there these copies, the missing ones first: it is never without any."""
        there = {schedule_of(copy): copy for copy in found.get("copies", ())}
        path = (POLICIES, found["uuid"], "schedules")
        if {name: _content(copy) for name, copy in there.items()} != {schedule_of(c): _content(c) for c in wanted}:
            uuids = {
                str(record["schedule"]["name"]): record["schedule"]["uuid"]
                for record in self._array.records(path, svm=svm, fields=("schedule",))
            }
            for copy in wanted:
                name = schedule_of(copy)
                if name not in there:
                    self._array.post(path, copy, svm=svm)
                elif _content(there[name]) == (copy["count"], there[name].get("prefix")) == _content(copy):
                    continue
                elif there[name].get("prefix") == copy["prefix"]:
                    self._array.patch((*path, uuids[name]), {"count": copy["count"]}, svm=svm)
                else:
                    self._refuse_prefix(found, name)
            for name in there.keys() - {schedule_of(copy) for copy in wanted}:
                self._array.delete((*path, uuids[name]), svm=svm)
        if found.get("enabled") is not True:
            self._array.patch((POLICIES, found["uuid"]), {"enabled": True}, svm=svm)

    def _refuse_prefix(self, found: JsonObject, schedule: str) -> None:
        message = (
            f"{self._array.name}: the snapshot policy {found['name']} has another prefix for its schedule {schedule} than sharectl gave it, "
            "which cannot be changed; remove that schedule from the policy on the array"
        )
        raise ConflictError(message)

    def _schedules(self, times: Sequence[Times]) -> dict[str, str]:
        """Return the name of a schedule of the cluster for each interval; what is missing is made."""
        found = self._crons()
        names = {}
        for each in times:
            alike = sorted(name for name, cron in found.items() if same_cron(cron, each.cron))
            names[each.interval] = alike[0] if alike else self._made_schedule(each)
        return names

    def _made_schedule(self, times: Times) -> str:
        try:
            self._array.post(SCHEDULES, {"name": times.schedule, "cron": dict(times.cron)})
        except ArrayError as problem:
            if problem.kind == "auth":
                message = (
                    f"{problem}; schedules are the cluster's: let its administrator make one for {times.words}, "
                    f"`job schedule cron create -name {times.schedule} {times.command}`, or choose times that the cluster has a schedule for"
                )
                raise ArrayError(message, code=problem.code, kind="auth", target=problem.target) from problem
            if problem.kind != "dup":
                raise
            if not same_cron(self._crons().get(times.schedule, {}), times.cron):
                message = (
                    f"{self._array.name}: the schedule {times.schedule} of the cluster, which is for {times.words}, is due at other times; "
                    "correct it, or remove it"
                )
                raise ConflictError(message) from problem
        except OutcomeUnknownError:
            if not same_cron(self._crons().get(times.schedule, {}), times.cron):
                raise
        return times.schedule

    def _crons(self) -> dict[str, Mapping[str, Sequence[int]]]:
        """Return the schedules of the cluster that are due by the clock, by their names."""
        found = self._array.records(SCHEDULES, query={"type": "cron"}, fields=("name", "cron"))
        return {str(record["name"]): record.get("cron") or {} for record in found}

    def _named(self, svm: str, name: str) -> JsonObject | None:
        query = {"svm.name": svm, "name": name}
        found = self._array.records(POLICIES, svm=svm, query=query, fields=("uuid", "name", "enabled", "copies"))
        return found[0] if found else None

    def _trim(self, volume: Volume, policy: SnapshotPolicy) -> None:
        """Let go of the oldest snapshots of each interval of the policy that it does not keep; what others hold stays."""
        kept = {
            name: part.keep
            for name in ("hourly", "daily", "weekly", "monthly")
            if (part := getattr(policy, name)) is not None
        }
        taken: dict[str, list[JsonObject]] = {}
        for record in sorted(self._scheduled(volume), key=taken_at):
            taken.setdefault(interval_of(record["name"]), []).append(record)
        for interval, keep in kept.items():
            for record in taken.get(interval, [])[: max(0, len(taken.get(interval, ())) - keep)]:
                try:
                    self._array.delete((VOLUMES, volume.uuid, SNAPSHOTS, record["uuid"]), svm=volume.svm)
                except ArrayError as problem:
                    if problem.kind not in {"gone", "inuse"}:
                        raise

    def _scheduled(self, volume: Volume) -> list[JsonObject]:
        query = {"name": Pattern(f"{OWN_PREFIX}*")}
        found = self._array.records(
            (VOLUMES, volume.uuid, SNAPSHOTS), svm=volume.svm, query=query, fields=("uuid", "name", "create_time")
        )
        return [record for record in found if is_scheduled(record["name"])]

    # Removing

    def drop_of(self, volume: Volume) -> None:
        """Remove the policy that a volume had, which has gone or follows none any more, unless others follow it."""
        if follows_own(volume):
            self.drop_unused(volume.svm)

    def drop_unused(self, svm: str) -> None:
        """Remove the policies of sharectl's in an SVM that no volume follows, and the schedules that it made for them.

        What the array keeps in use, or this login may not remove, stays.
        """
        found = self._array.records(
            POLICIES,
            svm=svm,
            query={"svm.name": svm, "name": Pattern(f"{OWN_PREFIX}*")},
            fields=("uuid", "name", "copies"),
        )
        mine = [record for record in found if is_own_name(record["name"])]
        if not mine:
            return
        query = {"svm.name": svm, "snapshot_policy.name": Pattern(f"{OWN_PREFIX}*")}
        volumes = self._array.records(VOLUMES, svm=svm, query=query, fields=("snapshot_policy.name",))
        used = {record["snapshot_policy"]["name"] for record in volumes}
        schedules = set()
        for record in mine:
            if record["name"] not in used and self._gone((POLICIES, record["uuid"]), svm):
                schedules |= {schedule_of(copy) for copy in record.get("copies", ())}
        self._drop_schedules({name for name in schedules if name.startswith(OWN_PREFIX)})

    def _drop_schedules(self, names: Collection[str]) -> None:
        for name in sorted(names):
            if self._array.records(POLICIES, query={"copies.schedule.name": name}, fields=("name",)):
                continue
            for record in self._array.records(SCHEDULES, query={"name": name}, fields=("uuid",)):
                self._gone((SCHEDULES, record["uuid"]), None)

    def _gone(self, path: tuple[str, str], svm: str | None) -> bool:
        try:
            self._array.delete(path, svm=svm)
        except (ArrayError, OutcomeUnknownError) as problem:
            return isinstance(problem, ArrayError) and problem.kind == "gone"
        return True

    # Listing

    def seen(self, volumes: Iterable[Volume]) -> SnapshotsSeen:
        """Return what the array has of the policies of these volumes; nothing is asked where none of them was given any."""
        volumes = [volume for volume in volumes if has_note(volume)]
        if not volumes:
            return SnapshotsSeen()
        found = self._array.records(
            POLICIES,
            svm=self._svm,
            query={"name": Pattern(f"{OWN_PREFIX}*")},
            fields=("name", "svm.name", "enabled", "copies"),
        )
        policies = {(str((record.get("svm") or {}).get("name")), str(record["name"])): record for record in found}
        crons = self._crons() if policies else {}
        taken: dict[str, list[str]] = {}
        for record in (
            self._records_of(volumes[0]) if len(volumes) == 1 else self._all_records({volume.svm for volume in volumes})
        ):
            if is_scheduled(record["name"]):
                taken.setdefault(record["volume"]["uuid"], []).append(taken_at(record))
        return SnapshotsSeen(policies, crons, self.time_zone, taken)

    def _records_of(self, volume: Volume) -> list[JsonObject]:
        return [{**record, "volume": {"uuid": volume.uuid}} for record in self._scheduled(volume)]

    def _all_records(self, svms: Collection[str]) -> list[JsonObject]:
        return [
            record
            for svm in sorted(svms)
            for record in self._array.records(
                f"{VOLUMES}/*/{SNAPSHOTS}",
                svm=svm,
                query={"svm.name": svm, "name": Pattern(f"{OWN_PREFIX}*")},
                fields=("name", "create_time", "volume.uuid"),
            )
        ]


def paused(volume: Volume) -> JsonObject:
    """Return the change after which no more snapshots are taken of a volume that nobody uses, so that those from before stay; empty where none are."""
    return {"snapshot_policy": {"name": NO_POLICY}} if follows_own(volume) else {}


def follows_own(volume: Volume | None) -> bool:
    """Tell whether a volume follows a policy of sharectl's."""
    return volume is not None and is_own_name(str(volume.value("snapshot_policy.name", NO_POLICY)))


def _content(copy: JsonObject) -> tuple[int, str]:
    return int(copy["count"]), str(copy.get("prefix"))
