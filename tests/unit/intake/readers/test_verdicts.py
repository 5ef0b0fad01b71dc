"""Every fixture and the verdict it must get."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.models.intake import IntakeVerdict

EVENTS = Path(__file__).parents[3] / "data" / "events"
ACCEPT, IGNORE, QUARANTINE = IntakeVerdict.ACCEPT, IntakeVerdict.IGNORE, IntakeVerdict.QUARANTINE
FIRST, SECOND, THIRD = "i-0aaaaaaaaaaaaaaa1", "i-0bbbbbbbbbbbbbbb2", "i-0ccccccccccccccc3"

# event, verdict, a part of the reason, instances
TABLE = [
    ("guardduty_ec2_c2", ACCEPT, "1 accepted", [FIRST]),
    ("guardduty_delegated_administrator", ACCEPT, "1 accepted", [FIRST]),
    ("guardduty_account_mismatch", QUARANTINE, "account='111122223333'", []),
    ("guardduty_profile_of_other_account", QUARANTINE, "contradicts the finding's account 333344445555", []),
    ("guardduty_region_mismatch", QUARANTINE, "region='eu-west-1'", []),
    ("guardduty_runtime_container", ACCEPT, "1 accepted", [SECOND]),
    ("guardduty_attack_sequence_instances", ACCEPT, "3 accepted", [FIRST, SECOND, THIRD]),
    ("guardduty_attack_sequence_bucket", IGNORE, "no EC2 instance", []),
    (
        "guardduty_malware_snapshot",
        ACCEPT,
        "1 accepted",
        ["snap-0123456789abcdef0"],
    ),
    ("guardduty_malware_ami", ACCEPT, "1 accepted", ["ami-0123456789abcdef0"]),
    ("guardduty_malware_recovery_point", ACCEPT, "1 accepted", ["ami-0123456789abcdef0"]),
    ("guardduty_malware_ecs", IGNORE, "no EC2 instance", []),
    ("guardduty_runtime_fargate", IGNORE, "it is about a Fargate task arn:aws:ecs:", []),
    ("guardduty_eks_pod", IGNORE, "it is about a Kubernetes workload kube-system/coredns-5f8d", []),
    ("guardduty_eks_node", IGNORE, "no EC2 instance", []),
    ("guardduty_sequence_eks", IGNORE, "it is about an EKS cluster arn:aws:eks:", []),
    ("guardduty_sequence_ecs", IGNORE, "it is about a Fargate task arn:aws:ecs:", []),
    ("guardduty_api_spelling", ACCEPT, "1 accepted", [FIRST]),
    ("guardduty_sample", IGNORE, "sample", []),
    ("guardduty_access_key", IGNORE, "no EC2 instance", []),
    ("guardduty_bare_finding", ACCEPT, "1 accepted", [FIRST]),
    ("guardduty_in_sns", ACCEPT, "1 accepted", [FIRST]),
    ("imitated_guardduty", QUARANTINE, "source='com.example.app'", []),
    ("asff_imported_guardduty_c2", ACCEPT, "1 accepted", [FIRST]),
    ("asff_arn_of_other_account", QUARANTINE, "='111122223333': the resource's account contradicts", []),
    ("asff_arn_of_other_region", QUARANTINE, "='eu-west-1': the resource's Region contradicts", []),
    ("asff_account_13_digits", QUARANTINE, "='3333444455556'", []),
    ("asff_archived", IGNORE, "archived", []),
    ("asff_suppressed", IGNORE, "SUPPRESSED", []),
    ("asff_resolved", IGNORE, "RESOLVED", []),
    ("asff_account_resource", IGNORE, "no EC2 instance", []),
    ("asff_malware_snapshot", IGNORE, "it is about a snapshot arn:aws:ec2:", []),
    ("asff_threat_on_volume", IGNORE, "no EC2 instance", []),
    ("asff_threat_on_eks", IGNORE, "it is about a container containerd://c0ffee", []),
    ("asff_action_on_snapshot", IGNORE, "it is about a snapshot arn:aws:ec2:", []),
    ("asff_forensic_account", IGNORE, "forensic account itself", []),
    ("asff_bare_control", IGNORE, "posture (controls)", []),
    ("asff_control_passed", IGNORE, "passed", []),
    ("asff_action_isolate_two_findings", ACCEPT, "3 accepted, 1 ignored", [SECOND, THIRD, FIRST]),
    ("asff_action_triage", ACCEPT, "1 accepted", [FIRST]),
    ("asff_action_unknown", IGNORE, "'Send to chat' is not ours", []),
    ("asff_action_legacy", ACCEPT, "1 accepted", [FIRST]),
    ("ocsf_imported_guardduty_c2", ACCEPT, "1 accepted", [FIRST]),
    ("ocsf_malware_ami", IGNORE, "it is about a machine image arn:aws:ec2:", []),
    ("ocsf_ecs_task", IGNORE, "no EC2 instance among its resources", []),
    ("ocsf_owner_of_other_account", QUARANTINE, "='111122223333': the resource's account contradicts", []),
    ("ocsf_suppressed", IGNORE, "suppressed", []),
    ("ocsf_closed", IGNORE, "closed", []),
    ("ocsf_bare_vulnerability", IGNORE, "posture (vulnerabilities)", []),
    ("ocsf_compliance_account", IGNORE, "no EC2 instance", []),
    ("ocsf_unknown_class", IGNORE, "OCSF class 2099", []),
    ("config_instance_noncompliant", ACCEPT, "1 accepted", [FIRST]),
    ("config_instance_compliant", IGNORE, "COMPLIANT", []),
    ("config_volume_noncompliant", IGNORE, "AWS::EC2::Volume vol-0123456789abcdef0", []),
    ("config_account_mismatch", QUARANTINE, "account='111122223333'", []),
    ("config_compliant_in_sns", IGNORE, "COMPLIANT", []),
    ("manual_request", ACCEPT, "1 accepted", [FIRST]),
    ("manual_misspelt_action", QUARANTINE, "unknown action 'isolat'", []),
    ("manual_unsigned", QUARANTINE, "signature", []),
    ("webhook_edr", ACCEPT, "1 accepted", [FIRST]),
    ("manual_expired", QUARANTINE, "expired", []),
    ("manual_valid_too_long", QUARANTINE, "at most 60 minutes", []),
    ("ec2_state_change", IGNORE, "carries no finding", []),
    ("autoscaling_launch_failed", IGNORE, "carries no finding", []),
    ("insight_results", IGNORE, "carries no finding", []),
]


@pytest.mark.parametrize(("name", "verdict", "reason", "instances"), TABLE, ids=[row[0] for row in TABLE])
def test_verdict(event, read, name, verdict, reason, instances):
    intake = read(event(name))
    assert (intake.verdict, [f.instance_id for f in intake.findings]) == (verdict, instances), intake.reason
    assert reason in intake.reason
    assert len(intake.reason) <= 300


def test_every_fixture_is_in_the_table():
    assert {path.stem for path in EVENTS.glob("*.json")} == {row[0] for row in TABLE}
