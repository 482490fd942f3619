"""What manifests want, made of specs without any file."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sharectl.manifests.compiled import CompiledFile, Index, encoded_record
from sharectl.manifests.desired import Desired
from sharectl.manifests.linked import Linked
from sharectl.manifests.positions import FilePositions
from sharectl.model.access import access_digest
from sharectl.model.canonical import canonical_json, digest_of
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.access import AccessRule
    from sharectl.model.backends import BackendSpec
    from sharectl.model.kinds import Address
    from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec
    from sharectl.model.specs import ShareSpec, ShareTypeSpec, SnapshotSpec


def desired_of(  # noqa: PLR0913 - one argument for each kind, all optional
    *,
    shares: Iterable[ShareSpec] = (),
    access: Mapping[Address, Iterable[AccessRule]] | None = None,
    snapshots: Iterable[SnapshotSpec] = (),
    backends: Iterable[BackendSpec] = (),
    share_types: Iterable[ShareTypeSpec] = (),
    share_networks: Iterable[ShareNetworkSpec] = (),
    security_services: Iterable[SecurityServiceSpec] = (),
    moves: Mapping[Address, tuple[Address, ...]] | None = None,
) -> Desired:
    """Return a Desired of these specs; `access` is by the address of the share. Nothing is checked."""
    index, lines, digests = Index(), [], []
    for kind, specs in ((Kind.SHARE, shares), (Kind.SNAPSHOT, snapshots)):
        for spec in specs:
            address, plain = address_of(kind, spec.name), spec.as_plain()
            rules = list((access or {}).get(address, ()))
            index.addresses.append(address)
            digests.append(digest_of(canonical_json(plain)) + access_digest(rules))
            lines.append(encoded_record(canonical_json(plain), [list(map(list, rules)), (0, 1, 1)]))
    file = CompiledFile()
    file.index, file.digests, file.records = index, b"".join(digests), b"".join(lines)
    linked = Linked([file], digests=dict(zip(index.addresses, digests, strict=True)), moves=dict(moves or {}))
    desired = Desired(linked, lambda _: FilePositions("<memory>", b""))
    desired.backends = _by_name(backends)
    desired.share_types = _by_name(share_types)
    desired.share_networks = _by_name(share_networks)
    desired.security_services = _by_name(security_services)
    return desired


def _by_name(specs: Iterable[Any]) -> Mapping[str, Any]:
    return MappingProxyType({spec.name: spec for spec in sorted(specs, key=lambda spec: str(spec.name))})
