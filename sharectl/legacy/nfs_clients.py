"""Access rules for the clients of an exported folder, none of which lets anybody do more than the export did."""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.legacy.export_options import fate_of
from sharectl.legacy.findings import Finding, Outcome
from sharectl.legacy.prefixes import Prefixes, prefix_of
from sharectl.legacy.treatment import TREATMENT_OPTIONS, Treatment, treatment_of_options, treatment_of_settings
from sharectl.manifests.access import AccessError, canonical_client
from sharectl.model.access import AccessLevel, AccessRule, AccessType
from sharectl.model.client_addresses import without_ipv6_notation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.legacy.exports import ExportedTo
    from sharectl.legacy.findings import Place
    from sharectl.legacy.prefixes import Prefix
    from sharectl.model.access import ExportSettings

EVERYBODY: Final = ("0.0.0.0/0", "::/0")
_NETMASK_BITS: Final = 32


class Said(NamedTuple):
    """The rules that were made, each with the line that it is from, and what else there is to say."""

    rules: tuple[tuple[AccessRule, Place], ...]
    findings: tuple[Finding, ...]


class _Rank(IntEnum):
    """The kinds of clients, in the order in which an NFS server of Linux looks for one that matches."""

    HOST = 0
    NETWORK = 1
    PATTERN = 2
    NETGROUP = 3
    EVERYBODY = 4
    KERBEROS = 5


class _Held(NamedTuple):
    """A client that no rule can name, or not as it was treated: whoever it may be gets no more than this by another rule."""

    export: ExportedTo
    treatment: Treatment


def rules_of_exports(
    exports: Sequence[ExportedTo], settings: ExportSettings, refused: Mapping[str, str] | None = None
) -> Said:
    """Return rules for the clients of one folder, in the order of its lines, on a share with these `settings`.

    `refused` are rules by key that the backend cannot put in force, with the reason: without them, the others say less as well.
    """
    return _Folder(exports, settings, refused or {}).said()


class _Folder:
    """Works through the clients of one folder, those first that a server would look at first."""

    def __init__(self, exports: Sequence[ExportedTo], settings: ExportSettings, refused: Mapping[str, str]) -> None:
        self._exports, self._settings, self._refused = exports, settings, refused
        self._findings: list[Finding] = []
        self._rules: dict[str, tuple[AccessRule, Place]] = {}
        self._unplaced: dict[Treatment, _Held] = {}
        self._held = Prefixes[dict[Treatment, _Held]]()
        self._earlier = Prefixes[_Held]()

    def said(self) -> Said:
        ranked = sorted(enumerate(self._exports), key=lambda pair: (rank_of(pair[1].client), pair[0]))
        seen: dict[str, ExportedTo] = {}
        for _, export in ranked:
            first = seen.setdefault(export.client, export)
            if export.is_stray or export.is_silent:
                self._tell_world(export)
            elif first is export:
                self._client(export)
            else:
                self._tell_again(export, first.place)
        return Said(tuple(self._rules.values()), tuple(self._findings))

    def _client(self, export: ExportedTo) -> None:
        treatment = treatment_of_options(export.options)
        if treatment is None:
            self._tell(export, Outcome.LEFT_OUT, "a user or group in it is no number", "correct it")
        if self._tell_options(export) or treatment is None:
            treatment = Treatment("none")
        try:
            networks = networks_of(export.client)
        except AccessError as problem:
            self._tell(export, Outcome.LEFT_OUT, problem.summary, problem.remedy)
            if problem.code != "nobody":
                self._unplaced.setdefault(treatment, _Held(export, treatment))
            return
        prefixes = [prefix_of(network) for network in networks]
        if self._is_covered(export, treatment, prefixes):
            return
        given = self._given(export, treatment, networks)
        lowered = None if given is None else self._lowered(export, given, prefixes)
        if lowered is None:
            self._hold(_Held(export, treatment), prefixes)
            return
        for network, prefix in zip(networks, prefixes, strict=True):
            rule = AccessRule(AccessType.IP, network, AccessLevel(lowered.level))
            self._rules[rule.key] = (rule, export.place)
            self._earlier.add(prefix, _Held(export, treatment))

    def _given(self, export: ExportedTo, treatment: Treatment, networks: Sequence[str]) -> Treatment | None:
        """Return how a rule would treat the client; None where no rule can, or only one that gives it more than it is to have."""
        if treatment.level == "none":
            return None
        reason = next(
            (self._refused[key] for network in networks if (key := f"{AccessType.IP}:{network}") in self._refused), None
        )
        if reason is not None:
            self._tell(export, Outcome.LEFT_OUT, reason, "see to it, then write the rule yourself")
            return None
        given = treatment_of_settings(self._settings, treatment.level)
        if more := given.beyond(treatment):
            why = f"a share would give it more: {_compared(given, treatment, more)}"
            self._tell(export, Outcome.LEFT_OUT, why, "write the rule yourself if that is meant")
            return None
        if less := treatment.beyond(given):
            why = f"a share gives it less: {_compared(given, treatment, less)}"
            self._tell(export, Outcome.NARROWED, why, "see the settings of the backend and of the share type")
        return given

    def _hold(self, held: _Held, prefixes: Sequence[Prefix]) -> None:
        """Remember that no wider rule may give this client more."""
        for prefix in prefixes:
            self._earlier.add(prefix, held)
            for around in prefix.around():
                self._held.setdefault(around, {}).setdefault(held.treatment, held)

    def _is_covered(self, export: ExportedTo, treatment: Treatment, prefixes: Sequence[Prefix]) -> bool:
        """Tell whether an earlier client is the same, or a network that decides for this one, which then grants nothing beyond it."""
        if export.client == "*":
            return False
        same = self._earlier.get(prefixes[0])
        if same is not None:
            self._tell_again(export, same.export.place)
            return True
        earlier = self._earlier.narrowest(prefixes[0])
        if earlier is None or rank_of(export.client) is _Rank.HOST:
            return False
        decides = (
            f"{earlier.export.client} in line {earlier.export.place.line} holds it, comes first, and decides for it"
        )
        if treatment.beyond(earlier.treatment):
            self._tell(export, Outcome.LEFT_OUT, decides, "write the rule if the narrower network is to decide")
            return True
        if treatment != earlier.treatment:
            remedy = "remove the rule if the wider one is to decide"
            self._tell(export, Outcome.NARROWED, f"{decides}; of rules the narrower does", remedy)
        return False

    def _lowered(self, export: ExportedTo, treatment: Treatment, prefixes: Sequence[Prefix]) -> Treatment | None:
        """Return how the client may be treated, so that no client without a rule of its own gets more by this one; None for not at all."""
        inside = [held for prefix in prefixes for held in self._held.get(prefix, {}).values()]
        for held in (*self._unplaced.values(), *inside):
            more = treatment.beyond(held.treatment)
            if not more:
                continue
            named = f"{held.export.client} in line {held.export.place.line} gets less, has no rule, and may be one of its clients"
            remedy = f"write a rule for {held.export.client}, then this one as it was"
            if more != ("level",) or held.treatment.level != "ro":
                self._tell(export, Outcome.LEFT_OUT, named, remedy)
                return None
            self._tell(export, Outcome.NARROWED, f"{named}; so all of them get ro", remedy)
            treatment = treatment._replace(level="ro")
        return treatment

    def _tell_options(self, export: ExportedTo) -> bool:
        """Say what becomes of the options that are no treatment, and tell whether one of them shuts clients out."""
        shuts_out = False
        for option in dict.fromkeys(export.options):
            if option.name in TREATMENT_OPTIONS:
                continue
            fate = fate_of(option)
            shuts_out = shuts_out or fate.shuts_out
            what = str(option) if fate.outcome is Outcome.AS_SERVED else f"{shown_export(export)}: {option}"
            self._findings.append(Finding(export.place, fate.outcome, what, fate.why, fate.remedy, export.path))
        if shuts_out:
            self._tell(export, Outcome.LEFT_OUT, "one of its options keeps clients out in a way that no rule can say")
        return shuts_out

    def _tell_world(self, export: ExportedTo) -> None:
        """Leave a world out that may have got in by a slip."""
        self._tell_options(export)
        if export.is_silent:
            why, remedy = (
                "no client is named, which means the whole world",
                "name the clients, or write * for the world",
            )
        else:
            why = (
                "for the space before the bracket, it is for the whole world, and the client before it has the defaults"
            )
            remedy = "take the space out, or write * before the bracket if the world is meant, and import again"
        self._tell(export, Outcome.LEFT_OUT, why, remedy)

    def _tell_again(self, export: ExportedTo, first: Place) -> None:
        self._tell_options(export)
        why = f"line {first.line} names this client before, and a server ignores the second time"
        self._tell(export, Outcome.LEFT_OUT, why, "remove one of them")

    def _tell(self, export: ExportedTo, outcome: Outcome, why: str, remedy: str = "") -> None:
        self._findings.append(Finding(export.place, outcome, shown_export(export), why, remedy, export.path))


def rank_of(client: str) -> _Rank:
    """Return which kind of client the text names, as nfs-utils tells them apart."""
    if client == "*":
        return _Rank.EVERYBODY
    if client.startswith("gss/"):
        return _Rank.KERBEROS
    if client.startswith("@"):
        return _Rank.NETGROUP
    if any(mark in client.partition("/")[0] for mark in "*?["):
        return _Rank.PATTERN
    return _Rank.NETWORK if "/" in client else _Rank.HOST


def networks_of(client: str) -> tuple[str, ...]:
    """Return the addresses and networks that a client stands for, in canonical form. Raises AccessError where it stands for none."""
    if client == "*":
        return EVERYBODY
    if client.startswith("gss/"):
        raise AccessError(
            summary=f"{client[:80]!r} lets in by Kerberos alone", remedy="shares know the flavour sys", code="ip"
        )
    return (canonical_client(without_ipv6_notation(_with_prefix(client))),)


def _with_prefix(client: str) -> str:
    """Return a network in the form ADDRESS/LENGTH, without its host bits, which a server ignores; anything else unchanged."""
    address, slash, mask = client.partition("/")
    if not slash or "%" in client:
        return client
    try:
        if "." in mask:
            inverse = ~int(ipaddress.IPv4Address(mask)) & 0xFFFFFFFF
            if inverse & (inverse + 1):
                return client
            mask = str(_NETMASK_BITS - inverse.bit_length())
        return str(ipaddress.ip_network(f"{address}/{mask}", strict=False))
    except ValueError:
        return client


def shown_export(export: ExportedTo) -> str:
    """Return a client as the file has it, after its folder."""
    options = ",".join(str(option) for option in export.options)
    client = "" if export.is_stray or export.is_silent else export.client
    return f"{export.path} {client}{f'({options})' if options else ''}".rstrip()


def _compared(served: Treatment, wanted: Treatment, fields: Sequence[str]) -> str:
    return ", ".join(_texts(served, wanted, fields))


def _texts(served: Treatment, wanted: Treatment, fields: Sequence[str]) -> Iterator[str]:
    for name in fields:
        before, after = (_text(name, getattr(treatment, name)) for treatment in (wanted, served))
        yield f"{name} {before} → {after}"


def _text(name: str, value: object) -> str:
    if name == "anonymous" and isinstance(value, tuple):
        return ":".join(map(str, value))
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return str(value).lower()
