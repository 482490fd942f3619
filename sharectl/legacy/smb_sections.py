"""Access rules for a section of smb.conf(5), and what becomes of everything else in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.legacy.findings import Finding, Outcome
from sharectl.legacy.nfs_clients import Said
from sharectl.legacy.smb_conf import inherited
from sharectl.legacy.smb_hosts import Reach, both, cut, hosts_in, reach_of
from sharectl.legacy.smb_parameters import RULES, fate_of_parameter, truth_of
from sharectl.legacy.smb_people import people_of
from sharectl.model.access import ANYBODY, AccessLevel, AccessRule, AccessType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sharectl.legacy.findings import Place
    from sharectl.legacy.nfs_clients import RuleCheck
    from sharectl.legacy.smb_conf import Parameter, Section, SmbConf
    from sharectl.legacy.smb_people import PeopleRule
    from sharectl.model.access import ExportSettings

_SPECIAL: Final[Mapping[str, str]] = {
    "homes": "it makes a share for each user who comes; make one for each user who is to have one",
    "printers": "it is for printers, which are no shares",
    "print$": "it is for drivers of printers, which are no shares",
    "ipc$": "a server has it without being asked",
    "admin$": "a server has it without being asked",
}
_BOOLEANS: Final = ("read only", "guest ok", "guest only", "available", "printable")
_DEMANDS: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "smb encrypt": ("encryption", frozenset({"required", "mandatory", "force", "forced", "enforced"})),
    "server signing": (
        "signing",
        frozenset({"required", "mandatory", "force", "forced", "enforced", "yes", "true", "on", "1"}),
    ),
}
"""What a server may ask of clients, with the setting of the backend that asks the same."""


def why_no_share(section: Section) -> tuple[str, str] | None:
    """Return why a section is no share that could be taken over, and what to do; None where it is one."""
    special = _SPECIAL.get(section.name.lower())
    if special is not None:
        why, _, remedy = special.partition("; ")
        return why, remedy
    if truth_of(section.value("printable") or "no"):
        return _SPECIAL["printers"], ""
    if truth_of(section.value("available") or "yes") is False:
        return "it is turned off (available = no)", "remove that if it is to be served, then import again"
    path = section.value("path")
    if not path:
        return "it has no path", "give it one, then import again"
    if "%" in path:
        return f"its path, {path}, is another one for each client", "make a share of each folder that it stands for"
    return None


def findings_of_globals(conf: SmbConf) -> Iterator[Finding]:
    """Yield what becomes of the parameters in [global] that are no defaults of access rules; those are told by the sections."""
    for parameter in conf.globals_.own:
        if parameter in conf.globals_.unread or parameter.name == "include":
            continue
        if parameter.name in RULES:
            yield Finding(parameter.place, Outcome.AS_SERVED, str(parameter), "it holds for the sections below")
            continue
        yield from _of_fate(parameter, "", of_server=True)
    for parameter in conf.globals_.unread:
        yield Finding(parameter.place, Outcome.LEFT_OUT, str(parameter), _UNREAD, _UNREAD_REMEDY)


_UNREAD: Final = "what it brings is not known, so that nobody is let in by what stands here"
_UNREAD_REMEDY: Final = "put what it names into the file, or remove the line, then import again"
_BY_HAND: Final = "write the rules yourself if that is meant"
_LISTS: Final = frozenset(
    {"valid users", "read list", "write list", "invalid users", "hosts allow", "hosts deny", "guest ok"}
)


def rules_of_section(conf: SmbConf, section: Section, settings: ExportSettings, check: RuleCheck) -> Said:
    """Return rules for a section on a share with these `settings`, none of which the backend refuses, and findings for all the rest."""
    refused: dict[AccessRule, str] = {}
    while True:
        said = _Section(conf, section, settings, refused).said()
        found = check([rule for rule, _ in said.rules])
        if not found:
            return said
        first = {rule: why for rule, why in found.items() if rule.access_level == AccessLevel.NONE}
        refused |= first or found


class _Section:
    """Works through one section."""

    def __init__(
        self, conf: SmbConf, section: Section, settings: ExportSettings, refused: Mapping[AccessRule, str]
    ) -> None:
        self._conf, self._section, self._settings, self._refused = conf, section, dict(settings), refused
        self._folder = section.value("path")
        self._findings: list[Finding] = []
        self._obstacle = ""

    def said(self) -> Said:
        for parameter in self._section.own:
            self._parameter(parameter)
        for parameter in inherited(self._section).values():
            if (
                fate_of_parameter(parameter.name, parameter.value, of_server=True).shuts_out
                and parameter.name not in RULES
            ):
                self._obstacle = self._obstacle or f"{parameter} of line {parameter.place.line} keeps somebody out"
        self._obstacle = self._obstacle or self._of_server()
        people, reach = people_of(self._section), self._reach()
        for remark in people.remarks:
            what = f"{remark.parameter} = {remark.value}"
            self._tell(self._place(remark.parameter), remark.outcome, what, remark.why, remark.remedy)
        for lost in reach.lost:
            self._tell(self._place("hosts allow", "hosts deny"), Outcome.LEFT_OUT, lost.host, lost.why)
        hosts = self._hosts(reach)
        rules = self._people(people.rules)
        obstacle = self._obstacle or people.why_not or reach.why_not
        if obstacle or all(rule.access_level == AccessLevel.NONE for rule, _ in rules):
            self._tell_nobody(obstacle or "the backend can put none of its rules in force")
            return Said((), tuple(self._findings))
        self._tell_needless({rule.access_to for rule, _ in hosts} | {lost.host for lost in reach.lost})
        return Said((*rules, *hosts), tuple(self._findings))

    def _tell_needless(self, told: Collection[str]) -> None:
        """Say of a list of hosts, some of which have no rules and were not told of, that these need none."""
        for parameter in self._section.own:
            if parameter.name in {"hosts allow", "hosts deny"}:
                listed = hosts_in(parameter.value)
                if not {str(network) for network in (*listed.networks, *listed.but)} <= set(told):
                    why = "what has no rule of these is within others, or all are let in or kept out without one"
                    self._tell(parameter.place, Outcome.AS_SERVED, str(parameter), why)

    def _tell_nobody(self, why: str) -> None:
        """Say of each list that nobody gets in by it."""
        said = [found for found in self._section.own if found.name in _LISTS]
        for parameter in said:
            self._tell(parameter.place, Outcome.LEFT_OUT, str(parameter), why, _BY_HAND)
        if not said:
            self._tell(self._section.place, Outcome.LEFT_OUT, "all users", why, _BY_HAND)

    def _parameter(self, parameter: Parameter) -> None:
        if parameter in self._section.unread:
            self._tell(parameter.place, Outcome.LEFT_OUT, str(parameter), _UNREAD, _UNREAD_REMEDY)
            self._obstacle = f"what {parameter} brings is not known"
        elif self._section.parameters.get(parameter.name, parameter) != parameter:
            self._tell(parameter.place, Outcome.AS_SERVED, str(parameter), "a later line says otherwise, and holds")
        elif parameter.name in _BOOLEANS and truth_of(parameter.value) is None:
            self._tell(parameter.place, Outcome.LEFT_OUT, str(parameter), "it is neither yes nor no", "correct it")
            self._obstacle = f"{parameter} is neither yes nor no"
        elif parameter.name in _DEMANDS:
            self._tell(parameter.place, Outcome.AS_SERVED, str(parameter), "the backend says what clients have to do")
        elif parameter.name not in {*RULES, "include", "copy"}:
            for found in _of_fate(parameter, self._folder, of_server=False):
                self._findings.append(found._replace(what=self._what(found)))
            if fate_of_parameter(parameter.name, parameter.value, of_server=False).shuts_out:
                self._obstacle = self._obstacle or f"{parameter} keeps somebody out in a way that no rule can say"

    def _what(self, found: Finding) -> str:
        return found.what if found.outcome is Outcome.AS_SERVED else f"[{self._section.name}] {found.what}"

    def _of_server(self) -> str:
        """Return why nobody can be let in because of what holds for the whole server."""
        if self._conf.globals_.unread:
            return f"what {self._conf.globals_.unread[0]} brings is not known"
        globals_ = self._conf.globals_.parameters
        if (found := globals_.get("security")) and found.value.lower() in {"share", "server"}:
            return f"{found}: users have no names there"
        for name, (setting, demands) in _DEMANDS.items():
            value = (self._section.value(name) or (globals_[name].value if name in globals_ else "")).lower()
            if value in demands and self._settings.get(setting) != "required":
                return f"{name} = {value}, and the backend does not ask that of clients ({setting}: {self._settings.get(setting) or 'not known'})"
        return ""

    def _reach(self) -> Reach:
        """Return from where the section can be reached; what [global] says holds beside the section's own word."""
        own = reach_of(self._section.value("hosts allow"), self._section.value("hosts deny"))
        of_server = reach_of(self._conf.globals_.value("hosts allow"), self._conf.globals_.value("hosts deny"))
        found = own if own == of_server else both(of_server, own)
        holes = [AccessRule(AccessType.IP, str(network), AccessLevel.NONE) for network in found.but]
        return cut(found) if any(rule in self._refused for rule in holes) else found

    def _hosts(self, reach: Reach) -> list[tuple[AccessRule, Place]]:
        place = self._place("hosts allow", "hosts deny")
        allowed = [AccessRule(AccessType.IP, str(network), AccessLevel.READ_WRITE) for network in reach.networks or ()]
        for rule in allowed:
            if rule in self._refused:
                self._tell(place, Outcome.LEFT_OUT, rule.access_to, self._refused[rule])
        kept = [rule for rule in allowed if rule not in self._refused]
        if allowed and not kept:
            self._obstacle = self._obstacle or "none of the hosts that it lets in can be named in a rule"
        shut_out = [AccessRule(AccessType.IP, str(network), AccessLevel.NONE) for network in reach.but]
        return [(rule, place) for rule in (*kept, *shut_out)]

    def _people(self, found: Sequence[PeopleRule]) -> list[tuple[AccessRule, Place]]:
        """Return the rules for people; without one that the backend refuses, no wider one lets whom it names do more."""
        rules = {rule: AccessRule(rule.type, rule.to, rule.level) for rule in found}
        refused = {rule: self._refused[made] for rule, made in rules.items() if made in self._refused}
        for rule, why in refused.items():
            self._tell(
                self._place(rule.parameter), Outcome.LEFT_OUT, f"{rule.parameter} = {_named(rule)}", why, _BY_HAND
            )
            if rule.level == AccessLevel.NONE:
                self._obstacle = self._obstacle or f"{_named(rule)} is to be kept out: {why}"
        only_read = next((rule for rule in refused if rule.level == AccessLevel.READ_ONLY), None)
        kept = []
        for rule, made in rules.items():
            if rule in refused:
                continue
            if only_read is not None and made.access_level == AccessLevel.READ_WRITE and _is_wide(made):
                why = f"{_named(only_read)} only reads, has no rule, and may be one of them; so all of them get ro"
                self._tell(
                    self._place(rule.parameter), Outcome.NARROWED, f"{rule.parameter} = {_named(rule)}", why, _BY_HAND
                )
                made = made._replace(access_level=AccessLevel.READ_ONLY)  # noqa: PLW2901 - the same rule, saying less
                if made in self._refused:
                    continue
            kept.append((made, self._place(rule.parameter)))
        return kept

    def _place(self, *parameters: str) -> Place:
        """Return where the first of these parameters stands that there is; else the section."""
        there = [self._section.parameters[name].place for name in parameters if name in self._section.parameters]
        return there[0] if there else self._section.place

    def _tell(self, place: Place, outcome: Outcome, what: str, why: str, remedy: str = "") -> None:
        shown = what if outcome is Outcome.AS_SERVED else f"[{self._section.name}] {what}"
        self._findings.append(Finding(place, outcome, shown, why, remedy, self._folder))


def _named(rule: PeopleRule) -> str:
    mark = "@" if rule.type == AccessType.GROUP else ""
    return {(AccessType.USER, ANYBODY): "all users", (AccessType.GUEST, ANYBODY): "guests"}.get(
        (AccessType(rule.type), rule.to), f"{mark}{rule.to}"
    )


def _is_wide(rule: AccessRule) -> bool:
    """Tell whether the rule may be for somebody whom another rule names."""
    return rule.access_type != AccessType.USER or rule.access_to == ANYBODY


def _of_fate(parameter: Parameter, folder: str, *, of_server: bool) -> Iterator[Finding]:
    fate = fate_of_parameter(parameter.name, parameter.value, of_server=of_server)
    yield Finding(parameter.place, fate.outcome, str(parameter), fate.why, fate.remedy, folder)
