"""Drivers that misbehave, as whoever runs a command meets them: the others go on, and the exit code says how the command went."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import sharectl.workspace.backends
import sharectl.workspace.survey
from sharectl.drivers.base import BackendUnavailableError, DriverError
from sharectl.drivers.simulated.capabilities import Measures, Snapshots
from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.drivers.simulated.factory import FACTORY
from sharectl.model.observed import ScheduledSnapshots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.console import Console

BACKENDS = "".join(
    f"---\napiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: {name}}}\n"
    f"spec: {{driver: simulated, config: {{stateFile: {name}.db}}}}\n"
    for name in ("one", "two")
)
SHARES = "".join(
    f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: s{number}}}\nspec: {{size: 1GiB, protocol: NFS}}\n"
    for number in range(4)
)


def raiser(error: BaseException) -> Callable[..., Any]:
    """Return a method that raises this."""

    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


@pytest.mark.parametrize(
    "error", [DriverError("the line is dead"), OSError("gone"), SystemExit(7), KeyboardInterrupt()]
)
def test_a_driver_that_cannot_be_closed_leaves_the_exit_code(
    console: Console, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """It is a warning, everything is done and recorded, and every other driver is closed."""
    console.write("all.yaml", BACKENDS + SHARES)
    plain = SimulatedDriver.close
    closed: list[str] = []

    def close(driver: SimulatedDriver) -> None:
        plain(driver)
        closed.append(driver.settings.state_file)
        if driver.settings.state_file.endswith("one.db"):
            raise error

    monkeypatch.setattr(SimulatedDriver, "close", close)
    ended = console("apply", "--yes")
    assert ended.code == 0, ended.err
    assert "warning[backend.not-closed]" in ended.err
    assert "the driver of backend one could not be closed" in ended.err
    assert "DriverError" not in ended.err
    assert len(closed) == 2
    assert console("plan", "--detailed-exitcode").code == 0


def test_a_driver_that_hangs_while_it_is_closed_holds_nobody(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and then left behind."""
    console.write("all.yaml", BACKENDS + SHARES)
    going_on = threading.Event()
    monkeypatch.setattr(sharectl.workspace.backends, "CLOSE_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(SimulatedDriver, "close", lambda _: going_on.wait(300))
    ended = console("apply", "--yes")
    going_on.set()
    assert ended.code == 0
    assert "could not be closed: it was not done within 0.3 s" in ended.err


def test_one_slow_backend_makes_no_other_unknown(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that hangs while it is opened is unknown after its `listTimeout`; the healthy one is read as ever."""
    console.write("all.yaml", BACKENDS + SHARES)
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", BACKENDS.replace("spec: {driver", "spec: {listTimeout: 1s, driver", 1) + SHARES)
    going_on = threading.Event()
    plain = type(FACTORY).open

    def opens(factory: Any, backend: Any, environment: Any) -> Any:  # noqa: ANN401 - as the original
        if backend.name == "one":
            going_on.wait(300)
        return plain(factory, backend, environment)

    monkeypatch.setattr(type(FACTORY), "open", opens)
    ended = console("refresh")
    going_on.set()
    assert "backend/one" in ended.out + ended.err
    assert "backend/two" not in ended.out + ended.err
    assert "no answer within 1 s" in ended.out + ended.err


@pytest.mark.parametrize("method", ["report", "pools", "list_shares", "list_snapshots"])
@pytest.mark.parametrize("error", [SystemExit(7), KeyboardInterrupt(), RuntimeError("boom"), MemoryError()])
def test_a_driver_that_raises_anything_while_it_is_asked_makes_its_backend_unknown(
    console: Console, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException
) -> None:
    """The command ends in order, and says whose fault it is."""
    console.write("all.yaml", BACKENDS + SHARES)
    assert console("apply", "--yes").code == 0
    monkeypatch.setattr(Snapshots if method == "list_snapshots" else SimulatedDriver, method, raiser(error))
    ended = console("plan")
    assert "Traceback" not in ended.err
    assert "internal" not in ended.err
    if method != "pools":
        assert ended.code == 1
        assert "the driver failed in a way that it should not" in ended.out + ended.err


class MuteError(Exception):
    """One that cannot be written down."""

    def __str__(self) -> str:
        """Fail."""
        return str(self.args[0])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DriverError("cannot read caf\udce9"), "cannot read caf\\udce9"),
        (BackendUnavailableError("cannot read caf\udce9"), "cannot read caf\\udce9"),
        (RuntimeError("cannot read caf\udce9"), "RuntimeError: cannot read caf\\udce9"),
        (MuteError(), "the driver failed in a way that it should not: MuteError"),
    ],
)
@pytest.mark.parametrize("output", ["text", "json"])
def test_an_error_that_cannot_be_written_down_makes_its_backend_unknown(
    console: Console, monkeypatch: pytest.MonkeyPatch, error: BaseException, text: str, output: str
) -> None:
    """It may name a file whose name cannot be decoded, or have no text at all; the command says what it can of it."""
    console.write("all.yaml", BACKENDS + SHARES)
    assert console("apply", "--yes").code == 0
    monkeypatch.setattr(SimulatedDriver, "list_shares", raiser(error))
    ended = console("plan", "-o", output)
    assert ended.code == 1
    assert "internal" not in ended.err
    assert text in " ".join((ended.out + ended.err).replace("\\\\", "\\").split())


@pytest.mark.parametrize("answer", [None, 7, [None], ["share"], [(1, 2, 3)], {}])
@pytest.mark.parametrize("method", ["list_shares", "list_snapshots", "report"])
def test_a_driver_that_answers_nonsense_makes_its_backend_unknown(
    console: Console, monkeypatch: pytest.MonkeyPatch, method: str, answer: object
) -> None:
    """Never "gone", never an internal error."""
    console.write("all.yaml", BACKENDS + SHARES)
    assert console("apply", "--yes").code == 0
    monkeypatch.setattr(Snapshots if method == "list_snapshots" else SimulatedDriver, method, lambda *_: answer)
    ended = console("plan")
    assert ended.code == 1
    assert "internal" not in ended.err
    assert "to create" not in ended.out


def test_a_number_that_is_none_is_told_as_the_mistake_of_its_driver(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that holds it could not be read again: none is written. `show` says the same, and what the state knows."""
    console.write("all.yaml", BACKENDS + SHARES)
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", BACKENDS)  # a plan says what is lost with each share, and how much of it is used
    plain = SimulatedDriver.list_shares
    saved = console.root / "plan.json"
    for field, number in (
        ("used_bytes", 1.5),
        ("used_bytes", True),
        ("used_bytes", -1),
        ("used_bytes", 1 << 63),
        ("size_bytes", 2.0**30),
        ("scheduled_snapshots", ScheduledSnapshots(2.0)),  # type: ignore[arg-type] - that is the attack
    ):

        def listed(driver: SimulatedDriver, *ids: Any, field: str = field, number: object = number) -> list[Any]:  # noqa: ANN401 - as the original
            return [share._replace(**{field: number}) for share in plain(driver, *ids)]

        with monkeypatch.context() as patched:
            patched.setattr(SimulatedDriver, "list_shares", listed)
            ended = console("plan", "--allow-deletions=9", "--out", str(saved))
            shown = console("show", "share/s0")
        said = f"its answer to list_shares is not what the contract says: {field} of 's0' is {number!r}"
        assert ended.code == 1, ended.out
        assert f"in a way that it should not: {said}" in " ".join((ended.out + ended.err).split())
        assert said in " ".join(shown.err.split())
        assert (shown.code, "1GiB" in shown.out) == (1, True)
    assert not saved.exists()
    monkeypatch.setattr(Measures, "used_bytes", lambda *_: 0.5)
    assert "its answer to used_bytes is not what the contract says: 0.5" in " ".join(
        console("show", "share/s0").err.split()
    )
