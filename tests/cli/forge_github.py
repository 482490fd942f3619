"""GitHub and its runners: the jobs of a workflow in their order, with the conditions, tokens and artifacts that they have there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tests.cli.forge import ROOT_REPOSITORY, Forge, Job, Request, Run, git

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_WORD = re.compile(r"[a-z_]+(?:\.[A-Za-z_]+)+")
_CHECKS = ("success()", "failure()", "cancelled()", "always()")


@dataclass(slots=True)
class GitHub(Forge):
    """A repository on GitHub. `tokens` are those of the jobs, with what each may do."""

    tokens: dict[str, Mapping[str, str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "github"
    file: ClassVar[str] = ".github/workflows/shares.yml"
    request_event: ClassVar[str] = "pull_request"
    hand_event: ClassVar[str] = "workflow_dispatch"

    def commit_of(self, request: Request) -> str:
        """Return the merge of the request into main, which GitHub plans, not the commit itself."""
        git(self.clone, "checkout", "-q", "--detach", "main")
        git(self.clone, "merge", "-q", "--no-ff", "--no-edit", request.head)
        git(self.clone, "push", "-q", "-f", "origin", f"HEAD:refs/pull/{request.number}/merge")
        merged = git(self.clone, "rev-parse", "HEAD")
        git(self.clone, "checkout", "-q", "main")
        return merged

    def take(self, run: Run) -> None:
        """Take the jobs whose conditions hold."""
        workflow = self.workflow(run.commit)
        assert run.event in workflow["on"]
        for name, job in workflow["jobs"].items():
            needs = [job["needs"]] if "needs" in job else []
            facts = self._facts(run, needs)
            condition = _bare(job.get("if", "success()"))
            failed = any(run.result(each) != "success" for each in needs)
            if not _holds(condition, facts, failed=failed):
                run.jobs[name] = Job(name, len(run.jobs), "skipped")
            else:
                run.jobs[name] = self._job(run, name, workflow, facts)

    def _facts(self, run: Run, needs: list[str]) -> dict[str, str]:
        request = None if run.request is None else self.requests[run.request - 1]
        return {
            "github.repository": ROOT_REPOSITORY,
            "github.event_name": run.event,
            "github.ref": f"refs/pull/{run.request}/merge" if run.request else "refs/heads/main",
            "github.event.pull_request.head.repo.full_name": "" if request is None
            else "mallory/shares" if request.is_fork
            else ROOT_REPOSITORY,
            "github.event.pull_request.number": str(run.request or ""),
            "github.event.pull_request.head.sha": "" if request is None else request.head,
            "inputs.run": run.inputs.get("run", ""),
            **{f"needs.{name}.result": run.result(name) for name in needs},
            # A run of a fork is given none.
            **{f"secrets.{name}": "" if run.is_fork else value for name, value in self.secrets.items()},
        }  # fmt: skip

    def _job(self, run: Run, name: str, workflow: Mapping[str, Any], facts: dict[str, str]) -> Job:
        job = workflow["jobs"][name]
        self.new_host(stays="self-hosted" in job["runs-on"])
        token = f"token-{run.number}-{name}"
        self.tokens[token] = job.get("permissions", workflow["permissions"])
        facts = {**facts, "github.token": token, "runner.temp": str(self.host / "temp")}
        result = Job(name, len(run.jobs), "success")
        for number, step in enumerate(job["steps"]):
            if not _holds(_bare(step.get("if", "success()")), facts, failed=result.result == "failure"):
                continue
            with_values = {key: _filled(text, facts) for key, text in step.get("with", {}).items()}
            if "uses" in step:
                ok, out = self._action(run, step["uses"], with_values), f"uses {step['uses']}\n"
            else:
                ok, out = self._run(run, f"{name}-{number}", step, [workflow, job, step], facts)
            result.out += out
            if not ok and step.get("continue-on-error") != "true":
                result.result = "failure"
        return result

    def _run(
        self, run: Run, name: str, step: Mapping[str, Any], levels: list[Mapping[str, Any]], facts: dict[str, str]
    ) -> tuple[bool, str]:
        assert "${{" not in step["run"], "text of others would become a part of the script"
        temp = self.host / "temp"
        summary, output = temp.parent / f"{name}.md", temp.parent / f"{name}.out"
        for file in (summary, output):
            file.write_text("", encoding="utf-8")
        env: dict[str, str] = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": ROOT_REPOSITORY,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": str(run.number),
            "GITHUB_SHA": run.commit,
            "GITHUB_ACTOR": "octocat",
            "GITHUB_TRIGGERING_ACTOR": "octocat",
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_OUTPUT": str(output),
            "RUNNER_TEMP": str(temp),
            **self.variables,
        }
        for level in levels:
            env |= {key: _filled(text, facts) for key, text in level.get("env", {}).items()}
        if "GH_TOKEN" in env:
            env["GH_ENTERPRISE_TOKEN"] = env["GH_TOKEN"]  # what gh takes for another host than github.com
        ended = self.shell(step["run"], env, ["bash", "--noprofile", "--norc", "-e", "-c"])
        run.summaries[name.rpartition("-")[0]] = run.summaries.get(name.rpartition("-")[0], "") + summary.read_text(
            encoding="utf-8"
        )
        return ended.code == 0, ended.out

    def _action(self, run: Run, uses: str, options: Mapping[str, str]) -> bool:
        action = uses.partition("@")[0]
        if action == "actions/checkout":
            self._checkout(options, run)
        elif action == "actions/upload-artifact":
            folder = Path(options["path"])
            files = {each.name: each.read_bytes() for each in folder.iterdir()} if folder.is_dir() else {}
            if not files:
                return options["if-no-files-found"] != "error"
            assert options["name"] not in run.artifacts or options["overwrite"] == "true"
            run.artifacts[options["name"]] = files
        elif action == "actions/download-artifact":
            if options["name"] not in run.artifacts:
                return False
            folder = Path(options["path"])
            folder.mkdir(exist_ok=True, parents=True)
            for name, content in run.artifacts[options["name"]].items():
                (folder / name).write_bytes(content)
        else:
            assert action == "actions/setup-python"
        return True

    def _checkout(self, options: Mapping[str, str], run: Run) -> None:
        work = self.workspace
        wanted = options.get("ref") or run.commit
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


def _filled(text: str, facts: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: facts[match[1]], text)


def _bare(condition: str) -> str:
    match = _EXPRESSION.fullmatch(condition)
    return condition if match is None else match[1]


def _holds(condition: str, facts: Mapping[str, str], *, failed: bool) -> bool:
    """Tell whether a condition holds; without a check of its own it also asks that nothing has failed."""
    words = condition.replace("&&", " and ").replace("||", " or ")
    words = re.sub(r"!(?!=)", " not ", words)
    words = _WORD.sub(lambda match: repr(facts[match[0]]), words)
    checks = {"success": not failed, "failure": failed, "cancelled": False, "always": True}
    known = {name: partial(bool, value) for name, value in checks.items()}
    found = bool(eval(words, {"__builtins__": {}}, known))  # noqa: S307 - of our own workflow
    return found and (not failed or any(check in condition for check in _CHECKS))
