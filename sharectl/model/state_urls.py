"""URLs of states: the kind of store, and where it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlencode

from sharectl.model.diagnostics import did_you_mean
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SQLITE: Final = "sqlite"
_POSTGRESQL: Final = "postgresql"
SCHEMES: Final = (_SQLITE, _POSTGRESQL)
"""The supported kinds of stores."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
LOCAL_SOCKETS: Final = "/var/run/postgresql"
"""Where a server's socket is that is named by no host: where Debian and most others put it."""

_FORM: Final = "postgresql://USER@HOST/DATABASE"
_NAME: Final = r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?"
_NAME_RULE: Final = "1 to 40 lower-case letters, digits, '-' and '_', with a letter or digit at both ends"
_LOOPBACK: Final = r"localhost|127(\.[0-9]{1,3}){3}|::1"
_CHECKED: Final = "verify-full"
_OWN: Final[tuple[str, ...]] = ("name", "passwordEnv", "passwordFile")
_SYSTEM_AUTHORITIES: Final = "system"
_PATHS: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_LIBPQ: Final = (
    *("host", "hostaddr", "port", "dbname", "user"),
    *(*_PATHS, "sslmode", "sslsni", "ssl_min_protocol_version", "channel_binding", "require_auth"),
    *("gssencmode", "krbsrvname", "connect_timeout", "tcp_user_timeout", "application_name"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("target_session_attrs", "load_balance_hosts"),
)
_SECRETS: Final = frozenset({"password", "sslpassword"})
_REFERENCES: Final = "write `passwordFrom: {env: NAME}` or `{file: PATH}` beside the URL in sharectl.yaml (in a URL alone `?passwordFile=PATH` or `?passwordEnv=NAME`), or name a password file by PGPASSFILE"
_KINDS_REMEDY: Final = f"there are: sqlite:PATH, {_FORM}"


class StateUrlError(ValueError):
    """A URL that names no state; `remedy` says how to write one. The URL is not repeated, for it may hold a password."""

    def __init__(self, reason: str, remedy: str) -> None:
        """Say why, and how to fix it."""
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class PostgresqlPlace:
    """Where a state in PostgreSQL is: `parameters` of libpq without a password, its name, and where the password comes from.

    `password_from` is `("env", NAME)` or `("file", PATH)`; None leaves it to PGPASSFILE, a certificate, or a server that asks for none.
    """

    parameters: Mapping[str, str]
    name: str
    password_from: tuple[str, str] | None = None

    @property
    def schema(self) -> str:
        """The schema that holds the state."""
        return f"sharectl_{self.name}"

    @property
    def location(self) -> str:
        """Where it is, for people: nothing of it is a secret."""
        given = self.parameters
        hosts = given["host"].split(",")
        ports = given.get("port", "").split(",")
        if len(ports) == len(hosts):
            hosts = [f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=True)]
        return f"{','.join(hosts)}, database {given.get('dbname', given.get('user', ''))}, schema {self.schema}"

    def url(self) -> str:
        """Return the URL that says all of it."""
        given = dict(self.parameters)
        user, database = quote(given.pop("user", ""), safe=""), quote(given.pop("dbname", ""), safe="")
        own = {"name": self.name}
        if self.password_from is not None:
            form, target = self.password_from
            own[f"password{form.capitalize()}"] = target
        return f"{_POSTGRESQL}://{user}{'@' if user else ''}/{database}?{urlencode({**given, **own})}"


def is_state_url(text: str) -> bool:
    """Tell whether `text` is a URL rather than a path."""
    return _SCHEME.match(text) is not None


def is_in_file(url: str) -> bool:
    """Tell whether the state at `url` is a file."""
    return not url.startswith(f"{_POSTGRESQL}:")


def url_of_file(path: Path) -> str:
    """Return the URL of the state in a file, whose path is absolute."""
    return f"sqlite:///{str(path).lstrip('/')}"


def location_in_state_url(url: str) -> str:
    """Return where the state at `url` is, for people. Raises StateUrlError."""
    return path_in_state_url(url) if is_in_file(url) else parse_postgresql_url(url).location


def absolute_state_url(url: str, root: Path, *, name: str = "", password_from: tuple[str, str] | None = None) -> str:
    """Return the URL as it is from any folder, with what is said beside it: relative paths in it are under `root`. Raises StateUrlError."""
    if is_in_file(url):
        return url_of_file(root / path_in_state_url(url))
    place = parse_postgresql_url(url, name=name, password_from=password_from)

    def absolute(path: str) -> str:
        return path if path == _SYSTEM_AUTHORITIES else str(root / path)

    parameters = {key: absolute(value) if key in _PATHS else value for key, value in place.parameters.items()}
    reference = place.password_from
    if reference is not None and reference[0] == "file":
        reference = ("file", absolute(reference[1]))
    return PostgresqlPlace(parameters, place.name, reference).url()


def impatient_state_url(url: str) -> str:
    """Return the URL of the same state, for somebody who waits at a prompt: a server that does not answer is given up after two seconds."""
    return url if is_in_file(url) or "connect_timeout=" in url else f"{url}&connect_timeout=2"


def path_in_state_url(url: str) -> str:
    """Return the path of the file in `sqlite:PATH` or `sqlite:///PATH`. Raises StateUrlError."""
    match = _SCHEME.match(url)
    scheme = "" if match is None else match[1]
    path = url[len(scheme) + 1 :]
    if path.startswith("///"):
        path = path[2:]
    if scheme != _SQLITE:
        reason = f"there is no store of the kind {scheme}" if scheme else "it does not say which kind of store it is"
        _refuse(reason, f"{did_you_mean(scheme, SCHEMES)} {_KINDS_REMEDY}".strip())
    if path.startswith("//"):
        _refuse("its file would be on another machine", _KINDS_REMEDY)
    if not path:
        _refuse("it names no file", _KINDS_REMEDY)
    return path


def parse_postgresql_url(url: str, *, name: str = "", password_from: tuple[str, str] | None = None) -> PostgresqlPlace:
    """Return where the state at `url` is; `name` and `password_from` are for a URL that does not say them.

    Raises StateUrlError, whose words hold nothing of the URL but names of parameters.
    """
    rest = url.removeprefix(f"{_POSTGRESQL}:")
    if rest == url or not rest.startswith("//"):
        _refuse(f"it does not begin with {_POSTGRESQL}://", f"write {_FORM}")
    address, _, query = rest[2:].partition("?")
    authority, _, database = address.partition("/")
    user, has_user, hosts = authority.rpartition("@")
    if ":" in user:
        _refuse("it holds a password", _REFERENCES)
    given = _parameters(query)
    own = {key: given.pop(key) for key in _OWN if key in given}
    said = {"user": unquote(user)} if has_user else {}
    if database:
        said["dbname"] = unquote(database)
    if hosts:
        said.update(_hosts_in(hosts))
    for key in said.keys() & given.keys():
        _refuse(f"it says {key} twice", "leave one of them out")
    given.update(said)
    given.setdefault("host", LOCAL_SOCKETS)
    if any("\0" in value or "\n" in value for value in (*given.values(), *own.values())):
        _refuse("it holds a control character", f"write {_FORM}")
    return PostgresqlPlace(_with_sslmode(given), _name_in(own, name), _reference_in(own, password_from))


def _parameters(query: str) -> dict[str, str]:
    if query and not all("=" in part for part in query.split("&")):
        _refuse("what follows the question mark is not NAME=VALUE&NAME=VALUE", f"write {_FORM}")
    given: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in _SECRETS:
            _refuse(f"it holds a secret ({key})", _REFERENCES)
        if key not in (*_LIBPQ, *_OWN):
            words = key if key.isalnum() or key.replace("_", "").isalnum() else "one of its parameters"
            known = did_you_mean(key, [*_LIBPQ, *_OWN])
            _refuse(f"{words} is nothing that it may say", f"{known} leave it out".strip())
        if key in given:
            _refuse(f"it says {key} twice", "leave one of them out")
        given[key] = value
    return given


def _hosts_in(text: str) -> dict[str, str]:
    """Return host and port of `HOST[:PORT][,HOST[:PORT]]...`; an IPv6 address stands in brackets."""
    hosts, ports = [], []
    for part in text.split(","):
        if part.startswith("["):
            host, _, port = part[1:].partition("]")
            port = port.removeprefix(":")
        else:
            host, _, port = part.partition(":")
        if port and not port.isdigit():
            _refuse("a port in it is not a number", f"write {_FORM}")
        hosts.append(unquote(host))
        ports.append(port)
    return {"host": ",".join(hosts), **({"port": ",".join(ports)} if any(ports) else {})}


def _with_sslmode(given: dict[str, str]) -> dict[str, str]:
    """Return the parameters with the mode of TLS; raises StateUrlError where another host would be believed without a look at its name."""
    hosts = [*given["host"].split(","), *given.get("hostaddr", "").split(",")]
    elsewhere = [host for host in hosts if host and not host.startswith(("/", "@"))]
    if not elsewhere:
        return given
    mode = given.setdefault("sslmode", _CHECKED)
    if mode != _CHECKED and not all(re.fullmatch(_LOOPBACK, host) for host in elsewhere):
        _refuse(
            f"sslmode={mode} lets any host on the way stand for the database, read what the state holds and change it",
            f"write sslmode={_CHECKED}, or leave it out, and name the file of the authority's certificate: sslrootcert=PATH",
        )
    return given


def _name_in(own: Mapping[str, str], name: str) -> str:
    named = own.get("name", name)
    if "name" in own and name and own["name"] != name:
        _refuse("the state's name is said twice, and differs", "leave it out of the URL")
    if not named:
        _refuse(
            "it does not say which state of the database is meant",
            "give it a name: `name: team-a` beside the URL in sharectl.yaml, or `?name=team-a` in it",
        )
    if re.fullmatch(_NAME, named) is None:
        _refuse("the state's name cannot be that of a schema", f"write {_NAME_RULE}")
    return named


def _reference_in(own: Mapping[str, str], password_from: tuple[str, str] | None) -> tuple[str, str] | None:
    found = [("env" if key == "passwordEnv" else "file", own[key]) for key in _OWN[1:] if key in own]
    if password_from is not None:
        found.append(password_from)
    if len(found) > 1:
        _refuse("it says more than once where the password comes from", "leave one of them out")
    return found[0] if found else None


def _refuse(reason: str, remedy: str) -> NoReturn:
    raise StateUrlError(reason, remedy)
