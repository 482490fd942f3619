"""Find and read the project file, which says where manifests and state are and how careful to be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.cache import ManifestCache
from sharectl.manifests.files import PROJECT_FILE, read_regular_file
from sharectl.model.diagnostics import DiagnosticError, Source, error
from sharectl.model.kinds import API_VERSION
from sharectl.model.settings import PackSettings, SafetyLimits, SchedulerSettings

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic

_CACHE_DIRECTORY: Final = ".sharectl/cache"
_STATE_FILE: Final = ".sharectl/state.db"
_COPIES_KEPT: Final = 10


@dataclass(frozen=True, slots=True)
class Project:
    """A repository of manifests and its settings.

    `root` is the folder of the project file, `file` (None where there is no such file). `manifests` are files and folders
    relative to `root`; `state_path` and `cache_directory` are absolute. `copies_directory` is where copies of the state
    are kept (None: where they are by default), `copies_kept` how many.
    """

    root: Path
    file: Path | None
    manifests: tuple[str, ...]
    state_path: Path
    cache_directory: Path
    safety: SafetyLimits
    scheduler: SchedulerSettings
    copies_directory: Path | None = None
    copies_kept: int = _COPIES_KEPT


def find_project(start: Path) -> Project:
    """Return the project that `start` is in: that of the nearest `sharectl.yaml` in it or in a folder above.

    Without such a file, `start` is the root and everything has its default. Raises DiagnosticError, with file, line and
    column, for a project file that cannot be read or is wrong.
    """
    start = Path(start).absolute()
    for folder in (start, *start.parents):
        file = folder / PROJECT_FILE
        if file.exists() or file.is_symlink():
            return _project(folder, file, _read(file, _shown(file, start)))
    return _project(start, None, {})


def setting_source(project: Project, path: tuple[str | int, ...], start: Path, *, key: bool = False) -> Source | None:
    """Return where the setting at `path` under `spec` stands (with `key`, its key); None without a project file.

    `start` is the folder from which the project was found: the file is named as seen from there.
    """
    from sharectl.manifests.positions import FilePositions  # noqa: PLC0415 - only where a setting is wrong
    from sharectl.manifests.reader import read_documents  # noqa: PLC0415 - as above

    if project.file is None:
        return None
    try:
        _, data = read_regular_file(str(project.file))
    except OSError:
        return None
    document = next((found.number for found in read_documents(data).documents if found.value is not None), None)
    if document is None:
        return None
    shown = _shown(project.file, Path(start).absolute())
    return FilePositions(shown, data).source(document, ("spec", *path), key=key)


def _shown(file: Path, start: Path) -> str:
    return file.name if file.parent == start else str(file)


def _read(file: Path, shown: str) -> JsonObject:
    import orjson  # noqa: PLC0415 - a folder without a project file needs none

    try:
        _, data = read_regular_file(str(file))
    except OSError as failure:
        summary = f"cannot read {shown}: {failure.strerror or failure}"
        problem = error(
            "project.unreadable", summary, remedy="mend the file or its permissions", source=Source(shown, 1, 1)
        )
        raise DiagnosticError(problem) from None
    cache = ManifestCache(file.parent / _CACHE_DIRECTORY)
    key = cache.key(b"project\0" + data)
    entry = cache.get(key)
    if entry is not None:
        known: JsonObject = orjson.loads(entry)
        return known
    spec = _checked(data, shown)
    if (file.parent / _CACHE_DIRECTORY).parent.is_dir():
        cache.put(key, orjson.dumps(spec))
    return spec


def _checked(data: bytes, shown: str) -> JsonObject:
    from sharectl.manifests.findings import Finding  # noqa: PLC0415 - an unchanged project file is not checked again
    from sharectl.manifests.positions import FilePositions  # noqa: PLC0415 - as above
    from sharectl.manifests.reader import read_documents  # noqa: PLC0415 - as above
    from sharectl.manifests.schemas import schema_of  # noqa: PLC0415 - as above
    from sharectl.manifests.validation import accepts, explain  # noqa: PLC0415 - as above

    positions = FilePositions(shown, data)
    reading = read_documents(data)
    problems = [
        error(
            problem.code,
            problem.summary,
            remedy=problem.remedy,
            source=positions.place(problem.line, problem.column, problem.document),
        )
        for problem in reading.problems
    ]
    documents = [document for document in reading.documents if document.value is not None]
    findings: list[Finding] = []
    if not problems and len(documents) != 1:
        number = documents[1].number if documents else 0
        remedy = f"write one document with `apiVersion: {API_VERSION}` and `kind: Project`; other documents go into other files"
        findings.append(
            Finding("project.documents", f"{shown} holds {len(documents)} documents, not one", "", remedy, number)
        )
    for document in documents:
        if document.sound and not problems and not findings:
            if not accepts("Project")(document.value):
                findings += explain(document.value, schema_of("Project"), document=document.number)
            else:
                findings += _misplaced_manifests(document.value.get("spec", {}), document.number)
    problems += _sorted([finding.diagnostic(positions) for finding in findings])
    if problems:
        raise DiagnosticError(*problems)
    spec: JsonObject = documents[0].value.get("spec", {})
    return spec


def _sorted(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    return sorted(diagnostics, key=lambda found: (found.source.line, found.source.column) if found.source else (0, 0))


def _misplaced_manifests(spec: JsonObject, document: int) -> list[Any]:
    from sharectl.manifests.findings import Finding  # noqa: PLC0415 - as above

    findings = []
    for number, name in enumerate(spec.get("manifests", ())):
        if name.startswith(("/", "~")) or ".." in Path(name).parts or "\0" in name:
            summary = f"{name!r} leads out of the project"
            remedy = "name a file or folder below sharectl.yaml, or pass others with --file"
            findings.append(Finding("project.manifests", summary, "", remedy, document, ("spec", "manifests", number)))
    state = spec.get("state", {})
    named = {("file",): state.get("file", ""), ("copies", "directory"): state.get("copies", {}).get("directory", "")}
    findings += [
        Finding("project.state", "the path holds a NUL character", "", "remove it", document, ("spec", "state", *path))
        for path, name in named.items()
        if "\0" in name
    ]
    return findings


def _project(root: Path, file: Path | None, spec: JsonObject) -> Project:
    scheduler, safety = spec.get("scheduler", {}), spec.get("safety", {})
    copies = spec.get("state", {}).get("copies", {})
    return Project(
        root=root,
        file=file,
        manifests=tuple(spec.get("manifests", (".",))),
        state_path=root / spec.get("state", {}).get("file", _STATE_FILE),
        cache_directory=root / _CACHE_DIRECTORY,
        safety=SafetyLimits(
            max_deletion_percentage=float(safety.get("maxDeletionPercentage", 10.0)),
            deletion_floor=int(safety.get("deletionFloor", 3)),
        ),
        scheduler=SchedulerSettings(
            filters=_names(scheduler.get("filters")),
            weighers=_names(scheduler.get("weighers")),
            multipliers={name: float(factor) for name, factor in scheduler.get("multipliers", {}).items()},
            max_attempts=int(scheduler.get("maxAttempts", 3)),
            max_over_subscription_ratio=float(scheduler.get("maxOverSubscriptionRatio", 20.0)),
            options=scheduler.get("options", {}),
            algorithm=scheduler.get("algorithm", "manila"),
            extend_filters=_names(scheduler.get("extendFilters")),
            pack=_pack(scheduler.get("pack", {})),
        ),
        copies_directory=root / copies["directory"] if "directory" in copies else None,
        copies_kept=int(copies.get("keep", _COPIES_KEPT)),
    )


def _pack(pack: JsonObject) -> PackSettings:
    default = PackSettings()
    return PackSettings(
        effort=float(pack.get("effort", default.effort)),
        max_choices=int(pack.get("maxChoices", default.max_choices)),
    )


def _names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
