"""What a section of an SMB server stands for: the rules that it has in force, and its rights apart from name, folder and treatment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent import rights
from sharectl.drivers.linux.agent.contract import Problem, Rule, rule_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.linux.agent.contract import Section, SmbServer
    from sharectl.drivers.linux.agent.smb.people import People


def account_or_none(server: SmbServer, user: str) -> str | None:
    """Return the account that a user of a section means; None for one that somebody wrote there and that can be none."""
    with suppress(Problem):
        return server.account(user)
    return None


def rules_in_force(
    server: SmbServer, section: Section, usable: Collection[str], passwords: Mapping[str, str], people: People | None
) -> tuple[Rule, ...]:
    """Return the rules that a live section has in force, of whose users those who are `usable` can log in.

    Without `people` nobody is asked whom rules for several people mean now.
    """
    able = {user for user in section.users if account_or_none(server, user) in usable}
    if not section.asked:
        return rights.rules_of_section(section, able)
    if people is None:
        return section.asked
    users = rights.users_meant(section.asked, server.account, dict.fromkeys(people.users))
    granted, _ = rights.smb_rights(section.asked, users, people)
    return rights.rules_asked(section, able, passwords.keys(), granted)


def to_plain(section: Section) -> dict[str, Any]:
    """Return the rights of a section as JSON has them."""
    return {
        **{name: sorted(getattr(section, name)) for name in ("writers", "readers", "networks", "shut_out", "denied")},
        "guest": section.guest,
        "asked": [list(rule) for rule in section.asked],
    }


def rights_in(plain: Mapping[str, Any]) -> rights.SmbRights:
    """Return the rights that `to_plain` wrote."""
    lists = {name: frozenset(plain[name]) for name in ("writers", "readers", "networks", "shut_out", "denied")}
    return rights.SmbRights(**lists, guest=plain["guest"], asked=tuple(map(rule_in, plain["asked"])))
