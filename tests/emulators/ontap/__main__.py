"""Run the emulator by hand: `python -m tests.emulators.ontap --directory D`; it says where it is, and serves until it is stopped."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from pathlib import Path

import trustme

from tests.emulators.ontap.filling import fill
from tests.emulators.ontap.logins import LEAST_PRIVILEGED
from tests.emulators.ontap.server import Emulator, new_world, serving
from tests.emulators.ontap.world import Settings, World


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.ontap", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where the certificate authority is kept")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; any free one by default")
    parser.add_argument(
        "--ontap-version", default="9.16.1", help="the release that the array has (default: %(default)s)"
    )
    parser.add_argument("--state", type=Path, help="keep the array in this file after each change, and go on from it")
    parser.add_argument(
        "--shares", type=int, default=0, metavar="N", help="put N volumes with three rules each into vs1"
    )
    parser.add_argument(
        "--time-scale", type=float, default=20.0, help="the array's seconds in one of ours (default: %(default)s)"
    )
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="the time that each call takes")
    parser.add_argument("--wait", action="store_true", help="let return_timeout take its time, rather than skip it")
    for each in dataclasses.fields(Settings):
        kind = float if isinstance(each.default, float) else int
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=kind, default=each.default, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def world_of(arguments: argparse.Namespace) -> World:
    """Return the array that was asked for."""
    world = new_world(arguments.ontap_version)
    world.clock.scale, world.clock.skips = arguments.time_scale, not arguments.wait
    world.settings = Settings(**{each.name: getattr(arguments, each.name) for each in dataclasses.fields(Settings)})
    if arguments.latency:
        world.fault("latency", seconds=arguments.latency)
    if arguments.state is None or not arguments.state.exists():
        fill(world, arguments.shares)
    return world


def authority_in(directory: Path) -> trustme.CA:
    """Return the certificate authority that is kept in a directory, made the first time."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = directory / "ca.pem", directory / "ca.key"
    if key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    ca = trustme.CA()
    key.touch(mode=0o600)
    key.write_bytes(ca.private_key_pem.bytes())
    return ca


def description_of(running: Emulator) -> str:
    """Return what somebody needs in order to use it."""
    logins = [running.login_of(name) for name in ("admin", *LEAST_PRIVILEGED)]
    return "\n".join(
        [
            f"address   {running.address}",
            f"ca file   {running.ca_file}",
            *(f"login     {login.name} {login.password}" for login in logins),
            f"control   https://{running.address}/control/ (see tests/emulators/ontap/control.py)",
        ]
    )


def main(given: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments(given)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    ca = authority_in(arguments.directory)
    with serving(
        arguments.directory, world_of(arguments), port=arguments.port, ca=ca, state=arguments.state
    ) as running:
        sys.stdout.write(description_of(running) + "\n")
        sys.stdout.flush()
        signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
