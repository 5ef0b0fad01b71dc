"""The Linux sweep under every shell, over trees that somebody has made to mislead it; the roots are replaced, all else is the script's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from forensics.models.sweeps import SweepStatus
from tests.documents.documents import script

SHELLS = [shell for shell in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]
BODY = b"evil\n"
DIGEST = hashlib.sha256(BODY).hexdigest()
SWEEP = "sw-20261121-0123456789"
NOTHING = {
    "Hashes": "-",
    "Names": "-",
    "Texts": "-",
    "Addresses": "-",
    "Users": "-",
    "Files": "1000",
    "Mib": "100",
    "Seconds": "60",
}


class Machine:
    """A host's files below a folder, and what a shell says of it."""

    def __init__(self, shell: list[str], root: Path) -> None:
        self.shell, self.root = shell, root
        for name in ("tmp", "etc", "srv"):
            (root / name).mkdir()

    def sweep(self, **parameters: str) -> dict[str, Any]:
        """Run the document; its answer, which the model reads."""
        text = script("sweep_linux")
        for old, new in (
            ("first_places='/tmp /var/tmp /root /home /etc /opt /srv /var/www /usr/local'", f"first_places='{self.root}/tmp {self.root}/etc'"),
            ("on_disk='/'\n", f"on_disk='{self.root}'\n"),
            ("done </proc/mounts || omit", "done </dev/null || omit"),
            ("for root in /etc /var/log /var/spool/cron /root /home;", f"for root in {self.root}/etc;"),
            ("done </etc/passwd ||", f"done <{self.root}/etc/passwd ||"),
            ("for process in /proc/[0-9]*; do\n    if [ -f", f"for process in {self.root}/proc/[0-9]*; do\n    if [ -f"),
        ):  # fmt: skip
            assert text.count(old) == 1 or old.startswith("on_disk"), old
            text = text.replace(old, new)
        file = self.root.parent / "sweep.sh"
        file.write_text(text)
        given = {f"SSM_{name}": value for name, value in {**NOTHING, "CaseId": SWEEP, **parameters}.items()}
        done = subprocess.run(
            [*self.shell, str(file)], env={"PATH": os.environ["PATH"], **given}, capture_output=True, text=True, check=True, timeout=300
        )  # fmt: skip
        line = json.loads(done.stdout.splitlines()[-1])
        assert SweepStatus.model_validate(line).case_id == SWEEP
        return dict(line)


@pytest.fixture(params=SHELLS, ids=" ".join)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    (tmp_path / "root").mkdir()
    made = Machine(request.param, tmp_path / "root")
    (made.root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\ndeploy:x:7:7::/:/bin/sh\n")
    return made


def hits(answer: dict[str, Any]) -> set[tuple[str, int, str]]:
    """Kind, number and last part of the place of each hit."""
    return {(hit["kind"], hit["n"], str(hit["at"]).rsplit("/", 1)[-1]) for hit in answer["found"]}


NAMES = ["plain", "with blank", "-n", "a\nb", "back\\slash", "quote'\"", "$(id)", "*", "\u202eevil", ".hidden"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_found_by_its_digest_whatever_its_name(machine: Machine, name: str) -> None:
    (machine.root / "srv" / name).write_bytes(BODY)
    answer = machine.sweep(Hashes=f"{'0' * 64},{DIGEST}")
    assert [(hit["kind"], hit["n"]) for hit in answer["found"]] == [("hash", 2)]
    assert answer["unread"] == 0


def test_each_kind_is_found_where_it_is(machine: Machine) -> None:
    (machine.root / "tmp" / "Dropper.SH").write_bytes(BODY)
    (machine.root / "etc" / "cron").write_text(
        "curl updates.evil.example # 203.0.113.9\nother.updates.evil.examples 1203.0.113.9\n"
    )
    answer = machine.sweep(
        Hashes=DIGEST,
        Names="x,dropper.sh",
        Texts="203.0.113.9,updates.evil.example,absent.example",
        Users="nobody,deploy",
    )
    assert hits(answer) == {
        ("hash", 1, "Dropper.SH"), ("name", 2, "Dropper.SH"), ("text", 1, "cron"), ("text", 2, "cron"), ("user", 2, "passwd"),
    }  # fmt: skip


def test_what_is_neither_file_nor_folder_is_not_opened(machine: Machine) -> None:
    os.mkfifo(machine.root / "tmp" / "pipe")
    (machine.root / "tmp" / "loop").symlink_to(machine.root)
    (machine.root / "tmp" / "zero").symlink_to("/dev/zero")
    (machine.root / "srv" / "x").write_bytes(BODY)
    answer = machine.sweep(Hashes=DIGEST)
    assert hits(answer) == {("hash", 1, "x")} and answer["files"] == 2


def test_budgets_of_files_and_bytes_end_the_search_and_are_said(machine: Machine) -> None:
    for n in range(300):
        (machine.root / "srv" / f"{n:03}").write_bytes(bytes(16_384))
    few = machine.sweep(Hashes=DIGEST, Files="100")
    assert few["status"] == "partial" and "digests of more than 100 files" in few["left"] and few["files"] < 300
    small = machine.sweep(Hashes=DIGEST, Mib="1")
    assert small["status"] == "partial" and "digests of more than 1 MiB" in small["left"]


def test_a_file_that_is_larger_than_the_budget_is_left_out_by_number(machine: Machine) -> None:
    with (machine.root / "srv" / "sparse").open("wb") as stream:
        stream.truncate(2**40)
    answer = machine.sweep(Hashes=DIGEST)
    assert (
        answer["status"] == "partial"
        and "1 files that are larger than the budget (files of more than 64 MiB)" in answer["left"]
    )


def test_a_flood_of_hits_fits_into_an_answer(machine: Machine) -> None:
    names = [f"n{n}.evil.sh" for n in range(50)]
    for name in names:
        for copy in range(6):
            folder = machine.root / "srv" / f"{'long' * 40}{copy}"
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"")
    answer = machine.sweep(Names=",".join(names))
    assert len(answer["found"]) == 60 and answer["more"] == 240
    assert len(json.dumps(answer)) < 20_000, "SSM shows 24,000 characters (GetCommandInvocation)"


def test_a_name_cannot_forge_the_rows_that_the_script_reads(machine: Machine) -> None:
    """What sha256sum prints of such a name may look like rows of its own: a search that is cut is said, none is called whole."""
    (machine.root / "srv" / "x\nB 999999 99999999999").write_bytes(b"")
    (machine.root / "srv" / "y\nL everything is fine").write_bytes(b"")
    answer = machine.sweep(Hashes=DIGEST)
    assert answer["found"] == [] and "everything is fine" not in answer["left"]


def test_without_the_programs_that_it_needs_it_says_what_was_not_looked_at(machine: Machine, tmp_path: Path) -> None:
    text = script("sweep_linux").replace(
        "for name in find xargs timeout sha256sum stat grep;", "for name in find no-such-program;"
    )
    file = tmp_path / "lacking.sh"
    file.write_text(text)
    given = {f"SSM_{name}": value for name, value in {**NOTHING, "CaseId": SWEEP, "Hashes": DIGEST}.items()}
    done = subprocess.run(
        [*machine.shell, str(file)], env={"PATH": os.environ["PATH"], **given}, capture_output=True, text=True, check=True, timeout=60
    )  # fmt: skip
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["status"] == "partial" and "files: the instance lacks no-such-program" in line["left"]


def test_the_script_writes_nothing_and_sends_nothing() -> None:
    code = "\n".join(line for line in script("sweep_linux").splitlines() if not line.lstrip().startswith("#"))
    assert "curl" not in code and "mkdir" not in code and "tee" not in code
    assert {part.split()[0].rstrip(";)") for part in code.split(">")[1:] if part[:1] == "/"} == {"/dev/null"}
