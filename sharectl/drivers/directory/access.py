"""Access of a share: its fragments on disk, written for the servers of its protocols, and read back as one set of rules."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.base import DriverError
from sharectl.drivers.directory import exports, files, samba
from sharectl.drivers.directory.storage import PRIVATE
from sharectl.model.access import BOTH, CIFS, NFS, AccessRule, protocols_in, smb_rules
from sharectl.model.export_names import problem
from sharectl.model.narrowing import narrowed
from sharectl.model.observed import Hindrance
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sharectl.drivers.directory.records import ShareRecord
    from sharectl.drivers.directory.storage import Metadata, Storage
    from sharectl.model.access import ExportSettings

_EXPORTS: Final = "exports.d"
_SECTIONS: Final = "smb.d"
_INCLUDES: Final = "smb.conf"
_EXPORTS_SUFFIX: Final = ".exports"
_SECTIONS_SUFFIX: Final = ".conf"
_MAX_FRAGMENT_BYTES: Final = 16 << 20
SMB_CONF: Final = Path("/etc/samba/smb.conf")
"""The configuration of the Samba of this host."""

MOST_RULES_REMEDY: Final = "name networks instead of single addresses"
_UNREADABLE: Final = AccessRule("user", "unreadable: the section is not that of these address rules", "rw")
_WITHOUT_ADDRESSES: Final = "an address rule beside it, which says from where it holds, cannot be put in force"


class AccessFiles:
    """The fragments of a backend: one file per share with access, under the metadata folder."""

    def __init__(self, storage: Storage) -> None:
        """Write for the paths and options in the storage's settings."""
        self._storage = storage
        settings = storage.settings
        self._options = exports.export_options(settings.anonymous_uid, settings.anonymous_gid)

    def problem(self, protocol: str, pool: str, directory: str, export_name: str) -> str | None:
        """Return why a share cannot be exported over `protocol`, or None where it can."""
        if CIFS in protocols_in(protocol):
            return samba.section_problem(export_name, self._storage.settings.share_path(pool, directory))
        return protocol_problem(protocol)

    def apply(
        self, metadata: Metadata, record: ShareRecord, rules: Collection[AccessRule]
    ) -> Mapping[AccessRule, RuleStatus]:
        """Write the fragment of the share, or remove it where no rule is in force; return the status of each rule.

        Where it cannot be written (a full disk), one that lets in more than `rules` is removed before the error is raised.
        """
        try:
            return self._apply(metadata, record, rules)
        except OSError:
            before = self.rules(metadata, record)
            if not set(before) <= set(rules) or narrowed(before, rules):
                self.withdraw(metadata, record)
            raise

    def _apply(
        self, metadata: Metadata, record: ShareRecord, rules: Collection[AccessRule]
    ) -> Mapping[AccessRule, RuleStatus]:
        path = self._storage.settings.share_path(record.pool, record.directory)
        wrong = self.problem(str(record.protocol), record.pool, record.directory, record.export_name)
        if wrong is not None:
            self.withdraw(metadata, record)
            return {rule: RuleStatus("error", wrong) for rule in rules}
        texts = render_fragments(str(record.protocol), record.export_name, path, rules, self._options)
        for text in (texts.exports, texts.section):
            require_exportable(size_problem(text))
        # What is taken away first: should the second not be written, nobody has more than before.
        self._put(metadata, _EXPORTS, record.resource_id + _EXPORTS_SUFFIX, texts.exports)
        self._put_section(metadata, record.resource_id, texts.section)
        return texts.statuses

    def withdraw(self, metadata: Metadata, record: ShareRecord) -> None:
        """Take every access to the share away."""
        self._put(metadata, _EXPORTS, record.resource_id + _EXPORTS_SUFFIX, None)
        self._put_section(metadata, record.resource_id, None)

    def withdraw_protocols(self, metadata: Metadata, record: ShareRecord, kept: str) -> None:
        """Take away every access over protocols that are not among the `kept`."""
        if NFS not in protocols_in(kept):
            self._put(metadata, _EXPORTS, record.resource_id + _EXPORTS_SUFFIX, None)
        if CIFS not in protocols_in(kept):
            self._put_section(metadata, record.resource_id, None)

    def withdraw_locked(self, metadata: Metadata, record: ShareRecord) -> None:
        """Take every access away, for a caller that has the storage locked already."""
        self._put(metadata, _EXPORTS, record.resource_id + _EXPORTS_SUFFIX, None, nullcontext)
        if files.remove_durably(_SECTIONS, record.resource_id + _SECTIONS_SUFFIX, metadata.private_fd):
            self._write_includes(metadata)

    def move_section(self, metadata: Metadata, record: ShareRecord) -> bool:
        """Write the section that the share has under its former name under its own; return False where it was changed by hand.

        Precondition: the storage is locked.
        """
        name = record.resource_id + _SECTIONS_SUFFIX
        content = files.read_bounded(f"{_SECTIONS}/{name}", metadata.private_fd, _MAX_FRAGMENT_BYTES)
        if content is None:
            return True
        text, is_beside_nfs = content.decode(errors="replace"), record.protocol == BOTH
        path = self._storage.settings.share_path(record.pool, record.directory)
        for export_name in (record.export_name, str(record.former_export_name)):
            rules = samba.parse_section(text, export_name, path, is_beside_nfs=is_beside_nfs)
            if samba.CHANGED_BY_HAND not in rules:
                moved, _ = samba.render_section(record.export_name, path, rules, is_beside_nfs=is_beside_nfs)
                self._put(metadata, _SECTIONS, name, moved, nullcontext)
                return True
        return False

    def rules(self, metadata: Metadata, record: ShareRecord) -> tuple[AccessRule, ...]:
        """Return the rules in force on one share."""
        return self.access(metadata, record)[0]

    def access(self, metadata: Metadata, record: ShareRecord) -> tuple[tuple[AccessRule, ...], ExportSettings | None]:
        """Return the rules in force on one share, and the settings of its export."""
        names = {record.resource_id + suffix for suffix in (_EXPORTS_SUFFIX, _SECTIONS_SUFFIX)}
        return AccessReader(self._storage, metadata, self._options, names, names).access(record)

    def reader(self, metadata: Metadata) -> AccessReader:
        """Return what reads the access of many shares: it looks once which fragments there are."""
        exported = _fragments(metadata, _EXPORTS, _EXPORTS_SUFFIX)
        sections = _fragments(metadata, _SECTIONS, _SECTIONS_SUFFIX)
        return AccessReader(self._storage, metadata, self._options, exported, sections)

    def hindrances(self, metadata: Metadata) -> Iterator[Hindrance]:
        """Yield what keeps users of Samba from getting to their shares, where the Samba of this host includes the sections."""
        includes = f"{self._storage.settings.root}/{PRIVATE}/{_INCLUDES}"
        if not _fragments(metadata, _SECTIONS, _SECTIONS_SUFFIX) or not _mentions(SMB_CONF, includes):
            return
        for pool, path in sorted(self._storage.settings.pools.items()):
            closed = files.closed_folder(path)
            if closed is not None:
                yield Hindrance(
                    f"users of Samba do not get to the pool {pool!r}: the folder {closed} is closed to all but its owner and group",
                    f"let everybody pass through it (chmod o+x {closed}), or make all of them members of its group",
                )

    def _put_section(self, metadata: Metadata, resource_id: str, text: str | None) -> None:
        name = resource_id + _SECTIONS_SUFFIX
        if text is None:
            guard = partial(self._storage.locked, metadata)
            is_stale = files.remove_durably(_SECTIONS, name, metadata.private_fd, guard=guard)
        else:
            self._put(metadata, _SECTIONS, name, text)
            is_stale = section_path(self._storage.settings.root, name) not in _included(metadata)
        if is_stale:
            with self._storage.locked(metadata):
                self._write_includes(metadata)

    def _write_includes(self, metadata: Metadata) -> None:
        names = sorted(_fragments(metadata, _SECTIONS, _SECTIONS_SUFFIX))
        text = samba.render_includes(section_path(self._storage.settings.root, name) for name in names)
        files.write_durably(".", _INCLUDES, text.encode(), metadata.private_fd)

    def _put(
        self, metadata: Metadata, folder: str, name: str, text: str | None, guard: files.Guard | None = None
    ) -> None:
        """Write a fragment, or remove it, at an instant when the storage is locked, by the caller or (without `guard`) here."""
        guard = guard or partial(self._storage.locked, metadata)
        if text is None:
            files.remove_durably(folder, name, metadata.private_fd, guard=guard)
            return
        content = text.encode()
        with_name = f"{folder}/{name}"
        if files.read_bounded(with_name, metadata.private_fd, _MAX_FRAGMENT_BYTES) != content:
            # Readable for the NFS server and Samba, which look at it as root; the folder above is closed to all others.
            files.write_durably(folder, name, content, metadata.private_fd, guard=guard)


class AccessReader:
    """Reads the access of shares back from the fragments."""

    def __init__(
        self, storage: Storage, metadata: Metadata, options: tuple[str, ...], exported: set[str], sections: set[str]
    ) -> None:
        """Look for fragments of these file names only: shares without access then cost no system call."""
        self._settings = storage.settings
        self._metadata = metadata
        self._options = options
        self._exported = exported
        included = _included(metadata) if sections else frozenset()
        self._sections = {name for name in sections if section_path(self._settings.root, name) in included}

    def rules(self, record: ShareRecord) -> tuple[AccessRule, ...]:
        """Return the rules in force on the share; raises BackendUnavailableError where a fragment cannot be read."""
        return self.access(record)[0]

    def access(self, record: ShareRecord) -> tuple[tuple[AccessRule, ...], ExportSettings | None]:
        """Return the rules in force on the share, and the settings of its export; None where there is none, or one by hand.

        Raises BackendUnavailableError where a fragment cannot be read.
        """
        path = self._settings.share_path(record.pool, record.directory)
        rules: tuple[AccessRule, ...] = ()
        section: tuple[AccessRule, ...] = ()
        settings: ExportSettings | None = None
        name = record.resource_id + _EXPORTS_SUFFIX
        if name in self._exported and (text := self._text(_EXPORTS, name)) is not None:
            options, settings = exports.settings_in(text) or (self._options, None)
            rules = exports.parse_exports(text, path, options)
        name = record.resource_id + _SECTIONS_SUFFIX
        if name in self._sections and (text := self._text(_SECTIONS, name)) is not None:
            is_beside_nfs = record.protocol == BOTH
            section = samba.parse_section(text, record.export_name, path, is_beside_nfs=is_beside_nfs)
        return joined_rules(rules, section, str(record.protocol)), settings

    def _text(self, folder: str, name: str) -> str | None:
        content = files.read_bounded(f"{folder}/{name}", self._metadata.private_fd, _MAX_FRAGMENT_BYTES)
        # Bytes that are no UTF-8 were not written by sharectl; replaced, they show as the change that they are.
        return None if content is None else content.decode(errors="replace")


def section_path(root: str, name: str) -> str:
    """Return the path of a Samba fragment as smb.conf names it."""
    return f"{root}/{PRIVATE}/{_SECTIONS}/{name}"


def protocol_problem(protocol: str) -> str | None:
    """Return why nothing can be exported over `protocol`, None where something can."""
    if protocol in {NFS, CIFS, BOTH}:
        return None
    return f"the directory driver exports over NFS and CIFS, not over {protocol!r}"


def export_name_problem(export_name: str | None, protocol: str) -> str | None:
    """Return why no share of this protocol can be exported under the name, None where one can, or where it has none of its own."""
    if export_name is None:
        return None
    if protocol == NFS:
        return "the directory driver exports folders over NFS under their own paths alone"
    wrong = problem(export_name, (CIFS,))  # over NFS, clients see the path of the folder
    return None if wrong is None else f"no share can be exported as {export_name!r}: {wrong}"


def size_problem(text: str | None) -> str | None:
    """Return why a fragment is too large, None where it is not: what cannot be read back must not be written."""
    if text is None or len(text) * 4 <= _MAX_FRAGMENT_BYTES or len(text.encode()) <= _MAX_FRAGMENT_BYTES:
        return None
    return f"these are more access rules than one share can have: written out they take more than {_MAX_FRAGMENT_BYTES >> 20} MiB"


def require_exportable(wrong: str | None) -> None:
    """Raise DriverError with what is wrong, if something is."""
    if wrong is not None:
        raise DriverError(wrong)


class Fragments(NamedTuple):
    """What is written for the NFS server and for Samba, None where nobody is let in by it, and the status of each rule."""

    exports: str | None
    section: str | None
    statuses: Mapping[AccessRule, RuleStatus]


def render_fragments(
    protocol: str, export_name: str, path: str, rules: Collection[AccessRule], options: Sequence[str]
) -> Fragments:
    """Return the fragments of a share; what one of two servers cannot put in force is given by neither."""
    if protocol == BOTH:
        return _render_both(export_name, path, rules, options)
    if protocol == NFS:
        text, statuses = exports.render_exports(path, rules, options)
        return Fragments(text, None, statuses)
    text, statuses = samba.render_section(export_name, path, rules)
    return Fragments(None, text, statuses)


def _render_both(export_name: str, path: str, rules: Collection[AccessRule], options: Sequence[str]) -> Fragments:
    refused: dict[AccessRule, RuleStatus] = {}
    while True:
        if any(rule.access_type == "ip" for rule in refused):
            # Without all of them, Samba would let people in from where they are kept out.
            people = (rule for rule in rules if rule.access_type != "ip" and rule not in refused)
            refused |= dict.fromkeys(people, RuleStatus("error", _WITHOUT_ADDRESSES))
        wanted = [rule for rule in rules if rule not in refused]
        found = _render_once(export_name, path, wanted, options)
        more = {rule: status for rule, status in found.statuses.items() if status.status != "active"}
        if not more:
            return found._replace(statuses={**found.statuses, **refused})
        refused |= more


def _render_once(export_name: str, path: str, rules: Collection[AccessRule], options: Sequence[str]) -> Fragments:
    hosts = [rule for rule in rules if rule.access_type == "ip"]
    exported, statuses = exports.render_exports(path, hosts, options)
    meant, reason = smb_rules(rules)
    section, smb_statuses = samba.render_section(export_name, path, meant, is_beside_nfs=True)
    by_key = {rule.key: status for rule, status in smb_statuses.items()}
    found = dict(statuses)
    for rule in rules:
        status = by_key.get(rule.key)
        if status is not None and (status.status != "active" or rule not in found):
            found[rule] = status
        elif rule not in found:
            found[rule] = RuleStatus("error", reason)
    return Fragments(exported, section, found)


def joined_rules(
    exported: Collection[AccessRule], section: Collection[AccessRule], protocol: str
) -> tuple[AccessRule, ...]:
    """Return the rules that both fragments put in force; where they are not of one set, also a rule that nobody can have asked for."""
    if protocol != BOTH:
        return (*exported, *section)
    people = [rule for rule in section if rule.access_type != "ip"]
    rules = (*exported, *people)
    if section and set(smb_rules(rules)[0]) != set(section):
        return (*rules, _UNREADABLE)
    return rules


def _mentions(file: Path, text: str) -> bool:
    with suppress(OSError):
        return text in file.read_text(encoding="utf-8", errors="replace")
    return False


def _fragments(metadata: Metadata, folder: str, suffix: str) -> set[str]:
    names = files.names_in(folder, metadata.private_fd)
    return {name for name in names if name.endswith(suffix) and not name.startswith(".")}


def _included(metadata: Metadata) -> frozenset[str]:
    content = files.read_bounded(_INCLUDES, metadata.private_fd, _MAX_FRAGMENT_BYTES)
    return frozenset() if content is None else samba.parse_includes(content.decode(errors="replace"))
