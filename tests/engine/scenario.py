"""A change of a repository in which every verb occurs, on simulated backends or on directories, and what must hold after it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.engine.verbs import TABLE
from sharectl.engine.verbs.base import Runner
from sharectl.model.verbs import Verb
from sharectl.planner.options import Import
from tests.engine.site import UNLIMITED, Site, backend, share, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.model.observed import ObservedShare
    from sharectl.planner.options import PlanOptions

_SERVER_VERBS = {verb for verb, entry in TABLE.items() if entry.runner is Runner.NETWORK}
_VERBS_OF_THE_HOST = {Verb.SCHEDULE_SNAPSHOTS}  # which a storage host does by itself; neither driver here has one
_RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}, {type: ip, to: 10.1.0.1, level: ro}]"
_OTHER_RULE = "access: [{type: ip, to: 10.0.0.0/8, level: ro}, {type: ip, to: 10.2.0.2, level: rw}]"
TAKEN_OVER = ("share/adopted", "share/restored")
EXPECTED = frozenset(
    {f"backend/{name}" for name in ("alpha", "beta", "gamma")}
    | {"snapshot/fresh", "snapshot/monday", *TAKEN_OVER}
    | {
        f"share/{name}"
        for name in [
            "keep",
            "grown",
            "shrunk",
            "ruled",
            "source",
            "after",
            "first",
            "last",
            "labelled",
            "lost",
            "new",
            "picky",
            "clone",
            "zoned",
            "reverted",
        ]
    }
)


def _backend(driver: str, name: str, spec: str = "") -> str:
    if driver == "simulated":
        faults = "faults: [{call: create_share, name: picky, first: 1, effect: pool-error}]," if name == "alpha" else ""
        return backend(name, lanes=2, spec=spec, config=f"pools: [{{name: gold, count: 2}}], {faults}")
    head = f"---\napiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: {name}}}\n"
    return f"{head}spec: {{driver: directory, lanes: 2, {spec} config: {{root: {name}, exportHost: nas.example}}}}\n"


def _before(driver: str) -> list[str]:
    return [
        _backend(driver, "alpha"),
        _backend(driver, "beta"),
        share("keep", spec=_RULE),
        share("grown", size="10GiB"),
        share("shrunk", size="20GiB", spec="allowShrink: true"),
        share("ruled", spec=_RULE),
        share("source"),
        snapshot("stale", "source"),
        share("doomed", spec=f"deletionPolicy: delete, {_RULE}"),
        share("binned", spec="deletionPolicy: trash"),
        share("retained"),
        share("before", spec=_RULE),
        share("first", spec="replacement: createFirst, deletionPolicy: delete"),
        share("last", spec="replacement: deleteFirst, deletionPolicy: delete"),
        share("labelled"),
        share("lost", spec=_RULE),
        share("reverted", spec=_RULE),
    ]


def _after(driver: str) -> list[str]:
    return [
        _backend(driver, "alpha"),
        _backend(driver, "beta"),
        _backend(driver, "gamma", "availabilityZone: far,"),
        share("keep", spec=_RULE),
        share("grown", size="20GiB", spec=_RULE),
        share("shrunk", size="10GiB", spec="allowShrink: true"),
        share("ruled", spec=_OTHER_RULE),
        share("source"),
        snapshot("fresh", "source"),
        share("after", spec=_OTHER_RULE, metadata="annotations: {sharectl/moved-from: before}"),
        share("first", spec="replacement: createFirst, deletionPolicy: delete").replace("NFS", "CIFS"),
        share("last", spec="replacement: deleteFirst, deletionPolicy: delete").replace("NFS", "CIFS"),
        share("labelled", metadata="labels: {team: blue}"),
        share("lost", spec=_RULE),
        share("new", spec=_RULE),
        share("picky", spec=_RULE),
        share("clone", spec="sourceSnapshot: fresh"),
        share("zoned", spec=f"availabilityZone: far, {_RULE}"),
        share("adopted", spec=_OTHER_RULE),
        share("restored", spec=f"deletionPolicy: trash, {_RULE}"),
        share("reverted", spec=f"revertTo: {{snapshot: monday, request: one}}, {_RULE}"),
        snapshot("monday", "reverted"),
    ]


def prepare(root: Path, driver: str) -> None:
    """Make the repository as it is before the change, and note in `base.json` what the backends held."""
    site = Site(root)
    restored = share("restored", spec="deletionPolicy: trash")
    assert site.write(*_before(driver), restored).apply().result.succeeded
    ids = {address: (record.resource_id, record.backend) for address, record in site.records().items()}
    (root / "base.json").write_text(json.dumps(ids))
    _write_content(site, driver, "old")
    assert site.write(*_before(driver), snapshot("monday", "reverted")).apply().result.succeeded
    _write_content(site, driver, "new")
    if driver == "simulated":
        made = "INSERT INTO shares(backend_id, name, pool, size_bytes, protocol) VALUES ('gold1/made', 'made', 'gold1', 7, 'NFS')"
        site.query("alpha", made)
        site.query(ids["share/lost"][1], "DELETE FROM shares WHERE resource_id = ?", ids["share/lost"][0])
    else:
        (root / "alpha" / "made").mkdir()
        shutil.rmtree(root / ids["share/lost"][1] / "lost")
    site.write(*_after(driver))


def _write_content(site: Site, driver: str, text: str) -> None:
    """Write into the share that is turned back."""
    resource_id, holder = json.loads((site.root / "base.json").read_text())["share/reverted"]
    if driver == "simulated":
        site.query(holder, "UPDATE shares SET content = ? WHERE resource_id = ?", text, resource_id)
    else:
        (site.root / holder / "reverted" / "file").write_text(text)


def _content(site: Site) -> str:
    """Return what is in that share."""
    resource_id, holder = json.loads((site.root / "base.json").read_text())["share/reverted"]
    if (site.root / holder).is_dir():
        return (site.root / holder / "reverted" / "file").read_text()
    return str(site.query(holder, "SELECT content FROM shares WHERE resource_id = ?", resource_id)[0][0])


def asks_again(site: Site) -> bool:
    """Write a new request where nobody knows what became of the first one; tell whether it was."""
    if all(found.code != "share.revert-cut-short" for found in site.plan().diagnostics):
        return False
    manifests = site.root / "m.yaml"
    manifests.write_text(manifests.read_text().replace("request: one", "request: two"))
    return True


def options(site: Site) -> PlanOptions:
    """Return the options of the change: what the state does not hold yet is imported."""
    base = json.loads((site.root / "base.json").read_text())
    found = {"share/adopted": ("alpha", _named(site, "alpha", "made"))}
    holder = base["share/restored"][1]
    found["share/restored"] = (holder, _named(site, holder, "restored"))
    records = site.records()
    return replace(UNLIMITED, imports={a: Import(b, s.backend_id) for a, (b, s) in found.items() if a not in records})


def _named(site: Site, name: str, share_name: str) -> ObservedShare:
    return next(share for share in _listed(site)[name] if share.name == share_name)


def _listed(site: Site) -> dict[str, list[ObservedShare]]:
    with site.store() as store, site.opened(store) as (backends, _):
        return {name: list(backends.driver(name).list_shares()) for name in ("alpha", "beta", "gamma")}


def check(site: Site) -> None:
    """Assert that the change has been made, once, with nothing lost and nothing left over."""
    plan = site.plan()
    assert plan.is_empty, [step.step_id for step in plan.steps]
    assert not plan.diagnostics, plan.diagnostics
    view = site.view()
    assert not view.operations
    assert set(view.records) == EXPECTED, set(view.records) ^ EXPECTED
    base = json.loads((site.root / "base.json").read_text())
    released = {base["share/retained"][0], base["share/binned"][0]}
    recorded = {(r.backend, r.resource_id) for r in view.records.values() if r.kind == "share"}
    there = [(name, share.resource_id) for name, shares in _listed(site).items() for share in shares]
    assert sorted(entry for entry in there if entry[1] not in released) == sorted(recorded)
    for address in ("share/keep", "share/grown", "share/after", "share/lost"):
        former = "share/before" if address == "share/after" else address
        assert view.records[address].resource_id == base[former][0]
    assert _content(site) == "old"
    _check_history(site)


def _check_history(site: Site) -> None:
    """Assert that the history tells of each thing that was done."""
    told = {(line.entry.address, line.entry.verb) for line in site.history() if line.entry.outcome != "failed"}
    done = {verb for _, verb in told}
    every = {verb.value for verb in Verb if verb not in _SERVER_VERBS | _VERBS_OF_THE_HOST}
    assert done == every, every ^ done
    for name in ("new", "picky", "clone", "zoned", "first", "last"):
        assert (f"share/{name}", Verb.CREATE_SHARE.value) in told
    for name in ("new", "picky", "zoned", "grown", "ruled", "after"):
        assert (f"share/{name}", Verb.UPDATE_ACCESS.value) in told
