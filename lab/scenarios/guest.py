"""``make guest``: a real Linux under QEMU as a lab instance; its memory is captured while the sender is killed three times.

The product's own steps run against the lab's AWS; the SSM documents run in the guest. Shown at the end: the stored image is
what was sent, how many parts were sent twice, how many bytes the guest wrote to its disk, and what Volatility 3 finds with
symbols made from the guest's own BTF. ``--lockdown`` boots it in a mode of the kernel's lockdown; in ``confidentiality`` no whole
image is possible and single processes have to be there instead. ``--kernel`` takes another kernel of Debian's and writes what
every plugin gave into docs/kernels.md. Without QEMU it says so and ends with 0: nothing was checked.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

from lab.evidence.images import Images, image_cache
from lab.paths import ROOT
from lab.scenarios import guest_table
from lab.scenarios.guest_findings import (
    Findings,
    differences,
    examine,
    examine_by_debug_package,
    process_members,
)
from lab.scenarios.guest_gate import Gate
from lab.scenarios.guest_lime import LIME_LIST, offer_lime
from lab.scenarios.guest_machine import MEMORY_MIB, DiskGuest, Wanted, guest, hidden_module
from lab.seed import seed
from lab.seed.member import controller
from lab.stack import airflow
from lab.stack.health import missing_lab, wait
from lab.stack.stack import read_variables
from lab.stack.state import free_port
from lab.tools.memory import make_memory
from lab.tools.memory.debian import Archive, NoKernelError
from lab.tools.memory.kernel_image import PackedKernelError
from lab.tools.memory.machines import AMD64, MACHINES
from lab.tools.memory.module_build import ModuleError, lacking_compiler

MIB = 1024 * 1024
PART = 16 * MIB
KILLS = (0.2, 0.5, 0.8)
MOST_TRIES = 3 * len(KILLS)
MODES = ("none", "integrity", "confidentiality")


class Failure(RuntimeError):
    """Something is not as expected; the message says what."""


@dataclass
class Captured:
    """What the case has at the end of its memory flow, and what was counted meanwhile."""

    memory: Any
    recorder: Any
    gate: Gate
    tries: int
    written: int
    skipped: str = ""
    processes: dict[str, bytes] = field(default_factory=dict)

    @property
    def again(self) -> int:
        """Parts that were begun more than once."""
        return self.gate.parts - (self.memory.origin.transport.parts if self.memory.origin.transport else 0)


def kill_parts() -> list[int]:
    """The parts before which the sender is killed: those that begin when a share of ``KILLS`` has landed."""
    return [math.ceil(share * MEMORY_MIB * MIB / PART) + 1 for share in KILLS]


@contextmanager
def lab_server(state: Path, *, report: Any) -> Iterator[dict[str, Any]]:
    """The lab with its accounts, and the product's settings in this process's environment."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    env = {**airflow.clean(dict(os.environ)), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    with (state / "lab.log").open("wb") as log:
        command = [sys.executable, "-m", "lab.emulator.server", "--state", str(state), "--port", str(port)]
        server = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log)
    try:

        def running() -> None:
            if server.poll() is not None:
                raise Failure(f"the lab has ended with {server.returncode}; read {state / 'lab.log'}")

        hint = f"Read {state / 'lab.log'}."
        wait("the lab server", missing=lambda: missing_lab(endpoint), check=running, logs=state, hint=hint)
        facts = seed.seed(endpoint, state, report=report)
        for name in [n for n in os.environ if n.startswith(("AWS_", "AIRFLOW__FORENSICS__"))]:
            del os.environ[name]
        given = {**read_variables(state / "airflow.env"), **airflow.SETTINGS}
        os.environ.update({k: v for k, v in given.items() if k.startswith(("AWS_", "AIRFLOW__FORENSICS__"))})
        # Software emulation on a busy machine takes its time; how long is not what is proven here.
        slow = {"MEMORY_TIMEOUT_SECONDS": "14400", "LIVE_RESPONSE_SECONDS": "3600"}
        os.environ |= {f"AIRFLOW__FORENSICS__{name}": value for name, value in slow.items()}
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        yield {**facts, "endpoint": endpoint, "port": port}
    finally:
        server.terminate()
        server.wait(20)


def case(lab: dict[str, Any], machine: DiskGuest, gate: Gate, *, whole: bool) -> Captured:
    """The product's steps from opening to verification; ``whole``: an image of all memory is to be had."""
    from airflow.sdk.exceptions import AirflowSkipException

    from forensics.aws.hook import ForensicsHook
    from forensics.case.recorder import open_recorder
    from forensics.intake.operators import OpenCaseOperator
    from forensics.memory.live_response_operators import LiveResponseOperator
    from forensics.memory.probe_operators import ProbeTargetOperator
    from forensics.memory.verify_operators import VerifyMemoryOperator
    from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator
    from tests.integration.steps import perform

    target = lab["instances"]["web-server"]
    params = {
        "account_id": target["account"], "region": target["region"], "instance_id": target["instance_id"], "actions": "memory",
        "reason": "make guest",
    }  # fmt: skip
    case_id = perform(OpenCaseOperator(task_id="open_case"), params=params)
    for operator in (
        DescribeTargetOperator(task_id="describe_target"),
        PlanResponseOperator(task_id="plan_response"),
        ProbeTargetOperator(task_id="probe_target"),
    ):
        perform(operator, case_id=case_id)
    before, tries, skipped = machine.written(), 1, ""
    try:
        tries = _captured(case_id, gate)
    except AirflowSkipException as reason:
        skipped = str(reason)
    written = machine.written() - before
    if whole and not skipped:
        perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    if skipped:
        perform(LiveResponseOperator(task_id="live_response"), case_id=case_id)
    recorder = open_recorder(ForensicsHook(), case_id, step="guest")
    found = Captured(recorder.memory(), recorder, gate, tries, written, skipped)
    live = recorder.live_response()
    if skipped and live is not None and live.uri:
        found.processes = process_members(b"".join(recorder.gateways.evidence.stream(live.uri.split("/", 3)[3])))
    return found


def _captured(case_id: str, gate: Gate) -> int:
    """Capture, trying again as Airflow would; returns the number of tries."""
    from airflow.sdk.exceptions import AirflowFailException

    from forensics.errors import MemoryCaptureError
    from forensics.memory.capture_operators import CaptureMemoryOperator
    from tests.integration.steps import perform

    for tries in range(1, MOST_TRIES + 1):
        try:
            perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id, try_number=1)
        except MemoryCaptureError as error:
            print(f"  try {tries}: {error}", flush=True)
            if gate.error is not None:
                raise Failure(f"the sender could not be killed: {gate.error}") from error
        except AirflowFailException as error:
            raise Failure(f"the capture failed for good: {error}") from error
        else:
            return tries
    raise Failure(f"{MOST_TRIES} tries for {len(gate.killed_at)} kills: the capture does not continue by itself")


def fetch(seen: Captured, work: Path) -> None:
    """The stored image and the kernel's facts, from the evidence store while the lab still runs."""
    evidence = seen.recorder.gateways.evidence
    with (work / "image.lime").open("wb") as out:
        for block in evidence.stream(seen.memory.uri.split("/", 3)[3]):
            out.write(block)
    for name, fact in seen.memory.origin.kernel_facts.items():
        (work / f"fact-{name}").write_bytes(b"".join(evidence.stream(fact.key)))


def judge_image(seen: Captured, found: Findings) -> list[str]:
    """What is wrong with a run that was to bring all memory."""
    wrong = [f"{what} is missing" for what, there in found.planted.items() if not there]
    if seen.memory.outcome.value != "ACQUIRED":
        wrong.append(f"the image is {seen.memory.outcome.value}: {seen.memory.reason}")
    if len(seen.gate.killed_at) != len(KILLS):
        wrong.append(f"{len(seen.gate.killed_at)} of {len(KILLS)} kills")
    if seen.again > len(KILLS):
        wrong.append(f"{seen.again} parts were sent again for {len(KILLS)} kills")
    if seen.written:
        wrong.append(f"{seen.written} bytes were written to the guest's disk")
    return wrong


def judge_processes(seen: Captured, implant: bytes) -> list[str]:
    """What is wrong with a run on a kernel that bars all memory: the reason in one line, and the planted process's memory."""
    wrong = []
    if "confidentiality" not in seen.skipped or "\n" in seen.skipped:
        wrong.append(f"the reason is not one line that names the mode: {seen.skipped!r}")
    if seen.memory.outcome.value != "PARTIAL":
        wrong.append(f"memory is {seen.memory.outcome.value}: {seen.memory.reason}")
    programs = [name for name, data in seen.processes.items() if name.endswith("-program") and data == implant]
    if not any(seen.processes.get(f"{name.removesuffix('program')}memory") for name in programs):
        wrong.append(f"program and memory of the planted process are not among {sorted(seen.processes)}")
    return wrong


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.scenarios.guest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--state", type=Path, default=ROOT / ".lab" / "guest", help="a folder of its own, emptied first"
    )
    parser.add_argument("--kernel", help="a series (6.12) or release of Debian's cloud kernels, or `each` series")
    parser.add_argument(
        "--arch", choices=tuple(MACHINES), default=AMD64.debian, help="architecture, as Debian names it"
    )
    parser.add_argument("--lockdown", choices=MODES, default="none", help="mode in which the kernel is locked down")
    parser.add_argument(
        "--lime", action="store_true", help="mask /proc/kcore, capture by a LiME module built for the guest's kernel"
    )
    parser.add_argument(
        "--compare", action="store_true", help="with --kernel: every plugin with the debug package's table too"
    )
    given = parser.parse_args()
    if given.compare and not (given.kernel or MACHINES[given.arch].foreign):
        parser.error("--compare needs --kernel: the debug package is fetched by the kernel's release")
    return given


def main() -> int:
    """Run the check."""
    given = arguments()
    given.state = given.state.resolve()  # make runs in a folder of its own
    machine = MACHINES[given.arch]
    lacks = sorted({*make_memory.missing_tools(machine), *lacking_compiler(machine)})
    if lacks:
        print("make guest: SKIPPED, nothing is checked: this machine lacks")
        print("\n".join(f"  {line}" for line in lacks))
        return 0
    if machine.foreign:
        given.kernel = given.kernel or "6.1"
    host = Archive(ROOT / ".lab" / "cache" / "debian")
    foreign = Archive(ROOT / ".lab" / "cache" / f"debian-{machine.debian}", machine.debian) if machine.foreign else host
    archive = foreign if given.kernel else None
    if archive and given.kernel == "each":
        command = [
            sys.executable,
            "-m",
            "lab.scenarios.guest",
            "--state",
            str(given.state),
            "--lockdown",
            given.lockdown,
            "--arch",
            machine.debian,
            *(["--lime"] if given.lime else []),
            *(["--compare"] if given.compare else []),
        ]
        codes = [subprocess.run([*command, "--kernel", name], check=False).returncode for name in archive.kernels()]
        return max(codes, default=1)
    try:
        kernel = archive.kernel(given.kernel) if archive else make_memory.newest_kernel()
        wanted = Wanted(
            kernel, lockdown=given.lockdown, mask_kcore=given.lime, archive=archive, machine=machine, host=host
        )
        # A column of the table is what the product's usual way gives.
        table = archive is not None and given.lockdown == "none" and not given.lime
        return run(wanted, state=given.state, table=table, compare=given.compare)
    except (NoKernelError, ModuleError, PackedKernelError) as error:
        print(f"make guest: {error}")
        return 2


def run(wanted: Wanted, *, state: Path, table: bool, compare: bool = False) -> int:
    """One guest and its case; writes the kernel's column where ``table`` says so.

    ``compare``: every plugin once more with a table of the kernel's debug package; rows that differ are wrong.
    """
    rmtree(state, ignore_errors=True)
    work, lab_state = state / "work", state / "lab"
    for folder in (work, lab_state):
        folder.mkdir(parents=True)
    whole = wanted.lockdown != "confidentiality"
    with ExitStack() as stack:
        lab = stack.enter_context(lab_server(lab_state, report=lambda line: print(f"  {line}", flush=True)))
        made = wanted.builder(work=work)
        module = hidden_module(made, work=work)
        if wanted.mask_kcore:
            offer_lime(lab, work, kernel=wanted.kernel, builder=made)
            os.environ["AIRFLOW__FORENSICS__LIME_LIST_KEY"] = LIME_LIST
        disk = work / "disk.raw"
        disk.write_bytes(Images(image_cache(lab_state)).disk("tiny").image.read_bytes())
        machine = stack.enter_context(guest(wanted, work=work, disk=disk, module=module))
        mode = machine.run("cat /sys/kernel/security/lockdown").decode().strip()
        print(f"  kernel {wanted.kernel}, lockdown {mode}; the intruder's session is in it", flush=True)
        if f"[{wanted.lockdown}]" not in mode:
            raise Failure(f"the kernel is not in the mode {wanted.lockdown}: {mode}")
        gate = Gate(lab["port"], kill_at=kill_parts(), kill=machine.kill_sender)
        stack.callback(gate.close)
        machine.relay(lab["port"], gate.port)
        target = lab["instances"]["web-server"]
        record = {
            "instance_id": target["instance_id"], "account": target["account"], "region": target["region"], "kind": "target",
            "managed": True, "hostname": "guest", "platform_name": "Debian GNU/Linux", "platform_version": "12",
            "ssh": {"port": machine.ssh_port, "key": str(work / "key")},
        }  # fmt: skip
        controller(lab["endpoint"])("instance", record)
        seen = case(lab, machine, gate, whole=whole)
        if whole and not seen.skipped:
            fetch(seen, work)
    if not whole or seen.skipped:
        wrong = (
            judge_processes(seen, (work / "implant").read_bytes())
            if not whole
            else [f"no image was taken: {seen.skipped}"]
        )
        return _end(wrong, {"why": seen.skipped, "outcome": seen.memory.outcome.value, "reason": seen.memory.reason})
    archive = wanted.archive
    packages = partial(_debug_package, archive, wanted.kernel) if archive else None
    found = examine(work / "image.lime", facts=work, work=work, packages=packages)
    unlike: dict[str, str] = {}
    if compare and packages is not None and not (work / "debug").exists():
        unlike = differences(found, examine_by_debug_package(work / "image.lime", work=work, packages=packages))
        print(f"  with the table of the debug package: {len(unlike)} plugins differ", flush=True)
    memory = seen.memory
    figures = {
        "outcome": memory.outcome.value, "reason": memory.reason, "method": memory.origin.method, "bytes": memory.size_bytes,
        "parts": memory.origin.transport.parts, "killed_at_parts": gate.killed_at, "tries": seen.tries,
        "parts_sent_again": seen.again, "bytes_written_to_disk": seen.written, "checks": memory.origin.checks, **found.cells, "differ": unlike,
    }  # fmt: skip
    if table:
        facts = {"memory": f"{memory.outcome.value}, {memory.origin.method}", "parts sent again": str(seen.again)}
        guest_table.write(wanted.kernel, {**facts, **found.cells})
        print(f"  the column of {wanted.kernel} is in {guest_table.DOCUMENT.relative_to(ROOT)}")
    wrong = judge_image(seen, found)
    if unlike:
        wrong.append(f"other rows with the debug package's table: {', '.join(unlike)}")
    return _end(wrong, figures)


def _debug_package(archive: Archive, kernel: str, folder: Path) -> Path:
    return archive.debug_package(kernel, into=folder)


def _end(wrong: list[str], figures: dict[str, Any]) -> int:
    print(json.dumps(figures, indent=1))
    print("make guest: " + ("passed" if not wrong else "FAILED: " + "; ".join(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
