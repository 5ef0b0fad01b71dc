"""A Windows server with an intrusion, as far as artifacts can be written without Windows: registry, event logs, tasks, prefetch, Amcache.

``files`` are the contents by path. ``ntfs`` puts them on an NTFS volume with ntfs-3g's programs; the paths are the same on any
other file system. The intruder is 203.0.113.66, the night that of the lab's other images.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from lab.tools.windows.evtx import Event, log
from lab.tools.windows.prefetch import scca
from lab.tools.windows.regf import Key, filetime, hive, tree
from lab.tools.windows.shimcache import cache

NIGHT = datetime(2026, 11, 21, 2, 0, 0, tzinfo=UTC)
IMPLANT = r"C:\ProgramData\.cache\svch0st.exe"
ATTACKER = "203.0.113.66"
FORGED = datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC)
_IMPLANT_FILE = "programdata/.cache/svch0st.exe"
_CONFIG = "windows/system32/config"
# Bytes of a record of the MFT, and where in it the file's own times begin.
_RECORD, _STANDARD_INFORMATION = 1024, 0x50
PROGRAMS = ("mkntfs", "ntfs-3g", "umount")


def at(minute: int, second: int = 0) -> datetime:
    """A time of that night."""
    return NIGHT.replace(minute=minute, second=second)


def security() -> list[Event]:
    """Guessed passwords, the log-in that worked, an account in the administrators' group, the log cleared."""
    given = {"channel": "Security", "provider": "Microsoft-Windows-Security-Auditing"}
    tries = [
        Event(
            4625,
            time=at(1, second),
            data={"TargetUserName": "Administrator", "IpAddress": ATTACKER, "LogonType": "3"},
            **given,
        )
        for second in range(6)
    ]
    made = {"TargetUserName": "svc-backup", "SubjectUserName": "Administrator"}
    command = "powershell -nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAA="
    return [
        *tries,
        Event(
            4624,
            time=at(2),
            data={"TargetUserName": "Administrator", "IpAddress": ATTACKER, "LogonType": "10"},
            **given,
        ),
        Event(
            4688,
            time=at(3),
            data={"NewProcessName": r"C:\Windows\System32\powershell.exe", "CommandLine": command},
            **given,
        ),
        Event(4720, time=at(4), data=made, **given),
        Event(4732, time=at(4, 30), data={"TargetUserName": "Administrators", "MemberSid": "S-1-5-21-1-1001"}, **given),
        Event(4698, time=at(5), data={"TaskName": r"\Updater", "SubjectUserName": "Administrator"}, **given),
        Event(
            1102,
            time=at(9),
            data={"SubjectUserName": "Administrator"},
            channel="Security",
            provider="Microsoft-Windows-Eventlog",
        ),
    ]


def system() -> list[Event]:
    """A service that starts the implant."""
    data = {
        "ServiceName": "WinUpdateHelper",
        "ImagePath": IMPLANT,
        "StartType": "auto start",
        "AccountName": "LocalSystem",
    }
    return [Event(7045, "System", "Service Control Manager", at(6), data)]


def _windows(build: str = "20348") -> Key:
    values = {"ProductName": "Windows Server 2022 Datacenter", "CurrentBuildNumber": build, "CurrentVersion": "6.3"}
    return Key({**values, "SystemRoot": r"C:\Windows", "RegisteredOwner": "EC2"})


def registry() -> dict[str, bytes]:
    """The hives, with the implant's run key, service and Amcache entry."""
    run = Key({"OneDriveUpdate": IMPLANT}, written=at(7))
    service = Key({"ImagePath": IMPLANT, "Start": 2, "Type": 16}, written=at(6))
    return hives(
        run=run, services={"WinUpdateHelper": service}, files={IMPLANT: at(6, 30)}, cached={IMPLANT: at(6, 45)}
    )


def hives(
    *,
    run: Key,
    services: Mapping[str, Key],
    files: Mapping[str, datetime],
    cached: Mapping[str, datetime] | None = None,
) -> dict[str, bytes]:
    """The hives of a server: its Run key, further services, programs that Amcache lists with the time of their keys, and that the
    compatibility cache knows with the time of their last change."""
    software_keys = {
        r"Microsoft\Windows NT\CurrentVersion": _windows(),
        r"Microsoft\Windows\CurrentVersion\Run": run,
        r"Microsoft\Windows NT\CurrentVersion\Time Zones\UTC": Key(
            {"Display": "(UTC)", "Std": "UTC", "Dlt": "UTC", "TZI": bytes(44)}
        ),
    }
    own = r"ControlSet001\Services"
    system_keys = {
        "Select": Key({"Current": 1, "Default": 1, "LastKnownGood": 1, "Failed": 0}),
        r"ControlSet001\Control\ComputerName\ComputerName": Key({"ComputerName": "EC2AMAZ-LAB01"}),
        r"ControlSet001\Control\TimeZoneInformation": Key({"TimeZoneKeyName": "UTC", "Bias": 0}),
        r"ControlSet001\Control\Session Manager\AppCompatCache": Key({"AppCompatCache": cache(cached or {})}),
        rf"{own}\Tcpip\Parameters": Key({"Hostname": "EC2AMAZ-LAB01"}),
        rf"{own}\EventLog": Key({"ImagePath": r"%SystemRoot%\System32\svchost.exe -k netsvcs", "Start": 2, "Type": 32}),
        **{rf"{own}\{name}": key for name, key in services.items()},
    }
    amcache = {
        rf"Root\InventoryApplicationFile\{path.rsplit(chr(92), 1)[-1]}|{number}": _listed(path, number, moment)
        for number, (path, moment) in enumerate(files.items(), start=1)
    }
    return {
        f"{_CONFIG}/software": hive(tree(software_keys), name="SOFTWARE"),
        f"{_CONFIG}/system": hive(tree(system_keys), name="SYSTEM"),
        f"{_CONFIG}/sam": hive(tree({"SAM": Key()}), name="SAM"),
        f"{_CONFIG}/security": hive(tree({"Policy": Key()}), name="SECURITY"),
        "windows/appcompat/programs/amcache.hve": hive(tree(amcache), name="Amcache.hve"),
    }


def _listed(path: str, number: int, moment: datetime) -> Key:
    """Amcache's key of one program."""
    name = path.rsplit("\\", 1)[-1]
    file: dict[str, str | int | bytes] = {
        "LowerCaseLongPath": path.lower(),
        "Name": name,
        "FileId": "0000" + "ab" * 20,
        "LongPathHash": f"{name}|{number}",
        "Publisher": "",
        "Size": 61440,
    }
    return Key(file, written=moment)


_TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
 <RegistrationInfo><Date>2026-11-21T02:05:00</Date><Author>EC2AMAZ-LAB01\\Administrator</Author><URI>\\Updater</URI></RegistrationInfo>
 <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
 <Actions Context="Author"><Exec><Command>{command}</Command><Arguments>-quiet</Arguments></Exec></Actions>
</Task>
"""


def files() -> dict[str, bytes]:
    """Everything that is on the volume, by path without the leading slash."""
    logs = "windows/system32/winevt/logs"
    loaded = [
        r"\DEVICE\HARDDISKVOLUME1\PROGRAMDATA\.CACHE\SVCH0ST.EXE",
        r"\DEVICE\HARDDISKVOLUME1\WINDOWS\SYSTEM32\NTDLL.DLL",
    ]
    return {
        **registry(),
        f"{logs}/Security.evtx": log(security()),
        f"{logs}/System.evtx": log(system()),
        "windows/system32/tasks/Updater": _TASK.format(command=IMPLANT).encode("utf-16"),
        "windows/prefetch/SVCH0ST.EXE-1234ABCD.pf": scca("SVCH0ST.EXE", run=at(8), count=3, files=loaded),
        "windows/system32/ntdll.dll": b"MZ" + bytes(510),
        _IMPLANT_FILE: b"MZ" + bytes(510),
        "users/administrator/desktop/readme.txt": b"nothing here\r\n",
    }


def missing() -> str | None:
    """Why no NTFS volume can be made here; None when it can."""
    lost = [name for name in PROGRAMS if shutil.which(name) is None]
    if lost:
        return f"not installed on this machine: {', '.join(lost)} (Debian: ntfs-3g)"
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        return "mounting the new NTFS volume needs root and /dev/fuse"
    return None


def ntfs(path: Path, *, mib: int = 24) -> None:
    """Write the server as an NTFS volume without a partition table. Raises OSError or CalledProcessError."""
    # The intruder makes the implant look old; the name's own times stay as they are.
    volume(path, files(), created={_IMPLANT_FILE: FORGED}, mib=mib)
    _keep_times_of_names(path)


def volume(
    path: Path, contents: Mapping[str, bytes], *, created: Mapping[str, datetime] | None = None, mib: int = 24
) -> None:
    """Write files to an NTFS volume without a partition table; ``created`` sets creation times. Raises OSError or CalledProcessError."""
    with path.open("wb") as file:
        file.truncate(mib << 20)
    subprocess.run(
        ["mkntfs", "-F", "-Q", "-q", "-L", "Windows", str(path)], check=True, capture_output=True, timeout=60
    )
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ntfs-3g", str(path), folder], check=True, capture_output=True, timeout=60)
        try:
            for name, content in contents.items():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            for name, moment in (created or {}).items():
                os.setxattr(Path(folder) / name, "system.ntfs_crtime_be", struct.pack(">Q", filetime(moment)))
        finally:
            subprocess.run(["umount", folder], check=True, capture_output=True, timeout=60)


def _keep_times_of_names(path: Path) -> None:
    """ntfs-3g writes the claim to the file's names as well; Windows does not: put the true time back there."""
    claimed, true = struct.pack("<Q", filetime(FORGED)), struct.pack("<Q", filetime(at(6)))
    data = bytearray(path.read_bytes())
    place = data.find(claimed)
    while place >= 0:
        if place % _RECORD != _STANDARD_INFORMATION:
            data[place : place + 8] = true
        place = data.find(claimed, place + 8)
    path.write_bytes(data)
