"""The forensic instance of a case is found by its tags, launched from the forensic AMI, and removed with what it held."""

from __future__ import annotations

import pytest

from forensics.aws import visibility
from forensics.aws.ebs import EbsGateway
from forensics.aws.ec2 import Ec2Gateway, RootDisk
from forensics.aws.session import AwsSession
from forensics.aws.ssm import SsmGateway
from forensics.errors import InvestigationError
from forensics.investigation.artifacts import result_key
from forensics.investigation.forensic_instance import (
    ForensicInstance,
    remove_forensic_resources,
    running_instance,
    terminate_instances,
)
from forensics.models.evidence import Outcome
from forensics.models.results import Investigation, SentDocument
from tests.unit.accounts import FORENSIC, EbsInMemory, Ec2InMemory, SsmInMemory, settings
from tests.unit.builders import CASE_ID, REGION
from tests.unit.recorders import FakeRecorder

OF_CASE = {"forensics_case": CASE_ID, "forensics_purpose": "forensic-instance"}
VOLUME = {"forensics_case": CASE_ID, "forensics_purpose": "analysis-volume"}
ACCOUNT = AwsSession(boto=None, account_id=FORENSIC, region=REGION)  # type: ignore[arg-type]


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Ec2InMemory:
    made = Ec2InMemory()
    monkeypatch.setattr(visibility, "LISTED_WITHIN", 0.0)  # its lists are complete at once
    monkeypatch.setattr(Ec2Gateway, "of", lambda session: made)
    monkeypatch.setattr(SsmGateway, "of", lambda session: SsmInMemory())
    return made


@pytest.fixture
def ebs(monkeypatch: pytest.MonkeyPatch) -> EbsInMemory:
    made = EbsInMemory()
    monkeypatch.setattr(EbsGateway, "of", lambda session: made)
    return made


def instance(ec2: Ec2InMemory) -> ForensicInstance:
    return ForensicInstance(CASE_ID, ec2=ec2, ssm=SsmInMemory())


@pytest.mark.parametrize(
    ("state", "living", "running"),
    [
        ("pending", True, False),
        ("running", True, True),
        ("shutting-down", False, False),
        ("stopped", False, False),
        ("terminated", False, False),
    ],
)
def test_states_of_the_instance(ec2: Ec2InMemory, state: str, living: bool, running: bool) -> None:
    ec2.add("i-1", state, **OF_CASE)
    ec2.add("i-2", "running", **{**OF_CASE, "forensics_case": "fc-20261124-ffffffffff"})
    assert instance(ec2).living() == ("i-1" if living else None)
    assert instance(ec2).running() == ("i-1" if running else None)


def test_the_launch_is_from_the_forensic_ami_into_the_analysis_network(ec2: Ec2InMemory) -> None:
    made = instance(ec2).launch(settings(analysis_instance_types="m6i.xlarge, m5.xlarge"), token="fc-1-2")
    (asked,) = ec2.launched
    assert (asked["image_id"], asked["token"]) == ("ami-1", "fc-1-2")
    assert tuple(asked["types"]) == ("m6i.xlarge", "m5.xlarge")
    assert (asked["subnet_id"], asked["group_id"]) == ("subnet-0123456789abcdef0", "sg-0123456789abcdef0")
    assert asked["profile"] == "forensics-analysis"
    assert (asked["root"], asked["kms_key_id"]) == (RootDisk("/dev/xvda", 100), settings().evidence_key_arn)
    assert instance(ec2).living() == made


def test_a_large_image_gets_a_disk_and_a_type_that_hold_it(ec2: Ec2InMemory) -> None:
    ec2.memory = {"r6i.4xlarge": 128 * 1024}
    instance(ec2).launch(
        settings(analysis_instance_types="m6i.xlarge,r6i.4xlarge"), token="fc-1-2", image_bytes=1024 * 1024**3
    )
    (asked,) = ec2.launched
    assert (asked["root"].size_gib, asked["types"]) == (1390, ("r6i.4xlarge", "m6i.xlarge"))


def test_without_a_running_instance_the_launch_has_to_be_cleared(ec2: Ec2InMemory) -> None:
    ec2.add("i-1", "pending", **OF_CASE)
    with pytest.raises(InvestigationError, match=f"case {CASE_ID} has no running forensic instance") as caught:
        running_instance(FakeRecorder(), ACCOUNT)
    assert "clear investigation.launch_forensic_instance" in caught.value.next_action
    ec2.add("i-2", "running", **OF_CASE)
    assert running_instance(FakeRecorder(), ACCOUNT) == "i-2"


def test_termination_revokes_what_nobody_waits_for_any_more(ec2: Ec2InMemory) -> None:
    recorder = FakeRecorder()
    for number, outcome in enumerate((Outcome.PENDING, Outcome.DONE)):
        record = Investigation(
            activity="investigate_disk",
            evidence_id=f"disk-vol-{number}",
            outcome=outcome,
            document=SentDocument(landing_prefix=f"prefix-{number}"),
        )
        recorder.put(result_key("investigate_disk", record.evidence_id), record)
    ec2.add("i-1", "running", **OF_CASE)
    ec2.add("i-2", "shutting-down", **OF_CASE)
    assert terminate_instances(recorder, ACCOUNT) == ["i-1", "i-2"], "both are waited for"
    assert ec2.state("i-1") == "shutting-down"
    assert recorder.landing.revoked == ["prefix-0"]
    assert recorder.notes == ["forensic instance i-1 is terminated"]
    terminate_instances(recorder, ACCOUNT)
    assert recorder.notes == ["forensic instance i-1 is terminated"], "a repetition says nothing twice"


def test_a_comparison_that_has_not_ended_by_then_is_a_gap_and_not_open_for_ever(ec2: Ec2InMemory) -> None:
    recorder, key = FakeRecorder(), result_key("investigate_comparison", "disk-vol-1")
    recorder.put(
        key,
        Investigation(
            activity="investigate_comparison",
            follows="investigate_disk",
            evidence_id="disk-vol-1",
            outcome=Outcome.PENDING,
            document=SentDocument(landing_prefix="prefix"),
        ),
    )
    terminate_instances(recorder, ACCOUNT)
    found = recorder.get(key, Investigation)
    assert found and found.outcome is Outcome.FAILED and "had not ended" in str(found.reason)
    assert recorder.landing.revoked == ["prefix"]


def test_cleaning_up_deletes_the_cases_free_volumes_only(ec2: Ec2InMemory, ebs: EbsInMemory) -> None:
    ebs.add_volume("vol-free", "available", **VOLUME)
    ebs.add_volume("vol-held", "in-use", holder="i-1", **VOLUME)
    ebs.add_volume("vol-other", "available", **{**VOLUME, "forensics_case": "fc-20261124-ffffffffff"})
    ec2.add("i-1", "running", **OF_CASE)
    remove_forensic_resources(FakeRecorder(), ACCOUNT)
    assert ebs.deleted == ["vol-free"]
    assert ec2.state("i-1") == "shutting-down"
