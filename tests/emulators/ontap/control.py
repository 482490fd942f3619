"""The control endpoint, beside the API: faults, switches and time, for whoever runs the emulator by hand.

GET, POST, DELETE /control/faults    what goes wrong (faults.py): `{"kind": "refuse", "method": "PATCH", "path": "/storage/*",
                                     "code": 2621573, "times": 3, "for_seconds": 60}`
POST /control/change                 what happens behind clients' backs (changes.py): `{"name": "node_down", "node": "n1"}`
GET, PATCH /control/settings         the switches (world.Settings)
POST /control/time                   lets time pass: `{"seconds": 3600}`
POST /control/cut                    drops every connection
GET, DELETE /control/calls           how often each operation was asked for
GET /control/dump                    all that the array holds
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from tests.emulators.ontap.changes import change

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
        try:
            with self.world.lock:
                return JSONResponse(action(body) or {})
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            return JSONResponse({"error": str(error)}, 400)

    def _get_faults(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"active": [dataclasses.asdict(each) for each in self.world.faults.active], "met": self.world.faults.met}

    def _post_faults(self, body: dict[str, Any]) -> None:
        self.world.fault(**body)

    def _delete_faults(self, _: dict[str, Any]) -> None:
        self.world.faults.clear()

    def _get_settings(self, _: dict[str, Any]) -> dict[str, Any]:
        return dataclasses.asdict(self.world.settings)

    def _patch_settings(self, body: dict[str, Any]) -> dict[str, Any]:
        self.world.settings = dataclasses.replace(self.world.settings, **body)
        return self._get_settings({})

    def _post_change(self, body: dict[str, Any]) -> None:
        change(self.world, **body)
        if body["name"] == "restart":
            self.connections.abort_all()

    def _post_cut(self, _: dict[str, Any]) -> None:
        self.connections.abort_all()

    def _post_time(self, body: dict[str, Any]) -> None:
        self.world.pass_time(float(body["seconds"]))

    def _get_calls(self, _: dict[str, Any]) -> dict[str, int]:
        return dict(self.calls.counted())

    def _delete_calls(self, _: dict[str, Any]) -> None:
        self.calls.clear()

    def _get_dump(self, _: dict[str, Any]) -> dict[str, Any]:
        return self.world.dump()
