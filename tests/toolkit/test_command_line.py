"""The commands end to end against a server that stands for S3; the tools themselves are not needed."""

from __future__ import annotations

import hashlib
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit import block_device, cli, dissect_program, manifest, subprograms
from forensic_toolkit.errors import EvidenceError, ManifestError
from forensic_toolkit.printable import printable
from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.times import now

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-tools" / "bin" / "python"
CASE = ["--case", "fc-20260101-0123456789", "--evidence", "mem-i-0123456789abcdef0"]
VOLUME = "vol-0123456789abcdef0"


@dataclass
class Store:
    """What the server gives and gets."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    url: str = ""

    def offer(self, *, gets: dict[str, tuple[bytes, str | None]]) -> str:
        """A manifest of objects with their digests; returns its URL."""
        lines = ["forensics-manifest 1"]
        for name, (content, digest) in gets.items():
            self.objects[f"/{name}"] = content
            lines.append(f"get {name} {digest or hashlib.sha256(content).hexdigest()} {self.url}/{name}?a=1&b=2")
        lines += [f"put {name} {self.url}/{name}?a=1&b=2" for name in ("results", "timeline", "raw")]
        self.objects["/manifest"] = ("\n".join(lines) + "\n").encode()
        return f"{self.url}/manifest?a=1&b=2"

    def results(self) -> dict[str, object]:
        """results.json as uploaded."""
        document: dict[str, object] = json.loads(self.uploads["/results"])
        return document


@pytest.fixture
def store() -> Iterator[Store]:
    state = Store()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: object) -> None:
            """Silent."""

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{state.url}/manifest")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            body = state.objects.get(path)
            self._answer(302 if path == "/moved" else 403 if body is None else 200, body or b"")

        def do_PUT(self) -> None:
            state.uploads[self.path.split("?")[0]] = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


def status_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The last line of stdout."""
    line: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return line


def test_wrong_digest_means_nothing_is_analysed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    url = store.offer(gets={"memory": (b"EMiL" + bytes(100), "0" * 64)})
    assert cli.main(["memory", *CASE, "--manifest", url]) == 1
    status = status_of(capsys)
    assert status["status"] == "failed"
    assert "expected 000" in str(status["reason"])
    assert store.results()["findings"] == []
    assert store.results()["provenance"] == []


@pytest.mark.parametrize(
    ("memory", "reason"),
    [(b"", "no LiME image"), (b"\x7fELF", "no LiME image"), (b"EMiL" + bytes(99), "no symbol table")],
)
def test_what_cannot_be_analysed_is_named_and_results_arrive(
    store: Store, capsys: pytest.CaptureFixture[str], memory: bytes, reason: str
) -> None:
    assert cli.main(["memory", *CASE, "--manifest", store.offer(gets={"memory": (memory, None)})]) == 1
    assert reason in str(status_of(capsys)["reason"])
    results = store.results()
    assert results["schema"] == "forensics.results/1"
    assert results["input"] == {"sha256": hashlib.sha256(memory).hexdigest(), "bytes": len(memory)}
    assert reason in str(results["gaps"])
    assert set(store.uploads) == {"/results", "/timeline", "/raw"}
    (only,) = [json.loads(line) for line in store.uploads["/timeline"].splitlines()]
    assert "Nothing in this evidence carries a time" in only["message"]


def test_image_of_another_kernel_is_refused(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"btf": (b"x", None), "kallsyms": (b"x", None), "version": (b"Linux version 9\n", None)}
    url = store.offer(gets={"memory": (b"EMiL Linux version 8", None), **facts})
    assert cli.main(["memory", *CASE, "--manifest", url]) == 1
    reason = str(status_of(capsys)["reason"])
    assert "image and kernel facts are of different machines" in reason and "no kernel banner" in reason


def test_volume_that_is_not_attached(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["disk", *CASE, "--volume", VOLUME, "--manifest", store.offer(gets={})]) == 1
    assert f"volume {VOLUME} is not attached" in str(status_of(capsys)["reason"])


def test_arguments_are_checked_before_anything_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["disk", *CASE, "--volume", "/dev/sda", "--manifest", "http://127.0.0.1/"])
    assert ended.value.code == 2
    assert "does not match" in capsys.readouterr().err


def test_manifest_that_is_gone(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["memory", *CASE, "--manifest", f"{store.url}/none?Signature=s3cret"]) == 1
    reason = str(status_of(capsys)["reason"])
    assert "HTTP 403" in reason and "expired" in reason and "s3cret" not in reason


def test_redirects_are_not_followed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.offer(gets={})
    assert cli.main(["memory", *CASE, "--manifest", f"{store.url}/moved"]) == 1
    assert "HTTP 302" in str(status_of(capsys)["reason"])


@pytest.mark.parametrize(
    "line",
    ["get a b", "get a xyz http://h/", "put A http://h/", "put a http://h/ x", "run x", "put a file:///x"],
)
def test_malformed_manifest_lines(line: str) -> None:
    with pytest.raises(ManifestError, match="line 2"):
        manifest.parse(f"forensics-manifest 1\n{line}\n")


def test_block_device_by_volume_id(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"evidence")
    (tmp_path / "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0").symlink_to(image)
    device = block_device.locate(VOLUME, by_id=tmp_path)
    assert block_device.measure(device) == block_device.Measured(8, hashlib.sha256(b"evidence").hexdigest())
    image.write_bytes(b"")
    with pytest.raises(EvidenceError, match="empty"):
        block_device.measure(device)


def test_evidence_that_changes_meanwhile_makes_the_run_fail(
    store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"evidence")

    def finish(process: subprocess.Popen[bytes], **rest: Any) -> subprograms.Ended:
        ended = subprograms_finish(process, **rest)
        image.write_bytes(b"changed!")
        return ended

    subprograms_finish = subprograms.finish
    monkeypatch.setattr(block_device, "locate", lambda _volume: image)
    monkeypatch.setattr(subprograms, "finish", finish)
    assert cli.main(["disk", *CASE, "--volume", VOLUME, "--manifest", store.offer(gets={})]) == 1
    assert "changed during the analysis" in str(status_of(capsys)["reason"])
    assert "changed during the analysis" in str(store.results()["gaps"])


def test_records_of_dissect_are_counted_by_function(tmp_path: Path) -> None:
    output = tmp_path / "records.jsonl"
    records = [{"_type": "recorddescriptor", "_data": ["linux/log/auth", []]}]
    records += [{"_recorddescriptor": [name, 1]} for name in ("linux/log/auth", "linux/log/btmp", "unix/history")]
    output.write_text("\n".join(json.dumps(record) for record in records) + '\n{"cut')
    counts = dissect_program.count_records(output)
    assert [counts[name] for name in dissect_program.FUNCTIONS] == [1, 0, 1, 1, 0]


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    output = tmp_path / "out"
    started = time.monotonic()
    process = subprograms.start(["/bin/sh", "-c", "echo begun; sleep 60"], folder=tmp_path, stdout=output)
    ended = subprograms.finish(process, stdout=output, seconds=0.3, started=started)
    assert ended.error is not None and "not done after" in ended.error
    assert ended.seconds < 10
    assert output.read_text() in ("begun\n", "")


def test_hostile_text_is_made_visible() -> None:
    assert printable("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\x0a"
    assert printable("x" * 500, limit=10) == "xxxxxxxxxx… [490 more]"


def test_results_are_ranked_limited_and_reproducible() -> None:
    results = Results("fc-20260101-0123456789", "mem-1", "memory", started=now())
    results.findings = [
        Finding("b", "d", "low", "low", "s"),
        Finding("a", "d\u202e", "critical", "high", "s", time=now()),
        Finding("b", "d", "low", "low", "s"),
    ]
    results.events = [Event(now(), f"event {number}", "s", "x", notable=True) for number in range(700)]
    document = results.as_dict(ended=now())
    assert [finding["severity"] for finding in document["findings"]] == ["critical", "low"]
    assert len(document["timeline"]) == 500
    assert any(gap["what"] == "timeline" for gap in document["gaps"])
    assert "\u202e" not in json.dumps(document, ensure_ascii=False)


@pytest.mark.skipif(not TOOLS.exists(), reason="the toolkit's own environment (.venv-tools) is not there")
def test_a_real_file_system_is_read_by_the_sleuth_kit(tmp_path: Path) -> None:
    from lab.tools.disks import build as lab_disk

    image = tmp_path / "tiny.raw"
    lab_disk.build(ROOT / "lab" / "tools" / "disks" / "scenarios" / "tiny.yaml", image)
    program = (
        "import sys; from pathlib import Path; from forensic_toolkit.sleuthkit import SleuthKit\n"
        "disk = SleuthKit(Path(sys.argv[1]))\n"
        "for part in disk.partitions():\n"
        "    for entry in disk.filesystem(part).walk():\n"
        "        print(entry.path, entry.kind, entry.deleted, len(entry.read()))\n"
    )
    done = subprocess.run(
        [str(TOOLS), "-c", program, str(image)],
        env={"PYTHONPATH": str(ROOT / "ami" / "toolkit" / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.rsplit(" ", 3) for line in done.stdout.splitlines()]
    assert any(kind == "REG" and deleted == "False" and int(size) > 0 for _path, kind, deleted, size in rows)
    assert any(deleted == "True" for _path, _kind, deleted, _size in rows)


def test_a_rule_that_breaks_is_a_gap() -> None:
    results = Results("fc-20260101-0123456789", "mem-1", "memory", started=now())

    def rule() -> Iterator[Finding]:
        yield Finding("a", "d", "low", "low", "s")
        raise KeyError("PID")

    assert results.apply("broken", rule=rule) == 1
    assert results.gaps[0][0] == "rule broken"
