"""The control endpoint, beside the API: faults, switches and time, for whoever runs the emulator by hand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

    from tests.emulators.ontap.calls import Calls
    from tests.emulators.ontap.server import Connections
    from tests.emulators.ontap.world import World


class Control:
    """`/control/…`: it asks for no login, as the emulator listens on this machine alone."""

    def __init__(self, world: World, calls: Calls, connections: Connections) -> None:
        """Steer a world."""
        self.world, self.calls, self.connections = world, calls, connections

    async def __call__(self, http: HttpRequest) -> Response:
        """Do what `METHOD /control/THING` says."""
        thing = http.path_params["rest"].strip("/")
        body = await http.json() if await http.body() else {}
        action = getattr(self, f"_{http.method.lower()}_{thing}", None)
        if action is None:
            return JSONResponse({"error": f"no {http.method} of {thing!r}"}, 404)
        with self.world.lock:
            return JSONResponse(action(body) or {})

    def _get_faults(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"active": [dataclasses.asdict(each) for each in self.world.faults.active], "met": self.world.faults.met}

    def _post_faults(self, body: dict[str, Any]) -> None:
        self.world.faults.add(**body)

    def _delete_faults(self, _: dict[str, Any]) -> None:
        self.world.faults.clear()

    def _get_settings(self, _: dict[str, Any]) -> dict[str, Any]:
        return dataclasses.asdict(self.world.settings)

    def _patch_settings(self, body: dict[str, Any]) -> dict[str, Any]:
        self.world.settings = dataclasses.replace(self.world.settings, **body)
        return self._get_settings({})

    def _post_time(self, body: dict[str, Any]) -> None:
        self.world.pass_time(float(body["seconds"]))

    def _get_calls(self, _: dict[str, Any]) -> dict[str, int]:
        return dict(self.calls.counted())

    def _delete_calls(self, _: dict[str, Any]) -> None:
        self.calls.clear()

    def _get_dump(self, _: dict[str, Any]) -> dict[str, Any]:
        return self.world.dump()
