"""Access rules for the clients of an exported folder, none of which lets anybody do more than the export did."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.legacy.export_options import fate_of
from sharectl.legacy.findings import Finding, Outcome
from sharectl.legacy.treatment import TREATMENT_OPTIONS, Treatment, treatment_of_options, treatment_of_settings
from sharectl.manifests.access import AccessError, canonical_client
from sharectl.model.access import AccessLevel, AccessRule, AccessType
from sharectl.model.client_addresses import without_ipv6_notation
from sharectl.model.precedence import Network, deciding, network_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.legacy.exports import ExportedTo
    from sharectl.legacy.findings import Place
    from sharectl.model.access import ExportSettings

EVERYBODY: Final = ("0.0.0.0/0", "::/0")
_NETMASK_BITS: Final = 32
_BY_HAND: Final = "write the rule yourself if that is meant"


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


RuleCheck = Callable[[Sequence[AccessRule]], Mapping[AccessRule, str]]
"""Returns those of a share's rules that its backend cannot put in force, with the reason."""


def rules_of_exports(exports: Sequence[ExportedTo], settings: ExportSettings, check: RuleCheck) -> Said:
    """Return rules for the clients of one folder on a share with these `settings`, none of which the backend refuses.

    In place of one that is refused, others are tried that say less.
    """
    refused: dict[AccessRule, str] = {}
    while True:
        said = _Folder(exports, settings, refused).said()
        found = check([rule for rule, _ in said.rules])
        # A driver that cannot keep somebody out, or treat a client as asked, refuses the other rules because of that.
        first = {rule: why for rule, why in found.items() if rule.access_level == AccessLevel.NONE or rule.options}
        if not found:
            return said
        refused |= first or found


class _Folder:
    """Works through the clients of one folder, those first that a server would look at first."""

    def __init__(
        self, exports: Sequence[ExportedTo], settings: ExportSettings, refused: Mapping[AccessRule, str]
    ) -> None:
        self._exports, self._settings, self._refused = exports, settings, refused
        self._findings: list[Finding] = []
        self._rules: dict[str, tuple[AccessRule, Place]] = {}
        self._unplaced: dict[Treatment, _Held] = {}
        self._held = dict[Network, dict[Treatment, _Held]]()
        self._earlier = dict[Network, _Held]()

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
        return Said(self._needed(), tuple(self._findings))

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
        parsed = [found for network in networks if (found := network_of(network)) is not None]
        if self._is_covered(export, treatment, parsed):
            return
        given = self._given(export, treatment, networks)
        lowered = None if given is None else self._lowered(export, given, parsed)
        rules = () if lowered is None else self._as_rules(lowered, networks)
        if reason := self._refusal(rules):
            self._tell(export, Outcome.LEFT_OUT, reason, _BY_HAND)
            rules = ()
        if not rules:
            self._shut_out(_Held(export, treatment), networks, parsed)
        for rule in rules:
            self._rules[rule.key] = (rule, export.place)
        for network in parsed:
            self._earlier.setdefault(network, _Held(export, treatment))

    def _given(self, export: ExportedTo, treatment: Treatment, networks: Sequence[str]) -> Treatment | None:
        """Return how rules can treat the client: as before, else with less; None where they would give it more, or the backend refuses them."""
        if treatment.level == "none":
            return None
        served = treatment_of_settings(self._settings, treatment.level)
        without_kerberos = treatment._replace(security=treatment.security & {"sys"})
        reason = ""
        for given in dict.fromkeys((treatment, without_kerberos, served)):
            if not given.is_sayable or given.beyond(treatment):
                continue
            refusal = self._refusal(self._as_rules(given, networks))
            if not refusal:
                if less := treatment.beyond(given):
                    why = (
                        f"a share gives it less: {_compared(given, treatment, less)}{f' ({reason})' if reason else ''}"
                    )
                    self._tell(export, Outcome.NARROWED, why, "see the settings of the backend and of the share type")
                return given
            reason = reason or refusal
        if more := served.beyond(treatment):
            why = f"a share would give it more: {_compared(served, treatment, more)}"
            reason = f"{why} ({reason})" if reason else why
        self._tell(export, Outcome.LEFT_OUT, reason, _BY_HAND)
        return None

    def _as_rules(self, treatment: Treatment, networks: Sequence[str]) -> tuple[AccessRule, ...]:
        """Return the rules that treat these networks so, with options only for what a share does otherwise."""
        served = treatment_of_settings(self._settings, treatment.level)
        options = treatment.options_beside(served)
        return tuple(AccessRule(AccessType.IP, network, AccessLevel(treatment.level), options) for network in networks)

    def _refusal(self, rules: Sequence[AccessRule]) -> str:
        """Return why the backend refuses one of the rules; an empty text where it does not."""
        return next((self._refused[rule] for rule in rules if rule in self._refused), "")

    def _shut_out(self, held: _Held, networks: Sequence[str], parsed: Sequence[Network]) -> None:
        """Keep the client out by rules, or where none can, remember that no wider rule may give it more."""
        rules = [AccessRule(AccessType.IP, network, AccessLevel.NONE) for network in networks]
        if not self._refusal(rules):
            for rule in rules:
                self._rules[rule.key] = (rule, held.export.place)
            return
        for network in parsed:
            for length in range(network.length + 1):
                self._held.setdefault(network.shortened(length), {}).setdefault(held.treatment, held)

    def _needed(self) -> tuple[tuple[AccessRule, Place], ...]:
        """Return the rules without those that keep out whom nothing lets in."""
        by_network = {network_of(rule.access_to): rule for rule, _ in self._rules.values()}
        granted = {network: rule for network, rule in by_network.items() if network is not None}
        return tuple(
            (rule, place)
            for rule, place in self._rules.values()
            if rule.access_level != AccessLevel.NONE or _is_let_in(network_of(rule.access_to), granted)
        )

    def _is_covered(self, export: ExportedTo, treatment: Treatment, networks: Sequence[Network]) -> bool:
        """Tell whether an earlier client is the same, or a network that decides for this one, which then grants nothing beyond it."""
        if export.client == "*":
            return False
        same = self._earlier.get(networks[0])
        if same is not None:
            self._tell_again(export, same.export.place)
            return True
        earlier = deciding(networks[0], self._earlier)
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

    def _lowered(self, export: ExportedTo, treatment: Treatment, networks: Sequence[Network]) -> Treatment | None:
        """Return how the client may be treated, so that no client without a rule of its own gets more by this one; None for not at all."""
        inside = [held for network in networks for held in self._held.get(network, {}).values()]
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


def _is_let_in(network: Network | None, granted: Mapping[Network, AccessRule]) -> bool:
    """Tell whether what is around the network lets it in."""
    if network is None or network.length == 0:
        return False
    around = deciding(network.shortened(network.length - 1), granted)
    return around is not None and around.access_level != AccessLevel.NONE


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
