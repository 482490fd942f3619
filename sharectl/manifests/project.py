"""Find and read the project file, which says where manifests and state are and how careful to be."""

from __future__ import annotations

import os
import re
from dataclasses import fields, replace
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl import __version__
from sharectl.manifests.files import PROJECT_FILE, read_checked, read_regular_file, write_checked
from sharectl.manifests.findings import Finding
from sharectl.manifests.schemas import schemas_digest
from sharectl.model.diagnostics import DiagnosticError, Source, error
from sharectl.model.fields import camel
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import API_VERSION
from sharectl.model.settings import ExecutionSettings, PackSettings, SafetyLimits, SchedulerSettings
from sharectl.model.state_urls import (
    StateUrlError,
    absolute_state_url,
    is_in_file,
    location_in_state_url,
    path_in_state_url,
    url_of_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic

Settings = TypeVar("Settings", SafetyLimits, SchedulerSettings, PackSettings)

_CACHE_DIRECTORY: Final = ".sharectl/cache"
_STATE_FILE: Final = ".sharectl/state.db"
_COPIES_KEPT: Final = 10
_DEFAULTS: Final = ("spec", "defaults")
_LINK_LEADS_OUT: Final = "the link leads out of its folder, and of the git working tree around it"


@dataclass(frozen=True, slots=True)
class Project:
    """A repository of manifests and its settings.

    `root` is the folder of the project file, `file` (None where there is no such file). `manifests` are files and folders
    relative to `root`; the paths in `state_url` and `cache_directory` are absolute. `copies_directory` is where copies of the state
    are kept (None: where they are by default), `copies_kept` how many. `defaults` are the entries of that setting, as they are written.
    """

    root: Path
    file: Path | None
    manifests: tuple[str, ...]
    state_url: str
    cache_directory: Path
    safety: SafetyLimits
    scheduler: SchedulerSettings
    copies_directory: Path | None = None
    copies_kept: int = _COPIES_KEPT
    execution: ExecutionSettings = ExecutionSettings()
    defaults: tuple[JsonObject, ...] = ()

    @property
    def state_path(self) -> Path | None:
        """The file that holds the state; None where it is in a database."""
        return Path(path_in_state_url(self.state_url)) if is_in_file(self.state_url) else None

    @property
    def state_location(self) -> str:
        """Where the state is, for people."""
        return location_in_state_url(self.state_url)


class ProjectError(DiagnosticError):
    """The project file is wrong; `project` has the settings that are right, or is None where nobody knows which manifests are meant."""

    def __init__(self, problems: Sequence[Diagnostic], project: Project | None = None) -> None:
        """Carry everything that is wrong."""
        super().__init__(*problems)
        self.project = project


@dataclass(frozen=True, slots=True)
class ProjectChoices:
    """What a command was told otherwise than the project file says: where the state of a project with this root is, and the executor."""

    state_url: Callable[[Path], str] | None = None
    executor: str | None = None


AS_WRITTEN: Final = ProjectChoices()


def find_project(start: Path, choices: ProjectChoices = AS_WRITTEN) -> Project:
    """Return the project that `start` is in, with what was chosen: that of the nearest `sharectl.yaml` in it or in a folder above.

    Without such a file, `start` is the root and everything has its default. Raises ProjectError, with file, line and
    column, for a project file that cannot be read or is wrong, and for choices that do not go with it.
    """
    start = Path(start).absolute()
    for folder in (start, *start.parents):
        file = folder / PROJECT_FILE
        if file.exists() or file.is_symlink():
            spec, problems = _read(file, _shown(file, start))
            project = None if spec is None else _project(folder, file, spec)
            if project is not None:
                problems += _that_lead_out(project, (spec or {}).get("outside", ()), start)
                if any(problem.code == "project.link" for problem in problems):
                    raise ProjectError(problems)  # nobody knows which manifests are meant
                project, found = _chosen(project, replace(choices, executor=None) if problems else choices, start)
                if any(problem.code == "project.state" for problem in problems):
                    found = []  # what does not go with the state's default is not what is wrong
                problems = sorted((*problems, *found), key=_place)
            if problems:
                raise ProjectError(problems, project)
            return project or _project(folder, file, {})
    project, problems = _chosen(_project(start, None, {}), choices, start)
    if problems:
        raise ProjectError(problems, project)
    return project


def _chosen(project: Project, choices: ProjectChoices, start: Path) -> tuple[Project, list[Diagnostic]]:
    """Return the project with these choices, or without those that do not go with it, and what is wrong with them."""
    if choices.state_url is not None:
        project = replace(project, state_url=choices.state_url(project.root))
    if choices.executor is None and not _is_out_of_reach(project):
        return project, []
    from sharectl.manifests.execution import ExecutorError, chosen_executor  # noqa: PLC0415 - most commands choose none

    try:
        is_elsewhere = choices.state_url is not None
        execution = chosen_executor(project.execution, choices.executor, project.state_path, is_elsewhere=is_elsewhere)
        return replace(project, execution=execution), []
    except ExecutorError as problem:
        found = problem.diagnostic(setting_source(project, problem.path, start))
        return replace(project, execution=ExecutionSettings()), [found]


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


def _read(file: Path, shown: str) -> tuple[JsonObject | None, list[Diagnostic]]:
    """Return the settings, or those that are right, and what is wrong."""
    import orjson  # noqa: PLC0415 - a folder without a project file needs none

    if file.is_symlink() and _leads_out(file, file.parent):
        return None, [_unreadable(shown, _LINK_LEADS_OUT, "put the file itself here")]
    try:
        _, data = read_regular_file(str(file))
    except OSError as failure:
        return None, [_unreadable(shown, failure.strerror or str(failure), "fix the file or its permissions")]
    kept, key = f"{file.parent}/{_CACHE_DIRECTORY}/project", f"{__version__}\0".encode() + schemas_digest() + data
    entry = read_checked(kept, key)
    if entry is not None:
        known: JsonObject = orjson.loads(entry)
        return known, []
    spec, problems = _checked(data, shown)
    if not problems and (file.parent / _CACHE_DIRECTORY).parent.is_dir():
        write_checked(kept, key, orjson.dumps(spec))
    return spec, problems


def _unreadable(shown: str, why: str, remedy: str) -> Diagnostic:
    return error("project.unreadable", f"cannot read {shown}: {why}", remedy=remedy, source=Source(shown, 1, 1))


def _leads_out(path: Path, root: Path, outside: Iterable[str] = ()) -> bool:
    real, base = os.path.realpath(path), os.path.realpath(root)
    if Path(real).is_relative_to(base):
        return False
    from sharectl.manifests.links import leads_out  # noqa: PLC0415 - only where there is a link, or a path leads elsewhere

    return leads_out(real, base, (str(root / folder) for folder in outside))


def _that_lead_out(project: Project, outside: Iterable[str], start: Path) -> list[Diagnostic]:
    """Return an error for each of the manifests' paths that is a link, or runs through one, to a place which the project does not name."""
    return [
        error(
            "project.link",
            f"{name!r} is not read: {_LINK_LEADS_OUT}",
            remedy="put the file or folder itself here, or list the folder that it is in under `outside`",
            source=setting_source(project, ("manifests", number), start),
        )
        for number, name in enumerate(project.manifests)
        if name != "." and _leads_out(project.root / name, project.root, outside)
    ]


def _checked(data: bytes, shown: str) -> tuple[JsonObject | None, list[Diagnostic]]:
    from sharectl.manifests.positions import FilePositions  # noqa: PLC0415 - an unchanged project file is not checked again
    from sharectl.manifests.reader import read_documents  # noqa: PLC0415 - as above
    from sharectl.manifests.validation import what_was_read  # noqa: PLC0415 - as above

    positions = FilePositions(shown, data)
    reading = read_documents(data)
    problems = [problem.diagnostic(positions) for problem in reading.problems]
    documents = [document for document in reading.documents if document.value is not None]
    findings: list[Finding] = []
    spec: JsonObject | None = None
    if len(documents) == 1 and not reading.unread:
        number, value = documents[0].number, documents[0].value
        positions.conceal(number, ("spec", "state", "url"))  # which may hold a password
        positions.conceal(number, ("spec", "execution", "broker", "url"))  # as above
        read = what_was_read(value, "Project")
        findings += read.findings(number)
        sound = read.mended()
        if sound is not None:
            spec = sound.value.get("spec", {})
            findings += _take_out_misplaced(spec, number)
            if sound.is_written("spec", "state"):
                findings += _take_out_state(spec, sound.value.get("metadata", {}).get("name", ""), number)
            else:
                spec.pop("state", None)
            if not sound.is_written("spec", "scheduler"):
                spec.pop("scheduler", None)
            if "execution" in spec:
                findings += _take_out_execution(spec, number, is_sound=sound.is_written("spec", "execution"))
            if "defaults" in spec:
                findings = _with_those_of_defaults(findings, spec, number)
            if not sound.is_written("spec", "manifests") or any(found.path[:2] == _DEFAULTS for found in findings):
                spec = None  # every document that lacks what stands in one of them would be wrong, too
    elif not problems:
        number = documents[1].number if documents else 0
        remedy = f"write one document with `apiVersion: {API_VERSION}` and `kind: Project`; other documents go into other files"
        summary = f"{shown} holds {len(documents)} documents, not one" if documents else f"{shown} holds no document"
        findings.append(Finding("project.documents", summary, "", remedy, number))
    problems += [finding.diagnostic(positions) for finding in findings]
    problems.sort(key=_place)
    return spec, problems


def _place(found: Diagnostic) -> tuple[int, int]:
    return (found.source.line, found.source.column) if found.source else (0, 0)


def _is_out_of_reach(project: Project) -> bool:
    """Tell whether workers are to make calls that they could not get from where the state is."""
    return project.execution.executor != "local" and is_in_file(project.state_url)


def _with_those_of_defaults(findings: list[Finding], spec: JsonObject, document: int) -> list[Finding]:
    """Return the findings with those about the defaults explained; where their form is right, with what else is wrong with them."""
    from sharectl.manifests.defaults import default_findings, explained  # noqa: PLC0415 - most projects have none

    found = list(map(explained, findings))
    if any(finding.path[:2] == _DEFAULTS for finding in found):
        return found
    return [*found, *default_findings(spec["defaults"], document)]


def _take_out_misplaced(spec: JsonObject, document: int) -> list[Finding]:
    """Remove the paths that cannot be used, and return what is wrong with them."""
    findings = []
    outside = tuple(map(normpath, spec.get("outside", ())))
    for number, name in enumerate(spec.get("manifests", ())):
        if not _may_be_read(name, outside):
            summary = f"{name!r} leads out of the project"
            remedy = "name a file or folder below sharectl.yaml, list the folder that it is in under `outside`, or pass others with --file"
            findings.append(Finding("project.manifests", summary, "", remedy, document, ("spec", "manifests", number)))
    if findings:
        wrong = {found.path[-1] for found in findings}
        spec["manifests"] = [name for number, name in enumerate(spec["manifests"]) if number not in wrong]
    state = spec.get("state", {})
    for part, key, *above in ((state, "file"), (state, "url"), (state.get("copies", {}), "directory", "copies")):
        if "\0" in part.get(key, ""):
            del part[key]
            path = ("spec", "state", *above, key)
            findings.append(Finding("project.state", "the path holds a NUL character", "", "remove it", document, path))
    return findings


def _may_be_read(name: str, outside: tuple[str, ...]) -> bool:
    """Tell whether a path of `manifests` is below the project, or below one of the folders `outside` of it that the project lists."""
    if name.startswith(("/", "~")) or "\0" in name:
        return False
    path = Path(normpath(name))
    return ".." not in path.parts or any(
        path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts for folder in outside
    )


def _take_out_state(spec: JsonObject, project_name: str, document: int) -> list[Finding]:
    """Remove where the state is if that cannot be used, and return what is wrong; a state in a database is called as the project, unless it has a name."""
    state = spec.get("state", {})
    path: tuple[str | int, ...] = ("spec", "state", "url")
    if "url" in state:
        if not is_in_file(state["url"]) and "name" not in state and re.search("[?&]name=", state["url"]) is None:
            state["name"] = project_name
        summary, remedy = _url_problem(state)
        if summary:
            for key in ("url", "name", "passwordFrom"):
                state.pop(key, None)
            return [Finding("project.state", summary, "", remedy, document, path)]
    if "url" not in state or is_in_file(state["url"]):
        for key in ("name", "passwordFrom"):
            if state.pop(key, None) is not None:
                summary, remedy = f"a state in a file has no `{key}`", "leave it out, or name a database as `url`"
                return [Finding("project.state", summary, "", remedy, document, (*path[:2], key), key=True)]
    return []


def _take_out_execution(spec: JsonObject, document: int, *, is_sound: bool) -> list[Finding]:
    """Remove who makes the calls if that cannot be, and return what is wrong."""
    from sharectl.manifests.execution import execution_findings  # noqa: PLC0415 - most projects have none

    findings = list(execution_findings(spec["execution"], document)) if is_sound else []
    if findings or not is_sound:
        del spec["execution"]
    return findings


def _url_problem(state: JsonObject) -> tuple[str, str]:
    """Return why the URL of a state cannot be used, and what to do; two empty texts where it can."""
    if "file" in state:
        return "the state is named twice, by `file` and by `url`", "leave one of them out"
    try:
        _state_url(Path("/"), state)
    except StateUrlError as problem:
        return f"the state cannot be opened: {problem}", problem.remedy
    return "", ""


def _state_url(root: Path, state: JsonObject) -> str:
    if "url" not in state:
        return url_of_file(root / state.get("file", _STATE_FILE))
    reference = next(iter(state.get("passwordFrom", {}).items()), None)
    return absolute_state_url(state["url"], root, name=state.get("name", ""), password_from=reference)


def _project(root: Path, file: Path | None, spec: JsonObject) -> Project:
    state = spec.get("state", {})
    copies = state.get("copies", {})
    return Project(
        root=root,
        file=file,
        manifests=tuple(spec.get("manifests", (".",))),
        state_url=_state_url(root, state),
        cache_directory=root / _CACHE_DIRECTORY,
        safety=_settings(SafetyLimits, spec.get("safety", {})),
        scheduler=_settings(SchedulerSettings, spec.get("scheduler", {})),
        copies_directory=root / copies["directory"] if "directory" in copies else None,
        copies_kept=int(copies.get("keep", _COPIES_KEPT)),
        execution=_execution(root, spec),
        defaults=tuple(spec.get("defaults", ())),
    )


def _execution(root: Path, spec: JsonObject) -> ExecutionSettings:
    if "execution" not in spec:
        return ExecutionSettings()
    from sharectl.manifests.execution import execution_of  # noqa: PLC0415 - most projects have none

    return execution_of(root, spec["execution"])


def _settings(cls: type[Settings], written: JsonObject) -> Settings:
    """Return the settings that the project file holds, the others with their defaults; its fields have the names of the class's in camel case."""
    given = {
        field.name: (str(field.type), written[camel(field.name)])
        for field in fields(cls)
        if camel(field.name) in written
    }
    return cls(**{name: _READERS.get(kind, _as_it_is)(value) for name, (kind, value) in given.items()})


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return value


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "int": int,
    "float": float,
    "tuple[str, ...] | None": tuple,
    "Mapping[str, float]": lambda factors: {name: float(factor) for name, factor in factors.items()},
    "PackSettings": lambda pack: _settings(PackSettings, pack),
}
"""How settings are read from JSON, by their types."""
