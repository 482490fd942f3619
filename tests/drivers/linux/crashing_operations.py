"""A program that kills a process of its own before each effect that a request to the agent has, and lets another repeat the request.

It reads a job as `test_linux_crashes.crash_everywhere` writes it, and prints what was listed after each repetition. Changes of the
records and of Ganesha's live exports count as effects, as what changes the host does; with a `stride`, not each is tried. With `theirs` in the job somebody makes a
subvolume of that path by hand after each kill, where the name is free. With `looks` it prints what was listed and what the servers had
in force after each kill too.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.nfs.exports import snapshots_id
from sharectl.drivers.linux.agent.nfs.ganesha import bus as ganesha_bus
from sharectl.drivers.linux.agent.nfs.ganesha import process
from sharectl.drivers.linux.agent.nfs.ganesha import server as ganesha
from sharectl.drivers.linux.agent.operations import open_backend
from sharectl.drivers.linux.agent.records import Records
from sharectl.drivers.linux.agent.smb import server as smb_server
from sharectl.drivers.linux.agent.smb.observing import to_plain

# What the operations import when they need it is imported here, once for all the processes that are forked.
from sharectl.drivers.linux.agent.volumes.btrfs import pool as btrfs_pool
from sharectl.drivers.linux.agent.wire.tables import rows_of
from tests.drivers.linux.crashing import FAILED, kill_after
from tests.drivers.linux.lab import kill_processes_of, run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sharectl.drivers.linux.agent.nfs.ganesha.messages import Call
    from sharectl.drivers.linux.agent.operations import Backend

LOADED = (btrfs_pool, ganesha, ganesha_bus, process, smb_server)
KILL_SERVERS = "kill servers"
REMOVE_THEIRS = "remove theirs"
KEEP_SNAPSHOTS = "keep snapshots"
NFS_SNAPSHOTS = "snapshots for nfs"
"""What a job can ask for beside requests."""


def announce_changes() -> None:
    """Raise an audit event before each commit of the records and before each change that Ganesha is asked for."""
    open_records, call_in_order = Records._open, ganesha_bus.GaneshaBus.call_in_order

    def opened(records: Records) -> sqlite3.Connection:
        connection = open_records(records)
        connection.set_trace_callback(lambda statement: sys.audit("sharectl.commit") if statement == "COMMIT" else None)
        return connection

    def called(bus: ganesha_bus.GaneshaBus, calls: Sequence[Call], **options: Any) -> Any:  # noqa: ANN401 - a wrapper
        for call in calls:
            if call.method in {"AddExport", "UpdateExport", "RemoveExport"}:
                sys.audit("sharectl.bus_call", call.method)
        return call_in_order(bus, calls, **options)

    Records._open = opened  # type: ignore[method-assign]
    ganesha_bus.GaneshaBus.call_in_order = called  # type: ignore[method-assign]


def filled(value: Any, number: int) -> Any:  # noqa: ANN401 - parts of documents have many types
    """Return the JSON value with the number of the attempt in its texts."""
    return json.loads(json.dumps(value).replace("{n}", f"{number:04d}"))


def in_process(job: dict[str, Any], requests: list[list[Any]], number: int, *, survived: int | None) -> bool:
    """Make the requests in a process that is killed after `survived` effects; return whether it finished."""
    child = os.fork()
    if child == 0:
        try:
            if survived is not None:
                kill_after(survived)
            backend = open_backend(job["settings"])
            for method, params in filled(requests, number):
                if method == KILL_SERVERS:
                    kill_processes_of(f"{job['settings']['root']}/servers")
                elif method == REMOVE_THEIRS:
                    shutil.rmtree(filled(job["theirs"], number), ignore_errors=True)
                elif method == KEEP_SNAPSHOTS:
                    backend.keep_snapshots(datetime.fromisoformat(params["now"]))
                else:
                    backend.call(method, params)
        except BaseException as error:  # noqa: BLE001 - the parent is told by the exit code
            sys.stderr.write(f"attempt {number}: {error!r}\n")
            os._exit(FAILED)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit(f"a request failed in attempt {number}")
    return os.WIFEXITED(status)


def with_theirs(job: dict[str, Any], number: int) -> dict[str, Any]:
    """Take the name where it is free, repeat the request (or make the job's `again`), and return what there was before and after."""
    theirs = Path(filled(job["theirs"], number))
    is_free = not theirs.exists()
    if is_free:
        run("btrfs", "subvolume", "create", str(theirs))
        (theirs / "theirs").touch()
    between = listed(job, number)
    refusal = refusal_of(job, job.get("again", job["request"]), number)
    (pool,) = open_backend(job["settings"]).call("pools", {})
    return {
        "is_free": is_free,
        "between": between,
        "refusal": refusal,
        "after": listed(job, number),
        "is_kept": (theirs / "theirs").exists(),
        "recorded_bytes": pool["allocated_bytes"],
    }


def seen_between(job: dict[str, Any], number: int) -> dict[str, Any]:
    """Repeat the request, and return what was listed before and after, and what the servers had in force before."""
    between, live = listed(job, number), in_force(job)
    in_process(job, [job["request"]], number, survived=None)
    return {"between": between, "live": live, "after": listed(job, number)}


def in_force(job: dict[str, Any]) -> dict[str, Any]:
    """Return what the servers give to whom who comes now: the clients of exports, and the rights of sections."""
    servers = open_backend(job["settings"])._room.servers("main")
    exports = {} if servers.nfs is None else servers.nfs.live()
    sections = {} if servers.smb is None else servers.smb.live()
    return {
        "nfs": sorted([list(client[:2]) for export in exports.values() for client in export.clients]),
        "smb": [to_plain(section) for section in sections.values() if section.path],
    }


def refusal_of(job: dict[str, Any], request: list[Any], number: int) -> str | None:
    """Make a request in a process of its own; return what the agent refuses it with."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ((method, params),) = filled([request], number)
            open_backend(job["settings"]).call(method, params)
        except Problem as problem:
            os.write(writer, str(problem).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return text or None


def snapshots_for_nfs(backend: Backend, share_id: str) -> list[Any]:
    """Return who may do what in the export of a share's snapshots, and how many are bound there."""
    row = backend._records.share(share_id)
    server = backend._room.servers("main").nfs
    if row is None or server is None:
        return [[], 0]
    number = snapshots_id(row.export_id) or 0
    export = server.live([number]).get(number)
    folder = Path(f"{backend._room.servers('main').mount_point(share_id)}.snapshots")
    bound = len(list(folder.iterdir())) if folder.exists() else 0
    return [sorted(client[:2] for client in export.clients) if export is not None else [], bound]


def listed(job: dict[str, Any], number: int) -> list[Any]:
    """Return the number and the answers to the job's `lists`, asked by a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        backend = open_backend(job["settings"])
        answers = [
            snapshots_for_nfs(backend, **filled(params, number))
            if method == NFS_SNAPSHOTS
            else list(rows_of(backend.call(method, params)))
            for method, params in job["lists"]
        ]
        with os.fdopen(writer, "w") as file:
            json.dump([number, *answers], file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    found: list[Any] = json.loads(text)
    return found


def main() -> None:
    """Do the job on standard input."""
    job = json.load(sys.stdin)
    announce_changes()
    answers: list[Any] = []
    number = 0
    is_whole = False
    while not is_whole:
        in_process(job, job["before"], number, survived=None)
        is_whole = in_process(job, [job["request"]], number, survived=number * job.get("stride", 1))
        if "theirs" in job:
            answers.append(with_theirs(job, number))
        elif "looks" in job:
            answers.append(seen_between(job, number))
        else:
            in_process(job, [job["request"]], number, survived=None)
            answers.append(listed(job, number))
        in_process(job, job["after"], number, survived=None)
        number += 1
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
