"""Short ways to make and to look at storage, for the emulator's own tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.volume_records import Volume

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client, Got

GIB: Final = 2**30
WAIT: Final = "return_timeout=60"


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage of the SVM `vs1`, by a client that waits for what it asks for."""

    client: Client

    def volume(self, name: str, /, **fields: Any) -> str:  # noqa: ANN401 - JSON
        """Make a volume of 1 GiB that is mounted under its name, and return its UUID."""
        got = self.try_volume(name, **fields)
        assert got.status == 201, got.body
        return self.uuid(name)

    def try_volume(self, name: str, /, **fields: Any) -> Got:  # noqa: ANN401 - JSON
        """Ask for a volume; a field that is None is left out."""
        body = {
            "svm": {"name": "vs1"},
            "name": name,
            "style": "flexvol",
            "aggregates": [{"name": "aggr1"}],
            "size": GIB,
            "guarantee.type": "none",
            "snapshot_policy": "none",
            "nas.path": f"/{name}",
        } | fields
        left = {field: value for field, value in body.items() if value is not None}
        return self.client.post(f"/storage/volumes?{WAIT}", left)

    def clone(self, name: str, parent: str, **fields: Any) -> str:  # noqa: ANN401 - JSON
        """Make a clone that is not mounted, and return its UUID."""
        clone = {"is_flexclone": True, "parent_volume": {"name": parent}}
        body = {"svm.name": "vs1", "name": name, "clone": clone} | fields
        got = self.client.post(f"/storage/volumes?{WAIT}", body)
        assert got.status == 201, got.body
        return self.uuid(name)

    def uuid(self, name: str) -> str:
        """Return the UUID of a volume."""
        return str(self.client.get(f"/storage/volumes?name={name}").records[0]["uuid"])

    def show(self, uuid: str, fields: str = "**") -> dict[str, Any]:
        """Return the record of a volume."""
        return dict(self.client.get(f"/storage/volumes/{uuid}?fields={fields}").body)

    def change(self, uuid: str, /, **fields: Any) -> Got:  # noqa: ANN401 - JSON
        """Change a volume; `__` in a name stands for a dot."""
        body = {name.replace("__", "."): value for name, value in fields.items()}
        return self.client.patch(f"/storage/volumes/{uuid}?{WAIT}", body)

    def delete(self, uuid: str, *, force: bool = False) -> Got:
        """Unmount a volume and delete it."""
        self.change(uuid, nas__path="")
        return self.client.delete(f"/storage/volumes/{uuid}?{WAIT}{'&force=true' if force else ''}")

    def write(self, uuid: str, *, data: int | None = None, snapshots: int | None = None) -> None:
        """Have clients write: what the files of a volume use then, and what its snapshots hold beside them."""
        world = self.client.emulator.world
        with world.lock:
            volume = world[Volume][uuid]
            world[Volume].change(
                uuid,
                data=volume.data if data is None else data,
                snapshot_data=volume.snapshot_data if snapshots is None else snapshots,
            )

    def snapshot(self, uuid: str, name: str, **fields: Any) -> Got:  # noqa: ANN401 - JSON
        """Make a snapshot."""
        return self.client.post(f"/storage/volumes/{uuid}/snapshots?{WAIT}", {"name": name, **fields})

    def snapshots(self, uuid: str) -> list[str]:
        """Return the names of the snapshots of a volume."""
        return [each["name"] for each in self.client.get(f"/storage/volumes/{uuid}/snapshots").records]

    def policy(self, name: str, *rules: dict[str, Any]) -> int:
        """Make an export policy, and return its id."""
        got = self.client.post(
            "/protocols/nfs/export-policies", {"svm.name": "vs1", "name": name, "rules": list(rules)}
        )
        assert got.status == 201, got.body
        return int(got.headers["location"].rpartition("/")[2])

    def rules(self, policy: int) -> list[dict[str, Any]]:
        """Return the rules of a policy."""
        return list(self.client.get(f"/protocols/nfs/export-policies/{policy}").body["rules"])


def rule(*clients: str, level: str = "rw", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a rule for clients that may read, or read and write."""
    return {
        "clients": [{"match": client} for client in clients],
        "ro_rule": ["sys"],
        "rw_rule": ["sys" if level == "rw" else "never"],
        "superuser": ["sys"],
        "anonymous_user": "65534",
        **fields,
    }
