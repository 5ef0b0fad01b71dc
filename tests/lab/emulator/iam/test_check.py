"""The check of least privilege names the step that breaks without a statement, and the statements that nobody needs."""

from __future__ import annotations

from typing import Any

from lab.emulator.iam.check import check, refusals

LOOK = {"Sid": "Look", "Effect": "Allow", "Action": ["ec2:DescribeInstances", "ec2:DescribeVolumes"], "Resource": "*"}
STOP = {"Sid": "Stop", "Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*"}
OWN = {
    "Sid": "Own", "Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*",
    "Condition": {"StringEquals": {"aws:ResourceTag/forensics:case": "${aws:SourceIdentity}"}},
}  # fmt: skip


def asked(action: str, *, allowed: bool = True, **context: str) -> dict[str, Any]:
    return {
        "role": "forensics-analyse", "account": "222233334444", "session": "fc-1-analyse", "call": action, "action": action,
        "resource": "arn:x", "context": {k.replace("__", ":"): v for k, v in context.items()}, "allowed": allowed, "by": "p.S",
    }  # fmt: skip


def test_statements_are_needed_or_reported() -> None:
    terminate = {**asked("ec2:TerminateInstances")}
    terminate["context"] = {"aws:ResourceTag/forensics:case": "fc-1", "aws:SourceIdentity": "fc-1"}
    answer = {
        "asked": [asked("ec2:DescribeInstances"), terminate],
        "policies": {"222233334444/forensics-analyse": {"p": {"Statement": [LOOK, STOP, OWN]}}},
    }
    report = check(answer)
    assert report.denied == []
    assert report.needed == {
        "222233334444/forensics-analyse.p.Look": "fc-1-analyse: ec2:DescribeInstances (ec2:DescribeInstances on arn:x)",
        "222233334444/forensics-analyse.p.Own": "fc-1-analyse: ec2:TerminateInstances (ec2:TerminateInstances on arn:x)",
    }
    assert report.unused == ["222233334444/forensics-analyse.p.Stop"]
    assert report.unused_actions == ["222233334444/forensics-analyse.p.Look:ec2:DescribeVolumes"]


def test_denials_and_roles_that_did_nothing_are_reported_except_those_of_services() -> None:
    answer = {
        "asked": [asked("ec2:RunInstances", allowed=False)],
        "policies": {
            "1/forensics-release": {"p": {"Statement": [STOP]}}, "1/forensics-forwarder": {"p": {"Statement": [STOP]}},
            "222233334444/forensics-analyse": {},
        },
    }  # fmt: skip
    report = check(answer)
    assert len(report.denied) == 1 and "RunInstances" in report.denied[0]
    assert (report.needed, report.unused) == ({}, ["1/forensics-release.p.Stop"])


def test_a_refusal_that_answers_the_preflights_question_is_no_fault_and_a_cases_same_refusal_is() -> None:
    blocks = {**asked("ebs:ListSnapshotBlocks", allowed=False), "session": "fc-preflight-acquire"}
    more = {**asked("ec2:CreateSnapshots", allowed=False), "session": "fc-preflight-acquire"}
    case = {**blocks, "session": "fc-1-acquire"}
    assert list(refusals([blocks, more, case])) == [more, case]


def test_what_is_allowed_when_it_is_asked_again_was_waited_for() -> None:
    before, after = asked("kms:DescribeKey", allowed=False), asked("kms:DescribeKey")
    assert list(refusals([before, after])) == []
    assert list(refusals([after, before])) == [before]
