"""GitLab and its runners: the jobs of a pipeline by their stages, with the rules, variables and artifacts that they have there."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tests.cli.forge import ROOT_REPOSITORY, Forge, Job, Run, git

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREDEFINED = ("stages", "variables")
_VARIABLE = re.compile(r"\$([A-Z_]+)")


@dataclass(slots=True)
class GitLab(Forge):
    """A project on GitLab; `variables` are those of the project and of its API.

    Where it `keeps`, one runner takes all jobs in the same folder. A job that is `lost` ends with its runner.
    """

    variables: dict[str, str] = field(default_factory=dict)
    keeps: bool = False
    lost: str = ""

    kind: ClassVar[str] = "gitlab"
    file: ClassVar[str] = ".gitlab-ci.yml"
    request_event: ClassVar[str] = "merge_request_event"
    hand_event: ClassVar[str] = "web"

    def take(self, run: Run) -> None:
        """Take the jobs of each stage whose rules let them."""
        workflow = self.workflow(run.commit)
        jobs = {name: _whole(name, workflow) for name in workflow if name not in _PREDEFINED and name[0] != "."}
        for name, job in sorted(jobs.items(), key=lambda each: workflow["stages"].index(each[1]["stage"])):
            facts = self._facts(run)
            rule = next((each for each in job["rules"] if _holds(each["if"], facts)), None)
            failed = any(run.result(each) != "success" for each in job.get("needs", ()))
            if rule is None or (failed and rule.get("when") != "always"):
                run.jobs[name] = Job(name, 0, "skipped")
            else:
                run.jobs[name] = self._job(run, name, job, {**workflow["variables"], **job.get("variables", {})})

    def _facts(self, run: Run) -> dict[str, str]:
        facts = {
            "CI_PIPELINE_SOURCE": run.event,
            "CI_PROJECT_ID": "7",
            "CI_PROJECT_PATH": ROOT_REPOSITORY,
            "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_SHA": run.commit,
            "CI_PIPELINE_ID": str(run.number),
            "CI_PIPELINE_URL": f"https://gitlab.example/{ROOT_REPOSITORY}/-/pipelines/{run.number}",
            **run.inputs,
        }
        if run.request is None:
            return facts | {"CI_COMMIT_BRANCH": "main"}
        source = "8" if run.is_fork else "7"
        return facts | {"CI_MERGE_REQUEST_IID": str(run.request), "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": source}

    def _job(self, run: Run, name: str, job: Mapping[str, Any], variables: Mapping[str, str]) -> Job:
        self.new_host(stays=self.keeps or job.get("tags") == ["storage"])
        number = run.number * 10 + len(run.jobs)
        if name == self.lost:
            return Job(name, number, "failure")
        facts = self._facts(run)
        texts = {
            key: _VARIABLE.sub(lambda match: facts.get(match[1], match[0]), text) for key, text in variables.items()
        }
        if texts.get("GIT_STRATEGY") != "none":
            self._checkout(texts, run.commit)
        for each in job.get("needs", ()):
            for path, content in run.artifacts.get(each, {}).items():
                target = self.workspace / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        env = {
            **facts,
            **texts,
            "GITLAB_CI": "true",
            "GITLAB_USER_LOGIN": "octocat",
            "CI_JOB_URL": f"https://gitlab.example/{ROOT_REPOSITORY}/-/jobs/{number}",
            **self.variables,
            **({} if run.is_fork else self.secrets),
            "TMPDIR": str(self.host / "temp"),
        }
        script = "\n".join([*job.get("before_script", ()), *job["script"]])
        # An image without bash has a plain shell.
        shell = ["sh", "-e", "-c"] if "alpine" in job.get("image", "") else ["bash", "-eo", "pipefail", "-c"]
        ended = self.shell(script, env, shell)
        result = Job(name, number, "failure" if ended.code else "success", ended.out)
        kept = job.get("artifacts", {})
        if {"always": True, "on_failure": ended.code != 0}.get(kept.get("when", ""), ended.code == 0):
            run.artifacts[name] = {
                str(path.relative_to(self.workspace)): path.read_bytes()
                for folder in kept.get("paths", ())
                for path in sorted((self.workspace / folder).glob("*"))
            }
        return result

    def _checkout(self, variables: Mapping[str, str], commit: str) -> None:
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


def _whole(name: str, workflow: Mapping[str, Any]) -> dict[str, Any]:
    job = workflow[name]
    return {**workflow[job["extends"]], **job} if "extends" in job else dict(job)


def _holds(condition: str, facts: Mapping[str, str]) -> bool:
    words = _VARIABLE.sub(lambda match: repr(facts.get(match[1], "")), condition)
    return bool(eval(words.replace("&&", " and "), {"__builtins__": {}}))  # noqa: S307 - of our own workflow
