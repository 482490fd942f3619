"""The agent answers what it is asked, side by side, finishes what it began, and keeps its streams to itself."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.linux import shipping
from sharectl.drivers.linux.agent import main as agent_main
from sharectl.drivers.linux.agent.wire.framing import READY, encode, read_frame
from sharectl.drivers.linux.agent.wire.serve import HELLO, PROTOCOL, serve
from sharectl.drivers.linux.settings import read_settings
from sharectl.drivers.linux.shipping import _GROUND, agent_archive, bootstrap, make_archive
from sharectl.model.backends import BackendSpec
from tests.drivers.linux.agents import SECONDS, fake_archive, wait_for
from tests.drivers.linux.fake_operations import open_backend
from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = (sys.executable, "-I", "-S", "-c")


def hello(width: int = 8, protocol: int = PROTOCOL, **settings: object) -> dict[str, Any]:
    """Return the first request."""
    return {
        "id": 1,
        "method": HELLO,
        "params": {"protocol": protocol, "width": width, "settings": settings},
    }


def request(number: int, method: str, **params: object) -> dict[str, Any]:
    """Return a request."""
    return {"id": number, "method": method, "params": params}


class Wire:
    """An agent in a thread of the test, and both ends of its streams."""

    def __init__(self) -> None:
        """Start serving."""
        requests, self._sending = os.pipe()
        receiving, answers = os.pipe()
        self.receiving = os.fdopen(receiving, "rb")
        streams = os.fdopen(requests, "rb"), os.fdopen(answers, "wb", 0)

        def work() -> None:
            with streams[0], streams[1]:
                serve(*streams, open_backend)

        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert self.receiving.read(len(READY)) == READY

    def send(self, *messages: dict[str, Any]) -> None:
        """Send requests."""
        self.send_bytes(b"".join(encode(message) for message in messages))

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        os.write(self._sending, data)

    def answer(self) -> dict[str, Any] | None:
        """Return the next answer, None after the last."""
        return read_frame(self.receiving)

    def hang_up(self) -> None:
        """End the requests."""
        if self._sending >= 0:
            os.close(self._sending)
            self._sending = -1

    def has_heard_the_end(self) -> bool:
        """Tell whether the agent has read the end of the requests, and waits for those that run."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        names = set()
        while frame is not None:
            names.add(frame.f_code.co_name)
            frame = frame.f_back
        return {"shutdown", "join"} <= names

    def ends(self) -> bool:
        """Wait for the agent to end."""
        self.thread.join(SECONDS)
        return not self.thread.is_alive()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Give an agent that ends with the test."""
    need()
    wire = Wire()
    yield wire
    wire.hang_up()
    assert wire.ends()
    wire.receiving.close()


def greeted(wire: Wire, **options: Any) -> Wire:  # noqa: ANN401 - parts of documents have many types
    """Say hello, and be greeted."""
    wire.send(hello(**options))
    answer = wire.answer()
    assert answer is not None
    assert answer["result"]["protocol"] == PROTOCOL
    return wire


def test_the_hello_tells_of_the_host(wire: Wire) -> None:
    """Versions, user, host and process."""
    wire.send(hello())
    assert wire.answer() == {
        "id": 1,
        "result": {
            "protocol": PROTOCOL,
            "python": sys.version.split()[0],
            "uid": 0,
            "host": os.uname().nodename,
            "pid": os.getpid(),
        },
    }


def test_answers_come_as_the_work_ends(wire: Wire, tmp_path: Path) -> None:
    """A quick call overtakes a slow one; the numbers tell them apart."""
    greeted(wire)
    wire.send(
        request(2, "wait", started=str(tmp_path / "started"), until=str(tmp_path / "go")),
        request(3, "echo", value="é\n"),
    )
    assert wire.answer() == {"id": 3, "result": "é\n"}
    (tmp_path / "go").touch()
    assert wire.answer() == {"id": 2, "result": "waited"}


def test_a_problem_is_answered_with_its_kind(wire: Wire) -> None:
    """And with its words."""
    greeted(wire)
    wire.send(request(2, "fail", kind="not-found", message="no share"))
    assert wire.answer() == {"id": 2, "error": {"kind": "not-found", "message": "no share"}}


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("crash", {"message": "first\nsecond"}, "RuntimeError: first second"),
        ("crash", {"message": ""}, "RuntimeError"),
        ("leave", {}, "SystemExit: 3"),
        ("unspeakable", {}, "FramingError: Object of type object is not JSON serializable"),
        ("nothing_like_it", {}, "AttributeError: 'FakeBackend' object has no attribute 'nothing_like_it'"),
    ],
)
def test_a_programming_error_is_one_line_in_the_answer(
    wire: Wire, capfd: pytest.CaptureFixture[str], method: str, params: dict[str, Any], expected: str
) -> None:
    """Its traceback goes to standard error, and the agent goes on."""
    greeted(wire)
    wire.send(request(2, method, **params))
    assert wire.answer() == {"id": 2, "error": {"kind": "refused", "message": f"the agent failed: {expected}"}}
    assert "Traceback" in capfd.readouterr().err
    wire.send(request(3, "echo", value=1))
    assert wire.answer() == {"id": 3, "result": 1}


def test_when_requests_end_what_runs_is_finished_and_nothing_else_is_begun(wire: Wire, tmp_path: Path) -> None:
    """The call that waits for a thread is left undone; the operations are closed last."""
    greeted(wire, width=1, closed=str(tmp_path / "closed"))
    wire.send(
        request(2, "wait", started=str(tmp_path / "started"), until=str(tmp_path / "go")),
        request(3, "touch", path=str(tmp_path / "touched")),
    )
    wait_for((tmp_path / "started").exists, "the first call")
    wire.hang_up()
    wait_for(wire.has_heard_the_end, "the agent to hear of the end")
    (tmp_path / "go").touch()
    assert wire.answer() == {"id": 2, "result": "waited"}
    assert wire.answer() is None
    assert wire.ends()
    assert (tmp_path / "closed").exists()
    assert not (tmp_path / "touched").exists()


def test_a_call_is_finished_though_nobody_reads_its_answer(wire: Wire, tmp_path: Path) -> None:
    """Sharectl was killed: the work is done, and found done by the next."""
    greeted(wire)
    wire.send(request(2, "wait", started=str(tmp_path / "started"), until=str(tmp_path / "go")))
    wait_for((tmp_path / "started").exists, "the call")
    wire.receiving.close()
    wire.hang_up()
    (tmp_path / "go").touch()
    assert wire.ends()
    assert (tmp_path / "go.done").exists()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n", encode({"id": 9})[:-1], b"\0\0\0\2[]"])
def test_requests_that_are_none_end_the_agent(wire: Wire, capfd: pytest.CaptureFixture[str], garbage: bytes) -> None:
    """With a word on standard error."""
    greeted(wire)
    wire.send_bytes(garbage)
    wire.hang_up()
    assert wire.answer() is None
    assert "sharectl agent: the requests cannot be read" in capfd.readouterr().err


def test_an_agent_that_is_not_greeted_ends(wire: Wire) -> None:
    """Without an answer."""
    wire.hang_up()
    assert wire.answer() is None


@pytest.mark.parametrize("first", [hello(protocol=99), request(1, "echo", value=1), {"id": 1}])
def test_another_protocol_is_refused(wire: Wire, first: dict[str, Any]) -> None:
    """The agent ends after the answer."""
    wire.send(first)
    answer = wire.answer()
    assert answer is not None
    assert answer["error"]["kind"] == "refused"
    assert "the agent speaks protocol 1 but was addressed in" in answer["error"]["message"]
    assert wire.answer() is None


def test_a_backend_that_cannot_be_opened_is_the_answer_to_the_hello(wire: Wire) -> None:
    """With the kind of its problem."""
    wire.send(hello(refusal="unavailable"))
    assert wire.answer() == {"id": 1, "error": {"kind": "unavailable", "message": "the backend cannot be opened"}}


def test_another_user_than_root_is_refused() -> None:
    """The answer says who it was and what to set."""
    need("setpriv")
    answers = io.BytesIO(_run(("setpriv", "--reuid=65534", "--clear-groups", *PYTHON), fake_archive(), hello()))
    assert answers.read(len(READY)) == READY
    answer = read_frame(answers)
    assert answer is not None
    assert answer["error"]["kind"] == "refused"
    assert "runs as the user with uid 65534 and has to be root" in answer["error"]["message"]
    assert "set host.become to sudo" in answer["error"]["message"]


def test_the_refusal_of_another_user_names_the_host(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be many."""
    monkeypatch.setattr("sharectl.drivers.linux.agent.wire.serve.os.geteuid", lambda: 1000)
    wire.send(hello())
    answer = wire.answer()
    assert answer is not None
    assert f"the agent on {os.uname().nodename} runs as the user with uid 1000" in answer["error"]["message"]


def _run(argv: tuple[str, ...], archive: bytes, *messages: dict[str, Any], **options: Any) -> bytes:  # noqa: ANN401 - parts of documents have many types
    data = archive + b"".join(encode(message) for message in messages)
    done = subprocess.run(
        (*argv, bootstrap(archive)), input=data, check=True, stdout=subprocess.PIPE, timeout=SECONDS, **options
    )
    return done.stdout


def test_what_is_printed_does_not_get_between_the_answers(tmp_path: Path) -> None:
    """Neither by the agent nor by its children, and these read nothing of the requests."""
    need()
    with (tmp_path / "stderr").open("wb") as errors:
        out = _run(PYTHON, fake_archive(), hello(), request(2, "chatter"), stderr=errors, cwd=tmp_path)
    answers = io.BytesIO(out.removeprefix(READY))
    read_frame(answers)
    # Requests ended before the call was begun, or after: in both cases what is there is whole.
    assert read_frame(answers) in ({"id": 2, "result": ""}, None)
    assert read_frame(answers) is None


def test_the_agent_depends_on_nothing_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder, mask, language and search path are its own."""
    monkeypatch.setenv("PATH", "relative:/opt/bin:/usr/bin")
    monkeypatch.setenv("LC_ALL", "de_DE")
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o077)
    try:
        agent_main.settle()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)
    assert Path.cwd() == Path("/")
    assert os.environ["LC_ALL"] == "C.UTF-8"
    assert os.environ["PATH"] == "/opt/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/bin"


def test_the_real_operations_are_opened() -> None:
    """The program of the agent serves them, from its sources as from the zip."""
    need()
    settings = read_settings(
        BackendSpec(
            "nas", "linux", {"addresses": ["10.0.0.1"], "pools": {"fast": {"type": "btrfs", "path": "/nowhere"}}}
        ),
        "/",
    ).for_agent()
    data = encode(hello(**settings))
    program = "from sharectl.drivers.linux.agent.main import main; main()"
    here = Path(__file__).resolve().parents[4]
    from_sources = subprocess.run(
        (sys.executable, "-c", program), input=data, check=True, capture_output=True, timeout=SECONDS, cwd=here
    )
    for out in (from_sources.stdout, _run(PYTHON, agent_archive(), hello(**settings))):
        answer = read_frame(io.BytesIO(out.removeprefix(READY)))
        assert answer is not None
        assert answer.get("result", {}).get("uid") == 0, answer


def test_the_zip_is_the_same_each_time_and_holds_sources_alone() -> None:
    """The agent, what it shares of the ground floor, jeepney, and empty packages around the agent."""
    agent_archive.cache_clear()
    first = agent_archive()
    agent_archive.cache_clear()
    assert agent_archive() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        names = archive.namelist()
        assert archive.read("sharectl/drivers/linux/__init__.py") == b""
    assert all(
        name.startswith(("sharectl/drivers/linux/agent/", *(f"sharectl/{shared}" for shared in _GROUND), "jeepney/"))
        or name.endswith("__init__.py")
        or name == "__main__.py"  # what a copy that stays on the host runs
        for name in names
    )
    assert all(name.endswith(".py") for name in names)
    assert not any("tests" in name for name in names)


def test_every_module_of_the_agent_stands_on_the_standard_library_and_jeepney() -> None:
    """Each is imported from the zip alone."""
    program = (
        "import importlib,json,os,pkgutil,sys;"
        "sys.path.insert(0,sys.argv[1]);"
        "import sharectl.drivers.linux.agent as agent,jeepney;"
        "names=[found.name for found in pkgutil.walk_packages(agent.__path__,agent.__name__+'.')];"
        "[importlib.import_module(name) for name in names];"
        "print(json.dumps([names,jeepney.__file__]))"
    )
    file = os.memfd_create("archive", 0)
    try:
        os.write(file, agent_archive())
        out = subprocess.run(
            (*PYTHON, program, f"/proc/self/fd/{file}"),
            check=True,
            capture_output=True,
            pass_fds=(file,),
            timeout=SECONDS,
        ).stdout
    finally:
        os.close(file)
    names, jeepney = json.loads(out)
    parts = {name.removeprefix("sharectl.drivers.linux.agent.") for name in names}
    assert {"main", "contract", "wire.serve", "wire.framing", "host.daemons", "volumes.btrfs.ioctls"} <= parts
    assert jeepney.startswith(f"/proc/self/fd/{file}/")


def test_an_old_python_is_told_from_the_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything that it would not understand."""
    monkeypatch.setattr(shipping, "OLDEST_PYTHON", (99, 1))
    done = subprocess.run((*PYTHON, bootstrap(b"")), check=False, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert done.stderr == f"Python 99.1 or newer is needed, and this is {sys.version.split()[0]}\n"


def test_a_zip_that_is_cut_short_ends_the_process() -> None:
    """The connection was lost while it was sent."""
    done = subprocess.run(
        (*PYTHON, bootstrap(fake_archive())), input=b"PK", check=False, capture_output=True, timeout=SECONDS
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_the_line_that_starts_it_passes_any_shell() -> None:
    """It is one line, and holds nothing that a shell reads within single quotes."""
    assert not {"'", "\n", "!", "\\"} & set(bootstrap(b""))


def test_jeepney_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a package of this machine, not of the storage host."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    agent_archive.cache_clear()
    with pytest.raises(DriverError, match=r"jeepney.*is not installed here: pip install 'sharectl\[linux\]'"):
        agent_archive()


def test_an_archive_is_made_of_what_it_is_given() -> None:
    """By name, whatever the order."""
    assert make_archive({"b": b"2", "a": b"1"}) == make_archive({"a": b"1", "b": b"2"})
