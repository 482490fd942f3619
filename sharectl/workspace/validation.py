"""Load the manifests of a project, with everything that is wrong in them and in the settings of backends and of the project."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import ChecksConfig, DriverError
from sharectl.drivers.registry import driver_factory, driver_names, make_secret_resolver
from sharectl.manifests.cache import ManifestCache
from sharectl.manifests.loader import addresses_beginning, load
from sharectl.manifests.schemas import DriverSchemas, compiled_test
from sharectl.model.diagnostics import did_you_mean, error, warning
from sharectl.model.kinds import KIND_OF_DOCUMENT, MANAGED_KINDS, Kind, address_of, is_of
from sharectl.model.settings import SchedulerSettings
from sharectl.planner.backends.problems import extra_spec_findings, storage_findings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from sharectl.manifests.defaults import Defaults
    from sharectl.manifests.desired import Desired
    from sharectl.manifests.findings import Flaws
    from sharectl.manifests.loader import Loaded
    from sharectl.manifests.project import Project
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.checks import ConfigProblem
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address


def driver_schema(name: str) -> JsonObject | None:
    """Return the schema of `spec.config` for the driver called `name`, or None where there is no such driver."""
    try:
        return driver_factory(name).config_schema
    except DriverError:
        return None


def addresses_in_manifests(project: Project, prefix: str) -> list[Address]:
    """Return the addresses in the project's manifests that begin with `prefix`; of shares and snapshots nothing else is read."""
    if not any(is_of(kind, prefix) for kind in MANAGED_KINDS):
        desired = load_manifests(project, directory=project.root, only=()).desired
        return [address for address in desired.addresses if address.startswith(prefix)]
    return addresses_beginning(
        prefix,
        project.manifests,
        base_directory=project.root,
        cache=ManifestCache(project.cache_directory),
        drivers=DriverSchemas(driver_schema, driver_names),
        defaults=defaults_of(project, project.root),
    )


def defaults_of(project: Project, directory: Path) -> Defaults | None:
    """Return the project's defaults; their places are as seen from `directory`. None where it has none."""
    if not project.defaults:
        return None
    from sharectl.manifests.defaults import Defaults  # noqa: PLC0415 - most projects have none
    from sharectl.manifests.project import setting_source  # noqa: PLC0415 - most projects have no defaults

    return Defaults(project.defaults, lambda path: setting_source(project, path, directory))


def load_manifests(
    project: Project,
    sources: Sequence[str] = (),
    *,
    directory: Path,
    only: Collection[Address] | None = None,
    stdin: BinaryIO | None = None,
) -> Loaded:
    """Return the manifests of the project, or of `sources` (under `directory`) where the user named some, with all that is wrong."""
    loaded = load(
        list(sources) or list(project.manifests),
        base_directory=directory if sources else project.root,
        cache=ManifestCache(project.cache_directory),
        drivers=DriverSchemas(driver_schema, driver_names),
        only=only,
        stdin=stdin,
        defaults=defaults_of(project, directory),
    )
    wrong = (
        *setting_findings(project, directory),
        *remote_findings(loaded.readable, project),
        *(() if sources else _unknown_remote(loaded.readable, project, directory)),
        *(() if sources or only is not None else _idle_defaults(loaded, project, directory)),
        *(_idle_executor(project, directory) if only is None or only else ()),  # else it may be a worker who asks
        *_server_findings(loaded.readable),
        *config_findings(loaded.readable),
        *_storage_findings(loaded.readable, project),
        *extra_spec_findings(loaded.readable),
    )
    return replace(loaded, diagnostics=(*wrong, *loaded.diagnostics)) if wrong else loaded


def _server_findings(desired: Desired) -> tuple[Diagnostic, ...]:
    if not any(spec.share_servers for spec in desired.backends.values()):
        return ()
    from sharectl.workspace.share_servers import server_findings  # noqa: PLC0415 - only where there are any

    return server_findings(desired)


def _own_folders(project: Project) -> dict[str, str]:
    """Return the folders in which no backend may keep its storage, resolved, and what they are."""
    folders = {str(project.cache_directory.resolve()): "the folder of the cache"}
    if project.state_path is not None:
        folders = {str(project.state_path.parent.resolve()): "the folder of the state", **folders}
    return folders


def _storage_findings(desired: Desired, project: Project) -> tuple[Diagnostic, ...]:
    folders = (project.root / name for name in project.manifests)
    read = [str(folder.resolve()) for folder in folders if folder.is_dir()]
    kept = [
        folder for folder in read if folder != str(project.root.resolve())
    ]  # the project's own holds everything else, too
    return storage_findings(desired, str(project.root), _own_folders(project), read, kept)


def secret_findings(desired: Desired, project: Project) -> tuple[Diagnostic, ...]:
    """Return an error for each secret that a backend's manifest refers to and that is not there now."""
    from sharectl.workspace.backends import secret_problems  # noqa: PLC0415 - most commands load manifests without it

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
        if name not in project.execution.remote  # its worker has them
        for problem in secret_problems(spec, resolver)
        if desired.flaws.is_sound_at(address_of(Kind.BACKEND, name), "spec", *problem.path)
    )


def remote_findings(desired: Desired, project: Project) -> tuple[Diagnostic, ...]:
    """Return an error for each remote backend that workers cannot serve."""
    return tuple(
        replace(problem, source=desired.field_source(address_of(Kind.BACKEND, name), "spec", "network", "plugin"))
        for name, spec in desired.backends.items()
        if name in project.execution.remote
        and desired.flaws.is_sound(address_of(Kind.BACKEND, name), "shareServers", "network")
        and (problem := cannot_be_remote(spec)) is not None
    )


def cannot_be_remote(spec: BackendSpec) -> Diagnostic | None:
    """Return the error of a backend that workers cannot serve, None where they can."""
    from sharectl.workspace.share_servers import needs_service_and_state  # noqa: PLC0415 - as above

    if not (spec.share_servers and needs_service_and_state(spec)):
        return None
    assert spec.network is not None  # noqa: S101 - it has a plugin
    return error(
        "backend.remote",
        f"backend {spec.name} has the network plugin {spec.network.plugin}, and cannot be remote",
        detail="the plugin notes each address in the state before it asks the service for it; workers do not write the state.",
        remedy="make it local in `execution.backends` of sharectl.yaml, or take the plugin neutron or standalone",
        address=address_of(Kind.BACKEND, spec.name),
    )


def _unknown_remote(desired: Desired, project: Project, directory: Path) -> Iterator[Diagnostic]:
    """Yield an error for each remote backend that has no manifest: it would be worked on from here, under its right name."""
    from sharectl.manifests.project import setting_source  # noqa: PLC0415 - most projects have no workers

    for name in sorted(project.execution.remote - desired.backends.keys()):
        near = did_you_mean(name, list(desired.backends))
        source = setting_source(project, ("execution", "backends", name), directory, key=True)
        summary, remedy = f"there is no backend {name}, which is to be remote", near or "describe it, or leave it out"
        yield error("project.execution", summary, remedy=remedy, source=source)


def _idle_defaults(loaded: Loaded, project: Project, directory: Path) -> Iterator[Diagnostic]:
    """Yield a warning of each default that is for no document: its labels may be misspelt."""
    from sharectl.manifests.project import setting_source  # noqa: PLC0415 - most projects have no defaults

    for number, kind in loaded.unmatched:
        if not any(is_of(KIND_OF_DOCUMENT[kind], address) for address in loaded.readable.digests):
            continue  # what is there may come with -f
        yield warning(
            "defaults.idle",
            f"these defaults are for no {kind}: none has their labels",
            remedy="correct the labels, or leave the entry out",
            source=setting_source(project, ("defaults", number), directory),
        )


def _idle_executor(project: Project, directory: Path) -> Iterator[Diagnostic]:
    """Yield a warning of an executor for workers where no backend is theirs: whoever wrote it believes that they make the calls."""
    settings = project.execution
    if settings.executor == "local" or settings.remote:
        return
    from sharectl.manifests.project import setting_source  # noqa: PLC0415 - most projects have no workers

    yield warning(
        "execution.idle",
        f"the executor is {settings.executor}, and no backend is remote: all calls are made by this process",
        remedy=f"name the backends that workers serve: `execution: {{executor: {settings.executor}, backends: {{NAME: remote}}}}`; or leave the executor out",
        source=setting_source(project, ("execution", "executor"), directory),
    )


def config_findings(desired: Desired) -> tuple[Diagnostic, ...]:
    """Return an error for everything in the configuration of a backend that meets the schema and that its driver finds wrong all the same."""
    return tuple(
        error("backend.config", problem.summary, remedy=problem.remedy, address=address, source=source)
        for name, spec in desired.backends.items()
        for address in (address_of(Kind.BACKEND, name),)
        if desired.flaws.is_sound(address, "driver")
        for problem in _config_problems(spec, desired.flaws, address)
        if desired.flaws.is_sound_at(address, "spec", "config", *problem.path)
        for source in (desired.field_source(address, "spec", "config", *problem.path),)
    )


def _config_problems(spec: BackendSpec, flaws: Flaws, address: Address) -> Sequence[ConfigProblem]:
    """Return what the driver finds wrong; where nobody knows whether the backend makes share servers, what is wrong either way."""
    try:
        factory = driver_factory(spec.driver)
    except DriverError:
        return ()  # a finding of the manifest's own
    if not isinstance(factory, ChecksConfig):
        return ()
    if not flaws.is_sound(address, "config") and not compiled_test(factory.config_schema)(dict(spec.config)):
        return ()  # said already, and what does not meet the schema cannot be looked into
    problems = factory.config_problems(spec)
    if flaws.is_sound(address, "shareServers"):
        return problems
    otherwise = factory.config_problems(replace(spec, share_servers=not spec.share_servers))
    return [problem for problem in problems if problem in otherwise]


def setting_findings(project: Project, directory: Path) -> tuple[Diagnostic, ...]:
    """Return an error for each scheduler setting that cannot work, at its place in the project file as seen from `directory`."""
    if project.scheduler == SchedulerSettings():
        return ()
    from sharectl.manifests.project import setting_source  # noqa: PLC0415 - only where something other than the default is set
    from sharectl.scheduler.registry import setting_problems  # noqa: PLC0415 - as above

    return tuple(
        replace(problem.diagnostic, source=setting_source(project, problem.setting, directory, key=problem.at_key))
        for problem in setting_problems(project.scheduler)
    )
