"""The store keeps every promise of the contract through PgBouncer in transaction mode, which gives each transaction another session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.state.postgresql.store import open_url
from sharectl.state.testing import StateStoreConformance
from tests import servers
from tests.postgresql import USER, as_its_user, new_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.state.contract import StateStore
    from tests.postgresql import Server

CONFIGURATION = """
[databases]
* = host={server} port=5432 user=sharectl
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = 20
server_reset_query_always = 1
server_reset_query = DISCARD ALL
logfile = {folder}/log
pidfile = {folder}/pid
"""


@pytest.fixture(scope="module")
def pgbouncer(postgresql: Server) -> Iterator[Path]:
    """Yield the folder of the socket of a PgBouncer before the shared server."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    servers.require(program, "PgBouncer (apt-get install pgbouncer)")
    assert program is not None
    folder = Path(tempfile.mkdtemp(prefix="sharectl-pgb-"))
    (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(server=postgresql.folder, folder=folder))
    if not os.geteuid():
        shutil.chown(folder, "postgres")
    process = subprocess.Popen(
        [*as_its_user(), program, "-q", str(folder / "pgbouncer.ini")],
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(folder / ".s.PGSQL.5432")
        yield folder
    finally:
        process.terminate()
        process.wait(300)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(path: Path) -> None:
    pause = threading.Event()
    for _ in range(600):
        with socket.socket(socket.AF_UNIX) as found:
            if found.connect_ex(str(path)) == 0:
                return
        pause.wait(0.05)
    pytest.fail("PgBouncer does not listen")


class TestThroughPgbouncer(StateStoreConformance):
    """The conformance suite through it."""

    @pytest.fixture
    def make_store(self, pgbouncer: Path) -> Callable[[], StateStore]:
        """Open the same schema again."""
        url = f"postgresql://{USER}@/postgres?host={pgbouncer}&name={new_name()}"
        return lambda: open_url(url, create=True)
