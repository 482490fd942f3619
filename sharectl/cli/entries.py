"""The commands that there are, and what the help of the whole says of each."""

from __future__ import annotations

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """A command as the help of the whole lists it: its module in this package, and what it does."""

    module: str
    summary: str


COMMANDS: Final[dict[str, Entry]] = {
    "init": Entry("init", "Write a small repository that works."),
    "validate": Entry("validate", "Find every mistake in the manifests."),
    "plan": Entry("plan", "Show what apply would do."),
    "apply": Entry("apply", "Bring the backends in line with the manifests."),
    "destroy": Entry("destroy", "Remove what the state holds, as each deletionPolicy says."),
    "refresh": Entry("refresh", "Show where the backends differ from the state."),
    "show": Entry("show", "Show a resource: where it is, who may reach it, how to mount it."),
    "mounts": Entry("mounts", "Write what a client mounts: fstab, autofs, systemd, Kubernetes, Ansible."),
    "pools": Entry("pools", "Show the capacity and capabilities of the pools."),
    "explain": Entry("explain", "Say why a share is, or would be, where it is."),
    "import": Entry("imports", "Take over shares that exist on a backend."),
    "trash": Entry("trash", "List the shares in the trash of the backends, and purge them."),
    "state": Entry("state", "Look into the state, and repair it by hand."),
    "lock": Entry("lock", "Show who holds the lock of the state."),
    "unlock": Entry("unlock", "Remove the lock of a holder that is certainly dead."),
    "history": Entry("history", "Show who changed what, when, from which commit."),
    "graph": Entry("graph", "Draw what depends on what."),
    "schema": Entry("schema", "Print the JSON Schemas of the manifests."),
}
"""Commands in the order of the help. What is said of them stands here, so that the help needs none of their modules."""
