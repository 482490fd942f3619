"""Every way in which a command can fail has its exit code and its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.cli.codes import ExitCode
from sharectl.cli.failures import explain_failure
from sharectl.cli.interrupts import Interrupted
from sharectl.cli.main import main
from sharectl.drivers.base import DriverError
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.records import Holder, LockStatus
from sharectl.state.contract import LeaseLostError, LockedError, StateCorruptError
from sharectl.workspace import validation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.console import Console


def locked_by(holder: Holder) -> LockedError:
    """Return the error of a lock that somebody else holds."""
    return LockedError("state.db", LockStatus(1, holder, "noon", "now", expired=False, reason="it lives."))


LOCKED = locked_by(Holder("ann", "nas", 7, "apply"))
LOCKED_BY_A_JOB = locked_by(Holder("runner", "build7", 7, "apply", "bob\x1b", "https://ci.example/7"))


def test_a_folder_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a checkout was made anew while a shell is in it: the system says no more than that a file is missing."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["plan"]) == ExitCode.FAILED
    said = "error[system.no-folder]: the folder that the command was started in is not there any more"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (DiagnosticError(error("usage.x", "wrong")), ExitCode.USAGE, "error[usage.x]: wrong"),
        (DiagnosticError(error("usage.x", "a"), error("other", "b")), ExitCode.FAILED, "error[other]: b"),
        (LOCKED, ExitCode.LOCKED, "the state is locked by ann@nas (process 7), running `apply` since noon\n"),
        (
            LOCKED_BY_A_JOB,
            ExitCode.LOCKED,
            "`apply` since noon, started by bob\\x1b, from CI job https://ci.example/7\n",
        ),
        (KeyboardInterrupt(), ExitCode.CANCELLED, "Cancelled."),
        (Interrupted(), ExitCode.CANCELLED, "Cancelled."),
        (LeaseLostError("gone"), ExitCode.FAILED, "error[state.lease-lost]"),
        (StateCorruptError("state.db", "damaged", "restore it"), ExitCode.FAILED, "= help: restore it"),
        (DriverError("the array says no"), ExitCode.FAILED, "error[driver.failed]: the array says no"),
        (PermissionError(13, "Permission denied", "/srv/x"), ExitCode.FAILED, "/srv/x: Permission denied"),
        (OSError("odd"), ExitCode.FAILED, "error[system.failed]: odd"),
        (ValueError("a bug"), ExitCode.FAILED, "ValueError: a bug"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_is_said_of_a_failure(
    failure: BaseException, code: ExitCode, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, as a diagnostic; nothing on standard output."""
    assert explain_failure(failure, {}) == code
    seen = capsys.readouterr()
    assert said in seen.err
    assert seen.out == ""


@pytest.mark.parametrize(
    ("failure", "code"),
    [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0), (ValueError("a bug"), 1), (DriverError("no"), 1)],
    ids=lambda value: type(value).__name__,
)
def test_whatever_happens_in_a_command_becomes_an_exit_code(
    console: Console, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int
) -> None:
    """From anywhere below the command line."""

    def fails(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(validation, "load_manifests", fails)
    ended = console("validate")
    assert ended.code == code
    assert "Traceback" not in ended.err
