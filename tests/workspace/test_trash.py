"""The trash, as a run with workers empties it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sharectl.executors.base import Operation, Submission
from sharectl.executors.calls import DeleteShare
from sharectl.executors.lanes import Lanes
from sharectl.manifests.project import find_project
from sharectl.workspace.trash import look_into, purge
from sharectl.workspace.validation import load_manifests
from tests.engine.site import Site, backend, share

if TYPE_CHECKING:
    from pathlib import Path


def test_what_removes_a_share_for_good_belongs_to_its_intent(tmp_path: Path) -> None:
    """So that a worker has the address for itself, and the next run sees the call while it is under way."""
    site = Site(tmp_path / "r").write(backend("a"), share("x", spec="deletionPolicy: trash"))
    assert site.apply().result.succeeded
    assert site.write(backend("a")).apply().result.succeeded
    seen: list[tuple[Operation | None, list[Operation]]] = []

    class Noting(Lanes):
        def submit(self, submission: Submission) -> None:
            if isinstance(submission.call, DeleteShare):
                opened = [Operation(each.operation_id, each.address) for each in site.view().operations]
                seen.append((submission.operation, opened))
            super().submit(submission)

    def executor(*arguments: Any) -> Noting:  # noqa: ANN401 - those of Lanes
        return Noting(*arguments)

    specs = load_manifests(find_project(site.root), directory=site.root).desired.backends
    with site.store() as store, site.opened(store) as (backends, _), site.locked(store, backends, []) as run:
        doomed = look_into(specs, store, backends).shares
        changed = replace(run, environment=replace(run.environment, executor=executor))
        assert purge(changed, specs, doomed, lambda *_: None) == 0
    ((operation, opened),) = seen
    assert operation is not None
    assert operation.address == "share/x"
    assert opened == [operation]
