"""Rules on the kernel itself: hidden modules, hooks, messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from forensic_toolkit.readers.processes import Rows
from forensic_toolkit.results import Finding
from forensic_toolkit.times import parse_iso

LISTED = "linux.lsmod.Lsmod"
UNLISTED = "linux.malware.check_modules.Check_modules"
VIEWS = "linux.malware.modxview.Modxview"
MESSAGES = "linux.kmsg.Kmsg"
BOOT = "linux.boottime.Boottime"
SYSTEM_CALLS = "linux.malware.check_syscall.Check_syscall"
INTERRUPTS = "linux.malware.check_idt.Check_idt"
TERMINALS = "linux.malware.tty_check.Tty_Check"
PACKETS = "linux.malware.netfilter.Netfilter"
KEYBOARD = "linux.malware.keyboard_notifiers.Keyboard_notifiers"
CREDENTIALS = "linux.malware.check_creds.Check_creds"
PROGRAMS = "linux.ebpf.EBPF"

_KERNEL = "__kernel__"
_FOREIGN_CODE = re.compile(r"loading out-of-tree module|module verification failed")
_HOOKING_PROGRAMS = re.compile(r"KPROBE|TRACEPOINT|RAW_TRACEPOINT|TRACING|XDP|SCHED_CLS|LSM")


def boot_time(rows: Rows) -> datetime | None:
    """The boot time; None when the plugin failed."""
    for row in rows.get(BOOT, ()):
        return parse_iso(row.get("Boot Time") or "")
    return None


def hidden_modules(rows: Rows) -> Iterator[Finding]:
    """Modules that are missing from the kernel's module list, but visible elsewhere in the kernel."""
    hidden: dict[str, list[str]] = {}
    details: dict[str, Mapping[str, Any]] = {}
    for row in rows.get(UNLISTED, ()):
        name = row.get("Module Name") or "?"
        hidden.setdefault(name, []).append("check_modules: in sysfs, not in the module list")
        details.setdefault(name, row)
    for row in rows.get(VIEWS, ()):
        views = [view for view in ("In sysfs", "In scan") if str(row.get(view)) == "True"]
        if str(row.get("In procfs")) == "False" and views:
            name = row.get("Name") or "?"
            hidden.setdefault(name, []).append(f"modxview: {', '.join(views).lower()}, not in procfs")
            details.setdefault(name, row)
    loaded = _load_times(rows)
    for name, reasons in hidden.items():
        yield Finding(
            title=f"Hidden kernel module {name}",
            detail="; ".join(reasons),
            severity="critical",
            confidence="high",
            source="linux.malware.check_modules",
            time=loaded.get(name),
            technique="T1014",
            data={"module": name, "taints": details[name].get("Taints"), "views": reasons},
        )


def foreign_modules(rows: Rows) -> Iterator[Finding]:
    """Listed modules that did not come with the kernel; a memory-capture module is one of these."""
    loaded = _load_times(rows)
    for row in rows.get(LISTED, ()):
        taints = str(row.get("Taints") or "")
        if "OOT_MODULE" in taints or "UNSIGNED_MODULE" in taints:
            name = row.get("Module Name") or "?"
            yield Finding(
                title=f"Kernel module {name} did not come with the kernel",
                detail=f"{name}: {taints}; a memory-capture tool may be such a module",
                severity="low",
                confidence="medium",
                source="linux.lsmod",
                time=loaded.get(name),
                technique="T1547.006",
                data={"module": name, "taints": taints},
            )


def _load_times(rows: Rows) -> dict[str, datetime]:
    """The time of the kernel's warning about a module, by module."""
    boot = boot_time(rows)
    times: dict[str, datetime] = {}
    for row in rows.get(MESSAGES, ()):
        line = row.get("line") or ""
        if boot and _FOREIGN_CODE.search(line):
            at = message_time(row, boot=boot)
            if at is not None:
                times.setdefault(line.split(":", 1)[0], at)
    return times


def message_time(row: Mapping[str, Any], *, boot: datetime) -> datetime | None:
    """The time of a kernel message: seconds since boot, as text."""
    try:
        return boot + timedelta(seconds=float(row.get("timestamp") or ""))
    except (ValueError, OverflowError):
        return None


def hooks(rows: Rows) -> Iterator[Finding]:
    """Entries of kernel tables that point into modules or outside all known code."""
    for row in rows.get(INTERRUPTS, ()):
        if row.get("Module") not in (None, _KERNEL):
            yield _hook(row, kind="interrupt", what=f"vector {row.get('Index')}", source="linux.malware.check_idt")
    for row in rows.get(TERMINALS, ()):
        if row.get("Module") not in (None, _KERNEL):
            yield _hook(row, kind="terminal", what=f"{row.get('Name')}", source="linux.malware.tty_check")
    for row in rows.get(KEYBOARD, ()):
        yield _hook(row, kind="keyboard", what="notifier", source="linux.malware.keyboard_notifiers")
    for row in rows.get(PACKETS, ()):
        if str(row.get("Is Hooked")) == "True":
            what = f"{row.get('Proto')} {row.get('Hook')}"
            yield _hook(row, kind="packet filter", what=what, source="linux.malware.netfilter")
    yield from _system_calls(rows)


def _system_calls(rows: Rows) -> Iterator[Finding]:
    table = rows.get(SYSTEM_CALLS, ())
    unknown = [row for row in table if not row.get("Handler Symbol") or row.get("Handler Symbol") == "UNKNOWN"]
    # A table with mostly unknown entries was misread; that is a gap, not a hundred findings.
    if len(unknown) <= len(table) // 4:
        for row in unknown:
            what = f"number {row.get('Index')}"
            yield _hook(row, kind="system call", what=what, source="linux.malware.check_syscall")


def _hook(row: Mapping[str, Any], *, kind: str, what: str, source: str) -> Finding:
    target = row.get("Module") or "code outside the kernel"
    return Finding(
        title=f"{kind.capitalize()} hook: {what}",
        detail=f"{what} points to {target} ({row.get('Symbol') or row.get('Handler Symbol') or 'no symbol'})",
        severity="high",
        confidence="medium",
        source=source,
        technique="T1014",
        data={key: value for key, value in row.items() if value is not None},
    )


def shared_credentials(rows: Rows) -> Iterator[Finding]:
    """Processes that share one credential structure: a known privilege escalation."""
    for row in rows.get(CREDENTIALS, ()):
        yield Finding(
            title="Processes share one set of credentials",
            detail=f"pids {row.get('PIDs')}",
            severity="high",
            confidence="medium",
            source="linux.malware.check_creds",
            technique="T1068",
            data={"pids": row.get("PIDs")},
        )


def kernel_programs(rows: Rows) -> Iterator[Finding]:
    """eBPF programs of types that can observe or change other programs."""
    for row in rows.get(PROGRAMS, ()):
        kind = row.get("Type") or ""
        if _HOOKING_PROGRAMS.search(kind):
            yield Finding(
                title=f"eBPF program {row.get('Name') or '(no name)'}",
                detail=f"{kind}, tag {row.get('Tag')}; monitoring agents load such programs, and so do rootkits",
                severity="low",
                confidence="low",
                source="linux.ebpf",
                data={"name": row.get("Name"), "type": kind, "tag": row.get("Tag")},
            )
