"""The worker of a backend for those who run Celery: `celery -A sharectl.cli.celery worker --backend NAME`.

It is the one of `sharectl worker`, with Celery's own options, log and supervision: the same settings, from the folder that it is started
in (`--workdir`), the same claims, and the same end where they cannot be renewed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from celery import concurrency, signals

from sharectl.executors.workers.broker import bare_application, configure, hand_on, queue_of
from sharectl.model.diagnostics import DiagnosticError, error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.workspace.worker import Worker

app = bare_application()
app.user_options["worker"].add(
    click.Option(["--backend"], envvar="SHARECTL_BACKEND", metavar="NAME", help="The backend to serve.")
)
app.user_options["worker"].add(
    click.Option(
        ["--heartbeat-file"],
        envvar="SHARECTL_HEARTBEAT_FILE",
        metavar="FILE",
        help="A file that the worker touches while it lives, for a probe.",
    )
)


def _begin(instance: Any, options: Mapping[str, Any], **_: object) -> None:  # noqa: ANN401 - Celery has no types
    """Present the worker before Celery connects to the broker; its process ends where that cannot be."""
    from sharectl.cli.failures import explain_failure

    if instance.app is not app:
        return
    try:
        worker, close = _worker_of(options)
        worker.begin()
    except Exception as failure:  # of an exception, Celery would write a traceback, and go on
        raise SystemExit(explain_failure(failure, os.environ)) from failure
    worker.look_beside_broker()
    hand_on(app, worker.offer, worker.heard)

    def stop(**_: object) -> None:
        worker.stopped.set()

    def end(**_: object) -> None:
        worker.end()
        close()

    signals.worker_shutting_down.connect(stop, weak=False)
    signals.worker_shutdown.connect(end, weak=False)


signals.celeryd_init.connect(_begin, weak=False)


def _worker_of(options: Mapping[str, Any]) -> tuple[Worker, Callable[[], None]]:
    """Return the worker that the options name, for which the application is configured, and what closes its backend. Raises DiagnosticError."""
    from sharectl.cli.session import start
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.heartbeat import Heartbeat
    from sharectl.workspace.remote import broker_place
    from sharectl.workspace.worker import Worker, spec_of, timed

    backend, pool = options.get("backend"), options.get("pool")
    if not backend:
        remedy = "celery -A sharectl.cli.celery worker --backend NAME, or SHARECTL_BACKEND=NAME"
        raise DiagnosticError(error("usage.backend", "no backend is named", remedy=remedy))
    if pool not in {None, "threads", concurrency.get_implementation("threads")}:
        summary = "a worker of sharectl looks at hints in threads, and in no other pool"
        raise DiagnosticError(error("usage.pool", summary, remedy="leave --pool out"))
    session = start(Path())
    spec = spec_of(session.repository.desired(only=()).backends, backend, session.project)
    place = broker_place(session.project)
    if place is None:
        summary = f"the executor of the project is {session.project.execution.executor}, which has no broker"
        remedy = f"start the worker without Celery: `sharectl worker --backend {backend}`; or choose `executor: celery`"
        raise DiagnosticError(error("execution.broker", summary, remedy=remedy))
    file = options.get("heartbeat_file")
    tell = timed(session.output.note)
    heartbeat = Heartbeat(Path(file).absolute() if file else None, os.environ, tell)
    backends = Backends({backend: spec}, str(session.project.root))
    worker = Worker(session.project, spec, backends, tell, heartbeat)
    configure(app, place, [queue_of(worker.queue_state, backend)])

    def close() -> None:
        problems = backends.close()
        if problems:
            session.output.diagnostics(problems)

    return worker, close
