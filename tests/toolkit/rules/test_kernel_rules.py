"""Hidden modules and hooks, by the rows of Volatility's plugins."""

from __future__ import annotations

from forensic_toolkit.rules import memory_rules


def test_a_hidden_module_has_the_time_of_the_kernels_warning() -> None:
    rows = {
        "linux.boottime.Boottime": [{"Boot Time": "2026-01-02T03:00:00+00:00"}],
        "linux.kmsg.Kmsg": [{"timestamp": "65.5", "level": "warn", "line": "ghost: loading out-of-tree module taints"}],
        "linux.malware.check_modules.Check_modules": [{"Module Name": "ghost", "Taints": "OOT_MODULE"}],
        "linux.malware.modxview.Modxview": [
            {"Name": "ghost", "In procfs": False, "In sysfs": True, "In scan": True},
            {"Name": "ext4", "In procfs": True, "In sysfs": True, "In scan": True},
        ],
    }
    (finding,) = memory_rules.findings(rows)
    assert (finding.title, finding.severity, finding.technique) == (
        "Hidden kernel module ghost",
        "critical",
        "T1014",
    )
    assert finding.time is not None and finding.time.isoformat() == "2026-01-02T03:01:05.500000+00:00"


def test_a_misread_system_call_table_is_not_a_hundred_findings() -> None:
    name = "linux.malware.check_syscall.Check_syscall"
    good = [{"Index": index, "Handler Symbol": f"sys_{index}"} for index in range(10)]
    assert len(memory_rules.findings({name: [*good, {"Index": 99, "Handler Symbol": None}]})) == 1
    assert memory_rules.findings({name: [{"Index": index, "Handler Symbol": None} for index in range(10)]}) == []
