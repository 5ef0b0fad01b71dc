"""Runs the memory capture's script as the agent does, with made-up tools and core files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.userland.bucket import QUERY, Bucket
from tests.documents import documents

PART = 1 << 20
IMAGE = bytes(range(256)) * 10_000  # 2.44 MiB: three parts of 1 MiB, the last one short
# Everything the script calls; a PATH of these alone shows that it needs nothing else.
SYSTEM_TOOLS = "awk bash cat chmod cut date dd df grep head id mkdir mkfifo mv python3 rm sha256sum sh stat tail tee touch tr uname wc"


def offer(
    store: Bucket,
    tool: str,
    *,
    parts: int = 5,
    first: int = 1,
    digest: str | None = None,
    facts: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
) -> None:
    """Put a tool and a manifest into the store."""
    store.objects["/avml"] = tool.encode()
    lines = ["forensics-manifest 1", f"part_size {PART}", f"put list {store.url}/list{QUERY}", *more]
    lines.append(f"get avml {digest or hashlib.sha256(tool.encode()).hexdigest()} {store.url}/avml{QUERY}")
    lines += [f"put {name} {store.url}/{name}{QUERY}" for name in facts]
    lines += [f"part {number} {store.url}/part{number}{QUERY}" for number in range(first, parts + 1)]
    store.objects["/manifest"] = ("\n".join(lines) + "\n").encode()


def tool(tmp_path: Path, *, ending: str = "") -> str:
    """A capture tool that writes the image."""
    image = tmp_path / "image"
    image.write_bytes(IMAGE)
    return f'#!/bin/sh\n[ "$1 $2" = "acquire /dev/stdout" ] || exit 9\ncat {image}\n{ending}\n'


@dataclass(frozen=True)
class Outcome:
    """How the script ended."""

    code: int
    status: dict[str, object]
    errors: str


def _alive(folder: Path) -> bool:
    """Whether the script that works there still runs (another test's, at the same time)."""
    try:
        return Path(f"/proc/{(folder / 'pid').read_text().split()[0]}").exists()
    except (FileNotFoundError, IndexError):
        return not folder.exists()


RAM_A, RAM_B = bytes(range(256)) * 16 * 3, b"\x5a" * 4096 * 4
KCORE_IMAGE = b"".join(
    struct.pack("<IIQQ8x", 0x4C694D45, 1, first, first + len(data) - 1) + data
    for first, data in ((0x1000, RAM_A), (0x100000, RAM_B))
)


# Notes as in front of a real /proc/kcore (Linux, fs/proc/kcore.c): the processor's state, then what crash dumps are read by.
VMCOREINFO = b"OSRELEASE=6.1.0-50-cloud-arm64\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffa8cdc137b000\nNUMBER(VA_BITS)=48\nKERNELOFFSET=28cdb8000000\n"
_NOTES = (
    struct.pack("<III", 5, 24, 1) + b"CORE\0\0\0\0" + bytes(range(1, 25))
    + struct.pack("<III", 11, len(VMCOREINFO), 0) + b"VMCOREINFO\0\0" + VMCOREINFO + bytes(8)
)  # fmt: skip


def with_kcore(text: str, folder: Path) -> str:
    """The script with a small core file and RAM map of its own: two ranges of RAM, one vmalloc segment without a physical address.

    The second range lacks a page, as the kernel's own data lacks in the map of all memory on some AArch64 kernels; the kernel's image
    (Linux, fs/proc/kcore.c: KCORE_TEXT, with its physical address) has it.
    """
    lacking = RAM_B[:4096] + bytes(4096) + RAM_B[8192:]
    loads = [
        (2**64 - 1, b"v" * 4096),
        (0x0, bytes(4096) + RAM_A),
        (0x101000, RAM_B[4096:8192]),
        (0x100000, lacking + bytes(4096)),
    ]
    offset = 64 + 56 * len(loads) + len(_NOTES)
    table, data = b"", b""
    for address, content in loads:
        table += struct.pack("<IIQQQQQQ", 1, 7, offset + len(data), 0, address, len(content), len(content), 4096)
        data += content
    head = b"\x7fELF" + bytes(28) + struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, len(loads)) + bytes(6)
    (folder / "kcore").write_bytes(head + table + _NOTES + data)
    (folder / "iomem").write_text(
        "00000000-00000fff : Reserved\n00001000-00003fff : System RAM\n00100000-00103fff : System RAM\n"
    )
    return text.replace("/proc/kcore", str(folder / "kcore")).replace("/proc/iomem", str(folder / "iomem"))


def with_path(text: str, path: str) -> str:
    """The script with another PATH than the one that it sets: as on a system that has only these programs."""
    changed, count = re.subn(r"(?m)^export PATH=\S+", f"export PATH={path}", text)
    assert count == 1, "the script sets PATH once"
    return changed


def run(
    store: Bucket, tmp_path: Path, *, path: str | None = None, variables: bool = True, kcore: bool = False
) -> Outcome:
    """Run the script as the agent does: from a file, with variables or with the values put into the text."""
    values = {
        "CaseId": "fc-20261121-0123456789",
        "EvidenceId": "mem-i-0123456789abcdef0",
        "ManifestUrl": f"{store.url}/manifest{QUERY}",
    }
    text = documents.script("acquire_memory_linux")
    if path:
        text = with_path(text, path)
    environment = {"PATH": path or os.environ["PATH"]}
    for name, value in values.items():
        if variables:
            environment[f"SSM_{name}"] = value
        text = text.replace(f"{{{{ {name} }}}}", value)
    script = tmp_path / "_script.sh"
    script.write_text(with_kcore(text, tmp_path) if kcore else text)
    before = set(Path("/dev/shm").glob("fc.*"))
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert not [d for d in set(Path("/dev/shm").glob("fc.*")) - before if not _alive(d)], (
        "a work directory was left behind"
    )
    assert "secret123" not in done.stdout + done.stderr, "a URL was logged"
    return Outcome(done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr)


def quick_path(tmp_path: Path, *, without: str = "") -> str:
    """A PATH with a ``sleep`` that does not sleep, and no curl when asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in [*SYSTEM_TOOLS.split(), "curl"]:
        found = shutil.which(name)
        if name not in ("sleep", without) and found:
            (folder / name).symlink_to("/usr/bin/python3" if name == "python3" else found)
    (folder / "sleep").write_text("#!/bin/sh\n")
    (folder / "sleep").chmod(0o755)
    return str(folder)


def boot_id() -> str:
    """This machine's boot, which the script compares."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()


def part_list(data: bytes, count: int) -> bytes:
    """The list as an earlier run has sent it: the first parts of an image, raw."""
    lines = [f"forensics-parts 1 avml none {boot_id()}"]
    for number in range(1, count + 1):
        part = data[(number - 1) * PART : number * PART]
        lines.append(f"{number} {number * PART} {len(part)} {hashlib.sha256(part).hexdigest()}")
    return ("\n".join(lines) + "\n").encode()
