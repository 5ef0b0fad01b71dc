"""Programs, Sysmon's events and PowerShell's logs of a quiet week (``quiet``)."""

from __future__ import annotations

from collections.abc import Iterator

SECURITY, SYSMON = "Security", "Microsoft-Windows-Sysmon/Operational"
APPLICATION = "Application"
POWERSHELL, CLASSIC = "Microsoft-Windows-PowerShell/Operational", "Windows PowerShell"
_SYS = "C:\\Windows\\System32\\"
Said = tuple[str, int, dict[str, str]]


def _started(image: str, command: str, parent: str, user: str) -> Iterator[Said]:
    yield SYSMON, 1, {"Image": image, "CommandLine": command, "ParentImage": parent, "User": user}
    yield SECURITY, 4688, {"SubjectUserName": user.rsplit("\\", 1)[-1].replace("SYSTEM", "DC1$"), "NewProcessName": image, "CommandLine": command,
                    "ParentProcessName": parent}  # fmt: skip


def programs() -> Iterator[Said]:
    """Programs of the system, of services and of an administrator."""
    services, shell, console = _SYS + "services.exe", "C:\\Windows\\explorer.exe", _SYS + "cmd.exe"
    system, admin = "NT AUTHORITY\\SYSTEM", "CORP\\admin7"
    for command in ("svchost.exe -k netsvcs -p -s Schedule", "svchost.exe -k wsappx -p", "VSSVC.exe", "SearchIndexer.exe /Embedding",
                    "msiexec.exe /V", "spoolsv.exe", "WmiPrvSE.exe -secured -Embedding", "taskhostw.exe", "dns.exe"):  # fmt: skip
        yield from _started(_SYS + command.split(" ", 1)[0], _SYS + command, services, system)
    yield from _started(
        "C:\\Windows\\servicing\\TrustedInstaller.exe", "C:\\Windows\\servicing\\TrustedInstaller.exe", services, system
    )
    yield from _started("C:\\Program Files\\Microsoft SQL Server\\Binn\\sqlservr.exe", '"C:\\Program Files\\Microsoft SQL Server\\Binn\\sqlservr.exe" -sMSSQLSERVER', services, "NT SERVICE\\MSSQLSERVER")  # fmt: skip
    for command in (
        "mmc.exe gpmc.msc",
        "mmc.exe services.msc",
        "notepad.exe C:\\jobs\\notes.txt",
        "Taskmgr.exe /4",
        "cmd.exe",
    ):
        yield from _started(_SYS + command.split(" ", 1)[0], command, shell, admin)
    for command in ("ipconfig.exe /all", "PING.EXE fs1", "gpupdate.exe /force", "net.exe use Z: \\\\fs1\\team", "robocopy.exe D:\\data E:\\data /mir",
                    "sc.exe query Spooler", "certutil.exe -verify web7.cer", "w32tm.exe /query /status"):  # fmt: skip
        yield from _started(_SYS + command.split(" ", 1)[0], command, console, admin)
    yield from _started(
        "C:\\Program Files\\SQL\\sqlcmd.exe",
        "sqlcmd -S . -i C:\\jobs\\reindex.sql",
        _SYS + "svchost.exe",
        "CORP\\svc-sql",
    )
    yield from _started(
        "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
        '"msedge.exe" --profile-directory=Default',
        shell,
        admin,
    )


def sysmon() -> Iterator[Said]:
    """What Sysmon says all day."""
    yield SYSMON, 10, {"SourceImage": "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18\\MsMpEng.exe", "TargetImage": _SYS + "lsass.exe",
                       "GrantedAccess": "0x1410", "CallTrace": "C:\\Windows\\SYSTEM32\\ntdll.dll+9d4c4"}  # fmt: skip
    yield (
        SYSMON,
        10,
        {"SourceImage": _SYS + "svchost.exe", "TargetImage": _SYS + "lsass.exe", "GrantedAccess": "0x1000"},
    )
    yield (
        SYSMON,
        3,
        {"Image": _SYS + "svchost.exe", "DestinationIp": "10.0.0.3", "DestinationPort": "443", "Initiated": "true"},
    )
    yield (
        SYSMON,
        3,
        {"Image": _SYS + "lsass.exe", "DestinationIp": "10.0.0.3", "DestinationPort": "88", "Initiated": "true"},
    )
    for file in (
        "C:\\Windows\\SoftwareDistribution\\DataStore\\DataStore.edb",
        "C:\\Windows\\System32\\spool\\PRINTERS\\00012.SPL",
    ):
        image = "spoolsv.exe" if "spool" in file else "svchost.exe"
        yield SYSMON, 11, {"Image": _SYS + image, "TargetFilename": file}
    yield SYSMON, 13, {"EventType": "SetValue", "Image": _SYS + "services.exe", "TargetObject": "HKLM\\System\\CurrentControlSet\\Services\\BITS\\Start",
                       "Details": "DWORD (0x00000003)"}  # fmt: skip
    yield SYSMON, 13, {"EventType": "SetValue", "Image": _SYS + "svchost.exe", "TargetObject": "HKLM\\System\\CurrentControlSet\\Services\\W32Time\\Config\\LastKnownGoodTime", "Details": "QWORD"}  # fmt: skip
    yield SYSMON, 22, {"Image": _SYS + "svchost.exe", "QueryName": "update.example.org", "QueryResults": "192.0.2.9"}
    yield (
        SYSMON,
        17,
        {"PipeName": "\\sql\\query", "Image": "C:\\Program Files\\Microsoft SQL Server\\Binn\\sqlservr.exe"},
    )
    yield SYSMON, 5, {"Image": _SYS + "taskhostw.exe"}


def powershell() -> Iterator[Said]:
    """An administrator's and an agent's commands, in all their forms."""
    host = _SYS + "WindowsPowerShell\\v1.0\\powershell.exe"
    for line in ("Get-Service -Name AmazonSSMAgent | Select-Object Status, StartType", "Get-ADUser b.smith -Properties mail", "Restart-Service Spooler",
                 "Get-EventLog -LogName System -Newest 50", "Get-ChildItem C:\\logs -Recurse -Filter *.log", "Get-Process | Sort-Object CPU",
                 "Test-NetConnection fs1 -Port 445", "Get-WmiObject Win32_LogicalDisk", "Get-ScheduledTask"):  # fmt: skip
        yield POWERSHELL, 4104, {"ScriptBlockText": line, "MessageNumber": "1", "MessageTotal": "1"}
        name = line.split(" ", 1)[0]
        yield (
            POWERSHELL,
            4103,
            {"Payload": f'CommandInvocation({name}): "{name}"\r\n', "ContextInfo": f"Host Application = {host}"},
        )
        yield (
            CLASSIC,
            800,
            {"Data": f'{line}\n\tDetailSequence=1\n\tHostApplication={host}\nCommandInvocation({name}): "{name}"\r\n'},
        )
    for provider in ("FileSystem", "Registry", "Variable", "Environment"):
        yield CLASSIC, 600, {"Data": f"{provider}\nStarted\n\tProviderName={provider}\r\n\tHostApplication={host}"}
    yield CLASSIC, 400, {"Data": f"Available\nNone\n\tNewEngineState=Available\r\n\tHostApplication={host} -File C:\\jobs\\nightly.ps1\r\n\tEngineVersion=5.1.20348.1"}  # fmt: skip


def _audit(**fields: str) -> Said:
    said = {
        "audit_schema_version": "1",
        "succeeded": "true",
        "server_principal_name": "app",
        "database_name": "sales",
        **fields,
    }
    return APPLICATION, 33205, {"Data": "\n".join(f"{name}:{value}" for name, value in said.items())}


def sql() -> Iterator[Said]:
    """SQL Server: an application's log-ins and queries, audited, a backup, one mistyped password."""
    for _ in range(6):
        yield (
            APPLICATION,
            18454,
            {"Data": "app\nConnection made using SQL Server authentication.\n [CLIENT: 10.0.0.31]"},
        )
        yield _audit(action_id="LGIS", class_type="LX", additional_information="<address>10.0.0.31</address>")
        yield _audit(
            action_id="SL", class_type="U", object_name="orders", statement="SELECT id FROM orders WHERE customer = @p1"
        )
    yield (
        APPLICATION,
        18456,
        {"Data": "report\nReason: Password did not match that for the login provided.\n [CLIENT: 10.0.0.32]"},
    )
    yield _audit(
        action_id="BA",
        class_type="DB",
        object_name="sales",
        statement="BACKUP DATABASE sales TO DISK = N'E:\\backup\\sales.bak'",
    )
    yield _audit(action_id="EX", class_type="P", object_name="close_month", statement="exec dbo.close_month")
    yield (
        APPLICATION,
        17115,
        {
            "Data": '\r\n\t -d E:\\data\\master.mdf\r\n\t -e E:\\log\\ERRORLOG\r\n\t -l E:\\data\\mastlog.ldf\r\n\t -s "MSSQLSERVER"'
        },
    )
    yield APPLICATION, 15457, {"Data": "max server memory (MB)\n4096\n8192"}
