"""Which addresses are nobody's."""

from __future__ import annotations

import pytest

from sharectl.model.client_addresses import nobody_at, without_ipv6_notation


@pytest.mark.parametrize(
    ("access_to", "remedy"),
    [
        ("0.0.0.0", "write 0.0.0.0/0 for every IPv4 address"),  # noqa: S104 - a client
        ("0.0.0.0/32", "write 0.0.0.0/0 for every IPv4 address"),
        ("0.0.0.0/8", "write 0.0.0.0/0 for every IPv4 address"),
        ("0.1.2.3", "write a client's address"),
        ("::", "write ::/0 for every IPv6 address"),
        ("::/128", "write ::/0 for every IPv6 address"),
        ("::ffff:0.0.0.0", "write 0.0.0.0/0 for every IPv4 address"),
        ("::ffff:10.0.0.1", "write 10.0.0.1"),
        ("::ffff:a00:0/104", "write 10.0.0.0/8"),
        ("::ffff:0:0/96", "write 0.0.0.0/0"),
        ("::10.0.0.1", "write 10.0.0.1"),
        ("::ffff:224.0.0.1", "write a client's address"),
        ("224.0.0.1", "write a client's address"),
        ("239.0.0.0/8", "write a client's address"),
        ("255.255.255.255", "write a client's address"),
        ("240.0.0.0/4", "write a client's address"),
        ("ff02::1", "write a client's address"),
    ],
)
def test_no_client_has_it(access_to: str, remedy: str) -> None:
    """And what is to be written instead is said."""
    nobody = nobody_at(access_to)
    assert nobody is not None
    assert nobody.remedy == remedy


@pytest.mark.parametrize(
    "access_to",
    [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "::/1",
        "10.0.0.0/8",
        "10.0.0.255",
        "127.0.0.1",
        "::1",
        "169.254.1.2",
        "fe80::1",
        "fe80::1%eth0",
        "2001:db8::/32",
        "alice",
        "",
    ],
)
def test_somebody_may_have_it(access_to: str) -> None:
    """Everybody's networks, those that hold clients among others, and what is no address at all."""
    assert nobody_at(access_to) is None


@pytest.mark.parametrize(
    ("access_to", "mended"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("::", "::"),
        ("::/0", "::/0"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("10.0.0.1", "10.0.0.1"),
        ("a:b", "a:b"),
    ],
)
def test_ipv4_in_the_notation_of_ipv6_is_ipv4(access_to: str, mended: str) -> None:
    """Everything else stays as it is."""
    assert without_ipv6_notation(access_to) == mended
