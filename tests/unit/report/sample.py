"""A rich made-up case: hostile strings everywhere, failed steps, gaps, a real custody chain."""

from __future__ import annotations

from typing import Any

from forensics.custody.chain import GENESIS, next_event
from forensics.models.case import Case, CaseStatus, CaseView, Phase, StepFailure, TimelineEntry, TimelineKind
from forensics.models.containment import (
    InterfaceRestorePoint,
    RestorePoint,
)
from forensics.models.custody import CustodyAction, CustodyEvent
from forensics.models.evidence import Outcome
from forensics.models.finding import Finding, FindingSource, Severity
from forensics.models.plan import Action, Decision, ResponsePlan
from forensics.models.results import Investigation, ToolRun
from forensics.models.target import NetworkInterface, SsmStatus, Target, Volume
from forensics.triage.policy import packaged
from tests.unit.report.sample_parts import (
    ACCOUNT,
    ALL_HOSTILE,
    CASE_ID,
    FORENSIC,
    HOSTILE,
    INSTANCE,
    REGION,
    at,
    containment,
    evidence,
    results,
)


def case(**changes: Any) -> Case:
    """The head record."""
    values: dict[str, Any] = {
        "case_id": CASE_ID,
        "account_id": ACCOUNT,
        "region": REGION,
        "instance_id": INSTANCE,
        "status": CaseStatus.CLOSED_WITH_GAPS,
        "phase": Phase.DONE,
        "opened_at": at(1.2),
        "closed_at": at(1500),
        "title": "The EC2 instance web-7 is querying a domain name of a known command-and-control server",
        "severity": "HIGH",
        "source": "guardduty",
        "finding_key": "a1b2c3d4e5f60718",
        "run_id": CASE_ID,
    }
    return Case(**{**values, **changes})


def custody(case_id: str = CASE_ID) -> tuple[CustodyEvent, ...]:
    """A real chain of some events."""
    events: list[CustodyEvent] = []
    actor = f"arn:aws:sts::{FORENSIC}:assumed-role/forensics-control/{case_id}"
    script = [
        (1.3, CustodyAction.CASE_OPENED, None, {}),
        (4.0, CustodyAction.TARGET_DESCRIBED, "control-plane-facts", {"objects": 14}),
        (5.0, CustodyAction.PLAN_DECIDED, None, {"policy": "2026-11-24"}),
        (
            9.5,
            CustodyAction.HOST_TOUCHED,
            "memory-image",
            {"document": "forensics-acquire_memory_linux", "note": HOSTILE[0]},
        ),
        (130.0, CustodyAction.EVIDENCE_ACQUIRED, "memory-image", {"bytes": 1073742848}),
        (141.0, CustodyAction.TARGET_CONTAINED, None, {"state": "NEW_FLOWS_BLOCKED"}),
        (171.0, CustodyAction.EVIDENCE_VERIFIED, "memory-image", {"match": True}),
        (600.0, CustodyAction.EVIDENCE_FAILED, "disk-vol-0bad0bad0bad0bad0", {"why": "copy"}),
        (1490.0, CustodyAction.REPORT_WRITTEN, None, {}),
    ]
    for seq, (seconds, action, item, detail) in enumerate(script, start=1):
        previous = events[-1].digest if events else GENESIS
        events.append(
            next_event(
                case_id=case_id,
                seq=seq,
                previous=previous,
                action=action,
                actor=actor,
                at=at(seconds),
                evidence_id=item,
                detail=detail,
            )
        )
    return tuple(events)


def finding() -> Finding:
    """The alert."""
    return Finding(
        key="a1b2c3d4e5f60718",
        source=FindingSource.GUARDDUTY,
        finding_id=f"arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/d/finding/{HOSTILE[1]}",
        title="Backdoor:EC2/C&CActivity.B!DNS " + HOSTILE[0],
        types=("Backdoor:EC2/C&CActivity.B!DNS", HOSTILE[2]),
        severity=Severity.HIGH,
        account_id=ACCOUNT,
        region=REGION,
        instance_id=INSTANCE,
        created_at=at(-95),
        updated_at=at(-5),
        product="GuardDuty",
        requester=HOSTILE[3],
        reason=HOSTILE[4],
    )


def target() -> Target:
    """The instance, with tags by whoever may tag it."""
    return Target(
        account_id=ACCOUNT,
        region=REGION,
        instance_id=INSTANCE,
        state="running",
        instance_type="m6i.large",
        image_id="ami-0abc",
        availability_zone="eu-central-1b",
        vpc_id="vpc-1",
        subnet_id="subnet-1",
        launched_at=at(-8640000),
        profile_arn=f"arn:aws:iam::{ACCOUNT}:instance-profile/web",
        imds_tokens="optional",
        imds_endpoint="enabled",
        interfaces=(
            NetworkInterface(
                id="eni-1",
                device_index=0,
                vpc_id="vpc-1",
                subnet_id="subnet-1",
                private_ip="10.0.3.7",
                public_ip="203.0.113.9",
                group_ids=("sg-web", "sg-ops"),
            ),
        ),
        volumes=(
            Volume(id="vol-0a0a0a0a0a0a0a0a0", device="/dev/xvda", size_gib=20, delete_on_termination=True),
            Volume(id="vol-0bad0bad0bad0bad0", device="/dev/xvdb", size_gib=200, encrypted=True),
        ),
        instance_store=True,
        tags={f"key{n} {text[:60]}": text for n, text in enumerate(HOSTILE)},
        ssm=SsmStatus(
            managed=True,
            ping="Online",
            agent_version="3.3.1",
            platform_type="Linux",
            platform_name=HOSTILE[5],
            platform_version="12",
        ),
        described_at=at(3.5),
        notes=("IMDSv1 is allowed: credentials can be read without a token", HOSTILE[6]),
    )


def plan() -> ResponsePlan:
    """All three wanted."""
    severe = "severity HIGH is at or above MEDIUM"
    return ResponsePlan(
        memory=Decision(action=Action.MEMORY, wanted=True, reasons=(severe, "the SSM agent is online")),
        disk=Decision(action=Action.DISK, wanted=True, reasons=(severe, HOSTILE[7])),
        isolate=Decision(action=Action.ISOLATE, wanted=True, reasons=("severity HIGH is at or above HIGH",)),
        policy_version="2026-11-24",
        decided_at=at(5),
        playbook="c2",
        questions=tuple(
            packaged().policy.questions[q] for q in ("q-c2-who-talks", "q-persistence", "q-kernel-altered")
        ),
        warnings=("tag IsTriageRequired=False is on the instance; tags never switch acquisition off",),
    )


def timeline() -> tuple[TimelineEntry, ...]:
    """The pipeline's own entries."""
    k = TimelineKind
    rows = [
        (0.0, k.CASE, "finding received from the queue", "finding_intake", None),
        (5.0, k.CASE, "plan: memory yes, disk yes, isolate yes", "triage", None),
        (9.5, k.EVIDENCE, "memory capture started", "memory.capture", "memory-image"),
        (130.0, k.EVIDENCE, "memory capture ended", "memory.capture", "memory-image"),
        (141.5, k.CONTAINMENT, "security groups swapped " + ALL_HOSTILE, "containment.isolate", None),
        (600.0, k.FAILURE, "copy of snap-3 failed", "disk.copy", "disk-vol-0bad0bad0bad0bad0"),
        (700.0, k.INVESTIGATION, "forensic instance i-0fedcba9876543210 started", "investigation", None),
    ]
    return tuple(TimelineEntry(time=at(s), kind=kind, what=w, source=src, evidence_id=e) for s, kind, w, src, e in rows)


MILESTONES = {
    "finding_event": -95.0,
    "received": 0.0,
    "opened": 1.2,
    "triaged": 5.0,
    "snapshots_started": 10.4,
    "first_volatile_byte": 12.25,
    "memory_complete": 130.0,
    "contained": 141.5,
    "investigation_started": 640.0,
    "reported": 1490.0,
}


def restore_point() -> RestorePoint:
    """The groups before isolation."""
    return RestorePoint(
        restore_id="r-1",
        instance_id=INSTANCE,
        taken_at=at(140),
        termination_protected=False,
        interfaces=(InterfaceRestorePoint(interface_id="eni-1", group_ids=("sg-web", "sg-ops")),),
    )


def investigations() -> tuple[Investigation, ...]:
    """One that is done, one that failed."""
    artifacts = {
        "results": {
            "uri": f"s3://evidence/cases/{CASE_ID}/artifacts/memory/memory-image/results.json",
            "sha256": "ab" * 32,
            "bytes": 5120,
        }
    }
    return (
        Investigation(
            activity="investigate_memory_linux",
            evidence_id="memory-image",
            outcome="DONE",
            command_id="c-1",
            instance_id="i-0fedcba9876543210",
            document={"name": "forensics-investigate_memory_linux", "version": "3", "sha256": "cd" * 32},
            artifacts=artifacts,
            started_at=at(700),
            ended_at=at(795),
            findings=19,
            gaps=2,
        ),
        Investigation(
            activity="investigate_disk_linux",
            evidence_id="disk-vol-0a0a0a0a0a0a0a0a0",
            outcome="FAILED",
            reason="plaso ended with 137 " + HOSTILE[0],
        ),
    )


def failure() -> StepFailure:
    """A step that failed for good."""
    return StepFailure(
        step="disk.copy",
        cause="AccessDenied: the key policy of alias/app does not let 222233334444 use the key " + HOSTILE[0],
        next_action="add the forensic account to the key policy, then clear disk.copy[1]",
        at=at(600),
        try_number=3,
    )


def signature(head: str) -> dict[str, str]:
    """A recorded signature of one head."""
    return {
        "statement": "{}",
        "signature": "MGUCMQ==",
        "algorithm": "ECDSA_SHA_384",
        "seq": "8",
        "head": head,
        "key_arn": f"arn:aws:kms:{REGION}:{FORENSIC}:key/k",
        "phase": "CONTAINMENT",
        "uri": "s3://evidence/custody/head.json",
    }


def rich_view(**changes: Any) -> CaseView:
    """Everything at once."""
    chain = custody()
    values: dict[str, Any] = {
        "case": case(),
        "findings": (finding(),),
        "target": target(),
        "plan": plan(),
        "evidence": evidence(),
        "containment": containment(),
        "restore_point": restore_point(),
        "investigations": investigations(),
        "results": results(),
        "timeline": timeline(),
        "custody": chain,
        "custody_head": chain[-1].digest,
        "failures": (failure(),),
        "custody_signature": signature(chain[7].digest),
        "milestones": {name: at(s) for name, s in MILESTONES.items()},
        "objects": (f"s3://evidence/cases/{CASE_ID}/report/{HOSTILE[1]}",),
        "generated_at": at(1500),
    }
    return CaseView(**{**values, **changes})


def empty_view() -> CaseView:
    """A case of which only the head record exists."""
    return CaseView(
        case=case(status=CaseStatus.OPEN, phase=Phase.OPENED, closed_at=None, run_id=None), generated_at=at(2)
    )


def complete_view(**changes: Any) -> CaseView:
    """A closed case of which nothing is missing."""
    memory = evidence()[1]
    done = investigations()[0].model_copy(update={"gaps": 0})
    found = results()[0].model_copy(update={"gaps": (), "provenance": ()})
    only_memory = plan().model_copy(
        update={"disk": Decision(action=Action.DISK, wanted=False, reasons=("the policy does not ask for it",))}
    )
    values: dict[str, Any] = {
        "case": case(status=CaseStatus.CLOSED),
        "plan": only_memory,
        "evidence": (memory,),
        "investigations": (done,),
        "results": (found,),
        "containment": containment().model_copy(update={"outcome": Outcome.DONE, "reason": None}),
        "failures": (),
    }
    return rich_view(**{**values, **changes})


def noisy_view() -> CaseView:
    """The same, with what tools say that ended well."""
    remarks = [
        {"tool": "confinement", "argv": ["user 0"], "exit": 0, "error": "it runs as root"},
        {
            "tool": "dissect.target",
            "argv": ["cronjobs"],
            "exit": 0,
            "rows": 0,
            "error": "No crontab(s) found on target",
        },
    ]
    runs = tuple(ToolRun.model_validate(remark) for remark in remarks)
    found = complete_view().results[0].model_copy(update={"provenance": runs})
    return complete_view(results=(found,))


def running_view() -> CaseView:
    """A case in the middle of its work: one step has failed, isolation and the examination are still to come."""
    return complete_view(
        case=case(status=CaseStatus.OPEN, phase=Phase.ACQUISITION, closed_at=None),
        containment=None,
        investigations=(),
        results=(),
        failures=(failure(),),
    )
