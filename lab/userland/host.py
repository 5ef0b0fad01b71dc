"""Run a target's document as the agent does, from a file, in a root and under conditions, and keep what it sends and says."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forensics.memory.live_archive import LiveArchive
from lab.paths import ROOT
from lab.userland.bucket import QUERY, Bucket

CASE, EVIDENCE = "fc-20261121-0123456789", "live-response-i-0123456789abcdef0"
PARTS = 64
AGENT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def script(document: str) -> str:
    """The script of a document's only step, as the agent writes it to a file."""
    content = yaml.safe_load((ROOT / "ssm_documents" / f"{document}.yaml").read_text("utf-8"))
    return "\n".join(content["mainSteps"][0]["inputs"]["runCommand"])


@dataclass(frozen=True)
class How:
    """The circumstances of a run.

    ``root`` is where the script is written; ``chroot`` the place, for the setup's shell, that the script sees as its root.
    ``setup`` is shell text that runs before, in the same namespaces: mounts, processes. ``namespaces``: options of unshare.
    ``end``: a signal, and when the script's group gets it: so many seconds after it has begun, or when a file is there. ``variables`` false: an agent before 3.3.2746.0.
    """

    shell: tuple[str, ...] = ("sh",)
    root: Path | None = None
    chroot: str = ""
    setup: str = ""
    namespaces: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: bool = True
    depth: str = "standard"
    seconds: int = 120
    timeout: float = 150
    end: tuple[signal.Signals, float | Path] | None = None
    edit: tuple[tuple[str, str], ...] = ()
    manifest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """How a run ended; ``status`` is empty where the last line is no JSON object."""

    code: int | None
    status: dict[str, Any]
    stdout: str
    stderr: str
    seconds: float
    uploads: dict[str, bytes]

    @property
    def body(self) -> bytes:
        """The archive: the parts one after the other."""
        return b"".join(self.uploads.get(f"/part{n}", b"") for n in range(1, PARTS + 1))

    def archive(self) -> LiveArchive:
        """The archive as the control plane reads it."""
        found = LiveArchive()
        found.feed(self.body)
        return found

    def member(self, name: str) -> bytes:
        """The bytes of a member, empty where it is not there."""
        at, body = 0, self.body
        while at + 512 <= len(body) and body[at]:
            size = int(body[at + 124 : at + 135], 8)
            if body[at : at + 100].rstrip(b"\0").decode() == name:
                return body[at + 512 : at + 512 + size]
            at += 512 + (size + 511) // 512 * 512
        return b""

    def holds(self, text: bytes) -> bool:
        """Whether the archive or the status line has this text."""
        return text in self.body or text.decode() in json.dumps(self.status)


def run(document: str, how: How, store: Bucket) -> Done:
    """Run the document; what it leaves behind is the caller's to look at."""
    store.clear()
    store.objects["/manifest"] = _manifest(store, how).encode()
    values = {"CaseId": CASE, "EvidenceId": EVIDENCE, "ManifestUrl": f"{store.url}/manifest{QUERY}"}
    values |= {"Depth": how.depth, "Seconds": str(how.seconds)}
    text, environment = script(document), {"PATH": AGENT_PATH, **how.environment}
    for name, value in values.items():
        if how.variables:
            environment[f"SSM_{name}"] = value
        text = text.replace(f"{{{{ {name} }}}}", value)
    for old, new in how.edit:
        assert old in text, f"the script has no {old!r}"
        text = text.replace(old, new)
    folder = (how.root or Path("/")) / "tmp"
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="_script", suffix=".sh", delete=False) as file:
        file.write(text)
    path = Path(file.name)
    path.chmod(0o755)
    try:
        return _start(f"/tmp/{path.name}", how, environment, store)
    finally:
        path.unlink()


def _manifest(store: Bucket, how: How) -> str:
    lines = ["forensics-manifest 1", "part_size 16777216", f"put status {store.url}/status{QUERY}", *how.manifest]
    return "\n".join([*lines, *(f"part {n} {store.url}/part{n}{QUERY}" for n in range(1, PARTS + 1)), ""])


def _start(path: str, how: How, environment: dict[str, str], store: Bucket) -> Done:
    inner = [*how.shell, path]
    command = inner
    if how.setup or how.namespaces:
        # The setup runs with this process's environment; only the script gets the agent's.
        given = " ".join(f"{name}={_quoted(value)}" for name, value in environment.items())
        place = f"/usr/sbin/chroot {how.chroot} " if how.chroot else ""
        last = f"exec env -i {given} {place}{' '.join(map(_quoted, inner))}"
        command = [
            "unshare",
            *(how.namespaces or "-m").split(),
            "sh",
            "-c",
            f"{{\n{how.setup}\n}} </dev/null >/dev/null 2>&1\n{last}",
        ]
        environment = dict(os.environ)
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_as_an_agent_starts_it,
    )
    if how.end:
        threading.Thread(target=_end, args=(process, how.end, store), daemon=True).start()
    try:
        out, err = process.communicate(timeout=how.timeout)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = None
    finally:
        _signal_group(process, signal.SIGKILL)  # what the setup started
    text, errors = out.decode(errors="replace"), err.decode(errors="replace")
    return Done(code, _last_line(text), text, errors, time.monotonic() - began, dict(store.uploads))


def _as_an_agent_starts_it() -> None:
    """No signal is ignored, whatever this process inherited (a shell's background job ignores SIGINT)."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _end(process: subprocess.Popen[bytes], end: tuple[signal.Signals, float | Path], store: Bucket) -> None:
    """The signal, after the script has begun, which is when it asks for its manifest."""
    if store.asked.wait(60):
        if isinstance(end[1], Path):
            while not end[1].exists() and process.poll() is None:
                time.sleep(0.05)
        else:
            time.sleep(end[1])
        if process.poll() is None:
            _signal_group(process, end[0])


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _last_line(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def offered_tool(store: Bucket, text: str) -> tuple[str, ...]:
    """Lines of a manifest that offer a capture tool."""
    store.objects["/avml"] = text.encode()
    digest = hashlib.sha256(text.encode()).hexdigest()
    return (
        f"get avml {digest} {store.url}/avml{QUERY}",
        f"put list {store.url}/list{QUERY}",
        "method avml",
    )


def offered_collector(store: Bucket, program: Path) -> tuple[str, ...]:
    """Lines of a manifest that offer a static collector for this machine's architecture."""
    body = program.read_bytes()
    store.objects["/collector"] = body
    digest = hashlib.sha256(body).hexdigest()
    return (f"get collector.{platform.machine()} {digest} {store.url}/collector{QUERY}",)


def left_behind() -> list[Path]:
    """Work folders in this machine's tmpfs."""
    return [folder for base in ("/dev/shm", "/run") for folder in Path(base).glob("fc.????????")]
