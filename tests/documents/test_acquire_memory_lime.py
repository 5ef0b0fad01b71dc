"""The capture document with a prebuilt LiME module. The module loader is stood in for; the stream over loopback is real."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from lab.userland.bucket import QUERY, Bucket
from tests.documents.capture_host import IMAGE, offer, run, tool

MODULE = b"\x7fELF module for one kernel"
# insmod gives the module its parameters and returns when the image has been fetched, as LiME's init function does.
INSMOD = f"""#!{sys.executable}
import hashlib, pathlib, socket, sys
folder = pathlib.Path(__file__).parent
given = dict(a.split("=", 1) for a in sys.argv[2:])
(folder / "calls").open("a").write("insmod\\n")
if (folder / "loaded").exists(): sys.exit("File exists")
if hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest() != "{hashlib.sha256(MODULE).hexdigest()}": sys.exit(2)
if given["format"] != "lime" or given["localhostonly"] != "1": sys.exit(3)
server = socket.create_server(("127.0.0.1", int(given["path"].removeprefix("tcp:"))))
(folder / "loaded").touch()
connection = server.accept()[0]
connection.sendall(open("IMAGE", "rb").read())
connection.close()
"""
RMMOD = """#!/bin/sh
echo "rmmod $1" >>"${0%/*}/calls"
rm "${0%/*}/loaded" 2>/dev/null
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A folder of the PATH with a loader."""
    folder = tmp_path / "kernel"
    folder.mkdir()
    (tmp_path / "memory").write_bytes(IMAGE)
    for name, text in (("insmod", INSMOD.replace("IMAGE", str(tmp_path / "memory"))), ("rmmod", RMMOD)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def offer_module(store: Bucket, tmp_path: Path, *, digest: str = "", more: tuple[str, ...] = ()) -> None:
    """A manifest whose method is the module."""
    store.objects["/lime"] = MODULE
    said = digest or hashlib.sha256(MODULE).hexdigest()
    offer(store, tool(tmp_path), more=(*(more or ("method lime",)), f"get lime {said} {store.url}/lime{QUERY}"))


def path_with(kernel: Path) -> str:
    """The system's PATH, the loader first."""
    return f"{kernel}:{os.environ['PATH']}"


def test_the_modules_image_arrives_whole_and_the_module_is_unloaded(
    store: Bucket, tmp_path: Path, kernel: Path
) -> None:
    offer_module(store, tmp_path)
    outcome = run(store, tmp_path, path=path_with(kernel))
    assert outcome.code == 0, outcome.errors
    assert (outcome.status["method"], outcome.status["bytes"]) == ("lime", len(IMAGE))
    assert outcome.status["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert outcome.status["tool_sha256"] == hashlib.sha256(MODULE).hexdigest()
    assert b"".join(store.uploads[f"/part{n}"] for n in (1, 2, 3)) == IMAGE
    assert (kernel / "calls").read_text().splitlines() == ["rmmod lime", "insmod", "rmmod lime"]
    assert not (kernel / "loaded").exists()


def test_a_module_that_a_killed_run_left_is_unloaded_first(store: Bucket, tmp_path: Path, kernel: Path) -> None:
    (kernel / "loaded").touch()
    offer_module(store, tmp_path)
    assert run(store, tmp_path, path=path_with(kernel)).code == 0


def test_a_module_that_is_not_the_listed_one_is_never_loaded(store: Bucket, tmp_path: Path, kernel: Path) -> None:
    offer_module(store, tmp_path, digest="0" * 64)
    outcome = run(store, tmp_path, path=path_with(kernel))
    assert outcome.code == 1
    assert "SHA-256 differs" in str(outcome.status["reason"])
    assert not (kernel / "calls").exists()


def test_a_module_that_the_kernel_refuses_is_followed_by_the_next_method(
    store: Bucket, tmp_path: Path, kernel: Path
) -> None:
    (kernel / "insmod").write_text("#!/bin/sh\necho 'Key was rejected by service' >&2\nexit 1\n")
    offer_module(store, tmp_path, more=("method lime", "method kcore"))
    outcome = run(store, tmp_path, path=path_with(kernel), kcore=True)
    assert outcome.code == 0, outcome.errors
    assert outcome.status["method"] == "kcore"
    assert "the kernel did not take the module" in str(outcome.status["reason"])
