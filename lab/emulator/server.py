"""The lab's server: moto with its patches, faults and control routes, in one process over HTTP.

`python -m lab.emulator.server --state DIR --port N` runs until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

log = logging.getLogger("lab")

BLOCKING_THREADS = 64  # a long poll holds one for up to 20 s
STOP_SECONDS = 2
_PR_SET_PDEATHSIG = 1
MOTO_SETTINGS = {
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS": "false",
}


def build_app(directory: Path) -> Callable[..., Iterable[bytes]]:
    """The WSGI application with `directory` as its state folder. One per process: moto's state is global."""
    for name, value in MOTO_SETTINGS.items():
        os.environ.setdefault(name, value)
    from lab.emulator import images, patches

    patches.apply()
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    from lab.emulator.control import Control
    from lab.emulator.faults import Gateway
    from lab.emulator.patches import cloudformation, ssm, state
    from lab.hosts.tapes import Recorder

    state.open_lab(directory)
    images.open_store(directory)
    ssm.forget_commands()
    cloudformation.forget()
    control = Control()
    gateway = Gateway(DomainDispatcherApplication(create_backend_app), control=control)
    control.gateway = gateway
    shelf = state.current().shelf
    return Recorder(gateway, shelf) if shelf else gateway


def start_fleet(directory: Path, *, endpoint: str) -> None:
    """Start the SSM agents in this process; they end with it."""
    from lab.emulator.images import volume_path
    from lab.emulator.network import network, places
    from lab.emulator.patches import state
    from lab.emulator.patches.ssm import pending_invocations
    from lab.emulator.patches.ssm_fleet import agent_reachable
    from lab.hosts.agent.fleet import Fleet

    def reaching() -> list[Any]:
        """Commands whose agents have a way to SSM; the others wait."""
        here = network.current()
        return [i for i in pending_invocations() if here.agent_path(i.account_id, i.region, i.instance_id)]

    fleet = Fleet(
        state=directory,
        endpoint=endpoint,
        source=reaching,
        address_of=places.address_of,
        reachable=agent_reachable,
        volume_path=volume_path,
        shelf=state.current().shelf,
    )
    fleet.start()

    def stop() -> None:
        fleet.stop()
        log.info("the SSM agents have stopped")

    # granian's worker is a child of multiprocessing: it runs finalizers when it ends, but nothing of atexit
    Finalize(None, stop, exitpriority=100)
    log.info("the SSM agents are running")


def worker_app() -> Callable[..., Iterable[bytes]]:
    """What granian's worker process serves; its settings come from the environment that `main` has set."""
    # without its supervisor the worker would hold the port for ever
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    directory = Path(os.environ["LAB_STATE"])
    app = build_app(directory)
    start_fleet(directory, endpoint=os.environ["LAB_ENDPOINT"])
    return app


def main(arguments: list[str] | None = None) -> int:
    """Run the server until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m lab.emulator.server", description="The lab's emulated AWS.")
    parser.add_argument("--state", type=Path, required=True, help="folder for images and instance records")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args(arguments)
    directory = options.state.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    os.environ["LAB_STATE"] = str(directory)
    os.environ["LAB_ENDPOINT"] = f"http://{options.host}:{options.port}"
    # code in this process must never reach the real AWS by accident
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    server = Granian(
        "lab.emulator.server:worker_app",
        factory=True,
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=BLOCKING_THREADS,
        backpressure=BLOCKING_THREADS * 4,
        websockets=False,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.error,
    )
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
