"""Makes and removes share servers in processes that are killed right after one of their changes: `killed_child.py PORT CA PASSWORD STEPS`.

For each step a process is forked that is killed (SIGKILL) when the array has answered so many changes; what another process
then says of the server is printed, once it was made again and once it was removed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from sharectl.drivers.ontap.client import Array
from sharectl.drivers.ontap.settings import ArraySettings
from sharectl.drivers.ontap.share_servers.servers import ShareServers
from sharectl.drivers.ontap.share_servers.svm import Patience
from tests.drivers.ontap.share_servers.arrays import SECRETS, SETTINGS, domain, new_request, ref_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.canonical import JsonObject


class Killed(Array):
    """A client whose process ends with the change of that number."""

    last = -1

    def post(self, *arguments: Any, **options: Any) -> JsonObject:  # noqa: ANN401 - as in the client
        """Make something, and perhaps die."""
        return self._survived(super().post(*arguments, **options))

    def patch(self, *arguments: Any, **options: Any) -> JsonObject:  # noqa: ANN401 - as in the client
        """Change something, and perhaps die."""
        return self._survived(super().patch(*arguments, **options))

    def delete(self, *arguments: Any, **options: Any) -> JsonObject:  # noqa: ANN401 - as in the client
        """Remove something, and perhaps die."""
        return self._survived(super().delete(*arguments, **options))

    def _survived(self, answer: JsonObject) -> JsonObject:
        if self.last == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.last -= 1
        return answer


def servers(port: str, ca_file: str, password: str, last: int = -1) -> ShareServers:
    """Return the share servers as a process sees them that has just begun."""
    settings = ArraySettings("127.0.0.1", int(port), ca_file=ca_file, user="admin", password={"env": "admin"})
    array = Killed(settings, lambda _: password, sleep=lambda seconds: time.sleep(seconds / 20))
    array.last = last
    return ShareServers(
        array,
        SETTINGS,
        lambda reference: SECRETS[reference["env"]],
        Patience(20.0, sleep=lambda seconds: time.sleep(seconds / 20)),
    )


def killed(work: Callable[[], object]) -> bool:
    """Do it in a process of its own; tell whether that was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(port: str, ca_file: str, password: str, steps: int) -> None:
    """Print for each step whether the maker and the remover were killed, and what was seen in between."""
    for step in range(steps):
        request = new_request(domain())
        told: dict[str, Any] = {"maker": killed(lambda: servers(port, ca_file, password, step).create(request))}  # noqa: B023 - it is called at once
        made = servers(port, ca_file, password).create(request)
        told["healthy"] = made.healthy
        told["remover"] = killed(lambda: servers(port, ca_file, password, step).delete(ref_of(request, made)))  # noqa: B023 - as above
        servers(port, ca_file, password).delete(ref_of(request, made))
        told["left"] = [each.name for each in servers(port, ca_file, password).list() if each.resource_id is not None]
        print(json.dumps(told), flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
