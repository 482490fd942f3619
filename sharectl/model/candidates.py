"""The pools in which a new share can be, with the weights that put them in their order."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, overload

from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from sharectl.model.kinds import Address


class Candidate(NamedTuple):
    """A pool that can take a new share: the higher `weight`, the earlier it is tried.

    `weights` are its parts by weigher (normalised value times multiplier), without weighers that do not distinguish pools.
    `share_server` is the address of the share server that the share would be on there.
    """

    backend: str
    pool: str
    weight: float
    weights: tuple[tuple[str, float], ...] = ()
    share_server: Address | None = None

    @property
    def host(self) -> str:
        """The name that Manila gives the pool."""
        return f"{self.backend}#{self.pool}"


class Place(NamedTuple):
    """What candidates of many shares have in common: all but the weights."""

    backend: str
    pool: str
    share_server: Address | None
    weighers: tuple[str, ...]


shared_place: Final = lru_cache(maxsize=10_000)(Place)
"""Return the one place of that kind."""


class Candidates(Sequence[Candidate]):
    """The candidates of one share, best first, as good as a tuple of them and a quarter of its size: a plan holds those of every new share."""

    __slots__ = ("_places", "_weights")

    def __init__(self, places: Iterable[Place], weights: Iterable[float]) -> None:
        """Hold the places, best first; in `weights` the weight of each is followed by its parts."""
        self._places = tuple(places)
        self._weights = array("d", weights)

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> Candidates:
        """Hold these."""
        places: list[Place] = []
        weights: list[float] = []
        for backend, pool, weight, parts, share_server in candidates:
            places.append(shared_place(backend, pool, share_server, tuple(name for name, _ in parts)))
            weights += (weight, *(part for _, part in parts))
        return cls(places, weights)

    @classmethod
    def shared(cls, places: Iterable[Place], weights: Iterable[float]) -> Candidates:
        """Hold these, as one object for all shares whose candidates are the same: of thousands of new ones, few have others than all before."""
        return _shared(tuple(places), tuple(weights))

    @property
    def first_host(self) -> str:
        """The host of the best; there has to be one. It is the same object for all shares that go there."""
        return sys.intern(f"{self._places[0].backend}#{self._places[0].pool}")

    @property
    def backends(self) -> set[str]:
        """The backends that they are on."""
        return {place.backend for place in self._places}

    @property
    def share_servers(self) -> tuple[Address, ...]:
        """The share servers that the share would be on, in the order of the candidates."""
        return tuple([place.share_server for place in self._places if place.share_server is not None])

    @property
    def places(self) -> Sequence[Place]:
        """Where they are, without their weights."""
        return self._places

    def __len__(self) -> int:
        """See Sequence."""
        return len(self._places)

    def __iter__(self) -> Iterator[Candidate]:
        """Yield them, best first."""
        weights = iter(self._weights)
        for backend, pool, share_server, weighers in self._places:
            yield Candidate(backend, pool, next(weights), tuple(zip(weighers, weights, strict=False)), share_server)

    @overload
    def __getitem__(self, at: int) -> Candidate: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Candidate, ...]: ...

    def __getitem__(self, at: int | slice) -> Candidate | tuple[Candidate, ...]:
        """See Sequence."""
        return next(iter(self)) if at == 0 and self._places else tuple(self)[at]

    def __eq__(self, other: object) -> bool:
        """Tell whether the other holds equal candidates in the same order."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """See Sequence."""
        return hash(tuple(self))

    def __repr__(self) -> str:
        """Return it as it can be made again."""
        return f"Candidates.of({tuple(self)!r})"


_shared: Final = lru_cache(maxsize=4_000)(Candidates)


def backend_at(candidates: Sequence[Candidate], index: int) -> str:
    """Return the backend of a candidate, without making it."""
    if isinstance(candidates, Candidates):
        return candidates.places[index].backend
    return candidates[index].backend


def share_servers_in(candidates: Sequence[Candidate]) -> tuple[Address, ...]:
    """Return the share servers of candidates, in their order."""
    if isinstance(candidates, Candidates):
        return candidates.share_servers
    return tuple(each.share_server for each in candidates if each.share_server is not None)


def backends_in(candidates: Sequence[Candidate]) -> set[str]:
    """Return the backends that candidates are on."""
    return candidates.backends if isinstance(candidates, Candidates) else {each.backend for each in candidates}
