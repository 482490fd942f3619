"""URLs of states: those that name one, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharectl.model.state_urls import (
    LOCAL_SOCKETS,
    StateUrlError,
    absolute_state_url,
    impatient_state_url,
    is_state_url,
    location_in_state_url,
    parse_postgresql_url,
    path_in_state_url,
)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:state.db", "state.db"),
        ("sqlite:/var/lib/state.db", "/var/lib/state.db"),
        ("sqlite:///var/lib/state.db", "/var/lib/state.db"),
        ("sqlite:~/a b?c#d", "~/a b?c#d"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    """Everything after the kind is the path, to the letter."""
    assert is_state_url(url)
    assert path_in_state_url(url) == path


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://me:hunter2@db/state", "kind postgres"),
        ("sqlight:state.db", "kind sqlight"),
        ("sqlite:", "no file"),
        ("sqlite://other.example/state.db", "another machine"),
        ("/var/lib/state.db", "which kind"),
    ],
)
def test_any_other_url_is_refused_with_those_that_there_are(url: str, words: str) -> None:
    """And no password in it is repeated."""
    with pytest.raises(StateUrlError, match=words) as refused:
        path_in_state_url(url)
    assert "sqlite:PATH" in refused.value.remedy
    assert "hunter2" not in str(refused.value) + refused.value.remedy


def test_a_path_is_not_a_url() -> None:
    """Whatever is in it."""
    assert not is_state_url("/var/lib/state.db")
    assert not is_state_url("./a:b")


def test_a_url_names_a_database_and_a_state_in_it() -> None:
    """What is said beside it counts as much as what is said in it; percent signs are undone."""
    place = parse_postgresql_url(
        "postgresql://team%40a@db.example:5433,[fd00::1]/share%20ctl?sslrootcert=ca.pem", name="team-a"
    )
    assert dict(place.parameters) == {
        "user": "team@a",
        "host": "db.example,fd00::1",
        "port": "5433,",
        "dbname": "share ctl",
        "sslmode": "verify-full",
        "sslrootcert": "ca.pem",
    }
    assert (place.schema, place.password_from) == ("sharectl_team-a", None)
    assert place.location == "db.example:5433,fd00::1, database share ctl, schema sharectl_team-a"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///sharectl?name=a",
        "postgresql://me@db.example/sharectl?name=a&passwordFile=/run/pg",
        "postgresql://me@db.example:1,[::2]/x?sslrootcert=system&name=a-b_c&passwordEnv=PG",
    ],
)
def test_a_url_says_all_that_was_read_from_it(url: str) -> None:
    """So that one text names a state everywhere."""
    place = parse_postgresql_url(url)
    assert parse_postgresql_url(place.url()) == place
    assert location_in_state_url(place.url()) == place.location


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://me@db.example/x?name=a", "verify-full"),
        ("postgresql://me@localhost/x?name=a", "verify-full"),
        ("postgresql://me@127.0.0.1/x?name=a&sslmode=disable", "disable"),
        ("postgresql://me@[::1]/x?name=a&sslmode=require", "require"),
        ("postgresql:///x?name=a", None),
        ("postgresql:///x?name=a&host=/tmp/pg", None),
    ],
)
def test_a_server_that_is_not_on_a_local_socket_is_checked(url: str, mode: str | None) -> None:
    """Less can be written for this machine alone."""
    assert parse_postgresql_url(url).parameters.get("sslmode") == mode


def test_without_a_host_it_is_the_local_socket() -> None:
    """And not what the environment says, whose host would not be checked."""
    assert parse_postgresql_url("postgresql:///x?name=a").parameters["host"] == LOCAL_SOCKETS


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:hunter2@db/x?name=a", "password"),
        ("postgresql://me@db/x?name=a&password=hunter2", "secret"),
        ("postgresql://me@db/x?name=a&sslpassword=hunter2", "secret"),
        ("postgresql://me@db/x?name=a&sslmode=require", "sslmode=require"),
        ("postgresql://me@db/x?name=a&sslmode=disable", "sslmode=disable"),
        ("postgresql://me@localhost,db/x?name=a&sslmode=verify-ca", "sslmode=verify-ca"),
        ("postgresql://me@localhost/x?name=a&sslmode=prefer&hostaddr=192.0.2.1", "sslmode=prefer"),
        ("postgresql://me@db/x?name=a&options=-csearch_path%3Dhunter2", "options"),
        ("postgresql://me@db/x?name=a&service=hunter2", "service"),
        ("postgresql://me@db/x?name=a&sslmod=hunter2", "sslmod "),
        ("postgresql://me@db/x?name=a&user=me&user=hunter2", "twice"),
        ("postgresql://me@db/x?name=a&host=hunter2", "host twice"),
        ("postgresql://me@db/x?hunter2", "NAME=VALUE"),
        ("postgresql://me@db:hunter2/x?name=a", "port"),
        ("postgresql://me@db/x", "which state"),
        ("postgresql://me@db/x?name=hunter2.", "schema"),
        ("postgresql://me@db/x?name=a&passwordEnv=A&passwordFile=hunter2", "more than once"),
        ("postgresql:hunter2", "begin with"),
    ],
)
def test_a_url_of_a_database_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    """With what to do, and without a word of what may be a secret."""
    with pytest.raises(StateUrlError, match=words) as refused:
        parse_postgresql_url(url)
    assert refused.value.remedy
    assert "hunter2" not in str(refused.value) + refused.value.remedy


def test_files_beside_a_url_are_found_from_any_folder() -> None:
    """The authorities of the system are no file."""
    url = "postgresql://me@db/x?name=a&sslrootcert=tls/ca.pem&sslcert=/etc/me.pem"
    place = parse_postgresql_url(absolute_state_url(url, Path("/repo"), password_from=("file", "pg")))
    assert (place.parameters["sslrootcert"], place.parameters["sslcert"]) == ("/repo/tls/ca.pem", "/etc/me.pem")
    assert place.password_from == ("file", "/repo/pg")
    system = absolute_state_url("postgresql://me@db/x?name=a&sslrootcert=system", Path("/repo"))
    assert parse_postgresql_url(system).parameters["sslrootcert"] == "system"


def test_at_a_prompt_a_server_that_does_not_answer_is_given_up_soon() -> None:
    """Unless the URL says how long to wait."""
    url = absolute_state_url("postgresql://me@db/x?name=a", Path("/repo"))
    assert parse_postgresql_url(impatient_state_url(url)).parameters["connect_timeout"] == "2"
    patient = absolute_state_url("postgresql://me@db/x?name=a&connect_timeout=30", Path("/repo"))
    assert impatient_state_url(patient) == patient
    assert impatient_state_url("sqlite:///a") == "sqlite:///a"
