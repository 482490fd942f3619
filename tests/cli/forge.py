"""A forge with its runner, as far as a checkout and the steps of a job go: real git, a real workspace that is used again and again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.cli.console import PATIENCE_SECONDS, Ended, environment

if TYPE_CHECKING:
    from pathlib import Path

ROOT_REPOSITORY = "storage/shares"
_EXPRESSION = re.compile(r"\$\{\{\s*([a-z_.]+)\s*\}\}")


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
class Forge:
    """A repository on a forge, somebody's clone of it, and a runner with one workspace and one home."""

    folder: Path
    kind: str
    summaries: list[str] = field(default_factory=list)

    @property
    def origin(self) -> Path:
        """The repository on the forge."""
        return self.folder / "origin.git"

    @property
    def clone(self) -> Path:
        """The clone in which people work."""
        return self.folder / "clone"

    @property
    def workspace(self) -> Path:
        """Where the runner checks out, each time."""
        return self.folder / "work" / "shares"

    @property
    def home(self) -> Path:
        """The home of the runner's user."""
        return self.folder / "home"

    def begin(self, *, names_forge: bool = True) -> None:
        """Let `sharectl init` write the repository, and push it; put the program on the runner's PATH."""
        for folder in (self.home, self.folder / "bin"):
            folder.mkdir()
        program = self.folder / "bin" / "sharectl"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sharectl "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        written = subprocess.run(
            [program, "init", str(self.clone), *(("--ci", self.kind) if names_forge else ())],
            env=self.environment({}),
            capture_output=True,
            check=True,
        )
        assert written.returncode == 0
        git(self.folder, "init", "-q", "--bare", str(self.origin))
        git(self.clone, "init", "-q")
        git(self.clone, "remote", "add", "origin", str(self.origin))
        self.push("first")

    def push(self, message: str, branch: str = "main") -> str:
        """Commit all that is in the clone, push it to the branch, and return the commit."""
        git(self.clone, "add", "-A")
        git(self.clone, "commit", "-q", "--allow-empty", "-m", message)
        git(self.clone, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.clone, "rev-parse", "HEAD")

    def write_share(self, name: str) -> None:
        """Write the manifest of a share into the clone."""
        text = f"apiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {{size: 1GiB, protocol: NFS, type: general}}\n"
        (self.clone / "shares" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return the environment of a step."""
        base = environment(HOME=str(self.home), PATH=f"{self.folder / 'bin'}:{os.environ['PATH']}", CI="true")
        base.pop("SHARECTL_STATE", None)
        return base | more

    def state(self) -> str:
        """Return what the state of the runner holds."""
        path = str(self.home / ".local" / "state" / "sharectl" / ROOT_REPOSITORY / "state.db")
        done = subprocess.run(
            [self.folder / "bin" / "sharectl", "state", "list"],
            cwd=self.workspace,
            env=self.environment({"SHARECTL_STATE": path}),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def workflow(self) -> dict[str, Any]:
        """Return the workflow as it stands in the clone."""
        name = ".github/workflows/shares.yml" if self.kind == "github" else ".gitlab-ci.yml"
        text = (self.clone / name).read_text(encoding="utf-8")
        loaded = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes texts of everything
        assert isinstance(loaded, dict)
        return loaded

    def run_job(self, job: str, commit: str, branch: str) -> Ended:
        """Run a job of the workflow for a commit, as the runner of this forge does."""
        return (self._github if self.kind == "github" else self._gitlab)(job, commit, branch)

    def _github(self, job: str, commit: str, branch: str) -> Ended:
        workflow = self.workflow()
        summary = self.folder / "summary.md"
        summary.write_text("", encoding="utf-8")
        facts = {
            "github.repository": ROOT_REPOSITORY,
            "github.ref": f"refs/heads/{branch}",
            "github.ref_name": branch,
        }
        variables = {name: _filled(text, facts) for name, text in workflow.get("env", {}).items()}
        variables |= {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"}
        out = ""
        for step in workflow["jobs"][job]["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                options = {name: _filled(text, facts) for name, text in step.get("with", {}).items()}
                self._actions_checkout(options, commit)
                continue
            ended = self._shell(_filled(step["run"], facts), variables | step.get("env", {}), ["-e"])
            out += ended.out
            if ended.code:
                return Ended(ended.code, out, ended.err)
        self.summaries.append(summary.read_text(encoding="utf-8"))
        return Ended(0, out, "")

    def _actions_checkout(self, options: dict[str, str], commit: str) -> None:
        """Do what actions/checkout does on a runner of one's own, whose workspace is still there."""
        work = self.workspace
        wanted = options.get("ref") or commit
        if (work / ".git").exists():
            git(work, "checkout", "-q", "--detach")
            if options.get("clean", "true") != "false":
                git(work, "clean", "-ffdx")
                git(work, "reset", "-q", "--hard", "HEAD")
        else:
            work.mkdir(parents=True, exist_ok=True)
            git(work, "init", "-q")
            git(work, "remote", "add", "origin", str(self.origin))
        git(work, "fetch", "-q", "--no-tags", "--depth=1", "origin", f"+{wanted}:refs/remotes/origin/job")
        git(work, "checkout", "-q", "--force", "refs/remotes/origin/job")

    def _gitlab(self, job: str, commit: str, branch: str) -> Ended:
        workflow = self.workflow()
        facts = {"CI_PROJECT_PATH": ROOT_REPOSITORY, "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BRANCH": branch}
        variables = {
            name: re.sub(r"\$([A-Z_]+)", lambda match: facts[match[1]], text)
            for name, text in workflow.get("variables", {}).items()
        }
        self._runner_checkout(variables, commit)
        out = ""
        for line in workflow[job]["script"]:
            ended = self._shell(line, facts | variables | {"GITLAB_CI": "true"}, ["-eo", "pipefail"])
            out += ended.out
            if ended.code:
                return Ended(ended.code, out, ended.err)
        self.summaries.append(out)
        return Ended(0, out, "")

    def _runner_checkout(self, variables: dict[str, str], commit: str) -> None:
        """Do what a GitLab runner does before a job: fetch, check out, clean."""
        work = self.workspace
        if variables.get("GIT_STRATEGY", "fetch") == "clone":
            shutil.rmtree(work, ignore_errors=True)
        if not (work / ".git").exists():
            work.mkdir(parents=True, exist_ok=True)
            git(work, "init", "-q")
            git(work, "remote", "add", "origin", str(self.origin))
        git(work, "fetch", "-q", "--prune", "--depth=20", "origin", f"+{commit}:refs/pipelines/1")
        git(work, "checkout", "-q", "-f", "--detach", commit)
        flags = variables.get("GIT_CLEAN_FLAGS", "-ffdx")
        if flags != "none":
            git(work, "clean", *flags.split())

    def _shell(self, script: str, variables: dict[str, str], options: list[str]) -> Ended:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", *options, "-c", script],  # noqa: S607 - the shell of this machine
            cwd=self.workspace,
            env=self.environment(variables) | {"GIT_CONFIG_GLOBAL": os.devnull},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


def _filled(text: str, facts: dict[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: facts[match[1]], text)
