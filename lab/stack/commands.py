"""``python -m lab.stack up|down|status``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

from lab.paths import ROOT
from lab.stack import airflow
from lab.stack import state as stack_state
from lab.stack.process import StackError
from lab.stack.stack import LAB_PORT, UI_PORT, Stack
from lab.stack.state import free_port, is_free


def up(state: Path) -> None:
    """Start the stack and leave it running; when it runs already, say so."""
    running = stack_state.running(state)
    if running and not running["dead"]:
        print(f"The lab in {state} is running already.")
        _introduce(state, record=running)
        return
    ports = {}
    for use, wanted in (("lab", LAB_PORT), ("ui", UI_PORT)):
        ports[use] = wanted if is_free(wanted) else free_port()
        if ports[use] != wanted:
            print(f"Port {wanted} is taken by another program; the {use} gets {ports[use]}.")
    print(f"Starting the lab and Airflow in {state}:")
    stack = Stack(state, lab_port=ports["lab"], api_port=ports["ui"])
    stack.start()
    _introduce(state, record=stack_state.read_record(state) or {})


def down(state: Path) -> None:
    """End the stack's processes, and nothing else."""
    ended = stack_state.stop(state)
    print(f"Ended {', '.join(ended)}." if ended else f"No lab is running in {state}.")


def status(state: Path) -> int:
    """Print what runs. Return 0 when all of it does, 3 when nothing does, 1 when a part has died."""
    record = stack_state.running(state)
    if not record:
        print(f"No lab is running in {state}. Start it with `make up`.")
        return 3
    for member in stack_state.members(record):
        word = "runs" if member.alive() else "DIED"
        print(f"  {member.name:14} pid {member.pid:<8} {word}   log {member.log}")
    _introduce(state, record=record)
    return 1 if record["dead"] else 0


def _introduce(state: Path, *, record: dict[str, Any]) -> None:
    password = airflow.load_secrets(state)["password"]
    print(f"  Airflow      {record['api_url']}   user {record['user']}   password {password}")
    print(f"  AWS (lab)    {record['lab_endpoint']}   ids of everything in {state / 'lab.json'}")
    print("  stop         make down        look   make status")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.stack", description="Start, stop or look at the lab.")
    parser.add_argument("command", choices=("up", "down", "status"))
    default = Path(os.environ.get("LAB_STATE") or ROOT / ".lab")
    parser.add_argument("--state", type=Path, default=default, help="state directory (LAB_STATE); %(default)s")
    given = parser.parse_args()
    # `kill` on a start must clear up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        match given.command:
            case "up":
                up(given.state)
            case "down":
                down(given.state)
            case _:
                return status(given.state)
    except StackError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.", file=sys.stderr)
        return 130
    return 0
