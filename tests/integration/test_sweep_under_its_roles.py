"""A sweep with what the templates give the roles ``triage`` and ``acquire`` and nothing else; another identity reads no such snapshot."""

from __future__ import annotations

import json

import pytest

from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.session import Scope
from forensics.errors import AccessDeniedError
from forensics.models.sweeps import SweepState
from lab.emulator.iam.sessions import ORGANIZATION
from tests.integration.conftest import SmallLab
from tests.integration.test_sweep import DIGEST, DROPPER, plant, put, sweep
from tests.templates.test_least_privilege import ORGANIZATION as TEMPLATES
from tests.templates.test_least_privilege import policies


@pytest.fixture
def enforced(lab: SmallLab) -> SmallLab:
    """The roles have the templates' policies; no command is lost."""
    lab.control("config", {"ssm_first_lost_share": 0, "ssm_late_answer_share": 0})
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    for account in ("member", "forensic"):
        iam = lab.client("iam", account)
        for role in [r["RoleName"] for r in iam.list_roles()["Roles"] if r["RoleName"].startswith("forensics-")]:
            phase = role.removeprefix("forensics-")
            given = policies(phase) if account == "member" and phase in {"triage", "acquire"} else {"all": everything}
            for name, document in given.items():
                text = json.dumps(document).replace(TEMPLATES, ORGANIZATION)
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=text)
    lab.control("iam", {"enforce": True})
    return lab


def snapshot_of(lab: SmallLab) -> str:
    """A snapshot of somebody's, without a case's tag, with an indicator in it."""
    ebs = lab.client("ebs", "member")
    made = str(ebs.start_snapshot(VolumeSize=1)["SnapshotId"])
    put(ebs, made, 0, b"updates.evil.example".ljust(524_288, b"\0"))
    ebs.complete_snapshot(SnapshotId=made, ChangedBlocksCount=1)
    lab.client("ec2", "member").get_waiter("snapshot_completed").wait(SnapshotIds=[made])
    return made


def test_the_templates_let_a_sweep_ask_instances_and_read_snapshots(enforced: SmallLab) -> None:
    instance, snapshot = plant(enforced, {"/opt/Dropper.sh": DROPPER}), snapshot_of(enforced)
    report = sweep(
        enforced, instances=instance, snapshots=snapshot, indicators=f"{DIGEST}\nupdates.evil.example\n203.0.113.9"
    )
    assert {t.target.subject: (t.state, len(t.hits)) for t in report.targets} == {
        instance: (SweepState.FOUND, 1),
        snapshot: (SweepState.FOUND, 1),
    }, [t.reason for t in report.targets]


def test_a_case_reads_no_snapshot_that_is_not_its_own(enforced: SmallLab) -> None:
    """The statement is for the sweep's source identity alone: the role's other sessions keep to what their case made."""
    place, snapshot = enforced.facts["instances"]["web-server"], snapshot_of(enforced)
    scope = Scope(
        place["account"], place["region"], phase="acquire", case_id="fc-20261121-0123456789", instance_id=snapshot
    )
    with pytest.raises(AccessDeniedError):
        EbsDirectGateway.of(ForensicsHook().session(scope)).volume_bytes(snapshot)
