"""Debian's cloud kernels, of this machine's release and of others, as packages that are unpacked and never installed.

The mirror is the one that this machine's apt knows; the package list of the other releases lies in a folder of its own, so that
the machine's apt sees nothing of it.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SUITES = ("bullseye", "bookworm", "trixie", "trixie-backports", "sid")
SECURED = ("bookworm", "trixie")


class NoKernelError(RuntimeError):
    """Debian has no such kernel, or this machine's apt knows no mirror of Debian."""


@dataclass
class Archive:
    """Debian's releases as one source of packages of one architecture; ``folder`` keeps their lists."""

    folder: Path
    architecture: str = "amd64"
    _options: list[str] = field(default_factory=list)

    def kernels(self) -> dict[str, str]:
        """The newest cloud kernel of each series: ``6.12`` to ``6.12.117+deb13-cloud-amd64``, oldest series first."""
        names = f"^linux-image-[0-9].*cloud-{self.architecture}$"
        shown = _output(["apt-cache", *self.options(), "search", "--names-only", names])
        package = rf"^linux-image-((\d+\.\d+)[.\d]*\S*-cloud-{self.architecture}) "
        newest: dict[str, str] = {}
        for release, series in sorted(
            re.findall(package, shown, re.MULTILINE), key=lambda found: version_key(found[0])
        ):
            newest[series] = release
        return newest

    def kernel(self, wanted: str) -> str:
        """The release of ``wanted``: a series ("6.12") or a release. Raises NoKernelError with what there is."""
        known = self.kernels()
        if wanted in known:
            return known[wanted]
        if f"linux-image-{wanted} " in _output(["apt-cache", *self.options(), "search", "--names-only", wanted]):
            return wanted
        raise NoKernelError(f"Debian has no cloud kernel {wanted}; it has {', '.join(known) or 'none'}")

    def depends(self, package: str) -> str:
        """What a package depends on, as its list of packages says. Raises NoKernelError where there is no such package."""
        command = ["apt-cache", *self.options(), "show", "--no-all-versions", package]
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if found := re.search(r"^Depends: (.*)$", shown, re.MULTILINE):
            return found[1]
        raise NoKernelError(f"Debian has no package {package}")

    def download(self, packages: list[str], *, into: Path) -> None:
        """Put packages into a folder."""
        command = ["apt-get", *self.options(), "download", "-q", *packages]
        subprocess.run(command, cwd=into, check=True, stdout=subprocess.DEVNULL)

    def debug_package(self, kernel: str, *, into: Path) -> Path:
        """Put a kernel's package with debug information (some 250 MiB) into a folder; returns where it is."""
        self.download([f"linux-image-{kernel}-dbg"], into=into)
        return next(into.glob(f"linux-image-{kernel}-dbg_*.deb"))

    def options(self) -> list[str]:
        """apt's options for these releases; their lists are fetched once."""
        if not self._options:
            sources = self.folder / "sources.list"
            for place in ("lists/partial", "cache/archives/partial"):
                (self.folder / place).mkdir(parents=True, exist_ok=True)
            sources.write_text("\n".join(_sources()) + "\n", "utf-8")
            settings = {
                "Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-", "Dir::State::lists": self.folder / "lists",
                "Dir::Cache": self.folder / "cache", "APT::Sandbox::User": "root", "APT::Architecture": self.architecture,
                "APT::Architectures": self.architecture,
            }  # fmt: skip
            options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
            subprocess.run(["apt-get", *options, "update", "-q"], check=True, stdout=subprocess.DEVNULL)
            self._options = options
        return self._options


def version_key(release: str) -> list[int]:
    """Releases in the order of their numbers."""
    return [int(number) for number in re.findall(r"\d+", release)]


def _sources() -> list[str]:
    """A line for each release, at the mirrors that this machine uses for its own."""
    shown = _output(
        ["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)|$(SIGNED_BY)", "Created-By: Packages"]
    )
    mirrors = {label: (uri, key) for label, uri, key in (line.split("|") for line in shown.splitlines())}
    if "Debian" not in mirrors:
        raise NoKernelError("this machine's apt knows no mirror of Debian: run apt-get update")
    lines = [_line(*mirrors["Debian"], suite=suite) for suite in SUITES]
    if "Debian-Security" in mirrors:
        lines += [_line(*mirrors["Debian-Security"], suite=f"{suite}-security") for suite in SECURED]
    return lines


def _line(uri: str, key: str, *, suite: str) -> str:
    return f"deb {f'[signed-by={key}] ' if key.startswith('/') else ''}{uri} {suite} main"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
