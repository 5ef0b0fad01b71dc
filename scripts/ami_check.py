"""Play the phases of the AMI's components in a fresh system of the recipe's distribution: `make ami-check`.

The system is made by debootstrap and entered by chroot in namespaces of its own, which needs root; where that is not to be
had, the phases are not run and the reason is printed. Parsing, parameters and shell syntax are checked everywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ami import image_builder  # noqa: E402 - after the path is set
from ami.image_builder import PHASES, Recipe  # noqa: E402

PASSED_ON = ("PIP_CERT", "PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "no_proxy")
CA = Path("/etc/ssl/certs/ca-certificates.crt")


class CheckError(Exception):
    """A component does not do what it says; the message names component, phase and step."""


def say(text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"[ami-check] {text}\n")
    sys.stdout.flush()


def check_syntax(name: str) -> int:
    """Read a recipe with its components and let bash read every command; returns the number of commands."""
    recipe, commands = image_builder.recipe(name), 0
    for use in recipe.components:
        component = image_builder.component(use.component)
        values = component.values(use.parameters)
        for phase in component.phases:
            for step in phase.steps:
                for command in step.commands():
                    text = image_builder.filled(command, values)
                    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
                    if done.returncode:
                        raise CheckError(f"{use.component}, {phase.name}, {step.name}: {done.stderr.strip()}")
                    commands += 1
    return commands


def why_not(recipe: Recipe) -> str | None:
    """Why a recipe's phases cannot be run here; None when they can."""
    if recipe.chroot is None:
        return "its distribution cannot be made by debootstrap; build it with Image Builder"
    if os.geteuid() != 0:
        return "debootstrap and chroot need root (run it as root in a throw-away container or machine)"
    for program in ("debootstrap", "unshare", "chroot"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not Path(recipe.chroot.keyring).is_file():
        return f"{recipe.chroot.keyring} is not there: the mirror's signature could not be checked"
    return None


def toolkit_archive(folder: Path) -> tuple[Path, str]:
    """The toolkit as a release carries it, and its SHA-256."""
    made = folder / "toolkit.tar.gz"
    with tarfile.open(made, "w:gz") as archive:
        for name in ("pyproject.toml", "README.md", "src"):
            archive.add(ROOT / "ami" / "toolkit" / name, f"source/{name}", filter=_sources)
        archive.add(ROOT / "requirements" / "toolkit.lock", "toolkit.lock")
        archive.add(ROOT / "requirements" / "plaso.lock", "plaso.lock")
        archive.add(ROOT / "requirements" / "build.lock", "build.lock")
        archive.add(ROOT / "infra" / "deployment" / "install_toolkit.sh", "install.sh", filter=_program)
    return made, hashlib.sha256(made.read_bytes()).hexdigest()


def _sources(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


def _program(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o755
    return member


def make_system(recipe: Recipe, root: Path) -> None:
    """A minimal system of the distribution, its packages checked against the keyring."""
    assert recipe.chroot is not None
    chroot = recipe.chroot
    command = ["debootstrap", "--variant=minbase", f"--keyring={chroot.keyring}", "--include=ca-certificates"]
    if chroot.suite not in {"bookworm"}:
        command.append("--components=main,universe")
    run([*command, chroot.suite, str(root), chroot.mirror, chroot.script], what="debootstrap")
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    if CA.is_file():
        shutil.copy(CA, root / CA.relative_to("/"))


def run(command: list[str], *, what: str, text: str | None = None) -> None:
    """Run a program to its end; raises :class:`CheckError` with the end of what it said."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=1500)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-12:]
        raise CheckError(f"{what} ended with {done.returncode}:\n  " + "\n  ".join(said))


def play(recipe: Recipe, root: Path, archive: Path, digest: str) -> None:
    """All build phases, then all validate phases, then all test phases: the order of Image Builder."""
    loaded = [(use, image_builder.component(use.component)) for use in recipe.components]
    for wanted in PHASES:
        for use, component in loaded:
            given = use.parameters | ({"sha256": digest} if use.component == "toolkit" else {})
            values = component.values(given)
            began = time.monotonic()
            for step in next(p for p in component.phases if p.name == wanted).steps:
                if step.action == "S3Download":
                    for item in step.inputs:
                        shutil.copy(archive, root / str(item["destination"]).lstrip("/"))
                for command in step.commands():
                    what = f"{use.component}, {wanted}, {step.name}"
                    run(_inside(root, network=wanted == "build"), what=what, text=image_builder.filled(command, values))
            say(f"{recipe.name}: {wanted:8} {use.component:10} ok ({time.monotonic() - began:.1f} s)")


def _inside(root: Path, *, network: bool) -> list[str]:
    """Enter the system; validate and test phases have no network, as the analysis subnet has none."""
    kept = [f"{name}={os.environ[name]}" for name in PASSED_ON if name in os.environ]
    enter = f'mount -t proc proc "{root}/proc" && mount --rbind /dev "{root}/dev" && exec chroot "{root}" "$@"'
    place = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
    return [
        "unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", *([] if network else ["--net"]), "--propagation", "private",
        "sh", "-c", enter, "sh", "env", "-i", *place, *kept, "bash",
    ]  # fmt: skip


def main() -> int:
    """Check the recipes that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", help="names of files in ami/recipes; all by default")
    parser.add_argument("--syntax", action="store_true", help="do not run anything")
    options = parser.parse_args()
    for name in options.recipes or image_builder.names("recipes"):
        say(f"{name}: {check_syntax(name)} commands read")
        recipe = image_builder.recipe(name)
        if options.syntax:
            continue
        if reason := why_not(recipe):
            say(f"{name}: phases SKIPPED: {reason}")
            continue
        with tempfile.TemporaryDirectory(prefix="ami-check-", dir="/var/tmp") as folder:
            root = Path(folder) / "root"
            archive, digest = toolkit_archive(Path(folder))
            began = time.monotonic()
            make_system(recipe, root)
            say(f"{name}: fresh {recipe.chroot.suite if recipe.chroot else ''} in {time.monotonic() - began:.0f} s")
            play(recipe, root, archive, digest)
            say(f"{name}: every phase of {len(recipe.components)} components ended well")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CheckError, ValueError, OSError) as error:
        sys.exit(f"[ami-check] FAILED: {error}")
