"""The configuration of a directory backend, as its schema describes it and as the driver uses it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import DriverError, PoolError
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject

DEFAULT_POOL: Final = "default"
_POOL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Configuration of a directory backend",
    "type": "object",
    "required": ["root"],
    "additionalProperties": False,
    "properties": {
        "root": {
            "type": "string",
            "minLength": 1,
            "description": "Folder that holds the shares and, under .sharectl, what sharectl knows of them. "
            "A relative path is under the folder of the project file. It is made by the first apply.",
        },
        "exportHost": {
            "type": "string",
            "pattern": "^[A-Za-z0-9._:-]+$",
            "description": "Host name or address in the export locations. Default: the name of this host.",
        },
        "exportPath": {
            "type": "string",
            "pattern": "^/",
            "description": "Path of the root as NFS clients see it. Default: the root itself.",
        },
        "anonymousUid": {
            "type": "integer",
            "minimum": 0,
            "maximum": 4294967294,
            "description": "User that root on an NFS client becomes (anonuid). Default: the NFS server's.",
        },
        "anonymousGid": {
            "type": "integer",
            "minimum": 0,
            "maximum": 4294967294,
            "description": "Group that root on an NFS client becomes (anongid). Default: the NFS server's.",
        },
        "shareMode": {
            "type": "string",
            "pattern": "^[0-7]{3,4}$",
            "description": "Permissions of the directory of a new share, in octal. Default: 0770.",
        },
        "pools": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"},
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "Pools by name: the folder of each, absolute or under the root, none inside another. "
            "Default: one pool named default, which is the root itself.",
        },
    },
}


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """A directory backend: `pools` are absolute paths by name, `share_mode` are permission bits."""

    root: str
    pools: Mapping[str, str]
    export_host: str
    export_path: str
    anonymous_uid: int | None
    anonymous_gid: int | None
    share_mode: int

    def pool_path(self, pool: str) -> str:
        """Return the folder of a pool; raises PoolError where the configuration has none of this name."""
        path = self.pools.get(pool)
        if path is None:
            message = f"the backend has no pool {pool!r}; it has {', '.join(sorted(self.pools))}"
            raise PoolError(message)
        return path

    def share_path(self, pool: str, directory: str) -> str:
        """Return the path of a share on this host."""
        return os.path.join(self.pool_path(pool), directory)  # noqa: PTH118 - text in, text out, five thousand times a listing

    def exported_path(self, pool: str, directory: str) -> str:
        """Return the path of a share as NFS clients see it: below the root it is below `export_path`."""
        path = self.share_path(pool, directory)
        inside = path.removeprefix(self.root.rstrip("/") + "/")
        return path if inside == path else f"{self.export_path.rstrip('/')}/{inside}"


def read_settings(config: Mapping[str, Any], base_directory: str) -> DirectorySettings:
    """Return the settings that `config` describes; raises DriverError for what the schema alone cannot refuse."""
    try:
        root = absolute_path(config["root"], base_directory)
        named = dict(config.get("pools") or {DEFAULT_POOL: "."})
        pools = {name: absolute_path(path, root) for name, path in named.items()}
        settings = DirectorySettings(
            root=root,
            pools=pools,
            export_host=config.get("exportHost") or os.uname().nodename,
            export_path=_checked(config.get("exportPath") or root),
            anonymous_uid=config.get("anonymousUid"),
            anonymous_gid=config.get("anonymousGid"),
            share_mode=int(config.get("shareMode", "0770"), 8),
        )
    except ValueError as cause:
        message = f"the configuration of the directory backend cannot be used: {cause}"
        raise DriverError(message) from cause
    except (KeyError, TypeError, AttributeError) as cause:
        message = "the configuration of the directory backend does not meet the schema of its driver; `sharectl validate` says where"
        raise DriverError(message) from cause
    _check_pools(pools)
    return settings


def _checked(path: str) -> str:
    if (problem := path_problem(path)) is not None:
        raise ValueError(problem)
    return path


def path_problem(path: str) -> str | None:
    """Return why a text is no path for shares, or None: export locations and the lines of mounts are made of it."""
    if "\0" in path:
        return "a path cannot contain a NUL character"
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in path):
        return "a path cannot contain a line break or another control character"
    return None


def absolute_path(path: str, base: str) -> str:
    """Return `path` below `base` unless it is absolute, without `.` and `..`; raises ValueError for what is not a path."""
    return os.path.normpath(os.path.join(base, _checked(path)))  # noqa: PTH118 - pathlib does not take out `..` by text alone


def _check_pools(pools: Mapping[str, str]) -> None:
    for name, path in pools.items():
        if not _POOL_NAME.fullmatch(name):
            message = f"{name!r} is not a name for a pool: use letters, digits, `_`, `-` and `.`"
            raise DriverError(message)
        for other, other_path in pools.items():
            if other != name and f"{path}/".startswith(f"{other_path.rstrip('/')}/"):
                message = f"the pool {name!r} ({path}) is inside the pool {other!r} ({other_path}); keep them apart"
                raise DriverError(message)


def backend_id_of(pool_name: str, directory: str) -> str:
    """Return `directory` in the pool called default, `pool/directory` in any other."""
    return directory if pool_name == DEFAULT_POOL else f"{pool_name}/{directory}"


def split_backend_id(backend_id: str) -> tuple[str, str]:
    """Return the pool and the directory that a `backend_id` names; `default/directory` is understood too."""
    pool_name, separator, directory = backend_id.partition("/")
    return (pool_name, directory) if separator else (DEFAULT_POOL, backend_id)
