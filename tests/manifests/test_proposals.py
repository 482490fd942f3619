"""What to write instead is computed from what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import did_you_mean
from tests.manifests.support import cifs, document, load_text, share

if TYPE_CHECKING:
    from pathlib import Path


def _remedy(folder: Path, text: str) -> str:
    (found,) = load_text(folder, text).diagnostics
    return found.remedy


@pytest.mark.parametrize(
    ("written", "proposed"),
    [
        ("250Gi", "write 250GiB"),
        ("250G", "write 250GiB, or 250GB for the decimal unit"),
        ("1.5T", "write 1.5TiB, or 1.5TB for the decimal unit"),
        ("250 gb", "write 250GB, or 250GiB for the binary unit"),
        ("250gib", "write 250GiB"),
        ("250_Mi", "write 250MiB"),
        ("64k", "write 64KiB, or 64kB for the decimal unit"),
        ("250", "write 250GiB (as Manila counts), or 250 with another unit"),
        ("'250'", "write 250GiB (as Manila counts), or 250 with another unit"),
        ("268435456000", "write 268435456000B"),
        ("'${SIZE}'", "sharectl expands no variables"),
        ("$(SIZE)", "sharectl expands no variables"),
        ("<no value>", "sharectl expands no variables"),
        ("'{{ .Values.size }}'", "sharectl expands no variables"),
        ("much", "write a number and a unit, such as 100GiB, 1.5TiB or 500GB"),
    ],
)
def test_a_size_in_other_units_is_written_in_those_of_sharectl(tmp_path: Path, written: str, proposed: str) -> None:
    """Kubernetes' and Manila's, and templates that nobody has filled in."""
    assert _remedy(tmp_path, document("Share", "a", f"{{size: {written}, protocol: NFS}}")).startswith(proposed)


@pytest.mark.parametrize(
    ("written", "proposed"),
    [
        ("yes", "true"),
        ("on", "true"),
        ("'true'", "true"),
        ("Yes", "true"),
        ("1", "true"),
        ("no", "false"),
        ("off", "false"),
    ],
)
def test_what_yaml_1_1_takes_for_a_boolean_is_named_as_one(tmp_path: Path, written: str, proposed: str) -> None:
    """Under YAML 1.2 it is text or a number."""
    assert _remedy(tmp_path, share("a", f", protect: {written}")) == f"write {proposed}, without quotes"


@pytest.mark.parametrize(
    ("written", "proposed"),
    [
        ("share_type: gold", "write `type`"),
        ("shareType: gold", "write `type`"),
        ("storageClassName: gold", "write `type`"),
        ("share_network_id: x", "write `shareNetwork`"),
        ("snapshot_id: x", "write `sourceSnapshot`"),
        ("availability_zone: x", "write `availabilityZone`"),
        ("scheduler_hints: {}", "write `schedulerHints`"),
        ("deletion_policy: trash", "write `deletionPolicy`"),
        ("Protect: true", "write `protect`"),
        ("resources: {requests: {storage: 1Gi}}", "in place of resources.requests.storage, write `size: 250GiB`"),
        ("accessModes: [ReadWriteMany]", "who may read and who may write is said by access rules"),
        ("is_public: true", "who comes without a password is let in by an access rule"),
        ("description: x", "write it as an annotation"),
        ("x-clients: [a]", "there are no fields for anchors alone"),
        ("protct: true", 'did you mean "protect"?'),
    ],
)
def test_a_field_of_manila_or_kubernetes_is_translated(tmp_path: Path, written: str, proposed: str) -> None:
    """And a slip gets the nearest name."""
    assert _remedy(tmp_path, share("a", f", {written}")).startswith(proposed)


def test_a_namespace_means_nothing(tmp_path: Path) -> None:
    """It is taken where kustomize writes it, and nowhere else."""
    assert not load_text(tmp_path, share("a", metadata=", namespace: prod")).diagnostics
    assert _remedy(tmp_path, share("a", ", namespace: prod")).startswith("it stands in `metadata`")


def test_words_of_manila_for_protocol_and_rules_are_translated(tmp_path: Path) -> None:
    """All of one document at once."""
    text = document(
        "Share",
        "a",
        "{size: 1GiB, share_proto: NFS, access: [{access_type: ip, access_to: 10.0.0.1, access_level: ro}]}",
    )
    remedies = {
        found.remedy for found in load_text(tmp_path, text).diagnostics if found.code == "manifest.unknown-field"
    }
    assert remedies == {"write `protocol`", "write `type`", "write `to`", "write `level`"}


@pytest.mark.parametrize(
    ("rule", "proposed"),
    [
        (
            "type: ip, to: 192.168.10.1/255.255.255.0, level: rw",
            "write 192.168.10.0/24 for the network, or 192.168.10.1",
        ),
        ("type: ip, to: 192.168.10.0/255.255.255.0, level: rw", "write 192.168.10.0/24"),
        ("type: ip, to: 192.168.10.7/24, level: rw", "write 192.168.10.0/24 for the network, or 192.168.10.7"),
        ("type: ip, to: 10.20.*, level: rw", "write 10.20.0.0/16"),
        ("type: ip, to: 10.20., level: rw", "write 10.20.0.0/16"),
        ("type: ip, to: 10.1/16, level: rw", "write 10.1.0.0/16"),
        ("type: ip, to: 10.0.0.8-11, level: rw", "write 10.0.0.8/30"),
        ("type: ip, to: '10.0.0.1(rw,no_root_squash)', level: rw", "write 10.0.0.1"),
        ("type: ip, to: '[2001:db8::1]', level: rw", "write 2001:db8::1"),
        ("type: ip, to: ws01.lab.example.org, level: rw", "host names are not resolved"),
        ("type: client-list, to: lab, level: rw", "write clients, and the name of a ClientList"),
        ("type: ip, to: '*.lab.example.org', level: rw", "names with wildcards are not resolved"),
        ("type: ip, to: '@hpc-nodes', level: rw", "netgroups and groups are not looked up"),
        ("type: ip, to: 'CORP\\\\\\\\bob', level: rw", "for a user, set `type: user`"),
        ("type: ip, to: '${CLIENT}', level: rw", "sharectl expands no variables"),
        ("type: user, to: '@staff', level: rw", "for a group, write `type: group` and `to: staff`"),
        ("type: user, to: '+staff', level: rw", "for a group, write `type: group` and `to: staff`"),
        ("type: group, to: '@staff', level: rw", "write the name alone, `staff`"),
        ("type: group, to: '*', level: rw", "for every user, write `type: user`"),
        ("type: user, to: S-1-1-0, level: rw", "write CORP\\alice"),
        ("type: user, to: s-1-5-21-1-2-3-513, level: rw", "write CORP\\alice"),
        ("type: user, to: '${USER}', level: rw", "sharectl expands no variables"),
        ("type: group, to: 'S-1-1-0', level: rw", "write CORP\\Domain Users"),
        ("type: everyone, to: '*', level: ro", 'write user, and `to: "*"`'),
        ("type: guest, to: x, level: ro", 'write `to: "*"`'),
        ("type: ip, to: 10.0.0.13, level: deny", "write none"),
        ("type: ip, to: 10.0.0.13, level: read-only", "write ro"),
        ("type: ip, to: 10.0.0.13, level: RW", "write rw"),
    ],
)
def test_clients_in_other_notations_are_translated_or_refused_in_their_terms(
    tmp_path: Path, rule: str, proposed: str
) -> None:
    """Those of exports(5), of hosts.allow, of smb.conf, and of templates."""
    assert _remedy(tmp_path, cifs("a", f", access: [{{{rule}}}]")).startswith(proposed)


@pytest.mark.parametrize("name", ["ws01.lab.example.org", "@hpc-nodes"])
def test_a_name_is_refused_with_the_command_that_looks_it_up(tmp_path: Path, name: str) -> None:
    """And with what names the list that it writes."""
    remedy = _remedy(tmp_path, cifs("a", f", access: [{{type: ip, to: '{name}', level: rw}}]"))
    assert f"`sharectl clients resolve {name} --write FILE` writes one, and `type: clients` names it" in remedy


@pytest.mark.parametrize("protocol", ["[NFS, CIFS]", "SMB", "nfs", "NFSv4"])
def test_a_protocol_that_is_none_is_explained(tmp_path: Path, protocol: str) -> None:
    """Two at once, and other words for the two that there are."""
    remedy = _remedy(tmp_path, document("Share", "a", f"{{size: 1GiB, protocol: {protocol}}}"))
    assert ("write protocols: [NFS, CIFS]" if protocol.startswith("[") else "write ") in remedy


@pytest.mark.parametrize("name", ["homes", "printers", "global", "aux", "con", "print", "ipc"])
def test_what_samba_and_windows_keep_for_themselves_is_a_name_for_nfs_alone(tmp_path: Path, name: str) -> None:
    """Also where the share turns into one for Windows later."""
    assert not load_text(tmp_path, share(name)).diagnostics
    (found,) = load_text(tmp_path, cifs(name)).diagnostics
    assert found.code == "manifest.name"


def test_a_template_without_quotes_is_recognized(tmp_path: Path) -> None:
    """YAML reads two mappings in braces."""
    assert "sharectl expands no variables" in _remedy(
        tmp_path, "apiVersion: sharectl/v1\nkind: Share\nspec:\n  size: {{ .Values.size }}\n"
    )


def test_the_very_word_is_never_proposed() -> None:
    """The next one is, where there is one."""
    assert not did_you_mean("share/a", ["share/a"])
    assert did_you_mean("share/aa", ["share/aa", "share/ab"]) == 'did you mean "share/ab"?'


def _share_type(site: str) -> str:
    return document("ShareType", "a", f"{{extraSpecs: {{driver_handles_share_servers: false, site: '{site}'}}}}")


@pytest.mark.parametrize("site", ["${HOME}/x", "$HOME/x", "$(pwd)/x", "/srv/{{ site }}"])
def test_a_variable_where_any_text_is_allowed_is_an_error(tmp_path: Path, site: str) -> None:
    """Taken as it stands, a backend's `root` would become a folder of that very name."""
    (found,) = load_text(tmp_path, _share_type(site)).diagnostics
    assert found.code == "manifest.variable"
    assert found.summary == "spec.extraSpecs.site holds a variable that nothing has filled in"
    assert "sharectl expands no variables" in found.remedy


@pytest.mark.parametrize("site", ["/srv/cost$", "/srv/a$b", "/srv/$5", "/srv/{a}"])
def test_a_dollar_sign_alone_is_no_variable(tmp_path: Path, site: str) -> None:
    """Shares of Windows servers end in one."""
    assert not load_text(tmp_path, _share_type(site)).diagnostics


def test_a_description_may_mention_a_variable(tmp_path: Path) -> None:
    """Nothing depends on it."""
    spec = "{description: 'costs ${PRICE}', extraSpecs: {driver_handles_share_servers: false}}"
    assert not load_text(tmp_path, document("ShareType", "a", spec)).diagnostics


@pytest.mark.parametrize(
    ("written", "proposed"),
    [
        ("access: {type: ip, to: 10.0.0.5, level: rw}", "put it after a dash: each item of a list begins with `- `"),
        ("access:", "write [], or leave the field out"),
        ("access: [10.0.0.0/8]", "write {type: ip, to: 10.0.0.0/8, level: ro}, or rw"),
        ("access: [alice]", "write `{type: ip, to: ADDRESS, level: ro}`, or `rw`"),
        (
            "access: [{type: ip, to: [10.0.0.5, 10.0.0.6], level: ro}]",
            "write a rule for each; many clients may be a ClientList",
        ),
        ("access: [{type: ip, to: 10.0.0.5, level: ro, security: krb5p:krb5i}]", "write a list: [krb5p, krb5i]"),
        ("access: [{type: ip, to: 10.0.0.5, level: ro, squash: no_root_squash}]", "write none"),
        ("access: [{type: ip, to: 10.0.0.5, level: ro, anonymousUid: -2}]", "exports(5) means 4294967294 by it"),
        ("access: [{type: ip, to: 10.0.0.5, level: ro, anonymousGid: nogroup}]", "write the number; `id -g NAME`"),
        ("access: [{type: ip, to: 10.0.0.5, level: ro, anonymousUid: '65534'}]", "write 65534, without quotes"),
        ("access: [{type: ip, to: '10.0.0.5:2049', level: ro}]", "write 10.0.0.5, without a port"),
        (
            "access: [{type: ip, to: '10.0.0.5, 10.1.0.0/16', level: ro}]",
            "write 10.0.0.5 and 10.1.0.0/16, each in a rule of its own",
        ),
        ("snapshotPolicy: {daily: {keep: 7}, timeZone: utc}", "write UTC"),
        ("hidden: true", "Windows does not list a share whose name ends with $"),
        ("uid: 1000", "who owns files is decided within the share"),
        ("mountOptions: [nfsvers=4.1]", "how a client mounts is said by the client"),
    ],
)
def test_what_other_programs_write_of_a_share_is_translated(tmp_path: Path, written: str, proposed: str) -> None:
    """In the words of exports(5), smb.conf and Kubernetes."""
    text = document("Share", "a", "").replace("spec: ", "spec:\n  size: 1GiB\n  protocol: NFS\n  " + written)
    assert proposed in _remedy(tmp_path, text)


def test_the_host_of_a_backend_is_no_pool(tmp_path: Path) -> None:
    """What helps in a share would lead astray there."""
    assert "schedulerHints" not in _remedy(tmp_path, document("Backend", "b", "{driver: open, host: x}"))


def test_documents_of_kustomize_and_of_newer_versions_are_told_apart(tmp_path: Path) -> None:
    """Nobody has to guess what to do with a kustomization.yaml."""
    assert "kustomize build" in _remedy(tmp_path, "resources: [a.yaml]\n")
    assert "a newer sharectl" in _remedy(tmp_path, share("a").replace("sharectl/v1", "sharectl/v2"))


@pytest.mark.parametrize(("field", "proposed"), [("hosts", "write `clients`"), ("hostnames", "write `names`, which")])
def test_a_field_of_a_list_of_clients_is_not_taken_for_one_of_a_share(
    tmp_path: Path, field: str, proposed: str
) -> None:
    """Where Samba's `hosts allow` would lead elsewhere."""
    assert _remedy(tmp_path, document("ClientList", "a", f"{{{field}: [10.0.0.1]}}")).startswith(proposed)


def test_the_template_of_a_set_has_no_spec_within(tmp_path: Path) -> None:
    """As that of a Deployment has."""
    text = document("ShareSet", "a", "{template: {spec: {size: 1GiB, protocol: NFS}}, shares: {b: {}}}")
    found = load_text(tmp_path, text).diagnostics
    assert "write its fields here, without `spec` around them" in {each.remedy for each in found}


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("a:\n  b: 1\n\tc: 1", "indent with spaces"), ('a: "\\ud83d\\ude00"', "write the character itself")],
)
def test_what_no_yaml_has_is_written_in_another_way(tmp_path: Path, text: str, remedy: str) -> None:
    """Tabs for indentation, and the pairs of escapes that JSON has."""
    assert _remedy(tmp_path, text) == remedy
