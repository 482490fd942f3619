"""Chaos: whatever is killed, stopped or cut off, and at whichever step, every change is made once, in order, and recorded.

By hand, or at night, SHARECTL_TESTS_CHAOS_ROUNDS (60 and more) and SHARECTL_TESTS_CHAOS_SEED make more of it; what was done stands in the output (`-s`).
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from itertools import product
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.executors.workers.chaos import World, wait_until
from tests.executors.workers.chaos_gates import COORDINATOR_POINTS, WORKER_POINTS
from tests.postgresql import Server
from tests.rabbitmq import Broker
from tests.servers import IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.executors.workers.chaos import Member

ROUNDS = int(os.environ.get("SHARECTL_TESTS_CHAOS_ROUNDS", "36"))
SEED = int(os.environ.get("SHARECTL_TESTS_CHAOS_SEED", "20"))
WORLDS = max(2, ROUNDS // 125)
_ACCESS = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all 198.18.0.0/16 trust\n"
POINTS = (
    *product((*WORKER_POINTS, *COORDINATOR_POINTS), ("self", "database", "others")),
    *product(("claimed", "made", "finished", "renewed"), ("stop",)),
    *product(("claimed", "offered", "hinted"), ("broker",)),
)
"""Each step of the protocol, and what befalls whom there: the process itself, the database, those on the other side, or the broker."""
_FENCED = ("claimed", "stop")


@pytest.fixture
def servers_of_its_own() -> Iterator[tuple[Server, Broker]]:
    """Yield a database that keeps what it has committed, and a broker, both for this test alone."""
    server, broker = Server.create(parent=IN_MEMORY), Broker.create(parent=IN_MEMORY)
    try:
        (server.data / "pg_hba.conf").write_text(_ACCESS)
        server.start_on_tcp()
        broker.start()
        yield server, broker
    finally:
        broker.remove()
        server.remove()


class Chaos:
    """Faults, drawn by a seed."""

    def __init__(self, world: World, seed: int, points: Sequence[tuple[str, str]]) -> None:
        """Upset the world, at each of these points as long as there are such, and at random."""
        self.world = world
        self.random = Random(seed)  # noqa: S311 - a repeatable test
        self.points = self.random.sample(points, len(points))
        self.points.sort(key=lambda point: point != _FENCED)  # what is to be seen there is looked for in every run
        self.done: Counter[str] = Counter()

    def round(self) -> str:
        """Let something happen, and see that things go on."""
        name = self._at_some_point() if self.random.random() < 0.5 else ""
        if not name:
            weights: dict[Callable[[], object], float] = {
                self.kill_worker: 10,
                self.kill_coordinator: 8,
                self.kill_several: 4,
                self.world.crash_database: 3,
                self.stop_worker: 2,
                self.cut_off: 2,
                self.stop_coordinator: 0.7,
                self.world.crash_broker: 0.3 if self.world.has_broker else 0,
            }
            (chosen,) = self.random.choices(list(weights), list(weights.values()))
            chosen()
            name = chosen.__name__
        self.done[name] += 1
        self.world.progress()
        return name

    # --- at random ---

    def any_of(self, members: Sequence[Member]) -> Member:
        """Return one that runs."""
        return self.random.choice([member for member in members if member.process_id] or members)

    def kill_worker(self) -> None:
        """Kill one."""
        self.any_of(self.world.workers).end()

    def kill_coordinator(self) -> None:
        """Kill the apply that is under way."""
        self.world.coordinator.end()

    def kill_several(self) -> None:
        """Kill half of all."""
        for member in self.random.sample([*self.world.workers, self.world.coordinator], 3):
            member.end()

    def stop_worker(self) -> None:
        """Stop one for longer than its lease."""
        worker = self.any_of(self.world.workers)
        self._stop(worker, worker.process_id)

    def _stop(self, worker: Member, process_id: int) -> None:
        worker.signal(signal.SIGSTOP)
        over = self.world.claims_are_over
        wait_until(lambda: over(process_id), "a stopped worker keeps its claims", self.world.tend)
        worker.signal(signal.SIGCONT)

    def stop_coordinator(self) -> None:
        """Stop an apply until another has taken its lock over, and done its work."""
        world = self.world
        world.coordinator.signal(signal.SIGSTOP)
        if not world.spare.process_id:
            world.spare.start()
        wait_until(lambda: not world.spare.process_id, "a second apply does not end", world.tend)
        world.coordinator.signal(signal.SIGCONT)

    def cut_off(self) -> None:
        """Cut the far workers off from database and broker, and not from the filer, for longer than their leases."""
        world = self.world
        far = [worker.process_id for worker in world.far]
        world.network.cut(self.random.choice(["both", "in", "out"]))
        try:
            wait_until(
                lambda: all(map(world.claims_are_over, far)), "workers that are cut off keep their claims", world.tend
            )
            world.progress()
        finally:
            world.network.heal()

    # --- at a step ---

    def _at_some_point(self) -> str:
        """Let the next fault at a step happen that can."""
        for number, (point, victim) in enumerate(self.points):
            if self.world.has_broker or (point not in {"hinted", "acknowledged"} and victim != "broker"):
                del self.points[number]
                self._at(point, victim)
                return f"{victim} at {point}"
        return ""

    def _at(self, point: str, victim: str) -> None:
        """Let a fault befall who comes to a step next, or others while it is there."""
        world = self.world

        def fault(process_id: int, subject: str) -> None:
            member = world.member(process_id)
            if victim == "database":
                world.crash_database()
            elif victim == "broker":
                world.crash_broker()
            elif victim == "others":
                for other in [world.coordinator] if point in WORKER_POINTS else world.workers:
                    other.end()
            elif member is None:
                pass
            elif victim == "self":
                member.end()
            else:
                self._stop(member, process_id)
                if (point, victim) == _FENCED:  # it has not asked yet whether it may begin
                    world.expect_nothing(process_id, subject)

        met = world.gates.arm(point, fault)
        wait_until(met.is_set, f"nobody comes to {point}", world.tend)


@pytest.mark.timeout(max(600, 6 * ROUNDS))
@pytest.mark.parametrize("number", range(WORLDS))
def test_everything_is_done_once_whatever_happens(
    tmp_path: Path, servers_of_its_own: tuple[Server, Broker], number: int
) -> None:
    """No change twice, none lost, none out of order, none by who is fenced; nothing left open, and all of it in the history.

    A call that finds its change made is none: that no two workers make one call at once is shown by `test_claims` alone.
    """
    seed = SEED + number
    world = World(tmp_path, *servers_of_its_own, seed)
    chaos = Chaos(world, seed, POINTS[number % 2 :: 2])
    try:
        world.progress()
        for _ in range(ROUNDS // WORLDS):
            name = chaos.round()
            with (tmp_path / "rounds").open("a") as told:
                told.write(f"{name}\n")
        world.calm()
        mistakes = world.mistakes()
        print(f"seed {seed}: {chaos.done.total()} rounds; {world.told()}")  # noqa: T201 - for whoever runs it by hand
        assert mistakes == [], (seed, chaos.done)
    finally:
        world.close()
