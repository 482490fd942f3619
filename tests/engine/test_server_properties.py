"""Whatever backends do to share servers: each step settles once, and a good day brings the next plan to nothing, no address lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.server_scenario import check_servers, network, on, tenants
from tests.engine.site import Site, backend, share
from tests.engine.test_properties import assert_consistent

CALLS = ["create_share", "delete_share", "create_share_server", "delete_share_server", "update_share_server"]
EFFECTS = ["error", "transient", "unavailable", "crash-after", "lie", "lose"]
NETWORKS = ("red", "blue")


@st.composite
def faults(draw: st.DrawFn) -> str:
    """Return faults of the backend with share servers."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        call = draw(st.sampled_from(CALLS))
        # What a deletion that was a lie leaves behind is in no state, and nobody takes it away.
        honest = [effect for effect in EFFECTS if effect not in {"lie", "lose"} or call.startswith("create")]
        found.append(f"{{call: '{call}', every: {draw(st.integers(1, 3))}, effect: {draw(st.sampled_from(honest))}}}")
    return f"faults: [{', '.join(found)}]," if found else ""


@st.composite
def manifests(draw: st.DrawFn) -> list[str]:
    """Return networks, and shares on them and beside them."""
    services = draw(st.sampled_from(["", "securityServices: [people]"]))
    found = [network(name, number, spec=services) for number, name in enumerate(NETWORKS, 1)]
    for number in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from((*NETWORKS, "")))
        policy = "replacement: createFirst, deletionPolicy: delete"
        found.append(
            on(name, f"s{number}", spec="replacement: createFirst,") if name else share(f"s{number}", spec=policy)
        )
    return found


_COMMON = [
    backend("nas"),
    "---\napiVersion: sharectl/v1\nkind: SecurityService\nmetadata: {name: people}\nspec: {type: ldap, server: a}\n",
]


@settings(max_examples=25, deadline=None)
@given(manifests(), manifests(), faults(), st.sampled_from(["", "maxShareServers: 1,"]))
def test_after_any_failures_of_share_servers_the_next_apply_converges(
    before: list[str], after: list[str], bad: str, limit: str
) -> None:
    """A first apply on a good backend, a change on a bad one, and a good one again."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "r")
        run = site.write(*_COMMON, tenants(), *before).apply()
        assert_consistent(run)
        assert run.result.succeeded, run.result
        site.write(*_COMMON, tenants(spec=f"attempts: 1, {limit}", config=bad), *after)
        assert_consistent(site.apply(held=True))
        site.write(*_COMMON, tenants(), *after)
        run = site.apply()
        assert run.result.succeeded, run.result
        assert site.plan().is_empty, [step.step_id for step in site.plan().steps]
        assert not site.view().operations
        check_servers(site)
