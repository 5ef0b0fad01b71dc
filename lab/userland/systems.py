"""Userlands for the target's documents: Debian releases from packages, and others made of them, each said to be emulated.

A root is made once with debootstrap, below ``LAB_STATE``; what a userland changes lies in an overlay in the run's own mount
namespace, so that no root is ever changed.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGES = "curl,iproute2,gawk,mksh,busybox-static,bash-static,python3"
RELEASES = ("bullseye", "bookworm", "trixie")
# Everything that a busybox system has of Debian's: programs that busybox does not have, and the libraries of them.
_BUSYBOX = r"""
mkdir -p bb && cp usr/bin/curl bin/bash-static bin/busybox bb/
rm -rf usr/bin/* usr/sbin/* bin/* sbin/* var/lib/dpkg
cp bb/busybox bb/curl bin/
for applet in $(bin/busybox --list); do [ -e "bin/$applet" ] || ln -s busybox "bin/$applet"; done
"""


@dataclass(frozen=True)
class Userland:
    """A system: a Debian release and what is changed of it. ``change`` is shell text, run in the root of the overlay.

    ``lacks``: what rules a live response out, or empty. ``emulated`` says what it stands for and is not. ``applets``: its shell runs
    programs that it has within itself, whatever lies in their places (busybox, FEATURE_SH_STANDALONE).
    """

    name: str
    release: str = "bookworm"
    change: str = ""
    shell: tuple[str, ...] = ("sh",)
    emulated: str = ""
    lacks: str = ""
    applets: bool = False
    environment: tuple[tuple[str, str], ...] = ()


USERLANDS = (
    Userland("debian-11", "bullseye"),
    Userland("debian-12", "bookworm"),
    Userland("debian-13", "trixie"),
    Userland(
        "bash-5.1-as-sh",
        "bullseye",
        "ln -sf bash bin/sh; ln -sf /usr/bin/gawk etc/alternatives/awk; rm -rf var/lib/dpkg",
        emulated="Red Hat family: sh is bash, awk is gawk, no dpkg",
    ),
    Userland(
        "bash-5.2-as-sh",
        "bookworm",
        "ln -sf bash bin/sh; rm -rf var/lib/dpkg",
        emulated="SUSE: sh is bash, tar writes pax headers",
        environment=(("TAR_OPTIONS", "--format=posix"),),
    ),
    Userland("dash-only", "bookworm", "rm -f bin/bash usr/bin/bash", emulated="a system without bash"),
    Userland("mksh", "bookworm", "ln -sf mksh bin/sh"),
    Userland("busybox", "bookworm", _BUSYBOX, emulated="Alpine: busybox 1.35 and curl, no bash", applets=True),
    Userland("busybox-1.30", "bullseye", _BUSYBOX, emulated="busybox 1.30 and curl", applets=True),
    Userland(
        "busybox-with-bash",
        "bookworm",
        f"{_BUSYBOX}\ncp bb/bash-static bin/bash",
        ("bash",),
        emulated="busybox and bash",
    ),
    Userland("gawk", "trixie", "ln -sf /usr/bin/gawk etc/alternatives/awk"),
    Userland("no-tar-zstd-python", "bookworm", "rm -f bin/tar usr/bin/tar usr/bin/zstd usr/bin/python3*"),
    Userland("no-ss-ip", "bookworm", "rm -f bin/ss bin/ip sbin/ip usr/bin/ss usr/bin/ip usr/sbin/ip"),
    Userland("no-curl", "bookworm", "rm -f usr/bin/curl"),
    Userland(
        "python3-minimal",
        "bookworm",
        "rm -f usr/bin/curl; rm -rf usr/lib/python3*/urllib",
        emulated="half-installed python3",
        lacks="this python3 is not whole",
    ),
    Userland("no-curl-no-python", "bookworm", "rm -f usr/bin/curl usr/bin/python3*", lacks="neither curl nor python3"),
    Userland(
        "old-util-linux",
        "bullseye",
        "mv bin/dmesg bin/dmesg.new; printf '#!/bin/sh\\n[ $# -eq 0 ] || exit 1\\nexec /bin/dmesg.new\\n' >bin/dmesg;"
        " chmod 755 bin/dmesg; rm -f usr/bin/timeout usr/bin/setsid",
        emulated="util-linux 2.23 (RHEL 7): dmesg without --time-format; no timeout, no setsid",
    ),
)


def with_shells(state: Path) -> tuple[Userland, ...]:
    """Userlands for each statically linked ``bash-VERSION`` in ``userlands/shells``, which is its ``sh`` too.

    No package registry has bash before 5.1 any more; whoever has built one lays it there.
    """
    shells = sorted((state / "userlands" / "shells").glob("bash-*"))
    return tuple(
        Userland(
            shell.name,
            "bullseye",
            f"cp {shell.resolve()} bin/bash; ln -sf bash bin/sh; ln -sf /usr/bin/gawk etc/alternatives/awk; rm -rf var/lib/dpkg",
            emulated=f"a system with {shell.name}, built from its sources",
        )
        for shell in shells
    )


def root_of(release: str, *, state: Path) -> Path:
    """The root of a release, made at its first use. Raises CalledProcessError with debootstrap's output in its log."""
    root = state / "userlands" / release
    if not (root / "usr/bin/curl").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        with (root.parent / f"{release}.log").open("wb") as log:
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, str(root)]
            subprocess.run(command, stdout=log, stderr=log, check=True)
    return root


def mounted(userland: Userland, root: Path) -> str:
    """Shell text that lays the userland over its root in the caller's mount namespace; sets R to where it is."""
    return f"""
    T=$(mktemp -d) && mount -t tmpfs overlay "$T" && mkdir "$T/u" "$T/w" "$T/m" || exit 97
    mount -t overlay overlay -o "lowerdir={root},upperdir=$T/u,workdir=$T/w" "$T/m" || exit 97
    R=$T/m; cd "$R"
    {userland.change}
    mount -t proc proc "$R/proc"; mount --rbind /sys "$R/sys"; mount --rbind /dev "$R/dev"
    mount -t tmpfs -o mode=1777,size=256m,nosuid,nodev tmpfs "$R/dev/shm"
    mount -t tmpfs -o mode=755,size=256m,nosuid,nodev tmpfs "$R/run"; : >"$R/run/utmp"
    """


def lacking() -> list[str]:
    """What this machine lacks for the check."""
    found = [f"the program {name}" for name in ("debootstrap", "unshare", "mount", "gcc") if not shutil.which(name)]
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        found.append("root, or namespaces")
    return found
