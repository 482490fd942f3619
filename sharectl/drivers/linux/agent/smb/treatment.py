"""What an SMB share offers its clients beyond files: as the records of shares keep it, as a section has it, and as the driver is told."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

BIN_FOLDER: Final = r"\.?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,60}[A-Za-z0-9_-])?"
"""What the folder of a recycle bin can be called: one name, which Windows takes and which means nothing else in smb.conf(5)."""


@dataclass(frozen=True, slots=True)
class RecycleBin:
    """A folder of the share to which deleted files go.

    `keep_tree` keeps the folders that a file was in, `versions` keeps files of one name side by side, and `visible` lets clients into
    the folder.
    """

    folder: str = ".recycle"
    keep_tree: bool = True
    versions: bool = True
    visible: bool = True


@dataclass(frozen=True, slots=True)
class TimeMachine:
    """That Macs may back up to the share; `max_bytes` is how large it pretends to be, None the size that it has."""

    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SmbTreatment:
    """What a share offers; None is what it does not have.

    With `previous_versions` clients look into its snapshots. `macos` is what Macs need to keep what they have beside a file's content.
    With `has_nfs` NFS clients have the same files, so that no SMB client may keep what it reads or writes to itself.
    """

    recycle_bin: RecycleBin | None = None
    previous_versions: bool = False
    macos: bool = False
    time_machine: TimeMachine | None = None
    has_nfs: bool = False


PLAIN: Final = SmbTreatment()
"""Files alone, as in every share before there was anything else."""

_BIN_FLAGS: Final = {"keepTree": "keep_tree", "versions": "versions", "visible": "visible"}


def problem_of(treatment: SmbTreatment) -> str | None:
    """Return why Samba would misread the treatment, None where it would not."""
    found = treatment.recycle_bin
    if found is not None and not re.fullmatch(BIN_FOLDER, found.folder):
        return f"{found.folder!r} is not a name that the folder of a recycle bin can have"
    return None


def to_options(treatment: SmbTreatment) -> dict[str, Any]:
    """Return the options that records keep; whether NFS clients have the same files follows from the share's protocol."""
    plain = asdict(treatment)
    del plain["has_nfs"]
    return plain


def of_options(options: Mapping[str, Any]) -> SmbTreatment:
    """Return the treatment that options stand for; what a record is older than is as in `PLAIN`."""
    recycle_bin, time_machine = options.get("recycle_bin"), options.get("time_machine")
    return SmbTreatment(
        recycle_bin=None if recycle_bin is None else RecycleBin(**recycle_bin),
        previous_versions=bool(options.get("previous_versions")),
        macos=bool(options.get("macos")),
        time_machine=None if time_machine is None else TimeMachine(**time_machine),
        has_nfs=bool(options.get("has_nfs")),
    )


def comments_of(treatment: SmbTreatment) -> list[str]:
    """Return the lines of a section that tell the treatment to `of_comment`; none for `PLAIN`."""
    return [] if treatment == PLAIN else [f"# treatment = {_text(treatment)}"]


def of_comment(text: str | None) -> SmbTreatment | None:
    """Return the treatment that a section's comment stands for, where there is one; None for any other text."""
    if text is None:
        return PLAIN
    try:
        found = of_options(json.loads(text))
    except (AttributeError, TypeError, ValueError):
        return None
    return found if _text(found) == text else None


def _text(treatment: SmbTreatment) -> str:
    plain = to_options(treatment)
    if not treatment.previous_versions:  # a section that was written before there were any stays what it is
        del plain["previous_versions"]
    if treatment.has_nfs:
        plain["has_nfs"] = True
    return json.dumps(plain, sort_keys=True)


def told(treatment: SmbTreatment) -> dict[str, str]:
    """Return the treatment as the driver tells it: a text for each thing that the share has."""
    settings = {"previousVersions": "true"} if treatment.previous_versions else {}
    recycle_bin, time_machine = treatment.recycle_bin, treatment.time_machine
    if recycle_bin is not None:
        flags = (name for name, field in _BIN_FLAGS.items() if getattr(recycle_bin, field))
        settings["recycleBin"] = " ".join((recycle_bin.folder, *flags))
    if treatment.macos:
        settings["macos"] = "true"
    if time_machine is not None:
        settings["timeMachine"] = "true" if time_machine.max_bytes is None else f"{time_machine.max_bytes} B"
    return settings


def untold(settings: Mapping[str, str]) -> SmbTreatment:
    """Return the treatment that settings stand for. The inverse of `told`."""
    folder, *flags = settings.get("recycleBin", "").split(" ")
    recycle_bin = RecycleBin(folder, **{field: name in flags for name, field in _BIN_FLAGS.items()})
    backups = settings.get("timeMachine")
    time_machine = TimeMachine(None if backups in {None, "true"} else int(str(backups).removesuffix(" B")))
    return SmbTreatment(
        recycle_bin=recycle_bin if folder else None,
        previous_versions=settings.get("previousVersions") == "true",
        macos=settings.get("macos") == "true",
        time_machine=None if backups is None else time_machine,
    )
