"""The capture script, run for real against an HTTP server that stands for S3."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.documents import documents

PART = 1 << 20
IMAGE = bytes(range(256)) * 10_000  # 2.44 MiB: three parts of 1 MiB, the last one short
QUERY = "?X-Amz-Credential=AK%2Fx&X-Amz-Signature=secret123"
# Everything the script calls; a PATH of these alone shows that it needs nothing else.
SYSTEM_TOOLS = (
    "awk bash cat chmod cut date df head id mkfifo mktemp python3 rm sha256sum sh stat tail tee touch tr uname"
)

pytestmark = pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or shutil.which("curl") is None, reason="needs /dev/shm and curl"
)


@dataclass
class Store:
    """What the server gives and gets; ``refusals`` answers 503 that often before a path is accepted."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    url: str = ""


@pytest.fixture
def store() -> Iterator[Store]:
    state = Store()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: object) -> None:
            """Silent."""

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            body = state.objects.get(self.path.split("?")[0])
            self._answer(403 if body is None else 200, body or b"")

        def do_PUT(self) -> None:
            path = self.path.split("?")[0]
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.tries[path] += 1
            if state.tries[path] <= state.refusals[path]:
                self._answer(503)
                return
            state.types.add(self.headers["Content-Type"])
            state.uploads[path] = body
            self._answer(200)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


def offer(store: Store, tool: str, *, parts: int = 5, digest: str | None = None, facts: tuple[str, ...] = ()) -> None:
    """Put a tool and a manifest into the store."""
    store.objects["/avml"] = tool.encode()
    lines = ["forensics-manifest 1", f"part_size {PART}"]
    lines.append(f"get avml {digest or hashlib.sha256(tool.encode()).hexdigest()} {store.url}/avml{QUERY}")
    lines += [f"put {name} {store.url}/{name}{QUERY}" for name in facts]
    lines += [f"part {number} {store.url}/part{number}{QUERY}" for number in range(1, parts + 1)]
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


def run(store: Store, tmp_path: Path, *, path: str | None = None, variables: bool = True) -> Outcome:
    """Run the script as the agent does: from a file, with variables or with the values put into the text."""
    values = {
        "CaseId": "fc-20261121-0123456789",
        "EvidenceId": "mem-i-0123456789abcdef0",
        "ManifestUrl": f"{store.url}/manifest{QUERY}",
    }
    text = documents.script("acquire_memory_linux")
    environment = {"PATH": path or os.environ["PATH"]}
    for name, value in values.items():
        if variables:
            environment[f"SSM_{name}"] = value
        text = text.replace(f"{{{{ {name} }}}}", value)
    script = tmp_path / "_script.sh"
    script.write_text(text)
    before = set(Path("/dev/shm").glob("fc.*"))
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert set(Path("/dev/shm").glob("fc.*")) <= before, "the work directory was left behind"
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


@pytest.mark.parametrize("variables", [True, False], ids=["variables", "values-in-the-text"])
def test_streams_the_image_in_parts(store: Store, tmp_path: Path, variables: bool) -> None:
    offer(store, tool(tmp_path), facts=("version",))
    outcome = run(store, tmp_path, variables=variables)
    assert outcome.code == 0, outcome.errors
    assert b"".join(store.uploads[f"/part{number}"] for number in (1, 2, 3)) == IMAGE
    assert "/part4" not in store.uploads
    assert outcome.status["bytes"] == len(IMAGE)
    assert outcome.status["parts"] == 3
    assert outcome.status["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert outcome.status["case_id"] == "fc-20261121-0123456789"
    assert store.types == {"application/octet-stream"}


def test_kernel_facts_are_listed_and_missing_ones_make_it_partial(store: Store, tmp_path: Path) -> None:
    offer(store, tool(tmp_path), facts=("version", "iomem"))
    outcome = run(store, tmp_path)
    version = Path("/proc/version").read_bytes()
    assert outcome.status["status"] == "partial"
    assert "btf kallsyms" in str(outcome.status["reason"])
    symbols = outcome.status["symbols"]
    assert isinstance(symbols, dict)
    assert symbols["version"] == {"sha256": hashlib.sha256(version).hexdigest(), "bytes": len(version)}
    assert symbols["btf"] is None
    assert store.uploads["/version"] == version


def test_python_stands_in_for_curl(store: Store, tmp_path: Path) -> None:
    offer(store, tool(tmp_path))
    outcome = run(store, tmp_path, path=quick_path(tmp_path, without="curl"))
    assert outcome.code == 0, outcome.errors
    assert outcome.status["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert store.uploads["/part3"] == IMAGE[2 * PART :]


def test_an_upload_refused_twice_is_repeated(store: Store, tmp_path: Path) -> None:
    offer(store, tool(tmp_path))
    store.refusals["/part2"] = 2
    outcome = run(store, tmp_path, path=quick_path(tmp_path))
    assert outcome.code == 0, outcome.errors
    assert store.tries["/part2"] == 3
    assert store.uploads["/part2"] == IMAGE[PART : 2 * PART]


def test_an_upload_refused_for_good_ends_the_capture(store: Store, tmp_path: Path) -> None:
    offer(store, tool(tmp_path))
    store.refusals["/part2"] = 99
    outcome = run(store, tmp_path, path=quick_path(tmp_path))
    assert outcome.code == 1
    assert outcome.status["status"] == "failed"
    assert outcome.status["reason"] == "part 2 was not accepted"
    assert store.tries["/part2"] == 4


def test_another_tool_than_named_is_not_run(store: Store, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    offer(store, f"#!/bin/sh\ntouch {mark}\n", digest="0" * 64)
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert "SHA-256 differs" in str(outcome.status["reason"])
    assert not mark.exists()


def test_a_tool_that_fails_is_quoted_without_control_characters(store: Store, tmp_path: Path) -> None:
    ending = "printf 'lock\"down \\033[31mactive\\n' >&2; exit 1"
    offer(store, tool(tmp_path, ending=ending))
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert outcome.status["reason"] == "the capture tool ended with 1: lockdown [31mactive"


def test_an_image_larger_than_the_parts_offered_fails(store: Store, tmp_path: Path) -> None:
    offer(store, tool(tmp_path), parts=2)
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert outcome.status["reason"] == "image larger than the 2 parts offered"


def test_an_empty_image_fails(store: Store, tmp_path: Path) -> None:
    offer(store, "#!/bin/sh\n")
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert outcome.status["reason"] == "the capture tool wrote nothing"


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("<Error>AccessDenied</Error>", "not of the form"),
        (f"forensics-manifest 1\npart_size {PART}\npart 1 http://x/$(id)\n", "bad part 1"),
        (f"forensics-manifest 1\npart_size {PART}\npart 2 http://x/\n", "bad part 2"),
        ("forensics-manifest 1\npart_size 1;id\n", "malformed"),
        ("forensics-manifest 1\nrun id\n", "unknown kind"),
        (
            f"forensics-manifest 1\npart_size {PART}\npart 1 http://127.0.0.1/x\nget avml - http://127.0.0.1/x\n",
            "SHA-256",
        ),
    ],
)
def test_a_bad_manifest_is_refused(store: Store, tmp_path: Path, manifest: str, reason: str) -> None:
    store.objects["/manifest"] = manifest.encode()
    outcome = run(store, tmp_path)
    assert outcome.code == 1
    assert reason in str(outcome.status["reason"])


def test_an_unreachable_manifest_is_named(store: Store, tmp_path: Path) -> None:
    outcome = run(store, tmp_path, path=quick_path(tmp_path))
    assert outcome.code == 1
    assert "manifest could not be fetched" in str(outcome.status["reason"])
