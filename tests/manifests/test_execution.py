"""Who makes the calls: every setting is read, and what cannot work is told at its place, before anything is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.manifests.project import ProjectError, find_project
from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.settings import BrokerSettings, ExecutionSettings
from sharectl.workspace.repository import project_at

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: sharectl/v1\nkind: Project\nmetadata: {name: team}\nspec:\n"
SHARED = HEAD + "  state: {url: 'postgresql://u@db.example/d'}\n"
BROKER = "broker: {url: 'amqps://u@mq.example/v'}"


def write(folder: Path, text: str) -> None:
    """Write the project file."""
    (folder / "sharectl.yaml").write_text(text)


def test_by_default_this_process_makes_all_calls(tmp_path: Path) -> None:
    """No worker is needed, nor a broker."""
    write(tmp_path, HEAD + "  safety: {}\n")
    assert find_project(tmp_path).execution == ExecutionSettings("local", None, 90.0, frozenset())


def test_every_setting_is_read(tmp_path: Path) -> None:
    """Paths are absolute; the second time from the cache, with the same result."""
    (tmp_path / ".sharectl").mkdir()
    text = (
        SHARED
        + "  execution:\n    executor: celery\n    lease: 2m\n    backends: {a: remote, b: local}\n"
        + "    broker: {url: 'amqps://u@mq.example:5671/v', passwordFrom: {file: secrets/mq}, caFile: ca.pem}\n"
    )
    write(tmp_path, text)
    broker = BrokerSettings(
        "amqps://u@mq.example:5671/v", ("file", str(tmp_path / "secrets/mq")), str(tmp_path / "ca.pem")
    )
    for _ in range(2):
        assert find_project(tmp_path).execution == ExecutionSettings("celery", broker, 120.0, frozenset({"a"}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SHARED + "  execution: {executor: celery}\n", "the executor celery has no broker"),
        (SHARED + "  execution: {backends: {a: remote}}\n", "backend a is remote, and the executor is local"),
        (HEAD + "  execution: {executor: queue}\n", "the executor queue needs a state in PostgreSQL"),
        (SHARED + "  execution: {executor: queue, lease: 1s}\n", "a lease of 1s is too short"),
        (SHARED + "  execution: {executor: queue, lease: 25h}\n", "a lease of 25h is too long"),
        (
            SHARED + "  execution: {executor: celery, broker: {url: 'amqp://u@mq.example/v'}}\n",
            "the way to the broker is not encrypted",
        ),
        (SHARED + "  execution: {executor: threads}\n", "threads"),
        (SHARED + "  execution: {executor: queue, backends: {a: yes}}\n", "backends"),
        (SHARED + f"  execution: {{executor: celery, {BROKER[:-1]}, passwordFrom: hunter2}}}}\n", "passwordFrom"),
    ],
)
def test_what_cannot_work_is_told_at_its_place(tmp_path: Path, text: str, words: str) -> None:
    """With the line of the setting."""
    write(tmp_path, text)
    with pytest.raises(DiagnosticError) as caught:
        find_project(tmp_path)
    (found,) = caught.value.diagnostics
    assert words in found.summary
    assert found.remedy
    assert found.source is not None
    assert found.source.line == text[: text.index("execution")].count("\n") + 1
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("url", ["amqps://u:hunter2@mq.example/v", "redis://mq.example", "amqps://u@/v"])
def test_a_url_that_is_none_of_a_broker_is_not_repeated(tmp_path: Path, url: str) -> None:
    """It may hold a password."""
    write(tmp_path, SHARED + f"  execution: {{executor: celery, broker: {{url: '{url}'}}}}\n")
    with pytest.raises(DiagnosticError) as caught:
        find_project(tmp_path)
    shown = str([(found.summary, found.detail, found.remedy, found.source) for found in caught.value.diagnostics])
    assert "write amqps://USER@HOST/VHOST, without a password" in shown
    assert "hunter2" not in shown


def test_the_state_may_be_named_elsewhere(tmp_path: Path) -> None:
    """By SHARECTL_STATE; the file alone does not say that workers cannot reach it."""
    write(tmp_path, HEAD + "  execution: {executor: queue, backends: {a: remote}}\n")
    project = project_at(tmp_path, {"SHARECTL_STATE": "postgresql://u@db.example/d?name=n"})
    assert (project.execution.executor, project.execution.remote) == ("queue", {"a"})
    with pytest.raises(ProjectError, match="needs a state in PostgreSQL") as caught:
        project_at(tmp_path, {})
    assert caught.value.project is not None
    assert caught.value.project.execution == ExecutionSettings()


def test_a_file_that_is_named_elsewhere_is_out_of_the_reach_of_workers(tmp_path: Path) -> None:
    """Told at once, with the place of the executor and the file that SHARECTL_STATE names; beside other mistakes, too."""
    write(tmp_path, SHARED + "  execution: {executor: queue, backends: {a: remote}}\n")
    elsewhere = {"SHARECTL_STATE": str(tmp_path / "state.db")}
    with pytest.raises(ProjectError) as caught:
        project_at(tmp_path, elsewhere)
    (found,) = caught.value.diagnostics
    assert found.summary == (
        f"the executor queue needs a state in PostgreSQL, and SHARECTL_STATE names a file: {tmp_path}/state.db"
    )
    assert found.source is not None
    assert (found.source.path, found.source.line, found.source.column) == ("sharectl.yaml", 6, 25)
    assert caught.value.project is not None
    assert caught.value.project.state_path == tmp_path / "state.db"
    write(tmp_path, SHARED + "  execution: {executor: queue, backends: {a: remote}}\n  safty: {}\n")
    with pytest.raises(ProjectError) as caught:
        project_at(tmp_path, elsewhere)
    assert len(caught.value.diagnostics) == 2


def test_another_executor_can_be_chosen_for_a_run(tmp_path: Path) -> None:
    """With `local`, no backend is remote any more, and the state may be a file; the rest stays as it is written."""
    write(tmp_path, f"{SHARED}  execution: {{executor: celery, lease: 2m, {BROKER}, backends: {{a: remote}}}}\n")
    assert project_at(tmp_path, {}, "queue").execution.executor == "queue"
    assert project_at(tmp_path, {}, "queue").execution.remote == {"a"}
    assert project_at(tmp_path, {}, "celery").execution == project_at(tmp_path, {}).execution
    for environ in ({}, {"SHARECTL_STATE": str(tmp_path / "state.db")}):
        local = project_at(tmp_path, environ, "local").execution
        assert (local.executor, local.remote, local.lease_seconds) == ("local", frozenset(), 120.0)


@pytest.mark.parametrize(
    ("text", "executor", "words", "place"),
    [
        (SHARED + "  execution: {executor: queue, backends: {a: remote}}\n", "celery", "has no broker", (6, 14)),
        (SHARED + "  execution: {lease: 2m}\n", "queue", "no backend is remote", (6, 14)),
        (SHARED, "queue", "no backend is remote", None),
        (HEAD + "  safety: {}\n", "queue", "needs a state in PostgreSQL", None),
        ("", "celery", "needs a state in PostgreSQL", None),
    ],
)
def test_an_executor_that_does_not_go_with_the_project_is_refused(
    tmp_path: Path, text: str, executor: str, words: str, place: tuple[int, int] | None
) -> None:
    """Before anything is asked, with the way out, and the place where there is one."""
    if text:
        write(tmp_path, text)
    with pytest.raises(ProjectError, match=words) as caught:
        project_at(tmp_path, {}, executor)
    (found,) = caught.value.diagnostics
    assert found.remedy
    assert place is None or (found.source is not None and (found.source.line, found.source.column) == place)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5672", "[::1]:5672"])
def test_on_this_machine_nothing_has_to_be_encrypted(tmp_path: Path, host: str) -> None:
    """The password leaves it by no network."""
    write(tmp_path, SHARED + f"  execution: {{executor: celery, broker: {{url: 'amqp://u@{host}/v'}}}}\n")
    assert find_project(tmp_path).execution.executor == "celery"
