"""The oracle: who could reach what after each single change, so that a gap or a surplus during a change of access is seen."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.emulators.ontap.access_records import CifsShare, ExportPolicy, Qtree
from tests.emulators.ontap.client_matches import network_of
from tests.emulators.ontap.export_rules import NOTHING, Level
from tests.emulators.ontap.reach import View
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from tests.emulators.ontap.client_matches import Address
    from tests.emulators.ontap.world import Event, Record, World

STRANGERS: Final = ("192.0.2.77", "2001:db8::77")
"""Clients that no rule of a test means."""
STRANGER: Final = "NOBODY\\stranger"
_LEVELS: Final = {"none": NOTHING, "ro": Level(read=True), "rw": Level(read=True, write=True)}
_PERMISSIONS: Final = {"no_access": "none", "read": "ro", "change": "rw", "full_control": "rw"}
_PARTS: Final = ("read", "write")


@dataclass(frozen=True, slots=True)
class Finding:
    """Somebody who lacked at one moment what both ends grant (a gap), or had what neither grants (a surplus)."""

    kind: str
    who: str
    part: str
    event: int
    """After so many events."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """Looks back at what happened in a world."""

    world: World

    def now(self) -> int:
        """Return how many events there were, to look from here on later."""
        return len(self.world.events)

    def may(self, client: str, volume: str, part: str = "read", at: int | None = None) -> bool:
        """Tell whether a client may read, write, or be root in a volume by NFS, now or after so many events."""
        moment = self.now() if at is None else at
        view = next(view for _, view in self._moments(moment, moment))
        return bool(getattr(self._nfs_level(volume, ipaddress.ip_address(client))(view), part))

    def check_between(
        self, volume: str, before: Mapping[str, str] | None, after: Mapping[str, str] | None, since: int
    ) -> list[Finding]:
        """Return all gaps and surpluses of the NFS clients of a volume, or of `volume/qtree`, since a moment.

        `before` and `after` say what is meant to hold at the ends, `{client or network: "ro" | "rw"}`, of which the longest that
        fits a client decides; None takes what did hold.
        """
        named = [*(before or ()), *(after or ()), *self._matches(since)]
        clients = {str(client): client for client in _probes(named)}
        return self._findings(
            since,
            {text: self._nfs_level(volume, client) for text, client in clients.items()},
            None if before is None else {text: _meant(before, client) for text, client in clients.items()},
            None if after is None else {text: _meant(after, client) for text, client in clients.items()},
        )

    def check_cifs_between(
        self, share: tuple[str, str], before: Mapping[str, str] | None, after: Mapping[str, str] | None, since: int
    ) -> list[Finding]:
        """Return all gaps and surpluses of the accounts of a CIFS share, which is named by SVM and name, since a moment.

        `before` and `after` are `{account: permission}`; an account is a user who is in no group but everyone.
        """
        svm, name = share
        uuid = self.world[Svm].where(name=svm)[0].uuid
        accounts = {*(before or ()), *(after or ()), *self._accounts(uuid, name, since), STRANGER} - {"Everyone"}
        return self._findings(
            since,
            {account: _cifs_level(uuid, name, account) for account in sorted(accounts)},
            None if before is None else {account: _granted(before, account) for account in accounts},
            None if after is None else {account: _granted(after, account) for account in accounts},
        )

    def reached(self, volume: str, since: int) -> list[Finding]:
        """Return who could read a volume at any moment: for one that nobody is to reach."""
        nobody = dict.fromkeys(STRANGERS, "none")
        return self.check_between(volume, nobody, nobody, since)

    def _findings(
        self,
        since: int,
        probes: Mapping[str, Callable[[View], Level]],
        before: Mapping[str, Level] | None,
        after: Mapping[str, Level] | None,
    ) -> list[Finding]:
        moments = [
            (number, {who: level_in(view) for who, level_in in probes.items()})
            for number, view in self._moments(since, self.now())
        ]
        first = moments[0][1] if before is None else before
        last = moments[-1][1] if after is None else after
        found = list(_between(moments, first, last))
        if before is not None:
            found += _differing(moments[0], first)
        if after is not None:
            found += _differing(moments[-1], last)
        return list(dict.fromkeys(found))

    def _moments(self, since: int, until: int) -> Iterator[tuple[int, View]]:
        """Yield what held after `since` events and after each one up to `until`; a view is good until the next is asked for."""
        state: dict[type[Record], dict[Hashable, Record]] = {}
        for event in self.world.events[:since]:
            _apply(state, event)
        yield since, _view(state)
        for number, event in enumerate(self.world.events[since:until], start=since + 1):
            _apply(state, event)
            yield number, _view(state)

    def _matches(self, since: int) -> list[str]:
        """Return all client matches of rules that held at some moment."""
        policies = [event.record for event in self.world.events[since:] if isinstance(event.record, ExportPolicy)]
        policies += list(self.world[ExportPolicy])
        return [match for policy in policies for each in policy.rules for match in each.clients]

    def _accounts(self, svm: str, share: str, since: int) -> list[str]:
        records = [event.record for event in self.world.events[since:] if isinstance(event.record, CifsShare)]
        shares = [each for each in [*records, *self.world[CifsShare]] if each.key == (svm, share.lower())]
        return [entry.account for each in shares for entry in each.entries]

    def _nfs_level(self, volume: str, client: Address) -> Callable[[View], Level]:
        """Return how to find what a client may do in `volume`, or in `volume/qtree`."""
        name, _, qtree = volume.partition("/")
        uuid = self._uuid(name)
        return lambda view: view.nfs(uuid, client, qtree)

    def _uuid(self, volume: str) -> str:
        """Return the UUID of a volume that is named by it, or by the newest of its names."""
        seen = [event.record for event in self.world.events if isinstance(event.record, Volume)]
        return next(each.uuid for each in reversed(seen) if volume in {each.uuid, each.name})


def _apply(state: dict[type[Record], dict[Hashable, Record]], event: Event) -> None:
    table = state.setdefault(event.kind, {})
    if event.record is None:
        table.pop(event.key, None)
    else:
        table[event.key] = event.record


def _view(state: Mapping[type[Record], Mapping[Hashable, Record]]) -> View:
    svms = state.get(Svm, {}).values()
    return View(
        volumes=state.get(Volume, {}),
        policies=state.get(ExportPolicy, {}),
        shares=state.get(CifsShare, {}),
        qtrees=state.get(Qtree, {}),
        serving=frozenset(svm.uuid for svm in svms if isinstance(svm, Svm) and svm.is_running),
    )


def _cifs_level(svm: str, share: str, account: str) -> Callable[[View], Level]:
    return lambda view: view.cifs(svm, share, [account])


def _between(
    moments: Iterable[tuple[int, Mapping[str, Level]]], first: Mapping[str, Level], last: Mapping[str, Level]
) -> Iterator[Finding]:
    for number, levels in moments:
        for who, level in levels.items():
            for part in _PARTS:
                had, has, held = (getattr(each, part) for each in (first[who], last[who], level))
                if had and has and not held:
                    yield Finding("gap", who, part, number)
                if held and not had and not has:
                    yield Finding("surplus", who, part, number)


def _differing(moment: tuple[int, Mapping[str, Level]], meant: Mapping[str, Level]) -> Iterator[Finding]:
    number, levels = moment
    for who, level in levels.items():
        for part in _PARTS:
            if getattr(level, part) != getattr(meant[who], part):
                yield Finding("gap" if getattr(meant[who], part) else "surplus", who, part, number)


def _probes(matches: Iterable[str]) -> list[Address]:
    """Return clients that tell rules apart: the ends of each network, its neighbours, and strangers."""
    found = {ipaddress.ip_address(text) for text in STRANGERS}
    for network in filter(None, map(network_of, matches)):
        low, high = int(network.network_address), int(network.broadcast_address)
        for number in {low - 1, low, high, high + 1}:
            if 0 <= number < 2**network.max_prefixlen:
                found.add(type(network.network_address)(number))
    return sorted(found, key=lambda address: (address.version, int(address)))


def _meant(rules: Mapping[str, str], client: Address) -> Level:
    networks = {ipaddress.ip_network(text): level for text, level in rules.items()}
    fitting = [network for network in networks if client in network]
    return _LEVELS[networks[max(fitting, key=lambda each: each.prefixlen)]] if fitting else NOTHING


def _granted(entries: Mapping[str, str], account: str) -> Level:
    own = {name.lower(): permission for name, permission in entries.items()}
    granted = [own[name] for name in (account.lower(), "everyone") if name in own]
    levels = [_LEVELS[_PERMISSIONS[permission]] for permission in granted]
    if "no_access" in granted or not levels:
        return NOTHING
    return max(levels, key=lambda level: level.write)


# --- what must hold at the end of a test


def unowned_policies(world: World, prefix: str, *, but: Iterable[str] = ()) -> list[str]:
    """Return the export policies whose names begin so, and that no volume and no qtree uses."""
    used = {volume.policy for volume in world[Volume] if volume.deleted_at is None}
    used |= {qtree.policy for qtree in world[Qtree] if qtree.policy is not None}
    spared = set(but)
    return [
        policy.name
        for policy in world[ExportPolicy]
        if policy.name.startswith(prefix) and policy.id not in used and policy.name not in spared
    ]


def shares_to_nowhere(world: World) -> list[str]:
    """Return the CIFS shares whose paths no longer lead into a volume that is served."""
    view = View(
        volumes={volume.uuid: volume for volume in world[Volume]},
        policies={},
        shares={},
        qtrees={},
        serving=frozenset(svm.uuid for svm in world[Svm]),
    )
    return [share.name for share in world[CifsShare] if view.behind(share) is None]


def queued(world: World) -> list[str]:
    """Return the names of the volumes in the recovery queue."""
    return [volume.name for volume in world[Volume] if volume.deleted_at is not None]


def changed_outside(before: Mapping[str, list[str]], after: Mapping[str, list[str]], *marks: str) -> list[str]:
    """Return what two dumps differ in, but for records in which one of these marks stands."""
    lines = {(kind, line) for kind, listed in before.items() for line in listed}
    others = {(kind, line) for kind, listed in after.items() for line in listed}
    return sorted(line for _, line in lines ^ others if not any(mark in line for mark in marks))
