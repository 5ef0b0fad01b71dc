"""Findings and timeline entries from the rows of Volatility's Linux plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from forensic_toolkit.readers.processes import Process, Rows, processes
from forensic_toolkit.results import Event, Finding
from forensic_toolkit.rules import kernel_rules, process_rules
from forensic_toolkit.rules.command_rules import first_match
from forensic_toolkit.times import parse_iso

PROCESS_RULES = (
    process_rules.disguised_as_kernel,
    process_rules.deleted_executables,
    process_rules.odd_places,
    process_rules.false_names,
)
ROW_RULES = (
    process_rules.connections,
    process_rules.typed_commands,
    process_rules.injected_code,
    process_rules.environments,
    process_rules.tracers,
    process_rules.unlisted,
)
KERNEL_RULES = (
    kernel_rules.hidden_modules,
    kernel_rules.foreign_modules,
    kernel_rules.hooks,
    kernel_rules.shared_credentials,
    kernel_rules.kernel_programs,
)


def rules(rows: Rows) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
    """All rules by name, bound to ``rows``; a rule whose plugin failed finds nothing."""
    known = processes(rows)
    for process_rule in PROCESS_RULES:
        yield process_rule.__name__, partial(process_rule, known)
    for row_rule in ROW_RULES:
        yield row_rule.__name__, partial(row_rule, rows, known=known)
    for kernel_rule in KERNEL_RULES:
        yield kernel_rule.__name__, partial(kernel_rule, rows)


def findings(rows: Rows) -> list[Finding]:
    """The findings of all rules."""
    return [finding for _name, rule in rules(rows) for finding in rule()]


def events(rows: Rows) -> list[Event]:
    """Process starts, typed commands and kernel messages."""
    return [*_starts(rows), *_commands(rows), *_messages(rows)]


def _starts(rows: Rows) -> Iterator[Event]:
    for process in processes(rows).values():
        if process.started is not None:
            yield Event(
                time=process.started,
                what=f"Process {process.pid} started: {process.args or process.comm} (parent {process.ppid}, "
                f"uid {process.uid})",
                source="linux.pslist",
                description="Process Start Time",
                notable=not process.is_kernel,
                extra=_process_fields(process),
            )


def _process_fields(process: Process) -> dict[str, object]:
    return {
        "pid": process.pid,
        "ppid": process.ppid,
        "uid": process.uid,
        "exe": process.exe,
        "comm": process.comm,
    }


def _commands(rows: Rows) -> Iterator[Event]:
    for row in rows.get(process_rules.BASH, ()):
        time = parse_iso(row.get("CommandTime") or "")
        if time is not None:
            rule = first_match(row.get("Command") or "")
            yield Event(
                time=time,
                what=f"Typed in shell {row['PID']}: {row.get('Command')}",
                source="linux.bash",
                description="Command Execution Time",
                notable=True,
                extra={"pid": row["PID"], "rule": rule.name if rule else None},
            )


def _messages(rows: Rows) -> Iterator[Event]:
    boot = kernel_rules.boot_time(rows)
    if boot is None:
        return
    yield Event(time=boot, what="System booted", source="linux.boottime", description="Boot Time", notable=True)
    for row in rows.get(kernel_rules.MESSAGES, ()):
        time = kernel_rules.message_time(row, boot=boot)
        if time is not None:
            level = row.get("level") or ""
            yield Event(
                time=time,
                what=f"Kernel: {row.get('line')}",
                source="linux.kmsg",
                description="Log Time",
                # Warnings during boot are not notable.
                notable=level in ("emerg", "alert", "crit", "err", "warn") and (time - boot).total_seconds() > 60,
                extra={"level": level},
            )
