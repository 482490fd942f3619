"""What drivers would refuse is named before anything is done: by validate, and by plan for what is new or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.console import Console, Ended

PROJECT = "apiVersion: sharectl/v1\nkind: Project\nspec: {}\n"
LINUX = """
addresses: [192.0.2.10]
pools: {fast: {type: btrfs, path: /srv/fast}}
smb: {users: {alice: {password: {env: SHARECTL_TEST_ALICE}}}}
"""


def backend(name: str, driver: str, config: str, more: str = "") -> str:
    """Return a Backend document."""
    indented = "".join(f"    {line}\n" for line in config.strip().splitlines())
    return f"---\napiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: {name}}}\nspec:\n  driver: {driver}\n{more}  config:\n{indented}"


def share(name: str, access: str = "", **fields: str) -> str:
    """Return a Share document."""
    wanted = {"size": "1GiB", "protocol": "NFS", **fields}
    lines = "".join(f"  {key}: {value}\n" for key, value in wanted.items())
    rules = f"  access:\n{access}" if access else ""
    return f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec:\n{lines}{rules}"


def share_type(name: str, specs: str) -> str:
    """Return a ShareType document."""
    return f"---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {{name: {name}}}\nspec:\n  extraSpecs:\n{specs}"


def snapshot(name: str, of: str) -> str:
    """Return a Snapshot document."""
    return f"---\napiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {{name: {name}}}\nspec: {{share: {of}}}\n"


@pytest.fixture
def repository(console: Console) -> Console:
    """Give an empty repository."""
    console.write("sharectl.yaml", PROJECT)
    return console


def validated(console: Console, *documents: str) -> Ended:
    """Write the documents, and validate them."""
    console.write("all.yaml", "".join(documents))
    return console("validate")


DIRECTORY = backend("nas", "directory", "root: storage")
RULE = "    - {{type: {}, to: {}, level: {}}}\n"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            share("s", RULE.format("ip", "10.0.0.0/8", "ro"), protocol="CIFS"),
            "cannot make a share read-only by address",
        ),
        (
            share("s", RULE.format("user", "alice", "rw") + RULE.format("user", "ALICE", "ro"), protocol="CIFS"),
            "Samba ignores case",
        ),
    ],
    ids=["read-only by address", "users that differ in case"],
)
def test_a_rule_that_no_backend_can_put_in_force_is_an_error_at_its_line(
    repository: Console, document: str, said: str
) -> None:
    """Of the one backend that there is; the place is that of the rule."""
    ended = validated(repository, DIRECTORY, document)
    assert ended.code == 1
    assert said in ended.err
    assert "all.yaml:" in ended.err
    assert repository("plan").code == 1


def test_users_that_a_linux_backend_does_not_have_are_named(repository: Console) -> None:
    """Those of a domain, and those whom smb.users does not name, each at its line; one that it names is not."""
    rules = "".join(RULE.format("user", who, "rw") for who in ("alice", "'CORP\\bob'", "dave"))
    ended = validated(repository, backend("lnas", "linux", LINUX), share("s", rules, protocol="CIFS"))
    assert ended.code == 1
    assert "belongs to a domain" in ended.err
    assert "knows no user 'dave'" in ended.err
    assert "2 errors" in ended.err


def test_a_backend_that_could_do_it_makes_a_share_valid_and_is_the_one_that_gets_it(repository: Console) -> None:
    """The other is no candidate, and explain says why."""
    limited = "stateFile: {}.db\nlimits: {{users: [{}]}}"
    documents = (
        backend("a", "simulated", limited.format("a", "alice")),
        backend("b", "simulated", limited.format("b", "dave")),
        share("s", RULE.format("user", "dave", "rw"), protocol="CIFS"),
    )
    assert validated(repository, *documents).code == 0
    planned = orjson.loads(repository("plan", "-o", "json").out)
    (created,) = [step for step in planned["steps"] if step["verb"] == "create-share"]
    assert created["backend"] == "b"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("'linux:nfs_sqash': root", 'did you mean "linux:nfs_squash"?'),
        ("'linux:nfs_squash': rot", "write one of none, root, all"),
        ("'linux:smb_recycle_bin': folder", "write one of true, false"),
        ("'linux:smb_previous_versions': all", "write one of true, false"),
        ("'linux:smb_recycle_bin_folder': ../x", "write a name of letters, digits, `_`, `.` and `-`"),
    ],
)
def test_an_extra_spec_that_its_driver_cannot_read_is_an_error(repository: Console, spec: str, said: str) -> None:
    """Misspelt, or with a value that means nothing."""
    ended = validated(repository, backend("lnas", "linux", LINUX), share_type("t", f"    {spec}\n"))
    assert ended.code == 1
    assert said in ended.err
    assert "all.yaml:17:" in ended.err


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("snapshot_suport: 'True'", 'did you mean "snapshot_support"?'),
        ("'lnux:nfs_squash': all", 'did you mean "linux"?'),
    ],
)
def test_an_extra_spec_that_looks_misspelt_is_a_warning(repository: Console, spec: str, said: str) -> None:
    """Since a backend may report any capability, and Manila's types have scopes for drivers of their own."""
    specs = f"    {spec}\n    'netapp:thin_provisioned': 'True'\n    ssd: 'True'\n"
    ended = validated(repository, backend("lnas", "linux", LINUX), share_type("t", specs))
    assert ended.code == 0
    assert said in ended.err
    assert "1 warning" in ended.err


def test_a_size_that_no_pool_can_make_is_an_error(repository: Console) -> None:
    """Below what the file system of an image needs."""
    config = "addresses: [192.0.2.10]\npools: {images: {type: image, path: /srv/images, fileSystem: xfs}}\n"
    ended = validated(repository, backend("lnas", "linux", config), share("s", size="100MiB"))
    assert ended.code == 1
    assert "needs 300 MiB at least" in ended.err
    assert validated(repository, backend("lnas", "linux", config), share("s", size="400MiB")).code == 0


def test_a_protocol_without_a_server_is_an_error_where_the_type_allows_no_other_backend(repository: Console) -> None:
    """A type for any backend leaves the share to another."""
    no_smb = "addresses: [192.0.2.10]\npools: {fast: {type: btrfs, path: /srv/fast}}\n"
    here = share_type("here", "    share_backend_name: lnas\n")
    documents = (backend("lnas", "linux", no_smb), DIRECTORY, here)
    ended = validated(repository, *documents, share("s", protocol="CIFS", type="here"))
    assert ended.code == 1
    assert "has no CIFS server" in ended.err
    assert validated(repository, *documents, share("s", protocol="CIFS")).code == 0


@pytest.mark.parametrize(
    ("without", "document", "said"),
    [
        ("trash", share("s", deletionPolicy="trash"), "has no trash"),
        ("snapshot", share("s") + snapshot("n", "s"), "takes snapshots"),
        ("clone", share("a") + snapshot("n", "a") + share("s", sourceSnapshot="n"), "makes no shares from snapshots"),
    ],
)
def test_what_no_backend_is_able_to_do_is_an_error(repository: Console, without: str, document: str, said: str) -> None:
    """If every backend that could take the share is without the capability."""
    lacking = backend("a", "simulated", f"stateFile: a.db\nwithout: [{without}]")
    ended = validated(repository, lacking, document)
    assert ended.code == 1
    assert said in ended.err
    assert validated(repository, lacking, backend("b", "simulated", "stateFile: b.db"), document).code == 0


@pytest.mark.parametrize("words", [(), ("--refresh", "none")], ids=["asked", "not asked"])
def test_what_a_configuration_takes_from_a_driver_is_not_planned(repository: Console, words: tuple[str, ...]) -> None:
    """Whether the backend is asked or not: both the driver and its factory go by the configuration."""
    config = "stateFile: a.db"
    assert validated(repository, backend("a", "simulated", config), share("s", size="2GiB")).code == 0
    assert repository("apply", "--yes").code == 0
    lacking, smaller = backend("a", "simulated", f"{config}\nwithout: [shrink]"), share("s", allowShrink="true")
    assert validated(repository, lacking, smaller).code == 0
    planned = repository("plan", *words)
    assert planned.code == 1
    assert "cannot shrink" in planned.err


def test_a_clone_smaller_than_its_snapshot_is_an_error(repository: Console) -> None:
    """In sizes that people write."""
    clone = share("c", size="1GiB", sourceSnapshot="n")
    ended = validated(repository, DIRECTORY, share("a", size="2GiB"), snapshot("n", "a"), clone)
    assert ended.code == 1
    assert "cannot be smaller (1GiB)" in ended.err
    assert "write size: 2GiB or more" in ended.err


def test_a_missing_secret_is_an_error_of_its_backend_before_the_first_step(
    repository: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a plan that uses the backend. validate looks only when told to, since a check of pull requests has no secrets."""
    monkeypatch.delenv("SHARECTL_TEST_TOKEN", raising=False)
    config = "stateFile: a.db\ncapabilities: {login: {token: {env: SHARECTL_TEST_TOKEN}}}"
    assert validated(repository, backend("a", "simulated", config), share("s")).code == 0
    looked = repository("validate", "--secrets")
    assert looked.code == 1
    assert "set the environment variable SHARECTL_TEST_TOKEN" in looked.err
    applied = repository("apply", "--yes")
    assert applied.code == 1
    assert "backend a cannot be used" in applied.err
    assert not (repository.root / "a.db").exists()
    monkeypatch.setenv("SHARECTL_TEST_TOKEN", "hunter2")
    assert repository("validate", "--secrets").code == 0
    assert "hunter2" not in repository("apply", "--yes").err


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("root: storage", "root: ./storage/", "is also the root of backend a"),
        ("root: storage", "root: storage/b", "lies inside the root of backend a"),
        ("root: storage", "root: other\npools: {p: ../storage/deep}", "lies inside the root of backend a"),
        ("root: storage", "root: link", "is also the root of backend a"),
    ],
)
def test_two_backends_with_one_storage_are_named(repository: Console, first: str, second: str, said: str) -> None:
    """The same folder, one inside the other, and by way of a link."""
    (repository.root / "storage").mkdir()
    (repository.root / "link").symlink_to("storage")
    ended = validated(repository, backend("a", "directory", first), backend("b", "directory", second))
    assert ended.code == 1
    assert said in ended.err
    assert "all.yaml:" in ended.err


def test_two_backends_on_one_host_are_named_and_on_two_hosts_not(repository: Console) -> None:
    """Over ssh, without asking the host."""
    config = "host: {{ssh: {{address: {}}}}}\nroot: /srv/sharectl\naddresses: [192.0.2.{}]\npools: {{p: {{type: btrfs, path: /srv/{}}}}}"
    here = backend("a", "linux", config.format("nas.example.org", 10, "x"))
    assert validated(repository, here, backend("b", "linux", config.format("nas2.example.org", 11, "x"))).code == 0
    ended = validated(repository, here, backend("b", "linux", config.format("NAS.example.org", 11, "y")))
    assert ended.code == 1
    assert "is also the root of backend a on nas.example.org" in ended.err
    forwarded = here.replace("nas.example.org", "nas.example.org, port: 2201")
    other = backend("b", "linux", config.format("nas.example.org, port: 2202", 11, "x"))
    assert validated(repository, forwarded, other).code == 0, "behind each port may be a host of its own"
    ended = validated(repository, forwarded, other.replace("2202", "2201"))
    assert "is also the root of backend a on nas.example.org:2201" in ended.err
    plain = backend("b", "linux", config.format("nas.example.org, port: 22", 11, "x"))
    assert "on nas.example.org" in validated(repository, here, plain).err
    nested = config.format("nas.example.org", 11, "x/deep").replace("/srv/sharectl", "/srv/other")
    assert "lies inside the pool 'p' of backend a" in validated(repository, here, backend("b", "linux", nested)).err


@pytest.mark.parametrize("root", [".sharectl", ".sharectl/storage", "."])
def test_storage_in_the_folder_of_the_state_is_an_error(repository: Console, root: str) -> None:
    """What sharectl keeps of a backend would lie beside its state, or in the way of it."""
    ended = validated(repository, backend("a", "directory", f"root: {root}"))
    assert ended.code == 1
    assert "the folder of the state" in ended.err


def test_nested_pools_are_named_at_their_line(repository: Console) -> None:
    """As of the linux driver."""
    ended = validated(repository, backend("a", "directory", "root: fs\npools: {cm: cm, installer: cm/installer}"))
    assert ended.code == 1
    assert "the pool 'installer' is inside the pool 'cm'" in ended.err


@pytest.mark.parametrize(
    ("driver", "config", "at", "said"),
    [
        ("simulated", "pools: [{total: 1.1TiB}]", 17, "'1.1TiB' is not a whole number of bytes"),
        ("simulated", "pools: [{free: 0B}]", 16, "a size of zero holds nothing"),
        ("simulated", "limits: {minSize: 5000PiB}", 19, "'5000PiB' is more than 1024PiB, the largest size there is"),
        ("simulated", "pools: [{name: a2}, {name: a, count: 3.0}]", 28, "another pool is called 'a2' already"),
        ("simulated", "pools: [{}, {thin: false}]", 13, "another pool is called 'pool' already"),
        ("simulated", 'stateFile: "a\\0b"', 12, "a path cannot contain a NUL character"),
        ("directory", 'root: "a\\0b"', 7, "a path cannot contain a NUL character"),
        ("directory", 'exportPath: "/a\\0b"', 13, "a path cannot contain a NUL character"),
        ("directory", 'exportPath: "/a\\nb"', 13, "a path cannot contain a line break or another control character"),
        ("directory", 'root: "a\\eb"', 7, "a path cannot contain a line break or another control character"),
    ],
)
def test_what_a_driver_cannot_use_of_its_configuration_is_an_error_at_its_line(
    repository: Console, driver: str, config: str, at: int, said: str
) -> None:
    """And no driver opens what validate refuses, or refuses in words of Python what validate accepts."""
    needed = {"simulated": "stateFile", "directory": "root"}[driver]
    more = "" if config.startswith(needed) else f"{needed}: here\n"
    ended = validated(repository, backend("nas", driver, f"{more}{config}"), share("s"))
    line = 9 if more else 8
    assert (ended.code, ended.err.count("error[")) == (1, 1), ended.err
    assert f"error[backend.config]: {said}\n  --> all.yaml:{line}:{4 + at}\n" in ended.err
    assert "Error:" not in repository("plan").err


def test_a_secret_that_is_not_there_is_named_beside_other_mistakes(repository: Console) -> None:
    """With --secrets; one of another backend, whose reference is wrong itself, is not looked for."""
    wrong = share("s", sice="1GiB")
    ended = validated(repository, backend("lnas", "linux", LINUX), wrong)
    assert "SHARECTL_TEST_ALICE" not in ended.err
    ended = repository("validate", "--secrets")
    assert "SHARECTL_TEST_ALICE" in ended.err
    assert "there is no field `sice`" in ended.err
    assert "2 errors" in ended.err


def test_plan_names_what_drivers_refuse_beside_other_mistakes(repository: Console) -> None:
    """So that nobody mends one after the other."""
    validated(
        repository, DIRECTORY, share("a", RULE.format("ip", "10.0.0.0/8", "ro"), protocol="CIFS"), share("b", sice="1")
    )
    ended = repository("plan")
    assert ended.code == 1
    assert "cannot make a share read-only by address" in ended.err
    assert "there is no field `sice`" in ended.err


def test_a_damaged_state_is_named_beside_the_mistakes_in_manifests(repository: Console) -> None:
    """Neither hides the other."""
    repository.write(".sharectl/state.db", "this is no database")
    ended = validated(repository, DIRECTORY, share("b", sice="1"))
    assert ended.code == 1
    assert "there is no field `sice`" in ended.err
    assert "2 errors" in ended.err


def test_a_backend_that_cannot_be_read_may_be_the_one_that_takes_a_share(repository: Console) -> None:
    """So nothing is said of all backends; of a share that names its backend it is."""
    rules = RULE.format("ip", "10.0.0.0/8", "ro")
    broken = "---\nkind: Backend\nspec: [\n"
    assert "read-only by address" in validated(repository, DIRECTORY, share("s", rules, protocol="CIFS")).err
    ended = validated(repository, DIRECTORY, share("s", rules, protocol="CIFS"), broken)
    assert ended.code == 1
    assert "read-only by address" not in ended.err
    pinned = share("s", rules, protocol="CIFS", schedulerHints="{onlyHost: 'nas#default'}")
    assert "read-only by address" in validated(repository, DIRECTORY, pinned, broken).err


def test_storage_in_a_folder_with_manifests_is_a_warning(repository: Console) -> None:
    """What users keep there might be read as manifests; in the project's own folder, which holds everything, it is not named."""
    repository.write("sharectl.yaml", PROJECT.replace("spec: {}", "spec: {manifests: [all.yaml, shares]}"))
    repository.write("shares/t.yaml", share("t"))
    assert validated(repository, DIRECTORY, share("s")).err == ""
    ended = validated(repository, backend("nas", "directory", "root: shares/storage"), share("s"))
    assert ended.code == 0
    assert "the root of backend nas" in ended.err
    assert "is in a folder with manifests" in ended.err
    assert "1 warning" in ended.err


def test_storage_that_is_a_folder_of_manifests_is_refused(repository: Console, tmp_path: Path) -> None:
    """A client could write a manifest to a share, and the next plan would do what it says."""
    repository.write(
        "sharectl.yaml", PROJECT.replace("spec: {}", f"spec: {{state: {{file: {tmp_path}/elsewhere/state.db}}}}")
    )
    ended = validated(repository, backend("nas", "directory", "root: ."), share("s"))
    assert ended.code == 1
    assert "is a folder in which manifests are looked for" in ended.err
    assert "1 error" in ended.err


def test_two_backends_with_one_folder_are_one_mistake(repository: Console) -> None:
    """And not one for each thing in it."""
    ended = validated(repository, DIRECTORY, backend("nas2", "directory", "root: ./storage"), share("s"))
    assert "is also the root of backend" in ended.err
    assert "1 error" in ended.err


def test_a_file_that_is_not_there_is_told_with_the_one_that_is(repository: Console) -> None:
    """Or with the folder that was looked in."""
    validated(repository, DIRECTORY)
    assert 'did you mean "all.yaml"?' in repository("plan", "-f", "al.yaml").err
    assert f"that is there, from {repository.root}" in repository("plan", "-f", "nope").err


def test_the_name_of_a_secret_is_proposed_without_the_variable_around_it(repository: Console) -> None:
    """Not what was written already; and nothing that would put the secret itself in its place."""
    service = "---\napiVersion: sharectl/v1\nkind: SecurityService\nmetadata: {name: ad}\n"
    service += "spec: {type: ldap, user: u, password: {env: '${PW}'}}\n"
    ended = validated(repository, backend("lnas", "linux", LINUX.replace("SHARECTL_TEST_ALICE", "'$(PW)'")), service)
    assert ended.code == 1
    assert ended.err.count("write the name of the variable alone, as {env: PW}") == 2
    assert "envsubst" not in ended.err


@pytest.mark.parametrize(
    ("root", "told"), [("~/storage", "a home folder has no short form"), ("//", "all folders of this machine")]
)
def test_a_root_that_nobody_means_is_refused(console: Console, root: str, told: str) -> None:
    """A folder called `~` in the project, and all folders that there are."""
    kind = f"apiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: nas}}\nspec: {{driver: directory, config: {{root: {root}}}}}\n"
    console.write("all.yaml", kind)
    ended = console("validate")
    assert ended.code == 1
    assert "all.yaml:4:42" in ended.err
    assert told in ended.err
