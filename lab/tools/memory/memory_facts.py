"""The planted facts of the memory image, with the values the guest reported right after the capture."""

from __future__ import annotations

from typing import Any

from lab.tools.memory.vm import ATTACKER, ATTACKER_SSH_PORT, C2_PORT, FILE_PORT, GuestError

# Volatility 3 plugin names; each was seen to show the fact in the shipped image.
_PROCESSES = ["linux.pslist", "linux.psaux", "linux.pstree"]


def planted(seen: dict[str, Any], *, implant_sha256: str) -> list[dict[str, Any]]:
    """Facts in chronological order; GuestError when the guest did not show one of them."""
    implant = _process(seen, part="[kworker/u8:3-events]")
    reverse = _process(seen, part=f"/dev/tcp/{ATTACKER}/{C2_PORT}")
    shell = _process(seen, part="-bash")
    links = [link for link in seen["connections"] if link["remote"] == f"{ATTACKER}:{C2_PORT}"]
    if len(links) != 2 or any(link["state"] != "ESTABLISHED" for link in links):
        raise GuestError(f"expected 2 established connections to {ATTACKER}:{C2_PORT}, the guest has {links}")
    inbound = f"{ATTACKER}:{ATTACKER_SSH_PORT}"
    if not any(link["remote"] == inbound for link in seen["connections"]):
        raise GuestError(f"the guest has no SSH connection from {inbound}: {seen['connections']}")
    return [
        _implant(implant, sha256=implant_sha256),
        _fact(
            "implant-connection",
            f"{implant['comm']} holds a TCP connection to {ATTACKER}:{C2_PORT}",
            technique="T1571",
            found_by=["linux.sockstat"],
            pid=implant["pid"],
            state="ESTABLISHED",
            remote=f"{ATTACKER}:{C2_PORT}",
        ),
        _fact(
            "implant-rwx",
            "private writable and executable page with the implant's marker",
            technique="T1055",
            found_by=["linux.malware.malfind"],
            pid=implant["pid"],
            marker="FORENSIC-LAB-IMPLANT-7f3a91c2",
        ),
        _fact(
            "root-session",
            f"interactive root shell over SSH from {inbound}",
            technique="T1021.004",
            found_by=[*_PROCESSES, "linux.sockstat"],
            pid=shell["pid"],
            ppid=shell["ppid"],
            started=shell["started"],
            remote=inbound,
        ),
        _fact(
            "root-history",
            "commands of that shell; HISTFILE is /dev/null, so they exist in memory only",
            technique="T1690",
            found_by=["linux.bash"],
            pid=shell["pid"],
            commands=seen["commands"],
            between=[shell["started"], seen["captured_before"]],
        ),
        _fact(
            "module-download",
            f"kernel module fetched from http://{ATTACKER}:{FILE_PORT}/lab_hidden.ko",
            technique="T1105",
            found_by=["linux.bash"],
            pid=shell["pid"],
            path="/dev/shm/lab_hidden.ko",
        ),
        _fact(
            "hidden-module",
            "kernel module that took itself off the module list",
            technique="T1014",
            found_by=["linux.malware.check_modules", "linux.malware.modxview"],
            module="lab_hidden",
            not_in=["linux.lsmod"],
        ),
        _fact(
            "reverse-shell",
            f"bash under the name of sshd, connected to {ATTACKER}:{C2_PORT}",
            technique="T1059.004",
            found_by=["linux.psaux", "linux.malware.process_spoofing", "linux.sockstat"],
            pid=reverse["pid"],
            comm=reverse["comm"],
            cmdline=reverse["cmdline"],
            exe=reverse["exe"],
            started=reverse["started"],
            remote=f"{ATTACKER}:{C2_PORT}",
        ),
    ]


def _implant(implant: dict[str, Any], *, sha256: str) -> dict[str, Any]:
    deleted = "/dev/shm/kdmtmpflush (deleted)"
    if implant["exe"] != deleted:
        raise GuestError(f"the implant runs from {implant['exe']}, expected {deleted}")
    return _fact(
        "hidden-process",
        "implant under a kernel thread's name, running from a deleted file on a tmpfs; "
        "its bytes are those of /usr/local/lib/.sysd/sysd on the disk",
        technique="T1036.004",
        found_by=["linux.malware.process_spoofing", *_PROCESSES],
        pid=implant["pid"],
        ppid=implant["ppid"],
        comm=implant["comm"],
        cmdline=implant["cmdline"],
        exe=implant["exe"],
        started=implant["started"],
        sha256=sha256,
    )


def _fact(name: str, what: str, *, technique: str, found_by: list[str], **values: Any) -> dict[str, Any]:
    return {
        "id": f"memory-{name}",
        "what": what,
        "technique": technique,
        "found_in": "memory",
        "found_by": found_by,
        **values,
    }


def _process(seen: dict[str, Any], *, part: str) -> dict[str, Any]:
    found = [process for process in seen["processes"] if part in process["cmdline"]]
    if len(found) != 1:
        raise GuestError(f"expected one process with {part!r} in its command line, the guest has {found}")
    return dict(found[0])
