"""Backends that are renamed or retired, intents that nobody can resolve, and plans beside a run that is at work."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.engine.environment import utc_now
from sharectl.model.records import BeginOperation, OperationRecord, PutRun
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, RUN, whole_view
from sharectl.workspace.survey import survey
from tests.cli.conftest import SIMULATED
from tests.state.processes import start

if TYPE_CHECKING:
    from sharectl.model.records import StateView
    from tests.cli.console import Console


def view_of(console: Console) -> StateView:
    """Return all that the state holds."""
    with closing(open_store(console.root / ".sharectl" / "state.db", create=False)) as store:
        return whole_view(store)


def leave_open(console: Console, backend: str, address: str = "share/three") -> None:
    """Leave an intent behind, as a run that was killed does."""
    with closing(open_store(console.root / ".sharectl" / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        spec = {"name": "three", "size_bytes": 1 << 30, "protocol": "NFS"}
        payload = json.dumps({"spec": spec, "extra_specs": {}}).encode()
        operation = OperationRecord(
            "op-1", RUN.run_id, address, "create-share", "id-3", backend, "gold1", utc_now(), payload
        )
        store.commit(lease, [PutRun(RUN), BeginOperation(operation)])
        store.release(lease)


def test_a_backend_that_was_renamed_in_the_manifests_is_recognised(applied: Console) -> None:
    """The plan says the one command; after it, the shares are on the new name and nothing is to be done."""
    applied.write("all.yaml", SIMULATED.replace("{name: sim}", "{name: nas}"))
    told = applied("plan")
    assert told.code == 1
    assert "error[backend.renamed]" in told.err
    assert "`sharectl state mv backend/sim backend/nas`" in told.err
    assert applied("apply", "--yes").code == 1
    assert "backend/nas" not in view_of(applied).records
    moved = applied("state", "mv", "backend/sim", "backend/nas")
    assert moved.code == 0, moved.err
    assert "3 resources on it follow" in moved.err
    assert {record.backend for record in view_of(applied).records.values()} == {"nas"}
    assert applied("plan", "--detailed-exitcode").code == 0
    assert applied("apply", "--yes").code == 0


def test_open_intents_follow_a_renamed_backend(applied: Console) -> None:
    """The next apply asks the backend under its new name."""
    leave_open(applied, "sim")
    assert applied("state", "mv", "backend/sim", "backend/nas").code == 0
    assert [operation.backend for operation in view_of(applied).operations] == ["nas"]
    applied.write("all.yaml", SIMULATED.replace("{name: sim}", "{name: nas}"))
    assert applied("apply", "--yes").code == 0
    assert view_of(applied).operations == ()


def test_a_name_that_the_state_has_is_not_taken(applied: Console) -> None:
    """Neither is a backend renamed that is not there."""
    applied.write("all.yaml", SIMULATED + _other("nas"))
    assert applied("apply", "--yes").code == 0
    refused = applied("state", "mv", "backend/sim", "backend/nas")
    assert refused.code == 1
    assert "state rm backend/nas" in refused.err
    assert applied("state", "mv", "backend/none", "backend/new").code == 1


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_a_backend_without_manifest_is_told_in_each_plan(applied: Console, output: str) -> None:
    """Its shares are not looked at, and that is not "No changes" without a word."""
    applied.write("all.yaml", SIMULATED.partition("---\n")[2] + _other("rest"))
    told = applied("plan", "-o", output)
    assert "3 resources of the state are on it" in told.out + told.err
    assert "sharectl state mv backend/sim backend/NEW-NAME" in told.out + told.err


def _other(name: str) -> str:
    return f"""---
apiVersion: sharectl/v1
kind: Backend
metadata: {{name: {name}}}
spec: {{driver: simulated, config: {{stateFile: {name}.db, pools: [{{name: p, total: 1TiB}}]}}}}
"""


def test_moved_from_on_a_backend_names_the_command(applied: Console) -> None:
    """The annotation is for shares and snapshots."""
    text = "metadata: {name: nas, annotations: {sharectl/moved-from: sim}}"
    applied.write("all.yaml", SIMULATED.replace("metadata: {name: sim}", text))
    told = applied("plan")
    assert told.code == 1
    assert "sharectl state mv backend/sim backend/nas" in told.err


def test_an_intent_on_a_retired_backend_can_be_given_up(applied: Console) -> None:
    """It blocked its address on every other backend, and no command could take it away."""
    leave_open(applied, "retired")
    told = applied("plan")
    assert "Backend retired has no manifest any more" in told.err
    assert "sharectl state drop" in told.err
    wanted = "---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {name: three}\nspec: {size: 1GiB, protocol: NFS}\n"
    applied.write("all.yaml", SIMULATED + wanted)
    blocked = applied("apply", "--yes")
    assert blocked.code == 1
    assert "sharectl state drop op-1" in blocked.out + blocked.err
    assert "op-1" in applied("state", "operations").out
    assert json.loads(applied("state", "operations", "-o", "json").out)["operations"][0]["backend"] == "retired"
    assert applied("state", "drop", "op-1").code in {1, 64}
    assert len(view_of(applied).operations) == 1
    dropped = applied("state", "drop", "share/three", "--yes")
    assert dropped.code == 0, dropped.err
    assert "No backend is asked" in dropped.err
    assert applied("apply", "--yes").code == 0
    assert "share/three" in view_of(applied).records
    assert "state drop" in applied("history", "share/three").out + applied("history", "share/three", "-o", "json").out
    assert applied("state", "drop", "op-1", "--yes").code == 1


_WORK = """
store = open_store(path, create=True)
lease = store.acquire(ME, duration_seconds=3600)
store.commit(lease, [PutRun(RUN), BeginOperation(OperationRecord("op-2", RUN.run_id, "share/one", "extend-share", "id", "sim", "gold1", "2026-05-04T12:00:01Z", b"{}"))])
print("inside", flush=True)
sys.stdin.read()
"""


def test_a_plan_beside_a_run_at_work_says_who_it_is(applied: Console) -> None:
    """And not that an earlier run was cut short."""
    with start(_WORK, applied.root / ".sharectl" / "state.db") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        told, listed = applied("plan"), applied("state", "list")
        os.kill(process.pid, signal.SIGKILL)
    assert "warning[state.in-motion]: this state is being changed by alice@one.example (process " in told.err
    assert "), running `sharectl apply` since " in told.err
    assert "cut short" not in told.err
    assert "alice@one.example has been at work since" in listed.out
    assert "cut short" in applied("plan").err


def test_an_intent_is_given_up_by_the_id_of_its_resource(applied: Console) -> None:
    """As the backend knows it, whatever address it was for."""
    leave_open(applied, "retired")
    [operation] = view_of(applied).operations
    assert applied("state", "drop", operation.resource_id, "--yes").code == 0
    assert view_of(applied).operations == ()


def test_nothing_of_the_state_is_held_open_while_backends_are_asked(
    applied: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that others write can be merged meanwhile."""
    merged = []

    def asking(*arguments: Any) -> Any:  # noqa: ANN401 - handed on
        with closing(sqlite3.connect(applied.root / ".sharectl" / "state.db", isolation_level=None)) as other:
            other.execute("UPDATE meta SET serial = serial + 1")
            merged.append(other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        return survey(*arguments)

    monkeypatch.setattr("sharectl.workspace.plans.survey", asking)
    assert applied("plan").code == 0
    assert merged == [True]


def test_a_share_that_was_renamed_by_hand_is_as_its_manifest_says(applied: Console) -> None:
    """It is counted, and the next plan finds nothing to look at."""
    before = applied("plan").out
    assert applied("state", "mv", "share/one", "share/uno").code == 0
    manifests = applied.root / "all.yaml"
    manifests.write_text(manifests.read_text(encoding="utf-8").replace("name: one", "name: uno"), encoding="utf-8")
    assert applied("plan").out == before
