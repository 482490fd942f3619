"""The agent on another host: reached by the real ssh and sshd, and what is said when it is not."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import BackendUnavailableError, DriverError
from sharectl.drivers.linux.launch import agent_command, ssh_command
from sharectl.drivers.linux.settings import HostSettings, SshSettings
from tests.drivers.linux.agents import SECONDS, connect, lives, wait_for
from tests.drivers.linux.ssh_server import ORIGINAL

if TYPE_CHECKING:
    from sharectl.drivers.linux.connection import AgentConnection
    from tests.drivers.linux.ssh_server import SshHost


def refusal(host: HostSettings) -> str:
    """Return what the first call says."""
    connection = connect(host)
    with pytest.raises(BackendUnavailableError) as caught:
        connection.call("facts")
    connection.close()
    return str(caught.value)


def call_in_thread(connection: AgentConnection, folder: Path, threads: ThreadPoolExecutor) -> tuple[Path, object]:
    """Make a call that waits; return the file that ends it, and its future."""
    started, go = folder / "started", folder / "go"
    future = threads.submit(connection.call, "wait", {"started": str(started), "until": str(go)})
    wait_for(lambda: started.exists() or future.done(), "the call")
    return go, future


def test_the_agent_runs_on_the_host(ssh_host: SshHost) -> None:
    """In the session of sshd, as root, with nothing of it left when it is closed."""
    connection = connect(ssh_host.settings(), {"a": 1})
    facts = connection.call("facts")
    assert "SSH_CONNECTION" in facts["environment"]
    assert facts["settings"] == {"a": 1}
    assert facts["folder"] == "/"
    assert connection.call("echo", {"value": "x" * 3_000_000}) == "x" * 3_000_000
    connection.close()
    wait_for(lambda: not lives(facts["pid"]), "the end of the agent")


def test_ssh_knows_nothing_of_the_secrets_of_the_environment(
    ssh_host: SshHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its own process, which hands its environment to a ProxyCommand and to SendEnv, nor the storage host learns a password."""
    monkeypatch.setenv("FILER_PASSWORD", "hunter2")
    seen = ssh_host.folder / "environment"
    wrapper = ssh_host.folder / "bin" / "ssh"
    lines = wrapper.read_text(encoding="ascii").splitlines()
    wrapper.write_text("\n".join((lines[0], f"env > {seen}", *lines[1:], "")), encoding="ascii")
    connection = connect(ssh_host.settings())
    assert "FILER_PASSWORD" not in connection.call("facts")["environment"]
    connection.close()
    told = dict(line.partition("=")[::2] for line in seen.read_text(encoding="utf-8").splitlines())
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "KRB5CCNAME", "XDG_RUNTIME_DIR"}
    assert set(told) <= {*allowed, "LC_ALL", "SSH_ASKPASS_REQUIRE", "PWD", "SHLVL", "_"}
    assert told["LC_ALL"] == "C"


def test_the_host_has_an_ipv6_address(ssh_host: SshHost) -> None:
    """Written as it is."""
    connection = connect(ssh_host.settings(address=ssh_host.network.server.ipv6))
    assert connection.call("echo", {"value": 1}) == 1
    connection.close()


def test_many_threads_share_one_login(ssh_host: SshHost) -> None:
    """64 at once."""
    connection = connect(ssh_host.settings(), width=64)
    with ThreadPoolExecutor(64) as threads:
        pids = set(threads.map(lambda _: connection.call("facts")["pid"], range(256)))
    assert len(pids) == 1
    assert len(ssh_host.session_pids()) == 1
    connection.close()


def test_a_shell_that_greets_breaks_nothing(ssh_host: SshHost) -> None:
    """Neither on standard output nor on standard error."""
    ssh_host.allow(line=f"echo Welcome to the storage; echo be careful >&2; exec sh -c {ORIGINAL}")
    connection = connect(ssh_host.settings())
    assert connection.call("echo", {"value": 1}) == 1
    connection.close()


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_command_passes_the_shell_of_the_host(ssh_host: SshHost, shell: str) -> None:
    """Whichever it is."""
    ssh_host.allow(line=f"exec {shell} -c {ORIGINAL}")
    connection = connect(ssh_host.settings())
    assert connection.call("echo", {"value": "a b'c\"d$e"}) == "a b'c\"d$e"
    connection.close()


def test_an_agent_that_is_killed_is_started_anew(ssh_host: SshHost, tmp_path: Path) -> None:
    """The call under way is told, the next one works."""
    connection = connect(ssh_host.settings())
    pid = connection.call("facts")["pid"]
    with ThreadPoolExecutor(1) as threads:
        _, future = call_in_thread(connection, tmp_path, threads)
        os.kill(pid, signal.SIGKILL)
        error = future.exception(SECONDS)
    assert isinstance(error, BackendUnavailableError)
    assert f"the agent on {ssh_host.address} (by SSH) is gone: it ended with exit code" in str(error)
    assert connection.call("facts")["pid"] != pid
    connection.close()


def test_a_login_that_is_killed_is_made_anew_and_the_agent_finishes(ssh_host: SshHost, tmp_path: Path) -> None:
    """What the agent was doing is done all the same."""
    connection = connect(ssh_host.settings())
    pid = connection.call("facts")["pid"]
    with ThreadPoolExecutor(1) as threads:
        go, future = call_in_thread(connection, tmp_path, threads)
        for session in ssh_host.session_pids():
            os.kill(session, signal.SIGKILL)
        error = future.exception(SECONDS)
    assert isinstance(error, BackendUnavailableError)
    assert "is gone: " in str(error)
    go.touch()
    wait_for(Path(f"{go}.done").exists, "the end of the work")
    wait_for(lambda: not lives(pid), "the end of the agent")
    assert connection.call("facts")["pid"] != pid
    connection.close()


def test_a_host_that_was_down_is_found_when_it_is_back(ssh_host: SshHost) -> None:
    """By the next call."""
    connection = connect(ssh_host.settings())
    connection.call("facts")
    ssh_host.stop()
    wait_for(lambda: _is_unavailable(connection), "the loss")
    with pytest.raises(BackendUnavailableError, match=r"cannot be started: .*Connection refused; start sshd there"):
        connection.call("facts")
    ssh_host.start()
    assert connection.call("echo", {"value": 1}) == 1
    connection.close()


def _is_unavailable(connection: AgentConnection) -> bool:
    try:
        connection.call("echo", {"value": 1})
    except BackendUnavailableError:
        return True
    return False


def test_a_key_that_is_refused(ssh_host: SshHost) -> None:
    """What was said, and where to look."""
    ssh_host.make_key("other_key")
    text = refusal(ssh_host.settings(identity_file=str(ssh_host.folder / "other_key")))
    assert "root@10.77.1.10: Permission denied (publickey); let the key log in there" in text


def test_a_key_that_is_not_there(ssh_host: SshHost) -> None:
    """Ssh asks nobody for a password."""
    text = refusal(ssh_host.settings(identity_file=str(ssh_host.folder / "no_key")))
    assert "Permission denied (publickey); let the key log in there" in text


def test_a_host_whose_key_is_not_known(ssh_host: SshHost) -> None:
    """Nothing is added to what is known."""
    Path(ssh_host.known_hosts_file).write_text("")
    text = refusal(ssh_host.settings())
    assert "Host key verification failed; check the host's key with its administrator" in text
    assert Path(ssh_host.known_hosts_file).read_text() == ""


def test_a_host_with_another_key_than_is_known(ssh_host: SshHost) -> None:
    """It may be another host."""
    ssh_host.make_key("impostor_key")
    ssh_host.trust("impostor_key")
    assert "Host key verification failed; check the host's key" in refusal(ssh_host.settings())


def test_a_port_that_nobody_listens_on(ssh_host: SshHost) -> None:
    """At once."""
    text = refusal(ssh_host.settings(port=2223))
    assert (
        "ssh: connect to host 10.77.1.10 port 2223: Connection refused; start sshd there, or correct host.ssh.port"
        in text
    )


def test_a_host_that_does_not_answer(ssh_host: SshHost) -> None:
    """After the time that the settings give it, and not after the two minutes of the kernel."""
    neighbour = ("neigh", "add", "10.77.1.250", "lladdr", "02:00:00:00:00:fa", "dev", "eth0")  # else nobody is found
    assert ssh_host.network.client.run("ip", *neighbour).returncode == 0
    text = refusal(ssh_host.settings(address="10.77.1.250", connect_timeout_seconds=1))
    assert "Connection timed out; see that the host is up" in text


def test_a_host_name_that_is_unknown(ssh_host: SshHost) -> None:
    """No name service in the namespace knows it."""
    text = refusal(ssh_host.settings(address="nas.invalid"))
    assert "Could not resolve hostname nas.invalid" in text
    assert text.endswith("; correct host.ssh.address, or the name service")


def test_python_that_is_missing_there(ssh_host: SshHost) -> None:
    """The shell says so."""
    text = refusal(ssh_host.settings(python="python3.99"))
    assert "python3.99: not found; install Python 3.11 or newer there, or name it in host.python" in text


def test_sudo_that_wants_a_password(ssh_host: SshHost) -> None:
    """And sudo that does not."""
    sudo = ssh_host.folder / "there" / "sudo"
    sudo.parent.mkdir()
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    sudo.chmod(0o755)
    ssh_host.allow(line=f"PATH={sudo.parent}:$PATH; exec sh -c {ORIGINAL}")
    text = refusal(ssh_host.settings(become="sudo"))
    assert "sudo: a password is required; allow the user there to run Python without a password" in text
    sudo.write_text('#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 1\nshift 2\nexec "$@"\n')
    connection = connect(ssh_host.settings(become="sudo"))
    assert connection.call("echo", {"value": 1}) == 1
    connection.close()


def test_sudo_that_is_missing_there(ssh_host: SshHost) -> None:
    """The shell says so."""
    ssh_host.allow(line=f"PATH={ssh_host.folder}; eval {ORIGINAL}")
    assert "sudo: not found; install sudo there, or log in as root" in refusal(ssh_host.settings(become="sudo"))


def test_another_user_than_root_is_refused_by_the_agent(ssh_host: SshHost) -> None:
    """For good: asking again does not help."""
    python = ssh_host.folder / "python3"
    python.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --clear-groups {sys.executable} "$@"\n')
    python.chmod(0o755)
    connection = connect(ssh_host.settings(python=str(python)))
    with pytest.raises(DriverError, match="runs as the user with uid 65534 and has to be root") as caught:
        connection.call("facts")
    assert type(caught.value) is DriverError
    connection.close()


def test_a_call_is_waited_for_no_longer_than_it_says_though_the_network_is_gone(ssh_host: SshHost) -> None:
    """Ssh itself notices later."""
    connection = connect(ssh_host.settings())
    connection.call("facts")
    ssh_host.network.server.run("ip", "link", "set", "eth0", "down")
    try:
        with pytest.raises(BackendUnavailableError, match="did not answer echo within"):
            connection.call("echo", {"value": 1}, timeout_seconds=0.3)
    finally:
        server = ssh_host.network.server
        server.run("ip", "link", "set", "eth0", "up")
        server.run("ip", "addr", "add", f"{server.ipv6}/64", "dev", "eth0", "nodad")  # it went with the link
    connection.close()


def test_a_path_with_signs_of_the_configuration_is_a_path(ssh_host: SshHost) -> None:
    """Spaces, and the percent sign with which tokens begin."""
    folder = ssh_host.folder / "100%h of it"
    folder.mkdir()
    for name in ("client_key", "known_hosts"):
        (folder / name).write_bytes((ssh_host.folder / name).read_bytes())
        (folder / name).chmod(0o600)
    settings = ssh_host.settings(identity_file=str(folder / "client_key"), known_hosts_file=str(folder / "known_hosts"))
    connection = connect(settings)
    assert connection.call("echo", {"value": 1}) == 1
    connection.close()


def test_what_is_not_set_is_left_to_the_configuration_of_ssh() -> None:
    """Port, user and keys; never whether the host's key is checked, or whether a password is asked for."""
    command = ssh_command(SshSettings("nas"))
    options = {word.partition("=")[0]: word.partition("=")[2] for word in command if "=" in word}
    assert not {"Port", "User", "IdentityFile", "UserKnownHostsFile", "ProxyJump"} & set(options)
    assert options["StrictHostKeyChecking"] == options["BatchMode"] == "yes"
    assert options["ControlPath"] == "none"
    assert command[:2] == ["ssh", "-T"]
    assert command[-2:] == ["--", "nas"]


def test_the_command_is_one_word_for_the_shell_of_the_host() -> None:
    """Which takes it apart as it was put together."""
    code = "print('$HOME `id` \"x\"')"
    *_, line = agent_command(HostSettings(SshSettings("nas"), "/opt/python/bin/python3", "sudo"), code)
    assert shlex.split(line) == [
        *("exec", "sudo", "-n", "--", "/opt/python/bin/python3", "-I", "-S", "-X", "utf8", "-c", code)
    ]
    assert (
        subprocess.run(
            ["/bin/sh", "-c", f'set -- {line}; printf %s "$8"'], check=True, capture_output=True, text=True
        ).stdout
        == "-X"
    )


def test_python_is_that_of_sharectl_on_this_machine_and_python3_elsewhere() -> None:
    """Unless the settings name one."""
    assert agent_command(HostSettings(), "0")[0] == sys.executable
    assert agent_command(HostSettings(SshSettings("nas")), "0")[-1].startswith("exec python3 ")
    assert agent_command(HostSettings(python="python3.13"), "0")[0] == "python3.13"
