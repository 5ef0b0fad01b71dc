"""A PostgreSQL server for one load test or benchmark, when the machine has PostgreSQL's programs; as on MWAA.

It listens on 127.0.0.1 only, keeps its data in a temporary directory and ends with its ``with`` block. PostgreSQL refuses to
run as root: root gives it to the system's user ``postgres``.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.stack.process import StackError
from lab.stack.state import free_port

USER = "airflow"
KINDS = ("auto", "postgres", "sqlite")
# The data lives as long as the run: nothing is gained by waiting for the disk.
OPTIONS = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"


def programs() -> Path | None:
    """The directory with ``initdb`` and ``pg_ctl``, or None when PostgreSQL is not installed."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((c for c in candidates if (c / "initdb").exists() and (c / "pg_ctl").exists()), None)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a server; yields the SQLAlchemy URL of an empty database. Raises :class:`StackError`."""
    where = programs()
    if where is None:
        msg = "PostgreSQL's initdb and pg_ctl are not on this machine; install PostgreSQL, or continue with SQLite"
        raise StackError(msg)
    folder, port, password = Path(tempfile.mkdtemp(prefix="forensics-postgres-")), free_port(), secrets.token_hex(12)
    secret = folder / "password"
    secret.write_text(password)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    data = str(folder / "data")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} {OPTIONS}"
    try:
        _run([where / "initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"])
        _run([where / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", settings, "start"])
        yield f"postgresql+psycopg2://{USER}:{password}@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(StackError):  # it was not started: the cause is raised already
            _run([where / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def database(kind: str) -> Iterator[tuple[str, str | None]]:
    """(name, SQLAlchemy URL or None for SQLite) of a database for Airflow; ``auto`` takes PostgreSQL where it is."""
    if kind == "sqlite" or (kind == "auto" and programs() is None):
        yield "SQLite", None
        return
    with server() as url:
        yield "PostgreSQL", url


def _run(command: list[str | Path]) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    done = subprocess.run(
        [str(c) for c in command], user=user, group=user, extra_groups=[] if user else None, cwd="/",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        msg = f"{command[0]} ended with {done.returncode}: {done.stdout[-800:]}"
        raise StackError(msg)
