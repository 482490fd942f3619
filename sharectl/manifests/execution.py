"""The part of a project file that says who makes the calls on backends."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.fields import parse_duration
from sharectl.manifests.findings import Finding
from sharectl.model.diagnostics import error
from sharectl.model.settings import LONGEST_LEASE_SECONDS, BrokerSettings, ExecutionSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic, Source

_LOOPBACK: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]")
_BROKER_URL: Final = re.compile(
    r"amqps?://([A-Za-z0-9._~%-]+@)?(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~%/-]*)?"
)
_SHORTEST_LEASE_SECONDS: Final = 5.0


def execution_of(root: Path, written: JsonObject) -> ExecutionSettings:
    """Return the settings as they are written; relative paths are under `root`."""
    broker = written.get("broker")
    defaults = ExecutionSettings()
    return ExecutionSettings(
        executor=written.get("executor", defaults.executor),
        broker=None if broker is None else _broker(root, broker),
        lease_seconds=parse_duration(written["lease"]) if "lease" in written else defaults.lease_seconds,
        processes=written.get("processes", defaults.processes),
        remote=frozenset(name for name, place in written.get("backends", {}).items() if place == "remote"),
    )


def _broker(root: Path, written: JsonObject) -> BrokerSettings:
    reference: Any = next(iter(written.get("passwordFrom", {}).items()), None)
    if reference is not None and reference[0] == "file":
        reference = ("file", str(root / reference[1]))
    return BrokerSettings(
        url=written["url"],
        password_from=reference,
        ca_file=str(root / written["caFile"]) if "caFile" in written else None,
    )


class ExecutorError(Exception):
    """An executor does not go with the rest of the project; `path` is the setting under `spec` that it is about."""

    def __init__(self, path: tuple[str, ...], summary: str, detail: str, remedy: str) -> None:
        """Say what is wrong, why, and what to do."""
        super().__init__(summary)
        self.path = path
        self._said = (summary, detail, remedy)

    def diagnostic(self, source: Source | None) -> Diagnostic:
        """Return what is told of it, at this place."""
        summary, detail, remedy = self._said
        return error("project.execution", summary, detail=detail, remedy=remedy, source=source)


def chosen_executor(
    settings: ExecutionSettings, chosen: str | None, file: Path | None, *, is_elsewhere: bool
) -> ExecutionSettings:
    """Return the settings with the executor that was chosen for a run (None: the project's). Raises ExecutorError.

    `file` is where the state is, unless it is in a database; `is_elsewhere` where that was said by SHARECTL_STATE.
    """
    executor = chosen or settings.executor
    if executor == "local":
        return replace(settings, executor=executor, remote=frozenset())
    if file is not None:
        raise _out_of_reach(executor, file, is_chosen=chosen is not None, is_elsewhere=is_elsewhere)
    if executor == "celery" and settings.broker is None:
        summary, detail = "the executor celery has no broker", "workers are told of their calls through RabbitMQ."
        remedy = "name it: `execution: {broker: {url: amqps://USER@HOST/VHOST}}`; or choose --executor queue, which needs none"
        raise ExecutorError(("execution",), summary, detail, remedy)
    if chosen is not None and not settings.remote:
        summary, detail = f"no backend is remote, so that --executor {chosen} would change nothing", ""
        remedy = f"name those that workers serve: `execution: {{executor: {chosen}, backends: {{NAME: remote}}}}`; or leave the option out"
        raise ExecutorError(("execution",), summary, detail, remedy)
    return replace(settings, executor=executor)


def _out_of_reach(executor: str, file: Path, *, is_chosen: bool, is_elsewhere: bool) -> ExecutorError:
    """Return what is wrong with an executor other than the local one where the state is a file."""
    detail = "workers claim their calls in the database of the state, and a file cannot be reached from elsewhere."
    summary = f"the executor {executor} needs a state in PostgreSQL"
    remedy = "name the database: `state: {url: postgresql://USER@HOST/DATABASE}`; `sharectl state migrate --to` brings the state there"
    if is_elsewhere:
        summary += f", and SHARECTL_STATE names a file: {file}"
        remedy = "let SHARECTL_STATE name the database, or leave it out"
    if not is_chosen:
        remedy += "; for a plan or an apply by this process alone, pass --executor local"
    return ExecutorError(("execution", "executor"), summary, detail, remedy)


def execution_findings(written: JsonObject, document: int) -> Iterator[Finding]:
    """Yield what is wrong with settings that meet the schema."""
    executor, broker = written.get("executor", "local"), written.get("broker")
    remote = [name for name, place in written.get("backends", {}).items() if place == "remote"]
    path = ("spec", "execution")
    if executor == "celery" and broker is None:
        yield Finding(
            "project.execution",
            "the executor celery has no broker",
            "workers are told of their calls through RabbitMQ.",
            "name it: `broker: {url: amqps://USER@HOST/VHOST}`; or choose `executor: queue`, which needs none",
            document,
            (*path, "executor"),
        )
    if executor == "local" and remote:
        yield Finding(
            "project.execution",
            f"backend {remote[0]} is remote, and the executor is local",
            "a local executor makes all calls in this process.",
            "choose `executor: celery` or `executor: queue`, or make the backend local",
            document,
            (*path, "backends", remote[0]),
        )
    if "lease" in written and parse_duration(written["lease"]) < _SHORTEST_LEASE_SECONDS:
        yield Finding(
            "project.execution",
            f"a lease of {written['lease']} is too short",
            "a worker that does not get its claims renewed within it ends itself, and its calls are made again.",
            "choose one that is longer than the database takes to fail over, such as 90s",
            document,
            (*path, "lease"),
        )
    if "lease" in written and parse_duration(written["lease"]) > LONGEST_LEASE_SECONDS:
        yield Finding(
            "project.execution",
            f"a lease of {written['lease']} is too long",
            "for so long nobody would take over what a lost worker was doing.",
            "choose one that is longer than the database takes to fail over, such as 90s, and no more than 24h",
            document,
            (*path, "lease"),
        )
    if broker is not None and _BROKER_URL.fullmatch(broker["url"]) is None:
        yield Finding(
            "project.execution",
            "the broker's URL cannot be used",
            "",  # which may hold a password
            "write amqps://USER@HOST/VHOST, without a password: `passwordFrom` says where that is",
            document,
            (*path, "broker", "url"),
        )
    elif broker is not None and broker["url"].startswith("amqp:"):
        host = broker["url"].removeprefix("amqp://").partition("/")[0].rpartition("@")[2]
        if _LOOPBACK.fullmatch(re.sub(r":[0-9]+$", "", host)) is None:
            yield Finding(
                "project.execution",
                "the way to the broker is not encrypted",
                "the password would go over the network as it is.",
                "write amqps:, and with `caFile` the authority that the broker's certificate is checked by",
                document,
                (*path, "broker", "url"),
            )
