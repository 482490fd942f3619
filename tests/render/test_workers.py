"""Who serves which backend, as people and programs read it."""

from __future__ import annotations

import pytest

from sharectl.executors.workers.dismissal import HoldingSession
from sharectl.executors.workers.offers import WorkerSeen
from sharectl.render.text import Look
from sharectl.render.workers import workers_lines, workers_object

_SERVES = WorkerSeen("a@h-1-0123abcd", "a", "h", 1, "0.1.0", 1, 4, "d", True, False, 2.0, 3, 7200.0)  # noqa: FBT003 - in order
ALIVE = _SERVES._replace(oldest_address="share/x")
GONE = ALIVE._replace(
    worker_id="b@h-2-0123abcd",
    backend="b",
    is_alive=False,
    silent_seconds=10800.0,
    running=0,
    oldest_seconds=None,
    oldest_address=None,
)
LEFT = GONE._replace(worker_id="b@h-3-0123abcd", has_left=True)
DISMISSED = ALIVE._replace(is_alive=False, is_admitted=False)
HOLDING = HoldingSession(4711, "worker_a", "10.0.0.5", is_advisory=False, transaction_seconds=720.0)


def test_people_see_who_serves_and_who_does_not() -> None:
    """With what runs there and since when; a backend that nobody serves is told, with the way out."""
    left = LEFT._replace(silent_seconds=3000.0)
    lines = list(workers_lines([ALIVE, GONE._replace(running=1), left], frozenset({"a", "b", "c"})))
    assert lines == [
        "BACKEND  HOST  STATUS                     CALLS  SINCE  STEP     VERSION  WORKER",
        "a        h     serves, last seen 2 s ago    3/4    2 h  share/x  0.1.0    a@h-1",
        "b        h     gone, last seen 3 h ago      1/4                  0.1.0    b@h-2",
        "b        h     has left, 50 min ago         0/4                  0.1.0    b@h-3",
        "b: no worker (last seen 50 min ago); start one with `sharectl worker --backend b`",
        "c: no worker (none was ever seen); start one with `sharectl worker --backend c`",
    ]


def test_who_ended_long_ago_is_shown_no_more() -> None:
    """But for the last one of a backend that has no other; programs get them all."""
    before, of_a = LEFT._replace(silent_seconds=20000.0), LEFT._replace(worker_id="a@h-4-0123abcd", backend="a")
    workers = [ALIVE, of_a, before, GONE]
    table = [line.split()[-1] for line in workers_lines(workers, frozenset({"a", "b"}))][1:-1]
    assert table == ["a@h-1", "b@h-2"]
    assert len(workers_object(workers, frozenset())["workers"]) == 4


@pytest.mark.parametrize("width", [40, 80, 200])
def test_on_a_terminal_of_any_width_the_status_is_whole(width: int) -> None:
    """A narrow one does without the worker, the version, the step and its age, in that order."""
    lines = list(
        workers_lines(
            [ALIVE._replace(host="storage-17", worker_id="a@storage-17.example.org-4711-0123abcd"), GONE],
            frozenset({"a", "b"}),
            look=Look(width=width),
        )
    )
    table = lines[:-1]
    assert all(len(line) <= width for line in table)
    head = table[0].split()
    assert head[:4] == ["BACKEND", "HOST", "STATUS", "CALLS"]
    assert head[4:] == {40: [], 80: ["SINCE", "STEP", "VERSION"], 200: ["SINCE", "STEP", "VERSION", "WORKER"]}[width]
    assert "storage-17" in "\n".join(table)
    assert "last seen 3 h ago" in " ".join(line for line in lines[-1:])


def test_without_any_there_is_one_line() -> None:
    """Rather than an empty table."""
    assert list(workers_lines([], frozenset())) == ["No backend is remote, and no worker was ever seen."]


def test_who_was_dismissed_and_who_is_in_the_way_is_told() -> None:
    """With the process that ends it; since when, only where that may be seen."""
    unseen = HOLDING._replace(process_id=12, client="", is_advisory=True, transaction_seconds=None)
    lines = list(workers_lines([DISMISSED], frozenset({"a"}), [HOLDING, unseen]))
    assert "dismissed, last seen 2 s ago" in lines[1]
    assert lines[2:] == [
        "a: no worker (that on h was dismissed, last seen 2 s ago); let a role serve it with `sharectl workers admit --role ROLE --backend a`",
        "",
        "Session 4711 of the role worker_a at 10.0.0.5 holds a transaction open, with what it has locked, for 12 min: others wait for it.",
        "`SELECT pg_terminate_backend(4711)` ends it; `sharectl workers dismiss --now` ends all of the role.",
        "",
        "Session 12 of the role worker_a holds advisory locks: others wait for it.",
        "`SELECT pg_terminate_backend(12)` ends it; `sharectl workers dismiss --now` ends all of the role.",
    ]
    (holding,) = workers_object([DISMISSED], frozenset({"a"}), [HOLDING])["holding"]
    assert (holding["process_id"], holding["transaction_seconds"]) == (4711, 720.0)


def test_programs_get_all_of_it() -> None:
    """And the remote backends that nobody serves now."""
    found = workers_object([ALIVE, GONE], frozenset({"a", "b", "c"}))
    assert found["format"] == "sharectl-workers"
    assert (found["workers"][0]["oldest_seconds"], found["workers"][0]["oldest_address"]) == (7200.0, "share/x")
    assert [each["is_alive"] for each in found["workers"]] == [True, False]
    assert found["unserved"] == ["b", "c"]
