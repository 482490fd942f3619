"""Everything that is wrong with the manifests: against their schemas, each other, the drivers, and what the state holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import ChecksConfig, DriverError
from sharectl.drivers.registry import driver_factory, driver_names, make_secret_resolver
from sharectl.manifests.loader import load
from sharectl.model.capabilities import Capability
from sharectl.model.diagnostics import error
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.quantities import format_size
from sharectl.model.settings import SchedulerSettings
from sharectl.planner.backends.problems import extra_spec_findings, storage_findings
from sharectl.planner.shares.checks import Found, ShareChecks, clone_problem, diagnostics_of
from sharectl.state.rows import share_spec_of
from sharectl.workspace.backends import _missing_secrets
from sharectl.workspace.share_servers import server_findings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.loader import Loaded
    from sharectl.manifests.project import Project
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.checks import ConfigProblem
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record, StateView


def driver_schema(name: str) -> JsonObject | None:
    """Return the schema of `spec.config` for the driver called `name`, or None where there is no such driver."""
    try:
        return driver_factory(name).config_schema
    except DriverError:
        return None


def load_manifests(
    project: Project,
    sources: Sequence[str] = (),
    *,
    directory: Path,
    only: Collection[Address] | None = None,
    stdin: BinaryIO | None = None,
) -> Loaded:
    """Return the manifests of the project, or of `sources` (under `directory`) where the user named some, with all that is wrong."""
    from sharectl.manifests.cache import ManifestCache  # noqa: PLC0415 - brings in sqlite3

    loaded = load(
        list(sources) or list(project.manifests),
        base_directory=directory if sources else project.root,
        cache=ManifestCache(project.cache_directory),
        driver_schema=driver_schema,
        known_drivers=driver_names,
        only=only,
        stdin=stdin,
    )
    wrong = (
        *setting_findings(project, directory),
        *server_findings(loaded.desired),
        *config_findings(loaded.desired),
        *storage_findings(loaded.desired, str(project.root), _own_folders(project)),
        *extra_spec_findings(loaded.desired),
    )
    return replace(loaded, diagnostics=(*wrong, *loaded.diagnostics)) if wrong else loaded


def _own_folders(project: Project) -> dict[str, str]:
    """Return the folders in which no backend may keep its storage, resolved, and what they are."""
    folders = {str(project.state_path.parent.resolve()): "the folder of the state"}
    folders[str(project.cache_directory.resolve())] = "the folder of the cache"
    return folders


def secret_findings(desired: Desired, project: Project) -> tuple[Diagnostic, ...]:
    """Return an error for each secret that a backend's manifest refers to and that is not there now."""
    resolver = make_secret_resolver(str(project.root))
    return tuple(
        error(
            "backend.secret",
            f"backend {name}: {problem.summary}",
            remedy=problem.remedy,
            address=address_of(Kind.BACKEND, name),
            source=desired.field_source(address_of(Kind.BACKEND, name), "spec", *problem.path),
        )
        for name, spec in desired.backends.items()
        for problem in _missing_secrets(spec, resolver)
    )


def config_findings(desired: Desired) -> tuple[Diagnostic, ...]:
    """Return an error for everything in the configuration of a backend that meets the schema and that its driver finds wrong all the same."""
    return tuple(
        error(
            "backend.config",
            problem.summary,
            remedy=problem.remedy,
            address=address_of(Kind.BACKEND, name),
            source=desired.field_source(address_of(Kind.BACKEND, name), "spec", "config", *problem.path),
        )
        for name, spec in desired.backends.items()
        for problem in _config_problems(spec)
    )


def _config_problems(spec: BackendSpec) -> Sequence[ConfigProblem]:
    try:
        factory = driver_factory(spec.driver)
    except DriverError:
        return ()  # a finding of the manifest's own
    if not isinstance(factory, ChecksConfig):
        return ()
    import jsonschema_rs  # noqa: PLC0415 - only for drivers that check more than their schema

    if not jsonschema_rs.Draft202012Validator(factory.config_schema).is_valid(dict(spec.config)):
        return ()  # said already, and what does not meet the schema cannot be looked into
    return factory.config_problems(spec)


def setting_findings(project: Project, directory: Path) -> tuple[Diagnostic, ...]:
    """Return an error for each scheduler setting that cannot work, at its place in the project file as seen from `directory`."""
    if project.scheduler == SchedulerSettings():
        return ()
    from sharectl.manifests.project import setting_source  # noqa: PLC0415 - only where something other than the default is set
    from sharectl.scheduler import setting_problems  # noqa: PLC0415 - as above

    return tuple(
        replace(problem.diagnostic, source=setting_source(project, problem.setting, directory, key=problem.at_key))
        for problem in setting_problems(project.scheduler)
    )


def share_findings(desired: Desired, view: StateView) -> tuple[Diagnostic, ...]:
    """Return an error for everything that drivers would refuse of the shares and snapshots, told without a connection.

    A share that has its place is held against its backend. One that has none is wrong only in what every backend would refuse that it
    may go to; the others are no candidates, which is for the plan to say. Shares that ask for the same are asked about once.
    """
    checks = ShareChecks(desired)
    found: list[Diagnostic] = []
    for address in sorted(desired.digests):
        if is_of(Kind.SHARE, address):
            found += diagnostics_of(desired, address, _problems_of_share(checks, desired, view, address))
        elif address not in view.records:
            found += _problems_of_snapshot(checks, desired, view, address)
    return tuple(found)


def _problems_of_share(checks: ShareChecks, desired: Desired, view: StateView, address: Address) -> tuple[Found, ...]:
    spec, rules, record = desired.share(address), desired.access(address), view.records.get(address)
    if record is None:
        only = _backend_of_snapshot(desired, view, spec.source_snapshot)
        certain = checks.certain(spec, rules, only)
        problem = clone_problem(spec, _bytes_of_snapshot(desired, view, spec.source_snapshot))
        return certain if problem is None else (*certain, Found(problem, ()))
    if record.backend is None or record.backend not in desired.backends:
        return ()
    is_resized = (
        spec.size_bytes != share_spec_of(view.records[address]).size_bytes
        if record.digest[:16] != desired.digests[address][:16]
        else False
    )
    return tuple(
        Found(problem, (record.backend,))
        for problem in checks.problems(record.backend, checks.wanted(spec, rules, record.pool), spec.share_type)
        if problem.path[0] == "access" or (problem.path == ("size",) and is_resized)
    )


def _problems_of_snapshot(
    checks: ShareChecks, desired: Desired, view: StateView, address: Address
) -> Iterator[Diagnostic]:
    share = address_of(Kind.SHARE, desired.snapshot(address).share)
    record = view.records.get(share)
    if record is not None:
        backends = tuple(name for name in desired.backends if name == record.backend)
    else:
        backends = checks.possible(desired.share(share)) if share in desired.digests else ()
    if backends and not any(Capability.SNAPSHOT in checks.capabilities(name) for name in backends):
        yield error(
            "snapshot.unsupported",
            f"{address} cannot be taken: no backend that {share} may be on takes snapshots ({', '.join(backends)})",
            remedy="remove the manifest of the snapshot, or place the share on a backend that takes snapshots",
            address=address,
            source=desired.source(address),
        )


def _backend_of_snapshot(desired: Desired, view: StateView, snapshot: str | None) -> str | None:
    """Return the backend that the snapshot is or will be on, None where there is no snapshot, or it is not known yet."""
    record = _record_of_source(desired, view, snapshot)
    return None if record is None else record.backend


def _bytes_of_snapshot(desired: Desired, view: StateView, snapshot: str | None) -> int | None:
    record = _record_of_source(desired, view, snapshot)
    if snapshot is None or (record is not None and record.kind == Kind.SNAPSHOT):
        return None if record is None else record.size_bytes
    address = address_of(Kind.SNAPSHOT, snapshot)
    if address not in desired.digests:
        return None
    share = address_of(Kind.SHARE, desired.snapshot(address).share)
    sizes = [desired.share(share).size_bytes if share in desired.digests else None, record and record.size_bytes]
    return min((size for size in sizes if size is not None), default=None)


def _record_of_source(desired: Desired, view: StateView, snapshot: str | None) -> Record | None:
    """Return the row of the snapshot, or of the share that it will be taken of."""
    if snapshot is None:
        return None
    address = address_of(Kind.SNAPSHOT, snapshot)
    if address in view.records or address not in desired.digests:
        return view.records.get(address)
    return view.records.get(address_of(Kind.SHARE, desired.snapshot(address).share))


def state_findings(desired: Desired, view: StateView) -> tuple[Diagnostic, ...]:
    """Return an error for each share that would shrink without having been allowed to."""
    findings = []
    for address, digest in sorted(desired.digests.items()):
        record = view.records.get(address)
        if record is None or record.digest[:16] == digest[:16] or record.kind != Kind.SHARE:
            continue
        old = share_spec_of(view.records[address])
        new = desired.share(address)
        if new.size_bytes < old.size_bytes and not new.allow_shrink:
            findings.append(
                error(
                    "share.shrink",
                    f"{address} would shrink from {format_size(old.size_bytes)} to {format_size(new.size_bytes)}",
                    detail="a smaller share may not hold what is in it, and whoever uses it may count on the room.",
                    remedy=f"write size: {format_size(old.size_bytes)}, or set allowShrink: true",
                    address=address,
                    source=desired.field_source(address, "spec", "size"),
                )
            )
    return tuple(findings)
