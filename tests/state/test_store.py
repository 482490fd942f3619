"""What a view of the state offers beside its records."""

from __future__ import annotations

import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.records import StateView
from sharectl.model.specs import Protocol, ShareSpec, SnapshotSpec
from sharectl.state.rows import share_spec_of, snapshot_spec_of
from sharectl.state.testing import StateStoreConformance
from sharectl.state.testing.samples import make_record

SHARE = ShareSpec(name="projects", size_bytes=10 << 30, protocol=Protocol.NFS, labels={"team": "a"})
SNAPSHOT = SnapshotSpec(name="monday", share="projects", protect=True)


@pytest.fixture
def view() -> StateView:
    """Return a view of a share on one backend and a snapshot on another."""
    records = (
        make_record(spec=canonical_json(SHARE.as_plain())),
        make_record(
            address="snapshot/monday", kind="snapshot", backend="other", spec=canonical_json(SNAPSHOT.as_plain())
        ),
    )
    return StateView("lineage", 1, {record.address: record for record in records}, ())


def test_specs_are_read_back_as_they_were_applied(view: StateView) -> None:
    """Each by the kind of its address."""
    assert share_spec_of(view.records["share/projects"]) == SHARE
    assert snapshot_spec_of(view.records["snapshot/monday"]) == SNAPSHOT


def test_a_view_is_narrowed_to_backends(view: StateView) -> None:
    """No backends mean all of them."""
    assert set(view.on_backends(frozenset({"other"})).records) == {"snapshot/monday"}
    assert view.on_backends(frozenset()) is view


def test_the_conformance_suite_asks_for_the_store_to_test(request: pytest.FixtureRequest) -> None:
    """A subclass that forgets `make_store` is told so, instead of testing nothing."""
    make_store = StateStoreConformance.make_store
    function = getattr(make_store, "_get_wrapped_function", lambda: make_store.__wrapped__)()
    with pytest.raises(NotImplementedError):
        function(StateStoreConformance())
