"""What a client, a user or a group may reach, by which rule, and what shuts it out: from the rules that are in force."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.access import ANYBODY, BOTH, CIFS, NFS, AccessLevel, AccessType, protocols_in, smb_rules
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.frozen import dataclass
from sharectl.model.precedence import RANKS, Network
from sharectl.mounting.clients import Span, parse_client, span_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sharectl.model.access import AccessRule
    from sharectl.model.kinds import Address
    from sharectl.model.records import RuleRecord

_BITS: Final = {4: 32, 6: 128}
_BITS_OF_PART: Final = {4: 8, 6: 16}
_PREFIXES: Final = {"user:": AccessType.USER, "group:": AccessType.GROUP, "guest:": AccessType.GUEST}
_HOST: Final = "host:"
_LIKE_ADDRESS: Final = re.compile(r"[0-9]+(\.[0-9]+)+(/.*)?")


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked about: a client by its addresses, or a user, a group or guests by name.

    `groups` are those that the user is said to be in: nobody here knows.
    """

    text: str
    access_type: AccessType
    spans: tuple[Span, ...] = ()
    name: str = ""
    groups: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What the subject may do in one share, over one protocol.

    `client` are the addresses, or the name, that it is said of: of a network the part that has a rule of its own. `rule` decides; None
    where no rule is needed, as for an address from which the users of a share may come. `beside` are rules that have to be met as well: as
    whom, for an address, and from where, for a user. `why` says what else there is to know.
    """

    address: Address
    protocol: str
    client: str
    level: str
    rule: AccessRule | None
    beside: tuple[AccessRule, ...] = ()
    why: str = ""

    @property
    def is_shut_out(self) -> bool:
        """Tell whether it may do nothing."""
        return self.level == AccessLevel.NONE


def parse_subject(text: str, groups: Sequence[str], addresses_of_host: Callable[[str], Sequence[str]]) -> Subject:
    r"""Return who is meant by an address, a network, `host:NAME`, a user (`CORP\alice`, `user:alice`, `*`), `group:NAME` or `guest`.

    Raises DiagnosticError where it is nobody.
    """
    if span_of(text.removeprefix("[").removesuffix("]").removeprefix("ip:")) is not None or text.startswith(_HOST):
        if groups:
            raise DiagnosticError(
                error("usage.group", f"{text[:80]} is in no group: groups are of users", remedy="leave --group out")
            )
        client = parse_client(text.removeprefix(_HOST).removeprefix("ip:"), addresses_of_host)
        return Subject(text, AccessType.IP, spans=client.spans)
    if _LIKE_ADDRESS.fullmatch(text) is not None:
        remedy = "write an address such as 10.0.3.5, or a network such as 10.0.3.0/24"
        raise DiagnosticError(error("usage.client", f"{text[:80]!r} is not an address or a network", remedy=remedy))
    if text == AccessType.GUEST:
        return Subject(text, AccessType.GUEST, name=ANYBODY)
    prefix = next((prefix for prefix in _PREFIXES if text.startswith(prefix)), "user:")
    kind = _PREFIXES[prefix]
    name = _canonical(kind, text.removeprefix(prefix))
    return Subject(text, kind, name=name, groups=tuple(_canonical(AccessType.GROUP, group) for group in groups))


def _canonical(access_type: AccessType, name: str) -> str:
    from sharectl.manifests.access import AccessError, canonical_to  # noqa: PLC0415 - not for addresses

    try:
        return canonical_to(access_type, name)
    except AccessError as problem:
        remedy = (
            rf"{problem.remedy}; an address is 10.0.3.5, a network 10.0.3.0/24, a machine host:NAME, a group group:NAME"
        )
        raise DiagnosticError(error("usage.who", problem.summary, remedy=remedy)) from problem


def names_around(span: Span) -> list[str]:
    """Return how rules name the networks that hold all these addresses: few enough to be asked for one by one."""
    bits = _BITS[span.version]
    whole = Network(span.version, span.prefix_length, span.first >> (bits - span.prefix_length))
    return [str(whole.shortened(length)) for length in range(span.prefix_length, -1, -1)]


def beginnings_within(span: Span) -> list[str]:
    """Return texts with which the names of all networks within these addresses begin; others may begin so, too.

    A single address has none within. Of IPv6, whose texts leave out zeros, whole groups before the first zero are looked at.
    """
    if span.prefix_length == _BITS[span.version]:
        return []
    if span.version == 4:  # noqa: PLR2004 - IPv4
        return _beginnings_of_ipv4(span)
    groups = [span.first >> (112 - 16 * number) & 0xFFFF for number in range(span.prefix_length // 16)]
    known = groups[: groups.index(0)] if 0 in groups else groups
    return ["".join(f"{group:x}:" for group in known)]


def _beginnings_of_ipv4(span: Span) -> list[str]:
    whole, rest = divmod(span.prefix_length, 8)
    octets = [span.first >> (24 - 8 * number) & 0xFF for number in range(4)]
    base = "".join(f"{octet}." for octet in octets[:whole])
    if not rest or whole == 3:  # noqa: PLR2004 - within the last octet all have one beginning
        return [base]
    return [f"{base}{octet}." for octet in range(octets[whole], octets[whole] + (1 << (8 - rest)))]


def verdicts(
    subject: Subject, address: Address, protocol: str | None, rules: Iterable[AccessRule]
) -> Iterator[Verdict]:
    """Yield what the rules in force of a share say of the subject, NFS first; nothing where none is about it."""
    active = tuple(rules)
    for one in protocols_in(protocol):
        meant, why = (active, "") if protocol != BOTH or one == NFS else smb_rules(active)
        if subject.access_type is AccessType.IP:
            for span in subject.spans:
                yield from _of_addresses(address, one, span, tuple(meant))
        elif one == CIFS:
            yield from _of_people(subject, address, active if why else tuple(meant), why)


def _of_addresses(address: Address, protocol: str, span: Span, rules: tuple[AccessRule, ...]) -> Iterator[Verdict]:
    hosts = [
        (found, rule) for rule in rules if rule.access_type == AccessType.IP and (found := span_of(rule.access_to))
    ]
    people = tuple(rule for rule in rules if rule.access_type != AccessType.IP) if protocol == CIFS else ()
    granting = tuple(filter(_grants, people))
    around = max(((found.prefix_length, rule) for found, rule in hosts if found.covers(span)), default=None)
    inside = sorted((found, rule) for found, rule in hosts if span.covers(found) and found != span)
    if people and not granting:
        return
    best = max((rule.access_level for rule in granting), key=_rank, default=str(AccessLevel.READ_WRITE))
    whole = str(Network(span.version, span.prefix_length, span.first >> (_BITS[span.version] - span.prefix_length)))

    def verdict(client: str, rule: AccessRule | None) -> Verdict:
        level = best if rule is None else min(best, rule.access_level, key=_rank)
        why = "" if granting or protocol == NFS or level == AccessLevel.NONE else "every user that its server knows"
        return Verdict(address, protocol, client, level, rule, granting if level != AccessLevel.NONE else (), why)

    if around is not None:
        yield verdict(whole, around[1])
    elif inside and granting and not any(_grants(rule) for _, rule in hosts):
        yield verdict(whole, None)  # its users come from everywhere, but for what is shut out
    for _, rule in inside:
        yield verdict(rule.access_to, rule)


def _of_people(subject: Subject, address: Address, rules: tuple[AccessRule, ...], why: str) -> Iterator[Verdict]:
    hosts = tuple(rule for rule in rules if rule.access_type == AccessType.IP)
    granted = [rule.access_level for rule in hosts if _grants(rule)]
    most = max(granted, key=_rank, default=str(AccessLevel.READ_WRITE))
    for client, rule in _deciding(subject, rules):
        level = str(AccessLevel.NONE) if why else min(rule.access_level, most, key=_rank)
        yield Verdict(address, CIFS, client, level, rule, hosts, why)


def _deciding(subject: Subject, rules: Sequence[AccessRule]) -> Iterator[tuple[str, AccessRule]]:
    """Yield who is meant and the rule that decides: that of the user, else of several groups the one that grants least, else that for all."""

    def of(access_type: str, name: str) -> list[AccessRule]:
        return [
            rule for rule in rules if rule.access_type == access_type and rule.access_to.casefold() == name.casefold()
        ]

    own = of(subject.access_type, subject.name)
    if subject.access_type is AccessType.USER and not own:
        own = sorted(
            (rule for group in subject.groups for rule in of("group", group)), key=lambda rule: _rank(rule.access_level)
        )
        own = own or of("user", ANYBODY)
    if own:
        yield ("guests" if subject.access_type is AccessType.GUEST else subject.name), own[0]
    if subject.access_type is AccessType.USER:
        for rule in of("guest", ANYBODY):
            yield "guests", rule


def concerns(subject: Subject, rule: AccessRule) -> bool:
    """Tell whether a rule is about the subject, whatever others say."""
    if subject.access_type is AccessType.IP:
        found = span_of(rule.access_to) if rule.access_type == AccessType.IP else None
        return found is not None and any(found.covers(span) or span.covers(found) for span in subject.spans)
    name = rule.access_to.casefold()
    named = rule.access_type == subject.access_type and name == subject.name.casefold()
    is_user = subject.access_type is AccessType.USER
    in_group = (
        is_user and rule.access_type == AccessType.GROUP and name in {group.casefold() for group in subject.groups}
    )
    return named or in_group or (is_user and rule.access_type != AccessType.IP and rule.access_to == ANYBODY)


def refused_rules(
    subject: Subject, rules: Mapping[Address, Iterable[RuleRecord]]
) -> Iterator[tuple[Address, RuleRecord]]:
    """Yield the rules about the subject that are recorded and not in force, since the backend refused them."""
    for address, records in rules.items():
        yield from ((address, each) for each in records if each.status != "active" and concerns(subject, each.rule))


def _grants(rule: AccessRule) -> bool:
    return rule.access_level != AccessLevel.NONE


def _rank(level: str) -> int:
    return RANKS.get(level, len(RANKS))
