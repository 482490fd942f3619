"""The extra specs by which a share type asks for other settings of exports than its backend has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Squash
from sharectl.drivers.linux.agent.smb.treatment import BIN_FOLDER
from sharectl.drivers.share_checks import unknown_extra_spec
from sharectl.model.checks import ShareProblem
from sharectl.model.quantities import SizeError, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SCOPE: Final = "linux:"
NFS_SNAPSHOTS_SPEC: Final = "linux:nfs_snapshots"
TIME_MACHINE_SPEC: Final = "linux:smb_time_machine"

_FLAGS: Final = ("true", "false")


def _is_folder(value: str) -> bool:
    return re.fullmatch(BIN_FOLDER, value) is not None


def _is_size(value: str) -> bool:
    try:
        return parse_size(value) > 0
    except SizeError:
        return False


class _Spec(NamedTuple):
    """What the value of an extra spec can be: one of `choices`, or, where there are none, what `is_right` finds so and `words` describe."""

    choices: tuple[str, ...] = _FLAGS
    is_right: Callable[[str], bool] = bool
    words: str = ""

    def accepts(self, value: str) -> bool:
        """Tell whether the value, in its plain form, means something."""
        return value in self.choices if self.choices else self.is_right(value)

    @property
    def wanted(self) -> str:
        """What a value can be, for people."""
        return ", ".join(self.choices) or self.words


EXTRA_SPECS: Final[Mapping[str, _Spec]] = {
    "linux:nfs_squash": _Spec(tuple(Squash)),
    "linux:nfs_insecure": _Spec(),
    NFS_SNAPSHOTS_SPEC: _Spec(),
    "linux:smb_previous_versions": _Spec(),
    "linux:smb_recycle_bin": _Spec(),
    "linux:smb_recycle_bin_folder": _Spec((), _is_folder, "a name of letters, digits, `_`, `.` and `-`"),
    "linux:smb_recycle_bin_keep_tree": _Spec(),
    "linux:smb_recycle_bin_versions": _Spec(),
    "linux:smb_recycle_bin_visible": _Spec(),
    TIME_MACHINE_SPEC: _Spec(),
    "linux:smb_time_machine_max_size": _Spec((), _is_size, "a number and a unit, such as 500GiB"),
}


class Asked:
    """What a share type asks for; a wrong value, which is refused elsewhere, counts as none."""

    def __init__(self, extra_specs: Mapping[str, str]) -> None:
        """Take those of the linux driver."""
        plain = {key: _plain(spec, extra_specs[key]) for key, spec in EXTRA_SPECS.items() if key in extra_specs}
        self._values = {key: value for key, value in plain.items() if EXTRA_SPECS[key].accepts(value)}

    def text(self, key: str, otherwise: str) -> str:
        """Return the value of `linux:KEY`, or what holds without it."""
        return self._values.get(f"{SCOPE}{key}", otherwise)

    def flag(self, key: str, *, otherwise: bool) -> bool:
        """Return the same of one that is true or false."""
        value: Any = self._values.get(f"{SCOPE}{key}")
        return otherwise if value is None else value == "true"


def extra_spec_problems(extra_specs: Mapping[str, str]) -> Iterator[ShareProblem]:
    """Yield what the driver cannot make sense of."""
    for key, value in extra_specs.items():
        spec = EXTRA_SPECS.get(key)
        if spec is not None and not spec.accepts(_plain(spec, value)):
            yield ShareProblem(
                ("extra_specs", key),
                f"the extra spec {key} of the share type is {value!r}; it can be {spec.wanted}",
                f"write {'one of ' if spec.choices else ''}{spec.wanted}",
            )
        elif spec is None and key.startswith(SCOPE):
            yield unknown_extra_spec(key, "linux", tuple(EXTRA_SPECS))


def _plain(spec: _Spec, value: str) -> str:
    return value.lower() if spec.choices == _FLAGS else value  # YAML's `true` arrives as `True`
