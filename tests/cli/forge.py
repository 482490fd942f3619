"""A forge with its runners, as far as a repository, its pipelines and their artifacts go: real git, the steps as a runner takes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from tests.cli.console import PATIENCE_SECONDS, Ended, environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ROOT_REPOSITORY = "storage/shares"


def git(folder: Path, *arguments: str) -> str:
    """Run git, and return what it printed."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *arguments],  # noqa: S607 - the git of this machine
        cwd=folder,
        env=_git_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout.strip()


def _git_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


@dataclass(slots=True)
class Job:
    """What became of a job: `success`, `failure` or `skipped`, what it printed, and its number."""

    name: str
    number: int
    result: str
    out: str = ""


@dataclass(slots=True)
class Run:
    """A run of the workflow, a pipeline: why, for which commit, and its jobs; `artifacts` are files by the name that they were given."""

    number: int
    event: str
    commit: str
    request: int | None = None
    is_fork: bool = False
    inputs: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)

    def result(self, job: str) -> str:
        """Return how a job ended."""
        return self.jobs[job].result

    @property
    def told(self) -> str:
        """What its jobs printed."""
        return "\n".join(f"--- {job.name}: {job.result}\n{job.out}" for job in self.jobs.values())

    @property
    def ran(self) -> set[str]:
        """The jobs that were not skipped."""
        return {name for name, job in self.jobs.items() if job.result != "skipped"}


@dataclass(slots=True)
class Request:
    """A pull or merge request, with what people see of it."""

    number: int
    branch: str
    head: str
    is_fork: bool = False
    merged_as: str | None = None


@dataclass(slots=True)
class Note:
    """A comment or an issue."""

    number: int
    author: str
    body: str
    title: str = ""
    is_open: bool = True


@dataclass(slots=True)
class Forge:
    """A repository on a forge, somebody's clone of it, and runners: one that stays, or a new one for each job."""

    folder: Path
    state: str
    secrets: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    comments: dict[int, list[Note]] = field(default_factory=dict)
    issues: list[Note] = field(default_factory=list)
    hosts: int = 0
    stays: bool = True

    kind: ClassVar[str] = ""
    file: ClassVar[str] = ""
    request_event: ClassVar[str] = ""
    hand_event: ClassVar[str] = ""

    @property
    def origin(self) -> Path:
        """The repository on the forge."""
        return self.folder / "origin.git"

    @property
    def clone(self) -> Path:
        """The clone in which people work."""
        return self.folder / "clone"

    @property
    def host(self) -> Path:
        """The machine of the runner at work: its home, its workspace and its temporary files are in there."""
        return self.folder / ("runner" if self.stays else f"host-{self.hosts}")

    @property
    def workspace(self) -> Path:
        """Where the runner checks out."""
        return self.host / "work" / "shares"

    def workspace_of_runner(self) -> Path:
        """Return where the runner that stays checks out."""
        return self.folder / "runner" / "work" / "shares"

    def begin(self, edit: dict[str, dict[str, str]] | None = None, *options: str) -> None:
        """Let `sharectl init` write the repository, replace texts in its files, and push it; put what runners have on their PATH."""
        self.new_host(stays=True)
        programs = self.folder / "bin"
        programs.mkdir()
        sharectl = f'#!/bin/sh\nexec {sys.executable} -m sharectl "$@"\n'
        # What would be installed is here already.
        python = f'#!/bin/sh\ntest "$2" != pip || exit 0\nexec {sys.executable} "$@"\n'
        for name, text in {"sharectl": sharectl, "python3": python, "apk": "#!/bin/sh\n"}.items():
            (programs / name).write_text(text, encoding="utf-8")
            (programs / name).chmod(0o755)
        command = [programs / "sharectl", "init", str(self.clone), *options]
        subprocess.run(command, env=self.environment({}), capture_output=True, check=True)
        for name, changes in (edit or {}).items():
            path = self.clone / name
            text = path.read_text(encoding="utf-8")
            for before, after in changes.items():
                assert before in text
                text = text.replace(before, after)
            path.write_text(text, encoding="utf-8")
        git(self.folder, "init", "-q", "--bare", str(self.origin))
        git(self.clone, "init", "-q")
        git(self.clone, "remote", "add", "origin", str(self.origin))
        git(self.clone, "checkout", "-q", "-b", "main")

    def apply_by_hand(self) -> None:
        """Push the first commit without a pipeline, with the storage outside of the workspace, and apply it by hand."""
        backends = self.clone / "backends.yaml"
        text = backends.read_text(encoding="utf-8").replace("root: storage\n", f"root: {self.folder}/storage\n")
        backends.write_text(text, encoding="utf-8")
        (self.folder / "storage").mkdir(exist_ok=True)
        self._push("first", "main")
        assert "created" in self.sharectl("apply", "--yes")

    def first(self) -> Run:
        """Push the first commit to main."""
        return self.push_main("first")

    def push_main(self, message: str) -> Run:
        """Commit what is in the clone, push it to main, and return the run that follows."""
        return self.pipeline("push", self._push(message, "main"))

    def _push(self, message: str, branch: str) -> str:
        git(self.clone, "add", "-A")
        git(self.clone, "commit", "-q", "--allow-empty", "-m", message)
        git(self.clone, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.clone, "rev-parse", "HEAD")

    def write_share(self, name: str, size: float = 1) -> None:
        """Write the manifest of a share of so many GiB into the clone."""
        spec = f"{{size: {size}GiB, protocol: NFS, type: general}}"
        text = f"apiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        (self.clone / "shares" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def propose(
        self, branch: str, shares: Mapping[str, float], *, is_fork: bool = False, change: tuple[str, str] | None = None
    ) -> Run:
        """Propose shares of these sizes, or a `change` of one text in the share that `init` wrote, and return the run of the request.

        The clone is back on main after that.
        """
        number = next((each.number for each in self.requests if each.branch == branch), 0)
        git(self.clone, "checkout", "-q", *([branch] if number else ["-b", branch]))
        for name, size in shares.items():
            self.write_share(name, size)
        if change is not None:
            path = self.clone / "shares" / "projects.yaml"
            path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
        head = self._push(branch, branch)
        git(self.clone, "checkout", "-q", "main")
        if number:
            self.requests[number - 1].head = head
        else:
            self.requests.append(Request(len(self.requests) + 1, branch, head, is_fork))
        return self.plan_again(branch)

    def plan_again(self, branch: str) -> Run:
        """Return the run of the request as it is now."""
        request = next(each for each in self.requests if each.branch == branch)
        commit = self.commit_of(request)
        return self.pipeline(self.request_event, commit, request.number, is_fork=request.is_fork)

    def commit_of(self, request: Request) -> str:
        """Return the commit that a run of the request checks out."""
        return request.head

    def merge(self, branch: str) -> Run:
        """Merge the request into main, and return the run that follows."""
        request = next(each for each in self.requests if each.branch == branch)
        git(self.clone, "merge", "-q", "--no-ff", "--no-edit", branch)
        request.merged_as = self._push(f"merge {branch}", "main")
        return self.pipeline("push", request.merged_as)

    def nightly(self) -> Run:
        """Return the run of the schedule."""
        return self.pipeline("schedule", git(self.clone, "rev-parse", "main"))

    def by_hand(self, **inputs: str) -> Run:
        """Return a run that somebody started."""
        return self.pipeline(self.hand_event, git(self.clone, "rev-parse", "main"), **inputs)

    def pipeline(
        self, event: str, commit: str, request: int | None = None, *, is_fork: bool = False, **inputs: str
    ) -> Run:
        """Run the workflow as it stands in the commit."""
        run = Run(1000 + len(self.runs), event, commit, request, is_fork, inputs)
        self.runs.append(run)
        self.take(run)
        return run

    def take(self, run: Run) -> None:
        """Take all jobs of the run, one after the other."""
        raise NotImplementedError

    def workflow(self, commit: str) -> dict[str, Any]:
        """Return the workflow as it stands in the commit."""
        text = git(self.origin, "show", f"{commit}:{self.file}")
        loaded = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes texts of everything
        assert isinstance(loaded, dict)
        return loaded

    def new_host(self, *, stays: bool) -> None:
        """Let the runner that stays take the next job, or another machine; its temporary files are new in either case."""
        self.stays = stays
        self.hosts += not stays
        shutil.rmtree(self.host / "temp", ignore_errors=True)
        for name in ("home", "temp"):
            (self.host / name).mkdir(parents=True, exist_ok=True)

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return the environment of a step."""
        base = environment(HOME=str(self.host / "home"), PATH=f"{self.folder / 'bin'}:{os.environ['PATH']}", CI="true")
        for name in ("SHARECTL_STATE", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            base.pop(name, None)
        return base | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | more

    def shell(self, script: str, variables: dict[str, str], command: Iterable[str]) -> Ended:
        """Run a script in the workspace."""
        self.workspace.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [*command, script],
            cwd=self.workspace,
            env=self.environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, "")

    def sharectl(self, *arguments: str) -> str:
        """Return what a command prints in the clone, with the state of the runners."""
        variables = {"SHARECTL_STATE": self.state, **self.secrets}
        done = subprocess.run(
            [self.folder / "bin" / "sharectl", *arguments],
            cwd=self.clone,
            env=self.environment(variables),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def shares(self) -> set[str]:
        """Return the names of the shares that the state has."""
        words = self.sharectl("state", "list").split()
        return {word.removeprefix("share/") for word in words if word.startswith("share/")}
