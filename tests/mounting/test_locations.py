"""Export locations taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.mounting.locations import Location, parse_location


@pytest.mark.parametrize(
    ("protocol", "text", "host", "path", "ip_version", "source"),
    [
        ("NFS", "nas1.example:/srv/home", "nas1.example", "/srv/home", None, "nas1.example:/srv/home"),
        ("NFS", "10.0.0.1:/", "10.0.0.1", "/", 4, "10.0.0.1:/"),
        ("NFS", "[FD00::0001]:/a:b", "fd00::1", "/a:b", 6, "[fd00::1]:/a:b"),
        ("CIFS", r"\\nas1\My Data", "nas1", "My Data", None, "//nas1/My Data"),
        ("CIFS", r"\\10.0.0.1\data\under", "10.0.0.1", "data/under", 4, "//10.0.0.1/data/under"),
        ("CIFS", r"\\fd00::1\data", "fd00::1", "data", 6, "//fd00::1/data"),
        ("CIFS", r"\\[fd00::1]\data", "fd00::1", "data", 6, "//fd00::1/data"),
    ],
)
def test_a_location_has_a_host_and_a_path(  # noqa: PLR0913, PLR0917 - a case has as many parts
    protocol: str, text: str, host: str, path: str, ip_version: int | None, source: str
) -> None:
    """An IPv6 address stands in brackets for NFS, and without them for the kernel's SMB client."""
    location = parse_location(protocol, text)
    assert location is not None
    assert (location.host, location.path, location.ip_version, location.source) == (host, path, ip_version, source)


def test_windows_has_a_name_for_an_ipv6_address() -> None:
    """Its paths hold no colon."""
    location = parse_location("CIFS", r"\\fd00::1\data\under")
    assert location is not None
    assert location.windows_path == r"\\fd00--1.ipv6-literal.net\data\under"
    assert location.url_host == "[fd00::1]"


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ("NFS", ""),
        ("NFS", "nowhere"),
        ("NFS", ":/srv"),
        ("NFS", "nas1:srv"),
        ("NFS", "fd00::1:/srv"),
        ("NFS", "[10.0.0.1]:/srv"),
        ("NFS", "[fe80::1%eth0]:/srv"),
        ("NFS", "-oexec=sh:/srv"),
        ("NFS", "a b:/srv"),
        ("NFS", "nas1,nas2:/srv"),
        ("NFS", "nas1:/a\nb"),
        ("NFS", r"\\nas1\data"),
        ("CIFS", r"\\nas1"),
        ("CIFS", "\\\\nas1\\"),
        ("CIFS", r"\\-o\data"),
        ("CIFS", r"\\fd00::zz\data"),
        ("CIFS", "nas1:/srv"),
        ("HDFS", "nas1:/srv"),
    ],
)
def test_what_is_of_another_form_is_no_location(protocol: str, text: str) -> None:
    """Rather none than one that a command would misread, or take for an option."""
    assert parse_location(protocol, text) is None


@given(st.sampled_from(["NFS", "CIFS"]), st.text())
def test_whatever_a_driver_says_is_taken_apart_or_refused(protocol: str, text: str) -> None:
    """What is taken apart begins with no dash and holds nothing that does not print."""
    location = parse_location(protocol, text)
    assert location is None or (location.source.isprintable() and not location.source.startswith("-"))


@given(
    st.sampled_from(["nas1", "10.0.0.1", "fd00::1"]),
    st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=1),
)
def test_an_nfs_location_is_put_together_as_it_was(host: str, rest: str) -> None:
    """Nothing of the path is lost, whatever stands in it."""
    text = f"[{host}]:/{rest}" if ":" in host else f"{host}:/{rest}"
    location = parse_location("NFS", text)
    assert isinstance(location, Location)
    assert (location.source, location.path) == (text, f"/{rest}")
