"""Who the server is and who asks it is checked, and what stands in the way is said without secrets."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from sharectl.model.access import AccessRule
from sharectl.model.records import PutResource, PutRules, RuleRecord
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.contract import StateError, StateRefusedError, StateUnavailableError
from sharectl.state.postgresql import connections
from sharectl.state.postgresql.connections import Connections
from sharectl.state.postgresql.reader import fetch
from sharectl.state.postgresql.store import open_url
from sharectl.state.testing.samples import ALICE, make_record, whole_view
from tests.postgresql import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

OPENSSL = shutil.which("openssl") or "openssl"
PASSWORD = "correct horse"  # noqa: S105 - of a server that lives as long as these tests


def make_authority(folder: Path, name: str) -> Path:
    """Make an authority and, signed by it, a certificate for `localhost`; return the folder of `ca.pem`, `server.pem` and `server.key`."""
    place = folder / name
    place.mkdir()
    new = [OPENSSL, "req", "-newkey", "rsa:2048", "-nodes", "-sha256"]
    subprocess.run(
        [*new, "-x509", "-days", "2", "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem"],
        cwd=place,
        check=True,
        capture_output=True,
    )
    subprocess.run(
        [
            *new,
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ],
        cwd=place,
        check=True,
        capture_output=True,
    )
    subprocess.run(
        [
            OPENSSL,
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-copy_extensions",
            "copy",
            "-out",
            "server.pem",
        ],
        cwd=place,
        check=True,
        capture_output=True,
    )
    return place


class Guarded:
    """A server on TCP that wants TLS and a password, and the authority that signed its certificate."""

    def __init__(self, server: Server, port: int, folder: Path) -> None:
        """Describe a server that runs."""
        self.server = server
        self.port = port
        self.folder = folder

    def url(self, host: str = "localhost", authority: str = "ours", database: str = "postgres", **more: str) -> str:
        """Return the URL of the state."""
        given = {"name": "a", "sslrootcert": str(self.folder / authority / "ca.pem"), **more}
        query = "&".join(f"{key}={quote(value)}" for key, value in given.items() if value)
        return f"postgresql://sharectl@{host}:{self.port}/{database}?{query}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Yield the server."""
    folder = tmp_path_factory.mktemp("tls")
    ours = make_authority(folder, "ours")
    make_authority(folder, "theirs")
    server = Server.create("ssl = on\nfsync = off")
    try:
        for name in ("server.key", "server.pem"):
            target = server.data / name.replace("pem", "crt")
            target.write_bytes((ours / name).read_bytes())
            target.chmod(0o600)
            server.give(target)
        server.start_on_tcp()
        server.sql(f"ALTER ROLE sharectl PASSWORD '{PASSWORD}'")
        hba = server.data / "pg_hba.conf"
        hba.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        server.run("pg_ctl", "-D", str(server.data), "reload")
        (folder / "password").write_text(PASSWORD + "\n")
        (folder / "wrong").write_text("battery staple\n")
        guarded = Guarded(server, server.port, folder)
        with closing(open_url(guarded.url(passwordFile=f"{folder}/password"), create=True)):
            yield guarded
    finally:
        server.remove()


def test_a_password_is_read_where_the_url_says(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file, from the environment, or by libpq from its password file; over a connection that is encrypted."""
    monkeypatch.setenv("SHARECTL_TEST_PASSWORD", PASSWORD)
    passfile = guarded.folder / "pgpass"
    passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
    passfile.chmod(0o600)
    ways = (
        {"passwordFile": f"{guarded.folder}/password"},
        {"passwordEnv": "SHARECTL_TEST_PASSWORD"},
        {"passfile": str(passfile)},
    )
    for way in ways:
        with closing(open_url(guarded.url(**way), create=False)) as store:
            assert whole_view(store).lineage
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    opened = Connections(parse_postgresql_url(guarded.url()))
    with closing(opened), opened.lent() as connection:
        assert fetch(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"passwordFile": "{folder}/wrong"}, "refuses the password"),
        ({"passwordFile": "{folder}/nowhere"}, "cannot be read"),
        ({"passwordEnv": "SHARECTL_TEST_NOWHERE"}, "SHARECTL_TEST_NOWHERE"),
        ({"passfile": "/dev/null"}, "wants a password"),
        ({"passwordFile": "{folder}/password", "authority": "theirs"}, "not of the authority"),
        ({"passwordFile": "{folder}/password", "host": "127.0.0.1"}, "for another host"),
        ({"passwordFile": "{folder}/password", "sslrootcert": "{folder}/none.pem"}, "cannot be checked"),
        ({"passwordFile": "{folder}/password", "sslmode": "disable"}, "refuses the login"),
        ({"passwordFile": "{folder}/password", "database": "nowhere"}, "no such database"),
    ],
)
def test_whoever_is_not_what_the_url_says_is_not_spoken_to(
    guarded: Guarded, changes: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason says which of both it is, and holds no password."""
    monkeypatch.delenv("PGPASSFILE", raising=False)
    url = guarded.url(**{name: value.format(folder=guarded.folder) for name, value in changes.items()})
    with pytest.raises(StateUnavailableError, match=words) as refused:
        open_url(url, create=False)
    told = f"{refused.value} {refused.value.remedy}"
    assert refused.value.remedy
    assert PASSWORD not in told
    assert "battery" not in told


def test_a_server_without_tls_is_refused(tmp_path: Path) -> None:
    """What answers in plain text may be anybody."""
    server = Server.create("fsync = off")
    try:
        server.start_on_tcp()
        with pytest.raises(StateUnavailableError, match="offers no TLS"):
            open_url(
                f"postgresql://sharectl@localhost:{server.port}/postgres?name=a&sslrootcert={make_authority(tmp_path, 'x')}/ca.pem",
                create=False,
            )
    finally:
        server.remove()


def test_the_environment_leads_to_no_other_server(postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose host nobody would check; and it changes nothing in the session."""
    for name, value in {
        "PGHOSTADDR": "192.0.2.1",
        "PGOPTIONS": "-c statement_timeout=1",
        "PGSSLMODE": "disable",
    }.items():
        monkeypatch.setenv(name, value)
    opened = Connections(parse_postgresql_url(postgresql.url()))
    with closing(opened), opened.lent() as connection:
        assert fetch(connection, "SELECT current_setting('statement_timeout')") == [("0",)]
        assert fetch(connection, "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()") == [
            ("sharectl",)
        ]


def test_a_role_that_may_make_no_schema_is_told_what_to_ask_for(postgresql: Server) -> None:
    """With that done, it goes on from there."""
    name = parse_postgresql_url(postgresql.url()).name
    role = name.replace("-", "_")
    postgresql.sql(f"CREATE ROLE {role} LOGIN")
    url = postgresql.url(name).replace("sharectl@", f"{role}@")
    with pytest.raises(StateUnavailableError, match="may not make a schema") as refused:
        open_url(url, create=True)
    postgresql.sql(refused.value.remedy.partition(": ")[2])
    with closing(open_url(url, create=True)) as store:
        store.acquire(ALICE, duration_seconds=60)


def test_a_schema_of_something_else_is_left_alone(postgresql: Server) -> None:
    """Whether its tables have other names or one of ours."""
    url = postgresql.url()
    schema = parse_postgresql_url(url).schema
    postgresql.sql(f'CREATE SCHEMA "{schema}"; CREATE TABLE "{schema}".wiki (page text)')
    with pytest.raises(StateError, match="no state of sharectl"):
        open_url(url, create=True)
    postgresql.sql(f'CREATE TABLE "{schema}".meta (page text)')
    for create in (True, False):
        with pytest.raises(StateError, match="no state of sharectl"):
            open_url(url, create=create)


def test_a_text_that_no_database_holds_is_refused_with_its_commit(postgresql: Server) -> None:
    """NUL, and what is not Unicode; the store goes on afterwards."""
    with closing(open_url(postgresql.url(), create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        for text in ("a\0b", "a\udcffb"):
            rule = RuleRecord(AccessRule("ip", "10.0.0.1", "rw"), "error", text)
            with pytest.raises(StateRefusedError, match="cannot be stored"):
                store.commit(lease, [PutResource(make_record(), None), PutRules("share/projects", (rule,))])
            with store.read() as reader:
                assert reader.record(f"share/{text}") is None
                assert reader.addresses(f"share/{text}") == ()
            assert list(store.history(address=f"share/{text}")) == []
        assert not whole_view(store).records


def test_whoever_stood_still_in_a_transaction_does_it_again(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped for as long as its server waits has lost its session and no time: the server was there."""
    monkeypatch.setattr(connections, "_WRITING", connections._WRITING.replace("'10s'", "'100ms'"))
    sessions: list[int] = []

    def stand_still_at_first(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
        sessions.append(connection.info.backend_pid)
        while len(sessions) == 1 and is_there(postgresql, sessions[0]):
            pass
        return fetch(connection, "SELECT 7")

    with closing(Connections(parse_postgresql_url(postgresql.url()))) as asked:
        assert asked.repeated(stand_still_at_first, patience_seconds=0.0) == [(7,)]
    assert len(sessions) > 1


def is_there(server: Server, session: int) -> bool:
    """Tell whether a session has not been ended."""
    return server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {session}").strip() != "0"  # noqa: S608 - a number
