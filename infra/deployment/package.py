"""``make package``: one folder with everything that a deployment needs, named by version, every file listed with its digest.

``dist/ec2-forensics-<version>/``: ``dags/``, ``plugins.zip`` (the product and the wheels that MWAA's image lacks), ``requirements.txt``,
``cloudformation/``, ``documents/``, ``appsync/``, ``ami/toolkit.tar.gz``, ``release.json``, ``SHA256SUMS``. The same commit gives the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from infra.deployment import archives, templates

ROOT = templates.ROOT
DIST = ROOT / "dist"
# MWAA's images run this Python; wheels are for it.
# MWAA's images are Amazon Linux 2023 (glibc 2.34); some packages have wheels for newer glibcs alone (PEP 600), which pip takes when it is told.
PLATFORMS = [
    part for tag in ("manylinux_2_34", "manylinux_2_28", "manylinux2014") for part in ("--platform", f"{tag}_x86_64")
]
MWAA_PYTHON = "3.12"
AIRFLOW_VERSIONS = ("3.2.1", "3.3.1")
# Where MWAA unpacks plugins.zip (Amazon MWAA user guide, "Installing custom plugins"); there is no internet to install from.
MWAA_PLUGINS = "/usr/local/airflow/plugins"
WHEELS = "wheels"


class PackageError(RuntimeError):
    """The release could not be built; the message says which part and why."""


def version() -> str:
    """Version of the product."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def bundled() -> list[tuple[str, str, list[str]]]:
    """(name, version, digests) of what MWAA's image lacks: the pinned lines of requirements.txt, digests from the lock."""
    wanted = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text("utf-8"), re.M)
    lock = (ROOT / "requirements" / "runtime.lock").read_text("utf-8")
    found = []
    for name, pinned in wanted:
        entry = re.search(
            rf"^{re.escape(name)}=={re.escape(pinned)}(?: ;[^\\]*)? \\\n((?:    --hash=\S+(?: \\)?\n)+)", lock, re.M
        )
        if entry is None:
            msg = (
                f"requirements.txt wants {name}=={pinned}, requirements/runtime.lock does not have it: run `make lock`"
            )
            raise PackageError(msg)
        found.append((name, pinned, re.findall(r"--hash=(\S+)", entry[1])))
    return found


def requirements() -> str:
    """What MWAA installs: from plugins.zip alone, each file by its digest, nothing from an index."""
    lines = [
        f"# EC2 forensics {version()}. Everything else that it imports is part of MWAA's own image.",
        "--no-index",
        f"--find-links {MWAA_PLUGINS}/{WHEELS}",
        f'--constraint "{MWAA_PLUGINS}/{WHEELS}/constraints.txt"',
    ]
    lines += [
        f"{name}=={pinned} " + " ".join(f"--hash={digest}" for digest in digests) for name, pinned, digests in bundled()
    ]
    return "\n".join(lines) + "\n"


def wheels() -> dict[str, bytes]:
    """File name → content of the wheels, downloaded by their locked digests. Raises :class:`PackageError`."""
    pinned = "".join(f"{n}=={v} " + " ".join(f"--hash={d}" for d in ds) + "\n" for n, v, ds in bundled())
    with tempfile.TemporaryDirectory() as made:
        listed = Path(made, "wanted.txt")
        listed.write_text(pinned, "utf-8")
        command = [
            str(ROOT / ".venv-bootstrap" / "bin" / "python"), "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", MWAA_PYTHON,
            # MWAA's machines, wherever the release is built
            *PLATFORMS, "--implementation", "cp",
            "--dest", str(Path(made, "wheels")), "--requirement", str(listed),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            msg = f"the wheels for plugins.zip could not be downloaded: {done.stderr.strip()[-800:]}. Check the network, then run it again."
            raise PackageError(msg)
        return {file.name: file.read_bytes() for file in Path(made, "wheels").iterdir()}


def build(target: Path) -> dict[str, Any]:
    """Build the release into a folder, which is replaced; returns what release.json says. Raises :class:`PackageError`."""
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("dags", "cloudformation", "documents", "appsync", "ami"):
        (target / folder).mkdir(parents=True)
    plugins = archives.tree(ROOT / "plugins") | {f"{WHEELS}/{name}": data for name, data in wheels().items()}
    plugins[f"{WHEELS}/constraints.txt"] = "".join(f"{n}=={v}\n" for n, v, _ in bundled()).encode()
    # Airflow executes what it finds below plugins/: the package and the wheels are not plugins
    plugins[".airflowignore"] = plugins.get(".airflowignore", b"").rstrip(b"\n") + f"\n{WHEELS}/\n".encode()
    archives.write_zip(target / "plugins.zip", plugins)
    (target / "requirements.txt").write_text(requirements(), "utf-8")
    _copy(archives.tree(ROOT / "dags"), target / "dags")
    _copy(archives.tree(ROOT / "ssm_documents"), target / "documents")
    _copy(
        {n: d for n, d in archives.tree(ROOT / "infra" / "appsync").items() if n.endswith((".js", ".graphql"))},
        target / "appsync",
    )
    _copy(
        {f"{name}.yaml": templates.text_of(name).encode() for name in templates.committed()}, target / "cloudformation"
    )
    toolkit = {f"source/{name}": data for name, data in archives.tree(ROOT / "ami" / "toolkit").items()}
    toolkit["toolkit.lock"] = (ROOT / "requirements" / "toolkit.lock").read_bytes()
    toolkit["build.lock"] = (ROOT / "requirements" / "build.lock").read_bytes()
    toolkit["plaso.lock"] = (ROOT / "requirements" / "plaso.lock").read_bytes()
    toolkit["install.sh"] = Path(__file__).with_name("install_toolkit.sh").read_bytes()
    archives.write_tar(target / "ami" / "toolkit.tar.gz", toolkit, programs=frozenset({"install.sh"}))
    return _seal(target)


def _copy(content: dict[str, bytes], folder: Path) -> None:
    for name, data in content.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _seal(target: Path) -> dict[str, Any]:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in archives.tree(target).items()}
    release = {
        "product": "ec2-forensics",
        "version": version(),
        "commit": _commit(),
        "airflow": list(AIRFLOW_VERSIONS),
        "python": MWAA_PYTHON,
        "toolkit_sha256": digests["ami/toolkit.tar.gz"],
        "plugins_sha256": digests["plugins.zip"],
        "requirements_sha256": digests["requirements.txt"],
    }
    text = json.dumps(release, indent=1) + "\n"
    (target / "release.json").write_text(text, "utf-8")
    digests["release.json"] = hashlib.sha256(text.encode()).hexdigest()
    (target / "SHA256SUMS").write_text("".join(f"{digests[n]}  {n}\n" for n in sorted(digests)), "utf-8")
    return release


def _commit() -> str:
    """The commit, with ``+changes`` when the checkout is not what was committed."""
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty=+changes", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or "unknown"


def verify(folder: Path) -> list[str]:
    """What is wrong with a release: files that differ, are missing, or are not listed."""
    lines = (line.partition("  ") for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines())
    listed = {name: digest for digest, _, name in lines}
    there = {n: hashlib.sha256(d).hexdigest() for n, d in archives.tree(folder).items() if n != "SHA256SUMS"}
    wrong = [f"{name}: missing" for name in sorted(set(listed) - set(there))]
    wrong += [f"{name}: not listed" for name in sorted(set(there) - set(listed))]
    return wrong + [f"{name}: differs" for name in sorted(set(listed) & set(there)) if listed[name] != there[name]]


def main() -> int:
    """Build the release below dist/ and say where it is."""
    target = DIST / f"ec2-forensics-{version()}"
    try:
        release = build(target)
    except PackageError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    size = sum(len(data) for data in archives.tree(target).values())
    print(
        f"[package] {target.relative_to(ROOT)}: {size / 1024:.0f} KiB, commit {release['commit']}, plugins.zip {release['plugins_sha256'][:12]}…"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
