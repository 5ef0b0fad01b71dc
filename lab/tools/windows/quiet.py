"""What a Windows server of a domain logs in a quiet week: controller, SQL, print, mail-free, with its administrators and its updates.

Nothing in it is an attack. The examination has to stay silent about it, as far as severities go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from lab.tools.windows import quiet_programs
from lab.tools.windows.evtx import Event

DAYS = 5
_M = "Microsoft-Windows-"
SECURITY, SYSTEM, APPLICATION = "Security", "System", "Application"
CLASSIC = "Windows PowerShell"
_SYS = "C:\\Windows\\System32\\"
_PROVIDERS = {
    SECURITY: f"{_M}Security-Auditing",
    SYSTEM: "Service Control Manager",
    APPLICATION: "MSSQLSERVER",
    CLASSIC: "PowerShell",
}
_START = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
_ADMIN = {"SubjectUserSid": "S-1-5-21-7-7-7-1104", "SubjectUserName": "admin7", "SubjectDomainName": "CORP"}
_DC = {"SubjectUserSid": "S-1-5-18", "SubjectUserName": "DC1$", "SubjectDomainName": "CORP"}
_REALM = "CORP.EXAMPLE"
Said = tuple[str, int, dict[str, str]]


def events() -> list[Event]:
    """The events of the week in order of time, a minute or less apart."""
    found: list[Event] = []
    for day in range(DAYS):
        moment = _START + timedelta(days=day)
        for channel, number, data in _day(day):
            provider = data.pop("_provider", _PROVIDERS.get(channel, channel.rsplit("/", 1)[0]))
            found.append(Event(number, channel, provider, moment, data))
            moment += timedelta(seconds=97)
    return found


def _day(day: int) -> Iterator[Said]:
    yield from _boot()
    yield from _logons()
    yield from _accounts(day)
    yield from _directory(day)
    yield from quiet_programs.programs()
    yield from quiet_programs.sysmon()
    yield from quiet_programs.powershell()
    yield from quiet_programs.sql()
    yield from _services()
    yield from _updates()
    yield from _network()
    yield from _daily()


def _security(number: int, **data: str) -> Said:
    return SECURITY, number, data


def _boot() -> Iterator[Said]:
    yield SYSTEM, 6005, {"_provider": "EventLog"}
    yield SYSTEM, 12, {"_provider": f"{_M}Kernel-General", "StartTime": "2026-11-16T06:00:00Z"}
    yield SYSTEM, 6, {"_provider": f"{_M}FilterManager", "DeviceName": "WdFilter", "FinalStatus": "0x0"}
    yield _security(4608)
    yield _security(4902, PuaCount="0")
    yield _security(4908, SidList="-")
    for package in ("schannel.DLL : Schannel", "kerberos.DLL : Kerberos", "msv1_0.DLL : NTLM", "wdigest.DLL : WDigest"):
        yield _security(4622, SecurityPackageName=f"C:\\Windows\\system32\\{package}")
    yield _security(
        4610, AuthenticationPackageName="C:\\Windows\\system32\\msv1_0.DLL : MICROSOFT_AUTHENTICATION_PACKAGE_V1_0"
    )
    for name in ("scecli", "rassfm"):
        yield _security(4614, NotificationPackageName=name)
    yield _security(4611, LogonProcessName="Winlogon", SubjectUserName="DC1$")
    yield _security(
        4616,
        SubjectUserSid="S-1-5-19",
        SubjectUserName="LOCAL SERVICE",
        ProcessName=_SYS + "svchost.exe",
        ProcessId="0x4b0",
    )
    yield _security(4616, **_DC, ProcessName="", ProcessId="0x4")


def _logons() -> Iterator[Said]:
    for _ in range(4):
        yield _security(4624, **_DC, TargetUserName="SYSTEM", LogonType="5", IpAddress="-", LogonProcessName="Advapi  ")
        yield _security(
            4672, SubjectUserName="SYSTEM", PrivilegeList="SeSecurityPrivilege SeBackupPrivilege SeDebugPrivilege"
        )
    for number, name in enumerate(("WS7$", "WS8$", "FS1$", "b.smith", "c.jones")):
        address, service = f"10.0.0.{20 + number}", "DC1$" if number % 2 else "FS1$"
        yield _security(4768, TargetUserName=name, ServiceName="krbtgt", Status="0x0", PreAuthType="2", TicketEncryptionType="0x12",
                        IpAddress=f"::ffff:{address}")  # fmt: skip
        yield _security(4769, TargetUserName=f"{name}@{_REALM}", TargetDomainName=_REALM, ServiceName=service, Status="0x0",
                        TicketEncryptionType="0x12", TicketOptions="0x40810000", IpAddress=f"::ffff:{address}")  # fmt: skip
        yield _security(4624, TargetUserSid=f"S-1-5-21-7-7-7-12{number:02}", TargetUserName=name, LogonType="3", IpAddress=address,
                        LogonProcessName="Kerberos", AuthenticationPackageName="Kerberos", KeyLength="0", WorkstationName="-")  # fmt: skip
        yield _security(4634, TargetUserName=name, LogonType="3")
    yield _security(4776, TargetUserName="b.smith", Workstation="WS7", Status="0x0")
    for _ in range(2):
        yield _security(
            4625,
            TargetUserName="b.smith",
            IpAddress="10.0.0.23",
            LogonType="3",
            Status="0xc000006d",
            SubStatus="0xc000006a",
        )
    yield _security(4771, TargetUserName="c.jones", IpAddress="::ffff:10.0.0.24", Status="0x18", PreAuthType="2")
    yield _security(4624, **_DC, TargetUserSid="S-1-5-21-7-7-7-1104", TargetUserName="admin7", LogonType="10", IpAddress="10.0.0.9",
                    LogonProcessName="User32 ", AuthenticationPackageName="Negotiate", ProcessName=_SYS + "svchost.exe")  # fmt: skip
    yield _security(
        4648, **_DC, TargetUserName="admin7", TargetServerName="localhost", ProcessName=_SYS + "svchost.exe"
    )
    for target in ("MicrosoftAccount:user=b", "LegacyGeneric:target=git:https://git.corp.example", "Domain:target=fs1"):
        yield _security(
            5379,
            **_ADMIN,
            TargetName=target,
            ReadOperation="%%8100",
            CountOfCredentialsReturned="1",
            ClientProcessId="4711",
        )
    yield _security(
        5382, **_ADMIN, SchemaFriendlyName="Windows Web Password Credential", Resource="https://intranet.corp.example/"
    )
    yield (
        f"{_M}TerminalServices-RemoteConnectionManager/Operational",
        1149,
        {"Param1": "admin7", "Param2": "CORP", "Param3": "10.0.0.9"},
    )
    yield f"{_M}TerminalServices-LocalSessionManager/Operational", 21, {"User": "CORP\\admin7", "Address": "10.0.0.9"}
    for _ in range(3):
        yield f"{_M}RemoteDesktopServices-RdpCoreTS/Operational", 131, {"ClientIP": "10.0.0.9:50123", "ConnType": "TCP"}


def _accounts(day: int) -> Iterator[Said]:
    yield _security(4724, **_ADMIN, TargetUserName="b.smith", TargetSid="S-1-5-21-7-7-7-1203")
    yield _security(
        4738,
        **_ADMIN,
        TargetUserName="b.smith",
        UserAccountControl="-",
        PrimaryGroupId="-",
        ScriptPath="-",
        SidHistory="-",
    )
    yield _security(
        4723,
        SubjectUserSid="S-1-5-21-7-7-7-1203",
        SubjectUserName="b.smith",
        TargetUserName="b.smith",
        TargetSid="S-1-5-21-7-7-7-1203",
    )
    yield _security(4740, **_DC, TargetUserName="c.jones", TargetDomainName="WS8")
    yield _security(4767, **_ADMIN, TargetUserName="c.jones")
    yield _security(4742, SubjectUserSid="S-1-5-21-7-7-7-1200", SubjectUserName="WS7$", TargetUserName="WS7$", PasswordLastSet="today",
                    ServicePrincipalNames="-", DnsHostName="-", UserAccountControl="-", PrimaryGroupId="-")  # fmt: skip
    if day == 1:
        yield _security(
            4720,
            **_ADMIN,
            TargetUserName="d.new",
            UserAccountControl="\r\n\t\t%%2080\r\n\t\t%%2082\r\n\t\t%%2084",
            SidHistory="-",
        )
        yield _security(4722, **_ADMIN, TargetUserName="d.new")
        yield _security(4738, **_ADMIN, TargetUserName="d.new", UserAccountControl="\r\n\t\t%%2048\r\n\t\t%%2050")
        for group in ("Staff", "Printers", "Sales"):
            yield _security(
                4728, **_ADMIN, TargetUserName=group, MemberSid="S-1-5-21-7-7-7-1301", TargetSid="S-1-5-21-7-7-7-1400"
            )
        yield _security(4741, **_ADMIN, TargetUserName="WS9$", UserAccountControl="\r\n\t\t%%2080\r\n\t\t%%2087")
        yield _security(4726, **_ADMIN, TargetUserName="e.left")
        yield _security(4717, **_DC, TargetSid="S-1-5-80-7", AccessGranted="SeServiceLogonRight")
    yield _security(4739, **_DC, DomainPolicyChanged="Password Policy")
    for program in ("svchost.exe", "VSSVC.exe", "mmc.exe", "taskhostw.exe"):
        yield _security(
            4799, **_DC, TargetUserName="Administrators", TargetSid="S-1-5-32-544", CallerProcessName=_SYS + program
        )
    yield _security(4904, **_DC, AuditSourceName="VSSAudit", ProcessName=_SYS + "VSSVC.exe")
    yield _security(
        4907, **_DC, ObjectName="C:\\Windows\\WinSxS\\a.dll", ProcessName="C:\\Windows\\servicing\\TrustedInstaller.exe"
    )


def _directory(day: int) -> Iterator[Said]:
    for right in (
        "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2",
        "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2",
        "e362ed86-b728-0842-b27d-2dea7a9df218",
    ):
        yield _security(4662, SubjectUserName="DC2$", ObjectType="%{19195a5b-6da0-11d0-afd3-00c04fd930c9}", AccessMask="0x100",
                        Properties=f"%%7688 {{{right}}}", ObjectName="%{0b32719a-0000-4000-8000-000000000001}")  # fmt: skip
    policy = "CN={6D1B2E3F-1111-4222-8333-444444444444},CN=POLICIES,CN=SYSTEM,DC=CORP,DC=EXAMPLE"
    for attribute in ("versionNumber", "gPCMachineExtensionNames") if day == 2 else ():
        yield _security(5136, **_ADMIN, ObjectDN=policy, ObjectClass="groupPolicyContainer", AttributeLDAPDisplayName=attribute,
                        AttributeValue="[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{D02B1F72-3407-48AE-BA88-E8213C6761F1}]")  # fmt: skip
    if day == 2:
        yield _security(5136, **_ADMIN, ObjectDN="OU=Staff,DC=corp,DC=example", ObjectClass="organizationalUnit",
                        AttributeLDAPDisplayName="gPLink", AttributeValue=f"[LDAP://{policy};0]")  # fmt: skip
    yield _security(5136, SubjectUserName="WS7$", ObjectDN="DC=ws7,DC=corp.example,CN=MicrosoftDNS,DC=DomainDnsZones", ObjectClass="dnsNode",
                    AttributeLDAPDisplayName="dnsRecord")  # fmt: skip
    yield _security(
        5136,
        **_ADMIN,
        ObjectDN="CN=B Smith,OU=Staff,DC=corp,DC=example",
        ObjectClass="user",
        AttributeLDAPDisplayName="title",
    )
    for name in ("WS7$", "b.smith"):
        yield _security(5140, SubjectUserName=name, ShareName="\\\\*\\SYSVOL", IpAddress="10.0.0.20")
        yield _security(5145, SubjectUserName=name, ShareName="\\\\*\\SYSVOL", RelativeTargetName="corp.example\\Policies\\{6D1B2E3F}\\gpt.ini",
                        AccessList="%%4416", IpAddress="10.0.0.20")  # fmt: skip
    yield "Directory Service", 1917, {}
    yield "DNS Server", 4, {}
    yield "DNS Server", 6001, {"param1": "corp.example.", "param2": "10.0.0.3"}
    yield f"{_M}DNSServer/Audit", 515, {"Type": "1", "NAME": "web7.corp.example", "TTL": "1200"}


def _services() -> Iterator[Said]:
    for name in (
        "Windows Update",
        "Background Intelligent Transfer Service",
        "WinHTTP Web Proxy Auto-Discovery Service",
        "Print Spooler",
    ):
        yield SYSTEM, 7036, {"param1": name, "param2": "running"}
    yield (
        SYSTEM,
        7040,
        {
            "param1": "Background Intelligent Transfer Service",
            "param2": "demand start",
            "param3": "auto start",
            "param4": "BITS",
        },
    )
    yield (
        SYSTEM,
        7045,
        {
            "ServiceName": "AmazonSSMAgent",
            "ImagePath": '"C:\\Program Files\\Amazon\\SSM\\amazon-ssm-agent.exe"',
            "StartType": "auto start",
        },
    )
    yield SYSTEM, 7045, {"ServiceName": "MpKslDrv", "StartType": "system start",
                         "ImagePath": "C:\\ProgramData\\Microsoft\\Windows Defender\\Definition Updates\\{7}\\MpKslDrv.sys"}  # fmt: skip
    yield SYSTEM, 10016, {"_provider": f"{_M}DistributedCOM", "param1": "application-specific"}
    yield f"{_M}PrintService/Operational", 307, {"Param1": "12", "Param3": "b.smith", "Param5": "Laser 7"}
    yield (
        f"{_M}PrintService/Operational",
        316,
        {"Param1": "Laser 7", "Param2": "Windows x64", "Param4": "UNIDRV.DLL, UNIDRVUI.DLL"},
    )
    yield f"{_M}CAPI2/Operational", 70, {"ProcessName": "svchost.exe", "subjectName": "web7.corp.example"}
    yield (
        f"{_M}WMI-Activity/Operational",
        5857,
        {"ProviderName": "CIMWin32", "ProviderPath": "%systemroot%\\system32\\wbem\\cimwin32.dll"},
    )
    yield f"{_M}WMI-Activity/Operational", 5861, {"Namespace": "//./root/subscription", "ESS": "SCM Event Log Filter", "CONSUMER": 'NTEventLogEventConsumer="SCM Event Log Consumer"'}  # fmt: skip
    yield (
        f"{_M}TaskScheduler/Operational",
        106,
        {"TaskName": "\\Microsoft\\Windows\\UpdateOrchestrator\\Schedule Scan", "UserContext": "S-1-5-18"},
    )
    yield _security(
        4702,
        **_DC,
        TaskName="\\Microsoft\\Windows\\UpdateOrchestrator\\Schedule Scan",
        TaskContent="<Command>usoclient.exe</Command>",
    )
    yield _security(4698, **_ADMIN, TaskName="\\Nightly", TaskContent="<Command>C:\\jobs\\nightly.exe</Command>")


def _updates() -> Iterator[Said]:
    defender = f"{_M}Windows Defender/Operational"
    yield defender, 2000, {"Product Name": "Microsoft Defender Antivirus"}
    yield (
        defender,
        1151,
        {"RTP state": "Enabled", "OA state": "Enabled", "IOAV state": "Enabled", "BM state": "Enabled"},
    )
    yield SYSTEM, 19, {"_provider": f"{_M}WindowsUpdateClient", "updateTitle": "Cumulative Update", "serviceGuid": "7"}
    yield "Setup", 2, {"PackageIdentifier": "KB5099999", "IntendedPackageState": "Installed", "ErrorCode": "0x0"}
    yield (
        "Setup",
        9,
        {"UpdateName": "IIS-WebServer", "PackageIdentifier": "IIS-WebServer-Core-Package", "ErrorCode": "0x0"},
    )
    yield f"{_M}Bits-Client/Operational", 59, {"name": "Windows Update", "url": "http://download.example.org/u.cab"}
    yield (
        f"{_M}Windows Firewall With Advanced Security/Firewall",
        2004,
        {"RuleName": "mDNS", "ModifyingApplication": _SYS + "svchost.exe"},
    )
    yield (
        SYSTEM,
        1074,
        {"_provider": "User32", "param1": "C:\\Windows\\servicing\\TrustedInstaller.exe", "param5": "restart"},
    )
    yield _security(1100)


def _network() -> Iterator[Said]:
    yield (
        f"{_M}WinINet-Config/ProxyConfigChanged",
        5600,
        {"fAutoDetect": "True", "pwszProxy": "", "pwszAutoConfigUrl": ""},
    )
    yield f"{_M}GroupPolicy/Operational", 8001, {"PrincipalSamName": "CORP\\admin7"}
    yield f"{_M}WinRM/Operational", 6, {"connection": "fs1/wsman"}
    yield f"{_M}Time-Service/Operational", 257, {"TimeSource": "10.0.0.1"}
    yield _security(
        5156,
        Application="\\device\\harddiskvolume2\\windows\\system32\\svchost.exe",
        SourceAddress="10.0.0.2",
        DestAddress="10.0.0.3",
        DestPort="443",
    )
    yield _security(
        6416, ClassName="PrintQueue", DeviceDescription="Microsoft Print to PDF", DeviceId="SWD\\PRINTENUM\\7"
    )
    yield _security(
        6416,
        ClassName="DiskDrive",
        DeviceDescription="Amazon EBS",
        DeviceId="SCSI\\DISK&VEN_NVME&PROD_AMAZON_ELASTIC_B\\7",
    )


def _daily() -> Iterator[Said]:
    """What looks like an attack to the hasty: loopback log-ons, pipes of member hosts, backups, monitoring, an administrator's tools."""
    for name, kind in (("app", "NTLM"), ("DC1$", "Kerberos")):
        yield _security(4624, TargetUserName=name, TargetUserSid="S-1-5-21-7-7-7-1500", LogonType="3", IpAddress="::1" if name == "DC1$" else "127.0.0.1",
                        LogonProcessName=kind, AuthenticationPackageName=kind, KeyLength="0" if kind == "Kerberos" else "128", WorkstationName="-")  # fmt: skip
    for pipe in ("spoolss", "srvsvc", "wkssvc", "samr", "lsarpc", "netlogon", "netdfs"):
        yield _security(
            5145,
            SubjectUserName="b.smith",
            ShareName="\\\\*\\IPC$",
            RelativeTargetName=pipe,
            IpAddress="10.0.0.23",
            AccessList="%%4416",
        )
    yield _security(
        5145, SubjectUserName="MON1$", ShareName="\\\\*\\IPC$", RelativeTargetName="winreg", IpAddress="10.0.0.40"
    )
    yield _security(4742, SubjectUserName="ANONYMOUS LOGON", SubjectUserSid="S-1-5-7", TargetUserName="WS8$", PasswordLastSet="today",
                    ServicePrincipalNames="-", DnsHostName="-", UserAccountControl="-")  # fmt: skip
    yield _security(
        4673,
        SubjectUserName="admin7",
        PrivilegeList="SeProfileSingleProcessPrivilege",
        ProcessName="C:\\Windows\\System32\\Taskmgr.exe",
    )
    yield _security(4702, **_DC, TaskName="\\Microsoft\\Windows\\Backup", TaskContent="<Command>wbadmin.exe</Command>")
    yield APPLICATION, 325, {"_provider": "ESENT", "Data": "lsass\nC:\\Windows\\NTDS\\ntds.dit"}
    yield f"{_M}Backup", 4, {"BackupTarget": "E:"}
    yield _security(
        4656,
        SubjectUserName="DC1$",
        ObjectName="\\Device\\HarddiskVolume2\\Windows\\System32\\lsass.exe",
        ProcessName="C:\\Windows\\System32\\svchost.exe",
    )
    yield _security(4719, **_DC, SubcategoryGuid="{0CCE9226-69AE-11D9-BED3-505054503030}", AuditPolicyChanges="%%8449")
    yield _security(
        4703, **_DC, ProcessName="C:\\Windows\\System32\\svchost.exe", EnabledPrivilegeList="SeTakeOwnershipPrivilege"
    )
    yield _security(4771, TargetUserName="WS8$", IpAddress="::ffff:10.0.0.21", Status="0x18", PreAuthType="2")
