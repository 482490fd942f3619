"""The rows that a run holds: those that a step still needs, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.engine.cancel import Cancellation
from sharectl.engine.run import PlanRun
from tests.engine.site import Site, backend, share, snapshot

if TYPE_CHECKING:
    from pathlib import Path

RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"


def test_a_run_lets_go_of_rows_that_no_step_needs_any_more(tmp_path: Path) -> None:
    """Of a hundred thousand shares, only those in progress are held, whether they succeed, fail or are skipped."""
    site = Site(tmp_path / "r").write(backend("a"), share("kept"), share("changed"))
    assert site.apply().result.succeeded
    faults = "faults: [{call: create_share, name: bad, effect: error}],"
    site.write(
        backend("a", spec="attempts: 1,", config=faults),
        share("kept"),
        share("changed", size="20GiB", spec=RULE),
        *(share(f"s{number}", spec=RULE) for number in range(20)),
        share("bad", spec=RULE),
        snapshot("of-kept", "kept"),
    )
    with site.store() as store, site.opened(store) as (backends, planned), site.locked(store, backends, []) as run:
        made = PlanRun(planned(), store, run.heartbeat, run.record, run.environment, Cancellation())
        result = made.run(lambda _event: None)
        assert (result.done, len(result.failures), result.skipped) == (43, 1, 1)
        assert set(made._rows._records) == {"backend/a"}
        assert not made._rows._rules
        assert not made._attempts
