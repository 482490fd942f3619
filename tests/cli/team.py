"""A coordinator and workers, each a process in a folder of its own, with their state in a real PostgreSQL and hints through a real RabbitMQ."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from sharectl.manifests.project import find_project
from sharectl.workspace.remote import prepare_tables
from tests.cli.console import COMMAND, GATED, Ended, environment, run
from tests.postgresql import DATABASE, USER, new_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.postgresql import Server
    from tests.rabbitmq import Broker

PATIENCE_SECONDS = 300.0
SLEEPER = """\
from dataclasses import replace
from pathlib import Path
from sharectl.state import lock

awake = lock.SYSTEM_CLOCK.boottime_seconds
asleep = lambda: 3600.0 if Path("slept").exists() else 0.0
lock.SYSTEM_CLOCK = replace(lock.SYSTEM_CLOCK, boottime_seconds=lambda: awake() + asleep())
"""
"""The beginning of a program on whose clock an hour has passed once there is a file `slept`, as on a machine that was suspended."""
_PROJECT = """apiVersion: sharectl/v1
kind: Project
metadata: {{name: {name}}}
spec:
  manifests: [m.yaml]
  state: {{url: "postgresql://{user}@/{database}?host={host}"}}
  execution:
    executor: {executor}
    lease: {lease}
    {broker}
    backends: {{filer: remote}}
"""
_BACKEND = """---
apiVersion: sharectl/v1
kind: Backend
metadata: {{name: filer}}
spec: {{driver: simulated, lanes: {lanes}, {spec} config: {{stateFile: filer.db, log: true, {config}}}}}
"""


def share(name: str, spec: str = "") -> str:
    """Return the manifest of a share."""
    return (
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\n"
        f"spec: {{size: 1GiB, protocol: NFS, deletionPolicy: delete, {spec}}}\n"
    )


def wait_until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline
        sleep(0.02)


@dataclass
class Team:
    """The filer's file is beside the worker; the coordinator would make one of its own if it opened the driver."""

    root: Path
    server: Server
    broker: Broker | None = None
    lease: str = "60s"
    lanes: int = 4
    config: str = ""
    spec: str = ""
    name: str = field(default_factory=new_name)

    @property
    def coordinator(self) -> Path:
        """Where applies are run."""
        return self.root / "coordinator"

    @property
    def filer(self) -> Path:
        """Where the worker runs."""
        return self.root / "worker"

    def write(self, *shares: str, user: str = USER) -> None:
        """Write both folders: the manifests of shares are the coordinator's alone."""
        broker = (
            ""
            if self.broker is None
            else f'broker: {{url: "amqp://guest@127.0.0.1:{self.broker.port}//", passwordFrom: {{env: MQ}}}}'
        )
        for folder, role, manifests in ((self.coordinator, USER, shares), (self.filer, user, ())):
            folder.mkdir(exist_ok=True, parents=True)
            project = _PROJECT.format(
                name=self.name,
                user=role,
                database=DATABASE,
                host=self.server.folder,
                executor="queue" if self.broker is None else "celery",
                lease=self.lease,
                broker=broker,
            )
            (folder / "sharectl.yaml").write_text(project)
            (folder / "m.yaml").write_text(
                _BACKEND.format(lanes=self.lanes, spec=self.spec, config=self.config) + "".join(manifests)
            )

    def let_claims_run_out(self) -> None:
        """Let the database see the leases of all claims as over, those of a worker that renews no more: nobody has to wait for that."""
        self.query("UPDATE s.call SET lease_until = clock_timestamp() WHERE finished_at IS NULL")

    def put_to_sleep(self, worker: subprocess.Popen[bytes]) -> None:
        """Stop a worker for longer than its lease; one that was started as SLEEPER knows that when it wakes up."""
        worker.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(worker.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        (self.filer / "slept").touch()
        self.let_claims_run_out()

    def run(self, *arguments: str) -> Ended:
        """Run a command of the coordinator to its end."""
        return run(*arguments, cwd=self.coordinator, env={"MQ": "guest"})

    @contextmanager
    def start(
        self, folder: Path, *arguments: str, command: Sequence[str] = COMMAND
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a process, and kill it in the end."""
        with subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env=environment(MQ="guest"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def prepare(self) -> None:
        """Make the tables, as the first plan does."""
        prepare_tables(find_project(self.coordinator))

    @contextmanager
    def worker(self, *arguments: str, command: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
        """Start a worker, of this `command` in place of sharectl's, and wait until it serves."""
        if not self.query("SELECT to_regclass('s.call')")[0][0]:
            self.prepare()
        known = self.alive()
        words = arguments or ("worker", "--backend", "filer")
        with self.start(self.filer, *words, command=command or COMMAND) as process:
            wait_until(lambda: self.alive() - known or process.poll() is not None)
            assert process.poll() is None, process.stdout and process.stdout.read()
            yield process

    def gated_worker(self, program: str = GATED) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Start a worker that makes no share before `go_on`."""
        return self.worker("simulated", "worker", "--backend", "filer", command=[sys.executable, "-c", program])

    def go_on(self) -> None:
        """Let shares be made."""
        (self.filer / "go").touch()

    def is_at_gate(self, name: str) -> bool:
        """Tell whether a worker is just about to make this share."""
        return (self.filer / f"at-{name}").exists()

    def applying(self) -> Any:  # noqa: ANN401 - a context manager
        """Start an apply."""
        return self.start(self.coordinator, "apply", "--yes")

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database, in which `s.` stands for the schema."""
        import psycopg  # noqa: PLC0415 - not every test of commands has a database

        composed = statement.replace("s.", f'"sharectl_{self.name}".').encode()
        with closing(
            psycopg.connect(host=str(self.server.folder), user=USER, dbname=DATABASE, autocommit=True)
        ) as found:
            try:
                cursor = found.execute(composed, values or None)
                return cursor.fetchall() if cursor.description is not None else []
            except psycopg.errors.UndefinedTable:
                return []

    def alive(self) -> set[str]:
        """Return the workers that have presented themselves."""
        return {name for (name,) in self.query("SELECT worker_id FROM s.worker WHERE left_at IS NULL")}

    def on_filer(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the filer's file; one whose tables are not made yet has no rows."""
        if not (self.filer / "filer.db").exists():
            return []
        with closing(sqlite3.connect(self.filer / "filer.db", timeout=300)) as connection:
            try:
                return connection.execute(statement).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return []

    def hangs(self) -> bool:
        """Tell whether the call hangs that the filer lets hang as the first: no other will."""
        return self.on_filer("SELECT matches FROM fault_matches") == [(1,)]

    def begun(self, call: str) -> int:
        """Return how often a call has reached the filer."""
        return [each for (each,) in self.on_filer("SELECT call FROM calls")].count(call)

    def check(self, shares: int) -> None:
        """Expect each share once, on the filer as in the state, and nothing open."""
        recorded = {each for (each,) in self.query("SELECT resource_id FROM s.resource WHERE kind = 'share'")}
        there = [each for (each,) in self.on_filer("SELECT resource_id FROM shares")]
        assert sorted(there) == sorted(recorded)
        assert len(recorded) == shares
        assert self.query("SELECT * FROM s.operation") == []
        assert not (self.coordinator / "filer.db").exists()


def ends_well(process: subprocess.Popen[bytes]) -> str:
    """Wait for the process, which has to succeed, and return what it said."""
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, out.decode()
    return out.decode()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it as its machine would."""
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_SECONDS)
