"""All agents of the lab: one thread that looks for commands, and one per command that runs."""

from __future__ import annotations

import logging
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab.hosts import tapes
from lab.hosts.agent import aws
from lab.hosts.agent.machine import Machines
from lab.hosts.agent.protocol import AddressOf, Attachments, InstanceState, Invocation, Reachable, Source, VolumePath
from lab.hosts.agent.worker import Surroundings, Worker
from lab.hosts.sandbox import capabilities

log = logging.getLogger("lab.hosts.agent")

POLL_SECONDS = 0.05
# What the real agent runs side by side unless configured otherwise (CommandWorkersLimit in amazon-ssm-agent.json).
WORKERS = 5


class Fleet:
    """The agents of every instance. An instance runs five commands at a time; the others stay Pending meanwhile.

    `state` is the lab's folder and `endpoint` the URL of its emulated AWS. `source` gives the commands that wait,
    `reachable` says whether an instance's agent can talk to AWS, `volume_path` where a volume's image lies, `address_of`
    from which loopback address a host's connections come, `shelf` holds tapes of commands. What EC2 says about instances comes from moto in this process;
    tests give something else.
    """

    def __init__(
        self,
        state: Path,
        endpoint: str,
        *,
        source: Source,
        reachable: Reachable,
        volume_path: VolumePath,
        attachments: Attachments = aws.attachments,
        instance_state: InstanceState = aws.instance_state,
        address_of: AddressOf = lambda *_: "",
        tools_python: Path | None = None,
        shelf: tapes.Shelf | None = None,
    ) -> None:
        self._source = source
        self._reachable = reachable
        self._stop = threading.Event()
        scratch = state / "sandbox"
        scratch.mkdir(parents=True, exist_ok=True)
        self._around = Surroundings(
            endpoint=endpoint,
            machines=Machines(
                state=state,
                attachments=attachments,
                volume_path=volume_path,
                tools_python=tools_python,
            ),
            reachable=self._reachable,
            instance_state=instance_state,
            address_of=address_of,
            stopping=self._stop.is_set,
            scratch=scratch,
            shelf=shelf,
        )
        self._busy: dict[tuple[str, str], threading.Thread] = {}
        self._thread: threading.Thread | None = None
        self._complaint = ""

    def start(self) -> None:
        """Begin to take commands."""
        if self._thread is not None:
            raise RuntimeError("this fleet was started before; make a new one")
        for left in self._around.scratch.iterdir():  # of a lab that was killed; its sandboxes ended with it
            shutil.rmtree(left, ignore_errors=True)
        self._thread = threading.Thread(target=self._loop, name="lab-agents", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more commands, end those that run (they end as Failed), and wait for their threads."""
        self._stop.set()
        if self._thread is None:
            return
        self._thread.join(timeout=15)  # first: only it starts others
        for thread in (self._thread, *self._busy.values()):
            thread.join(timeout=15)
            if thread.is_alive():
                log.warning("the lab's agent thread %s did not end within 15 s", thread.name)

    def __enter__(self) -> Fleet:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _loop(self) -> None:
        # Asked here, so that the one line about what is missing appears when the lab starts, not with a
        # command.
        capabilities()
        while not self._stop.wait(POLL_SECONDS):
            try:
                waiting = self._source()
                self._busy = {key: thread for key, thread in self._busy.items() if thread.is_alive()}
                for invocation in waiting:
                    self._consider(invocation)
            except Exception as error:  # one bad answer must not leave every instance without an agent
                self._complain(f"{type(error).__name__}: {error}")

    def _consider(self, invocation: Invocation) -> None:
        key = (invocation.instance_id, invocation.command_id)
        busy = sum(1 for instance_id, _ in self._busy if instance_id == invocation.instance_id)
        if invocation.status != "Pending" or key in self._busy or busy >= WORKERS:
            return
        if _overdue(invocation):
            invocation.update(status="TimedOut", status_details="DeliveryTimedOut", ended=datetime.now(UTC))
            return
        if not self._reachable(invocation.account_id, invocation.region, invocation.instance_id):
            return
        worker = Worker(invocation, surroundings=self._around)
        thread = threading.Thread(target=worker.run, name=f"lab-agent-{invocation.instance_id}", daemon=True)
        self._busy[key] = thread
        thread.start()

    def _complain(self, text: str) -> None:
        """Log a problem of the polling loop once, not twenty times a second."""
        if text != self._complaint:
            self._complaint = text
            log.error("the lab's agents cannot look for commands and keep trying: %s", text, exc_info=True)


def _overdue(invocation: Invocation) -> bool:
    deadline = invocation.requested_at + timedelta(seconds=invocation.timeout_seconds)
    return datetime.now(UTC) >= deadline
