"""The commands with which a person mounts a share."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.render.mounts_tables import mount_commands


def test_smb_shares_are_mounted_from_each_system() -> None:
    """Linux, macOS and Windows each have their command."""
    assert mount_commands("CIFS", "\\\\nas1\\My Data", "data") == (
        ("Linux", "mount -t cifs -o credentials=/etc/smb-credentials,vers=3.1.1 '//nas1/My Data' /mnt/data"),
        ("macOS", "mount_smbfs //USER@nas1/My%20Data /Volumes/data"),
        ("Windows", 'net use Z: "\\\\nas1\\My Data" /user:USER'),
    )


def test_each_system_writes_an_ipv6_address_its_own_way() -> None:
    """Bare, in brackets as in a URL, and as a name."""
    assert mount_commands("CIFS", "\\\\fd00::1\\data", "data") == (
        ("Linux", "mount -t cifs -o credentials=/etc/smb-credentials,vers=3.1.1 //fd00::1/data /mnt/data"),
        ("macOS", "mount_smbfs '//USER@[fd00::1]/data' /Volumes/data"),
        ("Windows", 'net use Z: "\\\\fd00--1.ipv6-literal.net\\data" /user:USER'),
    )


def test_nfs_exports_are_mounted_from_linux_and_macos() -> None:
    """An IPv6 address stands in brackets, which the shell must not read. Windows has no client for NFSv4."""
    assert mount_commands("NFS", "[fd00::1]:/srv/home", "home") == (
        ("Linux", "mount -t nfs '[fd00::1]:/srv/home' /mnt/home"),
        ("macOS", "mount_nfs -o vers=4,resvport '[fd00::1]:/srv/home' /Volumes/home"),
    )


@pytest.mark.parametrize(
    ("protocol", "location"),
    [
        ("NFS", "nowhere"),
        ("CIFS", "\\\\nas1"),
        ("CIFS", "nas1:/x"),
        ("NFS", "a:/b\nc"),
        ("HDFS", "a:/b"),
        ("NFS", "-o:/b"),
    ],
)
def test_a_location_of_another_form_has_no_command(protocol: str, location: str) -> None:
    """Rather none than a wrong one."""
    assert mount_commands(protocol, location, "x") == ()


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_a_command_is_safe_to_paste(name: str) -> None:
    """A shell reads the location and the mount point as one word each; what cmd.exe would expand is not given to it."""
    for system, command in mount_commands("NFS", f"nas1:/{name}", name):
        words = shlex.split(command)
        assert words[-2:] == [f"nas1:/{name}", f"/{'mnt' if system == 'Linux' else 'Volumes'}/{name}"]
    for system, command in mount_commands("CIFS", f"\\\\nas1\\{name}", name):
        if system == "Windows":
            assert command.count('"') == 2
            assert not set(command) & set("%!^")
        else:
            assert shlex.split(command)[-1] == f"/{'mnt' if system == 'Linux' else 'Volumes'}/{name}"
