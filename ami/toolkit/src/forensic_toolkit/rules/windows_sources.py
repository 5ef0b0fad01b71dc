"""Sigma's log sources on Windows: which channels and event ids they are, and the fields of other logs under Sysmon's names.

Sources: Sigma's taxonomy (sigma-specification, appendix taxonomy) and the events' own descriptions by Microsoft.
"""

from __future__ import annotations

from typing import Any

from forensic_toolkit.rules import windows_fields

Record = dict[str, Any]
_M = "Microsoft-Windows-"
SYSMON, SECURITY = f"{_M}Sysmon/Operational", "Security"
SERVICES: dict[str, tuple[str, ...]] = {
    "security": (SECURITY,),
    "system": ("System",),
    "application": ("Application",),
    "powershell": (f"{_M}PowerShell/Operational", "PowerShellCore/Operational"),
    "powershell-classic": ("Windows PowerShell",),
    "sysmon": (SYSMON,),
    "windefend": (f"{_M}Windows Defender/Operational",),
    "taskscheduler": (f"{_M}TaskScheduler/Operational",),
    "terminalservices-localsessionmanager": (f"{_M}TerminalServices-LocalSessionManager/Operational",),
    "terminalservices-remoteconnectionmanager": (f"{_M}TerminalServices-RemoteConnectionManager/Operational",),
    "rdpcorets": (f"{_M}RemoteDesktopServices-RdpCoreTS/Operational",),
    "bits-client": (f"{_M}Bits-Client/Operational",),
    "codeintegrity-operational": (f"{_M}CodeIntegrity/Operational",),
    "firewall-as": (f"{_M}Windows Firewall With Advanced Security/Firewall",),
    "dns-client": (f"{_M}DNS Client Events/Operational", f"{_M}DNS-Client/Operational"),
    "dns-server": ("DNS Server",),
    "dns-server-audit": (f"{_M}DNSServer/Audit",),
    "dns-server-analytic": (f"{_M}DNS-Server/Analytical",),
    "applocker": (f"{_M}AppLocker/EXE and DLL", f"{_M}AppLocker/MSI and Script", f"{_M}AppLocker/Packaged app-Deployment",
                  f"{_M}AppLocker/Packaged app-Execution"),
    "driver-framework": (f"{_M}DriverFrameworks-UserMode/Operational",),
    "ntlm": (f"{_M}NTLM/Operational",),
    "wmi": (f"{_M}WMI-Activity/Operational",),
    "winrm": (f"{_M}WinRM/Operational",),
    "smbclient-security": (f"{_M}SmbClient/Security",),
    "smbclient-connectivity": (f"{_M}SmbClient/Connectivity",),
    "smbserver-connectivity": (f"{_M}SMBServer/Connectivity",),
    "printservice-admin": (f"{_M}PrintService/Admin",),
    "printservice-operational": (f"{_M}PrintService/Operational",),
    "appxdeployment-server": (f"{_M}AppXDeploymentServer/Operational",),
    "appxpackaging-om": (f"{_M}AppxPackaging/Operational",),
    "appmodel-runtime": (f"{_M}AppModel-Runtime/Admin",),
    "msexchange-management": ("MSExchange Management",),
    "openssh": ("OpenSSH/Operational",),
    "ldap": (f"{_M}LDAP-Client/Debug",),
    "shell-core": (f"{_M}Shell-Core/Operational",),
    "lsa-server": (f"{_M}LSA/Operational",),
    "security-mitigations": (f"{_M}Security-Mitigations/Kernel Mode", f"{_M}Security-Mitigations/User Mode"),
    "capi2": (f"{_M}CAPI2/Operational",),
    "certificateservicesclient-lifecycle-system": (f"{_M}CertificateServicesClient-Lifecycle-System/Operational",),
    "diagnosis-scripted": (f"{_M}Diagnosis-Scripted/Operational",),
    "iis-configuration": (f"{_M}IIS-Configuration/Operational",),
    "vhdmp": (f"{_M}VHDMP/Operational",),
    "application-experience": (f"{_M}Application-Experience/Program-Telemetry", f"{_M}Application-Experience/Program-Compatibility-Assistant"),
    "winsock": (f"{_M}Winsock-WS2HELP/Operational",),
    "eventlog": (f"{_M}Eventlog-ForwardingPlugin/Operational",),
    "setup": ("Setup",),
    "bitlocker": (f"{_M}BitLocker/BitLocker Management", f"{_M}BitLocker/BitLocker Operational"),
    "wininet-config": (f"{_M}WinINet-Config/ProxyConfigChanged",),
    "directory-service": ("Directory Service",),
    "dfs-replication": ("DFS Replication",),
    "exchange-transport": ("MSExchange Transport",),
    "group-policy": (f"{_M}GroupPolicy/Operational",),
    "smbserver-security": (f"{_M}SMBServer/Security",),
    "smbserver-audit": (f"{_M}SMBServer/Audit",),
    "kerberos-kdc": (f"{_M}Kerberos-Key-Distribution-Center/Operational",),
    "hyper-v-vmms": (f"{_M}Hyper-V-VMMS-Admin",),
    "deviceguard": (f"{_M}DeviceGuard/Operational",),
    "kernel-pnp": (f"{_M}Kernel-PnP/Configuration",),
    "time-service": (f"{_M}Time-Service/Operational",),
    "user-profile": (f"{_M}User Profile Service/Operational",),
    "windows-update": (f"{_M}WindowsUpdateClient/Operational",),
    "backup": (f"{_M}Backup",),
    "certification-authority": (f"{_M}CertificationAuthority/Operational",),
}  # fmt: skip
CATEGORIES: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "process_creation": ((SYSMON, (1,)), (SECURITY, (4688,))),
    "process_termination": ((SYSMON, (5,)), (SECURITY, (4689,))),
    "process_access": ((SYSMON, (10,)),),
    "process_tampering": ((SYSMON, (25,)),),
    "create_remote_thread": ((SYSMON, (8,)),),
    "raw_access_thread": ((SYSMON, (9,)),),
    "image_load": ((SYSMON, (7,)),),
    "driver_load": ((SYSMON, (6,)),),
    "network_connection": ((SYSMON, (3,)), (SECURITY, (5156,))),
    "dns_query": (
        (SYSMON, (22,)),
        (SERVICES["dns-client"][0], (3006, 3008)),
        (SERVICES["dns-client"][1], (3006, 3008)),
    ),
    "pipe_created": ((SYSMON, (17, 18)),),
    "file_event": ((SYSMON, (11,)),),
    "file_change": ((SYSMON, (2,)),),
    "file_delete": ((SYSMON, (23, 26)),),
    "file_block": ((SYSMON, (27, 28)),),
    "file_executable_detected": ((SYSMON, (29,)),),
    "create_stream_hash": ((SYSMON, (15,)),),
    "registry_add": ((SYSMON, (12,)),),
    "registry_delete": ((SYSMON, (12,)),),
    "registry_set": ((SYSMON, (13,)), (SECURITY, (4657,))),
    "registry_rename": ((SYSMON, (14,)),),
    "registry_event": ((SYSMON, (12, 13, 14)), (SECURITY, (4657,))),
    "wmi_event": ((SYSMON, (19, 20, 21)),),
    "clipboard_capture": ((SYSMON, (24,)),),
    "sysmon_status": ((SYSMON, (4, 16)),),
    "sysmon_error": ((SYSMON, (255,)),),
    "ps_module": tuple((channel, (4103,)) for channel in SERVICES["powershell"]),
    "ps_script": tuple((channel, (4104,)) for channel in SERVICES["powershell"]),
    "ps_classic_start": (("Windows PowerShell", (400,)),),
    "ps_classic_provider_start": (("Windows PowerShell", (600,)),),
    "ps_classic_script": (("Windows PowerShell", (800,)),),
    # The project's own: PowerShell's commands in every form, and SQL Server's audit (windows_fields).
    "powershell_command": (
        *((channel, (4103, 4104)) for channel in SERVICES["powershell"]),
        ("Windows PowerShell", (400, 403, 600, 800)),
        (SYSMON, (1,)),
        (SECURITY, (4688, 4697)),
        ("System", (7045,)),
    ),
    "sql_audit": (("Application", (33205,)), (SECURITY, (33205,))),
    "antivirus": ((SERVICES["windefend"][0], (1006, 1007, 1008, 1015, 1116, 1117, 1118, 1119)),),
}
# What only ETW sessions see, not any event log: such rules have nothing to read here.
NOT_LOGGED = frozenset({"file_access", "file_rename", "ps_classic_module"})
_RENAMED: dict[tuple[str, int], dict[str, str]] = {
    (SECURITY, 4688): {"NewProcessName": "Image", "ParentProcessName": "ParentImage", "SubjectUserName": "User"},
    (SECURITY, 4689): {"ProcessName": "Image", "SubjectUserName": "User"},
    (SECURITY, 5156): {"Application": "Image", "DestAddress": "DestinationIp", "DestPort": "DestinationPort",
                       "SourceAddress": "SourceIp"},
    (SECURITY, 4657): {"ProcessName": "Image", "NewValue": "Details"},
}  # fmt: skip


def condition(category: str, service: str) -> str | None:
    """The SQL condition of a log source, ``1`` for all events; None when no event log on this list holds it."""
    parts: list[str] = []
    if category:
        if category not in CATEGORIES:
            return None
        parts.append(" OR ".join(_events(channel, ids) for channel, ids in CATEGORIES[category]))
    if service:
        if service not in SERVICES:
            return None
        parts.append("Channel IN (" + ", ".join(map(_quoted, SERVICES[service])) + ")")
    return " AND ".join(f"({part})" for part in parts) or "1"


def holds(category: str, service: str, *, channel: str, event_id: int) -> bool:
    """Whether a log source has the events of this channel and id; the same as ``condition`` says in SQL."""
    channel = channel.lower()
    if category and not any(name.lower() == channel and event_id in ids for name, ids in CATEGORIES.get(category, ())):
        return False
    return not service or any(name.lower() == channel for name in SERVICES.get(service, ()))


def _events(channel: str, ids: tuple[int, ...]) -> str:
    return f"(Channel = {_quoted(channel)} AND EventID IN ({', '.join(map(str, ids))}))"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def normalised(record: Record) -> Record:
    """A record with Sysmon's names beside its own, as rules of a category expect them, and with what its texts hold."""
    names = _RENAMED.get((str(record.get("Channel")), int(record.get("EventID") or 0)))
    if names:
        record = {**{new: record[old] for old, new in names.items() if old in record}, **record}
        if record["EventID"] == 4657:
            key = (
                str(record.get("ObjectName") or "")
                .replace("\\REGISTRY\\MACHINE", "HKLM")
                .replace("\\REGISTRY\\USER", "HKU")
            )
            record["TargetObject"] = f"{key}\\{record.get('ObjectValueName') or ''}"
    return windows_fields.with_inner(record)
