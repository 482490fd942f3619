"""Jobs: what takes a while, the records of it, and how soon those are gone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.operations import Call, Done, Job, Outcome, Row, operation, rows
from tests.emulators.ontap.world import Record, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.emulators.ontap.facts import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(Record):
    """A job under way, or one that ended a short time ago."""

    description: str
    started: float
    due: float
    svm: str | None = None
    state: str = "running"
    ended: float | None = None
    refusal: Refused | None = None
    lost: bool = False
    """Whether nobody can read it any more, though it is not forgotten by who waited for it."""


def start(world: World, job: Job, method: str, path: str, svm: str | None) -> JobRecord:
    """Begin a job; it ends when its time has passed."""
    now = world.clock.now()
    slow = world.faults.take("job_runs", method, path, now)
    failure = world.faults.take("job_fails", method, path, now)
    gone_early = world.faults.take("job_gone", method, path, now) is not None
    seconds = job.seconds + (slow.values["seconds"] if slow else 0)
    record = JobRecord(
        uuid=world.new_uuid(), description=f"{method} /api{path}", started=now, due=now + seconds, svm=job.svm or svm
    )
    how: dict[str, Any] = {"failure": failure.values if failure else {}, "gone_early": gone_early}
    world.at(record.due, partial(_run, uuid=record.uuid, work=job.work, **how))
    return world[JobRecord].put(record)


def _run(
    world: World, uuid: str, work: Callable[[World], object], failure: dict[str, Any], *, gone_early: bool
) -> None:
    refusal = None
    if not failure or failure.get("done"):
        try:
            work(world)
        except Refused as refused:
            refusal = refused
    if failure:
        refusal = Refused(failure.get("code", 460770), failure.get("message", "The job was made to fail."))
    _end(world, uuid, refusal, lost=gone_early)


def _end(world: World, uuid: str, refusal: Refused | None, *, lost: bool = False) -> None:
    state = "success" if refusal is None else "failure"
    world[JobRecord].change(uuid, state=state, ended=world.clock.now(), refusal=refusal, lost=lost)
    world.later(world.settings.job_kept_seconds, partial(_forget, uuid=uuid))


def _forget(world: World, uuid: str) -> None:
    world[JobRecord].remove(uuid)


def running(world: World, uuids: Iterable[str]) -> list[JobRecord]:
    """Return those of some jobs that have not ended."""
    found = [world[JobRecord].get(uuid) for uuid in uuids]
    return [job for job in found if job is not None and job.ended is None]


def end_interrupted(world: World) -> None:
    """After a restart: let the jobs fail whose work could not be kept."""
    kept = {work.keywords.get("uuid") for work in world.waiting() if isinstance(work, partial)}
    for job in world[JobRecord]:
        if job.ended is None and job.uuid not in kept:
            refusal = Refused(460770, "The job was interrupted by a restart of the node.")
            _end(world, job.uuid, refusal)


@rows("job")
def jobs(world: World) -> Iterable[Row]:
    """Show the jobs of which there is still a record."""
    for job in (each for each in world[JobRecord] if not each.lost):
        yield Row({"uuid": job.uuid}, partial(_shown, world, job), job.svm)


def _shown(world: World, job: JobRecord) -> JsonObject:
    shown: JsonObject = {
        "uuid": job.uuid,
        "description": job.description,
        "state": job.state,
        "start_time": world.clock.stamp(job.started),
    }
    if job.ended is not None:
        refusal = job.refusal
        shown["end_time"] = world.clock.stamp(job.ended)
        shown["message"] = "success" if refusal is None else refusal.message
        shown["code"] = 0 if refusal is None else refusal.code
        if refusal is not None:
            shown["error"] = {"message": refusal.message, "code": str(refusal.code)}
    return shown


@operation("PATCH /cluster/jobs/{uuid}")
def change_job(world: World, call: Call) -> Outcome:
    """Refuse to cancel or to pause: most jobs cannot."""
    if world[JobRecord][call.keys["uuid"]].ended is not None:
        raise Refused(458762, "The job has already completed.")
    if call.query.get("action") == "pause":
        raise Refused(458783, "The job cannot be paused.")
    if call.query.get("action") == "cancel":
        raise Refused(458784, "The job cannot be canceled.")
    return Done()
