"""A world to be upset: a database, a broker and a filer, two workers for each of two backends, one of them in a network of its own, and applies, one after the other.

Whatever ends is started again, as systemd would. Each apply that succeeds is followed by one of the next generation of manifests, which
makes, changes and removes shares, so that there is always something under way.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg

from sharectl.model.access import rule_of
from tests import servers
from tests.executors.workers.chaos_filer import ENTRY_POINTS, GIB, Effect, Filer
from tests.executors.workers.chaos_gates import VARIABLE, Gates
from tests.postgresql import DATABASE, USER, new_name
from tests.rabbitmq import PortTakenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgresql import Server
    from tests.rabbitmq import Broker

BACKENDS = ("alpha", "beta")
FOLDERS = ("near", "far", "coordinator")
"""What is in them: the manifests of shares are the coordinator's alone."""
LEASE = "2s"
CALM_LEASE = "60s"
PATIENCE_SECONDS = 300.0
SHARES = 24
NEW_SHARES = 4
"""How many of them are made, and how many removed, from one generation to the next."""
_LONGEST_CALL_SECONDS = 0.25
_ROOT = Path(__file__).parents[3]
_PROJECT = """apiVersion: sharectl/v1
kind: Project
metadata: {{name: {name}}}
spec:
  manifests: [m.yaml]
  state: {{url: "postgresql://{user}@127.0.0.1:{port}/{database}?sslmode=disable&connect_timeout=2", copies: {{keep: 0}}}}
  execution:
    executor: celery
    lease: {lease}
    broker: {{url: "amqp://guest@127.0.0.1:{broker}//", passwordFrom: {{env: MQ}}}}
    backends: {{alpha: remote, beta: remote}}
"""
_BACKEND = """---
apiVersion: sharectl/v1
kind: Backend
metadata: {{name: {name}}}
spec: {{driver: chaos, lanes: 4, attempts: 12, availabilityZone: {name}, listTimeout: 20s, config: {{socket: {socket}}}}}
"""
_SHARE = """---
apiVersion: sharectl/v1
kind: Share
metadata: {{name: s{number}}}
spec: {{size: {size}GiB, protocol: NFS, deletionPolicy: delete, availabilityZone: {zone}, access: [{{type: ip, to: 10.{high}.{low}.0/24, level: rw}}]}}
"""


def wait_until(condition: Callable[[], object], what: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Return once `condition` holds."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline, what
        meanwhile()
        sleep(0.02)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class FarNetwork:
    """A network namespace whose way to this one is a pair of interfaces; from there, 127.0.0.1 is this machine."""

    def __init__(self) -> None:
        """Make it. Skips where that is not possible."""
        servers.require(os.geteuid() == 0, "root, for a network namespace")
        mark = uuid4().hex[:6]
        self.name, self._near = f"chaos-{mark}", f"ch{mark}"
        middle = f"198.18.{int(mark[:2], 16)}"  # a benchmark network; others of it may be in use beside this one
        last = int(mark[2:4], 16) // 4 * 4
        self._addresses = f"{middle}.{last + 1}", f"{middle}.{last + 2}"
        here, there = self._addresses
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", self._near, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _run("ip", "addr", "add", f"{here}/30", "dev", self._near)
        self._set(f"net.ipv4.conf.{self._near}.route_localnet=1")
        self._set(f"net.ipv4.conf.{self._near}.rp_filter=0")
        _run("ip", "link", "set", self._near, "up")
        _run("ip", "-n", self.name, "addr", "add", f"{there}/30", "dev", "eth0")
        for name in ("all", "eth0"):
            self._set(f"net.ipv4.conf.{name}.route_localnet=1", far=True)
            self._set(f"net.ipv4.conf.{name}.rp_filter=0", far=True)
        _run("ip", "-n", self.name, "link", "set", "eth0", "up")
        _run("ip", "-n", self.name, "route", "add", "127.0.0.0/8", "via", here, "src", there)
        self._right = self._hardware(), self._hardware(far=True)

    def _set(self, setting: str, *, far: bool = False) -> None:
        _run(*(self.inside if far else ()), "sysctl", "-q", "-w", setting)

    def _hardware(self, *, far: bool = False) -> str:
        where = ["-n", self.name] if far else []
        shown = _run("ip", *where, "-o", "link", "show", "dev", "eth0" if far else self._near)
        found = re.search(r"link/ether (\S+)", shown)
        assert found is not None
        return found[1]

    @property
    def inside(self) -> tuple[str, ...]:
        """The beginning of a command that is to run there, with the mounts of here: `ip netns exec` copies them, and keeps those of other tests in use."""
        return ("nsenter", f"--net=/run/netns/{self.name}", "--")

    def cut(self, way: str) -> None:
        """Let nothing through: `both` ways, or only nothing that goes `in` or `out`, which nobody is told."""
        if way == "both":
            _run("ip", "link", "set", self._near, "down")
        else:
            self._point(way, "02:00:00:00:00:01")

    def heal(self) -> None:
        """Let everything through again."""
        _run("ip", "link", "set", self._near, "up")
        self._point("in", self._right[1])
        self._point("out", self._right[0])

    def _point(self, way: str, hardware: str) -> None:
        """Send packets in this direction to an interface of this address."""
        here, there = self._addresses
        place = [there, "lladdr", hardware, "dev", self._near]
        if way == "out":
            place = [here, "lladdr", hardware, "dev", "eth0"]
        where = ["-n", self.name] if way == "out" else []
        _run("ip", *where, "neigh", "replace", *place, "nud", "permanent")

    def remove(self) -> None:
        """Remove it, with the interfaces."""
        _run("ip", "link", "del", self._near)
        _run("ip", "netns", "del", self.name)


class Member:
    """A process that is started again whenever it has ended."""

    def __init__(self, world: World, folder: Path, inside: tuple[str, ...], *arguments: str) -> None:
        """Run this command in the folder, from its first `tend` on."""
        self._world = world
        self._command = [
            *inside,
            sys.executable,
            "-m",
            "tests.executors.workers.chaos_child",
            *arguments,
            "-C",
            str(folder),
        ]
        self.log = folder / f"{arguments[0]}-{uuid4().hex[:4]}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.endings: list[int] = []

    def start(self) -> None:
        """Start it."""
        self.starts += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=_ROOT,
                env=self._world.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def process_id(self) -> int:
        """Its number; 0 where it does not run."""
        return 0 if self.process is None or self.process.poll() is not None else self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait(PATIENCE_SECONDS)


class World:
    """All of it; `tend` keeps it going."""

    def __init__(self, root: Path, server: Server, broker: Broker, seed: int) -> None:
        """Use a server on TCP, and a broker, that nobody else uses."""
        self.server, self.broker, self.root = server, broker, root
        self.name = new_name()
        self.generation = 0
        self.applied: list[int] = []
        self._fenced: list[tuple[int, int, int, str]] = []
        self._claimed: list[tuple[int, int, str]] = []
        self._is_calm = False
        self._mutex = threading.RLock()
        self._raising: threading.Thread | None = None
        self.network = FarNetwork()
        self.sockets = root / f"s{uuid4().hex[:6]}"
        self.sockets.mkdir(parents=True)
        self.filer = Filer(self.sockets / "filer", seed, _LONGEST_CALL_SECONDS)
        self.gates = Gates(self.sockets / "gates")
        self.gates.seen = self._note_claim
        self.filer.made = lambda process_id, subject: self.gates.passed("made", process_id, subject)
        info = root / "chaos-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 1\n")
        (info / "entry_points.txt").write_text(ENTRY_POINTS)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "GITHUB", "CI"))}
        self.environment = {
            **kept,
            "PYTHONPATH": f"{_ROOT}:{root}",
            "MQ": "guest",
            VARIABLE: str(self.sockets / "gates"),
            "XDG_CACHE_HOME": str(root / "cache"),
        }
        for folder in FOLDERS:
            (root / folder).mkdir()
            (root / folder / "m.yaml").write_text(self._backends())
        self.write(LEASE)
        self._write_shares()
        folders = {name: root / name for name in FOLDERS}
        self.workers = [
            Member(self, folders[place], inside, "worker", "--backend", backend)
            for backend in BACKENDS
            for place, inside in (("near", ()), ("far", self.network.inside))
        ]
        apply = ("apply", "--yes", "--lock-timeout", "60s", "--allow-revocations", "1000", "--allow-deletions", "1000")
        self.coordinator = Member(self, folders["coordinator"], (), *apply)
        self.spare = Member(self, folders["coordinator"], (), *apply)

    @property
    def far(self) -> list[Member]:
        """The workers in a network of their own."""
        return self.workers[1::2]

    # --- what is wanted ---

    def numbers(self, generation: int) -> range:
        """Return the numbers of the shares that a generation has."""
        return range(generation * NEW_SHARES, generation * NEW_SHARES + SHARES)

    def write(self, lease: str) -> None:
        """Write the settings of all: at once, for any of them may be starting."""
        for folder in FOLDERS:
            project = _PROJECT.format(
                name=self.name,
                user=USER,
                port=self.server.port,
                database=DATABASE,
                lease=lease,
                broker=self.broker.port,
            )
            draft = self.root / folder / "draft"
            draft.write_text(project)
            draft.rename(self.root / folder / "sharectl.yaml")

    def _backends(self) -> str:
        return "".join(_BACKEND.format(name=name, socket=self.sockets / "filer") for name in BACKENDS)

    def _write_shares(self) -> None:
        shares = "".join(
            _SHARE.format(
                number=number,
                size=1 + self.generation // 2,
                zone=BACKENDS[number % 2],
                high=self.generation // 256,
                low=self.generation % 256,
            )
            for number in self.numbers(self.generation)
        )
        (self.root / "coordinator" / "m.yaml").write_text(self._backends() + shares)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database, in which `s.` stands for the schema; while it is away there is nothing."""
        composed = statement.replace("s.", f'"sharectl_{self.name}".').encode()
        with suppress(psycopg.Error):
            place = {"host": str(self.server.folder), "port": self.server.port}
            with closing(psycopg.connect(user=USER, dbname=DATABASE, autocommit=True, **place)) as connection:  # type: ignore[arg-type]
                return connection.execute(composed).fetchall()
        return []

    # --- what goes on ---

    def tend(self) -> None:
        """Start what has ended, with the next generation where an apply has succeeded."""
        with self._mutex:
            for worker in self.workers:
                self._tend(worker)
            for apply in (self.coordinator, self.spare):
                if apply.process is not None and apply.process.poll() is not None:
                    apply.endings.append(apply.process.returncode)
                    if apply.process.returncode == 0:
                        self.applied.append(self.generation)
                    apply.process = None
            is_idle = self.coordinator.process is None and self.spare.process is None
            is_done = self.generation in self.applied
            if is_idle and is_done and not self._is_calm:
                self.generation += 1
                self._write_shares()
            if self.coordinator.process is None and not (self._is_calm and is_done):
                self.coordinator.start()

    @staticmethod
    def _tend(worker: Member) -> None:
        if worker.process is None or worker.process.poll() is not None:
            if worker.process is not None:
                worker.endings.append(worker.process.returncode)
            worker.start()

    def close(self) -> None:
        """End all of it."""
        for member in (*self.workers, self.coordinator, self.spare):
            member.signal(signal.SIGCONT)
            member.end()
        if self._raising is not None:
            self._raising.join()
        self.gates.close()
        self.filer.close()
        self.network.remove()

    def progress(self, more: int = 1) -> None:
        """Return once the filer has made further changes."""
        before = len(self.filer.effects)
        wait_until(lambda: len(self.filer.effects) >= before + more, "nothing goes on any more", self.tend)

    # --- faults ---

    def member(self, process_id: int) -> Member | None:
        """Return the member that runs under this number, also the one whose child it is."""
        members = (*self.workers, self.coordinator, self.spare)
        return next((each for each in members if each.process_id == process_id), None)

    def claims_are_over(self, process_id: int) -> bool:
        """Tell whether nothing that the process has claimed is still its own."""
        lives = "SELECT count(*) FROM s.call JOIN s.worker USING (worker_id) WHERE finished_at IS NULL AND lease_until > clock_timestamp()"
        return self.query(f"{lives} AND process_id = {process_id}") == [(0,)]

    def crash_database(self) -> None:
        """Stop it as if its machine had lost power, and start it again."""
        self.server.stop("immediate")
        self.server.start()

    def crash_broker(self) -> None:
        """Kill it, and have it started again; that takes longer than what comes next."""
        if self._raising is not None:
            self._raising.join()
        self.broker.kill()
        self._raising = threading.Thread(target=self._raise_broker)
        self._raising.start()

    def _raise_broker(self) -> None:
        for _ in range(5):
            with suppress(PortTakenError):
                return self.broker.start()
        return None

    @property
    def has_broker(self) -> bool:
        """Tell whether the broker runs."""
        return self._raising is None or not self._raising.is_alive()

    def _note_claim(self, point: str, process_id: int, subject: str) -> None:
        if point == "claimed":
            self._claimed += [(len(self.filer.begun), process_id, resource_id) for resource_id in subject.split(",")]

    def expect_nothing(self, process_id: int, subject: str) -> None:
        """Note that the process may not begin anything about these resources from now on, until it claims a call about them again."""
        since, claims = len(self.filer.begun), len(self._claimed)
        self._fenced += [(since, claims, process_id, resource_id) for resource_id in subject.split(",")]

    # --- what must hold ---

    def calm(self) -> None:
        """Let all of it come to its end without any further fault."""
        self.gates.disarm()
        self.network.heal()
        if self._raising is not None:
            self._raising.join()
        for member in (self.coordinator, self.spare):
            member.signal(signal.SIGCONT)
        with self._mutex:
            self._is_calm = True
            self.write(CALM_LEASE)
            for worker in self.workers:
                worker.signal(signal.SIGCONT)
                worker.end()
        members = (self.coordinator, self.spare)
        wait_until(
            lambda: self.generation in self.applied and all(member.process is None for member in members),
            f"generation {self.generation} is not finished",
            self.tend,
        )

    def mistakes(self) -> list[str]:
        """Return what is wrong: with what the filer was made to do, and with what the state says of it."""
        return [*self._of_effects(), *self._of_state(), *self._of_fenced()]

    def told(self) -> str:
        """Return what there was to see, for people."""
        endings = Counter(code for worker in self.workers for code in worker.endings)
        changes = f"{self.generation} generations, {len(self.filer.effects)} changes, {len(self.filer.begun)} calls"
        return f"{changes}, {self.filer.refused} refused by a fence; workers ended {dict(endings)}"

    def _of_fenced(self) -> list[str]:
        found = []
        for since, claims, process_id, resource_id in self._fenced:
            later = (at for at, *claim in self._claimed[claims:] if claim == [process_id, resource_id])
            if (process_id, resource_id) in self.filer.begun[since : next(later, None)]:
                found.append(f"{process_id} has begun a call about {resource_id} after its claim was over")
        return found

    def _lasting_effects(self) -> list[Effect]:
        """Return the changes without those of a creation that was given up after all its attempts, and removed before anybody had access."""
        by_id: dict[str, list[str]] = {}
        for effect in self.filer.effects:
            by_id.setdefault(effect.resource_id, []).append(effect.change)
        given_up = {resource_id for resource_id, changes in by_id.items() if changes == ["create", "delete"]}
        return [effect for effect in self.filer.effects if effect.resource_id not in given_up]

    def _of_effects(self) -> list[str]:
        found = []
        by_name: dict[str, list[Any]] = {}
        for effect in self._lasting_effects():
            by_name.setdefault(effect.name, []).append(effect)
        last = max(self.applied)
        for name, effects in sorted(by_name.items()):
            number = int(name[1:])
            lives = [g for g in range(last + 1) if number in self.numbers(g)]
            ids = {effect.resource_id for effect in effects}
            if len(ids) != 1:
                found.append(f"{name} was made {len(ids)} times")
            made = [(effect.change, _plain(effect)) for effect in effects]
            access = [value for change, value in made if change == "access"]
            sizes = [value for change, value in made if change in {"create", "extend"}]
            if access != [f"10.{g // 256}.{g % 256}.0/24" for g in lives]:
                found.append(f"{name} had the access {access} and not that of {lives}")
            if sizes != sorted({(1 + g // 2) * GIB for g in lives}):
                found.append(f"{name} had the sizes {sizes}")
            ends = ["delete"] if lives[-1] < last else []
            if [change for change, _ in made if change == "delete"] != ends or (ends and made[-1][0] != "delete"):
                found.append(f"{name} was removed wrongly: {made}")
            if made[0][0] != "create":
                found.append(f"{name} began with {made[0]}")
        wanted = {f"s{number}" for generation in range(last + 1) for number in self.numbers(generation)}
        if missing := wanted - by_name.keys():
            found.append(f"never made: {sorted(missing)}")
        return found

    def _of_state(self) -> list[str]:
        found = []
        recorded = self.query("SELECT address, resource_id FROM s.resource WHERE kind = 'share' ORDER BY address")
        there = sorted((f"share/{share['name']}", share["resource_id"]) for share in self.filer.shares().values())
        if sorted(recorded) != there:
            found.append(f"the state has {recorded}, and the filer {there}")
        if operations := self.query("SELECT operation_id, address, verb FROM s.operation"):
            found.append(f"open: {operations}")
        told = set(self.query("SELECT address, verb FROM s.history WHERE outcome <> 'failed'"))
        verbs = {
            "create": "create-share",
            "access": "update-access",
            "extend": "extend-share",
            "delete": "delete-share",
        }
        done = {(f"share/{effect.name}", verbs[effect.change]) for effect in self._lasting_effects()}
        if untold := done - told:
            found.append(f"not in the history: {sorted(untold)}")
        return found


def _plain(effect: Any) -> Any:  # noqa: ANN401 - JSON
    if effect.change == "access":
        return " ".join(rule_of(rule).access_to for rule in effect.value)
    return effect.value
