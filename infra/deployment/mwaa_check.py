"""``make mwaa-check``: would Amazon MWAA take this release? Unpacks it as MWAA does into a clean environment of MWAA's versions.

For each Airflow version: the image's packages (``requirements/mwaa-<version>.lock``, which must equal the image's published list), then
``pip install`` of the release's requirements.txt with the image's own constraints, then Airflow's own DAG bag with MWAA's configuration.
``--case`` also plays a whole case against the lab with that environment's Airflow, Celery workers and the unpacked release; ``--move``
replaces the older Airflow by the newer one while a case is open.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.deployment import mwaa_image, package, templates

ROOT = templates.ROOT
# Amazon MWAA user guide, "Quotas": plugins.zip up to 1 GB, requirements.txt up to 32 KB are what reviews accept
LARGEST_PLUGINS = 1_000_000_000
LARGEST_REQUIREMENTS = 32_000
# Options MWAA sets itself and does not let anybody change (user guide, "Airflow configuration options", blocked ones; its image's code).
BLOCKED = re.compile(
    r"^(database\.|logging\.remote|core\.(dags_folder|plugins_folder|fernet_key)|webserver\.secret_key|celery\.broker|metrics\.)"
)


class CheckError(RuntimeError):
    """The check itself could not run; the message says why."""


@dataclass
class Unpacked:
    """A release as MWAA lays it out."""

    home: Path
    dags: Path = field(init=False)
    plugins: Path = field(init=False)
    requirements: Path = field(init=False)

    def __post_init__(self) -> None:
        self.dags, self.plugins = self.home / "dags", self.home / "plugins"
        self.requirements = self.home / "requirements.txt"


def refused(release: Path) -> list[str]:
    """What MWAA would refuse before it starts anything: sizes, names, unpinned or remote requirements, blocked options."""
    wrong = package.verify(release)
    if (release / "plugins.zip").stat().st_size > LARGEST_PLUGINS:
        wrong.append("plugins.zip is larger than MWAA takes")
    with zipfile.ZipFile(release / "plugins.zip") as archive:
        if bad := archive.testzip():
            wrong.append(f"plugins.zip is damaged at {bad}")
        names = archive.namelist()
        wrong += [
            f"plugins.zip has a path that leaves it: {n}" for n in names if n.startswith("/") or ".." in n.split("/")
        ]
        tops = {n.split("/")[0] for n in names}
        wrong += [
            f"plugins.zip has everything in one folder ({t}): MWAA puts its content on the path"
            for t in tops
            if len(tops) == 1
        ]
    text = (release / "requirements.txt").read_text("utf-8")
    if len(text) > LARGEST_REQUIREMENTS:
        wrong.append("requirements.txt is larger than MWAA takes")
    if "--constraint" not in text:
        wrong.append("requirements.txt has no constraint: MWAA would add the published ones, which need internet")
    for line in text.splitlines():
        if (
            line
            and not line.startswith(("#", "--"))
            and not re.match(r"^[A-Za-z0-9_.-]+==\S+( --hash=sha256:[0-9a-f]{64})+$", line)
        ):
            wrong.append(f"requirements.txt: {line!r} is not pinned by version and digest")
        if re.match(r"^apache-airflow==", line):
            wrong.append("requirements.txt replaces Airflow itself")
    return wrong + [
        f"mwaa.yaml sets {name}, which MWAA keeps to itself"
        for name, value in mwaa_image.options().items()
        if BLOCKED.match(name) or mwaa_image.FORCED.get(mwaa_image.variable(name), value) != value
    ]


def environment(version: str) -> Path:
    """The Python of a clean environment with MWAA's packages; made, or brought back to its lock. Raises :class:`CheckError`."""
    if (ours := "{}.{}".format(*sys.version_info[:2])) != package.MWAA_PYTHON:
        msg = (
            f"MWAA's images run Python {package.MWAA_PYTHON}, this environment is Python {ours}: "
            f"run `PYTHON=python{package.MWAA_PYTHON} make setup`, then this again"
        )
        raise CheckError(msg)
    folder, lock = ROOT / f".venv-mwaa-{version}", ROOT / "requirements" / f"mwaa-{version}.lock"
    python = folder / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], what="making the environment")
    uv = str(ROOT / ".venv-bootstrap" / "bin" / "uv")
    _run([uv, "pip", "sync", "--quiet", "--system-certs", "--require-hashes", "--only-binary", ":all:", "--python", str(python), str(lock)],
         what=f"installing {lock.name}")  # fmt: skip
    return python


def _run(command: list[str], *, what: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, env=env)
    if done.returncode:
        msg = f"{what} failed: {(done.stderr or done.stdout).strip()[-1500:]}"
        raise CheckError(msg)
    return done.stdout


def unpack(release: Path, home: Path) -> Unpacked:
    """Lay the release out as MWAA's workers have it."""
    made = Unpacked(home)
    for folder in (made.dags, made.plugins):
        folder.mkdir(parents=True)
    for file in (release / "dags").iterdir():
        (made.dags / file.name).write_bytes(file.read_bytes())
    with zipfile.ZipFile(release / "plugins.zip") as archive:
        archive.extractall(made.plugins)
    text = (release / "requirements.txt").read_text("utf-8")
    made.requirements.write_text(text.replace(package.MWAA_PLUGINS, str(made.plugins)), "utf-8")
    return made


def install(python: Path, unpacked: Unpacked, *, version: str) -> list[str]:
    """Install the requirements as MWAA does; returns what that changed in the image's own packages (nothing may)."""
    before = _packages(python)
    pip = str(ROOT / ".venv-bootstrap" / "bin" / "python")
    _run([pip, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check",
          "--constraint", str(mwaa_image.essential_constraints(version)), "-r", str(unpacked.requirements)],
         what="pip install -r requirements.txt")  # fmt: skip
    after = _packages(python)
    return [
        f"requirements.txt changes {name} of MWAA's image: {before[name]} → {after.get(name)}"
        for name in before
        if after.get(name) != before[name]
    ]


def _packages(python: Path) -> dict[str, str]:
    code = "import json; from importlib import metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    return dict(json.loads(_run([str(python), "-I", "-c", code], what="listing packages")))


def airflow_variables(unpacked: Unpacked) -> dict[str, str]:
    """What MWAA sets, and the template's options as MWAA hands them to Airflow."""
    given = mwaa_image.options()
    return {
        **mwaa_image.settings({mwaa_image.variable(name): value for name, value in given.items()}),
        "AIRFLOW_HOME": str(unpacked.home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(unpacked.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(unpacked.plugins),
        "PYTHONPATH": str(unpacked.plugins),
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHECK_OPTIONS": json.dumps(sorted(given)),
    }


def inspect(python: Path, unpacked: Unpacked) -> dict[str, Any]:
    """What Airflow makes of it."""
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    script = Path(__file__).with_name("mwaa_inspect.py")
    text = _run([str(python), str(script)], what="loading the DAGs", env={**keep, **airflow_variables(unpacked)})
    return dict(json.loads(text.strip().splitlines()[-1]))


def judge(found: dict[str, Any], unpacked: Unpacked, *, version: str) -> list[str]:
    """What is wrong with what Airflow made of the release."""
    wrong = [f"{name}: {error.strip().splitlines()[-1]}" for name, error in found["errors"].items()]
    wanted = sorted(file.stem for file in unpacked.dags.glob("*.py"))
    if found["dags"] != wanted and not wrong:
        wrong.append(f"DAGs {found['dags']} were found, {wanted} are in the release")
    if found["airflow"] != version:
        wrong.append(f"this is Airflow {found['airflow']}, not {version}")
    if not found["product"].startswith(str(unpacked.plugins.resolve())):
        wrong.append(f"the package was imported from {found['product']}, not from the release")
    if "forensics" not in found["plugins"]:
        wrong.append("Airflow did not load the UI plugin")
    if found["auth_manager"] != "FabAuthManager":
        wrong.append(f"the auth manager is {found['auth_manager']}, on MWAA it is FabAuthManager")
    return wrong + [
        f"Airflow {version} has no option {name}, which mwaa.yaml sets" for name in found["unknown_options"]
    ]


def play(python: Path, unpacked: Unpacked, *, state: Path) -> None:
    """A whole case with this Airflow and the unpacked release, against the lab. Raises :class:`CheckError`."""
    env = {
        **os.environ,
        "LAB_EXECUTOR": "celery",
        "LAB_AIRFLOW_PYTHON": str(python),
        "LAB_DAGS": str(unpacked.dags),
        "LAB_PLUGINS": str(unpacked.plugins),
    }
    done = subprocess.run(
        [sys.executable, "-m", "lab.scenarios.demo", "--state", str(state)],
        cwd=ROOT,
        env=env,
        check=False,
        timeout=4 * 3600,
    )
    if done.returncode:
        msg = f"the case failed with exit status {done.returncode}; logs are in {state / 'logs'}"
        raise CheckError(msg)


def move(release: Path, *, state: Path) -> list[str]:
    """A case that is open while the older Airflow is replaced by the newer. Raises :class:`CheckError`."""
    wrong, sides = list[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="mwaa-") as made:
        for version in package.AIRFLOW_VERSIONS:
            unpacked = unpack(release, Path(made) / version)
            python = environment(version)
            wrong += install(python, unpacked, version=version)
            sides.append(
                json.dumps({"python": str(python), "dags": str(unpacked.dags), "plugins": str(unpacked.plugins)})
            )
        command = [sys.executable, "-m", "lab.scenarios.airflow_move", "--state", str(state), "--old", sides[0], "--new", sides[1]]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=4 * 3600)
    if done.returncode:
        wrong.append(f"the move between the versions failed; what is above, and the logs in {state / 'logs'}, say why")
    return wrong


def check(release: Path, version: str, *, case: bool) -> list[str]:
    """Everything for one version; returns what is wrong. Raises :class:`CheckError`."""
    python = environment(version)
    with tempfile.TemporaryDirectory(prefix="mwaa-") as made:
        unpacked = unpack(release, Path(made))
        wrong = [
            f"requirements/mwaa-{version}.lock is not MWAA's image: {text}" for text in mwaa_image.differences(version)
        ]
        wrong += install(python, unpacked, version=version)
        found = inspect(python, unpacked)
        wrong += judge(found, unpacked, version=version)
        if not wrong and case:
            play(python, unpacked, state=Path(os.environ.get("LAB_STATE") or ROOT / ".lab") / f"mwaa-{version}")
    print(
        f"[mwaa-check] Airflow {version}, Python {found['python']}: DAGs {', '.join(found['dags'])}; {len(wrong)} faults"
    )
    return wrong


def prepared(release: Path, version: str) -> Path:
    """The Python of an environment as MWAA has it after the release's requirements are installed. Raises :class:`CheckError`."""
    python = environment(version)
    with tempfile.TemporaryDirectory(prefix="mwaa-") as made:
        if wrong := install(python, unpack(release, Path(made)), version=version):
            raise CheckError("; ".join(wrong))
    return python


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deployment.mwaa_check", description=__doc__)
    parser.add_argument("--release", type=Path, default=package.DIST / f"ec2-forensics-{package.version()}")
    parser.add_argument("--version", action="append", choices=package.AIRFLOW_VERSIONS, help="one version only")
    parser.add_argument("--case", action="store_true", help="also play a whole case against the lab (minutes)")
    parser.add_argument(
        "--move", action="store_true", help="only replace the older version by the newer while a case is open"
    )
    parser.add_argument(
        "--python", action="store_true", help="only prepare the default version's environment; prints its interpreter"
    )
    given = parser.parse_args()
    try:
        if given.python:
            print(prepared(given.release, mwaa_image.DEFAULT))
            return 0
        wrong = refused(given.release)
        if given.move:
            wrong += move(given.release, state=Path(os.environ.get("LAB_STATE") or ROOT / ".lab") / "mwaa-move")
        for version in () if given.move else given.version or package.AIRFLOW_VERSIONS:
            wrong += [f"{version}: {text}" for text in check(given.release, version, case=given.case)]
    except (CheckError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    for text in wrong:
        print(f"MWAA would refuse or misread: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
