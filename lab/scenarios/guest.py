"""``make guest``: a real Linux under QEMU as a lab instance; its memory is captured while the sender is killed three times.

The product's own steps run against the lab's AWS; the SSM documents run in the guest. Shown at the end: the stored image is
what was sent, how many parts were sent twice, how many bytes the guest wrote to its disk, and what Volatility 3 finds with
symbols made from the guest's own BTF. Without QEMU it says so and ends with 0: nothing was checked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lab.evidence.images import Images, image_cache
from lab.paths import ROOT
from lab.scenarios.guest_lime import LIME_LIST, lacking_headers, offer_lime
from lab.seed import seed
from lab.seed.member import controller
from lab.stack import airflow
from lab.stack.health import missing_lab, wait
from lab.stack.stack import read_variables
from lab.stack.state import free_port
from lab.tools.memory import make_memory
from lab.tools.memory.guest_files import build_initramfs
from lab.tools.memory.initramfs import Initramfs
from lab.tools.memory.vm import ATTACKER, C2_PORT, FileServer, Guest, Listener

MIB = 1024 * 1024
MEMORY_MIB = 224
KILLS = (0.2, 0.5, 0.8)
MOST_TRIES = 3 * len(KILLS)
PYTHON = "python3.11"
PACKAGES = (f"{PYTHON}-minimal", f"lib{PYTHON}-minimal", f"lib{PYTHON}-stdlib", "libexpat1", "zlib1g")
LIBRARIES = ("libm.so.6", "libz.so.1", "libexpat.so.1", "libc.so.6")
LEFT_OUT = {
    "test",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "pydoc_data",
    "distutils",
    "unittest",
    "asyncio",
    "__pycache__",
    "curses",
}
APPLETS = (
    "awk", "chmod", "cut", "dd", "df", "env", "head", "mkdir", "mkfifo", "mktemp", "mount", "mv", "sha256sum", "stat", "tee",
    "touch", "wc", "od", "sort", "cp", "kill", "sync", "setsid", "rmmod",
)  # fmt: skip
RELAY = (
    "import socket,threading,sys\n"
    "def pump(a,b):\n"
    "    try:\n"
    "        while True:\n"
    "            d=a.recv(65536)\n"
    "            if not d: break\n"
    "            b.sendall(d)\n"
    "        b.shutdown(socket.SHUT_WR)\n"
    "    except OSError: b.close()\n"
    "s=socket.create_server(('127.0.0.1',int(sys.argv[1])))\n"
    "while True:\n"
    "    c=s.accept()[0]; t=socket.create_connection((sys.argv[2],int(sys.argv[1])))\n"
    "    for p in ((c,t),(t,c)): threading.Thread(target=pump,args=p,daemon=True).start()\n"
)


class Failure(RuntimeError):
    """Something is not as expected; the message says what."""


def build(work: Path) -> tuple[Path, Path]:
    """Kernel and initial file system with Python and a disk driver; returns their paths."""
    kernel = make_memory.newest_kernel()
    root = make_memory.unpack_packages(kernel, work=work)
    packages = work / "more"
    packages.mkdir()
    subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=packages, check=True, stdout=subprocess.DEVNULL)
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    source = make_memory.HERE / "implant.c"
    subprocess.run(["gcc", *make_memory.IMPLANT_FLAGS, "-o", str(work / "implant"), str(source)], check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / "key")], check=True)
    initrd = build_initramfs(kernel, root=root, work=work)
    # The kernel unpacks one archive after the other into the same file system.
    initrd.write_bytes(initrd.read_bytes() + _more(kernel, root=root))
    return root / f"boot/vmlinuz-{kernel}", initrd


def _more(kernel: str, *, root: Path) -> bytes:
    fs = Initramfs(mtime=0)
    for applet in APPLETS:
        fs.symlink(f"bin/{applet}", "/bin/busybox")
    fs.file(f"usr/bin/{PYTHON}", root / f"usr/bin/{PYTHON}", mode=0o755)
    fs.symlink("usr/bin/python3", f"/usr/bin/{PYTHON}")
    library = root / f"usr/lib/{PYTHON}"
    fs.directory("usr/lib")
    fs.directory(f"usr/lib/{PYTHON}")
    for path in sorted(library.rglob("*")):
        name = path.relative_to(library)
        if LEFT_OUT.isdisjoint(name.parts):
            target = f"usr/lib/{PYTHON}/{name}"
            fs.directory(target) if path.is_dir() else fs.file(target, path.resolve())
    folders = (root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu")
    for wanted in LIBRARIES:
        found = next(
            (folder / wanted for folder in folders if (folder / wanted).exists()),
            None,
        )
        here = found or Path("/lib/x86_64-linux-gnu") / wanted
        fs.file(f"lib/x86_64-linux-gnu/{wanted}", here.resolve(), mode=0o755)
    modules = root / f"lib/modules/{kernel}/kernel"
    fs.file("lib/modules/virtio_blk.ko", next(modules.rglob("virtio_blk.ko")))
    fs.directory("disk")
    return fs.pack()


class DiskGuest(Guest):
    """A guest with one disk; QEMU counts what is written to it."""

    def written(self) -> int:
        """Bytes that the guest has written to its disk since it was started."""
        found = self.qmp("query-blockstats")
        return sum(int(device["stats"]["wr_bytes"]) for device in found)


@contextmanager
def guest(work: Path, *, disk: Path) -> Iterator[DiskGuest]:
    """Boot it, mount its disk where scripts would write, play the intruder's session."""
    kernel, initrd = build(work)
    machine = DiskGuest(
        work=work, kernel=kernel, initrd=initrd, key=work / "key", memory_mib=MEMORY_MIB,
        clock=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()), cmdline=make_memory.CMDLINE,
        extra=["-drive", f"file={disk},format=raw,if=none,id=d0", "-device", "virtio-blk-pci,drive=d0"],
    )  # fmt: skip
    listener = Listener()
    listener.start()
    files = FileServer(work / "implant")
    machine.start()
    try:
        machine.wait_for_ssh()
        machine.run(
            "/bin/busybox insmod /lib/modules/virtio_blk.ko; mount -t ext4 /dev/vda1 /disk 2>/dev/null || mount -t ext4 /dev/vda /disk"
        )
        machine.run(
            "for d in tmp root/.cache var/tmp; do mkdir -p /disk/x/$d /$d; mount -o bind /disk/x/$d /$d; done; sync"
        )
        client = make_memory.play(machine)
        yield machine
        client.terminate()
    finally:
        machine.stop()
        listener.close()
        files.close()


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
        os.environ |= {"AWS_ENDPOINT_URL": endpoint, "AIRFLOW__FORENSICS__MEMORY_TIMEOUT_SECONDS": "3600"}
        yield {**facts, "endpoint": endpoint, "port": port}
    finally:
        server.terminate()
        server.wait(20)


def killer(machine: DiskGuest, lab: dict[str, Any], done: threading.Event, kills: list[int]) -> None:
    """Kill the sender when so much of the image has landed; notes how many parts S3 had then."""
    from lab.seed.accounts import Account

    s3 = Account(lab["accounts"]["forensic"], lab["endpoint"]).client("s3")
    expected = MEMORY_MIB * MIB / (16 * MIB)
    while len(kills) < len(KILLS) and not done.wait(0.5):
        for upload in s3.list_multipart_uploads(Bucket=lab["landing_bucket"]).get("Uploads", []):
            where = {"Bucket": lab["landing_bucket"], "Key": upload["Key"], "UploadId": upload["UploadId"]}
            landed = len(s3.list_parts(**where).get("Parts", []))
            if upload["Key"].endswith("memory.lime") and landed >= KILLS[len(kills)] * expected:
                # The sender's whole process group at once: nothing of it gets to clean up.
                machine.run(
                    "for p in $(cat /dev/shm/fc.*/pid); do g=$(cut -d' ' -f5 /proc/$p/stat) && kill -9 -$g; done; true"
                )
                kills.append(landed)
                time.sleep(3)
                break


def case(lab: dict[str, Any], machine: DiskGuest) -> dict[str, Any]:
    """The product's steps from opening to verification; returns what there is to compare."""
    from airflow.sdk.exceptions import AirflowFailException

    from forensics.aws.hook import ForensicsHook
    from forensics.case.recorder import open_recorder
    from forensics.errors import MemoryCaptureError
    from forensics.intake.operators import OpenCaseOperator
    from forensics.memory.capture_operators import CaptureMemoryOperator
    from forensics.memory.probe_operators import ProbeTargetOperator
    from forensics.memory.verify_operators import VerifyMemoryOperator
    from forensics.triage.operators import DescribeTargetOperator, PlanResponseOperator
    from tests.integration.steps import perform

    target = lab["instances"]["web-server"]
    params = {
        "account_id": target["account"],
        "region": target["region"],
        "instance_id": target["instance_id"],
        "actions": "memory",
        "reason": "make guest",
    }
    case_id = perform(OpenCaseOperator(task_id="open_case"), params=params)
    for operator in (
        DescribeTargetOperator(task_id="describe_target"),
        PlanResponseOperator(task_id="plan_response"),
        ProbeTargetOperator(task_id="probe_target"),
    ):
        perform(operator, case_id=case_id)
    before, done, kills = machine.written(), threading.Event(), list[int]()
    thread = threading.Thread(target=killer, args=(machine, lab, done, kills), daemon=True)
    thread.start()
    tries = 0
    while True:
        tries += 1
        try:
            perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id, try_number=1)
            break
        except MemoryCaptureError as error:
            print(f"  try {tries}: {error}", flush=True)
            if tries > MOST_TRIES:
                raise Failure(
                    f"{tries} tries for {len(kills)} kills: the capture does not continue by itself"
                ) from error
        except AirflowFailException as error:
            raise Failure(f"the capture failed for good: {error}") from error
    done.set()
    written = machine.written() - before
    sent = _uploads(lab)
    perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)
    recorder = open_recorder(ForensicsHook(), case_id, step="guest")
    memory = recorder.memory()
    if memory is None or memory.origin.transport is None:
        raise Failure("the capture ended without a memory image on record")
    parts = memory.origin.transport.parts
    return {
        "memory": memory,
        "recorder": recorder,
        "kills": kills,
        "tries": tries,
        "written": written,
        "again": sent - parts,
        "parts": parts,
    }


def _uploads(lab: dict[str, Any]) -> int:
    import requests

    answer = requests.get(f"{lab['endpoint']}/_lab/calls?service=s3&action=UploadPart", timeout=30)
    return len(answer.json()["calls"])


def fetch(seen: dict[str, Any], work: Path) -> None:
    """The stored image and the kernel's facts, from the evidence store while the lab still runs."""
    recorder, memory = seen["recorder"], seen["memory"]
    key = memory.uri.split("/", 3)[3]
    with (work / "image.lime").open("wb") as out:
        for block in recorder.gateways.evidence.stream(key):
            out.write(block)
    for name, fact in memory.origin.kernel_facts.items():
        (work / f"fact-{name}").write_bytes(b"".join(recorder.gateways.evidence.stream(fact.key)))


def examine(work: Path) -> dict[str, bool]:
    """Volatility 3 on the stored image, with symbols made from the guest's own BTF."""
    tools = ROOT / ".venv-tools" / "bin" / "python"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "ami/toolkit/src"), "HOME": str(work)}
    table = work / "symbols" / "linux" / "guest.json.xz"
    table.parent.mkdir(parents=True)
    subprocess.run(
        [str(tools), "-m", "forensic_toolkit", "symbols", "--btf", str(work / "fact-btf"), "--kallsyms", str(work / "fact-kallsyms"),
         "--kernel-version", str(work / "fact-version"), "--output", str(table)],
        env=env, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    said = {}
    for plugin in ("linux.psaux.PsAux", "linux.sockstat.Sockstat", "linux.bash.Bash"):
        done = subprocess.run(
            [str(tools.parent / "vol"), "-q", "-s", str(work / "symbols"), "-f", str(work / "image.lime"), plugin],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said[plugin] = done.stdout
        (work / f"{plugin}.txt").write_text(done.stdout + done.stderr)
    return {
        "planted process": "kworker/u8:3" in said["linux.psaux.PsAux"],
        "planted socket": f"{ATTACKER}" in said["linux.sockstat.Sockstat"]
        and str(C2_PORT) in said["linux.sockstat.Sockstat"],
        "planted shell line": "HISTFILE=/dev/null" in said["linux.bash.Bash"],
    }


def main() -> int:
    """Run the check."""
    parser = argparse.ArgumentParser(prog="python -m lab.scenarios.guest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--state", type=Path, default=ROOT / ".lab" / "guest", help="a folder of its own, emptied first"
    )
    parser.add_argument("--lime", action="store_true", help="capture by a LiME module built for the guest's kernel")
    given = parser.parse_args()
    from shutil import rmtree

    given.state = given.state.resolve()  # make runs in a folder of its own
    lacks = make_memory.missing_tools()
    if given.lime and not lacks:
        lacks += lacking_headers()
    if lacks:
        print("make guest: SKIPPED, nothing is checked: this machine lacks")
        print("\n".join(f"  {line}" for line in lacks))
        return 0
    rmtree(given.state, ignore_errors=True)
    work, state = given.state / "work", given.state / "lab"
    for folder in (work, state):
        folder.mkdir(parents=True)
    with ExitStack() as stack:
        lab = stack.enter_context(lab_server(state, report=lambda line: print(f"  {line}", flush=True)))
        if given.lime:
            offer_lime(lab, work)
            os.environ["AIRFLOW__FORENSICS__LIME_LIST_KEY"] = LIME_LIST
        disk = work / "disk.raw"
        disk.write_bytes(Images(image_cache(state)).disk("tiny").image.read_bytes())
        machine = stack.enter_context(guest(work, disk=disk))
        print("  the guest runs with the intruder's session in it", flush=True)
        # What the guest sends to its own loopback goes to the lab on this machine's.
        relay = work / "relay.py"
        relay.write_text(RELAY)
        subprocess.run([*machine.ssh(), "cat > /run/relay.py"], input=RELAY.encode(), check=True)
        machine.run(f"setsid python3 /run/relay.py {lab['port']} {ATTACKER} </dev/null >/dev/null 2>&1 &")
        target = lab["instances"]["web-server"]
        record = {
            "instance_id": target["instance_id"], "account": target["account"], "region": target["region"], "kind": "target",
            "managed": True, "hostname": "guest", "platform_name": "Debian GNU/Linux", "platform_version": "12",
            "ssh": {"port": machine.ssh_port, "key": str(work / "key")},
        }  # fmt: skip
        controller(lab["endpoint"])("instance", record)
        seen = case(lab, machine)
        fetch(seen, work)
    found = examine(work)
    memory = seen["memory"]
    figures = {
        "outcome": memory.outcome.value, "reason": memory.reason, "method": memory.origin.method, "bytes": memory.size_bytes,
        "parts": seen["parts"], "killed_at_parts": seen["kills"], "tries": seen["tries"], "parts_sent_again": seen["again"],
        "bytes_written_to_disk": seen["written"], "checks": memory.origin.checks, **found,
    }  # fmt: skip
    print(json.dumps(figures, indent=1))
    good = (
        memory.outcome.value == "ACQUIRED"
        and len(seen["kills"]) == len(KILLS)
        and seen["again"] <= len(KILLS)
        and seen["written"] == 0
        and all(found.values())
    )
    print("make guest: " + ("passed" if good else "FAILED, see the figures"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
