"""The way to the broker: its certificate is checked, and that it is for the host that is meant, before anything is said."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from sharectl.executors.workers.broker import BrokerPlace, application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPENSSL = shutil.which("openssl") or "openssl"
GREETING = b"AMQP\0\0\x09\x01"
PATIENCE_SECONDS = 300.0


def make_certificate(folder: Path, name: str) -> None:
    """Write a certificate for `localhost`, which is its own authority, and its key."""
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([OPENSSL, *words, *names, *files], check=True, capture_output=True)


class Listener:
    """Speaks TLS, and notes what it hears first."""

    def __init__(self, folder: Path) -> None:
        """Listen, with the certificate `own` of the folder."""
        self.heard: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "own.pem", folder / "own.key")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            with plain:
                plain.settimeout(PATIENCE_SECONDS)
                try:
                    with self._context.wrap_socket(plain, server_side=True) as secret:
                        self.heard.append(secret.recv(len(GREETING)))
                except OSError:
                    self.heard.append(b"")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """Return a listener whose certificate is for `localhost`."""
    for name in ("own", "other"):
        make_certificate(tmp_path, name)
    made = Listener(tmp_path)
    yield made
    made.socket.shutdown(socket.SHUT_RDWR)
    made.socket.close()
    made.thread.join(PATIENCE_SECONDS)


def connect(place: BrokerPlace) -> None:
    """Connect, and nothing more."""
    connection = application(place).connection_for_write(heartbeat=0)
    try:
        connection.connect()
    finally:
        connection.release()


def test_a_broker_with_the_right_certificate_is_spoken_to(listener: Listener, tmp_path: Path) -> None:
    """It hears the greeting of AMQP."""
    with pytest.raises(OSError):  # noqa: PT011 - it answers nothing
        connect(BrokerPlace(f"amqps://u@localhost:{listener.port}/v", "secret", str(tmp_path / "own.pem")))
    assert listener.heard[0] == GREETING


@pytest.mark.parametrize(("host", "authority"), [("127.0.0.1", "own"), ("localhost", "other")])
def test_one_for_another_host_or_of_another_authority_hears_nothing(
    listener: Listener, tmp_path: Path, host: str, authority: str
) -> None:
    """Not even who wants to speak to it."""
    place = BrokerPlace(f"amqps://u@{host}:{listener.port}/v", "secret", str(tmp_path / f"{authority}.pem"))
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(place)
    assert GREETING not in listener.heard
