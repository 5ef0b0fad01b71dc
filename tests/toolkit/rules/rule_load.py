"""A load for the engine: as many rules and events as one wants, of the kinds and sizes that packs and event logs have; all of it invented."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

SYSMON = "Microsoft-Windows-Sysmon/Operational"
_SYSTEM = "C:\\Windows\\System32\\"
_PROGRAMS = ("svchost.exe", "cmd.exe", "powershell.exe", "rundll32.exe", "reg.exe", "net.exe", "conhost.exe", "taskhostw.exe", "wmic.exe",
             "msiexec.exe", "backgroundTaskHost.exe", "MsMpEng.exe", "SearchIndexer.exe", "dllhost.exe", "w3wp.exe", "sqlservr.exe")  # fmt: skip
_SOURCES = ("category: process_creation", "category: process_creation", "category: process_creation", "category: registry_set", "category: file_event",
            "category: image_load", "category: ps_script", "category: network_connection", "service: security", "category: dns_query")  # fmt: skip
_FIELDS = {
    "category: process_creation": ("CommandLine", "Image", "ParentImage"),
    "category: registry_set": ("TargetObject", "Details", "Image"),
    "category: file_event": ("TargetFilename", "Image"),
    "category: image_load": ("ImageLoaded", "Image"),
    "category: ps_script": ("ScriptBlockText",),
    "category: network_connection": ("DestinationHostname", "Image"),
    "service: security": ("ServiceName", "TargetUserName"),
    "category: dns_query": ("QueryName", "Image"),
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _word(dice: random.Random, least: int = 5, most: int = 11) -> str:
    return "".join(dice.choices(_LETTERS, k=dice.randint(least, most)))


def rules(count: int, *, seed: int = 1) -> Iterator[tuple[str, str]]:
    """(name, text) of so many Sigma rules: lists of words, several selections, exceptions, one in thirty a regular expression."""
    dice = random.Random(seed)  # noqa: S311 - a load
    for number in range(count):
        source = dice.choice(_SOURCES)
        first, *more = _FIELDS[source]
        words = ", ".join(
            f"'{dice.choice(('', ' -', '/', '.'))}{_word(dice)}'" for _ in range(dice.choice((1, 2, 3, 5, 9)))
        )
        sel = f"{first}|contains: [{words}]"
        if number % 30 == 0:
            sel = f"{first}|re: '(?i){_word(dice)}\\s+[a-z]{{4,9}}\\.{_word(dice)}'"
        image = f", '{more[-1]}|endswith': ['\\{dice.choice(_PROGRAMS)}', '\\{_word(dice)}.exe']" if more else ""
        other = f"  other: {{{first}|contains: '{_word(dice)}'}}\n  condition: sel and not other\n"
        yield (
            f"{number}.yml",
            (
                f"title: Invented {number}\nid: 5f2f6a11-4c07-4a5e-8a6e-2f0d{number:08x}\nstatus: test\nlogsource: {{product: windows, {source}}}\n"
                f"detection:\n  sel: {{{sel!s}{image}}}\n{other}level: medium\ntags: [attack.t1059]\n"
            ),
        )


def fitting() -> Iterator[tuple[str, str]]:
    """Rules that match some of the events: by words that are rare, that are everywhere, by numbers, exceptions and expressions."""
    for number, (source, detection) in enumerate(
        (
            ("category: process_creation", "sel: {CommandLine|contains: '=44'}\n  condition: sel"),
            (
                "category: process_creation",
                "sel: {Image|endswith: '\\cmd.exe', ParentImage|endswith: '\\wmic.exe'}\n  condition: sel",
            ),
            (
                "category: process_creation",
                "sel: {Image|startswith: 'C:\\Windows\\'}\n  o: {Image|contains: 'e'}\n  condition: sel and not o",
            ),
            (
                "category: process_creation",
                "sel: {Image|startswith: 'C:\\Windows\\', ParentImage|endswith: '\\reg.exe'}\n  condition: sel",
            ),
            ("category: process_creation", "sel: {CommandLine|re: '--[a-z]+=[0-9]*4$'}\n  condition: sel"),
            (
                "category: network_connection",
                "sel: {DestinationPort: 443, DestinationIp|endswith: '.0.14.9'}\n  o: {DestinationIp: 10.0.34.9}\n  condition: sel or o",
            ),
            ("category: ps_script", "sel: {ScriptBlockText|contains|all: ['Get-ba', 'function e']}\n  condition: sel"),
            ("service: security", "sel: {EventID: 4624, LogonType: 3, IpAddress: 10.0.17.7}\n  condition: sel"),
            (
                "service: security",
                "sel: {EventID: 4688, NewProcessName|endswith: ['\\net.exe', '\\reg.exe']}\n  condition: sel",
            ),
            ("category: file_event", "sel: {TargetFilename|contains: '9.tmp'}\n  condition: sel"),
            ("category: dns_query", "k: ['example.com']\n  o: {Image|endswith: '\\w3wp.exe'}\n  condition: k and o"),
        )
    ):
        yield (
            f"fits{number}.yml",
            (
                f"title: Fits {number}\nid: 6f2f6a11-4c07-4a5e-8a6e-2f0d{number:08x}\nstatus: test\nlogsource: {{product: windows, {source}}}\n"
                f"detection:\n  {detection}\nlevel: low\ntags: [attack.t1059]\n"
            ),
        )


def events(count: int, *, seed: int = 2) -> Iterator[dict[str, Any]]:
    """So many events, most of them routine of a busy server, with the fields that Sysmon and Windows write."""
    dice = random.Random(seed)  # noqa: S311 - a load
    words = [_word(dice) for _ in range(4000)]
    for number in range(count):
        when = f"2026-11-{1 + number * 20 // count:02}T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}000+00:00"
        yield {
            "ts": when,
            "source": "/Windows/System32/winevt/Logs/x.evtx",
            "Computer": "EC2AMAZ-LAB01",
            "Level": 4,
            **_event(dice, words, number),
        }


def _event(dice: random.Random, words: list[str], number: int) -> dict[str, Any]:
    image, parent = _SYSTEM + dice.choice(_PROGRAMS), _SYSTEM + dice.choice(_PROGRAMS)
    word = dice.choice
    common = {
        "UtcTime": "2026-11-01 00:00:00.000",
        "ProcessGuid": f"{{a1b2c3d4-{number:08x}}}",
        "ProcessId": number % 9000,
        "Image": image,
        "User": "NT AUTHORITY\\SYSTEM",
    }
    match number % 20:
        case 0 | 1 | 2 | 3 | 4 | 5:
            line = f"{image} -k {word(words)} -p -s {word(words)} --{word(words)}={number}"
            hashes = f"SHA256={dice.getrandbits(256):064X},IMPHASH={dice.getrandbits(128):032X}"
            return {"Channel": SYSMON, "EventID": 1, **common, "CommandLine": line, "CurrentDirectory": _SYSTEM, "IntegrityLevel": "System", "Hashes": hashes,
                    "ParentImage": parent, "ParentCommandLine": f"{parent} -k {word(words)}", "OriginalFileName": image.rsplit("\\", 1)[-1], "Company": "Microsoft Corporation"}  # fmt: skip
        case 6 | 7 | 8:
            return {
                "Channel": SYSMON,
                "EventID": 13,
                "EventType": "SetValue",
                **common,
                "TargetObject": f"HKLM\\System\\CurrentControlSet\\Services\\{word(words)}\\{word(words)}",
                "Details": "DWORD (0x00000001)",
            }
        case 9 | 10 | 11:
            return {
                "Channel": SYSMON,
                "EventID": 11,
                **common,
                "TargetFilename": f"C:\\Windows\\Temp\\{word(words)}\\{word(words)}{number}.tmp",
                "CreationUtcTime": "2026-11-01 00:00:00.000",
            }
        case 12 | 13:
            return {
                "Channel": SYSMON,
                "EventID": 7,
                **common,
                "ImageLoaded": f"{_SYSTEM}{word(words)}.dll",
                "Signed": "true",
                "Signature": "Microsoft Windows",
                "SignatureStatus": "Valid",
            }
        case 14:
            return {
                "Channel": SYSMON,
                "EventID": 3,
                **common,
                "DestinationIp": f"10.0.{number % 250}.9",
                "DestinationPort": 443,
                "DestinationHostname": f"{word(words)}.example.com",
                "Initiated": "true",
            }
        case 15:
            text = "\n".join(
                f"function {word(words)} {{ ${word(words)} = Get-{word(words)} -Name '{word(words)}' }}"
                for _ in range(12)
            )
            return {
                "Channel": "Microsoft-Windows-PowerShell/Operational",
                "EventID": 4104,
                "ScriptBlockText": text,
                "ScriptBlockId": f"{number:032x}",
                "MessageNumber": 1,
            }
        case 16 | 17:
            return {
                "Channel": "Security",
                "EventID": 4624,
                "TargetUserName": word(words),
                "LogonType": 3,
                "IpAddress": f"10.0.{number % 250}.7",
                "LogonProcessName": "Kerberos",
                "WorkstationName": word(words),
            }
        case 18:
            return {
                "Channel": "Security",
                "EventID": 4688,
                "NewProcessName": image,
                "CommandLine": f"{image} {word(words)}",
                "ParentProcessName": parent,
                "SubjectUserName": "EC2AMAZ-LAB01$",
            }
        case _:
            return {
                "Channel": SYSMON,
                "EventID": 22,
                **common,
                "QueryName": f"{word(words)}.example.com",
                "QueryResults": "10.0.0.1;",
                "QueryStatus": "0",
            }
