"""Plans, records and events to be shown, as the planner and the engine make them."""

from __future__ import annotations

from typing import Any

from sharectl.model.access import AccessRule
from sharectl.model.candidates import Candidate
from sharectl.model.canonical import canonical_json
from sharectl.model.diagnostics import Diagnostic, Source, error, has_errors, warning
from sharectl.model.field_changes import FieldChange, plain_changes
from sharectl.model.observed import Before
from sharectl.model.plans import (
    Action,
    Adopt,
    CreateShare,
    Drift,
    DriftKind,
    Held,
    Move,
    Plan,
    PrepareBackend,
    ResizeShare,
    RevertShare,
    SetUp,
    Step,
    Summary,
    UpdateAccess,
    UpdateRecord,
    stated,
)
from sharectl.model.records import OperationRecord, Record, RuleRecord, RunRecord
from sharectl.model.specs import RevertRequest, ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb

GIB = 1 << 30


def a_plan(  # noqa: PLR0913 - the parts of a plan
    *steps: Step,
    drift: tuple[Drift, ...] = (),
    diagnostics: tuple[Diagnostic, ...] = (),
    by_action: dict[str, int] | None = None,
    rules: dict[str, int] | None = None,
    unchanged: int = 118,
    held: tuple[Held, ...] = (),
) -> Plan:
    """Return a plan of these steps with the counts that its planner would have given; errors stop it where nothing is held."""
    summary = Summary(by_action or {}, rules or {}, unchanged)
    stopped = not held and has_errors(diagnostics)
    return Plan("lineage-1", 7, steps, drift, diagnostics, summary, held=held, is_stopped=stopped)


def held_shares() -> tuple[Held, ...]:
    """Return a share that is held, and another that depends on it."""
    return (
        Held("share/home", "share/home would shrink from 200GiB to 100GiB", "share/home", "share.shrink"),
        Held("share/copy", "depends on share/home, which is held", "share/home", "share.shrink", (Verb.CREATE_SHARE,)),
    )


def a_step(address: str, action: Action, verb: Verb, reason: str, **fields: object) -> Step:
    """Return a step with the id that the planner gives."""
    named = {"spec", "rules", "moved_from"} & fields.keys() or verb is Verb.PREPARE_BACKEND
    work = _WORK[verb](fields) if verb in _WORK and named else None
    fields = {
        name: value for name, value in fields.items() if name not in {"spec", "candidates", "rules", "moved_from"}
    }
    fields["stated_changes"] = stated(work, fields.pop("changes", ()))  # type: ignore[arg-type]
    return Step(f"{verb.value}:{address}", address, action, verb, reason, work=work, **fields)  # type: ignore[arg-type]


_WORK: dict[Verb, Any] = {
    Verb.PREPARE_BACKEND: lambda _: PrepareBackend(),
    Verb.CREATE_SHARE: lambda fields: CreateShare(fields["spec"], fields.get("candidates", ())),
    Verb.EXTEND_SHARE: lambda fields: ResizeShare(fields["spec"]),
    Verb.REVERT_SHARE: lambda fields: RevertShare(fields["spec"]),
    Verb.UPDATE_ACCESS: lambda fields: UpdateAccess(fields["rules"]),
    Verb.CREATE_SNAPSHOT: lambda fields: SetUp(fields["spec"]),
    Verb.ADOPT: lambda fields: Adopt(fields["spec"], "vol7"),
    Verb.UPDATE_RECORD: lambda fields: UpdateRecord(fields["spec"]),
    Verb.MOVE: lambda fields: Move(fields["moved_from"]),
}


def new_share(name: str = "projects", *rules: AccessRule, **fields: object) -> tuple[Step, ...]:
    """Return the steps of a new share."""
    spec = ShareSpec(name, 100 * GIB, "NFS", share_type="gold", **fields)  # type: ignore[arg-type]
    address = f"share/{name}"
    candidates = (
        Candidate("nas1", "default", 0.83, (("CapacityWeigher", 0.8), ("GoodnessWeigher", 0.03))),
        Candidate("nas2", "default", 0.41, (("CapacityWeigher", 0.41),)),
    )
    creation = a_step(
        address,
        Action.CREATE,
        Verb.CREATE_SHARE,
        "not there yet",
        backend="nas1",
        spec=spec,
        changes=plain_changes({}, spec.as_plain()),
        candidates=candidates,
    )
    if not rules:
        return (creation,)
    access = a_step(
        address,
        Action.CREATE,
        Verb.UPDATE_ACCESS,
        "its access rules",
        backend="nas1",
        rules=rules,
        waits_for=(creation.step_id,),
        changes=tuple(FieldChange(f"access/{rule.key}", None, rule.access_level) for rule in rules),
    )
    return (creation, access)


def rich_plan() -> Plan:
    """Return a plan in which every action occurs, with drift and diagnostics."""
    home = "share/home"
    aside = "share/db@deposed-0a1b2c3d"
    grown = ShareSpec("home", 200 * GIB, "NFS")
    steps = (
        *new_share("projects", AccessRule("ip", "10.0.0.0/8", "rw")),
        a_step("backend/nas1", Action.CREATE, Verb.PREPARE_BACKEND, "never used before", backend="nas1"),
        a_step(
            home,
            Action.UPDATE,
            Verb.EXTEND_SHARE,
            "its manifest says so",
            backend="nas1",
            spec=grown,
            changes=(FieldChange("size", "100GiB", "200GiB"),),
        ),
        a_step(
            home,
            Action.UPDATE,
            Verb.UPDATE_ACCESS,
            "its access was changed on the backend",
            backend="nas1",
            rules=(AccessRule("ip", "10.2.0.0/16", "rw"),),
            changes=(
                FieldChange("access/ip:10.1.0.0/16", "rw", None),
                FieldChange("access/ip:10.2.0.0/16", "ro", "rw"),
            ),
            before=Before(
                "NFS",
                (AccessRule("ip", "10.1.0.0/16", "rw"), AccessRule("ip", "10.2.0.0/16", "ro")),
                size_bytes=90 * GIB,
                used_bytes=12 * GIB,
            ),
        ),
        a_step(
            "share/old",
            Action.DELETE,
            Verb.DELETE_SHARE,
            "its manifest is gone; deletionPolicy delete",
            backend="nas1",
            changes=(FieldChange("size", "40GiB", None),),
            before=Before("NFS", (AccessRule("ip", "10.4.0.0/16", "rw"),), size_bytes=40 * GIB, used_bytes=7 * GIB),
        ),
        a_step(
            "share/bin",
            Action.DELETE,
            Verb.TRASH_SHARE,
            "its manifest is gone; deletionPolicy trash",
            backend="nas2",
            changes=(FieldChange("size", "1GiB", None),),
            before=Before("NFS", (), size_bytes=GIB),
        ),
        a_step(
            "share/kept",
            Action.FORGET,
            Verb.FORGET,
            "its manifest is gone; deletionPolicy retain leaves it on its backend",
        ),
        a_step(
            aside,
            Action.CREATE_THEN_DELETE,
            Verb.MOVE,
            "protocol cannot change in place; the old share is kept until the new one is there",
            moved_from="share/db",
        ),
        a_step(
            "share/db",
            Action.CREATE_THEN_DELETE,
            Verb.CREATE_SHARE,
            "a new share in place of the old one",
            backend="nas2",
            spec=ShareSpec("db", 10 * GIB, "CIFS", availability_zone="az1", share_network="tenant"),
            candidates=(Candidate("nas2", "fast", 0.5, ()),),
        ),
        a_step(
            aside,
            Action.CREATE_THEN_DELETE,
            Verb.DELETE_SHARE,
            "replaced by the new share; deletionPolicy delete",
            backend="nas1",
            changes=(FieldChange("size", "10GiB", None),),
            before=Before("NFS", (AccessRule("ip", "10.3.0.0/16", "rw"),), size_bytes=10 * GIB),
        ),
        a_step("share/log", Action.DELETE_THEN_CREATE, Verb.FORGET, "a replacement was asked for; deleted first"),
        a_step(
            "share/log",
            Action.DELETE_THEN_CREATE,
            Verb.CREATE_SHARE,
            "a new share in place of the old one",
            backend="nas2",
            spec=ShareSpec("log", 10 * GIB, "NFS", source_snapshot="golden"),
            candidates=(Candidate("nas2", "fast", 0.5, ()),),
        ),
        a_step(
            "share/new-name",
            Action.MOVE,
            Verb.MOVE,
            "renamed in the manifests; nothing changes on its backend",
            changes=(FieldChange("address", "share/old-name", "share/new-name"),),
            moved_from="share/old-name",
        ),
        a_step(
            "share/found",
            Action.ADOPT,
            Verb.ADOPT,
            "vol7 on backend nas1 is taken over as it is",
            backend="nas1",
            spec=ShareSpec("found", 5 * GIB, "NFS"),
            changes=(FieldChange("size", None, "5GiB"),),
        ),
        a_step(
            "share/lost",
            Action.CREATE,
            Verb.CREATE_SHARE,
            "gone from its backend; made again in its place, empty",
            backend="nas1",
            expected_version=3,
            spec=ShareSpec("lost", 10 * GIB, "NFS"),
            candidates=(Candidate("nas1", "default", 0.0),),
        ),
        a_step(
            "snapshot/daily",
            Action.CREATE,
            Verb.CREATE_SNAPSHOT,
            "not there yet",
            backend="nas1",
            spec=SnapshotSpec("daily", "home"),
        ),
        a_step(
            "snapshot/past",
            Action.DELETE,
            Verb.DELETE_SNAPSHOT,
            "its manifest is gone; deletionPolicy delete",
            backend="nas1",
        ),
        a_step(
            "share/undone",
            Action.REVERT,
            Verb.REVERT_SHARE,
            "request T-4711 asks for snapshot/monday",
            backend="nas2",
            spec=ShareSpec("undone", 10 * GIB, "NFS", revert_to=RevertRequest("monday", "T-4711")),
            changes=(FieldChange("revert_to", None, {"request": "T-4711", "snapshot": "monday"}),),
            before=Before("NFS", size_bytes=10 * GIB, used_bytes=2 * GIB),
        ),
        a_step(
            "share/labelled",
            Action.UPDATE,
            Verb.UPDATE_RECORD,
            "the state alone; the backend is not asked for anything but what it holds",
            spec=ShareSpec("labelled", 10 * GIB, "NFS", labels={"team": "research"}, protect=True),
            changes=(FieldChange("labels", {}, {"team": "research"}), FieldChange("protect", None, after=True)),
        ),
    )
    drift = (
        Drift(
            home,
            DriftKind.CHANGED,
            "was changed on backend nas1",
            (FieldChange("size", "100GiB", "90GiB"),),
            "extend-share:share/home",
        ),
        Drift("share/lost", DriftKind.GONE, "is gone from backend nas1", (), None),
        Drift("backend/nas1", DriftKind.UNMANAGED, "holds 2 shares that the state does not know: vol7, vol8"),
    )
    return a_plan(
        *steps,
        drift=drift,
        diagnostics=(warning("backend.unknown", "backend nas3 could not be read", remedy="see to the backend"),),
        by_action={
            "create": 4,
            "update": 2,
            "delete": 3,
            "create-then-delete": 1,
            "delete-then-create": 1,
            "adopt": 1,
            "forget": 1,
            "move": 1,
            "revert": 1,
        },
        rules={"create": 1, "update": 1, "delete": 1},
    )


def shrink_error() -> Diagnostic:
    """Return the error of a share that would shrink."""
    return error(
        "share.shrink",
        "share/home would shrink from 100GiB to 50GiB",
        detail="a smaller share may not hold what is in it, and whoever uses it may count on the room.",
        remedy="write size: 100GiB, or set allowShrink: true",
        address="share/home",
        source=Source("shares/home.yaml", 12, 9, excerpt="  size: 50GiB"),
    )


def a_record(address: str = "share/home", **fields: object) -> Record:
    """Return the row of an applied share."""
    values: dict[str, object] = {
        "address": address,
        "kind": "share",
        "resource_id": "0a1b2c3d-0000-4000-8000-000000000001",
        "backend": "nas1",
        "pool": "default",
        "version": 3,
        "spec_digest": bytes(16),
        "access_digest": bytes(16),
        "size_bytes": 100 * GIB,
        "protect": False,
        "spec": canonical_json(ShareSpec("home", 100 * GIB, "NFS", share_type="gold").as_plain()),
        "attributes": canonical_json(
            {"backend_id": "default/home", "export_locations": ["nas1.example:/srv/home"], "name": "home"}
        ),
    }
    return Record(**{**values, **fields})  # type: ignore[arg-type]


RULES = (
    RuleRecord(AccessRule("ip", "10.0.0.0/8", "rw"), "active"),
    RuleRecord(AccessRule("user", "CORP\\alice", "ro"), "error", "NFS knows no users"),
)

AN_INTENT = OperationRecord(
    "op-1", "run-1", "share/half", "create-share", "id-2", "nas1", "default", "2026-01-02T03:04:05+00:00", b"{}"
)

A_RUN = RunRecord(
    run_id="run-1",
    command="apply",
    user="ada",
    host="build7",
    started_at="2026-01-02T03:04:00+00:00",
    git_commit="0123456789abcdef",
    ci_job_url="https://ci.example/jobs/7",
    actor="ada-l",
    author="Grace H. <grace@example.org>",
)
